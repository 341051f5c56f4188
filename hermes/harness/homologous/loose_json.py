"""JSON as annotation files really are: one value, lines, or objects that a script appended with commas between them."""

import json
import re
from pathlib import Path
from typing import Any

from hermes.harness.errors import HermesError

_SPACE = re.compile(r"\s*")
_BETWEEN = re.compile(r"[\s,]*")


def json_values(path: Path) -> list[Any]:
    """The values of a file: the elements of a list, the lines, or the one object.

    Commas after the last element and between appended objects are allowed, with or without brackets around them
    (HermesFlow's scripts write neither bracket). Raises HermesError that names the line where it is none of these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise HermesError(f"{path} cannot be read ({error}); give a file of JSON text") from None
    start = _end(_SPACE, text, 0)
    bracket = text.startswith("[", start)
    values, position = _elements(path, text, start + bracket)
    rest = text[position:].strip()
    if rest != ("]" if bracket else ""):
        raise _broken(path, text, position, "the list has no end" if bracket else f"{rest[:20]!r} follows the last")
    return values


def _elements(path: Path, text: str, start: int) -> tuple[list[Any], int]:
    decoder = json.JSONDecoder()
    values: list[Any] = []
    position = _end(_BETWEEN, text, start)
    while position < len(text) and text[position] != "]":
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise _broken(path, text, getattr(error, "pos", position), getattr(error, "msg", str(error))) from None
        values.append(value)
        position = _end(_BETWEEN, text, position)
    return values, position


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _broken(path: Path, text: str, position: int, reason: str) -> HermesError:
    line = text.count("\n", 0, position) + 1
    return HermesError(f"{path}: line {line} is not valid JSON ({reason}); mend it")
