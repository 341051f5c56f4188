"""Images as the harness passes them: decoded only when a model or a judge asks for the pixels."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from hermes.harness.errors import HermesError


@dataclass(frozen=True)
class ImageHandle:
    """One image, not yet decoded.

    ``source`` is a PIL image, encoded bytes, a path, or the mapping ``{"bytes": ..., "path": ...}`` that
    `datasets` uses. ``where`` names it in error messages.
    """

    source: Any
    where: str = "image"

    def open(self) -> Image.Image:
        """The pixels as RGB. Raises HermesError, naming the image, where they cannot be decoded."""
        source = self.source
        if isinstance(source, dict):
            source = source.get("bytes") or source.get("path")
        try:
            if isinstance(source, bytes):
                source = Image.open(io.BytesIO(source))
            elif isinstance(source, str | Path):
                source = Image.open(source)
            picture: Image.Image = source.convert("RGB")
            return picture
        except Exception as error:
            raise HermesError(
                f"{self.where}: the image does not decode ({error}); replace the file or remove the row"
            ) from None


def png_bytes(image: Image.Image) -> bytes:
    """The image as PNG; the same pixels always give the same bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def pixel_sha256(image: Image.Image) -> str:
    """A fingerprint of the pixels, independent of the file format."""
    rgb = image.convert("RGB")
    return hashlib.sha256(repr(rgb.size).encode() + rgb.tobytes()).hexdigest()


def image_handle(value: Any, where: str) -> ImageHandle:
    """The handle of an image column's value. Raises HermesError, naming the row, where there is none."""
    if value is None or value == "":
        raise HermesError(f"{where}: the image is empty; add the image or remove the row")
    return ImageHandle(value, where=where)
