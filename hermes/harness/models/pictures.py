"""Pictures of requests: exactly one each where a model takes no more, cut to squares, equal ones worked on once."""

from collections.abc import Callable
from typing import Generic, TypeVar

from PIL import Image

from hermes.harness.records.images import ImageHandle, pixel_sha256
from hermes.harness.records.types import Request
from hermes.harness.system.errors import HermesError

T = TypeVar("T")


def only_image(request: Request, who: str) -> ImageHandle:
    """The request's one image. Raises HermesError, naming the model ``who``, where it has none or several."""
    if len(request.images) != 1:
        raise HermesError(
            f"{request.sample_id}: {who} looks at exactly one image, this request has {len(request.images)}; "
            "leave the sample out or choose another model"
        )
    return request.images[0]


def centre_square(image: Image.Image, resolution: int) -> Image.Image:
    """The R x R RGB picture: the shorter side made R by PIL's bicubic filter, the centre cut out.

    The longer side is rounded down, a half pixel of offset to the even one. A picture of this size stays as it is.
    """
    rgb = image.convert("RGB")
    shorter = min(rgb.size)
    width, height = (resolution * side // shorter for side in rgb.size)
    resized = rgb.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - resolution) / 2), round((height - resolution) / 2)
    return resized.crop((left, top, left + resolution, top + resolution))


class Once(Generic[T]):
    """A function of pictures that is called once for equal ones; ``made`` are its results."""

    def __init__(self, make: Callable[[Image.Image], T]) -> None:
        self.make = make
        self.made: list[T] = []
        self._numbers: dict[str, int] = {}

    def __call__(self, handle: ImageHandle) -> T:
        return self.made[self.number(handle)]

    def number(self, handle: ImageHandle) -> int:
        """The place of the handle's result in ``made``."""
        picture = handle.open()
        key = pixel_sha256(picture)
        if key not in self._numbers:
            self._numbers[key] = len(self.made)
            self.made.append(self.make(picture))
        return self._numbers[key]
