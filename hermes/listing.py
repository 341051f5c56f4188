"""`hermes list`: what is installed, as tables; classes are imported, models are not loaded."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from hermes.harness import registry
from hermes.harness.errors import HermesError

COLUMNS = {
    "models": ("name", "parameters", "understands", "generates", "align", "takes", "needs", "description"),
    "evaluators": ("name", "benchmark", "ability", "n (real)", "n (shapes)", "metric", "protocols", "judge", "needs"),
    "judges": ("name", "can", "needs", "description"),
}


def listing(kind: str) -> Table:
    """One row for each registered class. A class that cannot be imported is listed with the reason."""
    if kind not in COLUMNS:
        raise HermesError(f"unknown kind {kind!r}; choose from {', '.join(COLUMNS)}")
    table = Table(*COLUMNS[kind], title=kind)
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    row = {"models": _model, "evaluators": _evaluator, "judges": _judge}[kind]
    for name in registry.names(kind):  # type: ignore[arg-type]
        try:
            table.add_row(name, *row(registry.load_class(kind, name, to_use=False)))  # type: ignore[arg-type]
        except HermesError as error:
            table.add_row(name, f"[red]{escape(str(error))}[/red]")
    return table


def _needs(cls: Any) -> str:
    extra = getattr(cls, "extra", None)
    return escape(f"hermes-bench[{extra}]") if extra else "-"


def _model(cls: Any) -> tuple[str, ...]:
    yes = [("yes" if ability in cls.abilities else "no") for ability in ("understanding", "generation")]
    takes = "\n".join(name.replace("_", "-") for name in getattr(cls, "options", ())) or "-"
    return (cls.parameters, *yes, "yes" if cls.alignable else "no", takes, _needs(cls), escape(cls.description))


def _evaluator(cls: Any) -> tuple[str, ...]:
    images = cls.config.num_images
    times = f" x {images}" if images > 1 else ""
    real, shapes = (f"{n:,}{times}" if n else "-" for n in (cls.data.n, cls.data.shapes_n))
    metric, protocols = f"{cls.headline}, {cls.unit}", ", ".join(cls.protocols)
    side = {"understanding": "understand", "generation": "generate"}[cls.ability]
    judge = f"{cls.real_judge or 'yours'} ({cls.judge} in shapes)" if cls.judge else "-"
    return (cls.title, side, real, shapes, metric, protocols, judge, _needs(cls))


def _judge(cls: Any) -> tuple[str, ...]:
    return (", ".join(cls.abilities), _needs(cls), escape(cls.description))
