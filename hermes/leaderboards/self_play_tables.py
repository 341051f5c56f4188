"""The tables of one self-play: its rounds, what was trained and dropped, and how its evaluations differ."""

from dataclasses import replace

from hermes.harness.run.environments import changed, environments
from hermes.harness.run.failing import told
from hermes.leaderboards.agreement_table import TOLD
from hermes.leaderboards.benchmarks import described, measured
from hermes.leaderboards.board import boards
from hermes.leaderboards.gallery import FAILED, meaning
from hermes.leaderboards.guidance import way_of
from hermes.leaderboards.provenance import VERSIONS, cell_of, facts_table, machine_facts, model_facts
from hermes.leaderboards.ranking import finished
from hermes.leaderboards.read import History, read_runs
from hermes.leaderboards.tables import Cell, Column, Table, text_column
from hermes.leaderboards.terms import headline
from hermes.leaderboards.titles import SAME, UNDEFINED, digits, title

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
    "mask_noise_und": Column("Mask noise und", 2, None),
    "replay": Column("Replay loss", 3, None),
    "held": Column("Held", 3, None),
    "sequences": Column("Sequences", 0, None),
    "references": Column("Reference passes", 0, None),
}


def self_play_tables(history: History) -> list[Table]:
    """Those that have rows."""
    facts = [("align id", history.align_id), *model_facts(history.model), ("objective", history.objective)]
    facts += [("seed", str(history.seed)), ("world", history.world)]
    facts += [(name, value) for name in ("settings", "precision", "data") if (value := getattr(history, name))]
    homes = (history.path / f"round-{entry.round}" / "evaluation" for entry in history.rounds)
    starts = [start for home in homes for start in environments(home)]  # a self-play runs on what its evaluations do
    runs = sorted(read_runs([history.path]), key=lambda run: len(run.name))
    evaluations = finished(boards(runs), deltas=len(runs) > 1) if runs else []
    own = [_rounds(history), _benchmarks(history), _training(history), _drops(history), _times(history)]
    return [
        *(table for table in own if table.rows),
        *(replace(table, title=f"Evaluations: {table.title}") for table in evaluations),
        facts_table([*facts, *machine_facts(starts, VERSIONS)], changed(starts)),
    ]


def _rounds(history: History) -> Table:
    source = f"measured ({history.align_id})"
    way = way_of(history)
    guided = [way.title] if any(entry.g_guided for entry in history.rounds) else []
    chosen = ["Guidance"] if guided and way.among else []
    same = list(SAME) if any(entry.joint for entry in history.rounds) else []
    rows = []
    for entry in history.rounds:
        metrics = (
            *(entry.u, entry.g, entry.gap),
            *(getattr(entry, name) for name in same),
            *([entry.g_guided] if guided else []),
        )
        cells = [cell_of(metric, 3, None, source) for metric in metrics]
        if history.undefined:
            cells[2] = Cell(text=UNDEFINED)
        trained = [entry.pairs, entry.margin_und, entry.margin_gen, entry.loss]
        more = [Cell(None if value is None or not entry.round else float(value)) for value in trained]
        scale = [Cell(text="" if entry.guidance is None else f"{entry.guidance:g}")] if chosen else []
        rows.append((_round(entry.round), *cells, *scale, *more, Cell(sum(entry.seconds.values()))))
    return Table(
        title="Rounds",
        columns=(
            text_column("Round"),
            *(Column(name, 3) for name in ("U", "G", "Gap (U - G)")),
            *(Column(SAME[name], 3, None) for name in same),
            *(Column(name, 3) for name in guided),
            *map(text_column, chosen),
            Column("Pairs", 0, None),
            *(Column(name, 3, None) for name in ("Margin und", "Margin gen", "Loss")),
            Column("Seconds", 0, None),
        ),
        rows=tuple(rows),
        caption=f"U, G and gap with 95 % intervals; {history.objective}, seed {history.seed}."
        + (f" {TOLD}." if same else ""),
        notes=(
            *(["Evaluated on a part of the benchmark: the rows rank nowhere."] if history.partial else ()),
            *([way.said] if chosen else ()),
            *([f"The gap is undefined: the model {history.undefined}."] if history.undefined else ()),
        ),
    )


def _round(number: int) -> Cell:
    return Cell(text=f"{number}" + (" (base)" if number == 0 else ""))


def _benchmarks(history: History) -> Table:
    """The headlines of the benchmarks that were evaluated beside the gap."""
    results = measured([history])
    rows = []
    for number in (entry.round for entry in history.rounds) if results else ():
        known = [history.result(number, name) for name in results]
        cells = [cell_of(headline(one), digits(one), history.evaluations[number]) if one else Cell() for one in known]
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
        "since the round's start. Mask noise: what the masks alone do to an image pair's difference, und to a text "
        "pair's. Held: how far held answers have left the reference. All in nats. Sequences go forward and backward "
        "over all steps, an item once for each of its masks; reference passes are counted alike.",
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
