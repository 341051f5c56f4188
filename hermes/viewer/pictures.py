"""Pictures as a browser shows them, each known by its content; none is served that no page was told of."""

import hashlib
import io
from typing import Any

from PIL import Image

from hermes.harness.records.images import ImageHandle, header, png_bytes
from hermes.harness.records.pixels import refuse_large, upright_size
from hermes.harness.records.sources import encoded
from hermes.harness.system.errors import ImageError
from hermes.harness.system.text import plain

KINDS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif"}
"""The formats that every browser shows, and their suffixes."""
TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "gif": "image/gif"}
PIXELS = 1600  # The longest side of a picture on a page.
JPEG_QUALITY = 85
LONGEST = 200


class Pictures:
    """Pictures that pages were told of."""

    def __init__(self) -> None:
        self._known: dict[str, ImageHandle] = {}

    def shown(self, handle: ImageHandle) -> dict[str, Any]:
        """Address, width and height of a picture as it is stored, or why it is missing."""
        try:
            data = _data(handle)
            head = header(data)
            refuse_large(head)
            width, height = upright_size(head)
        except Exception as error:
            return {"missing": plain(_reason(error), longest=LONGEST)}
        kind = KINDS.get(head.format or "", "jpg") if max(width, height) <= PIXELS else "jpg"
        name = f"{_content(data)}.{kind}"
        self._known[name] = handle
        return {"src": f"media/{name}", "width": width, "height": height}

    def file(self, name: str) -> tuple[bytes, str] | None:
        """Content and media type of a picture; None where no page was told of it, or where it is gone or another."""
        handle = self._known.get(name)
        if handle is None:
            return None
        content, _, kind = name.rpartition(".")
        try:
            data = _data(handle)
            if _content(data) != content:
                return None
            if KINDS.get(header(data).format or "") != kind or kind == "jpg":
                data = _jpeg(handle, data)
        except (ImageError, OSError, ValueError):
            return None
        return data, TYPES[kind]

    def names(self) -> list[str]:
        """All pictures that pages were told of so far."""
        return list(self._known)

    def forget(self) -> None:
        """Begin anew, as if no page had been told of any."""
        self._known.clear()


def _data(handle: ImageHandle) -> bytes:
    found = encoded(handle.source() if callable(handle.source) else handle.source)
    return found if isinstance(found, bytes) else png_bytes(found)


def _content(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]


def _jpeg(handle: ImageHandle, data: bytes) -> bytes:
    """A JPEG of no more than PIXELS a side; one that is small enough stays as it is."""
    head = header(data)
    if head.format == "JPEG" and head.mode in ("RGB", "L") and max(head.size) <= PIXELS:
        return data
    picture = handle.open()
    picture.thumbnail((PIXELS, PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{error.filename or error} is no longer there"
    return str(error) or type(error).__name__
