"""Reading the columns of a row, with errors that name the row."""

from collections.abc import Sequence

from hermes.harness.contracts.benchmark import Row
from hermes.harness.system.errors import HermesError


def text(row: Row, column: str, where: str, allowed: Sequence[str] | None = None) -> str:
    """A column that must be text, and, apart from case and outer spaces, one of ``allowed``."""
    value = row[column]
    if not isinstance(value, str):
        raise HermesError(f"{where}: {column} must be text, not {type(value).__name__}; fix the row")
    if allowed is not None and value.strip().lower() not in allowed:
        raise HermesError(f"{where}: {column} is {value[:40]!r}; it must be {' or '.join(allowed)}")
    return value
