"""What a person sees at the end of a command: one readable table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hermes.harness.data.check import DataCheck
from hermes.harness.records.types import Metric, Result
from hermes.harness.system.screen import Screen
from hermes.harness.system.text import plain

if TYPE_CHECKING:
    from hermes.harness.questions.making import Made
    from hermes.harness.run.drawing import Drawn


LONGEST_EXAMPLE = 300


def number(metric: Metric | None, digits: int | None = None) -> str:
    """ "0.873 ± 0.012": the value with half the width of its 95 % interval."""
    if metric is None or metric.value != metric.value:
        return "-"
    digits = digits if digits is not None else (1 if abs(metric.value) >= 10 else 3)
    if metric.low is None or metric.high is None:
        return f"{metric.value:.{digits}f}"
    return f"{metric.value:.{digits}f} ± {(metric.high - metric.low) / 2:.{digits}f}"


def eval_summary(content: Mapping[str, Any]) -> Group:
    """The table of an eval: each benchmark's headline with its interval, counts by status, and both gaps."""
    model = content["model"]
    title = f"{content['label'] or model.name}  ({content['world']} world, run {content['run_id']})"
    table = Table(title=title)
    for name, justify in (("benchmark", "left"), ("metric", "left"), ("score", "right"), ("n", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name in ("unparsed", "errors"):
        table.add_column(name, justify="right")
    results: Mapping[str, Result] = content["results"]
    for ability in ("understanding", "generation"):
        for name, result in results.items():
            if result.ability == ability:
                n = f"{result.n}" + (f" of {result.n_expected}, partial" if result.partial else "")
                table.add_row(
                    name,
                    f"{result.headline}, {result.unit}",
                    number(result.metrics.get(result.headline)),
                    n,
                    str(result.counts["unparsed"]),
                    str(result.counts["error"]),
                    end_section=False,
                )
        table.add_section()
    return Group(table, *gap_lines(content["gap"]))


def answers(drawn: "Mapping[str, Drawn]") -> str:
    """How many answers the model was asked for, and how many were there from earlier runs."""
    asked, reused = (sum(getattr(one, what) for one in drawn.values()) for what in ("asked", "reused"))
    return f"answers: {asked} asked, {reused} reused"


def metrics(result: Result) -> Table:
    """Every metric of one result with its interval."""
    table = Table(title=f"{result.evaluator}, {result.protocol} protocol ({result.unit})")
    for name, justify in (("metric", "left"), ("value", "right"), ("n", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, metric in result.metrics.items():
        table.add_row(name, number(metric), str(metric.n))
    return table


def data_check(found: DataCheck) -> tuple[Table | Text, ...]:
    """What a data set holds, what is wrong with it, and the verdict."""
    table = Table(title=f"{found.task} from {found.source}", show_header=False)
    table.add_column("what")
    table.add_column("found", overflow="fold")
    expected = f" of {found.n_expected} expected" if found.n_expected else ""
    images = "not looked at" if found.images is None else f"{found.images} decoded" if found.images else "none"
    facts = {"rows": str(found.rows), "samples": f"{found.n}{expected}", "columns": ", ".join(found.columns)}
    for what, value in (facts | {"images": images, "fingerprint": found.fingerprint or "-"}).items():
        table.add_row(what, value)
    if found.ok:
        return table, Text("all is well", style="bold")
    problems = Table(title="problems")
    problems.add_column("what is wrong")
    problems.add_column("times", justify="right")
    problems.add_column("first ones", overflow="fold")
    for problem in found.problems:
        problems.add_row(
            problem.kind, str(problem.count), "\n".join(plain(one, longest=LONGEST_EXAMPLE) for one in problem.examples)
        )
    return table, problems, Text(f"{sum(problem.count for problem in found.problems)} problems", style="bold")


def made_questions(made: "Made") -> Table:
    """How many captions have questions, and why the others have none."""
    table = Table("what", "found", title="questions", show_header=False)
    table.columns[1].overflow = "fold"
    table.add_row("captions with questions", f"{made.asked} of {made.captions}")
    table.add_row("questions", f"{made.questions} kept, {made.malformed} unusable, {made.filtered} filtered out")
    for reason, ids in made.without.items():
        table.add_row("none", f"{len(ids)}: {reason}; first: {', '.join(ids[:3])}")
    reasons = Counter(made.failed.values())
    for reason, count in reasons.items():
        table.add_row("failed, asked again next time", f"{count}: {reason}")
    return table


def gap_lines(gap: Mapping[str, Any]) -> list[Text]:
    """Both gaps in a line each, with U, G and the intervals."""
    lines = []
    for key, title in (("homologous", "gap over homologous items"), ("benchmarks", "gap over benchmarks (0..1)")):
        found = gap.get(key)
        if found:
            lines.append(_gap_line(title, found))
    for name, found in (gap.get("variants") or {}).items():
        if found:
            lines.append(_gap_line(f"gap with {name}", found))
    return lines


def _gap_line(title: str, found: Mapping[str, Any]) -> Text:
    u, g, gap = (number(found[key], 3) for key in ("u", "g", "gap"))
    return Text(f"{title}: U {u}   G {g}   ").append(f"U - G {gap}", style="bold")


def profile(seconds: Mapping[str, float], peak_mb: float) -> Table:
    """Where the time went, longest first."""
    table = Table(title=f"profile (peak memory {peak_mb:.0f} MiB)")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    total = sum(seconds.values()) or 1.0
    for name, value in sorted(seconds.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{value:.2f}", f"{100 * value / total:.0f} %")
    table.add_row("all", f"{total:.2f}", "100 %")
    return table


def align_summary(rounds: Sequence[Mapping[str, Any]], title: str) -> Table:
    """The table of a self-play: U, G and the gap of every round."""
    table = Table(title=title)
    for name in ("round", "U", "G", "gap", "G guided", "pairs"):
        table.add_column(name, justify="left" if name == "round" else "right")
    for entry in rounds:
        cells = (entry[key] for key in ("u", "g", "gap", "g_guided"))
        table.add_row(
            str(entry["round"]) + (" (base)" if entry["round"] == 0 else ""),
            *(number(_metric(cell), 3) for cell in cells),
            str(entry["pairs"]) if entry["round"] else "-",
        )
    return table


def _metric(cell: Mapping[str, Any] | None) -> Metric | None:
    """A metric as JSON holds it, where NaN is null."""
    return Metric.model_validate(cell) if cell and cell["value"] is not None else None


def show(*parts: Any) -> None:
    """Print to stdout; wide enough to read when it is not a terminal."""
    screen = Screen()
    if not screen.is_terminal:
        screen = Screen(width=120)
    for part in parts:
        screen.print(part, soft_wrap=isinstance(part, str))
