"""Align folders with the score files of every round, by item."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from made import edit, history
from made import result as made_result

from hermes.harness.records.agreement import ASKED, RIGHT
from hermes.harness.records.types import Metric, Score
from hermes.harness.run.gap import homologous_gap
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
    """Add a round's G under a guidance; that which history.json says counts, by default 1.5."""
    found = [(item, {"accuracy": value}) for item, value in items.items()]
    scores(folder, number, f"homologous-g@guidance_scale={scale}", found)


def chose(folder: Path, taken: Sequence[float], among: Sequence[float] = (0, 1, 2), split: str = "test") -> None:
    """Let a self-play have chosen a guidance in each round, and have reported on this split."""
    rounds = read_json(folder / "history.json")["rounds"]
    told = [entry | {"guidance": scale} for entry, scale in zip(rounds, taken, strict=True)]
    edit(folder / "history.json", guided="", guidances=list(among), rounds=told)
    for number in range(len(taken)):
        edit(folder / f"round-{number}" / "evaluation" / "results.json", split=split)


def questions(folder: Path, number: int, verdicts: Mapping[str, Sequence[tuple[int, int]]]) -> None:
    """Let a round tell of each item's questions whether they are right on the real picture and on the drawn one."""
    home = folder / f"round-{number}" / "evaluation"
    asked = {item: [f"{item}{place:07}" for place in range(len(found))] for item, found in verdicts.items()}
    u = [
        Score(
            sample_id=f"{item}/{k}", index=0, group_id=item, values={"correct": u}, status="scored", tags={ASKED: key}
        )
        for item, found in verdicts.items()
        for k, (key, (u, _)) in enumerate(zip(asked[item], found, strict=True))
    ]
    g = [
        Score(
            sample_id=item,
            index=0,
            group_id=item,
            values={"accuracy": sum(right for _, right in found) / len(found)},
            status="scored",
            tags={ASKED: " ".join(asked[item]), RIGHT: "".join(str(right) for _, right in found)},
        )
        for item, found in verdicts.items()
    ]
    for task, every in (("homologous-u", u), ("homologous-g", g)):
        (home / task / "scores.jsonl").write_text("".join(score.model_dump_json() + "\n" for score in every))
    told = homologous_gap(u, g)
    assert told is not None
    content = {name: one.model_dump() if isinstance(one, Metric) else one for name, one in told.items()}
    edit(home / "results.json", gap={"homologous": content, "benchmarks": None})


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
