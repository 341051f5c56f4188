"""One question to an OpenAI-compatible chat endpoint: paced, retried, counted, and its failures told apart."""

import errno
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from hermes.harness.judges.endpoint.bounds import MOST_BYTES, Background, TooLarge, bounded_client
from hermes.harness.judges.endpoint.settings import EndpointSettings
from hermes.harness.judges.replies import asked, plain_reply
from hermes.harness.system.errors import HermesError, JudgeError
from hermes.harness.system.failures import machine_failure
from hermes.harness.system.processes import current

if TYPE_CHECKING:
    from tenacity import RetryCallState

MAX_TOKENS = 16
LONGEST_BACKOFF = 8.0
LONGEST_WAIT = 120.0


class AskError(JudgeError):
    """A question without a reply. ``refused``: the endpoint works, but not for this image and question.

    ``again``: another try may help, after ``wait`` seconds at least.
    """

    def __init__(self, reason: str, *, refused: bool = False, again: bool = True, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.refused = refused
        self.again = again
        self.wait = wait


class ChatClient:
    """Safe to use from many threads. ``requests`` counts every try; ``tokens_in`` and ``tokens_out`` what was paid."""

    def __init__(self, settings: EndpointSettings) -> None:
        from openai import AsyncOpenAI

        self.settings = settings
        self.requests = self.tokens_in = self.tokens_out = 0
        self._openai = AsyncOpenAI(
            api_key=settings.key,
            base_url=settings.address,
            timeout=settings.timeout,
            max_retries=0,
            http_client=bounded_client(),
        )
        self._background = Background()
        self._pace = Pace(settings.requests_a_minute)
        self._reached = False
        self._lock = Lock()

    def ask(self, image_url: str, question: str, stopped: Event) -> str:
        """The reply to a question about one image; see `complete`."""
        image = {"type": "image_url", "image_url": {"url": image_url}}
        return self.complete([image, {"type": "text", "text": asked(question)}], MAX_TOKENS, stopped)

    def complete(self, content: Any, max_tokens: int, stopped: Event) -> str:
        """The reply to one user message, never an empty one; gives up early once ``stopped`` is set.

        ``content`` is text, or the parts of a message as the API has them. Raises AskError where no try brought one,
        HermesError where no question will ever be answered: a wrong key, an unknown model, no server at the address.
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
            return tries(self._paced, content, max_tokens, stopped)
        except AskError as error:
            count = int(tries.statistics["attempt_number"])
            times = f" after {count} tries" if count > 1 else ""
            raise AskError(
                f"openai:{settings.model} at {settings.host}: {error}{times}", refused=error.refused
            ) from None

    def _paced(self, content: Any, max_tokens: int, stopped: Event) -> str:
        self._pace.wait(stopped)
        if stopped.is_set():
            raise AskError("not asked, since the command stops", again=False)
        return self._request(content, max_tokens, stopped)

    def _request(self, content: Any, max_tokens: int, stopped: Event) -> str:
        import openai

        work = self._openai.chat.completions.create(
            model=self.settings.model,
            messages=[{"role": "user", "content": content}],
            temperature=0.0,
            max_tokens=max_tokens,
        )
        try:
            completion: Any = self._background.run(work, self.settings.timeout, stopped)
        except TimeoutError:
            self._reached = True
            raise AskError(f"no whole reply within {self.settings.timeout:g} seconds") from None
        except TooLarge:
            self._reached = True
            raise AskError(f"a reply of more than {MOST_BYTES >> 20} MiB", again=False) from None
        except openai.APIStatusError as error:
            self._reached = True
            raise self._status_error(error) from None
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
            raise AskError(f"HTTP 200 with something unreadable ({_short(error)})") from None
        finally:
            with self._lock:
                self.requests += 1
        self._reached = True
        self._count(getattr(completion, "usage", None))
        return _content(completion)

    def _status_error(self, error: Any) -> HermesError:
        status, settings = error.status_code, self.settings
        reason = f"HTTP {status} ({_short(error.message)})"
        if status in (401, 403):
            return HermesError(f"openai:{settings.model} at {settings.host}: {reason}; check OPENAI_API_KEY")
        if status == 404:
            return HermesError(
                f"openai:{settings.model} at {settings.address}: {reason}; "
                "check the model's name and the address, which usually ends in /v1"
            )
        again = status in (408, 409, 429) or status >= 500
        return AskError(reason, refused=not again, again=again, wait=_retry_after(error.response.headers))

    def _count(self, usage: Any) -> None:
        with self._lock:
            self.tokens_in += _whole(getattr(usage, "prompt_tokens", 0))
            self.tokens_out += _whole(getattr(usage, "completion_tokens", 0))


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


def _content(completion: Any) -> str:
    """The text of the first choice. Raises AskError where there is none."""
    try:
        choice = completion.choices[0]
        message = choice.message
        content = message.content
    except (AttributeError, IndexError, KeyError, TypeError):
        raise AskError(f"HTTP 200 without an answer ({_short(completion)})") from None
    if not isinstance(content, str) or not plain_reply(content):
        empty = "HTTP 200 with an empty answer"
        if getattr(choice, "finish_reason", None) == "length":
            why = "its reasoning takes all tokens that a reply has; give a model that answers at once"
            raise AskError(f"{empty}: {why}", refused=True, again=False)
        refusal = getattr(message, "refusal", None)
        raise AskError(empty + (f" ({_short(refusal)})" if refusal else ""), refused=True)
    return content


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


def _short(message: object) -> str:
    """One line of at most 160 characters, for error messages."""
    text = " ".join(str(message).split())
    return text if len(text) <= 160 else text[:157] + "..."


def _whole(count: Any) -> int:
    return count if isinstance(count, int) else 0
