"""Images as the harness passes them: decoded only when a model or a judge asks for the pixels."""

import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from PIL import Image, UnidentifiedImageError

from hermes.harness.records.pixels import Prepared, prepare, refuse_large, upright_size
from hermes.harness.records.sources import encoded, is_path, unwrapped
from hermes.harness.system.errors import HermesError, ImageError
from hermes.harness.system.failures import machine_failure
from hermes.harness.system.text import plain

LONGEST_REASON = 120
LONGEST_ERROR = 300

# What is wrong with a picture is an error of that picture, or it does not matter.
warnings.filterwarnings("ignore", module=r"PIL\.")


class CellPlace(NamedTuple):
    """A cell of a table in a file, from which `data.cells` reads it again.

    ``row`` counts from the start of the row ``group`` (parquet) or of the file (arrow), or is the byte at which the row
    begins (text). ``item`` is the place in a cell that holds a list.
    """

    table: Literal["parquet", "arrow", "text"]
    file: str
    column: str | int
    row: int
    group: int = 0
    item: int | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """An image in a table, read when it is called; ``name`` says which cell of which table it is.

    ``place`` is where others can read it later, None where it is in no file.
    """

    read: Callable[[], Any] = field(compare=False)
    name: str
    place: CellPlace | None = field(default=None, compare=False)

    def __call__(self) -> Any:
        return self.read()


@dataclass(frozen=True)
class ImageHandle:
    """One image, not yet decoded.

    ``source`` is a PIL image, encoded bytes, a path, base64 text, the mapping ``{"bytes": ..., "path": ...}`` that
    `datasets` uses, a list of one of these, or a function without arguments (mostly a `Cell`) that gives one of them.
    ``where`` names it in error messages. ``hashed`` is its sha256, where somebody has read it before.
    """

    source: Any
    where: str = "image"
    hashed: str = field(default="", compare=False)

    @property
    def name(self) -> str | None:
        """What tells this image from others without reading it: its path or its cell; None where it has neither."""
        if isinstance(self.source, Cell):
            return self.source.name
        source = unwrapped(self.source)
        return str(source) if is_path(source) else None

    def identity(self, pin: str | None = None) -> str:
        """The sha256 of the image; in a data set whose ``pin`` never changes, its place there, without reading it."""
        if pin is None:
            return self.sha256()
        return self._hash(checked=False) if self.name is None else f"{pin}#{self.name}"

    def open(self) -> Image.Image:
        """The pixels as RGB, as `pixels.prepare` makes them. Raises ImageError, naming the image, where it cannot."""
        return self.prepared().picture

    def prepared(self) -> Prepared:
        """The pixels as RGB, and what was done to get there. Raises ImageError, naming the image, where it cannot."""
        try:
            picture = self._header()
            refuse_large(picture)
            return prepare(picture)
        except Exception as error:
            raise self._broken(error) from None

    def size(self) -> tuple[int, int]:
        """Width and height, from the header alone. Raises ImageError where there is none."""
        try:
            return upright_size(self._header())
        except Exception as error:
            raise self._broken(error) from None

    def sha256(self) -> str:
        """A hash of the encoded bytes, or of the pixels where there is only a PIL image.

        Of encoded images only the header is read. Raises ImageError where it is not an image's.
        """
        return self._hash(checked=True)

    def _hash(self, checked: bool) -> str:
        if self.hashed:
            return self.hashed
        try:
            source = self._encoded()
            if not isinstance(source, bytes):
                return pixel_sha256(source)
            if checked:
                Image.open(io.BytesIO(source))
        except Exception as error:
            raise self._broken(error) from None
        return hashlib.sha256(source).hexdigest()

    def _header(self) -> Image.Image:
        source = self._encoded()
        return Image.open(io.BytesIO(source)) if isinstance(source, bytes) else source

    def _encoded(self) -> bytes | Image.Image:
        return encoded(self.source() if callable(self.source) else self.source)

    def _broken(self, error: Exception) -> Exception:
        """What to raise: an error of this image, unless the machine fails, which every other image would meet too."""
        if machine_failure(error, alone=True) and not isinstance(error, PermissionError):
            return error
        what = f"the image does not decode ({_reason(error)}); replace the file or remove the row"
        return ImageError(f"{plain(self.where, longest=LONGEST_ERROR - len(what) - 2)}: {what}")


def _reason(error: Exception) -> str:
    """Why an image does not decode, in one short line that is the same every time."""
    if isinstance(error, UnidentifiedImageError):
        return "no known picture format"
    if isinstance(error, OSError) and error.strerror:
        name = f": {error.filename}" if error.filename else ""
        return plain(f"{error.strerror}{name}", longest=LONGEST_REASON)
    return plain(str(error) or type(error).__name__, longest=LONGEST_REASON)


def header(data: bytes) -> Image.Image:
    """The picture of a file's bytes, not yet decoded: its format, mode and size. Raises what Pillow raises."""
    return Image.open(io.BytesIO(data))


def png_bytes(image: Image.Image) -> bytes:
    """The image as PNG; the same pixels always give the same bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def pixel_sha256(image: Image.Image) -> str:
    """A fingerprint of the pixels as `ImageHandle.open` gives them, independent of the file format."""
    rgb = prepare(image).picture
    return hashlib.sha256(repr(rgb.size).encode() + rgb.tobytes()).hexdigest()


def image_handle(value: Any, where: str) -> ImageHandle:
    """The handle of an image column's value. Raises HermesError, naming the row, where it is not one image."""
    source = unwrapped(value)
    if source is None or (isinstance(source, str | bytes | float) and (not source or source != source)):
        raise HermesError(f"{where}: the image is empty; add the image or remove the row")
    if isinstance(source, list | tuple):
        raise HermesError(f"{where}: the cell holds {len(source)} images, where one belongs; give a row for each")
    if not (isinstance(source, bytes | Image.Image | str) or is_path(source) or callable(source)):
        raise HermesError(f"{where}: the image is a {type(source).__name__}; give a path, bytes or base64 text")
    return ImageHandle(source, where=where)


def no_image() -> Any:
    """The source of an image that rows leave out, as they may where stored answers are scored."""
    raise FileNotFoundError("these rows have no images")
