"""The model card of a round's checkpoint and adapter, README.md: what it is, its scores, and how to load it."""

from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from hermes.align.play.game import Game
from hermes.align.play.measuring import EVALUATION
from hermes.align.play.origin import CARD, Origin, command_of, origin_of, public, spelled
from hermes.align.settings import SUPERVISED, AlignSettings
from hermes.harness.records.types import DataInfo, Metric, Result
from hermes.harness.run.gap import GENERATION
from hermes.harness.system.disk import write_atomic
from hermes.harness.system.environment import package_version
from hermes.leaderboards.markdown import escape, table
from hermes.leaderboards.read import RESULTS, Run, read_run
from hermes.leaderboards.tables import Cell, Column, Table, text_column
from hermes.leaderboards.titles import HOMOLOGOUS, digits, title

TAGS = ["hermes", "pair-dpo", "self-play"]
TASKS = {"understanding": "image-text-to-text", "generation": "text-to-image"}
SHOWN = {
    "objective": "objective",
    "seed": "seed",
    "items": "items a round",
    "n": "candidates an item",
    "critic": "critic",
    "similarity": "similarity of captions",
    "rule": "rule between rounds",
    "epochs": "epochs",
    "batch_size": "pairs a step",
    "lr": "learning rate",
    "replay": "weight of replayed data",
}
"""The settings that the card lists; the command has all that are not at their defaults."""
BOTH = (
    "In each round captions and images are drawn for the same items, a critic ranks them, and the model is trained on "
    "the best against the worst of both at once"
)
SIDES = {
    "und": "In each round captions are drawn, ranked by their likeness to the item's own, and the model is trained on "
    "the best against the worst",
    "gen": "In each round images are drawn, a critic ranks them, and the model is trained on the best against the "
    "worst",
}
"""What is trained under the objectives of one side, or of a model that has no other."""
TOLD = (
    "In each round captions of real images are drawn and ranked, and the model is trained to draw each image from the "
    "best of it{also}"
)
"""What is trained where the model draws from its own captions."""
SEEN = (
    "In each round the model is trained to draw real images again from the features of its own understanding encoder "
    "(after RecA, arXiv 2509.07295){also}"
)
ALONE = {"understanding": "und", "generation": "gen"}
UNUSED = {"und": "critic", "gen": "similarity"}
"""Of the settings that are shown the one that has no part in a side."""
PAPER = "(HermesFlow, arXiv 2502.12148)"
GAP, GAP_TITLE = "gap", "Gap (U - G)"
SHAPES = """All scores are of the **shapes world**: drawn scenes of a few coloured shapes, which come with Hermes. Its
benchmarks are twins of the real ones, with the same columns, prompts and scoring, and an exact parser judges the
pictures. The numbers compare models within this world. They say nothing about photographs, and cannot be set beside
published scores of the benchmarks that the twins are named after."""
REAL = """Numbers compare only where data, protocol and judge are the same."""
MEANING = """U is the share of questions that the model answers rightly about real images, G the share that the judge
answers rightly about the images that the model drew from their captions. Both are of the same items."""
NEARER = f"{MEANING} A gap nearer to 0 is better."
UNDEFINED = "{meaning} The gap is U - G, which is undefined for a model that {lacks}."


def write_cards(game: Game, number: int, entry: Mapping[str, Any]) -> None:
    """The cards of a round that was measured; nothing in them depends on time, machine or interruptions.

    ``entry`` is what history.json says of the round.
    """
    origin = origin_of(game.kind, game.settings.model, game.info)
    base, run = (read_run(game.home(one) / EVALUATION / RESULTS) for one in (0, number))
    home = game.home(number)
    for folder, adapter in ((home / "checkpoint", False), (home / "training" / "adapter", True)):
        if folder.is_dir():
            write_atomic(folder / CARD, card(game.settings, origin, number, entry, base, run, adapter))


def card(
    settings: AlignSettings, origin: Origin, number: int, entry: Mapping[str, Any], base: Run, run: Run, adapter: bool
) -> str:
    """The card of a checkpoint, or of the adapter that was merged into it."""
    name = f"{origin.name.rpartition('/')[2]}, round {number}"
    trained, licence = settings.data or "", origin.licence
    data = ModelCardData(
        model_name=name,
        eval_results=list(_index(run)),
        base_model=(list(origin.hub) or None) if number == 1 or not adapter else None,
        base_model_relation="adapter" if adapter else "finetune" if origin.hub else None,
        datasets=trained.removeprefix("hub:").partition("@")[0] if trained.startswith("hub:") else None,
        library_name="peft" if adapter else "hermes-bench",
        pipeline_tag=TASKS[run.model.abilities[0]] if run.gap.undefined else "any-to-any",
        tags=TAGS,
        license=licence.get("license"),
        license_name=licence.get("license_name"),
        license_link=licence.get("license_link"),
    )
    sections = [
        f"# {escape(name)}",
        _about(settings, origin, number, adapter, _side(settings, run)),
        table(_scores(base, run), intervals=True).rstrip(),
        UNDEFINED.format(meaning=MEANING, lacks=run.gap.undefined) if run.gap.undefined else NEARER,
        SHAPES if run.world == "shapes" else REAL,
        table(_training(settings, entry, run)).rstrip(),
        f"The command up to this round:\n\n```bash\n{command_of(settings, origin, number)}\n```",
        _loading(settings, origin, number, adapter),
        _licence(origin),
    ]
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"))


def _side(settings: AlignSettings, run: Run) -> str | None:
    """The one side that is trained, None where both are."""
    if run.gap.undefined:
        return ALONE[run.model.abilities[0]]
    return settings.objective if settings.objective in SIDES else None


def _about(settings: AlignSettings, origin: Origin, number: int, adapter: bool, side: str | None) -> str:
    base = escape(origin.name) + (f" at {origin.revision}" if origin.revision else "")
    what = "The LoRA adapter of round" if adapter else "The checkpoint after round"
    version = package_version("hermes-bench") or "unknown"
    if settings.objective == "replay":
        how = "This is the control: as many steps as self-play takes, on replayed data and without preferences."
    elif settings.gen_pairs == "own-captions":
        how = f"{TOLD.format(also=', and on these captions' if settings.prefers_captions else '')} {PAPER}."
    elif settings.gen_pairs == "reconstruction":
        how = f"{SEEN.format(also=', and on its own best captions of them' if settings.prefers_captions else '')}."
    elif settings.side_loss == SUPERVISED:
        told = (SIDES[side] if side else BOTH).replace(" against the worst", "")
        how = f"{told}. The way of drawing and judging is HermesFlow's (arXiv 2502.12148)."
    else:
        how = f"{SIDES[side] if side else BOTH}, with itself at the start of the round as the reference {PAPER}."
    method = "Pair-DPO self-play" if settings.pairwise else "self-play"
    return (
        f"{what} {number} of {method} with Hermes {version} (objective {settings.called}, seed "
        f"{settings.seed}). The base model is {base}, weights {origin.fingerprint}. {how}"
    )


def _scores(base: Run, run: Run) -> Table:
    """The headlines and the gap of both runs side by side."""
    rows = []
    for name, result in run.results.items():
        said = (title(public(name)), f"{result.headline}, {result.unit}", result.protocol, result.judge or "none")
        numbers = [cell for one in (base, run) for cell in _headline(one.results.get(name))]
        rows.append((*(Cell(text=text) for text in (*said, _data(result.data))), *numbers))
    if run.gap.homologous:
        drawn = run.results[GENERATION]
        texts = (GAP_TITLE, "difference", run.protocol, drawn.judge or "none", _data(drawn.data))
        rows.append((*(Cell(text=text) for text in texts), *_gap(base), *_gap(run)))
    return Table(
        title="Scores",
        columns=(
            *map(text_column, ("Benchmark", "Metric", "Protocol", "Judge", "Data")),
            *(Column("Base model", 3), Column("n", 0, None), Column("This model", 3), Column("n", 0, None)),
        ),
        rows=tuple(rows),
        caption=f"In brackets the 95 % interval. Base model: run {base.run_id}; this model: run {run.run_id}.",
    )


def _headline(result: Result | None) -> tuple[Cell, Cell]:
    """The cells of a benchmark's score and of its n."""
    metric = result and result.metrics.get(result.headline)
    return _cells(metric, digits(result), result.partial) if result and metric else (Cell(), Cell())


def _gap(run: Run) -> tuple[Cell, Cell]:
    found, partial = run.gap.homologous, any(run.results[side].partial for side in HOMOLOGOUS)
    return _cells(found.gap, 3, partial) if found else (Cell(), Cell())


def _cells(metric: Metric, places: int, partial: bool) -> tuple[Cell, Cell]:
    return Cell(metric.value, low=metric.low, high=metric.high, digits=places, partial=partial), Cell(metric.n)


def _data(data: DataInfo) -> str:
    if data.world == "shapes":
        return "shapes world"
    return public(data.source).removeprefix("hub:") + (f" @ {data.revision}" if data.revision else "")


def _index(run: Run) -> Iterator[EvalResult]:
    """The model-index: the headline of each benchmark, and the gap."""
    for name, result in run.results.items():
        if (metric := result.metrics.get(result.headline)) is not None and metric.value == metric.value:
            named = public(name)
            spoken = f"{title(named)}: {result.headline}, {result.unit}"
            yield _indexed(run, named, result, metric, result.headline, spoken)
    if found := run.gap.homologous:
        yield _indexed(run, GENERATION, run.results[GENERATION], found.gap, GAP, GAP_TITLE)


def _indexed(run: Run, name: str, result: Result, metric: Metric, kind: str, spoken: str) -> EvalResult:
    """One number of the model-index, with what it rests on as its arguments."""
    data = result.data
    hub = data.source.removeprefix("hub:") if data.source.startswith("hub:") else None
    world = "shapes world" if data.world == "shapes" else public(data.source)
    terms = {"run": run.run_id, "n": metric.n, "low": metric.low, "high": metric.high}
    return EvalResult(
        task_type=TASKS[result.ability],
        dataset_type=hub or ("hermes-shapes" if data.world == "shapes" else public(data.source)),
        dataset_name=f"{title(name)} ({hub or world})",
        dataset_config=name,
        dataset_revision=data.revision if hub else None,
        dataset_split=run.split if data.world == "shapes" else None,
        metric_type=kind,
        metric_name=spoken,
        metric_value=metric.value,
        metric_args={**terms, "protocol": result.protocol, "judge": result.judge, "partial": result.partial},
    )


def _training(settings: AlignSettings, entry: Mapping[str, Any], run: Run) -> Table:
    report = entry["training"]
    facts = [("data", public(settings.data or run.world))]
    facts += [("pairs of the first round", public(str(settings.pairs)))] if settings.pairs else []
    unused = {UNUSED.get(_side(settings, run) or "")} | (set() if settings.images else {"critic"})
    facts += [(said, spelled(name, getattr(settings, name))) for name, said in SHOWN.items() if name not in unused]
    facts += [
        ("pairs of this round", str(entry["pairs"])),
        ("steps of this round", str(report["steps"])),
        ("loss, first step and last epoch", f"{report['loss_first']:.3f}, {report['loss']:.3f}"),
        ("arithmetic", "bfloat16" if settings.bf16 else "float32"),
    ]
    rows = tuple((Cell(text=name), Cell(text=value)) for name, value in facts)
    return Table("Training", (text_column("What"), text_column("Value")), rows)


def _loading(settings: AlignSettings, origin: Origin, number: int, adapter: bool) -> str:
    plugins = "".join(f" --plugin {path.name}" for path in settings.plugin)
    where = "FOLDER is the folder of this file, or OWNER/NAME where it is on the hub."
    model, options, python = "FOLDER", "", '"FOLDER"'
    if adapter and origin.takes_adapters:
        model = origin.reference if number == 1 else "BEFORE"
        options, python = " --adapter FOLDER", f'"{model}", adapter="FOLDER"'
        if number > 1:
            where += f" BEFORE is the checkpoint of round {number - 1}, on which the adapter was trained."
    elif adapter:
        where = (
            "FOLDER is the checkpoint of this round, into which the adapter is merged; PEFT reads the adapter alone."
        )
    return (
        f"### How to load it\n\n{where}\n\n```bash\npip install hermes-bench\n"
        f"hermes eval --model {model}{options}{plugins}\n```\n\n"
        f"```python\nimport hermes\n\nmodel = hermes.load_model({python})\n```"
    )


def _licence(origin: Origin) -> str:
    if not origin.licence:
        said = "The base model's card names no licence, or there is none; see where the base model comes from."
    else:
        said = "That of the base model: " + ", ".join(map(escape, origin.licence.values())) + "."
    return f"### Licence\n\n{said}"
