"""Any OpenAI-compatible endpoint as a judge: many questions at once, each reply stored at once and paid for once."""

import atexit
import base64
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event, Lock
from typing import ClassVar
from urllib.parse import quote

from PIL import Image

from hermes.harness.contracts.judge import Detections, Weighed
from hermes.harness.judges.endpoint.client import ChatClient
from hermes.harness.judges.endpoint.store import ReplyStore
from hermes.harness.judges.replies import PROMPT_VERSION, WORDING, is_plain, plain_reply, writable
from hermes.harness.records.images import pixel_sha256, png_bytes
from hermes.harness.system.cache import cache_folder
from hermes.harness.system.endpoint.settings import EndpointSettings, read_settings
from hermes.harness.system.errors import AskError, HermesError, JudgeError
from hermes.harness.system.text import remark

FAILURES_IN_A_ROW = 8
FIRST, WRITTEN = "first-tokens1", "write1"
"""Name the ways in which `weigh` and `write` ask, as WORDING names that of `answer`."""
Ask = Callable[[str, str, Event], str]
"""The reply to a question about the image of a data URL, for the store."""


class EndpointJudge:
    """Greedy short answers of the model behind ``settings``; see `settings` for the name and the variables."""

    description: ClassVar[str] = "any OpenAI-compatible endpoint: openai:MODEL or openai:MODEL@http://HOST:PORT/v1"
    extra: ClassVar[str | None] = "api"
    packages: ClassVar[tuple[str, ...]] = ("openai", "tenacity")
    abilities: ClassVar[tuple[str, ...]] = ("answer", "weigh", "write")
    needs_model: ClassVar[bool] = False

    def __init__(self, settings: EndpointSettings) -> None:
        self.settings = settings
        self.identity = f"openai-{settings.model}@{settings.host}-{PROMPT_VERSION}"
        self._client = ChatClient(settings)
        self._store = ReplyStore(replies_file(settings.model))
        self._paid: set[str] = set()
        self._used: dict[str, set[str]] = defaultdict(set)
        self._failed: set[str] = set()
        self._lock = Lock()

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for a missing model, address or key; the endpoint itself is not asked."""
        read_settings(argument)

    @classmethod
    def load(cls, argument: str | None, device: str) -> "EndpointJudge":
        """The judge of "openai:<argument>"; what it cost is printed when the command ends."""
        judge = cls(read_settings(argument))
        atexit.register(judge.print_usage)
        return judge

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        """One answer for each (image, question); raises what `replies` raises."""
        return [plain_reply(text) for text in self.replies(images, questions)]

    def replies(self, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        """What the endpoint says to each (image, question), from the store where it holds the reply.

        Raises JudgeError where a question got no reply; the others are asked nevertheless, and stored. Raises
        HermesError, and asks no more, where the endpoint cannot answer at all: see `EndpointClient.ask`, or eight
        failures in a row, counted over questions where the endpoint fails and over images where it refuses.
        """
        return self._told(WORDING, images, questions, self._client.ask_about)

    def weigh(
        self, images: Sequence[Image.Image], questions: Sequence[str], spellings: Sequence[Collection[str]]
    ) -> list[Weighed]:
        """The probabilities of the twenty most probable first tokens; raises what `replies` raises."""
        return [_weighed(text) for text in self._told(FIRST, images, questions, self._client.first_tokens)]

    def write(
        self, images: Sequence[Image.Image], texts: Sequence[str], system: str, max_tokens: int, attempt: int
    ) -> list[str]:
        """The replies to the texts, each before its image; raises what `replies` raises."""

        def ask(url: str, text: str, stopped: Event) -> str:
            return self._client.write_about(url, text, system, max_tokens, stopped)

        return self._told(f"{WRITTEN}\0{attempt}\0{max_tokens}\0{system}", images, texts, ask)

    def _told(self, form: str, images: Sequence[Image.Image], questions: Sequence[str], ask: Ask) -> list[str]:
        """What the endpoint says to each; ``form`` names the way in which ``ask`` asks."""
        distinct = {id(image): image for image in images}
        hashes = {number: pixel_sha256(image) for number, image in distinct.items()}
        pairs = list(zip(images, questions, strict=True))
        keys = [self._key(form, hashes[id(image)], question) for image, question in pairs]
        missing = {
            key: (image, question) for key, (image, question) in zip(keys, pairs, strict=True) if key not in self._store
        }
        error = self._ask_all(missing, hashes, ask) if missing else None
        self._used[form].update(key for key in keys if key in self._store)
        if error is not None:
            raise JudgeError(str(error))
        return [writable(self._store[key]) for key in keys]

    def detect(self, images: Sequence[Image.Image], colored: Sequence[Collection[str]]) -> list[Detections]:
        raise HermesError("the judge 'openai' cannot detect objects; use --judge mask2former")

    def usage(self) -> str:
        """What was asked and what it cost, in one line."""
        parts = self._client.usage()
        used = set[str]().union(*self._used.values())
        parts.append(f"stored replies used: {len(used - self._paid):,}")
        if WORDING in self._used:
            strange = sum(not is_plain(plain_reply(self._store[key])) for key in self._used[WORDING])
            parts.append(f"neither yes nor no: {strange:,}")
        return f"judge openai:{self.settings.model}: {'; '.join(parts)}"

    def print_usage(self) -> None:
        """Write `usage` to stderr if anything was asked."""
        if self._used or self._client.requests:
            remark(self.usage())

    def _key(self, form: str, image_sha256: str, question: str) -> str:
        parts = (self.settings.model, self.settings.address, form, image_sha256, question)
        return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()

    def _ask_all(
        self, missing: dict[str, tuple[Image.Image, str]], hashes: dict[int, str], ask: Ask
    ) -> AskError | None:
        """Ask and store all; returns the first failure that leaves the endpoint in use, and raises any other."""
        stopped = Event()
        first: AskError | None = None
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            try:
                urls: dict[str, Future[str]] = {}
                jobs: list[Future[None]] = []
                for key, (image, question) in missing.items():
                    sha256 = hashes[id(image)]
                    if sha256 not in urls:
                        urls[sha256] = pool.submit(_data_url, image)
                    jobs.append(pool.submit(self._ask, key, sha256, urls[sha256], question, stopped, ask))
                for job in as_completed(jobs):
                    error = job.exception()
                    if isinstance(error, AskError):
                        first = first or error
                    elif error is not None:
                        raise error
            except BaseException:
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return first

    def _ask(self, key: str, sha256: str, url: "Future[str]", question: str, stopped: Event, ask: Ask) -> None:
        """Ask one question and store the reply; what would fail every question sets ``stopped`` first."""
        try:
            reply = ask(url.result(), question, stopped)
            self._store.put(key, reply, model=self.settings.model, image=sha256, question=question)
        except AskError as error:
            if not stopped.is_set() and self._is_down(error, key, sha256):
                stopped.set()
                raise HermesError(
                    f"{error}; {FAILURES_IN_A_ROW} questions in a row failed: fix the endpoint and give the same "
                    "command again, which continues from what is stored"
                ) from None
            raise
        except HermesError:
            stopped.set()
            raise
        with self._lock:
            self._paid.add(key)
            self._failed.clear()

    def _is_down(self, error: AskError, key: str, sha256: str) -> bool:
        """Whether this was the eighth failure in a row; all that is refused of one image counts once."""
        with self._lock:
            self._failed.add(sha256 if error.refused else key)
            return len(self._failed) >= FAILURES_IN_A_ROW


def replies_file(model: str) -> Path:
    """Where the replies of a model are kept, whatever its address."""
    return cache_folder() / "judges" / f"{quote(model, safe='')}.jsonl"


def _data_url(image: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(image.convert("RGB"))).decode()


def _weighed(text: str) -> Weighed:
    """What is stored of the first tokens, as probabilities."""
    tokens: dict[str, float] = {}
    for token, logprob in json.loads(text):
        tokens[token] = tokens.get(token, 0.0) + math.exp(logprob)
    return {"tokens": tokens, "rest": max(0.0, 1.0 - sum(tokens.values())), "pieces": None}
