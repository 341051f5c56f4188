"""What self-plays changed: since round 0, from round to round, and between arms.

Rounds of one self-play, and arms with one seed, answer about the same items, so differences are taken item by item.
The seeds of an arm are joined and intervals are clustered by item: they say what other items would give, not other
seeds.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hermes.harness.records.types import Metric
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.guidance import said_of, scales, title_of
from hermes.leaderboards.nearer import is_nearer
from hermes.leaderboards.paired import REPLICATES, Delta, closed, delta
from hermes.leaderboards.plays import ArmOf, Arms, Play, named_arm, read_plays
from hermes.leaderboards.ranking import is_beyond
from hermes.leaderboards.shifts import Shift
from hermes.leaderboards.tables import Cell, Column, Table, text_column
from hermes.leaderboards.titles import UNDEFINED, place, title

ARM = (text_column("Arm"), text_column("Round"), Column("Seeds", 0, None))
SIDES = tuple(Column(name, 3, signed=True) for name in ("U", "G", "Gap (U - G)"))


CLOSED = (
    "Gap closed: the share of the gap at round 0 that is gone, over 100 where the gap has crossed 0, none where it was "
    f"within its interval from the start; its interval from {REPLICATES} resamples of the items."
)


@dataclass(frozen=True)
class Change:
    """A round of an arm against round 0 (``since_base``) and against the round before it (``step``).

    ``closed`` is the share of the gap at round 0 that is gone: 1 all of it, below 0 where the gap has grown,
    above 1 where it has crossed 0.
    """

    arm: str
    round: int
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    since_base: Delta
    step: Delta
    closed: Metric


@dataclass(frozen=True)
class Difference:
    """``arm`` minus ``base`` at the same round, over the seeds that both have."""

    arm: str
    base: str
    round: int
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    delta: Delta


def changes(folders: Sequence[Path], arm_of: ArmOf = named_arm) -> list[Change]:
    """Every round after round 0, arm by arm, over the seeds that have played it. Raises as `read_plays`."""
    return changes_of(read_plays(folders, arm_of))


def changes_of(arms: Arms) -> list[Change]:
    """`changes` of arms that were read."""
    return [
        change(number, [play for play in plays if number in play.rounds])
        for plays in arms.values()
        for number in sorted({number for play in plays for number in play.rounds} - {0})
    ]


def against(folders: Sequence[Path], arm_of: ArmOf, base_arm: str) -> list[Difference]:
    """Every other arm minus ``base_arm`` at each round after round 0 that both have, paired by seed and item.

    Where they share no seed the metrics are NaN. Raises as `read_plays`, and where ``base_arm`` has no self-play.
    """
    return against_of(read_plays(folders, arm_of), base_arm)


def against_of(arms: Arms, base_arm: str) -> list[Difference]:
    """`against` of arms that were read. Raises HermesError where ``base_arm`` has no self-play."""
    if base_arm not in arms:
        raise HermesError(f"no self-play is of arm {base_arm!r}; the arms are {', '.join(arms) or 'none'}")
    base = arms[base_arm]
    return [
        difference(number, plays, base)
        for arm, plays in arms.items()
        if arm != base_arm
        for number in sorted(_numbers(plays) & _numbers(base) - {0})
    ]


def changes_table(found: Sequence[Change]) -> Table:
    """Changes since round 0, and the share of its gap that was closed."""
    guided = _guided([one.since_base for one in found])
    return Table(
        title="Change since round 0",
        columns=(*ARM, *SIDES, *guided, Column("Gap closed (%)", 0)),
        rows=tuple(
            (*_cells(one, one.since_base, "base", guided), metric_cell(one.closed, 100, one.runs)) for one in found
        ),
        caption=f"{_method([one.since_base for one in found])} {CLOSED}",
    )


def steps_table(found: Sequence[Change]) -> Table:
    """Changes from each round to the next, and whether the gap came nearer to 0 by more than its interval."""
    guided = _guided([one.step for one in found])
    return Table(
        title="Change since the round before",
        columns=(*ARM, *SIDES, *guided, text_column("Gap is")),
        rows=tuple((*_cells(one, one.step, "before", guided), Cell(text=_verdict(one.step))) for one in found),
        caption=_method([one.step for one in found]),
    )


def against_table(found: Sequence[Difference]) -> Table:
    """Differences from the base arm, and whether the gap is nearer to 0 by more than its interval."""
    guided = _guided([one.delta for one in found])
    return Table(
        title=f"Difference from {found[0].base} at the same round" if found else "Difference between arms",
        columns=(*ARM, *SIDES, *guided, text_column("Gap is")),
        rows=tuple((*_cells(one, one.delta, one.base, guided), Cell(text=_verdict(one.delta))) for one in found),
        caption=_method([one.delta for one in found]),
    )


def benchmark_changes_table(found: Sequence[Change]) -> Table:
    """Changes of the benchmarks' headlines since round 0; without rows where there are no benchmarks."""
    return _benchmarks("Benchmarks: change since round 0", [(one, one.since_base) for one in found])


def benchmark_steps_table(found: Sequence[Change]) -> Table:
    """Changes of the benchmarks' headlines from each round to the next."""
    return _benchmarks("Benchmarks: change since the round before", [(one, one.step) for one in found])


def benchmark_against_table(found: Sequence[Difference]) -> Table:
    """Differences of the benchmarks' headlines from the base arm's."""
    base = found[0].base if found else "the base arm"
    return _benchmarks(f"Benchmarks: difference from {base} at the same round", [(one, one.delta) for one in found])


def _benchmarks(heading: str, found: Sequence[tuple[Change | Difference, Delta]]) -> Table:
    shifts: dict[str, list[Shift]] = defaultdict(list)
    for _, moved in found:
        for name, shift in moved.benchmarks.items():
            shifts[name].append(shift)
    names = sorted(shifts, key=place)
    rows = []
    for one, moved in found if names else ():
        known = [moved.benchmarks.get(name) for name in names]
        rows.append((*_label(one), *(metric_cell(each.metric, 1, one.runs) if each else Cell() for each in known)))
    sizes = {title(name): [one.metric.groups for one in shifts[name] if one.metric.groups] for name in names}
    paired = ", ".join(f"{_range(each)} of {name}" for name, each in sizes.items() if each)
    plain = ", ".join(name for name, each in sizes.items() if not each)
    return Table(
        title=heading,
        columns=(*ARM, *(Column(title(name), shifts[name][0].digits, signed=True) for name in names)),
        rows=tuple(rows),
        caption=f"In the unit of each headline. Paired by item ({paired or 'none'}), each averaged over the seeds; "
        "95 % intervals clustered by item, for these seeds.",
        notes=(f"Differences of the headlines as they are, which have no interval: {plain}.",) if plain else (),
    )


def change(number: int, plays: Sequence[Play]) -> Change:
    """That of an arm's self-plays at a round which all of them have played."""
    bases = [(play.rounds[0], play.rounds[number]) for play in plays]
    return Change(
        arm=plays[0].arm,
        round=number,
        seeds=tuple(play.seed for play in plays),
        runs=tuple(play.align_id for play in plays),
        since_base=delta(bases),
        step=delta([(play.rounds[number - 1], play.rounds[number]) for play in plays]),
        closed=closed([(before.gap, after.gap) for before, after in bases]),
    )


def of_one_seed(plays: Sequence[Play], base: Sequence[Play]) -> list[tuple[Play, Play]]:
    """The self-plays of the base arm, each with the other arm's of its seed."""
    return [(first, second) for second in plays for first in base if first.seed == second.seed]


def difference(number: int, plays: Sequence[Play], base: Sequence[Play]) -> Difference:
    """That of an arm from the base arm at a round, over the seeds of which both have played it."""
    both = [pair for pair in of_one_seed(plays, base) if all(number in play.rounds for play in pair)]
    return Difference(
        arm=plays[0].arm,
        base=base[0].arm,
        round=number,
        seeds=tuple(play.seed for play, _ in both),
        runs=tuple(play.align_id for pair in both for play in pair),
        delta=delta([(first.rounds[number], second.rounds[number]) for first, second in both]),
    )


def _numbers(plays: Sequence[Play]) -> set[int]:
    return {number for play in plays for number in play.rounds}


def _guided(found: Sequence[Delta]) -> tuple[Column, ...]:
    """The columns of G under guidance and of its scale; none where it was not measured."""
    ways = [way for one in found for way in one.ways]
    return (Column(title_of(ways), 3, signed=True), text_column("Guidance")) if ways else ()


def _cells(one: Change | Difference, found: Delta, other: str, guided: Sequence[Column]) -> Iterator[Cell]:
    """Arm, round, seeds, the differences, and the guidance of either side; ``other`` names what is compared with."""
    yield from _label(one)
    for metric in (found.u, found.g, found.gap):
        yield metric_cell(metric, 1, one.runs)
    if guided:
        yield metric_cell(found.guided, 1, one.runs)
        yield Cell(text=guidance(found, other))


def _label(one: Change | Difference) -> tuple[Cell, ...]:
    return Cell(text=one.arm), Cell(text=str(one.round)), Cell(float(len(one.seeds)))


def guidance(found: Delta, other: str) -> str:
    """The scales of the second sides, and where they are others, those of the first: ``1, 2 (base 2)``."""
    if found.guidance is None:
        return ""
    before, after = found.guidance
    return scales(after) if before == after else f"{scales(after)} ({other} {scales(before)})"


def metric_cell(metric: Metric | None, scale: float, runs: Sequence[str]) -> Cell:
    """A metric as a cell; an empty one where there is no number."""
    if metric is None or metric.value != metric.value:
        return Cell()
    low, high = (None if bound is None else scale * bound for bound in (metric.low, metric.high))
    return Cell(scale * metric.value, low=low, high=high, source=f"measured ({', '.join(runs)})")


def is_one_sided(found: Delta) -> bool:
    """Whether one side alone was measured, so that there is no gap."""
    return math.isnan(found.u.value) != math.isnan(found.g.value)


def _verdict(found: Delta) -> str:
    """Whether the gap came nearer to 0; where one side alone was measured there is none."""
    if is_one_sided(found):
        return UNDEFINED
    before, after = found.gaps
    if not is_beyond(found.gap):
        return "unclear"
    if is_nearer(after, before, found.gap.value):
        return "smaller"
    return "larger" if is_nearer(before, after, -found.gap.value) else "unclear"


def _method(found: Sequence[Delta]) -> str:
    return " ".join((paired_over(found), *said_of(way for one in found for way in one.ways)))


def paired_over(found: Sequence[Delta]) -> str:
    """How differences were taken, in a sentence."""
    items = _range(max(one.u.groups, one.g.groups) for one in found)
    return f"Paired by item over {items} items, seeds joined; 95 % intervals clustered by item, for these seeds."


def _range(sizes: Iterable[int]) -> str:
    different = sorted(set(sizes))
    return " to ".join(str(size) for size in dict.fromkeys((different[0], different[-1]))) if different else "no"
