"""The page of one evaluation: the gap as a picture, scores and categories as bars, and what the model drew."""

from collections.abc import Iterator
from dataclasses import replace

from hermes.harness.records.types import Metric, Result
from hermes.harness.run.gap import GENERATION
from hermes.leaderboards import html, pictures, plots
from hermes.leaderboards.agreement_table import agreement_table
from hermes.leaderboards.drawn import chosen
from hermes.leaderboards.evaluation_tables import also_scored, gaps, provenance, summary
from hermes.leaderboards.over_items import over_items
from hermes.leaderboards.parts import Section, bars, document, fold, folded_table, notes, number, scale, small
from hermes.leaderboards.plots import Gap
from hermes.leaderboards.read import Run
from hermes.leaderboards.titles import counted, digits, place, size, title

HUNDREDS = ("%", "x100")
WHISKER = "The whisker is the gap's 95 % interval, drawn from U."
BARS = (
    "Bars begin at 0 and end at the best score there is; whiskers are 95 % intervals, a dotted line is chance. "
    "Blue: understanding. Orange: generation."
)


def evaluation_page(heading: str, run: Run) -> str:
    """The page as HTML that needs nothing else."""
    table = summary(run)
    same = agreement_table(run)
    counts = replace(table, title="Counts, protocols and judges", notes=())
    sections = [
        Section("gap", "Gap between understanding (U) and generation (G)", _gap(run)),
        Section("same", same.title, html.table(same, intervals=True, heading=False) if same.rows else ""),
        Section("scores", "Scores", _scores(run) + notes((BARS, *table.notes)) if run.results else ""),
        Section("pictures", "What it drew", _pictures(run)),
        Section("categories", "By category", "".join(_categories(run))),
        folded_table(counts, "counts"),
        folded_table(also_scored(run), "also-scored"),
        folded_table(provenance(run), "provenance"),
    ]
    return document(heading, _facts(run), sections, pictures.STYLE)


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    parameters = f", {size(run.model.parameters)} parameters" if run.model.parameters else ""
    yield "Model", run.model.name + parameters
    yield "Data", f"{run.world}, {run.split}" + (f", the first {run.limit}" if run.limit else "")
    yield "Seed", str(run.seed)
    if run.settings:
        yield "Settings", run.settings
    yield "Run", run.run_id


def _gap(run: Run) -> str:
    found: list[tuple[str, str, Gap]] = []
    found += [
        (one.heading, counted(one.gap.items, "item"), Gap(one.gap.u, one.gap.g, one.gap.gap)) for one in over_items(run)
    ]
    if across := run.gap.benchmarks:
        found.append(("Benchmarks", "each brought to 0..1", Gap(across.u, across.g, across.gap)))
    if run.gap.undefined:
        return notes([f"The gap is undefined: the model {run.gap.undefined}."])
    if not found:
        return ""
    ends = plots.gap_range(gap for _, _, gap in found)
    rows = [
        (
            html.escape(name) + small(more),
            plots.gap_line(gap, ends) + sides(gap),
            number(gap.gap, 3, sign=True),
        )
        for name, more, gap in found
    ]
    table = gaps(run)
    return bars(("Over", scale(*ends, ".1f"), "Gap (U - G)"), rows) + notes((table.caption, WHISKER, *table.notes))


def sides(gap: Gap) -> str:
    """Both numbers with their signs."""
    u, g = f"{gap.u.value:.3f}", f"{gap.g.value:.3f}"
    return f'<span class="more">{plots.key("u")}U {u}{plots.key("g")}G {g}</span>'


def _scores(run: Run) -> str:
    rows = []
    for name, result in _in_order(run):
        metric = result.metrics.get(result.headline)
        if metric is None:
            continue
        label = html.escape(title(name)) + small(f"{result.headline}, {result.unit}")
        drawing = plots.bar(metric, max(result.best, metric.value), result.ability, _chance(result))
        of = f"{result.n} of {result.n_expected}, partial" if result.partial else f"n = {result.n}"
        rows.append((label, drawing, number(metric, digits(result)) + small(of)))
    return bars(("Benchmark", "", "Score"), rows)


def _categories(run: Run) -> Iterator[str]:
    """All metrics of each benchmark, closed until somebody wants them."""
    for name, result in _in_order(run):
        found = {key: metric for key, metric in result.metrics.items() if key != result.headline}
        if found:
            top = _top(result, list(found.values()))
            rows = [
                (_breaking(key), plots.bar(metric, top, result.ability), number(metric, digits(result)))
                for key, metric in found.items()
            ]
            body = bars(("Metric", scale(0, top), "Value"), rows)
            yield fold(f"<h3>{html.escape(title(name))}</h3>", body, f"{len(found)} numbers")


def _breaking(key: str) -> str:
    """The name of a metric, which may go on in the next line after each of its parts."""
    return html.escape(key).replace("/", "/<wbr>").replace("_", "_<wbr>")


def _in_order(run: Run) -> list[tuple[str, Result]]:
    return sorted(run.results.items(), key=lambda one: place(one[0]))


def _pictures(run: Run) -> str:
    shown = [
        f"<h3>{html.escape(_drawn(task))}</h3>\n{pictures.kinds(found, level=4)}"
        for task, found in sorted(chosen(run), key=lambda one: place(one[0]))
    ]
    rule = (
        "Those with the best scores, those with the worst, and a random pick. The run id seeds the pick and breaks "
        "ties. The number is the score, 0 to 1."
    )
    return notes([rule]) + "".join(shown) if shown else ""


def _drawn(task: str) -> str:
    return f"{title(task)}: homologous items" if task.partition("@")[0] == GENERATION else title(task)


def _top(result: Result, metrics: list[Metric]) -> float:
    """Where the bars of metrics beside the headline end: at the best there is, or at the largest of them."""
    known = 100.0 if result.unit in HUNDREDS else 1.0 if result.unit == "0..1" else 0.0
    return max([known, *(metric.value for metric in metrics if metric.value == metric.value)])


def _chance(result: Result) -> float:
    return result.chance if result.chance < result.best else 0.0
