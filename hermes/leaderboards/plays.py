"""Reads self-plays: U, G and the gap of every round's evaluation item by item, and which benchmarks it has beside."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean

from hermes.harness.records.agreement import Table, counts
from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.harness.run.joint import Joined
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.benchmarks import beside_the_gap
from hermes.leaderboards.guidance import Way, guided_scale, guided_task, way_of
from hermes.leaderboards.read import History, Round, Run, read_histories, read_history, score_files
from hermes.leaderboards.scores import scores_of
from hermes.leaderboards.seeds import arms_of
from hermes.leaderboards.shifts import Benchmark

Items = dict[str, float]
ArmOf = Callable[[Path], str]


@dataclass(frozen=True)
class Guided:
    """G by item under guidance: at which scale, and how the self-play has come to it."""

    scale: float
    way: Way
    items: Items


@dataclass(frozen=True)
class Evaluation:
    """One evaluation by item: U, G and U - G of the items that have both, and G under the guidance that its round says.

    Of a model of one side that side alone is not empty.
    ``benchmarks`` are those that were evaluated beside them.
    """

    u: Items
    g: Items
    gap: Items
    guided: Guided | None
    benchmarks: dict[str, Benchmark]
    folder: Path
    run: Run | None = field(repr=False)

    @cached_property
    def agreement(self) -> Table:
        """The 2 x 2 by question; empty where the scores do not make the one that the run tells."""
        told = self.run.gap.homologous if self.run else None
        if told is None or not told.counts:
            return {}
        table = table_of(self.folder)
        return table if told.counts == counts(table) else {}


@dataclass(frozen=True)
class Play:
    """One self-play: its arm, and the evaluation of every round."""

    arm: str
    history: History = field(repr=False)
    rounds: dict[int, Evaluation]

    @property
    def seed(self) -> int:
        return self.history.seed

    @property
    def align_id(self) -> str:
        return self.history.align_id


Arms = Mapping[str, Sequence[Play]]
"""The self-plays of each arm by seed."""


def named_arm(folder: Path) -> str:
    """The arm of an align folder as its history.json names it: the label, or the objective where it has none."""
    return read_history(folder / "history.json").name


def read_plays(folders: Sequence[Path], arm_of: ArmOf = named_arm) -> dict[str, list[Play]]:
    """The self-plays of each arm by seed; arms in the order of the folders, which may be trees of align folders.

    Self-plays that `arm_of` gives one name are of one arm where they differ in their seed alone.

    Raises HermesError for files that cannot be read, and where two self-plays are of one arm and seed.
    """
    found = arms_of(read_histories(folders), lambda history: arm_of(history.path))
    arms: dict[str, dict[int, Play]] = defaultdict(dict)
    for arm, history in ((arm, history) for arm, members in found.items() for history in members):
        if history.seed in arms[arm]:
            raise HermesError(
                f"{history.path} is the second self-play of arm {arm!r} with seed {history.seed}; leave one out, or "
                "give the arms names of their own (--label)"
            )
        arms[arm][history.seed] = Play(arm, history, _rounds(history))
    return {arm: [plays[seed] for seed in sorted(plays)] for arm, plays in arms.items()}


def _rounds(history: History) -> dict[int, Evaluation]:
    return {entry.round: _evaluation(history, entry) for entry in history.rounds}


def _evaluation(history: History, entry: Round) -> Evaluation:
    folder, run = history.path / f"round-{entry.round}" / "evaluation", history.evaluations.get(entry.round)
    files = score_files(folder)
    u, g = _one_side(files) if run and run.gap.undefined else sides_of(folder)
    gap = {item: u[item] - g[item] for item in u if item in g}
    results = run.results if run else {}
    benchmarks = {name: Benchmark(results[name], _file_of(name, files, folder)) for name in beside_the_gap(results)}
    return Evaluation(u, g, gap, _guided(history, entry, files), benchmarks, folder, run)


def _guided(history: History, entry: Round, files: Mapping[str, Path]) -> Guided | None:
    task, scale = guided_task(history, entry), guided_scale(history, entry)
    if scale is None or task not in files:
        return None
    items = _by_item(files[task], "accuracy")
    return Guided(scale, way_of(history), items) if items else None


def _one_side(files: Mapping[str, Path]) -> tuple[Items, Items]:
    """U and G by item of a model that has one of them alone; the other is empty."""
    sides = ((UNDERSTANDING, "correct"), (GENERATION, "accuracy"))
    u, g = (_by_item(files[task], key) if task in files else {} for task, key in sides)
    return u, g


def sides_of(folder: Path) -> tuple[Items, Items]:
    """U and G of a run folder by item, over the items that have both.

    Raises HermesError where a side's scores are missing or cannot be read.
    """
    files = score_files(folder)
    u = _by_item(_file_of(UNDERSTANDING, files, folder), "correct")
    g = _by_item(_file_of(GENERATION, files, folder), "accuracy")
    both = sorted(u.keys() & g.keys())
    return {item: u[item] for item in both}, {item: g[item] for item in both}


def table_of(folder: Path) -> Table:
    """The 2 x 2 of a run folder by question; empty where its scores do not tell questions apart.

    Raises HermesError where a side's scores are missing or cannot be read.
    """
    files, joined = score_files(folder), Joined()
    for task, side in ((UNDERSTANDING, joined.understanding), (GENERATION, joined.generation)):
        deque(side(scores_of(_file_of(task, files, folder))), maxlen=0)
    return joined.table()


def _file_of(task: str, files: Mapping[str, Path], folder: Path) -> Path:
    if task not in files:
        raise HermesError(f"{folder} holds no scores of {task}; evaluate the round again")
    return files[task]


def _by_item(path: Path, key: str) -> Items:
    """The mean of a value over each item's scores, without the items that have an error (as `homologous_gap`)."""
    values: dict[str, list[float]] = defaultdict(list)
    failed: set[str] = set()
    for score in scores_of(path):
        if score.status == "error" or key not in score.values:
            failed.add(score.group_id)
        else:
            values[score.group_id].append(score.values[key])
    return {item: fmean(found) for item, found in values.items() if item not in failed}
