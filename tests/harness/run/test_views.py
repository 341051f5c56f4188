"""Run folders as views over stores: protocols and judges side by side, every start noted, locks, and submissions."""

import json
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from stored import content, environments, place, results
from watching import Watch

from hermes.commands import evaluate as command_evaluate
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system import registry
from hermes.harness.system.disk import locked
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import leaderboard
from hermes.leaderboards.report import report_markdown

pytestmark = pytest.mark.usefixtures("plugins")
TASKS = ("theirs", "theirs-drawing")


def settings(folder: Path, *tasks: str, **more: Any) -> EvalSettings:
    return EvalSettings(model="theirs", tasks=tasks or TASKS, runs=folder, device="cpu", **more)


class TestSideBySide:
    """Two protocols and two judges of the same answers."""

    @pytest.fixture
    def folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """The runs: the plain one, another protocol, another judge."""
        judge = registry.load_class("judges", "theirs-judge")
        found = [command_evaluate(settings(tmp_path)), command_evaluate(settings(tmp_path, protocol="strict"))]
        monkeypatch.setattr(judge, "identity", "theirs-judge-2")
        monkeypatch.setattr(judge, "answer", lambda self, images, _: ["red"] * len(images))
        return [one["folder"] for one in (*found, command_evaluate(settings(tmp_path)))]

    def test_each_has_a_folder_of_its_own_and_nothing_is_overwritten(self, folders: list[Path]) -> None:
        assert len(set(folders)) == 3
        said = [
            (found["results"]["theirs"]["protocol"], found["results"]["theirs-drawing"]["judge"])
            for found in map(content, folders)
        ]
        assert said == [("official", "theirs-judge-1"), ("strict", "theirs-judge-1"), ("official", "theirs-judge-2")]
        stores = {place(folder, task).resolve() for folder in folders for task in TASKS}
        assert len(stores) == 2
        scores = {place(folder, task, "scores").resolve() for folder in folders for task in TASKS}
        assert len(scores) == 4

    def test_the_leaderboard_shows_all_and_says_which_is_which(self, folders: list[Path], tmp_path: Path) -> None:
        board = leaderboard([tmp_path])
        rows = [line for line in board.splitlines() if line.startswith("| theirs")]
        assert len(rows) == 3
        assert "strict protocol" in "".join(rows)
        assert "theirs-judge-2" in "".join(rows)
        for folder in folders:
            assert content(folder)["run_id"] in board
        assert leaderboard(sorted(folders)) == board

    def test_the_report_shows_what_else_was_made_of_the_answers(self, folders: list[Path]) -> None:
        report = (folders[-1] / "report.md").read_text()
        also = report.split("### Also scored")[1].split("###")[0]
        rows = [
            [cell.strip() for cell in line.split("|")[1:-1]] for line in also.splitlines() if line.startswith("| t")
        ]
        assert {(row[0], row[1], row[2], row[-1]) for row in rows} == {
            ("theirs", "strict", "-", content(folders[1])["run_id"]),
            ("theirs-drawing", "official", "theirs-judge-1", content(folders[0])["run_id"]),
            ("theirs-drawing", "official", "theirs-judge-1", content(folders[1])["run_id"]),
        }


class TestEnvironments:
    def test_every_start_and_every_end_is_appended(self, model: Any, tmp_path: Path) -> None:
        folder = evaluate(settings(tmp_path), model=model)["folder"]
        first = (folder / "environment.jsonl").read_bytes()
        assert [sorted({"start", "end"} & {*entry}) for entry in environments(folder)] == [["start"], ["end"]]
        entry = environments(folder)[0]
        assert entry["packages"]["hermes-bench"] == version("hermes-bench")
        assert (entry["device"], entry["processes"], entry["adapter"]) == ("cpu", 1, "Watched 1")
        assert entry["settings"]["tasks"] == list(TASKS)
        evaluate(settings(tmp_path, batch_size=3), model=model)
        second = (folder / "environment.jsonl").read_bytes()
        assert second.startswith(first)
        assert len(environments(folder)) == 4
        assert environments(folder)[2]["settings"]["batch_size"] == 3

    def test_a_start_that_is_killed_is_noted_in_the_run_and_where_it_asked(self, model: Any, tmp_path: Path) -> None:
        model.fail({("13", 0)}, stop)
        with pytest.raises(KeyboardInterrupt):
            evaluate(settings(tmp_path, batch_size=4), model=model)
        (run,) = (path for path in (tmp_path / "theirs").iterdir())
        assert [sorted({"start", "end"} & {*entry}) for entry in environments(run)] == [["start"]]
        (store,) = (tmp_path / "answers").glob("*/*")
        assert [sorted({"start", "end"} & {*entry}) for entry in environments(store)] == [["start"]]

    def test_a_store_notes_only_the_starts_that_asked_it(self, model: Any, tmp_path: Path) -> None:
        folder = evaluate(settings(tmp_path), model=model)["folder"]
        evaluate(settings(tmp_path), model=model)
        for task, asked in zip(TASKS, (24, 30), strict=True):
            start, end = environments(place(folder, task))
            assert (start["start"], end["end"], end["asked"]) == (True, True, asked)

    @pytest.mark.parametrize("killed", [True, False], ids=["half way through a task", "between the tasks"])
    def test_versions_that_change_half_way_are_said_on_screen_and_in_the_report(
        self, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
    ) -> None:
        if killed:
            model.fail({("13", 0)}, stop)
            with pytest.raises(KeyboardInterrupt):
                evaluate(settings(tmp_path, batch_size=4), versions(monkeypatch, "2.6.0"), model)
            model.fail(set(), stop)
        else:
            evaluate(settings(tmp_path, limit=4), versions(monkeypatch, "2.6.0"), model)
        watch = versions(monkeypatch, "2.7.0")
        found = evaluate(settings(tmp_path), watch, model)
        said = "torch changed from 2.6.0 to 2.7.0 between starts; answers of both are in this run"
        assert watch.said == [f"note: {said}"]
        folder = found["folder"]
        assert environments(folder)[-1]["changes"] == [said]
        assert f"{said}." in report_markdown(folder)
        again = versions(monkeypatch, "2.8.0")
        evaluate(settings(tmp_path), again, model)
        assert again.said == [f"note: {said}"]  # 2.8.0 asked for nothing

    def test_versions_that_did_not_change_are_not_mentioned(
        self, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        evaluate(settings(tmp_path, limit=4), versions(monkeypatch, "2.6.0"), model)
        watch = versions(monkeypatch, "2.6.0")
        assert environments(evaluate(settings(tmp_path), watch, model)["folder"])[-1]["changes"] == []
        assert watch.said == []

    def test_another_adapter_is_said(self, model: Any, tmp_path: Path) -> None:
        evaluate(settings(tmp_path, limit=4), model=model)
        other = type("Reworked", (type(model),), {})()
        watch = Watch()
        evaluate(settings(tmp_path), watch, other)
        assert watch.said == [
            "note: adapter changed from Watched 1 to Reworked 1 between starts; answers of both are in this run"
        ]


def stop() -> None:
    raise KeyboardInterrupt


def versions(monkeypatch: pytest.MonkeyPatch, torch: str) -> Watch:
    """This version of torch is installed from now on."""
    monkeypatch.setattr(
        "hermes.harness.system.environment.package_version", lambda name: torch if name == "torch" else "1.0"
    )
    return Watch()


class TestLocks:
    def test_a_run_folder_in_use_is_refused_at_once(self, model: Any, tmp_path: Path) -> None:
        folder = evaluate(settings(tmp_path), model=model)["folder"]
        model.asked.clear()
        with locked(folder), pytest.raises(HermesError, match=f"another hermes command is writing to {folder}"):
            evaluate(settings(tmp_path), model=model)
        assert len(environments(folder)) == 2

    def test_a_store_in_use_is_waited_for(self, model: Any, tmp_path: Path) -> None:
        store = place(evaluate(settings(tmp_path, "theirs", limit=4), model=model)["folder"], "theirs")
        watch, waiting, done = Watch(), threading.Event(), threading.Event()
        watch.say = lambda text: (watch.said.append(text), waiting.set())  # type: ignore[method-assign, assignment]
        found: dict[str, Any] = {}

        def go() -> None:
            found.update(evaluate(settings(tmp_path, "theirs"), watch, model))
            done.set()

        thread = threading.Thread(target=go)
        (store / "spec.json").unlink()
        with locked(store):
            thread.start()
            assert waiting.wait(30)
            assert not done.wait(0.2)
            assert not (store / "spec.json").exists(), "whoever has the lock may remove what others have half written"
        thread.join(30)
        assert watch.said == [
            f"theirs: another command works with the same answers ({store.resolve()}); waiting for it"
        ]
        assert found["results"]["theirs"].n == 24


class TestSubmission:
    """What only an evaluation server can score."""

    @pytest.fixture
    def ask(self, tmp_path: Path) -> Callable[..., Path]:
        def go(**more: Any) -> Path:
            wanted = EvalSettings(model="theirs", tasks=("vqav2-testdev", "pope"), limit=3, device="cpu", **more)
            folder: Path = evaluate(wanted)["folder"]
            return folder

        return go

    def test_it_is_written_to_the_run_folder_of_every_run(self, ask: Callable[..., Path], tmp_path: Path) -> None:
        folders = [ask(runs=tmp_path / "runs"), ask(runs=tmp_path / "runs", protocol="lmms-eval")]
        assert len(set(folders)) == 2
        for folder in folders:
            written = json.loads((folder / "vqav2-testdev" / "submission.json").read_text())
            assert len(written) == content(folder)["results"]["vqav2-testdev"]["n"] > 0
            assert all({*one} == {"question_id", "answer"} for one in written)
            assert not (folder / "pope").exists()

    def test_a_lost_one_is_written_again_without_scoring(
        self, ask: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = ask(out=tmp_path / "run") / "vqav2-testdev" / "submission.json"
        whole = path.read_bytes()
        path.unlink()
        monkeypatch.setattr("hermes.harness.run.scoring.summarise", lambda *_: pytest.fail("scored again"))
        ask(out=tmp_path / "run")
        assert path.read_bytes() == whole

    def test_an_answer_that_failed_is_submitted_as_empty(self, model: Any, tmp_path: Path) -> None:
        wanted = EvalSettings(model="theirs", tasks=("vqav2-testdev",), limit=3, device="cpu", out=tmp_path / "run")
        model.understand = lambda requests: (_ for _ in ()).throw(RuntimeError("boom"))
        evaluate(wanted, model=model)
        written = json.loads((tmp_path / "run" / "vqav2-testdev" / "submission.json").read_text())
        assert {one["answer"] for one in written} == {""}
        assert results(tmp_path / "run")
