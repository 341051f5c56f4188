"""Settings: defaults, what lies below a file, a TOML file, then the command line; an unknown key is an error."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError

from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import file_error

S = TypeVar("S", bound=BaseModel)


def build(
    cls: type[S],
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    below: Mapping[str, Any] = MappingProxyType({}),
) -> S:
    """Settings of class ``cls``: its defaults < ``below`` < the TOML file < overrides that are not None.

    Raises HermesError that names the key and lists the known ones.
    """
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    stated = read_toml(file) if file is not None else {}
    values = {**below, **stated, **given}

    def where(key: str) -> str:
        return "settings" if file is None or key in given or (key in below and key not in stated) else str(file)

    unknown = sorted(set(values) - set(cls.model_fields))
    if unknown:
        known = ", ".join(sorted(cls.model_fields))
        raise HermesError(f"{where(unknown[0])}: unknown key {unknown[0]!r}; known keys: {known}")
    try:
        return cls.model_validate({key: _listed(cls, key, value) for key, value in values.items()})
    except ValidationError as error:
        first = error.errors()[0]
        key, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing":
            raise HermesError(f"{where(key)}: {key} is missing; give --{key.replace('_', '-')}") from None
        if not key:
            raise HermesError(f"{where(key)}: {message}") from None
        raise HermesError(f"{where(key)}: {key} = {first['input']!r} is not valid ({message})") from None


def _listed(cls: type[BaseModel], key: str, value: Any) -> Any:
    """A text or path where a list is expected is a list of one."""
    return (
        (value,) if isinstance(value, str | Path) and get_origin(cls.model_fields[key].annotation) is tuple else value
    )


def read_toml(file: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises HermesError where it cannot be read."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise file_error(file, error, "give an existing TOML file") from None
    except (ValueError, RecursionError) as error:
        raise HermesError(f"{file} is not valid TOML ({error}); fix the line") from None
