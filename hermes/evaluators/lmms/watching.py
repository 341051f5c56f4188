"""What a task's scorer hides: calls of its judge that failed, and complaints in its log after which it goes on with 0.

lmms-eval's scorers catch whatever their judge's client raises and give 0. So every POST that goes out through one of
CLIENTS, which OpenAI's, Google's and Anthropic's packages use, is looked at: one that failed, or came back with an HTTP
error, and was not followed by the same request with success, is a failed judge. So is an error in the log behind which
the same was not asked again: a key that is missing, a reply without what was wanted.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

CLIENTS = (
    ("httpx", "Client"),
    ("httpx", "AsyncClient"),
    ("httpx2", "Client"),
    ("httpx2", "AsyncClient"),
    ("requests", "Session"),
)
UNREAD = re.compile(r"could not (?:be )?pars|failed to parse|guess a value", re.IGNORECASE)
LONGEST = 200


@dataclass
class Heard:
    """What went out and what the log said, in order. A call is (what was asked, why it failed or None)."""

    calls: list[tuple[str, str | None]] = field(default_factory=list)
    complaints: list[tuple[str, str, int]] = field(default_factory=list)
    """(level, what was said, how many calls there were before)."""

    def forget(self) -> None:
        """Begin anew."""
        self.calls.clear()
        self.complaints.clear()

    @property
    def failed(self) -> str | None:
        """Why a call failed for good, None where none did."""
        last = dict(self.calls)
        return next((why for why in last.values() if why is not None), None)

    @property
    def error(self) -> str | None:
        """As ``failed``, or what the scorer said of an error that it did not mend by asking again."""
        return self.failed or next((said for level, said in self._unmended() if level == "ERROR"), None)

    @property
    def unread(self) -> str | None:
        """What the scorer said of a reply that it could not read at last, None where it read all."""
        return next((said for _, said in self._unmended() if UNREAD.search(said)), None)

    def _unmended(self) -> Iterator[tuple[str, str]]:
        for level, said, before in self.complaints:
            again = 0 < before < len(self.calls) and self.calls[before][0] == self.calls[before - 1][0]
            if not again:
                yield level, said


@contextmanager
def watched() -> Iterator[Heard]:
    """Hear all that goes out and all that is complained about while the block runs."""
    from loguru import logger

    heard = Heard()

    def listen(message: Any) -> None:
        level = "ERROR" if message.record["level"].no >= logger.level("ERROR").no else "WARNING"
        heard.complaints.append((level, _short(message.record["message"]), len(heard.calls)))

    sink = logger.add(listen, level="WARNING")
    try:
        with ExitStack() as stack:
            for module, name in CLIENTS:
                if find_spec(module):
                    client = getattr(import_module(module), name)
                    way = _heard_later if name.startswith("Async") else _heard
                    stack.enter_context(_replaced(client, way(client.send, heard)))
            yield heard
    finally:
        logger.remove(sink)


@contextmanager
def _replaced(client: Any, send: Callable[..., Any]) -> Iterator[None]:
    own = client.send
    client.send = send
    try:
        yield
    finally:
        client.send = own


def _heard(send: Callable[..., Any], heard: Heard) -> Callable[..., Any]:
    def sent(client: Any, request: Any, **how: Any) -> Any:
        try:
            reply = send(client, request, **how)
        except Exception as error:
            _note(heard, request, None, error)
            raise
        _note(heard, request, reply)
        return reply

    return sent


def _heard_later(send: Callable[..., Any], heard: Heard) -> Callable[..., Any]:
    async def sent(client: Any, request: Any, **how: Any) -> Any:
        try:
            reply = await send(client, request, **how)
        except Exception as error:
            _note(heard, request, None, error)
            raise
        _note(heard, request, reply)
        return reply

    return sent


def _note(heard: Heard, request: Any, reply: Any, error: Exception | None = None) -> None:
    """What a request to a judge came to; others, as for a list of models, may fail."""
    if request.method != "POST":
        return
    asked = hashlib.sha256(f"{request.url}\0".encode() + _body(request)).hexdigest()
    why = None
    if error is not None:
        why = f"{request.url} cannot be asked ({type(error).__name__}: {error})"
    elif reply.status_code >= 400:
        why = f"{request.url} answered HTTP {reply.status_code}"
    heard.calls.append((asked, why and _short(why)))


def _body(request: Any) -> bytes:
    """What is sent; nothing of a body that is sent as a stream."""
    try:
        body = request.content if hasattr(type(request), "content") else request.body
    except RuntimeError:
        return b""
    return body if isinstance(body, bytes) else str(body or "").encode()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
