"""Images as the harness passes them: decoded only when a model or a judge asks for the pixels."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from hermes.harness.errors import HermesError, ImageError


@dataclass(frozen=True)
class ImageHandle:
    """One image, not yet decoded.

    ``source`` is a PIL image, encoded bytes, a path, the mapping ``{"bytes": ..., "path": ...}`` that `datasets` uses,
    or a function without arguments that gives one of these. ``where`` names it in error messages.
    """

    source: Any
    where: str = "image"

    def open(self) -> Image.Image:
        """The pixels as RGB. Raises ImageError, naming the image, where they cannot be decoded."""
        try:
            source = self._encoded()
            if isinstance(source, bytes):
                source = Image.open(io.BytesIO(source))
            picture: Image.Image = source.convert("RGB")
            return picture
        except Exception as error:
            raise self._broken(error) from None

    def sha256(self) -> str:
        """A hash of the encoded bytes, or of the pixels where there is only a PIL image.

        Of encoded images only the header is read. Raises ImageError where it is that of no image.
        """
        try:
            source = self._encoded()
            if isinstance(source, bytes):
                Image.open(io.BytesIO(source))
        except Exception as error:
            raise self._broken(error) from None
        return hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else pixel_sha256(source)

    def _encoded(self) -> Any:
        """The bytes or the PIL image."""
        source = self.source() if callable(self.source) else self.source
        if isinstance(source, dict):
            source = source.get("bytes") or source.get("path")
        return Path(source).read_bytes() if isinstance(source, str | Path) else source

    def _broken(self, error: Exception) -> ImageError:
        return ImageError(f"{self.where}: the image does not decode ({error}); replace the file or remove the row")


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


def no_image() -> Any:
    """The source of an image that rows leave out, as they may where stored answers are scored."""
    raise FileNotFoundError("these rows hold no images")
