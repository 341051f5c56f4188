"""What each arm of an ablation reaches, one row an arm, as in the paper's table: the gap, benchmarks and compute."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from hermes.harness.records.types import Metric
from hermes.leaderboards.ablation import averaged
from hermes.leaderboards.changes import (
    CLOSED,
    change,
    difference,
    guidance,
    is_one_sided,
    metric_cell,
    of_one_seed,
    paired_over,
)
from hermes.leaderboards.compute import COMPUTE, compute_of
from hermes.leaderboards.guidance import Way, guided_scale, said_of, scales, title_of
from hermes.leaderboards.paired import Delta, closed_more
from hermes.leaderboards.plays import Arms, Play
from hermes.leaderboards.ranking import is_beyond
from hermes.leaderboards.tables import Cell, Column, Table, text_column, without_empty
from hermes.leaderboards.terms import headline
from hermes.leaderboards.titles import GAP, GAPS, UNDEFINED, digits, place, title

PAPER = ("geneval", "dpg_bench", "pope", "mme", "mmmu")
"""The benchmarks that stand first."""
COUNTED = (
    "Compute of one self-play, summed over its rounds, mean over the seeds. Pictures and texts: candidates that it "
    "asks for, drawn for it or for another arm. Sequences: what goes forward and backward in training, sides of pairs "
    "and replayed items, each once for each of its masks. Reference passes: sequences that go through the reference. "
    "Judging and measuring are not counted."
)
BOLD = "Bold: beyond the interval."
Row = dict[str, Cell]  # By the keys of columns; those that a row lacks are empty.


@dataclass(frozen=True)
class Reached:
    """An arm at a round, by what it is more than another thing: itself at round 0, or the base arm at that round.

    ``delta`` and ``closed`` (against the base arm: how much more of the gap) are None where there is no such round.
    ``compute`` has None for what older versions have not counted.
    """

    arm: str
    round: int
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    delta: Delta | None
    closed: Metric | None
    compute: Mapping[str, float | None]


def reached(arms: Arms) -> list[Reached]:
    """Each arm since round 0, at the last round that all its seeds have played."""
    found = []
    for arm, plays in arms.items():
        number, seeds = _last(plays), tuple(play.seed for play in plays)
        own = change(number, plays) if number else None
        compute = _mean([compute_of(play.history, number) for play in plays])
        runs = tuple(play.align_id for play in plays)
        delta, closed = (own.since_base, own.closed) if own else (None, None)
        found.append(Reached(arm, number, seeds, runs, delta, closed, compute))
    return found


def reached_from(arms: Arms, base: str) -> list[Reached]:
    """Each other arm from the base arm, at the last round that all seeds which both have, have played."""
    found = []
    for arm, plays in arms.items():
        if arm == base:
            continue
        pairs = of_one_seed(plays, arms[base])
        number, seeds = _last([play for pair in pairs for play in pair]), tuple(play.seed for _, play in pairs)
        one = difference(number, [play for _, play in pairs], [play for play, _ in pairs]) if number else None
        closed = closed_more(*zip(*(_gaps(pair, number) for pair in pairs), strict=True)) if number else None
        compute = _mean([_less(*(compute_of(play.history, number) for play in pair)) for pair in pairs])
        runs = tuple(play.align_id for pair in pairs for play in pair)
        found.append(Reached(arm, number, seeds, runs, one.delta if one else None, closed, compute))
    return found


def reached_table(found: Sequence[Reached], arms: Arms) -> Table:
    """The base models as they are, and below them arms in their order as changes since round 0."""
    models = _base_plays(arms)
    bases = [_base_row(plays) for plays in models]
    notes = [
        *_otherwise(arms),
        *(f"{one.arm}: not all seeds have played a round." for one in found if not one.round),
        *_partial(arms),
        *_uncounted(found),
    ]
    heading = f"The first {'row is the base model' if len(bases) == 1 else 'rows are the base models'}, as measured"
    heading += " (mean ± standard deviation over seeds)" if any(len(plays) > 1 for plays in models) else ""
    caption = f"{heading}; below it changes since round 0, at the last round that all seeds of an arm have played."
    rows = [*bases, *(_row(one, "base") for one in found)]
    told = [caption, *_paired(found), BOLD, CLOSED, COUNTED]
    table = _table("What each arm reaches", told, rows, found, arms, notes, signed=False)
    return replace(table, rule=len(bases))


def from_base_table(found: Sequence[Reached], arms: Arms, base: str) -> Table:
    """Arms in their order as differences from the base arm."""
    caption = f"Each arm less {base}, at the last round that all seeds of both have played, over the seeds of both."
    rows = [_row(one, base) for one in found]
    told = [caption, *_paired(found), BOLD, "Columns as above; of the gap closed percentage points."]
    return _table(f"Difference from {base}", told, rows, found, arms, _uncounted(found), signed=True)


def _table(
    heading: str,
    told: Sequence[str],
    rows: Sequence[Row],
    found: Sequence[Reached],
    arms: Arms,
    notes: Sequence[str],
    signed: bool,
) -> Table:
    """``signed``: whether compute, and the share of the gap, are differences."""
    deltas = [one.delta for one in found if one.delta]
    sizes, ways = _benchmarks(arms), [way for one in deltas for way in one.ways]
    columns = {
        "arm": text_column("Arm"),
        "round": text_column("Round"),
        "seeds": Column("Seeds", 0, None),
        "u": Column("U", 3, signed=True),
        "g": Column("G", 3, signed=True),
        "gap": Column(GAPS[GAP], 3, signed=True),
        "joint": Column("Joint (J)", 3, signed=True),
        "guided": Column(title_of(ways or _ways(arms)), 3, signed=True),
        "guidance": text_column("Guidance"),
        **{_task(name): Column(title(name), size, signed=True) for name, size in sizes.items()},
        "closed": Column("Gap closed (%)", 0, signed=signed),
        **{name: Column(said, 0, None, signed=signed) for name, said in COMPUTE.items()},
    }
    plain = [title(name) for name in sizes if any(_is_plain(one, name) for one in deltas)]
    alone = [f"Differences of the headlines as they are, which have no interval: {', '.join(plain)}."] if plain else []
    table = Table(
        title=heading,
        columns=tuple(columns.values()),
        rows=tuple(tuple(row.get(key, Cell()) for key in columns) for row in rows),
        caption=" ".join(told),
        notes=(*notes, *said_of(ways), *alone),
    )
    return without_empty(table)


def _row(one: Reached, other: str) -> Row:
    """``other`` names what is compared with where guidances are told."""
    row = {
        "arm": Cell(text=one.arm, source=", ".join(one.runs)),
        "round": Cell(text=str(one.round)),
        "seeds": Cell(float(len(one.seeds))),
        **{name: Cell(value) for name, value in one.compute.items()},
    }
    if one.delta is None or one.closed is None:
        return row
    found = one.delta
    moved = {"u": found.u, "g": found.g, "gap": found.gap, "joint": found.joint, "guided": found.guided}
    moved |= {_task(name): shift.metric for name, shift in found.benchmarks.items()}
    row |= {name: _bold(metric, 1, one) for name, metric in moved.items()}
    row["closed"] = _bold(one.closed, 100, one)
    row["guidance"] = Cell(text=guidance(found, other))
    return row | ({"gap": Cell(text=UNDEFINED)} if is_one_sided(found) else {})


def _bold(metric: Metric | None, scale: float, one: Reached) -> Cell:
    cell = metric_cell(metric, scale, one.runs)
    return replace(cell, best=metric is not None and is_beyond(metric))


def _base_row(plays: Sequence[Play]) -> Row:
    """A base model as its self-plays have measured it at round 0, one of each seed."""
    entries = [play.history.rounds[0] for play in plays]
    results = [(play.history, name) for play in plays for name in play.rounds[0].benchmarks]
    found: dict[str, list[Metric]] = defaultdict(list)
    for entry in entries:
        numbers = {"u": entry.u, "g": entry.g, "gap": entry.gap, "joint": entry.joint, "guided": entry.g_guided}
        for name, metric in numbers.items():
            found[name] += [metric] if metric else []
    for history, name in results:
        result = history.result(0, name)
        found[_task(name)] += [headline(result)] if result else []
    known = {name: [one for one in metrics if one.value == one.value] for name, metrics in found.items()}
    source = f"measured ({', '.join(play.align_id for play in plays)})"
    values = {
        name: replace(averaged(metrics), signed=False, source=source) for name, metrics in known.items() if metrics
    }
    at = [guided_scale(play.history, entry) for play, entry in zip(plays, entries, strict=True) if entry.g_guided]
    return {
        "arm": Cell(text=f"{plays[0].history.model.name} (base model)", source=source),
        "round": Cell(text="0"),
        "seeds": Cell(float(len(plays))),
        **values,
        **({"gap": Cell(text=UNDEFINED)} if all(play.history.undefined for play in plays) else {}),
        "guidance": Cell(text=scales(scale for scale in at if scale is not None)),
    }


def _base_plays(arms: Arms) -> list[list[Play]]:
    """For each base model the first self-play of each seed that begins with it."""
    found: dict[tuple[str, str], dict[int, Play]] = defaultdict(dict)
    for play in (play for plays in arms.values() for play in plays):
        found[_model(play)].setdefault(play.seed, play)
    return [[plays[seed] for seed in sorted(plays)] for plays in found.values()]


def _model(play: Play) -> tuple[str, str]:
    return play.history.model.name, play.history.model.fingerprint


def _otherwise(arms: Arms) -> Iterator[str]:
    """Which arms have measured the base model otherwise than the row shows, such as on other scenes."""
    shown = {(_model(play), play.seed): play.history.rounds[0] for plays in _base_plays(arms) for play in plays}
    for arm, plays in arms.items():
        for play in plays:
            mine, first = play.history.rounds[0], shown[_model(play), play.seed]
            if (mine.u, mine.g) != (first.u, first.g):
                yield f"{arm} has measured the base model otherwise; its changes are from what it has measured."
                break


def _paired(found: Sequence[Reached]) -> list[str]:
    deltas = [one.delta for one in found if one.delta]
    return [paired_over(deltas)] if deltas else []


def _partial(arms: Arms) -> list[str]:
    names = [arm for arm, plays in arms.items() if any(play.history.partial for play in plays)]
    return [f"Evaluated on a part of the benchmark: {', '.join(names)}."] if names else []


def _uncounted(found: Iterable[Reached]) -> list[str]:
    names = [one.arm for one in found if one.round and None in one.compute.values()]
    return [f"Compute that an older version has not counted: {', '.join(names)}."] if names else []


def _benchmarks(arms: Arms) -> dict[str, int]:
    """The benchmarks beside the gap, in the order of columns, with their digits."""
    found = {
        name: digits(benchmark.result)
        for plays in arms.values()
        for play in plays
        for evaluation in play.rounds.values()
        for name, benchmark in evaluation.benchmarks.items()
    }
    order = {name: number for number, name in enumerate(PAPER)}
    return {name: found[name] for name in sorted(found, key=lambda name: (order.get(name, len(order)), place(name)))}


def _ways(arms: Arms) -> list[Way]:
    return [
        evaluation.guided.way
        for plays in arms.values()
        for play in plays
        for evaluation in play.rounds.values()
        if evaluation.guided
    ]


def _is_plain(found: Delta, name: str) -> bool:
    return name in found.benchmarks and not found.benchmarks[name].metric.groups


def _task(name: str) -> str:
    return f"task {name}"


def _last(plays: Sequence[Play]) -> int:
    """The last round that all of them have played; 0 where there is none."""
    return max(set.intersection(*(set(play.rounds) for play in plays)), default=0) if plays else 0


def _gaps(pair: tuple[Play, Play], number: int) -> tuple[tuple[dict[str, float], dict[str, float]], ...]:
    return tuple((play.rounds[0].gap, play.rounds[number].gap) for play in pair)


def _less(first: Mapping[str, float | None], second: Mapping[str, float | None]) -> dict[str, float | None]:
    """The second less the first, where both are known."""
    pairs = {name: (first[name], second[name]) for name in COMPUTE}
    return {name: None if a is None or b is None else b - a for name, (a, b) in pairs.items()}


def _mean(found: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """The means over seeds; None where one of them is not known."""
    columns = {name: [one[name] for one in found] for name in COMPUTE}
    means: dict[str, float | None] = {}
    for name, values in columns.items():
        known = [value for value in values if value is not None]
        means[name] = fmean(known) if known and len(known) == len(values) else None
    return means
