"""A run resumes where it ended, counts what failed, and refuses what is not its own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import environments, place, results, scores
from watching import Watch

import hermes
from hermes.commands import evaluate as command
from hermes.harness.run import fresh
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system import registry
from hermes.harness.system.disk import locked
from hermes.harness.system.errors import HermesError

pytestmark = pytest.mark.usefixtures("plugins")
QUESTIONS, DRAWINGS = 24, 30


def crash() -> None:
    raise RuntimeError("out of memory\nin two lines")


def settings(out: Path, *tasks: str, **more: Any) -> EvalSettings:
    return EvalSettings(model="theirs", tasks=tasks or ("theirs", "theirs-drawing"), out=out, device="cpu", **more)


def test_a_run_leaves_everything_in_its_folder(model: Any, tmp_path: Path) -> None:
    content = evaluate(settings(tmp_path / "run"), model=model)
    folder = content["folder"]
    assert folder == tmp_path / "run"
    command(settings(folder))
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    files = {"spec.json", "run.json", "environment.jsonl", "results.json", "report.md", "report.html"}
    assert names == {*files, "answers"}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    for task in ("theirs", "theirs-drawing"):
        store = place(folder, task)
        assert store.resolve().is_relative_to(folder)
        assert {"spec.json", "environment.jsonl", "responses.0.jsonl", "scores"} <= {p.name for p in store.iterdir()}
    assert {path.suffix for path in (place(folder, "theirs-drawing") / "media").iterdir()} == {".png"}
    assert place(folder, "theirs-drawing", "judgements").parent.parent == place(folder, "theirs-drawing")
    written = json.loads(results(folder))
    assert written["run_id"] == content["run_id"]
    assert written["world"] == "shapes"
    theirs, drawing = written["results"]["theirs"], written["results"]["theirs-drawing"]
    assert (theirs["n"], theirs["n_expected"], theirs["partial"]) == (QUESTIONS, QUESTIONS, False)
    assert (drawing["n"], drawing["n_expected"], drawing["judge"]) == (DRAWINGS, DRAWINGS, "theirs-judge-1")
    assert sum(theirs["counts"].values()) == QUESTIONS
    assert theirs["counts"]["unparsed"] > 0
    right = [score.values["correct"] for score in scores(folder, "theirs")]
    assert theirs["metrics"]["accuracy"]["value"] == pytest.approx(100 * sum(right) / QUESTIONS)
    assert json.loads(place(folder, "theirs", "scores").with_suffix(".json").read_text())["result"] == theirs
    assert environments(folder)[0]["processes"] == 1
    assert written["gap"]["benchmarks"]["gap"]["value"] == pytest.approx(
        max(0, (theirs["metrics"]["accuracy"]["value"] - 30) / 70) - drawing["metrics"]["accuracy"]["value"] / 100
    )


def test_the_default_folder_is_named_after_model_and_run(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = hermes.evaluate("theirs", tasks=("theirs",), device="cpu")
    assert content["folder"] == Path("runs/theirs") / content["run_id"]
    assert (tmp_path / content["folder"] / "results.json").exists()
    assert place(content["folder"], "theirs").resolve().parent.parent == tmp_path / "runs" / "answers"


def test_the_same_command_again_asks_nothing_and_changes_nothing(model: Any, tmp_path: Path) -> None:
    evaluate(settings(tmp_path), model=model)
    before = results(tmp_path)
    model.asked.clear()
    evaluate(settings(tmp_path, batch_size=1), model=model)
    assert model.asked == []
    assert results(tmp_path) == before


@pytest.mark.parametrize(
    "stage",
    ["open_run", "open_store", "draw", "judge_responses", "score_task", "results_content", "write_places", "describe"],
)
def test_a_run_stopped_at_any_stage_ends_as_an_undisturbed_one(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"hermes.harness.run.runner.{stage}", stopped)
        with pytest.raises(KeyboardInterrupt):
            evaluate(settings(tmp_path / "stopped"), model=model)
    for name in ("stopped", "undisturbed"):
        evaluate(settings(tmp_path / name), model=model)
    assert results(tmp_path / "stopped") == results(tmp_path / "undisturbed")


def test_the_judge_is_asked_only_about_what_it_has_not_judged(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(settings(tmp_path), model=model)
    before = results(tmp_path)
    path = place(tmp_path, "theirs-drawing", "judgements") / "judgements.0.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-2]) + lines[-2][:9])
    judge, asked = registry.load_class("judges", "theirs-judge"), []
    answer = judge.answer

    def watched(self: Any, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        asked.append(len(images))
        answers: list[str] = answer(self, images, questions)
        return answers

    monkeypatch.setattr(judge, "answer", watched)
    evaluate(settings(tmp_path), model=model)
    assert asked == [2]
    assert results(tmp_path) == before


def test_a_short_run_is_partial(model: Any, tmp_path: Path) -> None:
    content = evaluate(settings(tmp_path, limit=4), model=model)
    assert content["partial"]
    assert [(item.n, item.n_expected, item.partial) for item in content["results"].values()] == [
        (8, QUESTIONS, True),
        (8, DRAWINGS, True),
    ]


def test_an_error_is_counted_and_is_never_a_zero(model: Any, tmp_path: Path) -> None:
    model.fail({("3", 0), ("drawing-3", 0), ("drawing-3", 1)}, crash)
    content = evaluate(settings(tmp_path), model=model)
    theirs, drawing = content["results"].values()
    assert (theirs.counts["error"], theirs.n, theirs.partial) == (1, QUESTIONS - 1, True)
    assert (drawing.counts["error"], drawing.n, drawing.partial) == (2, DRAWINGS - 2, True)
    failed = [score for score in scores(tmp_path, "theirs") if score.status == "error"]
    assert [(score.sample_id, score.values, score.reason) for score in failed] == [
        ("3", {}, "RuntimeError: out of memory in two lines")
    ]
    known = [score.values["correct"] for score in scores(tmp_path, "theirs") if score.status != "error"]
    assert theirs.metrics["accuracy"].value == pytest.approx(100 * sum(known) / len(known))
    assert len(scores(tmp_path, "theirs-drawing")) == DRAWINGS
    model.fail(set(), crash)
    evaluate(settings(tmp_path), model=model)
    evaluate(settings(tmp_path / "undisturbed"), model=model)
    assert results(tmp_path) == results(tmp_path / "undisturbed")


def test_a_run_in_which_everything_failed_has_no_score(model: Any, tmp_path: Path) -> None:
    model.understand = model.generate = lambda batch: crash()
    content = evaluate(settings(tmp_path), model=model)
    for result in content["results"].values():
        assert (result.metrics, result.n) == ({}, 0)
        assert result.counts["error"] == result.n_expected
    assert content["gap"]["benchmarks"] is None


@pytest.mark.parametrize(
    ("change", "key"),
    [({"seed": 1}, "seed 0 there, 1 here"), ({"limit": 2}, "tasks.theirs.data"), ({"tasks": ("theirs",)}, "tasks")],
)
def test_a_folder_of_another_run_is_refused_and_left_alone(
    model: Any, tmp_path: Path, change: dict[str, Any], key: str
) -> None:
    evaluate(settings(tmp_path), model=model)
    before = results(tmp_path)
    other = settings(tmp_path).model_copy(update=change)
    with pytest.raises(HermesError, match=rf"holds another run \({key}.*; give another --out, or --fresh"):
        evaluate(other, model=model)
    assert results(tmp_path) == before


def test_a_folder_of_another_model_is_refused(model: Any, tmp_path: Path) -> None:
    evaluate(settings(tmp_path), model=model)
    model.info = model.info.model_copy(update={"fingerprint": "theirs-2"})
    with pytest.raises(HermesError, match=r"model\.fingerprint 'theirs-1' there, 'theirs-2' here"):
        evaluate(settings(tmp_path), model=model)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_with_other_things_is_refused_and_left_alone(model: Any, tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(HermesError, match=r"holds no spec\.json"):
        evaluate(settings(tmp_path, fresh=fresh), model=model)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "thesis.tex"]


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_broken_spec_is_written_again(model: Any, tmp_path: Path, content: str) -> None:
    evaluate(settings(tmp_path), model=model)
    before = results(tmp_path)
    whole = (tmp_path / "spec.json").read_bytes()
    (tmp_path / "spec.json").write_text(content)
    model.asked.clear()
    evaluate(settings(tmp_path), model=model)
    assert model.asked == []
    assert results(tmp_path) == before
    assert (tmp_path / "spec.json").read_bytes() == whole


def test_what_a_killed_start_left_is_no_hindrance(model: Any, tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".spec.json.123.part").write_text("{")
    assert evaluate(settings(tmp_path, "theirs"), model=model)["results"]["theirs"].n == QUESTIONS
    assert not (tmp_path / ".spec.json.123.part").exists()
    part = place(tmp_path, "theirs") / ".abc.123.part"
    part.touch()
    evaluate(settings(tmp_path, "theirs"), model=model)
    assert not part.exists()


def test_a_folder_in_use_is_refused(model: Any, tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(HermesError, match="another hermes command"):
        evaluate(settings(tmp_path), model=model)


def test_fresh_starts_over(model: Any, tmp_path: Path) -> None:
    evaluate(settings(tmp_path), model=model)
    before = results(tmp_path)
    model.asked.clear()
    evaluate(settings(tmp_path, fresh=True), model=model)
    assert sum(map(len, model.asked)) == QUESTIONS + DRAWINGS
    assert results(tmp_path) == before
    evaluate(settings(tmp_path, "theirs", fresh=True, seed=1), model=model)
    assert [path.name.split("-")[0] for path in tmp_path.glob("answers/*/*")] == ["theirs"]
    assert json.loads(results(tmp_path))["seed"] == 1


def test_a_fresh_start_that_is_killed_leaves_no_old_answers_to_resume(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(settings(tmp_path, seed=5), model=model)
    remove, removed = fresh._leave, []

    def killed(item: Path, tree: Any) -> None:
        removed.append(item)
        if len(removed) == 9:
            raise KeyboardInterrupt
        remove(item, tree)

    with monkeypatch.context() as patch:
        patch.setattr(fresh, "_leave", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluate(settings(tmp_path, fresh=True), model=model)
    evaluate(settings(tmp_path, fresh=True), model=model)
    evaluate(settings(tmp_path / "undisturbed"), model=model)
    assert results(tmp_path) == results(tmp_path / "undisturbed")


def test_a_broken_line_of_a_journal_is_named_and_asked_again(model: Any, tmp_path: Path) -> None:
    evaluate(settings(tmp_path), model=model)
    before = results(tmp_path)
    judgements = place(tmp_path, "theirs-drawing", "judgements") / "judgements.0.jsonl"
    for path in (place(tmp_path, "theirs") / "responses.0.jsonl", judgements):
        lines = path.read_text().splitlines()
        path.write_text("\n".join([lines[0], lines[1][:20], *lines[2:]]) + "\n")
    model.asked.clear()
    watched = Watch()
    evaluate(settings(tmp_path), watched, model)
    assert model.asked == [[("1", 0)]]
    named = [name for said in watched.said for name in ("responses", "judgements") if f"{name}.0.jsonl line 2" in said]
    assert named == ["responses", "judgements"]
    assert results(tmp_path) == before
