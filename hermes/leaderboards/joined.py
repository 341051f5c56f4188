"""Joins the runs of one model to its rows: one row, and one more for each protocol, judge or data that differs."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hermes.harness.records.types import Metric, ModelInfo, Result
from hermes.harness.run.gap import GENERATION, UNDERSTANDING, benchmark_gap
from hermes.leaderboards.read import Run

HOMOLOGOUS = (UNDERSTANDING, GENERATION)
BENCHMARK_GAP, GAP = "gap over benchmarks", "gap"


@dataclass(frozen=True)
class Entry:
    """One number of a row; numbers may be ranked against each other only where ``terms`` are the same."""

    metric: Metric
    partial: bool
    terms: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Measure:
    """What a run measured in one piece: a task, or both homologous tasks with the gap over their common items."""

    run: Run
    results: dict[str, Result]

    @property
    def partial(self) -> bool:
        return any(result.partial for result in self.results.values())

    @property
    def numbers(self) -> dict[str, tuple[int, str]]:
        """For each task its n and its headline; as text, in which a number that is none equals itself."""
        return {name: (result.n, str(headline(result).value)) for name, result in self.results.items()}


Repeat = tuple[Measure, Measure]  # A measurement that is shown, and another one on the same terms.


@dataclass(frozen=True)
class Line:
    """One row of one world.

    ``aspects`` say how it differs from the model's other rows of the same protocol. ``rest`` is true where it holds
    only what differs from the rows before it. ``sources`` has the run that each of its results is from.
    """

    run: Run
    protocol: str
    aspects: tuple[str, ...]
    rest: bool
    results: dict[str, Result]
    sources: dict[str, Run]
    entries: dict[str, Entry]
    repeats: tuple[Repeat, ...]

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def model(self) -> tuple[str, ModelInfo, int]:
        """What the rows of one model have in common."""
        return _model_of(self.run)

    @property
    def run_ids(self) -> list[str]:
        """The runs that the row is joined from, those that measured the same once more included."""
        again = (other.run for one, other in self.repeats if not other.partial or _alike(one, other))
        return list(dict.fromkeys(run.run_id for run in (*self.sources.values(), *again)))

    @property
    def partial(self) -> bool:
        """Whether the row has no number of a full measurement."""
        return all(entry.partial for entry in self.entries.values())

    def displaced(self) -> list[Measure]:
        """Partial measurements that are not shown, because there is a fuller one on the same terms."""
        return [other for one, other in self.repeats if other.partial and not _alike(one, other)]

    def contradictions(self) -> list[Repeat]:
        """Full measurements on the same terms that came out differently."""
        return [(one, other) for one, other in self.repeats if not other.partial and not _alike(one, other)]


def joined(runs: Sequence[Run], world: str) -> list[Line]:
    """The rows of one world. Models come in the order of their runs, those without a full measurement last.

    Runs are of one model where label, seed and all of ModelInfo (weights, revision, precision, defaults) agree.
    """
    models: dict[object, list[Run]] = defaultdict(list)
    for run in runs:
        models[_model_of(run)].append(run)
    found = [_lines(members, world) for members in models.values()]
    found.sort(key=lambda lines: all(line.partial for line in lines))
    return [line for lines in found for line in lines]


def headline(result: Result) -> Metric:
    return result.metrics.get(result.headline, Metric(value=math.nan))


def _model_of(run: Run) -> tuple[str, ModelInfo, int]:
    return run.name, run.model, run.seed


def _lines(runs: Sequence[Run], world: str) -> list[Line]:
    """The rows of one model, those of the official protocol first. The run that measured most leads."""
    ordered = sorted(runs, key=lambda run: -sum(not result.partial for result in run.results.values()))
    asked = {run.protocol for run in runs}
    groups: dict[str, list[Measure]] = defaultdict(list)
    for run in ordered:
        for measure in _measures(run, world):
            groups[_protocol(measure, asked)].append(measure)
    lines: list[Line] = []
    for protocol in sorted(groups, key=lambda name: (name != "official", name)):
        lines += _rows(groups[protocol], protocol, lines[0].results if lines else {})
    return lines


def _measures(run: Run, world: str) -> Iterator[Measure]:
    """What a run measured in a world, the homologous tasks in one piece where it has their gap."""
    results = {name: result for name, result in run.results.items() if result.data.world == world}
    if run.gap.homologous and set(HOMOLOGOUS) <= set(results):
        yield Measure(run, {name: results.pop(name) for name in HOMOLOGOUS})
    yield from (Measure(run, {name: result}) for name, result in results.items())


def _protocol(measure: Measure, asked: set[str]) -> str:
    """The protocol whose row a measurement stands in.

    A task that lacks the protocol that was asked for falls back to its own: it then stands with those who asked for
    that one and, where nobody did, with the run that it is from.
    """
    used = [result.protocol for result in measure.results.values()]
    if measure.run.protocol in used:
        return measure.run.protocol
    return next((protocol for protocol in used if protocol in asked), measure.run.protocol)


def _rows(measures: Sequence[Measure], protocol: str, shared: Mapping[str, Result]) -> list[Line]:
    """A model's rows of one protocol: the first with all tasks, the others with what differs in judge or data."""
    kept, repeats = _once(measures)
    main: dict[str, Measure] = {}
    rows: dict[tuple[str, ...], list[Measure]] = {(): []}
    unlike: list[str] = []
    for measure in kept:
        both = [name for name in measure.results if name in main]
        aspects = dict.fromkeys(text for name in both for text in _differing(name, measure, main[name]))
        unlike += (text for name in both for text in _differing(name, main[name], measure))
        rows.setdefault(tuple(aspects), []).append(measure)
        if not aspects:
            main = dict.fromkeys(measure.results, measure) | main
    whole = {**shared, **{name: measure.results[name] for name, measure in main.items()}}
    return [
        _line(
            members,
            protocol,
            aspects or tuple(dict.fromkeys(unlike)),
            whole if aspects else shared,
            [(one, other) for one, other in repeats if any(one is member for member in members)],
        )
        for aspects, members in rows.items()
    ]


def _once(measures: Sequence[Measure]) -> tuple[list[Measure], list[Repeat]]:
    """Each measurement once: a full one before a partial one of the same data source, of partial ones the largest."""
    kept: list[Measure] = []
    repeats: list[Repeat] = []
    for measure in sorted(measures, key=_rank):
        one = next((one for one in kept if _covers(one, measure)), None)
        if one is None:
            kept.append(measure)
        else:
            repeats.append((one, measure))
    return kept, repeats


def _rank(measure: Measure) -> tuple[bool, int, int]:
    size = sum(result.n for result in measure.results.values())
    return measure.partial, -len(measure.results), -size if measure.partial else 0


def _covers(one: Measure, other: Measure) -> bool:
    return all(name in one.results and not _differing(name, other, one) for name in other.results)


def _alike(one: Measure, other: Measure) -> bool:
    return other.numbers.items() <= one.numbers.items()


def _differing(name: str, mine: Measure, theirs: Measure) -> list[str]:
    """In what a task was measured on other terms, in my words; a partial measurement is known by its data source."""
    a, b = mine.results[name], theirs.results[name]
    same_data = a.data.fingerprint == b.data.fingerprint or (
        (a.partial or b.partial) and (a.data.source, a.data.revision) == (b.data.source, b.data.revision)
    )
    said = {
        f"{a.protocol} protocol": a.protocol == b.protocol,
        f"judge {a.judge or 'none'}": a.judge == b.judge,
        f"data of {mine.run.run_id}": same_data,
        f"version {a.version}": a.version == b.version,
    }
    return [text for text, same in said.items() if not same]


def _line(
    members: Sequence[Measure],
    protocol: str,
    aspects: tuple[str, ...],
    shared: Mapping[str, Result],
    repeats: Sequence[Repeat],
) -> Line:
    """The row of these measurements; where two hold the same task the first counts."""
    sources: dict[str, Run] = {}
    entries: dict[str, Entry] = {}
    for measure in members:
        sources |= {name: measure.run for name in measure.results if name not in sources}
        entries |= {name: entry for name, entry in _entries(measure).items() if name not in entries}
    results = {name: run.results[name] for name, run in sources.items()}
    across = _across(results, shared)
    if across:
        entries[BENCHMARK_GAP] = across
    return Line(members[0].run, protocol, aspects, bool(shared), results, sources, entries, tuple(repeats))


def _entries(measure: Measure) -> dict[str, Entry]:
    found = {}
    for name, result in measure.results.items():
        terms = (result.version, result.protocol, result.judge or "", result.data.fingerprint, result.headline)
        metric = headline(result)
        found[name] = Entry(metric, result.partial, terms, f"measured (run {measure.run.run_id}, n = {metric.n})")
    paired = measure.run.gap.homologous
    if paired and set(measure.results) == set(HOMOLOGOUS):
        both = tuple(term for name in HOMOLOGOUS for term in found[name].terms)
        metrics = {UNDERSTANDING: paired.u, GENERATION: paired.g, GAP: paired.gap}
        for name, metric in metrics.items():
            source = f"measured (run {measure.run.run_id}, n = {metric.n})"
            one = found.get(name, Entry(metric, measure.partial, both, source))
            found[name] = Entry(metric, one.partial, one.terms, source)
    return found


def _across(own: Mapping[str, Result], shared: Mapping[str, Result]) -> Entry | None:
    """The gap over benchmarks of a row and of what it shares with the rows before it.

    Partial results count where there is no gap without them, and mark it. None where the row itself adds nothing.
    """
    results = {**shared, **own}
    full = {name: result for name, result in results.items() if not result.partial}
    for pool in (full, results):
        found = benchmark_gap(pool)
        if found and not {*found["understanding"], *found["generation"]}.isdisjoint(own):
            names = (*found["understanding"], *found["generation"])
            parts = [pool[name] for name in names]
            terms = (
                term for one in parts for term in (one.version, one.protocol, one.judge or "", one.data.fingerprint)
            )
            source = f"U over {', '.join(found['understanding'])}; G over {', '.join(found['generation'])}"
            return Entry(found["gap"], any(one.partial for one in parts), (*names, *terms), source)
    return None
