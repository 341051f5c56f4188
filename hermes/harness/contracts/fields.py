"""Reading the columns of a row: other forms of a cell brought to the data set's, and errors that name the row."""

import ast
import io
import json
import re
import tokenize
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hermes.harness.contracts.benchmark import Row
from hermes.harness.system.errors import HermesError

HIDDEN = ("", "?")
"""What stands where a test split hides its right answers."""


def text(row: Row, column: str, where: str, allowed: Sequence[str] | None = None) -> str:
    """A column that must be text, and, apart from case and outer spaces, one of ``allowed``."""
    value = row[column]
    if not isinstance(value, str):
        raise HermesError(f"{where}: {column} must be text, not {type(value).__name__}; fix the row")
    if allowed is not None and value.strip().lower() not in allowed:
        raise HermesError(f"{where}: {column} is {value[:40]!r}; it must be {' or '.join(allowed)}")
    return value


def gold(row: Row, column: str, where: str) -> str:
    """A column that must hold a right answer. Raises HermesError where it is empty or "?", as where it is hidden."""
    value = text(row, column, where)
    if value.strip() in HIDDEN:
        raise HermesError(f"{where}: the {column} is {value.strip() or 'empty'}; use a split that has answers")
    return value


def tidied(row: Row, cells: Mapping[str, Callable[[Any], Any]]) -> Row:
    """The row with each of these columns, where it has them, in the form of the data set.

    A function that does not know the form of a cell gives it back, for the benchmark to refuse.
    """
    found = {column: tidy(row[column]) for column, tidy in cells.items() if row.get(column) is not None}
    return {**row, **found} if found else row


def nested(cell: Any) -> Any:
    """A list or an object, which a CSV holds as text in JSON or as Python and numpy write it."""
    if not isinstance(cell, str) or cell.lstrip()[:1] not in ("[", "{"):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    found = None if SPACED.search(cell) else _literal(cell.strip())
    found = _literal("".join(_with_commas(cell.strip()))) if found is None else found
    return cell if found is None else found


def _literal(text: str) -> Any:
    """What Python reads there; None where it reads nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


SPACED = re.compile(r"""['"]\s+['"]""")
ENDS = (tokenize.STRING, tokenize.NUMBER, tokenize.NAME)


def _with_commas(text: str) -> Iterator[str]:
    """The text with a comma between neighbours: numpy prints none, and Python reads ``'a' 'b'`` as one text."""
    ended = False
    try:
        for token in tokenize.generate_tokens(io.StringIO(text.replace("\n", " ")).readline):
            begins = token.type in ENDS or token.string in ("[", "{", "(")
            yield f", {token.string}" if ended and begins else token.string
            ended = token.type in ENDS or token.string in ("]", "}", ")")
    except (tokenize.TokenError, SyntaxError):
        return  # What is cut off is read by nobody.


TRUTHS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def flag(cell: Any) -> Any:
    """True or false, which others write as text or as 1 and 0."""
    text = str(cell).strip().lower()
    return TRUTHS.get(text, cell)


def label(cell: Any) -> Any:
    """Yes or no in lower case; yes for true and no for false."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    folded = cell.strip().lower() if isinstance(cell, str) else ""
    return folded if folded in ("yes", "no") else cell


def spelled(cell: Any) -> Any:
    """A number as text."""
    return str(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else cell


def texts(cell: Any) -> Any:
    """A list of texts; numbers in it become text."""
    cell = nested(cell)
    return [spelled(one) for one in cell] if isinstance(cell, list) else cell


def people(cell: Any) -> Any:
    """The answers of several people as records, which others give as plain texts."""
    cell = nested(cell)
    if not isinstance(cell, list | tuple) or not all(isinstance(said, str) for said in cell):
        return cell
    return [{"answer": said, "answer_id": number} for number, said in enumerate(cell, 1)]
