"""Align folders with the score files of every round, by item."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from made import edit, history
from made import result as made_result

from hermes.harness.records.types import Score
from hermes.harness.system.disk import read_json

# Item to (its answers about the real image, the accuracy of its drawing).
Items = Mapping[str, tuple[Sequence[float], float]]


def play(folder: Path, arm: str, seed: int, rounds: Sequence[Items]) -> Path:
    """Write one self-play and return its folder."""
    history(folder, "sum", seed, [(0.0, 0.0)] * len(rounds), arm=arm, align_id=f"{arm}-{seed}")
    for number, items in enumerate(rounds):
        answers = [(item, {"correct": value}) for item, (found, _) in items.items() for value in found]
        scores(folder, number, "homologous-u", answers)
        scores(folder, number, "homologous-g", [(item, {"accuracy": g}) for item, (_, g) in items.items()])
    return folder


def guided(folder: Path, number: int, scale: str, items: Mapping[str, float]) -> None:
    """Add a round's G under a guidance."""
    found = [(item, {"accuracy": value}) for item, value in items.items()]
    scores(folder, number, f"homologous-g@guidance_scale={scale}", found)


def scores(folder: Path, number: int, task: str, values: Sequence[tuple[str, dict[str, float]]]) -> Path:
    """Write a task's scores, in this order; without values a score is an error."""
    path = folder / f"round-{number}" / "evaluation" / task / "scores.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [
        Score(sample_id=f"{item}/{k}", index=0, group_id=item, values=value, status="scored" if value else "error")
        for k, (item, value) in enumerate(values)
    ]
    path.write_text("".join(score.model_dump_json() + "\n" for score in found))
    return path


def benchmark(folder: Path, number: int, task: str, found: Sequence[Score], headline: float, **changes: Any) -> None:
    """Add a benchmark to a round's evaluation, with these scores and this headline; ``changes`` are its result's."""
    home = folder / f"round-{number}" / "evaluation"
    one = made_result(task, headline, **changes)
    edit(home / "results.json", results={**read_json(home / "results.json")["results"], task: one.model_dump()})
    (home / task).mkdir()
    (home / task / "scores.jsonl").write_text("".join(score.model_dump_json() + "\n" for score in found))


def score(name: str, group: str, value: float | None, key: str = "correct", index: int = 0, **tags: str) -> Score:
    """A score of one value; None is an error."""
    values = {} if value is None else {key: value}
    status = "error" if value is None else "scored"
    return Score(sample_id=name, index=index, group_id=group, values=values, status=status, tags=tags)
