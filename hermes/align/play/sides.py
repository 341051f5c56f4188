"""Self-play of a model that understands or generates alone: what would ask for its other side, and what is left."""

from typing import Any

from hermes.align.losses.objectives import OBJECTIVES
from hermes.align.settings import AlignSettings
from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.contracts.model import likelihoods_of
from hermes.harness.run.asked import parse_task
from hermes.harness.run.gap import lacking
from hermes.harness.run.plan import named_judges, refuse_silent
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.shapes.twins import twin_of

ALONE = {"text": "und", "image": "gen"}
"""The objective that looks at one kind of items alone."""
OF_IMAGES = (
    *("n_images", "guidance", "threshold", "critic", "confidence", "beta_gen", "masks"),
    *("eval_guidance", "guidances", "regmean"),
)
OF_TEXTS = ("caption_prompt", "caption_tokens", "und_pairs", "similarity", "confidence", "beta_und", "hold", "regmean")
"""Settings that are about one side, or, confidence, about both."""


def refuse_other_side(cls: Any, settings: AlignSettings) -> None:
    """Raise HermesError for settings that need what a model of this class does not do or has no likelihood of.

    A setting counts as asked for where it was given and does not say "none".
    """
    lacks, kinds = lacking(cls.abilities), likelihoods_of(cls)
    who = f"model {settings.model!r}"
    if settings.gen_pairs == "reconstruction" and not getattr(cls, "reconstructs", False):
        raise HermesError(
            f"{who} does not draw from what it sees of a picture, which --gen-pairs reconstruction needs; BAGEL and "
            "Janus do, and --gen-pairs own-captions is for all that caption and draw"
        )
    if len(kinds) == 1:
        why = lacks or f"has no likelihood of {'pictures' if kinds == ('text',) else 'texts'}"
        fitting = _objectives(kinds[0]) if lacks else (ALONE[kinds[0]], "replay")
        if settings.objective not in fitting:
            raise HermesError(
                f"{who} {why}, which --objective {settings.objective} needs; give --objective {fitting[0]}"
            )
        if settings.gen_pairs != "images":
            raise HermesError(f"{who} {why}, which --gen-pairs {settings.gen_pairs} needs; leave it out")
        if settings.differ != "anything" and kinds == ("text",):
            raise HermesError(f"{who} {why}, so --differ would do nothing; leave it out")
    if not lacks:
        return
    if settings.patience:
        raise HermesError(f"{who} {lacks}, so the gap, which --patience watches, is undefined; leave it out")
    asked = {name for name in settings.model_fields_set if getattr(settings, name)}
    if "pairing" in asked and settings.pairing == "both":
        raise HermesError(f"{who} {lacks}, so no item gives both pairs; leave --pairing out")
    for name in OF_IMAGES if kinds == ("text",) else OF_TEXTS:
        if name in asked:
            raise HermesError(f"{who} {lacks}, so --{name.replace('_', '-')} would do nothing; leave it out")
    for task in settings.eval_tasks:
        ability = registry.load_class("evaluators", parse_task(task).reference).ability
        if ability not in cls.abilities:
            raise HermesError(f"{who} {lacks}, which --eval-tasks {task} needs; leave the task out")
    for judge in named_judges(settings.judge):
        refuse_silent(judge, cls.abilities)


def _objectives(kind: str) -> tuple[str, ...]:
    """Those that can use pairs of one side and are not named after one, the default first."""
    sides = (kind == "text", kind == "image")
    return tuple(name for name, one in OBJECTIVES.items() if one.usable(*sides) and name not in ALONE.values())


def of_one_side(cls: Any, settings: AlignSettings, drawer: Evaluator, world: str) -> dict[str, Any]:
    """What settings that were left out mean for a model of this class, where that is not what they mean for others.

    Raises HermesError for a model that is to be its own critic and answers no questions.
    """
    found: dict[str, Any] = {} if len(likelihoods_of(cls)) > 1 else {"pairing": "either"}
    if not lacking(cls.abilities):
        return found
    found["confidence"] = False
    if "understanding" not in cls.abilities:
        found |= {"critic": _critic(settings, drawer, world), "similarity": settings.similarity}
    return found


def _critic(settings: AlignSettings, drawer: Evaluator, world: str) -> str:
    """The critic that was given; in the drawn world, which has one, its own."""
    if not getattr(registry.load_class("judges", settings.critic), "needs_model", False):
        return settings.critic
    own = twin_of(drawer) if world == "shapes" and "critic" not in settings.model_fields_set else None
    if own is None or own.judge is None:
        raise HermesError(
            f"model {settings.model!r} answers no questions, so it cannot be its own critic; give another --critic "
            "(`hermes list judges` shows them)"
        )
    return own.judge
