"""`hermes list`: what is installed, as tables; classes are imported, models are not loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.shapes.twins import twin_of

COLUMNS = {
    "models": ("name", "parameters", "understands", "generates", "align", "takes", "needs", "description"),
    "evaluators": ("name", "benchmark", "ability", "n (real)", "n (shapes)", "metric", "protocols", "judge", "needs"),
    "judges": ("name", "can", "needs", "description"),
}


def listing(kind: str, plugins: Sequence[Path] = ()) -> Table:
    """One row for each class, those of plugin files included. One that cannot be used is listed with the reason."""
    if kind not in COLUMNS:
        raise HermesError(f"unknown kind {kind!r}; choose from {', '.join(COLUMNS)}")
    load_plugins(plugins)
    table = Table(*COLUMNS[kind], title=kind)
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    row = {"models": _model, "evaluators": _evaluator, "judges": _judge}[kind]
    classes, broken = registry.load_all(kind)  # type: ignore[arg-type]
    for name in sorted({*classes, *broken}):
        try:
            cells: tuple[str | Text, ...] = row(classes[name]) if name in classes else (_red(broken[name]),)
        except Exception as error:  # what a third party's class says of itself may be anything
            cells = (_red(registry.reason(error)),)
        table.add_row(name, *cells)
    return table


def _red(reason: str) -> Text:
    return Text(reason, style="red")


def _needs(cls: Any) -> str:
    extra = getattr(cls, "extra", None)
    return f"hermes-bench[{extra}]" if extra else "-"


def _model(cls: Any) -> tuple[str, ...]:
    yes = [("yes" if ability in cls.abilities else "no") for ability in ("understanding", "generation")]
    takes = "\n".join(name.replace("_", "-") for name in getattr(cls, "options", ())) or "-"
    return (cls.parameters, *yes, "yes" if cls.alignable else "no", takes, _needs(cls), cls.description)


def _evaluator(cls: Any) -> tuple[str, ...]:
    images = cls.config.num_images
    times = f" x {images}" if images > 1 else ""
    twin = twin_of(cls)
    real, shapes = (f"{n:,}{times}" if n else "-" for n in (cls.data.n, twin.n if twin else 0))
    metric, protocols = f"{cls.headline}, {cls.unit}", ", ".join(cls.protocols)
    side = {"understanding": "understand", "generation": "generate"}[cls.ability]
    in_shapes = f" ({twin.judge} in shapes)" if twin and twin.judge else ""
    judge = f"{cls.judge or 'yours'}{in_shapes}" if cls.judge_needs else "-"
    return (cls.title, side, real, shapes, metric, protocols, judge, _needs(cls))


def _judge(cls: Any) -> tuple[str, ...]:
    return (", ".join(cls.abilities), _needs(cls), cls.description)
