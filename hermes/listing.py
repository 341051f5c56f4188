"""`hermes list`: what is installed, as plain facts; classes are imported, models are not loaded."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hermes.harness.contracts.model import likelihoods_of
from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.shapes.twins import twin_of

if TYPE_CHECKING:
    from hermes.harness.models.recipes import Shelf

Facts = dict[str, Any]
"""What is known of one thing: its name, and either an ``error`` that says why it cannot be used or everything else."""


def facts(kind: str, plugins: Sequence[Path] = ()) -> list[Facts]:
    """Everything of a kind, those of plugin files included, by name. Raises HermesError for an unknown kind."""
    if kind in OWN:
        return [OWN[kind](name) for name in NAMES[kind]()]
    if kind not in CLASSES:
        raise HermesError(f"unknown kind {kind!r}; choose from {', '.join((*CLASSES, *OWN))}")
    load_plugins(plugins)
    classes, broken = registry.load_all(kind)  # type: ignore[arg-type]
    found = {name: _of_class(kind, name, cls) for name, cls in classes.items()}
    found |= {name: {"name": name, "error": reason} for name, reason in broken.items()}
    return [found[name] for name in sorted(found)]


def facts_of(kind: str, name: str, plugins: Sequence[Path] = ()) -> Facts:
    """All that is known of one. Raises HermesError that lists the names where there is none of this name."""
    for one in facts(kind, plugins):
        if one["name"] == name:
            return one
    known = ", ".join(one["name"] for one in facts(kind))
    raise HermesError(f"unknown {kind[:-1]} {name!r}; choose from {known}")


def names(kind: str) -> list[str]:
    """The names of a kind, for completion; [] for an unknown kind."""
    if kind in CLASSES:
        return registry.names(kind)  # type: ignore[arg-type]
    return NAMES[kind]() if kind in NAMES else []


def _of_class(kind: str, name: str, cls: Any) -> Facts:
    try:
        return {"name": name, **CLASSES[kind](cls), "needs": getattr(cls, "extra", None), "class": _place(cls)}
    except Exception as error:  # what a third party's class says of itself may be anything
        return {"name": name, "error": registry.reason(error)}


def _place(cls: Any) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _model(cls: Any) -> Facts:
    return {
        "parameters": cls.parameters,
        "understands": "understanding" in cls.abilities,
        "generates": "generation" in cls.abilities,
        "edits": "editing" in cls.abilities,
        "align": bool(cls.alignable),
        "likelihoods": list(likelihoods_of(cls)) if cls.alignable else [],
        "takes": [name.replace("_", "-") for name in getattr(cls, "options", ())],
        "settings": list(getattr(cls, "decoding", ())),
        "description": cls.description,
    }


def _evaluator(cls: Any) -> Facts:
    twin = twin_of(cls)
    return {
        "benchmark": cls.title,
        "ability": cls.ability,
        "n": cls.data.n,
        "n_shapes": twin.n if twin else 0,
        "images": cls.config.num_images,
        "headline": cls.headline,
        "unit": cls.unit,
        "chance": cls.chance,
        "best": cls.best,
        "protocols": list(cls.protocols),
        "judge_needs": cls.judge_needs,
        "judge": cls.judge,
        "judge_shapes": twin.judge if twin else None,
        "standard": cls.standard,
        "data_set": f"{cls.data.hub}, split {cls.data.split}" if cls.data.hub else None,
        "columns": list(cls.data.columns),
        "version": cls.version,
    }


def _judge(cls: Any) -> Facts:
    return {"can": list(cls.abilities), "description": cls.description}


def _objective(name: str) -> Facts:
    from hermes.align.losses.objectives import OBJECTIVES

    return _equation(name, OBJECTIVES[name].loss)


def _side_loss(name: str) -> Facts:
    from hermes.align.losses.groups import gspo, rloo
    from hermes.align.losses.sides import SIDES

    if ":" in name:
        return _mix(name)
    groups: dict[str, Callable[..., Any]] = {"gspo": gspo, "rloo": rloo}
    return _equation(name, groups.get(name) or SIDES[name])


def _mix(name: str) -> Facts:
    from hermes.align.settings import PAIRED, mixed

    equation = " + ".join(f"{weight:g} {part}" for part, weight in mixed(name).items())
    about = f"{equation}. A mix may have any of {', '.join(PAIRED)}; with anchor 1 this one is MPO (arXiv 2411.10442)."
    return {"name": name, "equation": f"{equation}: any from {PAIRED[0]} to {PAIRED[-1]} may be mixed.", "about": about}


def _equation(name: str, loss: Callable[..., Any]) -> Facts:
    about = inspect.getdoc(loss) or ""
    return {"name": name, "equation": about.split("\n\n")[0].replace("\n", " "), "about": about}


def _recipe(name: str) -> Facts:
    from hermes.harness.models.recipes import DIFFERS, UNKNOWN

    shelf = next(shelf for shelf in _shelves() if name in shelf.names())
    text = shelf.shipped(name).read_text(encoding="utf-8")
    about = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    command = next((line for line in about if line.startswith("hermes ")), "")
    fit = shelf.fits().get(name)
    told: Facts = {"for": fit.said} if fit else {}
    told |= {what: lines for what in (UNKNOWN, DIFFERS) if fit and (lines := shelf.told(name, what))}
    return {"name": name, **told, "about": about[0], "command": command, "file": text}


def _objectives() -> list[str]:
    from hermes.align.settings import LossSettings

    return list(LossSettings.model_fields["objective"].annotation.__args__)  # type: ignore[union-attr]


def _side_losses() -> list[str]:
    from hermes.align.settings import MIX, SIDE_LOSSES

    return [*SIDE_LOSSES, MIX]


def _recipes() -> list[str]:
    return sorted(name for shelf in _shelves() for name in shelf.names())


def _shelves() -> "tuple[Shelf, ...]":
    from hermes.align.play import recipes as of_align
    from hermes.harness.run import recipes as of_eval

    return of_align.SHELF, of_eval.SHELF


CLASSES: dict[str, Callable[[Any], Facts]] = {"models": _model, "evaluators": _evaluator, "judges": _judge}
OWN: dict[str, Callable[[str], Facts]] = {
    "objectives": _objective,
    "sides": _side_loss,
    "recipes": _recipe,
}
NAMES: dict[str, Callable[[], list[str]]] = {
    "objectives": _objectives,
    "sides": _side_losses,
    "recipes": _recipes,
}
