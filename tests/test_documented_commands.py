"""Every command on every page is run, on few items, or parsed by the command line's own parser where it is marked.

A block that cannot be run here has the comment `<!-- parsed only: why -->` before it; a line with a name in capitals,
such as FOLDER, is only parsed, too. A block that shows a file of examples/ has the comment `<!-- examples/FILE -->`,
and holds what the file does.
"""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from documented import FILE, LANGUAGES, PAGES, ROOT, blocks, hermes, inline, run_here

from hermes.cli import app
from hermes.harness.contracts import plugins
from hermes.harness.system import registry
from hermes.options import split_tasks

FEW = {
    "eval": "--limit 2 --device cpu",
    "align": "--rounds 1 --items 4 -n 3 --epochs 1 --batch-size 2 --replay-batch 2 --eval-limit 2 --threshold 0 "
    "--pairing either --device cpu",
    "view": "--static site",
}
"""Options that make a command short, or end at all; they stand behind those of the page, so they count."""
ELSEWHERE = {"--log_samples", "--machine_rank"}
"""Options of other programs, named alone."""
OTHER_COMMANDS = re.compile(
    r"(make|pip install|inspect view|python3 -m venv|printf) |(OMP_NUM_THREADS=1 |\. )?\.venv/bin/"
)
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def each_page(pages: list[Path]) -> Any:
    return pytest.mark.parametrize("page", pages, ids=lambda path: str(path.relative_to(ROOT)))


def parsed(arguments: list[str]) -> dict[str, Any]:
    """A command's values. Raises for an option, or a value, that the command line does not take."""
    words = arguments[: arguments.index("...")] if "..." in arguments else list(arguments)
    command, name = typer.main.get_command(app), "hermes"
    while hasattr(command, "commands"):
        name = words.pop(0)
        command = command.commands[name]
    values: dict[str, Any] = command.make_context(name, words).params
    return values


def options(command: Any) -> Iterator[str]:
    """All options of a command, or of those below a group."""
    for one in getattr(command, "commands", {}).values():
        yield from options(one)
    for parameter in command.get_params(command.make_context("hermes", [], resilient_parsing=True)):
        yield from (*parameter.opts, *parameter.secondary_opts)


@each_page(PAGES)
def test_every_command_can_be_given(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for line in (line for block in blocks(page) for line in block.lines()):
        words, arguments = shlex.split(line, comments=True), hermes(line)
        if arguments is None:
            assert OTHER_COMMANDS.match(line), line
            assert words[0] != "make" or re.search(rf"^{words[-1]}:", MAKEFILE, re.MULTILINE), line
            extras = {extra for listed in re.findall(r"\.\[([\w,]+)\]", line) for extra in listed.split(",")}
            assert extras <= set(PROJECT["optional-dependencies"]), line
        else:
            parsed(arguments)


@each_page(PAGES)
def test_every_task_and_judge_is_there_and_on_the_hub_where_it_is_read_from_it(page: Path) -> None:
    for line in (line for block in blocks(page) for line in block.lines() if hermes(line)):
        values = parsed(hermes(line) or [])
        for judge in filter(None, (values.get("judge") or "").split(",")):
            registry.load_class("judges", judge.partition(":")[0])
        if values.get("plugin"):
            continue
        data = str(values.get("data"))
        sources = dict(part.split("=") for part in data.split(",") if "=" in part)
        for task in split_tasks(values.get("tasks") or values.get("task") or ""):
            benchmark = registry.load_class("evaluators", re.split("[:@]", task)[0])
            assert sources.get(task, data) != "hub" or benchmark.data.hub, f"{line}: {task} is not on the hub"


@each_page([page for page in PAGES if page.name != "CHANGELOG.md"])
def test_every_option_in_the_text_is_there(page: Path) -> None:
    known = {*options(typer.main.get_command(app)), *ELSEWHERE}
    ours = [code for code in inline(page) if re.match("hermes |python |--", code)]
    for script in (script for code in ours for script in re.findall(r"python (\S+\.py)", code)):
        known |= set(re.findall(r"\"(--[a-z-]+)\"", (ROOT / script).read_text(encoding="utf-8")))
    assert {word for code in ours for word in re.findall(r"(?<!\S)--[a-z][\w-]+", code)} - known == set()


@each_page([page for page in PAGES if page.name != "CHANGELOG.md"])
def test_every_command_named_in_the_text_knows_its_options(page: Path) -> None:
    group: Any = typer.main.get_command(app)
    for code in inline(page):
        words = re.sub(r"^(\w+=\S+ )+", "", code).split()
        if words[:1] != ["hermes"] or words[1:2] == [] or words[1].startswith("-") or words[1].isupper():
            continue
        command: Any = group
        for word in words[1:]:
            command = getattr(command, "commands", {}).get(word, command)
        assert command is not group, code
        known = set(options(command)) if not hasattr(command, "commands") else set(options(group))
        assert {word for word in words if re.match("--?[a-z]", word)} <= known, code
        if command.name == "ablate" and words[2:] and not words[2].isupper() and "." not in words[2]:
            assert (ROOT / "hermes" / "align" / "play" / "recipes" / f"{words[2]}.toml").is_file(), code


@each_page(PAGES)
def test_the_language_of_every_block_is_known(page: Path) -> None:
    """A shell block under another name would be run by nobody."""
    assert {block.language for block in blocks(page)} <= LANGUAGES


@each_page([page for page in PAGES if any(FILE.fullmatch(block.note) for block in blocks(page))])
def test_files_of_examples_are_shown_as_they_are(page: Path) -> None:
    for block in blocks(page):
        if shown := FILE.fullmatch(block.note):
            assert block.text == (ROOT / shown[1]).read_text(encoding="utf-8"), shown[1]


@each_page([page for page in PAGES if run_here(page)])
def test_commands_run(page: Path, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_of_files", {})
    monkeypatch.setattr(plugins, "_digests", {})
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for line in run_here(page):
        arguments = hermes(line)
        if arguments is None:
            subprocess.run(line, shell=True, check=True, cwd=tmp_path)
        else:
            said = command(*arguments, *FEW.get(arguments[0], "").split())
            assert said.code == 0, f"{line}: {said.err}"


def test_the_columns_of_real_data_are_those_that_are_checked() -> None:
    text = (ROOT / "docs" / "real-data.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z].*?`) \| (.*?) \|", text, flags=re.MULTILINE)
    listed = {name: columns for names, columns in rows for name in re.findall("`(.+?)`", names)}
    assert set(listed) == set(PROJECT["entry-points"]["hermes.evaluators"]) - {"file", "lmms"}
    for name, columns in listed.items():
        spec = registry.load_class("evaluators", name).data
        assert set(re.findall("`(.+?)`", columns)) == set(spec.columns), name
        assert set(spec.columns) - set(re.findall(r"\*`(.+?)`\*", columns)) == set(spec.scored or spec.columns), name
