"""A request as the API's body, and a reply as text."""

import base64
import io
import re
from collections.abc import Mapping
from threading import Lock
from typing import Any

from PIL import Image

from hermes.harness.contracts.model import Said
from hermes.harness.models.served.reference import Way
from hermes.harness.records.types import Request
from hermes.harness.system.endpoint.client import short
from hermes.harness.system.errors import AskError
from hermes.harness.system.text import say

MAX_NEW_TOKENS = 256
SEEDS = 1 << 31
"""Some servers take no larger seed."""
SPARED = {"max_tokens": "max_completion_tokens", "temperature": "", "seed": "", "response_format": "", "modalities": ""}
"""What a server may refuse to be told, and under which other name it is told then; "": it is left out."""
UNTAKEN = re.compile(
    "unknown|unsupported|unrecogni[sz]ed|not support|unexpected|extra|not permitted|not allowed|additional",
    re.IGNORECASE,
)


def question(request: Request, model: str) -> dict[str, Any]:
    """The body of a question in words: pictures in order, then the prompt as it is; greedy unless told otherwise."""
    config = request.config
    sampled = bool(config.temperature)
    return _given(
        model=model,
        messages=[{"role": "user", "content": _content(request)}],
        max_tokens=MAX_NEW_TOKENS if config.max_new_tokens is None else config.max_new_tokens,
        temperature=config.temperature or 0.0,
        top_p=config.top_p,
        top_k=config.top_k,
        seed=request.seed % SEEDS if sampled else None,
    )


def wish(request: Request, model: str, way: Way) -> dict[str, Any]:
    """The body of a wish for one picture, in the chat with those that are to be changed.

    Size, steps and guidance are the server's own where the request has none.
    """
    config, side = request.config, request.config.image_size
    how = {"seed": request.seed % SEEDS, "guidance_scale": config.guidance_scale, "num_inference_steps": config.steps}
    if way == "endpoint":
        size = f"{side}x{side}" if side else None
        return _given(model=model, prompt=request.prompt, n=1, size=size, response_format="b64_json", **how)
    return _given(
        model=model,
        messages=[{"role": "user", "content": _content(request)}],
        modalities=["image", "text"],
        temperature=config.temperature,
        height=side,
        width=side,
        **how,
    )


class Spared:
    """What the server has refused to be told; it is left out from then on, which is said once for each."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._names: set[str] = set()
        self._lock = Lock()

    def fitted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body as the server takes it."""
        names = {name: SPARED[name] if name in self._names else name for name in body if name in SPARED}
        return {names.get(name, name): value for name, value in body.items() if names.get(name, name)}

    def learn(self, detail: str, sent: Mapping[str, Any]) -> bool:
        """Whether the refusal names something that can be left out."""
        found = {name for name in SPARED if name in sent and re.search(rf"\b{name}\b", detail)}
        if not found or not UNTAKEN.search(detail):
            return False
        with self._lock:
            new, self._names = found - self._names, self._names | found
        for name in sorted(new):
            other = f"{SPARED[name]} is sent instead" if SPARED[name] else "it is left out"
            say(f"{self._who} does not take {name}; {other}")
        return True


def message_of(reply: Any) -> tuple[Mapping[str, Any], str]:
    """The message of a chat's first choice, and why it ends. Raises AskError where there is none."""
    try:
        choice = reply["choices"][0]
        message, why = choice["message"], str(choice.get("finish_reason"))
        refusal = message.get("refusal")
    except (AttributeError, IndexError, KeyError, TypeError):
        raise AskError(f"HTTP 200 without an answer ({short(reply)})") from None
    if why == "content_filter" or refusal:
        raise AskError(f"refused by the server's filter ({short(refusal or why)})", refused=True, again=False)
    return message, why


def text_of(reply: Any) -> Said:
    """The text of a chat's first choice; an empty one is an answer, too. Raises AskError where there is none."""
    message, why = message_of(reply)
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
        content = "".join(map(str, texts)) if texts else None
    cut = why == "length"
    if content is None and cut:  # it was still reasoning, which other fields hold
        content = ""
    if not isinstance(content, str):
        raise AskError(f"HTTP 200 without a text ({short(message)})", refused=True)
    return Said(content.encode(errors="replace").decode(), truncated=cut)


def _given(**body: Any) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _content(request: Request) -> Any:
    if not request.images:
        return request.prompt
    pictures = [{"type": "image_url", "image_url": {"url": _data_url(handle.open())}} for handle in request.images]
    return [*pictures, {"type": "text", "text": request.prompt}]


def _data_url(picture: Image.Image) -> str:
    """The pixels as they are, in a PNG that is quick to write rather than small."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
