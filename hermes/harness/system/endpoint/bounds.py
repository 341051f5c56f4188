"""What a reply of an endpoint may take: so many seconds from the question to its last byte, and so many bytes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import wait
from threading import Event, Thread
from typing import Any, TypeVar

T = TypeVar("T")
STEP = 0.1
GRACE = 1.0
"""Seconds for replies that are on their way, and paid for, when the command stops."""


class TooLarge(Exception):
    """A reply of more bytes than any answer has."""


class Background:
    """One event loop on a thread of its own: what runs there can be given up at any byte, which no thread can be."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T], seconds: float, stopped: Event) -> T:
        """What ``work`` gives. Raises TimeoutError after so many seconds, and soon after ``stopped`` is set."""
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), self._loop)
        while not wait([future], timeout=STEP).done:
            if stopped.is_set() and not wait([future], timeout=GRACE).done:
                future.cancel()
                raise TimeoutError
        return future.result()


def bounded_client(most_bytes: int) -> Any:
    """The SDK's own HTTP client, for replies of so many bytes at most. They come uncompressed, so that none grows."""
    from openai import DefaultAsyncHttpxClient

    async def bound(response: Any) -> None:
        _bound(response, most_bytes)

    return DefaultAsyncHttpxClient(event_hooks={"response": [bound]}, headers={"Accept-Encoding": "identity"})


def _bound(response: Any, most_bytes: int) -> None:
    """Have the reply's body end in TooLarge where it does not end before. Which httpx it is of is the SDK's affair."""
    stream = response.stream
    kind: Any = type(stream)

    class Bounded(kind):  # type: ignore[misc]
        def __init__(self) -> None:
            """Holds nothing of its own."""

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in stream:
                size += len(chunk)
                if size > most_bytes:
                    raise TooLarge
                yield chunk

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Bounded()
