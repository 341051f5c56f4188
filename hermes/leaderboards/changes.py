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
from hermes.leaderboards.nearer import is_nearer
from hermes.leaderboards.paired import REPLICATES, Delta, closed, delta
from hermes.leaderboards.plays import ArmOf, Play, named_arm, read_plays
from hermes.leaderboards.ranking import is_beyond
from hermes.leaderboards.shifts import Shift
from hermes.leaderboards.tables import Cell, Column, Table, text_column
from hermes.leaderboards.titles import BEST_GUIDED, UNDEFINED, place, title

ARM = (text_column("Arm"), text_column("Round"), Column("Seeds", 0, None))
SIDES = (
    Column("U", 3, signed=True),
    Column("G", 3, signed=True),
    Column("Gap (U - G)", 3, signed=True),
    Column(BEST_GUIDED, 3, signed=True),
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
    return [
        _change(number, [play for play in plays if number in play.rounds])
        for plays in read_plays(folders, arm_of).values()
        for number in sorted({number for play in plays for number in play.rounds} - {0})
    ]


def against(folders: Sequence[Path], arm_of: ArmOf, base_arm: str) -> list[Difference]:
    """Every other arm minus ``base_arm`` at each round after round 0 that both have, paired by seed and item.

    Where they share no seed the metrics are NaN. Raises as `read_plays`, and where ``base_arm`` has no self-play.
    """
    arms = read_plays(folders, arm_of)
    if base_arm not in arms:
        raise HermesError(f"no self-play is of arm {base_arm!r}; the arms are {', '.join(arms) or 'none'}")
    base = arms.pop(base_arm)
    return [
        _difference(number, plays, base)
        for plays in arms.values()
        for number in sorted(_numbers(plays) & _numbers(base) - {0})
    ]


def changes_table(found: Sequence[Change]) -> Table:
    """Changes since round 0, and the share of its gap that was closed."""
    return Table(
        title="Change since round 0",
        columns=(*ARM, *SIDES, text_column("Guidance"), Column("Gap closed (%)", 0)),
        rows=tuple((*_cells(one, one.since_base, "base"), _number(one.closed, 100, one.runs)) for one in found),
        caption=f"{_method([one.since_base for one in found])} Gap closed: the share of the gap at round 0 that is "
        f"gone, over 100 where the gap has crossed 0; its interval from {REPLICATES} resamples of the items.",
    )


def steps_table(found: Sequence[Change]) -> Table:
    """Changes from each round to the next, and whether the gap came nearer to 0 by more than its interval."""
    return Table(
        title="Change since the round before",
        columns=(*ARM, *SIDES, text_column("Guidance"), text_column("Gap is")),
        rows=tuple((*_cells(one, one.step, "before"), Cell(text=_verdict(one.step))) for one in found),
        caption=_method([one.step for one in found]),
    )


def against_table(found: Sequence[Difference]) -> Table:
    """Differences from the base arm, and whether the gap is nearer to 0 by more than its interval."""
    return Table(
        title=f"Difference from {found[0].base} at the same round" if found else "Difference between arms",
        columns=(*ARM, *SIDES, text_column("Guidance"), text_column("Gap is")),
        rows=tuple((*_cells(one, one.delta, one.base), Cell(text=_verdict(one.delta))) for one in found),
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
        rows.append((*_label(one), *(_number(each.metric, 1, one.runs) if each else Cell() for each in known)))
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


def _change(number: int, plays: Sequence[Play]) -> Change:
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


def _difference(number: int, plays: Sequence[Play], base: Sequence[Play]) -> Difference:
    both = [
        (first, second)
        for second in plays
        for first in base
        if first.seed == second.seed and number in first.rounds and number in second.rounds
    ]
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


def _cells(one: Change | Difference, found: Delta, other: str) -> Iterator[Cell]:
    """Arm, round, seeds, the differences, and the guidance of either side; ``other`` names what is compared with."""
    yield from _label(one)
    for metric in (found.u, found.g, found.gap, found.guided):
        yield Cell() if metric is None else _number(metric, 1, one.runs)
    yield Cell(text=_guidance(found, other))


def _label(one: Change | Difference) -> tuple[Cell, ...]:
    return Cell(text=one.arm), Cell(text=str(one.round)), Cell(float(len(one.seeds)))


def _guidance(found: Delta, other: str) -> str:
    if found.guidance is None:
        return ""
    before, after = found.guidance
    return f"{after:g}" if before == after else f"{after:g} ({other} {before:g})"


def _number(metric: Metric, scale: float, runs: Sequence[str]) -> Cell:
    if metric.value != metric.value:
        return Cell()
    low, high = (None if bound is None else scale * bound for bound in (metric.low, metric.high))
    return Cell(scale * metric.value, low=low, high=high, source=f"measured ({', '.join(runs)})")


def _verdict(found: Delta) -> str:
    """Whether the gap came nearer to 0; where one side alone was measured there is none."""
    if math.isnan(found.u.value) != math.isnan(found.g.value):
        return UNDEFINED
    before, after = found.gaps
    if not is_beyond(found.gap):
        return "unclear"
    if is_nearer(after, before, found.gap.value):
        return "smaller"
    return "larger" if is_nearer(before, after, -found.gap.value) else "unclear"


def _method(found: Sequence[Delta]) -> str:
    items = _range(max(one.u.groups, one.g.groups) for one in found)
    return (
        f"Paired by item over {items} items, seeds joined; 95 % intervals clustered by item, for these seeds. "
        f"{BEST_GUIDED}: at that of each round, on the mean over the seeds."
    )


def _range(sizes: Iterable[int]) -> str:
    different = sorted(set(sizes))
    return " to ".join(str(size) for size in dict.fromkeys((different[0], different[-1]))) if different else "no"
