"""The tables of one evaluation: scores, counts, gaps, all metrics and where they come from."""

from collections.abc import Iterator

from hermes.harness.run.environments import changed, environments
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.agreement_table import agreement_table
from hermes.leaderboards.over_items import over_items
from hermes.leaderboards.provenance import cell_of, facts_table, machine_facts, model_facts
from hermes.leaderboards.read import RESULTS, SCORED, Run, read_run
from hermes.leaderboards.remarks import reasons, remarks
from hermes.leaderboards.tables import Cell, Column, Table, text_column
from hermes.leaderboards.titles import digits, title


def evaluation_tables(run: Run) -> list[Table]:
    """Those that have rows."""
    tables = [summary(run), also_scored(run), gaps(run), agreement_table(run), all_metrics(run), provenance(run)]
    return [table for table in tables if table.rows]


def summary(run: Run) -> Table:
    """Each benchmark's headline and how many answers it is made of; the notes are what a reader must know of them."""
    rows = []
    for name, result in run.results.items():
        metric = result.metrics.get(result.headline)
        label = title(name) + (" (partial)" if result.partial else "")
        counts = [Cell(float(result.counts.get(status, 0))) for status in ("scored", "unparsed", "error")]
        texts = [Cell(text=text) for text in (f"{result.headline}, {result.unit}", result.protocol, result.judge or "")]
        measured = cell_of(metric, digits(result), run)
        rows.append((Cell(text=label), *texts, measured, Cell(result.n), Cell(result.n_expected), *counts))
    counted = [Column(name, 0, None) for name in ("n", "Expected", "Scored", "Unparsed", "Errors")]
    return Table(
        title="Scores",
        columns=(*map(text_column, ("Benchmark", "Metric", "Protocol", "Judge")), Column("Score"), *counted),
        rows=tuple(rows),
        caption="Score with its 95 % interval. Unparsed answers count as their protocol says, mostly as wrong; "
        "errors are in no mean. A score that lacks a part of its n is partial and ranks nowhere.",
        notes=tuple(
            f"{title(name)}: {one}."
            for name, result in run.results.items()
            for one in (*remarks(result), *reasons(result))
        ),
    )


def also_scored(run: Run) -> Table:
    """What the runs beside this one made of the same answers, under another protocol or judge."""
    rows = []
    for other in _beside(run):
        for name, result in other.results.items():
            mine = run.results.get(name)
            if (
                mine
                and (mine.data.fingerprint, mine.version) == (result.data.fingerprint, result.version)
                and (mine.protocol, mine.judge) != (result.protocol, result.judge)
            ):
                texts = [Cell(text=text) for text in (title(name), result.protocol, result.judge or "")]
                number = cell_of(result.metrics.get(result.headline), digits(result), other)
                rows.append((*texts, number, Cell(result.n), Cell(text=other.run_id)))
    return Table(
        title="Also scored",
        columns=(
            *map(text_column, ("Benchmark", "Protocol", "Judge")),
            Column("Score"),
            Column("n", 0, None),
            text_column("Run"),
        ),
        rows=tuple(rows),
        caption="The same answers under other protocols and judges, by the runs beside this one.",
    )


def _beside(run: Run) -> Iterator[Run]:
    """The runs of the same model, seed and settings beside it, scored from its answers, or that which it comes from.

    One that cannot be read is passed over.
    """
    home = run.path.resolve()
    found = [*home.parent.glob(f"*/{RESULTS}"), *home.glob(f"{SCORED}/*/{RESULTS}")]
    if home.parent.name == SCORED and (home.parent.parent / RESULTS).is_file():
        found.append(home.parent.parent / RESULTS)
    for path in sorted(found):
        if path.parent != home:
            try:
                other = read_run(path)
            except HermesError:
                continue
            if (other.model, other.seed, other.settings) == (run.model, run.seed, run.settings):
                yield other


def gaps(run: Run) -> Table:
    """U, G and U - G over homologous items, under each guidance, over Unison's items, and over benchmarks."""
    rows = [
        (Cell(text=over), *(cell_of(metric, 3, run) for metric in (found.u, found.g, found.gap)), Cell(found.items))
        for over, _, found in over_items(run)
    ]
    notes = [f"Undefined: the model {run.gap.undefined}."] if run.gap.undefined else []
    rows += [(Cell(text="undefined"), *[Cell()] * 4)] if run.gap.undefined else []
    if across := run.gap.benchmarks:
        cells = [cell_of(metric, 3, run) for metric in (across.u, across.g, across.gap)]
        rows.append((Cell(text="benchmarks, each brought to 0..1"), *cells, Cell()))
        sides = (", ".join(map(title, side)) for side in (across.understanding, across.generation))
        notes.append("Benchmarks: U is the mean of {}; G the mean of {}.".format(*sides))
    return Table(
        title="Gap between understanding (U) and generation (G)",
        columns=(text_column("Over"), Column("U", 3), Column("G", 3), Column("Gap (U - G)", 3), Column("Items", 0)),
        rows=tuple(rows),
        caption="Over items: the same questions about the real and about the generated image; the interval is paired.",
        notes=tuple(notes),
    )


def all_metrics(run: Run) -> Table:
    """Every number of every benchmark."""
    rows = tuple(
        (Cell(text=title(name)), Cell(text=key), cell_of(metric, digits(result), run), Cell(metric.n))
        for name, result in run.results.items()
        for key, metric in result.metrics.items()
    )
    columns = (text_column("Benchmark"), text_column("Metric"), Column("Value"), Column("n", 0))
    return Table("All metrics", columns, rows)


def provenance(run: Run) -> Table:
    """The model, the data and the machine."""
    facts = [("run id", run.run_id), *model_facts(run.model), ("world", run.world), ("split", run.split)]
    facts += [("seed", str(run.seed)), ("limit", str(run.limit or "none")), ("protocol", run.protocol or "official")]
    facts += [("chosen", run.chosen)] if run.chosen else []
    facts += [("settings", run.settings)] if run.settings else []
    for name, result in run.results.items():
        data = result.data
        revision = f" @ {data.revision}" if data.revision else ""
        text = f"{data.source}{revision}, fingerprint {data.fingerprint}, {data.n} of {data.n_expected} samples"
        facts.append((title(name), f"version {result.version}, {result.protocol} protocol; {text}"))
    starts = environments(run.path)
    changes = starts[-1].get("changes", changed(starts)) if starts else []
    return facts_table([*facts, *machine_facts(starts)], changes)
