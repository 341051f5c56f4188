"""Requests to answers: those that are stored are not asked again, the others in batches, shared by all processes."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from PIL import Image

from hermes.harness.contracts.model import UnifiedModel
from hermes.harness.records.journal import Index
from hermes.harness.records.keys import asked_of, config_mark, request_key
from hermes.harness.records.store import Store
from hermes.harness.records.types import Ability, Request, Response
from hermes.harness.system.errors import HermesError, ImageError
from hermes.harness.system.failures import machine_failure
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent

A = TypeVar("A")
LOOK_UP = 512


@dataclass(frozen=True)
class Drawn:
    """How many answers the model was asked for, and how many of the wanted ones were there already."""

    asked: int
    reused: int

    def __add__(self, other: "Drawn") -> "Drawn":
        return Drawn(self.asked + other.asked, self.reused + other.reused)


def draw(
    model: UnifiedModel,
    requests: Iterable[Request],
    total: int,
    store: Store,
    batch_size: int = 64,
    progress: Progress | None = None,
    label: str = "draw",
    ability: Ability | None = None,
    pinned: bool = False,
    before: Callable[[], object] | None = None,
) -> Drawn:
    """Answer all requests (``total`` of them) that the store does not hold yet.

    Each batch is on the disk before the next one is asked. A request whose answering fails is stored with status
    ``error`` and tried again the next time; what is the machine's failure raises HermesError. ``ability`` defaults to:
    understanding where there are images. ``pinned``: the requests' keys name images by their place in a data set; what
    was answered about the same images elsewhere is found by their content before the model is asked. ``before`` is
    called in the main process before the first answer is stored, if any is missing.
    """
    progress, processes = progress or Silent(), current()
    index = store.responses.index()
    pictures = None if ability == "understanding" else store.pictures()
    processes.wait()
    if processes.main and (damage := index.complaint()):
        progress.say(damage)
    asker = Asker(model, store, index, ability, pinned)
    progress.start(label, total)
    seen, pending = 0, 0
    mine: list[Request] = []
    for chunk in chunks(requests, LOOK_UP):
        answered = store.answered(index, [request.key for request in chunk], pictures)
        new = [request for request, there in zip(chunk, answered, strict=True) if not there]
        if new and not pending and processes.main and before:
            before()
        progress.advance(len(chunk) - len(new))
        mine += [request for place, request in enumerate(new, pending) if place % processes.world == processes.rank]
        seen, pending = seen + len(chunk), pending + len(new)
        while len(mine) >= batch_size:
            asker.answer(mine[:batch_size])
            progress.advance(batch_size * processes.world)
            mine = mine[batch_size:]
    if mine:
        asker.answer(mine)
        progress.advance(len(mine) * processes.world)
    processes.wait()
    asked = processes.total(asker.asked)
    return Drawn(asked, seen - asked)


def chunks(items: Iterable[A], size: int) -> Iterator[list[A]]:
    """The items in lists of that many."""
    stream = iter(items)
    while chunk := list(islice(stream, size)):
        yield chunk


class Asker:
    """Answers batches and stores them; counts how many requests went to the model."""

    def __init__(
        self, model: UnifiedModel, store: Store, index: Index[Response], ability: Ability | None, pinned: bool
    ) -> None:
        self.model, self.store, self.index, self.ability, self.pinned = model, store, index, ability, pinned
        self.asked = 0

    def answer(self, batch: Sequence[Request]) -> list[Response]:
        """The answers, on the disk: first those whose content is known, then the others, in the order of the batch."""
        contents = [_content_key(request) if self.pinned else "" for request in batch]
        known = self.index.get_by_content(
            [content or request.key for content, request in zip(contents, batch, strict=True)]
        )
        found: list[Response] = []
        open_ones: list[tuple[Request, str]] = []
        for request, content, old in zip(batch, contents, known, strict=True):
            if old is not None and (old.image is None or self.store.verified(old)):
                found.append(old.model_copy(update={"key": request.key, "content": content}))
            else:
                open_ones.append((request, content))
        if open_ones:
            answers = self._respond([request for request, _ in open_ones])
            found += [
                answer.model_copy(update={"content": content}) if content else answer
                for answer, (_, content) in zip(answers, open_ones, strict=True)
            ]
            self.asked += len(open_ones)
        self.store.responses.append(found)
        return found

    def _respond(self, batch: Sequence[Request]) -> list[Response]:
        """One batch; where it fails as a whole, its requests are tried one by one, so that one bad one fails alone."""
        ability = self.ability or ("understanding" if batch[0].images else "generation")
        begin = time.perf_counter()
        try:
            understand = ability == "understanding"
            answers: Sequence[Any] = self.model.understand(batch) if understand else self.model.generate(batch)
            if len(answers) != len(batch):
                raise RuntimeError(f"the model gave {len(answers)} answers to {len(batch)} requests")
            seconds = (time.perf_counter() - begin) / len(batch)
            if understand:
                texts = [_checked(answer, str) for answer in answers]
                return [_response(one, seconds, text=text) for one, text in zip(batch, texts, strict=True)]
            images = self.store.keep_images([_checked(answer, Image.Image) for answer in answers])
            return [_response(one, seconds, image=digest) for one, digest in zip(batch, images, strict=True)]
        except Exception as error:
            if isinstance(error, HermesError) and not isinstance(error, ImageError):
                raise
            if (failure := machine_failure(error, len(batch) == 1, self.store.folder)) is not None:
                raise HermesError(failure) from error
            if len(batch) > 1:
                return [response for request in batch for response in self._respond([request])]
            reason = str(error) if isinstance(error, ImageError) else f"{type(error).__name__}: {error}"
            return [_response(batch[0], 0.0, status="error", error=reason)]


def _content_key(request: Request) -> str:
    """The key that the request has where its images are named by their content; "" where one cannot be read."""
    try:
        names = [handle.sha256().encode() for handle in request.images]
    except ImageError:
        return ""
    asked = asked_of(request.prompt, names)
    return request_key(request.sample_id, request.index, request.seed, asked, config_mark(request.config))


def _checked(answer: Any, kind: type[A]) -> A:
    if not isinstance(answer, kind):
        raise TypeError(f"the model answered with a {type(answer).__name__} instead of a {kind.__name__}")
    if isinstance(answer, str):
        answer.encode()  # a lone surrogate cannot be written
    return answer


def _response(request: Request, seconds: float, **content: Any) -> Response:
    return Response(
        key=request.key,
        sample_id=request.sample_id,
        index=request.index,
        seed=request.seed,
        prompt_sha256=hashlib.sha256(request.prompt.encode()).hexdigest(),
        seconds=round(seconds, 5),
        **content,
    )
