"""Joins the runs of one model to its rows: one row, and one more for each protocol, judge or data that differs."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hermes.harness.records.types import Metric, ModelInfo, Result
from hermes.harness.run.gap import GENERATION, UNDERSTANDING, benchmark_gap
from hermes.leaderboards.origins import Kind, Measured, Reader, homologous
from hermes.leaderboards.read import Run
from hermes.leaderboards.terms import Terms, headline
from hermes.leaderboards.titles import BENCHMARK_GAP, GAP, HOMOLOGOUS, JOINT, PHI


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
    entries: dict[str, Measured]
    repeats: tuple[Repeat, ...]

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def model(self) -> tuple[str, ModelInfo, int, str]:
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

    An entry's name is a task, a metric of it (`part`), or a gap. Runs are of one model where label, seed, settings
    and all of ModelInfo (weights, revision, precision, defaults) agree.
    """
    models: dict[object, list[Run]] = defaultdict(list)
    for run in runs:
        models[_model_of(run)].append(run)
    reader = Reader()
    found = [_lines(members, world, reader) for members in models.values()]
    found.sort(key=lambda lines: all(line.partial for line in lines))
    return [line for lines in found for line in lines]


def entries_of(run: Run, reader: Reader) -> dict[str, Measured]:
    """The numbers of one run by their names, as `joined` has them; the gap over benchmarks where it has one world."""
    worlds = {result.data.world for result in run.results.values()}
    found: dict[str, Measured] = {}
    for world in sorted(worlds):
        for measure in _measures(run, world):
            found |= _entries(measure, reader)
    across = _across(dict.fromkeys(run.results, run), {}, reader) if len(worlds) == 1 else None
    return found | ({BENCHMARK_GAP: across} if across else {})


def part(task: str, metric: str) -> str:
    """The name of the entry of a metric that is not the task's headline."""
    return f"{task}\n{metric}"


def _model_of(run: Run) -> tuple[str, ModelInfo, int, str]:
    return run.name, run.model, run.seed, run.settings


def _lines(runs: Sequence[Run], world: str, reader: Reader) -> list[Line]:
    """The rows of one model, those of the official protocol first. The run that measured most leads."""
    ordered = sorted(runs, key=lambda run: -sum(not result.partial for result in run.results.values()))
    asked = {run.protocol for run in runs}
    groups: dict[str, list[Measure]] = defaultdict(list)
    for run in ordered:
        for measure in _measures(run, world):
            groups[_protocol(measure, asked)].append(measure)
    lines: list[Line] = []
    for protocol in sorted(groups, key=lambda name: (name != "official", name)):
        lines += _rows(groups[protocol], protocol, lines[0].sources if lines else {}, reader)
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


def _rows(measures: Sequence[Measure], protocol: str, shared: Mapping[str, Run], reader: Reader) -> list[Line]:
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
    whole = {**shared, **{name: measure.run for name, measure in main.items()}}
    return [
        _line(
            members,
            protocol,
            aspects or tuple(dict.fromkeys(unlike)),
            whole if aspects else shared,
            [(one, other) for one, other in repeats if any(one is member for member in members)],
            reader,
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
    shared: Mapping[str, Run],
    repeats: Sequence[Repeat],
    reader: Reader,
) -> Line:
    """The row of these measurements; where two hold the same task the first counts."""
    sources: dict[str, Run] = {}
    entries: dict[str, Measured] = {}
    for measure in members:
        sources |= {name: measure.run for name in measure.results if name not in sources}
        entries = {**_entries(measure, reader), **entries}
    results = {name: run.results[name] for name, run in sources.items()}
    across = _across(sources, shared, reader)
    if across:
        entries[BENCHMARK_GAP] = across
    return Line(members[0].run, protocol, aspects, bool(shared), results, sources, entries, tuple(repeats))


def _entries(measure: Measure, reader: Reader) -> dict[str, Measured]:
    found = {}
    for name, result in measure.results.items():
        for metric in {result.headline: headline(result), **result.metrics}:
            category = "" if metric == result.headline else metric
            number = result.metrics.get(metric, headline(result))
            terms = (Terms.of(result, metric),)
            origin = Measured(reader, "task", number, result.partial, terms, {0: {name: measure.run}}, category)
            found[part(name, metric) if category else name] = origin
    paired = measure.run.gap.homologous
    if paired and set(measure.results) == set(HOMOLOGOUS):
        sides: dict[str, Kind] = {UNDERSTANDING: "u", GENERATION: "g", GAP: "gap"}
        for name, kind in sides.items():
            partial = found[name].partial if name in found else measure.partial
            found[name] = homologous(reader, kind, getattr(paired, kind), partial, {0: measure.run})
        same: dict[str, tuple[Kind, Metric | None]] = {JOINT: ("joint", paired.joint), PHI: ("phi", paired.phi)}
        for name, (side, together) in same.items():
            if together:
                found[name] = homologous(reader, side, together, measure.partial, {0: measure.run})
    return found


def _across(own: Mapping[str, Run], shared: Mapping[str, Run], reader: Reader) -> Measured | None:
    """The gap over benchmarks of a row and of what it shares with the rows before it.

    Partial results count where there is no gap without them, and mark it. None where the row itself adds nothing.
    """
    runs = {**shared, **own}
    results = {name: run.results[name] for name, run in runs.items()}
    full = {name: result for name, result in results.items() if not result.partial}
    for pool in (full, results):
        found = benchmark_gap(pool)
        if found and not {*found["understanding"], *found["generation"]}.isdisjoint(own):
            names = (*found["understanding"], *found["generation"])
            parts = [pool[name] for name in names]
            return Measured(
                reader,
                "across",
                found["gap"],
                any(one.partial for one in parts),
                tuple(Terms.of(one) for one in parts),
                {0: {name: runs[name] for name in names}},
                sides=(found["understanding"], found["generation"]),
            )
    return None
