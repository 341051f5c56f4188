"""The tables of the HermesFlow paper, filled with what the runs have measured: `hermes leaderboard --table NAME`."""

from collections.abc import Sequence
from dataclasses import dataclass

from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.ablation import ablation_tables
from hermes.leaderboards.board import Key, boards
from hermes.leaderboards.published import published_tables, with_published
from hermes.leaderboards.read import History, Run
from hermes.leaderboards.tables import Table
from hermes.leaderboards.titles import GAP, GAPS, WORLDS

ABLATION = "paper-ablation"


@dataclass(frozen=True)
class Preset:
    """A table of models: its heading and its columns, in the paper's order."""

    heading: str
    keys: tuple[Key, ...]


GENEVAL = {
    **{"single_object": "Single", "two_object": "Two", "counting": "Counting", "colors": "Colors"},
    **{"position": "Position", "color_attr": "Color attr."},
}
DPG = {name: name.capitalize() for name in ("global", "entity", "attribute", "relation", "other")}
PRESETS = {
    "paper-understanding": Preset(
        "Multimodal understanding",
        tuple(map(Key, ("pope", "pope-8910", "mme", "flickr30k", "flickr30k-1k", "vqav2", "gqa", "mmmu"))),
    ),
    "paper-geneval": Preset(
        "Text-to-image generation, GenEval",
        (
            *(Key("geneval", metric, title, 2) for metric, title in GENEVAL.items()),
            Key("geneval", title="Overall", digits=2),
        ),
    ),
    "paper-dpg": Preset(
        "Text-to-image generation, DPG-Bench",
        (
            *(Key("dpg_bench", metric, title, 2) for metric, title in DPG.items()),
            Key("dpg_bench", title="Overall", digits=2),
        ),
    ),
    "paper-gap": Preset(
        "Gap between understanding and generation", (Key(UNDERSTANDING), Key(GENERATION), Key(GAP, title=GAPS[GAP]))
    ),
}
TABLES = (*PRESETS, ABLATION)
ABLATED = ("gap", UNDERSTANDING, GENERATION, "pope", "mme", "mmmu", "geneval", "dpg_bench")


def preset_tables(name: str, runs: Sequence[Run], histories: Sequence[History], published: bool) -> list[Table]:
    """The tables of a preset, one for each world and split (of the ablation: for each model), without ranks.

    Of self-plays the models' rows have the last round, and the first where nothing else was measured of that model.
    Raises HermesError for an unknown preset, and where nothing of the preset was measured or quoted.
    """
    _check(name)
    if name == ABLATION:
        found = [_ablated(table) for table in ablation_tables(histories, together=True)]
        return found + (published_tables((name,)) if published else _some(found, name, "no self-play"))
    preset = PRESETS[name]
    tables = boards(_ends(runs, histories), preset.keys, preset.heading, params_first=True)
    if not published:
        return tables + _some(tables, name, f"none of {', '.join(dict.fromkeys(key.task for key in preset.keys))}")
    real = [table for table in tables if table.title.endswith(WORLDS["real"])]
    tables = [with_published(table, name) if table in real else table for table in tables]
    return tables if real else tables + published_tables((name,))


def preset_runs(name: str, runs: Sequence[Run], histories: Sequence[History]) -> list[Run]:
    """The runs whose numbers a preset shows.

    Raises HermesError for an unknown preset, and for the ablation where there is no self-play.
    """
    _check(name)
    if name != ABLATION:
        return _ends(runs, histories)
    _some(histories, name, "no self-play")
    rounds = {run.run_id for history in histories for run in history.evaluations.values()}
    return [run for run in runs if run.run_id in rounds]


def _check(name: str) -> None:
    if name not in TABLES:
        raise HermesError(f"table {name!r} is unknown; use one of {', '.join(TABLES)}")


def _some(found: Sequence[Table | History], name: str, missing: str) -> list[Table]:
    """Nothing to add; raises HermesError where nothing was found."""
    if not found:
        raise HermesError(f"{name}: {missing} was measured under these paths; run it first, or give other folders")
    return []


def _ablated(table: Table) -> Table:
    """The paper's columns, the gap first."""
    places = {column.key: place for place, column in enumerate(table.columns)}
    return table.take((*range(table.labels), *(places[key] for key in ABLATED if key in places)))


def _ends(runs: Sequence[Run], histories: Sequence[History]) -> list[Run]:
    """The runs without those rounds of self-plays that a table of models has no row for, and without validations."""
    rounds = {run.path: (number, history) for history in histories for number, run in history.evaluations.items()}
    homes = {path.parent for path in rounds}
    runs = [run for run in runs if run.path in rounds or run.path.parent not in homes]
    alone = {run.model.fingerprint for run in runs if run.path not in rounds}
    kept = []
    for run in runs:
        number, history = rounds.get(run.path, (-1, None))
        last = history is None or number == max(history.evaluations)
        if last or (number == 0 and run.model.fingerprint not in alone):
            kept.append(run)
    return kept
