"""From what a picture's file holds to the RGB that every model and every judge sees: one way, described here."""

import os
from dataclasses import dataclass
from typing import Any, Literal, get_args

from PIL import Image

Change = Literal["rotated", "flattened", "scaled"]
CHANGES: tuple[Change, ...] = get_args(Change)
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIXTEEN_BITS = 65535
MOST_PIXELS = 178_956_970
LIMIT = "HERMES_MAX_PIXELS"

# The limit below counts as an error of one picture; PIL's own would be a warning on the screen, or an exception that
# some of its formats raise only while they decode.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture in RGB without anything attached, and what had to be done for that beyond a plain conversion."""

    picture: Image.Image
    changes: tuple[Change, ...]


def prepare(picture: Image.Image) -> Prepared:
    """The picture as a viewer shows it on a white page.

    - rotated: turned or mirrored as its EXIF (or XMP) orientation says. EXIF data that cannot be read says nothing.
    - flattened: transparent pixels are laid on white, as the image processors of transformers do.
    - scaled: greys of 16 or 32 bits and floats become 0..255. White is 65535 for 16 bits; where the format does not
      say what is white, it is the first of 1 (floats alone), 255 and 65535 that no value exceeds. Values below 0 or
      above 65535 are stretched from the lowest to the highest.

    Palettes, CMYK and all else are what PIL's ``convert("RGB")`` makes of them, and RGB stays as it is to the bit. Of
    several frames the first counts. Raises ValueError for floats that are not finite, and what PIL raises.
    """
    # PIL turns TIFF itself while it loads; elsewhere the orientation may stand behind the pixels.
    turn = _orientation(picture) if picture.format == "TIFF" else None
    picture.load()
    left = _orientation(picture)
    changes: list[Change] = ["rotated"] if turn or left else []
    if picture.mode == "F" or picture.mode.startswith("I"):
        picture, done = _eight_bits(picture)
        changes += done
    elif picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema() != (255, 255):
            changes.append("flattened")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    rgb: Image.Image = picture.convert("RGB")
    if left:
        rgb = rgb.transpose(TURNS[left])
    rgb.info = {}  # An orientation that stays attached would be applied again by the next who looks.
    return Prepared(rgb, tuple(changes))


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height as ``prepare`` leaves them, without decoding the pixels."""
    width, height = picture.size
    behind = picture.format == "PNG" and "exif" not in picture.info  # PIL would decode the pixels to look there
    return (width, height) if behind or (_orientation(picture) or 0) < 5 else (height, width)


def refuse_large(picture: Image.Image) -> None:
    """Raise ValueError for a picture, not yet decoded, of more pixels than MOST_PIXELS or HERMES_MAX_PIXELS."""
    given = os.environ.get(LIMIT, "")
    limit = int(given) if given.isdecimal() else MOST_PIXELS
    width, height = picture.size
    if width * height > limit:
        raise ValueError(f"{width} x {height} pixels are more than the {limit} of {LIMIT}")


def _orientation(picture: Image.Image) -> int | None:
    """The orientation that asks for a turn."""
    try:
        found = picture.getexif().get(ORIENTATION)
    except Exception:  # PIL raises anything for damaged EXIF data, which viewers pass over
        return None
    return found if found in TURNS else None


def _eight_bits(picture: Image.Image) -> tuple[Image.Image, list[Change]]:
    import numpy as np

    values: Any = np.asarray(picture).astype(np.float64 if picture.mode == "I" else np.float32)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    low, high = _black_and_white(picture, float(values.min()), float(values.max()))
    grey = np.rint((values - low) * (255 / (high - low or 1))).astype(np.uint8)
    changes: list[Change] = ["scaled"] if (low, high) != (0, 255) else []
    clear = values == picture.info.get("transparency")
    if clear.any():
        grey[clear] = 255
        changes.insert(0, "flattened")
    return Image.fromarray(grey), changes


def _black_and_white(picture: Image.Image, low: float, high: float) -> tuple[float, float]:
    """The values that become 0 and 255, where ``low`` and ``high`` are the lowest and the highest."""
    if picture.mode.startswith("I;16") or picture.format in ("PNG", "PPM"):
        return 0, SIXTEEN_BITS
    whites = (1, 255, SIXTEEN_BITS) if picture.mode == "F" else (255, SIXTEEN_BITS)
    white = next((white for white in whites if high <= white), None)
    return (low, high) if low < 0 or white is None else (0, white)
