"""Data as a script that a page loads from disk as well as from a server: no text in it can end the script."""

import json
from typing import Any

from pydantic_core import to_json

ESCAPES = {char.encode(): f"\\u{ord(char):04x}".encode() for char in "<>&\u2028\u2029"}


START = b"hermesData("


def script(name: str, payload: Any) -> bytes:
    """``hermesData("name", {...});`` in UTF-8. What is no finite number is null."""
    data = to_json(payload, inf_nan_mode="null")
    for mark, escaped in ESCAPES.items():
        data = data.replace(mark, escaped)
    return b"%s%s, %s);\n" % (START, json.dumps(name).encode(), data)
