"""The picture in a server's reply: as base64, as a data URL, or behind an address."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from PIL import Image

from hermes.harness.models.served.wording import message_of
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.endpoint.client import short
from hermes.harness.system.errors import AskError, ImageError

BLACK, WHITE = (0, 0), (255, 255)


def of_endpoint(reply: Any) -> Image.Image | str:
    """The picture of the images endpoint's reply, or the address where it lies. Raises AskError where there is none."""
    try:
        found = reply["data"][0]
        data, url = found.get("b64_json"), found.get("url")
    except (AttributeError, IndexError, KeyError, TypeError):
        raise AskError(f"HTTP 200 without a picture ({short(reply)})", refused=True) from None
    if isinstance(data, str) and data:
        return decoded(_bytes(data))
    return _of_url(url, found)


def of_chat(reply: Any) -> Image.Image | str:
    """The first picture of a chat's reply (``images``, or parts of its content), or the address where it lies."""
    message, _ = message_of(reply)
    content = message.get("content")
    parts = [*(message.get("images") or []), *(content if isinstance(content, list) else [])]
    urls = [part.get("image_url") for part in parts if isinstance(part, Mapping)]
    url = next((one.get("url") if isinstance(one, Mapping) else one for one in urls if one), None)
    return _of_url(url, message)


def decoded(data: bytes) -> Image.Image:
    """The picture of a file's bytes. Raises AskError where it is none, or the empty one that safety filters leave."""
    try:
        prepared = ImageHandle(data, where="the picture of the reply").prepared()
    except ImageError as error:
        raise AskError(str(error)) from None
    extrema = set(prepared.picture.getextrema())
    if extrema == {BLACK} or (extrema == {WHITE} and "flattened" in prepared.changes):
        how = "black" if extrema == {BLACK} else "transparent"
        raise AskError(f"the picture is {how} throughout, as safety filters leave it", refused=True, again=False)
    return prepared.picture


def _of_url(url: Any, reply: Any) -> Image.Image | str:
    if not isinstance(url, str) or not url:
        raise AskError(f"HTTP 200 without a picture ({short(reply)})", refused=True)
    if url.startswith("data:"):
        return decoded(_bytes(url.partition(",")[2]))
    if not url.startswith(("http://", "https://")):
        raise AskError(f"the picture's address is not one of the web ({short(url)})", again=False)
    return url


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise AskError("the picture is not base64") from None
