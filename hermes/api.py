"""The functions of `import hermes`: each keyword is a setting, with the name and the default of the command line's.

Everything else is imported when a function is called, so that `import hermes` loads neither torch nor pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

if TYPE_CHECKING:
    from hermes.align.settings import Differ, GenPairs, ObjectiveName, Rule, UndPairs
    from hermes.harness.contracts.model import UnifiedModel
    from hermes.harness.contracts.options import DType
    from hermes.harness.records.types import Split
    from hermes.harness.system.progress import Progress
    from hermes.outcomes import Evaluation, SelfPlay

Place = str | Path
Places = Place | Sequence[Place]
Names = str | Sequence[str]
"""One name, or several."""
P = ParamSpec("P")
R = TypeVar("R")


def load_model(
    reference: str,
    device: str = "auto",
    *,
    dtype: DType = "auto",
    device_map: str | None = None,
    adapter: str | None = None,
    compile: bool = False,
    as_released: bool = False,
) -> UnifiedModel:
    """The model behind a registered name ("hermes-tiny"), a checkpoint folder or OWNER/NAME[@REVISION] of the hub.

    `evaluate` and `align` take it in place of its name. Raises HermesError for options that it does not support, and
    where it cannot be loaded.
    """
    from hermes.harness.contracts.options import LoadOptions
    from hermes.harness.run.loading import load_model as load
    from hermes.harness.system.settings import build

    given = {
        "dtype": dtype,
        "device_map": device_map,
        "adapter": adapter,
        "compile": compile,
        "as_released": as_released,
    }
    return load(reference, device, build(LoadOptions, overrides=given))


def _left_out_is_none(function: Callable[P, R]) -> Callable[P, R]:
    """The function with None for each setting that its caller leaves out, so that the two can be told apart."""
    settings = dict.fromkeys(name for name in function.__kwdefaults__ or () if name != "progress")

    @wraps(function)
    def called(*args: P.args, **keywords: P.kwargs) -> R:
        return function(*args, **{**settings, **keywords})  # type: ignore[arg-type]

    return called


@_left_out_is_none
def evaluate(
    model: str | UnifiedModel = "hermes-tiny",
    *,
    progress: Progress | bool = True,
    device: str = "auto",
    dtype: DType = "auto",
    device_map: str | None = None,
    adapter: str | None = None,
    compile: bool = False,
    as_released: bool = False,
    tasks: Names = (),
    task_file: Places = (),
    recipe: str | None = None,
    decoding: Names = (),
    data: str | None = None,
    update_data: bool = False,
    split: Split = "test",
    held_out: bool = False,
    limit: int | None = None,
    ids: Place | None = None,
    category: Names = (),
    sample: int | None = None,
    judge: str | None = None,
    rewrite: str | None = None,
    rewrite_instruction: Place | None = None,
    protocol: str = "official",
    reasoning_tags: str | None = None,
    seed: int = 0,
    batch_size: int = 64,
    label: str | None = None,
    trackers: Names = (),
    max_failures: int = 50,
    plugin: Places = (),
    runs: Place | None = None,
    out: Place | None = None,
    fresh: bool = False,
) -> Evaluation:
    """Run benchmarks on a model, a name or one that is loaded, and write the run's folder.

    The keywords are the options of `hermes eval`; what is left out is as the ``recipe`` has it. ``progress`` shows bars
    in a terminal and lines of a log elsewhere, such as in a notebook; False shows nothing. Raises HermesError for
    whatever the command would refuse.
    """
    given = _given(locals())
    from hermes.commands import evaluate as run
    from hermes.harness.run.chosen import settings_for
    from hermes.outcomes import Evaluation

    loaded = None if isinstance(model, str) else model
    name = model if isinstance(model, str) else model.info.name
    settings = settings_for({**given, "model": name}, model=loaded)
    with _heard("eval", progress) as heard:
        return Evaluation.of(run(settings, heard, loaded))


@_left_out_is_none
def align(
    model: str | UnifiedModel = "hermes-tiny",
    *,
    progress: Progress | bool = True,
    device: str = "auto",
    dtype: DType = "float32",
    draw_dtype: DType = "auto",
    device_map: str | None = None,
    adapter: str | None = None,
    compile: bool = False,
    as_released: bool = False,
    recipe: str | None = None,
    rounds: int = 3,
    patience: int = 0,
    label: str | None = None,
    data: str | None = None,
    items: int = 256,
    fresh_items: bool | None = None,
    n: int = 10,
    n_images: int | None = None,
    open_prompts: float = 0.0,
    plan: Literal["on", "off"] | None = None,
    caption_prompt: str = "Provide a one-sentence caption for the provided image.",
    caption_tokens: int = 64,
    guidance: float = 0.0,
    batch_draw: int = 64,
    pairs: Place | None = None,
    und_pairs: UndPairs = "captions",
    gen_pairs: GenPairs = "images",
    critic: str = "self",
    scores: Literal["critic", "dual"] = "critic",
    confidence: bool = True,
    similarity: str = "auto",
    rule: Rule = "fresh",
    pairs_per_item: int = 1,
    differ: Differ = "anything",
    threshold: float = 0.6,
    pairing: Literal["both", "either"] = "both",
    objective: ObjectiveName = "sum",
    side_loss: str = "sigmoid",
    beta_und: float = 0.2,
    beta_gen: float = 0.5,
    normalize: bool = False,
    reference_free: bool = False,
    target: float = 0.0,
    clip_ratio: float | None = None,
    smoothing: float = 0.0,
    anchor: float = 1.0,
    lr: float = 0.0002,
    layer_decay: float = 1.0,
    weight_decay: float = 0.01,
    warmup: float = 0.1,
    clip: float = 1.0,
    optimizer: Literal["adamw", "adamw8bit"] = "adamw",
    epochs: int = 4,
    steps: int | None = None,
    batch_size: int = 32,
    micro_batch: int = 8,
    replay: float = 0.3,
    hold: float = 0.0,
    replay_batch: int = 32,
    replay_plans: float = 0.0,
    average: float = 0.0,
    regmean: float = 0.0,
    ema: float = 0.0,
    masks: int | None = None,
    lora_rank: int = 0,
    lora_alpha: int | None = None,
    lora_targets: Names = (),
    lora_half: bool = False,
    checkpointing: bool = False,
    trackers: Names = (),
    bf16: bool | None = None,
    checkpoint_minutes: float = 10.0,
    checkpoint_every: int | None = None,
    seed: int = 0,
    eval_split: Literal["validation", "test"] = "test",
    eval_limit: int | None = None,
    eval_guidance: float | None = None,
    guidances: Sequence[float] = (),
    eval_tasks: Names = (),
    judge: str | None = None,
    max_failures: int = 50,
    plugin: Places = (),
    runs: Place | None = None,
    out: Place | None = None,
    fresh: bool = False,
) -> SelfPlay:
    """Close the gap of a model by self-play, evaluating after every round.

    The keywords are the options of `hermes align`; ``progress`` is that of `evaluate`. A setting that is left out has
    the value of the ``recipe``, by default that of the model's family, or else the one that stands here. A model that
    is loaded is saved below ``runs`` first, as every round reads it from there, and stays as it is. Raises HermesError
    for whatever the command would refuse.
    """
    given = _given(locals())
    from hermes.align.play.chosen import settings_for
    from hermes.align.play.selfplay import align as run
    from hermes.outcomes import SelfPlay

    name = model if isinstance(model, str) else _saved(model, Path(runs or "runs"))
    settings = settings_for({**given, "model": name})
    with _heard("align", progress) as heard:
        return SelfPlay.of(run(settings, heard)["folder"])


def score(
    run: Place | None = None,
    protocol: str | None = None,
    *,
    progress: Progress | bool = True,
    task: str | None = None,
    responses: Place | None = None,
    data: str | None = None,
    reasoning_tags: str | None = None,
    judge: str | None = None,
    pic_num: int | None = None,
    grid: str | None = None,
    resolution: int | None = None,
    label: str | None = None,
    device: str | None = None,
    max_failures: int | None = None,
    plugin: Places | None = None,
    runs: Place | None = None,
    out: Place | None = None,
    fresh: bool | None = None,
) -> Evaluation:
    """Score a run folder's stored answers again under a protocol, or answers that were made anywhere; loads no model.

    Without ``run`` the keywords are the options of `hermes score`, of which ``task`` and ``responses`` must be given.
    Raises HermesError for whatever the command would refuse.
    """
    given = _given(locals(), "run", "protocol")
    from hermes.commands import rescore, score_files
    from hermes.harness.run.outside.score import ScoreSettings, refuse_mixture
    from hermes.harness.system.settings import build
    from hermes.outcomes import Evaluation

    refuse_mixture(Path(run) if run is not None else None, given)
    with _heard("score", progress) as heard:
        if run is not None:
            return Evaluation.of(rescore(Path(run), protocol or "official", heard))
        settings = build(ScoreSettings, overrides={**given, "protocol": protocol})
        return Evaluation.of(score_files(settings, heard).content)


def leaderboard(
    paths: Places,
    format: str = "md",
    *,
    table: str | None = None,
    columns: Names = (),
    rows: Names = (),
    sort: str | None = None,
    precision: int | None = None,
    deltas: bool = False,
    base: str | None = None,
    intervals: bool = False,
    published: bool = False,
) -> str:
    """The tables of all runs under the paths; see `hermes.leaderboards.leaderboard`, and `frame` there for pandas."""
    from hermes.leaderboards import leaderboard as text

    return text(
        paths,
        format,
        intervals,
        table=table,
        columns=[columns] if isinstance(columns, str) else columns,
        rows=[rows] if isinstance(rows, str) else rows,
        sort=sort,
        precision=precision,
        deltas=deltas,
        base=base,
        published=published,
    )


def _given(values: dict[str, Any], *others: str) -> dict[str, Any]:
    """The settings among the keywords of a function; None is the default."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and name not in ("model", "progress", *others)
    }


@contextmanager
def _heard(title: str, progress: Progress | bool) -> Iterator[Progress]:
    """What is reported to: nobody, the terminal or notebook, or the caller's own."""
    if not isinstance(progress, bool):
        yield progress
        return
    from hermes.harness.system.progress import watched

    with watched(title, quiet=not progress) as shown:
        yield shown


def _saved(model: Any, runs: Path) -> str:
    """The folder of a loaded model. Raises HermesError for one that cannot be trained, and so cannot be saved."""
    from hermes.harness.records.keys import slug
    from hermes.harness.system.disk import make_folder, write_folder
    from hermes.harness.system.errors import HermesError

    if not model.alignable:
        raise HermesError(
            f"model {model.info.name!r} cannot be trained by preferences; `hermes list models` shows which can"
        )
    folder = runs / "models" / f"{slug(model.info.name)}-{model.info.fingerprint}"
    if not folder.is_dir():
        make_folder(folder.parent)
        write_folder(folder, model.save)
    return str(folder)
