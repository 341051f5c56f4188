"""Settings: defaults, then a TOML file, then the command line; a key that nobody knows is an error."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from hermes.harness.errors import HermesError
from hermes.harness.models.options import LoadOptions
from hermes.harness.shapes.scene import Split

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

S = TypeVar("S", bound=BaseModel)


class EvalSettings(LoadOptions):
    """What `hermes eval` is asked to do. None and () mean: what fits the model."""

    model: str = "hermes-tiny"
    tasks: tuple[str, ...] = ()
    data: str | None = None
    revision: str | None = None
    split: Split = "test"
    limit: int | None = Field(None, ge=1)
    judge: str | None = None
    protocol: str = "official"
    seed: int = 0
    batch_size: int = Field(64, ge=1)
    device: str = "auto"
    out: Path | None = None
    runs: Path = Path("runs")
    fresh: bool = False
    label: str | None = None


def build(cls: type[S], file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> S:
    """Settings of class ``cls``: its defaults < the TOML file < overrides that are not None.

    Raises HermesError that names the key and lists the known ones.
    """
    values: dict[str, Any] = read_toml(file) if file is not None else {}
    values |= {key: value for key, value in (overrides or {}).items() if value is not None}
    where = str(file) if file is not None else "settings"
    unknown = sorted(set(values) - set(cls.model_fields))
    if unknown:
        raise HermesError(f"{where}: unknown key {unknown[0]!r}; known keys: {', '.join(sorted(cls.model_fields))}")
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise HermesError(f"{where}: {key} = {first['input']!r} is not valid ({first['msg']})") from None


def read_toml(file: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises HermesError where it cannot be read."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise HermesError(f"{file} cannot be read ({error.strerror}); give an existing TOML file") from None
    except ValueError as error:
        raise HermesError(f"{file} is not valid TOML ({error}); mend the line") from None
