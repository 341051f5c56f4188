"""What a self-play is before its model is loaded: settings, items and judges, checked, and what identifies it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes.align.pairs.apart import division, evaluated, refuse_shared, refuse_unchosen
from hermes.align.pairs.differing import refuse_unnamed
from hermes.align.pairs.items import ItemSource
from hermes.align.play.sides import of_one_side, refuse_other_side
from hermes.align.settings import AlignSettings
from hermes.align.training.trainer import native_bf16
from hermes.harness.contracts.options import options_of
from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.data.pins import Pins
from hermes.harness.judges.similarity import resolve
from hermes.harness.models.detect import model_class
from hermes.harness.models.device import pick_device
from hermes.harness.models.released import versioned
from hermes.harness.records.keys import slug
from hermes.harness.records.types import SCHEMA_VERSION, ModelInfo
from hermes.harness.run.asked import parse_task
from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.harness.run.plan import check_judge, refuse_unknown, run_id
from hermes.harness.run.stores import code_version, model_identity, root_of
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import file_error
from hermes.harness.system.progress import Progress
from hermes.shapes.lessons import VERSION as LESSONS


@dataclass(frozen=True)
class Planned:
    """A self-play that can be begun: ``settings`` are resolved, ``cls`` is the model's adapter."""

    settings: AlignSettings
    source: ItemSource
    pins: Pins
    cls: Any
    critic: Any

    def spec(self, info: ModelInfo) -> dict[str, Any]:
        """All that changes a round's result; ``info`` is the model as it was loaded."""
        settings, source = self.settings, self.source
        asker, drawer = source.asker, source.drawer
        spec = {
            "schema": SCHEMA_VERSION,
            "model": model_identity(info, versioned(code_version(self.cls), options_of(settings))),
            "items": source.fingerprint(),
            "evaluators": {asker.name: asker.version, drawer.name: drawer.version},
            "critic": getattr(self.critic, "identity", settings.critic),
            "settings": settings.identity(),
        }
        if source.world == "real":
            spec["evaluated"] = evaluated(source)
            if settings.guidances:
                spec["chosen_on"] = evaluated(source, "validation")
        elif settings.replays:
            spec["lessons"] = LESSONS
        if settings.dtype != settings.draw_dtype:
            spec["trained"] = settings.dtype
        if settings.pairs:
            spec["pairs"] = _file_hash(settings.pairs)
        return spec

    def folder(self, info: ModelInfo, spec: dict[str, Any]) -> Path:
        """Where the self-play of this spec is, or will be."""
        settings = self.settings
        return settings.out or settings.runs / slug(info.name) / f"align-{run_id(spec)}"


def plan_play(settings: AlignSettings, progress: Progress) -> Planned:
    """Raises HermesError for whatever would fail later: names, abilities, items, judges."""
    load_plugins(settings.plugin)
    cls = model_class(settings.model)
    if not cls.alignable:
        raise HermesError(
            f"model {settings.model!r} cannot be trained by preferences; `hermes list models` shows which can"
        )
    refuse_other_side(cls, settings)
    if (refuse := getattr(cls, "refuse_untrainable", None)) is not None:
        refuse(settings.model)
    if "plan" not in getattr(cls, "decoding", ()):
        for name in ("plan", "replay_plans"):
            if getattr(settings, name):
                option = f"--{name.replace('_', '-')}"
                raise HermesError(f"model {settings.model!r} does not plan its pictures; leave {option} out")
    asker, drawer = (registry.load_class("evaluators", name)() for name in (UNDERSTANDING, GENERATION))
    for task in settings.eval_tasks:
        registry.load_class("evaluators", parse_task(task).reference)
    pins = Pins.of_root(root_of(settings), update=False)
    source = ItemSource(asker, drawer, settings, cls, pins)
    settings = resolved(settings, source, cls)
    critic = registry.load_class("judges", settings.critic)
    check_judge(settings.critic)
    if (knows := getattr(critic, "knows", None)) is not None and source.world != "shapes":
        refuse_unknown(settings.critic, knows, drawer, (item.generation for item in source.of_round(1)))
    if source.world == "real":
        if settings.replay_plans:
            progress.say(f"replay: {source.source} has no plans, only the shapes world has, so none are replayed")
            settings = settings.model_copy(update={"replay_plans": 0.0})
        if settings.differ != "anything":
            refuse_unnamed(settings.differ, source.of_round(1), source.source)
        progress.say(division(source))
        if settings.guidances:
            refuse_unchosen(source)
        refuse_shared(source)
    return Planned(settings, source, pins, cls, critic)


def resolved(settings: AlignSettings, source: ItemSource, cls: Any) -> AlignSettings:
    """The settings with what "auto" and None mean here, so that the align id holds it."""
    device = pick_device(settings.device)
    bf16 = native_bf16(device) if settings.bf16 is None else settings.bf16
    whole = settings.draw_dtype == "auto" and not device.startswith("cuda")
    alone = of_one_side(cls, settings, source.drawer, source.world)
    if "similarity" not in alone:
        alone["similarity"] = resolve(settings.similarity, source.world)
    return settings.model_copy(
        update={
            "bf16": bf16,
            "draw_dtype": "float32" if whole else settings.draw_dtype,
            "fresh_items": settings.changes_items,
            "eval_guidance": _eval_guidance(settings, cls),
            **alone,
        }
    )


def _eval_guidance(settings: AlignSettings, cls: Any) -> float | None:
    """The scale that is given, else the model's best; None where each round chooses its own."""
    if settings.guidances or settings.eval_guidance is not None:
        return settings.eval_guidance
    best: float | None = getattr(cls, "best_guidance", None)
    return best


def _file_hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise file_error(path, error, "give a pair_dpo_data.json") from None
