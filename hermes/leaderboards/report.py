"""The report of one run folder, evaluation or self-play: all scores, counts, gaps and where they come from."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hermes.harness.records.types import Metric, ModelInfo
from hermes.harness.run.environments import changed, environments
from hermes.harness.run.failing import told
from hermes.harness.system.disk import write_atomic
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import html, markdown
from hermes.leaderboards.benchmarks import described, measured
from hermes.leaderboards.board import boards
from hermes.leaderboards.gallery import FAILED, meaning
from hermes.leaderboards.ranking import finished
from hermes.leaderboards.read import (
    HISTORY,
    RESULTS,
    SCORED,
    History,
    Run,
    read_history,
    read_run,
    read_runs,
)
from hermes.leaderboards.remarks import reasons, remarks
from hermes.leaderboards.tables import Cell, Column, Table, text_column
from hermes.leaderboards.terms import headline
from hermes.leaderboards.titles import digits, guided_title, size, title

TRAINING = {
    "steps": Column("Steps", 0, None),
    "loss_first": Column("First loss", 3, None),
    "agree_und": Column("Agree und", 2, None),
    "agree_gen": Column("Agree gen", 2, None),
    "agree_both": Column("Agree both", 2, None),
    "winner_und": Column("Winner und", 2, None),
    "loser_und": Column("Loser und", 2, None),
    "winner_gen": Column("Winner gen", 2, None),
    "loser_gen": Column("Loser gen", 2, None),
    "mask_noise": Column("Mask noise", 2, None),
    "replay": Column("Replay loss", 3, None),
    "held": Column("Held", 3, None),
}


def write_reports(folder: Path) -> None:
    """report.md and report.html of a run folder."""
    write_atomic(folder / "report.md", report_markdown(folder))
    write_atomic(folder / "report.html", report_html(folder))


def report_markdown(run_dir: Path) -> str:
    """The report as Markdown. Raises HermesError where the folder holds no finished run."""
    return markdown.document(*_content(Path(run_dir)), intervals=True)


def report_html(run_dir: Path) -> str:
    """The report as one self-contained HTML page. Raises HermesError where the folder holds no finished run."""
    return html.document(*_content(Path(run_dir)), intervals=True)


def _content(folder: Path) -> tuple[str, list[Table]]:
    if (folder / HISTORY).exists():
        history = read_history(folder / HISTORY)
        return f"Self-play of {history.model.name}", _self_play(history)
    if (folder / RESULTS).exists():
        run = read_run(folder / RESULTS)
        return run.name + (" (partial run)" if run.partial else ""), _evaluation(run)
    raise HermesError(f"{folder} holds neither {RESULTS} nor {HISTORY}; give the folder of a finished run")


def _evaluation(run: Run) -> list[Table]:
    tables = [_summary(run), _also_scored(run), _gaps(run), _all_metrics(run), _provenance(run)]
    return [table for table in tables if table.rows]


def _summary(run: Run) -> Table:
    rows = []
    for name, result in run.results.items():
        metric = result.metrics.get(result.headline)
        label = title(name) + (" (partial)" if result.partial else "")
        counts = [Cell(float(result.counts.get(status, 0))) for status in ("scored", "unparsed", "error")]
        texts = [Cell(text=text) for text in (f"{result.headline}, {result.unit}", result.protocol, result.judge or "")]
        measured = _number(metric, digits(result), run)
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


def _also_scored(run: Run) -> Table:
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
                number = _number(result.metrics.get(result.headline), digits(result), other)
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
    """The runs of the same model and seed beside the run, scored from its answers, or the one that it was scored from.

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
            if (other.model, other.seed) == (run.model, run.seed):
                yield other


def _gaps(run: Run) -> Table:
    named = {"homologous items": run.gap.homologous}
    named |= {f"homologous items, {title(name)}": found for name, found in run.gap.variants.items()}
    rows = [
        (Cell(text=name), *(_number(metric, 3, run) for metric in (found.u, found.g, found.gap)), Cell(found.items))
        for name, found in named.items()
        if found
    ]
    notes = []
    if across := run.gap.benchmarks:
        cells = [_number(metric, 3, run) for metric in (across.u, across.g, across.gap)]
        rows.append((Cell(text="benchmarks, each brought to 0..1"), *cells, Cell()))
        sides = (", ".join(map(title, side)) for side in (across.understanding, across.generation))
        notes.append("Benchmarks: U is the mean of {}; G the mean of {}.".format(*sides))
    return Table(
        title="Gap between understanding (U) and generation (G)",
        columns=(text_column("Over"), Column("U", 3), Column("G", 3), Column("Gap (U - G)", 3), Column("Items", 0)),
        rows=tuple(rows),
        caption="Homologous: the same questions about the real and about the generated image; its interval is paired.",
        notes=tuple(notes),
    )


def _all_metrics(run: Run) -> Table:
    rows = tuple(
        (Cell(text=title(name)), Cell(text=key), _number(metric, digits(result), run), Cell(metric.n))
        for name, result in run.results.items()
        for key, metric in result.metrics.items()
    )
    columns = (text_column("Benchmark"), text_column("Metric"), Column("Value"), Column("n", 0))
    return Table("All metrics", columns, rows)


def _provenance(run: Run) -> Table:
    facts = [("run id", run.run_id), *_model_facts(run.model), ("world", run.world), ("split", run.split)]
    facts += [("seed", str(run.seed)), ("limit", str(run.limit or "none")), ("protocol", run.protocol or "official")]
    facts += [("chosen", run.chosen)] if run.chosen else []
    for name, result in run.results.items():
        data = result.data
        revision = f" @ {data.revision}" if data.revision else ""
        text = f"{data.source}{revision}, fingerprint {data.fingerprint}, {data.n} of {data.n_expected} samples"
        facts.append((title(name), f"version {result.version}, {result.protocol} protocol; {text}"))
    return _facts(facts, run.path)


def _model_facts(model: ModelInfo) -> list[tuple[str, str]]:
    name = model.name + (f" @ {model.revision}" if model.revision else "")
    parameters = f", {size(model.parameters)} parameters" if model.parameters else ""
    return [("model", name + parameters), ("weights", model.fingerprint)]


def _facts(facts: Sequence[tuple[str, str]], folder: Path) -> Table:
    """The facts, then what the last start ran on; a note for each version that changed between starts."""
    starts = environments(folder)
    found = [*facts, ("starts", str(len(starts)))] if len(starts) > 1 else list(facts)
    if starts:
        found += _scalars({key: value for key, value in starts[-1].items() if key not in ("end", "crc32")}, "")
    rows = tuple((Cell(text=key), Cell(text=value)) for key, value in found)
    changes = starts[-1].get("changes", changed(starts)) if starts else []
    notes = tuple(f"{line}." for line in changes)
    return Table("Provenance", (text_column("What"), text_column("Value")), rows, notes=notes)


def _scalars(content: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _scalars(value, f"{prefix}{key} " if isinstance(value, dict) else f"{prefix}{key}")
    elif content is not None and not isinstance(content, list):
        yield prefix, str(content)


def _self_play(history: History) -> list[Table]:
    facts = [("align id", history.align_id), *_model_facts(history.model), ("objective", history.objective)]
    facts += [("seed", str(history.seed)), ("world", history.world)]
    facts += [(name, value) for name in ("settings", "precision", "data") if (value := getattr(history, name))]
    runs = sorted(read_runs([history.path]), key=lambda run: len(run.name))
    evaluations = finished(boards(runs), deltas=len(runs) > 1) if runs else []
    own = [_rounds(history), _benchmarks(history), _training(history), _drops(history), _times(history)]
    return [*(table for table in own if table.rows), *evaluations, _facts(facts, history.path)]


def _rounds(history: History) -> Table:
    source = f"measured ({history.align_id})"
    guided = [guided_title(history.guided)] if any(entry.g_guided for entry in history.rounds) else []
    rows = []
    for entry in history.rounds:
        metrics = (entry.u, entry.g, entry.gap, *([entry.g_guided] if guided else []))
        cells = [_number(metric, 3, None, source) for metric in metrics]
        trained = [entry.pairs, entry.margin_und, entry.margin_gen, entry.loss]
        more = [Cell(None if value is None or not entry.round else float(value)) for value in trained]
        rows.append((_round(entry.round), *cells, *more, Cell(sum(entry.seconds.values()))))
    return Table(
        title="Rounds",
        columns=(
            text_column("Round"),
            *(Column(name, 3) for name in ("U", "G", "Gap (U - G)", *guided)),
            Column("Pairs", 0, None),
            *(Column(name, 3, None) for name in ("Margin und", "Margin gen", "Loss")),
            Column("Seconds", 0, None),
        ),
        rows=tuple(rows),
        caption=f"U, G and gap with 95 % intervals; {history.objective}, seed {history.seed}.",
        notes=("Evaluated on a part of the benchmark: the rows rank nowhere.",) if history.partial else (),
    )


def _round(number: int) -> Cell:
    return Cell(text=f"{number}" + (" (base)" if number == 0 else ""))


def _benchmarks(history: History) -> Table:
    """The headlines of the benchmarks that were evaluated beside the gap."""
    results = measured([history])
    rows = []
    for number in (entry.round for entry in history.rounds) if results else ():
        known = [history.result(number, name) for name in results]
        cells = [_number(headline(one), digits(one), history.evaluations[number]) if one else Cell() for one in known]
        rows.append((_round(number), *cells))
    return Table(
        title="Benchmarks",
        columns=(text_column("Round"), *(Column(title(name)) for name in results)),
        rows=tuple(rows),
        caption=f"{described(results)} With 95 % intervals.",
    )


def _training(history: History) -> Table:
    """What a round's last epoch looked like; the names are TrainingReport's. A figure that no round has is left out."""
    trained = [(entry.round, entry.training) for entry in history.rounds if entry.training]
    shown = [name for name in TRAINING if any(training.get(name) is not None for _, training in trained)]
    rows = tuple(
        (Cell(text=str(number)), *(Cell(training.get(name)) for name in shown)) for number, training in trained
    )
    return Table(
        title="Training",
        columns=(text_column("Round"), *(TRAINING[name] for name in shown)),
        rows=rows,
        caption="Means over the last epoch. Agree: the share of pairs whose margin is above 0. Winner and loser: nats "
        "since the round's start. Mask noise: what the masks alone do to an image pair's difference. Held: how far "
        "held answers have left the reference. All in nats.",
    )


def _drops(history: History) -> Table:
    rows = tuple(
        (Cell(text=str(entry.round)), Cell(text=name), Cell(count), Cell(text=meaning(name)))
        for entry in history.rounds
        for name, count in entry.drops.items()
    )
    columns = (text_column("Round"), text_column("Reason"), Column("Count", 0, None), text_column("Meaning"))
    notes = tuple(
        f"Round {entry.round}: {one}."
        for entry in history.rounds
        for one in told(entry.failures, entry.drops.get(FAILED, 0))
    )
    return Table("What gave no pair", columns, rows, notes=notes)


def _times(history: History) -> Table:
    """Seconds of each phase, by round."""
    phases = list(dict.fromkeys(phase for entry in reversed(history.rounds) for phase in entry.seconds))
    rows = tuple(
        (Cell(text=str(entry.round)), *(Cell(entry.seconds.get(phase)) for phase in phases)) for entry in history.rounds
    )
    columns = (text_column("Round"), *(Column(phase.capitalize(), 1, None) for phase in phases))
    return Table("Seconds of each phase", columns, rows)


def _number(metric: Metric | None, places: int, run: Run | None, source: str = "") -> Cell:
    if metric is None:
        return Cell()
    source = f"measured (run {run.run_id}, n = {metric.n})" if run else source
    return Cell(metric.value, low=metric.low, high=metric.high, source=source, digits=places)
