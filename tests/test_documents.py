"""Files for people and for tools agree with the code: links, versions, entry points, the workflow, the hooks."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from documented import PAGES, ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def links(page: Path) -> Iterator[str]:
    """Where the page's links and pictures lead, those to other sites left out."""
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    yield from (to for to in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in to)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_pages_for_people_are_found_from_the_readme() -> None:
    index = ROOT / "docs" / "index.md"
    found = {(page.parent / link).resolve() for page in (ROOT / "README.md", index) for link in links(page)}
    assert index in found
    assert set(PAGES) - {ROOT / "README.md", ROOT / "examples" / "README.md"} <= found


def test_one_version_and_licence_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    released = re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert citation["version"] == PROJECT["project"]["version"] == released[0]
    assert citation["license"] == PROJECT["project"]["license"]


def test_types_are_shipped() -> None:
    assert (ROOT / "hermes" / "py.typed").is_file()
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["hermes"]


def test_entry_points_name_what_exists() -> None:
    groups = PROJECT["project"]["entry-points"]
    lost = []
    for name, value in (entry for group in groups.values() for entry in group.items()):
        module, _, attribute = value.partition(":")
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
        if attribute not in {getattr(node, "name", None) for node in tree.body}:
            lost.append(f"{name} = {value}")
    assert lost == []


def test_the_workflow_runs_the_readmes_second_command_and_may_only_read() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["test"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test"]
    assert "make test " in (ROOT / "README.md").read_text(encoding="utf-8")
    assert workflow["permissions"] == {"contents": "read"}
    assert job["timeout-minutes"] > 0
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    named = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if "Python :: 3." in line]
    assert job["strategy"]["matrix"]["python"] == named
    assert named[0] == oldest


def test_the_hooks_are_the_linters_of_make_lint() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    lint = (ROOT / "Makefile").read_text(encoding="utf-8").partition("lint:")[2].partition("\n\n")[0]
    linters = re.findall(r"\$\(BIN\)/(\w+ \w+)", lint)
    assert [" ".join(hook["entry"].removeprefix(".venv/bin/").split()[:2]) for hook in hooks] == linters
