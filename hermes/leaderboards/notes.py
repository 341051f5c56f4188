"""What a reader must know of the rows of a leaderboard: their labels, and the notes below the table."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from hermes.harness.run.gap import GENERATION
from hermes.leaderboards.agreement_table import TOLD, yes_rates
from hermes.leaderboards.joined import Line
from hermes.leaderboards.remarks import remarks
from hermes.leaderboards.terms import headline
from hermes.leaderboards.titles import JOINT, SAME, place, title


def labels(lines: Sequence[Line]) -> list[str]:
    """Row labels; in brackets what tells a row from the others of its name, and any protocol but the official one."""
    mixed = len({line.protocol for line in lines}) > 1
    found = []
    for line in lines:
        same = [other for other in lines if other.name == line.name]
        more = [text for text, others in _identity(line, same).items() if text and len(others) > 1]
        if len({other.protocol for other in same}) > 1 or (mixed and line.protocol != "official"):
            more.append(f"{line.protocol} protocol")
        more += line.aspects
        found.append(line.name + (f" ({', '.join(more)})" if more else ""))
    return [
        label if found.count(label) == 1 else f"{label} ({', '.join(line.run_ids)})"
        for line, label in zip(lines, found, strict=True)
    ]


def _identity(line: Line, same: Sequence[Line]) -> dict[str, set[object]]:
    """What may tell models of one name apart, and all that it is among them; weights where the revision does not.

    Settings that nobody has named have no text.

    The fingerprint of answers from files is that of the answers: their run id says as much.
    """
    model, run_id = line.run.model, line.run.run_id
    weights = run_id if run_id.startswith("files-") else f"weights {model.fingerprint[:12]}"
    revision = [other for other in same if other.run.model.revision == model.revision]
    return {
        f"revision {model.revision or 'none'}": {other.run.model.revision for other in same},
        weights: {other.run.model.fingerprint for other in revision},
        model.dtype: {other.run.model.dtype for other in same},
        f"seed {line.run.seed}": {other.run.seed for other in same},
        f"settings {line.run.settings}" if line.run.settings else "": {other.run.settings for other in same},
    }


def notes_of(lines: Sequence[Line], names: Collection[str]) -> list[str]:
    """What of the rows is partial, failed or contradicted, and where data differ, in the tasks of these names."""
    notes = [note for line in lines for note in (*_incomplete(line, names), *_contradicted(line, names))]
    if any(line.rest for line in lines):
        notes.append(
            "Where a model has several rows for one seed, those after the first hold what differs from it; their "
            "benchmark gap takes the rest from the first."
        )
    if any(key in names and key in line.entries for line in lines for key in SAME):
        notes.append(f"{TOLD}.")
    lacking = {line.name: line.run.gap.undefined for line in lines if line.run.gap.undefined}
    if lacking:
        told = "; ".join(f"{name} {lacks}" for name, lacks in lacking.items())
        notes.append(f"The gap of a model of one side is undefined: {told}.")
    return notes + list(dict.fromkeys(note for line in lines for note in _data(line, lines, names)))


def sources_of(lines: Sequence[Line], called: Mapping[int, str], names: Collection[str]) -> list[str]:
    """Which runs the rows are from, who judged their images, their settings, what is unparsed or left out, and remarks.

    ``called`` has the labels of the lines by their id().
    """
    runs = (f"{called[id(line)]} ({', '.join([*line.run_ids, *_judges(line), *_settings(line)])})" for line in lines)
    return [
        f"Measured: {'; '.join(runs)}.",
        *_yes(lines, called, names),
        *(text for line in lines for text in _remarked(line, names)),
    ]


def _yes(lines: Sequence[Line], called: Mapping[int, str], names: Collection[str]) -> Iterator[str]:
    """How often yes is right and was said in the rows that have J: always to say yes is no understanding."""
    for line in lines if JOINT in names else ():
        said = yes_rates(line.results, GENERATION) if JOINT in line.entries else ""
        if said:
            yield f"{called[id(line)]}, {said}."


def _judges(line: Line) -> list[str]:
    found = dict.fromkeys(result.judge for result in line.results.values() if result.judge)
    return [f"judge {judge}" for judge in found]


def _settings(line: Line) -> list[str]:
    return [f"settings: {line.run.settings}"] if line.run.settings else []


def _incomplete(line: Line, names: Collection[str]) -> Iterator[str]:
    results = {name: result for name, result in line.results.items() if name in names}
    short = {name: f"{result.n} of {result.n_expected}" for name, result in results.items() if result.partial}
    yield from _by_run(line, short, "partial and not ranked")
    failed = {name: str(count) for name, result in results.items() if (count := result.counts.get("error", 0))}
    yield from _by_run(line, failed, "errors")


def _remarked(line: Line, names: Collection[str]) -> Iterator[str]:
    results = {name: line.results[name] for name in sorted(line.results, key=place) if name in names}
    counted = {name: str(count) for name, result in results.items() if (count := result.counts.get("unparsed", 0))}
    yield from _by_run(line, counted, "unparsed")
    for name, result in results.items():
        for remark in remarks(result):
            yield f"{line.name} ({line.sources[name].run_id}), {title(name)}: {remark}."
    yield from _left_out(line, names)


def _by_run(line: Line, said: Mapping[str, str], what: str) -> Iterator[str]:
    """One note for each run of the row: ``tiny (id), unparsed: POPE 7, MME 2.``"""
    runs: dict[str, list[str]] = {}
    for name in sorted(said, key=place):
        runs.setdefault(line.sources[name].run_id, []).append(f"{title(name)} {said[name]}")
    return (f"{line.name} ({run_id}), {what}: {', '.join(texts)}." for run_id, texts in runs.items())


def _left_out(line: Line, names: Collection[str]) -> Iterator[str]:
    displaced: dict[str, list[str]] = {}
    for measure in line.displaced():
        for name, result in measure.results.items():
            if name in names:
                text = f"{title(name)} {result.n} of {result.n_expected}"
                displaced.setdefault(measure.run.run_id, []).append(text)
    for run_id, texts in displaced.items():
        yield f"{line.name} ({run_id}), partial and not shown beside a fuller one: {', '.join(texts)}."


def _contradicted(line: Line, names: Collection[str]) -> Iterator[str]:
    for one, other in line.contradictions():
        for name, result in other.results.items():
            if name not in names:
                continue
            shown, there = headline(one.results[name]).value, headline(result).value
            yield (
                f"{line.name}: {title(name)} is {shown:.4g} in {one.run.run_id} (shown) and {there:.4g} in "
                f"{other.run.run_id} on the same terms."
            )


def _data(line: Line, lines: Sequence[Line], names: Collection[str]) -> Iterator[str]:
    """Which data the rows of one model stand on where they differ."""
    mine = [other for other in lines if other.model == line.model]
    for name in sorted(line.results.keys() & set(names), key=place):
        seen: dict[str, str] = {}
        for other in mine:
            if name in other.results:
                data, run = other.results[name].data, other.sources[name]
                source = data.source + (f" @ {data.revision}" if data.revision else "")
                seen.setdefault(data.fingerprint, f"{source}, fingerprint {data.fingerprint} ({run.run_id})")
        if len(seen) > 1:
            yield f"{line.name} has {title(name)} on {len(seen)} sets of data: {'; '.join(seen.values())}."
