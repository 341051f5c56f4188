"""Where one process reads what others write, all wait: in between none may begin, and none may be behind."""

from pathlib import Path
from typing import Any

import pytest

from hermes.harness.records.journal import Journal
from hermes.harness.records.store import Store
from hermes.harness.run import drawing, runner, stores
from hermes.harness.run import judging as judging_module
from hermes.harness.run.runner import Run, evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.processes import Processes

pytestmark = pytest.mark.usefixtures("plugins")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a run does, in order: look at what is stored, write, score, wait."""
    found: list[str] = []

    def noted(cls: type, method: str, name: str) -> None:
        whole = getattr(cls, method)

        def noting(self: Any, *given: Any, **named: Any) -> Any:
            found.append(f"{name} {self.stem}" if isinstance(self, Journal) else name)
            return whole(self, *given, **named)

        monkeypatch.setattr(cls, method, noting)

    noted(Journal, "index", "look")
    noted(Store, "pictures", "look responses")
    noted(Journal, "append", "write")
    noted(Run, "finish", "score")
    noted(Processes, "wait", "wait")
    noted(Processes, "gathered", "wait")
    return found


def run(model: Any, out: Path, events: list[str], **more: Any) -> list[str]:
    evaluate(EvalSettings(model="theirs", tasks=("theirs-drawing",), device="cpu", out=out, **more), model=model)
    return events


def test_nobody_writes_before_all_have_looked(model: Any, tmp_path: Path, events: list[str]) -> None:
    """A process that looked later would count its share of fewer requests, and leave some out."""
    done = run(model, tmp_path, events)
    for stem in ("responses", "judgements"):
        first = done.index(f"write {stem}")
        looked = max(place for place, event in enumerate(done[:first]) if event == f"look {stem}")
        assert "wait" in done[looked:first]


def test_nobody_reads_scores_before_they_are_there(
    model: Any, tmp_path: Path, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second process, which finds all answers and judgements, waits once more for the scores of the first."""
    run(model, tmp_path, events)
    judge = runner.judge_responses

    def judging(*given: Any, **named: Any) -> int:
        lost = judge(*given, **named)
        events.append("judged")
        return lost

    monkeypatch.setattr(runner, "judge_responses", judging)
    monkeypatch.setattr(Processes, "wait", lambda self: events.append("wait"))
    monkeypatch.setattr(Processes, "total", lambda self, number: number)
    for module in (runner, drawing, judging_module, stores):
        monkeypatch.setattr(module, "current", lambda: Processes(1, 2, 1))
    events.clear()
    done = run(model, tmp_path, events)
    assert "write responses" not in done
    assert "wait" in done[done.index("judged") : done.index("score")]
    assert done[done.index("score") + 1] == "wait"  # nobody begins another task while scores are read


def test_nobody_scores_before_all_are_written(model: Any, tmp_path: Path, events: list[str]) -> None:
    done = run(model, tmp_path, events)
    last = max(place for place, event in enumerate(done) if event.startswith("write"))
    assert "wait" in done[last : done.index("score")]
