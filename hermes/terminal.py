"""What a person sees at the end of a command: one readable table."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from hermes.harness.data.check import DataCheck
from hermes.harness.models.room import sized
from hermes.harness.records.agreement import undefined_phi
from hermes.harness.records.types import Metric, Result
from hermes.harness.run.failing import told
from hermes.harness.run.gap import GENERATION
from hermes.harness.system.pace import clock_time
from hermes.harness.system.screen import Screen
from hermes.harness.system.text import plain
from hermes.leaderboards.agreement_table import yes_rates
from hermes.leaderboards.gallery import FAILED
from hermes.leaderboards.guidance import way_of
from hermes.leaderboards.read import History
from hermes.leaderboards.remarks import reasons, remarks
from hermes.leaderboards.tables import spelled
from hermes.leaderboards.titles import UNDEFINED, digits, title

if TYPE_CHECKING:
    from hermes.align.play.forecast import PlayForecast
    from hermes.align.play.workplan import WorkPlan
    from hermes.harness.questions.making import Made
    from hermes.harness.run.drawing import Drawn
    from hermes.harness.run.forecast import Forecast
    from hermes.harness.run.judge_check import Checked


LONGEST_EXAMPLE = 300
LONGEST_ASKED, SHOWN_ASKED = 100, 5
# Without lines between columns seven of them fit into 80 characters.
LEAN: dict[str, Any] = {"box": box.HORIZONTALS, "padding": (0, 0, 0, 1), "pad_edge": False, "show_edge": False}
FRACTION = "0..1"  # A unit that a number shows by itself.
WIDEST = 16  # Characters of a column of numbers.
UNUSABLE = {"unparsed": "unparsed", "error": "errors"}


def number(metric: Metric | None, digits: int = 3) -> str:
    """ "0.873 [0.861, 0.884]": the value with its 95 % interval."""
    return "-" if metric is None or metric.value != metric.value else spelled(metric, digits)


def eval_summary(content: Mapping[str, Any]) -> Group:
    """The table of an eval: each benchmark's headline with its interval, counts by status, and both gaps."""
    model = content["model"]
    heading = f"{content['label'] or model.name}  ({content['world']} world, run {content['run_id']})"
    table = Table(title=heading, **LEAN)
    for name in ("benchmark", "metric"):
        table.add_column(name, overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    for name in ("n", "unparsed", "errors"):
        table.add_column(name, justify="right")
    results: Mapping[str, Result] = content["results"]
    for ability in ("understanding", "generation"):
        for name, result in results.items():
            if result.ability == ability:
                n = f"{result.n}" + (f" of {result.n_expected}" if result.partial else "")
                table.add_row(
                    title(name),
                    result.headline + (f", {result.unit}" if result.unit != FRACTION else ""),
                    number(result.metrics.get(result.headline), digits(result)),
                    n,
                    str(result.counts["unparsed"]),
                    str(result.counts["error"]),
                    end_section=False,
                )
        table.add_section()
    said = [Text(f"{name}: {one}") for name, result in results.items() for one in (*remarks(result), *reasons(result))]
    partial = [title(name) for name, result in results.items() if result.partial]
    some = [Text(f"partial: only some answers of {', '.join(partial)}")] if partial else []
    return Group(table, *some, *said, *gap_lines(content["gap"], content["results"]))


def answers(drawn: "Mapping[str, Drawn]") -> str:
    """How many answers the model was asked for, and how many were there from earlier runs."""
    asked, reused = (sum(getattr(one, what) for one in drawn.values()) for what in ("asked", "reused"))
    return f"answers: {asked} asked, {reused} reused"


def metrics(result: Result) -> Table:
    """Every metric of one result with its interval."""
    table = Table(title=f"{result.evaluator}, {result.protocol} protocol ({result.unit})", **LEAN)
    for name, justify in (("metric", "left"), ("value", "right"), ("n", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, metric in result.metrics.items():
        table.add_row(name, number(metric, digits(result)), str(metric.n))
    return table


def data_check(found: DataCheck) -> tuple[Table | Text, ...]:
    """What a data set holds, what is wrong with it, and the verdict."""
    table = Table(title=f"{found.task} from {found.source}", show_header=False, **LEAN)
    table.add_column("what")
    table.add_column("found", overflow="fold")
    expected = f" of {found.n_expected} expected" if found.n_expected else ""
    images = "not looked at" if found.images is None else f"{found.images} decoded" if found.images else "none"
    if found.changed:
        images += f" ({', '.join(f'{count} {change}' for change, count in found.changed.items())})"
    facts = {"rows": str(found.rows), "samples": f"{found.n}{expected}", "columns": ", ".join(found.columns)}
    for what, value in (facts | {"images": images, "fingerprint": found.fingerprint or "-"}).items():
        table.add_row(what, value)
    if found.ok:
        return table, Text("all is well", style="bold")
    problems = Table(title="problems", **LEAN)
    problems.add_column("what is wrong")
    problems.add_column("times", justify="right")
    problems.add_column("first ones", overflow="fold")
    for problem in found.problems:
        problems.add_row(
            problem.kind, str(problem.count), "\n".join(plain(one, longest=LONGEST_EXAMPLE) for one in problem.examples)
        )
    total = sum(problem.count for problem in found.problems)
    return table, problems, Text(f"{total} problem{'s' * (total != 1)}", style="bold")


def made_questions(made: "Made") -> Table:
    """How many captions have questions, and why the others have none."""
    table = Table("what", "found", title="questions", show_header=False, **LEAN)
    table.columns[1].overflow = "fold"
    table.add_row("captions with questions", f"{made.asked} of {made.captions}")
    table.add_row("questions", f"{made.questions} kept, {made.malformed} unusable, {made.filtered} filtered out")
    for reason, ids in made.without.items():
        table.add_row("none", f"{len(ids)}: {reason}; first: {', '.join(ids[:3])}")
    reasons = Counter(made.failed.values())
    for reason, count in reasons.items():
        table.add_row("failed, asked again next time", f"{count}: {reason}")
    return table


def gap_lines(gap: Mapping[str, Any], results: Mapping[str, Result]) -> list[Text]:
    """Both gaps in two lines each, with U, G and the intervals, and how the questions' two sides go along.

    Of a model of one side why there is none.
    """
    lines: list[Text] = []
    if why := gap.get("undefined"):
        lines += map(Text, _undefined(why))
    for key, heading in (("homologous", "gap over homologous items"), ("benchmarks", "gap over benchmarks (0..1)")):
        found = gap.get(key)
        if found:
            lines += _gap_lines(heading, found)
            lines += _yes_lines(results) if "joint" in found else []
    for name, found in (gap.get("variants") or {}).items():
        if found:
            lines += _gap_lines(f"gap with {title(name)}", found)
    for name, found in (gap.get("unison") or {}).items():
        lines += _gap_lines(f"gap over Unison's items, {title(name)}", found)
        lines.append(Text(f"  Uni {number(found['unified'])}"))
    for name, found in (gap.get("self_rejection") or {}).items():
        lines += _rejection_lines(title(name), found)
    return lines


def _gap_lines(heading: str, found: Mapping[str, Any]) -> list[Text]:
    u, g, gap = (number(found[key]) for key in ("u", "g", "gap"))
    lines = [Text(f"{heading}:"), Text(f"  U {u}  G {g}  ").append(f"U - G {gap}", style="bold")]
    if "joint" in found:
        lines.append(Text(f"  J (joint success) {number(found['joint'])}  phi {number(found['phi'])}"))
        if found["ratio"] is not None:
            lines.append(Text(f"  J is {found['ratio']:.2f} times what independent sides would have"))
        if why := undefined_phi(**found["counts"]):
            lines.append(Text(f"  phi is undefined: {why}"))
    return lines


def _yes_lines(results: Mapping[str, Result]) -> list[Text]:
    """How often yes is right and was said: where it is mostly right, a model that always says it has both sides."""
    said = yes_rates(results, GENERATION)
    return [Text(f"  {said}")] if said else []


def _rejection_lines(heading: str, found: Mapping[str, Any]) -> list[Text]:
    """How many of its own pictures the model rejects, and what the judge of the same pictures says of these."""
    rejected = found["rejected_wrong"] + found["rejected_right"]
    lines = [Text(f"{heading}: the model rejects {rejected} of {found['pictures']} pictures of its own")]
    for key, said in (
        ("confirmed", f"of those {found['judge']} finds wrong, too (drawn wrongly)"),
        ("missed", f"of the pictures that {found['judge']} finds wrong the model accepts (judged wrongly)"),
    ):
        if found[key] is not None:
            lines.append(Text("  ").append(number(found[key]), style="bold").append(f" {said}"))
    return lines


def judge_check(found: "Checked") -> tuple[Table | str, ...]:
    """How far a judge agrees with what is known, over all and by category, and some of what it said otherwise."""
    table = Table(title=f"judge {found.judge} against {found.against}", **LEAN)
    table.add_column("category")
    for name in ("n", "agreement", "false accept", "false reject", "kappa"):
        table.add_column(name, justify="right", max_width=WIDEST)
    parts = found.categories if len(found.categories) > 1 else {}
    for name, one in {"all": found.overall, **parts}.items():
        shares = (
            number(share).replace(" [", "\n[") if share else "-" for share in (one.false_accept, one.false_reject)
        )
        kappa = "-" if one.kappa is None else f"{one.kappa:.3f}"
        table.add_row(name, f"{one.n:,}", number(one.agreement).replace(" [", "\n["), *shares, kappa)
    told = f"{found.pictures:,} pictures of {found.task}"
    told += f"; {found.overall.unreadable:,} replies cannot be read" if found.overall.unreadable else ""
    told += f"; {found.failed:,} pictures could not be judged" if found.failed else ""
    examples = (
        f"{one.sample}/{one.index} {one.category}: {plain(one.asked, longest=LONGEST_ASKED)} {one.known}, not "
        f"{one.said or 'to be read'}"
        for one in found.disagreements[:SHOWN_ASKED]
    )
    return table, told, *examples


def profile(seconds: Mapping[str, float], peak_mb: float) -> Table:
    """Where the time went, longest first."""
    table = Table(title=f"profile (peak memory {peak_mb:.0f} MiB)", **LEAN)
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    total = sum(seconds.values()) or 1.0
    for name, value in sorted(seconds.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{value:.2f}", f"{100 * value / total:.0f} %")
    table.add_row("all", f"{total:.2f}", "100 %")
    return table


def align_summary(history: History, heading: str) -> Group:
    """The table of a self-play: U, G and the gap of every round, each over its 95 % interval, and pairs over ties.

    Below it stand how many answers that is, what of them could not be used, and why candidates could not be made.
    """
    sides, way = {"u": "U", "g": "G", "gap": "Gap (U - G)"}, way_of(history)
    if any(entry.g_guided for entry in history.rounds):
        sides["g_guided"] = way.title
    table = Table(title=heading, caption=history.precision, **LEAN)
    table.add_column("round")
    for name in (*sides.values(), "pairs"):
        table.add_column(name, justify="right", max_width=WIDEST)
    for entry in history.rounds:
        cells = {key: number(getattr(entry, key)).replace(" [", "\n[") for key in sides}
        if way.among and entry.g_guided:
            cells["g_guided"] += f"\nat guidance {entry.guidance:g}"
        table.add_row(
            str(entry.round) if entry.round else "base",
            *(cells | ({"gap": UNDEFINED} if history.undefined else {})).values(),
            f"{entry.pairs}\n{_ties(entry.drops)}" if entry.round else "-",
        )
    said = [
        f"round {entry.round}: {one}"
        for entry in history.rounds
        for one in told(entry.failures, entry.drops.get(FAILED, 0))
    ]
    said = [*([way.said] if way.said and "g_guided" in sides else []), *said]
    return Group(table, *_same(history), *map(Text, (*_undefined(history.undefined), *_counted(history), *said)))


def _same(history: History) -> Iterator[Table]:
    """J and phi of every round that has them."""
    rounds = [entry for entry in history.rounds if entry.joint]
    if rounds:
        table = Table(title="the same questions on both sides", **LEAN)
        for name, justify in (("round", "left"), ("J, right on both", "right"), ("phi", "right")):
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        for entry in rounds:
            table.add_row(str(entry.round) if entry.round else "base", number(entry.joint), number(entry.phi))
        yield table


def _counted(history: History) -> Iterator[str]:
    """How many answers the rounds are measured on, once where it is the same in all, and which of them are unusable."""
    lines: dict[str, list[str]] = {}
    for number, evaluation in history.evaluations.items():
        counts = ", ".join(
            f"{title(name)} {result.n}" + (f" of {result.n_expected}" if result.partial else "")
            for name, result in evaluation.results.items()
        )
        lines.setdefault(f"{'n (partial)' if evaluation.partial else 'n'}: {counts}", []).append(_named(number))
    for line, rounds in lines.items():
        yield line if len(lines) == 1 else f"{', '.join(rounds)}: {line}"
    for number, evaluation in history.evaluations.items():
        for name, result in evaluation.results.items():
            if unusable := [f"{result.counts[what]} {said}" for what, said in UNUSABLE.items() if result.counts[what]]:
                yield f"{_named(number)}: {title(name)} has {' and '.join(unusable)}"


def _named(number: int) -> str:
    return f"round {number}" if number else "base"


def _ties(drops: Mapping[str, int]) -> str:
    count = sum(count for reason, count in drops.items() if reason.endswith(": tie"))
    return "1 tie" if count == 1 else f"{count} ties"


def eval_forecast(found: "Forecast") -> Group:
    """What a run would do, and what it takes as far as that is known."""
    table = Table(title=f"dry run of {found.model} on {found.device}", **LEAN)
    for name in ("task", "data", "judge"):
        table.add_column(name, overflow="fold")
    for name in ("answers", "stored", "time", "disk"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.tasks:
        table.add_row(one.name, one.data, one.judge or "-", *_taken(one.answers, one.stored, one.seconds, one.bytes))
    answers, stored = (sum(getattr(one, what) for one in found.tasks) for what in ("answers", "stored"))
    table.add_section()
    table.add_row("all", "", "", *_taken(answers, stored, found.seconds, found.bytes))
    weights = sized(found.weights) if found.weights else "unknown"
    lines = [
        *found.recipe,
        f"weights: {weights}; free memory: {sized(found.memory)}; free disk: {sized(found.disk)}",
        "time: of the answers that are missing, at the mean speed of this model's stored answers"
        if found.known
        else "stored, time, disk: unknown, as no earlier run under this --runs has had this model",
    ]
    lines += _undefined(found.undefined)
    judged = any(one.judge for one in found.tasks)
    return Group(table, *map(Text, lines), *([Text("judging comes on top of that")] if judged else []))


def align_forecast(found: "PlayForecast") -> Group:
    """What a self-play would do, and what it takes as far as that is known."""
    table = Table(title=f"dry run of {found.model} on {found.device}", **LEAN)
    for name in ("round", "to do"):
        table.add_column(name, overflow="fold")
    table.add_column("time", justify="right", no_wrap=True)
    for one in found.rounds:
        time = "?" if one.seconds is None else clock_time(one.seconds)
        table.add_row(str(one.number) if one.number else "base", ", ".join(one.missing) or "nothing", time)
    table.add_section()
    table.add_row("all", "", "?" if found.seconds is None else clock_time(found.seconds))
    weights = sized(found.weights) if found.weights else "unknown"
    drawn = [f"{found.items:,} items of {found.data}"]
    drawn += [f"{found.captions:,} captions"] if found.captions else []
    drawn += [f"{found.images:,} images, judged by {found.critic}"] if found.images else []
    lines = [
        *found.recipe,
        f"a round: {', '.join(drawn)}; {found.steps:,} steps of training at the "
        f"most; evaluated on {', '.join(found.evaluated)}{_chosen_from(found.guidances)}",
        f"weights, and each round's checkpoint: {weights}; free memory: {sized(found.memory)}; free disk: "
        f"{sized(found.disk)}",
        *_undefined(found.undefined),
        f"folder: {found.folder or 'unknown, as no earlier run under this --runs has had this model'}",
        "time: of what is missing, as the rounds that are done have taken; ? where there is none",
    ]
    return Group(table, *map(Text, lines), *_work(found.work))


def _chosen_from(guidances: tuple[float, ...]) -> str:
    listed = ", ".join(f"{scale:g}" for scale in guidances)
    return f"; G once more at the guidance of {listed} that is best on validation scenes" if listed else ""


def _work(plan: "WorkPlan") -> Iterator[Table | Text]:
    """What each phase of a round takes on one process, and whether the training fits."""
    from hermes.align.play.workplan import memory_line, taken

    if plan.training is None:
        if plan.unknown:
            yield Text(f"work: not counted, as {plan.unknown}")
        return
    shared = f" on each of {plan.ranks.number} processes" if plan.ranks.number > 1 else ""
    table = Table(title=f"a round{shared}", **LEAN)
    table.add_column("phase")
    for name in ("FLOPs", "read", "memory", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in plan.phases:
        flops = "?" if one.flops is None else f"{one.flops:.1e}" if one.flops else "-"
        read = "?" if one.read is None else sized(one.read) if one.read else "-"
        memory = "-" if one.memory is None else sized(one.memory)
        table.add_row(one.name, flops, read, memory, taken(one.seconds))
    yield table
    yield Text(memory_line(plan))
    yield Text(plan.terms)


def _undefined(why: str) -> list[str]:
    return [f"the gap is undefined: the model {why}"] if why else []


def _taken(answers: int, stored: int, seconds: float | None, size: int | None) -> tuple[str, ...]:
    time = "?" if seconds is None else clock_time(seconds)
    return f"{answers:,}", f"{stored:,}", time, "?" if size is None else sized(size)


def show(*parts: Any) -> None:
    """Print to stdout: tables of 80 columns where it is not a terminal. Strings are never broken."""
    screen = Screen()
    if not screen.is_terminal:
        screen = Screen(width=80)
    for part in parts:
        screen.print(part, soft_wrap=isinstance(part, str))
