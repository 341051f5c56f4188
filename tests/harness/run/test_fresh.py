"""--fresh empties what Hermes wrote and nothing else: foreign folders are refused, links are not followed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import environments, place, results

from hermes.commands import evaluate as command_evaluate
from hermes.commands import rescore
from hermes.harness.run import fresh
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError

pytestmark = pytest.mark.usefixtures("plugins")
TASKS = ("theirs", "theirs-drawing")


def settings(**more: Any) -> EvalSettings:
    return EvalSettings(model="theirs", tasks=more.pop("tasks", TASKS), device="cpu", **more)


def tree(folder: Path) -> dict[str, bytes | None]:
    """All that lies below a folder, locks aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.name != ".lock"
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A self-contained folder with a run, its reports, and a run that was scored from it."""
    command_evaluate(settings(out=tmp_path / "out"))
    rescore(tmp_path / "out", "strict")
    return tmp_path / "out"


FOREIGN = (
    "notes.txt",
    "theirs/thesis.tex",
    "media/holiday.png",
    "scored/notes.txt",
    "scored/mine/results.json",
    "answers/readme.md",
    "answers/theirs-0123456789ab/readme.md",
    "answers/mine/theirs-0123456789ab/responses.0.jsonl",
    "rounds/round-1.txt",
    "film.part",
    ".film.part",
)


def test_all_that_hermes_wrote_goes_and_the_rest_stays(out: Path) -> None:
    store = place(out, "theirs-drawing")
    inside = [store / name for name in ("diary.txt", "media/holiday.png", "judgements/x/y.txt", "scores/my.jsonl")]
    foreign = [*(out / name for name in FOREIGN), *inside]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"years of work")
    fresh.empty(out)
    left = {path for path in out.rglob("*") if path.is_file() and path.name != ".lock"}
    assert left == set(foreign)


def test_an_own_folder_is_as_empty_as_before(out: Path) -> None:
    fresh.empty(out)
    assert tree(out) == {}


def test_a_fresh_run_is_that_of_a_new_folder(model: Any, out: Path, tmp_path: Path) -> None:
    first = len(environments(out))
    evaluate(settings(out=out, fresh=True, seed=3), model=model)
    evaluate(settings(out=tmp_path / "new", seed=3), model=model)
    assert {name for name in tree(out) if "media" not in name} == {
        name for name in tree(tmp_path / "new") if "media" not in name
    }
    assert results(out) == results(tmp_path / "new")
    assert (first, len(environments(out))) == (3 - 1, 2)


def test_the_answers_that_runs_share_are_emptied_for_the_tasks_that_are_run(model: Any, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    folder = evaluate(settings(runs=root), model=model)["folder"]
    before, kept = results(folder), tree(place(folder, "theirs-drawing"))
    diary = place(folder, "theirs") / "diary.txt"
    diary.write_text("years of work")
    model.asked.clear()
    evaluate(settings(runs=root, tasks=("theirs",), fresh=True), model=model)
    assert sum(map(len, model.asked)) == 24
    assert tree(place(folder, "theirs-drawing")) == kept
    assert diary.read_text() == "years of work"
    model.asked.clear()
    evaluate(settings(runs=root), model=model)
    assert (model.asked, results(folder)) == ([], before)


def test_variants_that_share_a_store_empty_it_once(model: Any, tmp_path: Path) -> None:
    tasks = ("theirs-drawing", "theirs-drawing@num_images=3")
    found = evaluate(settings(runs=tmp_path, tasks=tasks, fresh=True), model=model)
    assert [(one.asked, one.reused) for one in found["drawn"].values()] == [(30, 0), (15, 30)]


@pytest.mark.parametrize("where", ["media", "judgements", "scores", "responses.0.jsonl", "environment.jsonl"])
def test_links_in_a_store_are_removed_and_not_followed(model: Any, tmp_path: Path, where: str) -> None:
    root = tmp_path / "runs"
    folder = evaluate(settings(runs=root), model=model)["folder"]
    before, link = results(folder), place(folder, "theirs-drawing") / where
    linked(link, tmp_path / "elsewhere" / where)
    away = tree(tmp_path / "elsewhere")
    evaluate(settings(runs=root, fresh=True), model=model)
    assert not link.is_symlink()
    assert tree(tmp_path / "elsewhere") == away
    assert results(folder) == before


@pytest.mark.parametrize("where", ["answers", "results.json", "scored", "theirs", "media", "round-1", "report.md"])
def test_links_in_a_run_folder_are_removed_and_not_followed(model: Any, out: Path, tmp_path: Path, where: str) -> None:
    if not (out / where).exists():
        (out / where).mkdir()
        (out / where / "responses.0.jsonl").write_text("years of work")
    linked(out / where, tmp_path / "elsewhere" / where)
    away = tree(tmp_path / "elsewhere")
    evaluate(settings(out=out, fresh=True), model=model)
    assert not (out / where).is_symlink()
    assert tree(tmp_path / "elsewhere") == away


def linked(path: Path, target: Path) -> None:
    """The file or folder lies elsewhere, and a link is in its place."""
    target.parent.mkdir()
    shutil.move(path, target)
    path.symlink_to(target, target_is_directory=target.is_dir())


SPECS: dict[str, Callable[[], Any]] = {
    "another program's": lambda: {"openapi": "3.0", "model": "x"},
    "no object": lambda: [1],
    "empty": dict,
    "no JSON": lambda: None,
}


@pytest.mark.parametrize("name", SPECS)
def test_a_folder_with_a_foreign_spec_is_refused(model: Any, tmp_path: Path, name: str) -> None:
    spec = SPECS[name]()
    (tmp_path / "spec.json").write_text("<xml>" if spec is None else json.dumps(spec))
    for path in ("results.json", "media/a.png", "answers/b", "theirs/responses.0.jsonl", "round-1/c"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("years of work")
    before = tree(tmp_path)
    for more in (True, False):
        with pytest.raises(HermesError, match=r"spec\.json was not written by Hermes; give another --out"):
            evaluate(settings(out=tmp_path, fresh=more), model=model)
    assert tree(tmp_path) == before


def test_names_in_a_spec_lead_nowhere_else(tmp_path: Path) -> None:
    folder, other = tmp_path / "out", tmp_path / "other"
    for path in (folder, other):
        path.mkdir()
        (path / "scores.jsonl").write_text("years of work")
    spec = {"schema": 2, "model": {}, "tasks": {"../other": {}, "..": {}, "*": {}, str(other): {}}}
    (folder / "spec.json").write_text(json.dumps(spec))
    fresh.empty(folder)
    assert (other / "scores.jsonl").exists()
    assert (folder / "scores.jsonl").exists()
