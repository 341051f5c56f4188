"""Questions to an OpenAI-compatible endpoint: paced, tried again, counted, and their failures told apart."""

import errno
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from email.utils import parsedate_to_datetime
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from hermes.harness.system.endpoint.bounds import Background, TooLarge, bounded_client
from hermes.harness.system.endpoint.settings import EndpointSettings, is_local
from hermes.harness.system.errors import AskError, HermesError
from hermes.harness.system.failures import machine_failure
from hermes.harness.system.processes import current

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
LONGEST_BACKOFF = 8.0
LONGEST_WAIT = 120.0
MOST_BYTES = 1 << 22
MOST_DETAIL = 4000
LOOK = 30.0
"""Seconds for a reply to something that costs nothing."""


class EndpointClient:
    """Safe to use from many threads. ``requests`` counts every try; ``tokens_in`` and ``tokens_out`` what was paid.

    A reply has ``most_bytes`` at most.
    """

    def __init__(self, settings: EndpointSettings, most_bytes: int = MOST_BYTES) -> None:
        from openai import AsyncOpenAI

        self.settings = settings
        self.requests = self.tokens_in = self.tokens_out = 0
        self._most_bytes = most_bytes
        self._http = bounded_client(most_bytes)
        self._openai = AsyncOpenAI(
            api_key=settings.key,
            base_url=settings.address,
            timeout=settings.timeout,
            max_retries=0,
            http_client=self._http,
        )
        self._background = Background()
        self._pace = Pace(settings.requests_a_minute)
        self._reached = False
        self._lock = Lock()

    def ask(self, question: Callable[[Any], Coroutine[Any, Any, Any]], read: Callable[[Any], T], stopped: Event) -> T:
        """What ``read`` finds in the reply to a question; gives up early once ``stopped`` is set.

        ``question`` gets the SDK's client and gives the call to await; ``read`` raises AskError for a reply that is
        none. Raises AskError where no try brought one, HermesError where no question will ever be answered: a wrong
        key, an unknown model, no server at the address.
        """
        from tenacity import Retrying, retry_if_exception, sleep_using_event, stop_after_attempt, stop_when_event_set

        settings = self.settings
        tries = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, AskError) and error.again),
            stop=stop_after_attempt(settings.retries + 1) | stop_when_event_set(stopped),
            wait=_wait(settings.backoff),
            sleep=sleep_using_event(stopped),
            reraise=True,
        )
        try:
            found: T = tries(self._paced, question, read, stopped)
            return found
        except AskError as error:
            count = int(tries.statistics["attempt_number"])
            times = f" after {count} tries" if count > 1 else ""
            raise AskError(
                f"openai:{settings.model} at {settings.host}: {error}{times}",
                refused=error.refused,
                detail=error.detail,
            ) from None

    def fetch(self, url: str, read: Callable[[bytes], T], stopped: Event) -> T:
        """What ``read`` finds in a file that a reply names, which is fetched without the key and not from elsewhere.

        A server of the open net may not name one of the private network. Raises what `ask` raises.
        """

        async def fetched(_: Any) -> bytes:
            try:
                response = await self._http.get(url, follow_redirects=False)
            except (TooLarge, HermesError):
                raise
            except Exception as error:  # of the HTTP client below the SDK
                raise AskError(
                    f"the file at {host} cannot be fetched ({short(error) or type(error).__name__})"
                ) from None
            if response.status_code != 200:
                again = response.status_code == 429 or response.status_code >= 500
                raise AskError(f"the file at {host} cannot be fetched (HTTP {response.status_code})", again=again)
            return bytes(response.content)

        try:
            host = urlsplit(url).hostname or ""
        except ValueError:
            host = ""
        if not host or (is_local(host) and not is_local(urlsplit(self.settings.address).hostname or "")):
            raise AskError(f"the reply names a file that may not be fetched ({short(url)})", again=False)
        return self.ask(fetched, read, stopped)

    def look(self, question: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        """The reply to something that costs nothing, asked once; the SDK's error where the server refuses it.

        Raises HermesError where no server answers, AskError where it answers late or strangely.
        """
        import openai

        async def looked() -> Any:
            try:
                return await question(self._openai)
            except openai.APIStatusError as error:
                return error

        return self._request(looked(), Event(), min(LOOK, self.settings.timeout))

    def usage(self) -> list[str]:
        """What was asked and what it cost, in a few words each."""
        parts = [f"requests: {self.requests:,}", f"tokens: {self.tokens_in:,} in, {self.tokens_out:,} out"]
        if (price := self.settings.price) is not None:
            dollars = (self.tokens_in * price[0] + self.tokens_out * price[1]) / 1e6
            parts.append(f"cost: ${dollars:.4f}")
        return parts

    def _paced(
        self, question: Callable[[Any], Coroutine[Any, Any, Any]], read: Callable[[Any], T], stopped: Event
    ) -> T:
        self._pace.wait(stopped)
        if stopped.is_set():
            raise AskError("not asked, since the command stops", again=False)
        reply = self._request(question(self._openai), stopped, self.settings.timeout)
        self._count(reply)
        return read(reply)

    def _request(self, work: Coroutine[Any, Any, Any], stopped: Event, seconds: float) -> Any:
        import openai

        try:
            reply = self._background.run(work, seconds, stopped)
        except TimeoutError:
            self._reached = True
            raise AskError(f"no whole reply within {seconds:g} seconds") from None
        except TooLarge:
            self._reached = True
            raise AskError(f"a reply of more than {self._most_bytes >> 20} MiB", again=False) from None
        except openai.APIStatusError as error:
            self._reached = True
            raise self.status_error(error) from None
        except openai.APIConnectionError as error:
            if out_of_files := next((cause for cause in _causes(error) if _is_out_of_files(cause)), None):
                raise HermesError(str(machine_failure(out_of_files))) from None
            if not self._reached and _no_server(error):
                raise HermesError(
                    f"openai:{self.settings.model}: no server answers at {self.settings.address}; "
                    "start the server or correct the address"
                ) from None
            raise AskError(error.message.rstrip(".").lower()) from None
        except (openai.OpenAIError, ValueError) as error:
            raise AskError(f"HTTP 200 with something unreadable ({short(error)})") from None
        finally:
            with self._lock:
                self.requests += 1
        self._reached = True
        return reply

    def status_error(self, error: Any) -> HermesError:
        """What to raise for a status that is an error, the SDK's exception."""
        status, settings = error.status_code, self.settings
        reason = f"HTTP {status} ({short(error.message)})"
        if status in (401, 403):
            return HermesError(f"openai:{settings.model} at {settings.host}: {reason}; check OPENAI_API_KEY")
        if status == 404:
            return HermesError(
                f"openai:{settings.model} at {settings.address}: {reason}; "
                "check the model's name and the address, which usually ends in /v1"
            )
        again = status in (408, 409, 429) or status >= 500
        wait = _retry_after(error.response.headers)
        return AskError(reason, refused=not again, again=again, wait=wait, detail=str(error.message)[:MOST_DETAIL])

    def _count(self, reply: Any) -> None:
        """Add up what a reply says that it has cost; of pictures some servers say it in other words."""
        usage = _field(reply, "usage")
        with self._lock:
            self.tokens_in += _whole(_field(usage, "prompt_tokens") or _field(usage, "input_tokens"))
            self.tokens_out += _whole(_field(usage, "completion_tokens") or _field(usage, "output_tokens"))


def _wait(backoff: float) -> "Callable[[RetryCallState], float]":
    """The waits between tries: doubling from ``backoff`` seconds on, and as long as the server asks for."""
    from tenacity import wait_exponential

    doubling = wait_exponential(multiplier=backoff, max=LONGEST_BACKOFF)

    def wait(state: "RetryCallState") -> float:
        failure = state.outcome.exception() if state.outcome else None
        return max(doubling(state), failure.wait if isinstance(failure, AskError) else 0.0)

    return wait


class Pace:
    """Lets this many requests a minute through, evenly spaced; each of several processes gets its share."""

    def __init__(self, requests_a_minute: float | None) -> None:
        self._gap = 60.0 * current().world / requests_a_minute if requests_a_minute else 0.0
        self._next = 0.0
        self._lock = Lock()

    def wait(self, stopped: Event) -> None:
        """Return when the next request may go, or when ``stopped`` is set."""
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        stopped.wait(turn - now)


def _no_server(error: BaseException) -> bool:
    """Whether the connection was refused or the host is unknown, as the standard library says it at the bottom."""
    from socket import gaierror

    return any(isinstance(cause, ConnectionRefusedError | gaierror) for cause in _causes(error))


def _is_out_of_files(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what led to it."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):  # one connection tried several addresses
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or error.__context__


def _retry_after(headers: Any) -> float:
    """Seconds that the server asks to wait (RFC 9110, 10.2.3: a number or a date), two minutes at most; else 0."""
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT) if seconds == seconds else 0.0


def short(message: object) -> str:
    """One line of at most 160 characters, for error messages."""
    text = " ".join(str(message).split())
    return text if len(text) <= 160 else text[:157] + "..."


def _field(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, Mapping) else getattr(record, name, None)


def _whole(count: Any) -> int:
    return count if isinstance(count, int) else 0
