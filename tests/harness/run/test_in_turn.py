"""A first run scores answers as they come; a finished run asks nothing and goes through its rows once."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import place, results

from hermes.evaluators.vqav2 import VQAv2
from hermes.harness.contracts.benchmark import Row
from hermes.harness.records.types import Sample
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system import environment
from hermes.harness.system.environment import Stopwatch

ROWS = 700  # More than a look-up and than a batch.


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of questions; the answer of the null model, "yes", is right for a third of the people."""
    people = [{"answer": "yes" if k % 3 else "no", "answer_id": k} for k in range(10)]
    kind = {"question_type": "is it", "answer_type": "yes/no", "answers": people}
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(
            json.dumps({"question_id": k, "image_id": k // 3, "question": f"Is it {k}?", "image": "a.png", **kind})
            + "\n"
            for k in range(ROWS)
        )
    )
    return path


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many samples each pass over the rows gave."""
    seen: list[int] = []
    samples = VQAv2.samples

    def counted(self: VQAv2, rows: Iterable[Row]) -> Iterator[Sample]:
        place = len(seen)
        seen.append(0)
        for sample in samples(self, rows):
            seen[place] += 1
            yield sample

    monkeypatch.setattr(VQAv2, "samples", counted)
    return seen


def run(rows: Path, out: Path, **more: Any) -> dict[str, Any]:
    return evaluate(EvalSettings(model="null", tasks=("vqav2",), data=str(rows), out=out, **more))


def test_rows_are_read_twice_in_a_first_run_and_once_in_a_finished_one(
    rows: Path, passes: list[int], tmp_path: Path
) -> None:
    first = run(rows, tmp_path / "run")
    assert passes == [ROWS, ROWS]
    passes.clear()
    again = run(rows, tmp_path / "run")
    assert passes == [ROWS]
    drawn = [content["drawn"]["vqav2"] for content in (first, again)]
    assert [(one.asked, one.reused) for one in drawn] == [(ROWS, 0), (0, ROWS)]
    assert again["results"] == first["results"]


def test_scores_in_turn_are_those_from_the_store(rows: Path, tmp_path: Path) -> None:
    run(rows, tmp_path / "turn")
    run(rows, tmp_path / "store", limit=100)
    run(rows, tmp_path / "store" / "rest", runs=tmp_path / "store")
    found = [results(tmp_path / "turn"), results(tmp_path / "store" / "rest")]
    assert found[0] == found[1]
    kept = [place(tmp_path / folder, "vqav2", "scores").read_bytes() for folder in ("turn", "store/rest")]
    assert kept[0] == kept[1]
    assert kept[0].count(b"\n") == ROWS


def test_a_flipped_byte_in_a_finished_run_is_asked_again(rows: Path, tmp_path: Path) -> None:
    first = run(rows, tmp_path / "run")
    journal = place(tmp_path / "run", "vqav2", "answers") / "responses.0.jsonl"
    content = journal.read_bytes()
    at = content.index(b'"text":"yes"', len(content) // 2) + 8
    journal.write_bytes(content[:at] + b"n" + content[at + 1 :])
    again = run(rows, tmp_path / "run")
    assert (again["drawn"]["vqav2"].asked, again["drawn"]["vqav2"].reused) == (1, ROWS - 1)
    assert again["results"] == first["results"]


def test_a_stage_within_a_stage_counts_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 1.0, 3.0, 4.0, 8.0, 10.0))
    monkeypatch.setattr(environment.time, "perf_counter", lambda: next(clock))
    watch = Stopwatch()
    with watch.stage("score"):
        for _ in range(2):
            with watch.stage("draw"):
                pass
    assert watch.seconds == {"draw": 6.0, "score": 4.0}
