"""Align folders with the score files of every round, by item."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from made import history

from hermes.harness.records.types import Score

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
