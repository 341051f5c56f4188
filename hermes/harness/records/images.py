"""Images as the harness passes them: decoded only when a model or a judge asks for the pixels."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from hermes.harness.system.errors import HermesError, ImageError
from hermes.harness.system.failures import machine_failure


@dataclass(frozen=True, slots=True)
class Cell:
    """An image in a table, read when it is called; ``name`` says which cell of which table it is."""

    read: Callable[[], Any] = field(compare=False)
    name: str

    def __call__(self) -> Any:
        return self.read()


@dataclass(frozen=True)
class ImageHandle:
    """One image, not yet decoded.

    ``source`` is a PIL image, encoded bytes, a path, the mapping ``{"bytes": ..., "path": ...}`` that `datasets` uses,
    or a function without arguments (mostly a `Cell`) that gives one of these. ``where`` names it in error messages.
    """

    source: Any
    where: str = "image"

    @property
    def name(self) -> str | None:
        """What tells this image from others without reading it: its path or its cell; None where it has neither."""
        if isinstance(self.source, str | Path):
            return str(self.source)
        return self.source.name if isinstance(self.source, Cell) else None

    def identity(self, pin: str | None = None) -> str:
        """The sha256 of the image; in a data set whose ``pin`` never changes, its place there, without reading it."""
        if pin is None:
            return self.sha256()
        return self._hash(checked=False) if self.name is None else f"{pin}#{self.name}"

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

        Of encoded images only the header is read. Raises ImageError where it is not an image's.
        """
        return self._hash(checked=True)

    def _hash(self, checked: bool) -> str:
        try:
            source = self._encoded()
            if not isinstance(source, bytes):
                return pixel_sha256(source)
            if checked:
                Image.open(io.BytesIO(source))
        except Exception as error:
            raise self._broken(error) from None
        return hashlib.sha256(source).hexdigest()

    def _encoded(self) -> Any:
        """The bytes or the PIL image."""
        source = self.source() if callable(self.source) else self.source
        if isinstance(source, dict):
            source = source.get("bytes") or source.get("path")
        return Path(source).read_bytes() if isinstance(source, str | Path) else source

    def _broken(self, error: Exception) -> Exception:
        """What to raise: an error of this image, unless the machine fails, which every other image would meet too."""
        if machine_failure(error, alone=True) and not isinstance(error, PermissionError):
            return error
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
    raise FileNotFoundError("these rows have no images")
