"""Options of the command line from settings: each one is named, explained and given its default by its field alone."""

from functools import cache
from importlib import import_module
from inspect import Parameter, Signature
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

NAMES = {"model": ("--model", "-m"), "n": ("-n",), "fresh": ("--fresh/--resume",)}
"""Options that are not called --field, or --field/--no-field where they are switches."""


def from_settings(model: str) -> type[TyperCommand]:
    """The class of a command whose options are the fields of the settings ``model``, given as "module:Class".

    The function finds the values that were typed, and no others, in ``context.obj``. The model is imported when the
    command runs or shows its help.
    """
    return type("FromSettings", (_FromSettings,), {"settings": model})


class _FromSettings(TyperCommand):
    settings: ClassVar[str]

    def get_params(self, ctx: Any) -> list[Any]:
        return [*_parameters(self.settings), *super().get_params(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for parameter in self.get_params(ctx):
            own = "Arguments" if parameter.param_type_name == "argument" else "General"
            names, text = parameter.get_help_record(ctx)
            names = names.replace(" range>", ">").replace("<list[Path]>", "<path>")
            sections.setdefault(parameter.rich_help_panel or own, []).append((names, text))
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def invoke(self, ctx: Any) -> Any:
        fields = _model(self.settings).model_fields
        ctx.obj = {
            name: split_tasks(value) if _is_list(fields[name]) else value
            for name, value in ctx.params.items()
            if name in fields and ctx.get_parameter_source(name).name == "COMMANDLINE"
        }
        ctx.params = {name: value for name, value in ctx.params.items() if name not in fields}
        return super().invoke(ctx)


def _model(path: str) -> "type[BaseModel]":
    module, _, name = path.partition(":")
    model: type[BaseModel] = getattr(import_module(module), name)
    return model


@cache
def _parameters(path: str) -> list[Any]:
    """The options of a settings model in the order of display, as typer reads them from the signature of a function."""
    model = _model(path)

    def command() -> None: ...

    command.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter(name, Parameter.KEYWORD_ONLY, default=_option(name, field, panel), annotation=_type(field))
            for name, field, panel in _in_order(model)
        ]
    )
    app = typer.Typer(add_completion=False)
    app.command()(command)
    return typer.main.get_command(app).params


def _in_order(model: "type[BaseModel]") -> list[tuple[str, "FieldInfo", str]]:
    """(name, field, panel) of all fields: panel by panel, each with the fields of the class that defines them first."""
    from hermes.harness.contracts.options import Panel

    def place(name: str) -> tuple[int, int]:
        home = homes[name]
        return list(Panel).index(home.panel), model.__mro__.index(home)

    homes: dict[str, Any] = {
        name: next(cls for cls in reversed(model.__mro__) if name in getattr(cls, "model_fields", ()))
        for name in model.model_fields
    }
    return [(name, model.model_fields[name], homes[name].panel.value) for name in sorted(homes, key=place)]


def _option(name: str, field: "FieldInfo", panel: str) -> Any:
    flag = "--" + name.replace("_", "-")
    names = NAMES.get(name, (f"{flag}/--no-{flag[2:]}" if _type(field) is bool else flag,))
    rules = {key: getattr(rule, key) for rule in field.metadata for key in ("ge", "le") if hasattr(rule, key)}
    return typer.Option(
        None if field.is_required() or field.default == () else field.default,
        *names,
        help=_help(field),
        show_default=False,
        min=rules.get("ge"),
        max=rules.get("le"),
        rich_help_panel=panel,
    )


def _help(field: "FieldInfo") -> str:
    """The description and the default; the description itself may put in words what no value means."""
    text, default = field.description or "", field.default
    if field.is_required() or " Default: " in text:
        return text
    if isinstance(default, bool):
        default = "yes" if default else "no"
    shown = "none" if default in (None, ()) else str(default).rstrip(".")
    return f"{text} Default: {shown}."


def _type(field: "FieldInfo") -> Any:
    """The type that typer reads a value as: one string for a list of names, a list of paths for paths."""
    if _is_list(field):
        return str
    if field.annotation == tuple[Path, ...]:
        return list[Path]
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(field.annotation) else field.annotation


def _is_list(field: "FieldInfo") -> bool:
    """Whether the value is a list with commas."""
    return field.annotation in (tuple[str, ...], tuple[float, ...])


def split_tasks(text: str) -> tuple[str, ...]:
    """ "a,b@x=1,y=2,c" to ("a", "b@x=1,y=2", "c"): a part with "=" and no "@" belongs to the task before it."""
    tasks: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if "=" in part and "@" not in part and tasks and "@" in tasks[-1]:
            tasks[-1] += f",{part}"
        else:
            tasks.append(part)
    return tuple(tasks)
