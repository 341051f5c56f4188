"""Any model behind an OpenAI-compatible server as a model: asked many things at once, answered as replies come."""

import atexit
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any, ClassVar, TypeVar

from PIL import Image

from hermes.harness.contracts.model import Arrivals, Both, Said, Wanted
from hermes.harness.models.served import pictures
from hermes.harness.models.served.reference import Reference, read_reference
from hermes.harness.models.served.sameness import Sameness
from hermes.harness.models.served.server import Server, look
from hermes.harness.models.served.wording import Spared, question, text_of, wish
from hermes.harness.models.source import Source
from hermes.harness.records.types import Ability, ModelInfo, Request
from hermes.harness.system.endpoint.bounds import GRACE
from hermes.harness.system.endpoint.client import EndpointClient
from hermes.harness.system.errors import AskError, HermesError
from hermes.harness.system.text import remark, say

T = TypeVar("T")
MOST_BYTES = 1 << 26
PATHS = {"chat": "/chat/completions", "endpoint": "/images/generations"}


class ServedModel:
    """Questions go to the chat with their pictures; pictures come from the images endpoint, or from the chat.

    What a request does not name (temperature of pictures, steps, guidance, size) is the server's own. Of a server that
    does not take a seed, the same command may bring other answers; those that are stored stay.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation", "editing")
    parameters: ClassVar[str] = "any"
    description: ClassVar[str] = "any OpenAI-compatible server: openai:NAME@http://HOST:PORT/v1[?images=chat]"
    extra: ClassVar[str | None] = "api"
    packages: ClassVar[tuple[str, ...]] = ("openai", "tenacity")
    alignable: ClassVar[bool] = False
    uses_torch: ClassVar[bool] = False
    decoding: ClassVar[tuple[str, ...]] = ("top_p",)

    def __init__(self, reference: Reference) -> None:
        self.settings = reference.settings
        self.in_flight = reference.settings.concurrency
        self.client = EndpointClient(reference.settings, MOST_BYTES)
        self.who = f"openai:{self.settings.model} at {self.settings.host}"
        self.server: Server = look(self.client, reference.images)
        self.info = ModelInfo(
            name=self.settings.model,
            revision=self.server.revision,
            fingerprint=self.server.fingerprint(self.settings.model, self.settings.host),
            abilities=self.server.abilities,
            dtype="as served",
        )
        self._spared = Spared(self.who)
        self._sameness = Sameness()

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """No weights are read. Raises HermesError for a name, an address or a key that is missing or makes no sense."""
        read_reference(reference)
        return []

    @classmethod
    def load(cls, reference: str, device: str) -> "ServedModel":
        """The model of "openai:NAME@URL"; says what the server says of itself, and at the end what was asked."""
        model = cls(read_reference(reference))
        drawn = {"endpoint": ", pictures by the images endpoint", "chat": ", pictures in chat replies"}
        how = drawn.get(str(model.server.images), "")
        listed = "" if model.server.entry else ", which lists no such model"
        remark(
            f"model: {model.who} ({', '.join(model.info.abilities)}{how}), server: {model.server.revision}{listed}, "
            f"{model.in_flight} requests at once"
        )
        atexit.register(model.print_usage)
        return model

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One text for each request. Raises AskError where one got no reply."""
        return self._all(requests, "understanding")

    def generate(self, requests: Sequence[Request]) -> list[Image.Image]:
        """One picture for each request. Raises AskError where one got no reply, or an empty picture."""
        return self._all(requests, "generation")

    def as_they_come(self, requests: Sequence[Request], wanted: Wanted) -> Arrivals:
        """The answers and failures in the order of their arrival.

        Closing the iterator, or stopping the command, asks no more; replies that are on their way then are given yet.
        """
        ask = {"understanding": self._text, "generation": self._picture, "both": self._both}[wanted]
        stopped, done = Event(), SimpleQueue[Future[Any]]()
        pool = ThreadPoolExecutor(self.in_flight)
        places: dict[Future[Any], int] = {}
        try:
            for place, request in enumerate(requests):
                job = pool.submit(ask, request, stopped)
                places[job] = place
                job.add_done_callback(done.put)
            while places:
                yield [(places.pop(job), _outcome(job)) for job in _arrived(done)]
        except (KeyboardInterrupt, SystemExit):
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            late = wait([job for job in places if not job.cancelled()], timeout=GRACE).done
            yield [(places[job], job.result()) for job in late if job.exception() is None]
            raise
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def usage(self) -> str:
        """What was asked and what it cost, in one line."""
        return f"model openai:{self.settings.model}: {'; '.join(self.client.usage())}"

    def print_usage(self) -> None:
        """Write `usage` to stderr."""
        remark(self.usage())

    def _all(self, requests: Sequence[Request], wanted: Wanted) -> list[Any]:
        answers: dict[int, Any] = {}
        for group in self.as_they_come(requests, wanted):
            answers.update(group)
        for answer in answers.values():
            if isinstance(answer, BaseException):
                raise answer
        return [answers[place] for place in range(len(requests))]

    def _text(self, request: Request, stopped: Event) -> Said:
        if not self.server.chats:
            raise HermesError(f"{self.who} answers no questions; choose tasks that ask for pictures")
        return self._asked(PATHS["chat"], question(request, self.settings.model), text_of, stopped)

    def _picture(self, request: Request, stopped: Event) -> Image.Image:
        way = self.server.images
        if way is None:
            raise HermesError(f"{self.who} draws no pictures; choose tasks that ask questions")
        read = pictures.of_chat if way == "chat" else pictures.of_endpoint
        found = self._asked(PATHS[way], wish(request, self.settings.model, way), read, stopped)
        return self._looked_at(request, found, stopped)

    def _looked_at(self, request: Request, found: Image.Image | str, stopped: Event) -> Image.Image:
        """The picture of a reply, fetched where only its address is there; one that comes again and again is told."""
        picture = self.client.fetch(found, pictures.decoded, stopped) if isinstance(found, str) else found
        if said := self._sameness.see(request.prompt, picture):
            say(f"warning: {self.who} {said}")
        return picture

    def _both(self, request: Request, stopped: Event) -> Both:
        """A text and a picture: those of one reply where the chat draws, else of two."""
        if self.server.images != "chat" or not self.server.chats:
            return Both(self._text(request, stopped), self._picture(request, stopped))

        def read(reply: Any) -> tuple[Said, Image.Image | str]:
            return text_of(reply), pictures.of_chat(reply)

        said, found = self._asked(PATHS["chat"], wish(request, self.settings.model, "chat"), read, stopped)
        return Both(said, self._looked_at(request, found, stopped))

    def _asked(self, path: str, body: dict[str, Any], read: Callable[[Any], T], stopped: Event) -> T:
        """What is read in the reply; what the server refuses to be told, and can do without, is left out."""
        while True:
            sent = self._spared.fitted(body)
            try:
                return self.client.ask(partial(_post, path, sent), read, stopped)
            except AskError as error:
                if not self._spared.learn(error.detail, sent):
                    raise


async def _post(path: str, body: dict[str, Any], sdk: Any) -> Any:
    return await sdk.post(path, cast_to=object, body=body)


def _arrived(done: "SimpleQueue[Future[Any]]") -> list[Future[Any]]:
    """All that are done, at least one."""
    jobs = [done.get()]
    try:
        while True:
            jobs.append(done.get_nowait())
    except Empty:
        return jobs


def _outcome(job: Future[Any]) -> Any:
    return job.exception() or job.result()
