"""JSON that a file holds, where whatever is wrong with the text is a ValueError."""

import json
from pathlib import Path
from typing import Any


def json_file(path: Path) -> Any:
    """The value. Raises OSError where the file cannot be read, ValueError for what is no JSON in UTF-8."""
    return json_value(path.read_bytes())


def json_value(text: bytes | str) -> Any:
    """The value of a text. Raises ValueError also for text in another encoding, and for nesting too deep to read."""
    try:
        return json.loads(text.decode() if isinstance(text, bytes) else text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
