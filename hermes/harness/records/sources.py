"""The forms in which others hand over a picture: paths, bytes, both in a mapping, lists of one, base64."""

import ast
import base64
import json
import re
import stat
from pathlib import Path
from typing import Any, TypeGuard

from PIL import Image

LONGEST_PATH = 4096
SHORTEST_BASE64 = 40
# How the base64 of PNG, JPEG, GIF, WebP, BMP and both kinds of TIFF begins.
BEGINNINGS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "Qk", "SUkq", "TU0A")
BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]+={0,2}\s*")
ADDRESS = re.compile(r"(https?|ftp|s3|gs|hf)://", re.IGNORECASE)


def unwrapped(value: Any) -> Any:
    """The path, bytes, base64 text or picture within lists of one and ``{"path", "bytes"}``, also written as text.

    None where these are empty. Whatever holds no single picture comes back as it is.
    """
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = _literal(value)
    if isinstance(value, dict) and {"bytes", "path"} & value.keys():
        data = value.get("bytes")
        if isinstance(data, str) and data:
            return data if _is_data(data) else f"data:;base64,{data}"
        return unwrapped(data or value.get("path"))
    if isinstance(value, list | tuple) and len(value) < 2:
        return unwrapped(value[0]) if value else None
    return bytes(value) if isinstance(value, bytearray | memoryview) else value


def is_path(value: Any) -> TypeGuard[str | Path]:
    """Whether this is a path, or text that is one: neither base64, nor an address, nor empty."""
    if isinstance(value, Path):
        return True
    return isinstance(value, str) and value != "" and not is_base64(value) and not ADDRESS.match(value)


def is_base64(text: str) -> bool:
    """Whether the text is a picture's bytes, not its name."""
    if _is_data(text) or len(text) > LONGEST_PATH:
        return True
    return text.startswith(BEGINNINGS) and len(text) >= SHORTEST_BASE64 and BASE64.fullmatch(text) is not None


def encoded(value: Any) -> bytes | Image.Image:
    """The bytes of the picture's file, or a PIL image as it is. Raises ValueError or OSError where there are none."""
    value = unwrapped(value)
    if is_path(value):
        return _regular(Path(value))
    if isinstance(value, str) and ADDRESS.match(value):
        raise ValueError("addresses are not opened; download the picture and give its path")
    if isinstance(value, str) and value:
        return _decoded(value)
    if not value and not isinstance(value, Image.Image):
        raise ValueError("it is empty")
    if isinstance(value, bytes | Image.Image):
        return value
    raise ValueError(f"{type(value).__name__} is no picture")


def _literal(text: str) -> Any:
    """The list or mapping that the text writes as JSON or Python does; the text itself where it is a file's name."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text


def _is_data(text: str) -> bool:
    return text[:5].lower() == "data:"


def _decoded(text: str) -> bytes:
    head, body = text.split(",", 1) if _is_data(text) and "," in text else ("", text)
    if head and not head.lower().endswith(";base64"):
        raise ValueError("a data: address without base64")
    body = "".join(body.split()).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except ValueError:
        raise ValueError("text that is neither a path nor base64") from None


def _regular(path: Path) -> bytes:
    """The bytes of a regular file; a pipe or a device might never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path} is no regular file")
    return path.read_bytes()
