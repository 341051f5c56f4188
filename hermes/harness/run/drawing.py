"""Requests to answers: those that are stored are not asked again, the others in batches, shared by all processes."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from PIL import Image

from hermes.harness.contracts.model import Both, Drew, Flowing, UnifiedModel, Wanted
from hermes.harness.records.journal import Index
from hermes.harness.records.keys import asked_of, config_mark, request_key
from hermes.harness.records.store import Store
from hermes.harness.records.types import Request, Response
from hermes.harness.run.attempts import IN_A_ROW, Attempts
from hermes.harness.system.errors import HermesError, ImageError
from hermes.harness.system.failures import machine_failure
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent
from hermes.harness.system.sharing import Sharing, chunks

A = TypeVar("A")
LOOK_UP = 512
ROUNDS = 32
"""So often what a model has in flight is a batch: only the last round of a batch leaves places empty."""


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
    wanted: Wanted | None = None,
    pinned: bool = False,
    before: Callable[[], object] | None = None,
    max_failures: int = IN_A_ROW,
    linked: bool = False,
) -> Drawn:
    """Answer all requests (``total`` of them) that the store does not hold yet.

    Each batch is on the disk before the next one is asked. A request whose answering fails is stored with status
    ``error`` and tried again the next time; ``max_failures`` of them in a row raise HermesError, as does what is the
    machine's failure (`attempts`). ``wanted`` defaults to:
    understanding where there are images. ``pinned``: the requests' keys name images by their place in a data set; what
    was answered about the same images elsewhere is found by their content before the model is asked. ``before`` is
    called in the main process before the first answer is stored, if any is missing. ``linked``: an answer is one only
    if it was given about this very content, the key standing for what it came of.
    """
    progress, processes = progress or Silent(), current()
    index = store.responses.index()
    pictures = None if wanted == "understanding" else store.pictures()
    processes.wait()
    if processes.main and (damage := index.complaint()):
        progress.say(damage)
    failing = Failing(label, progress.say, max_failures)
    progress.start(label, total)
    seen = 0

    def unanswered() -> Iterator[Request]:
        nonlocal seen
        first = processes.main and before is not None
        for chunk in chunks(requests, LOOK_UP):
            answered = store.answered(index, [request.key for request in chunk], pictures)
            if linked:
                answered = [a and b for a, b in zip(answered, _about(index, chunk), strict=True)]
            new = [request for request, there in zip(chunk, answered, strict=True) if not there]
            if new and first and before:
                before()
                first = False
            progress.skip(len(chunk) - len(new))
            seen += len(chunk)
            yield from new

    work = Sharing(unanswered(), batch_of(model, batch_size), label)
    asker = Asker(model, store, index, wanted, pinned, failing, lambda count: progress.advance(work.did(count)))
    for batch in work:
        asker.answer(batch)
    progress.advance(work.did(0))
    asked = processes.total(asker.asked)
    return Drawn(asked, seen - asked)


def batch_of(model: UnifiedModel, batch_size: int) -> int:
    """How many requests are given to the model together; to one that is asked many at once so many that few wait."""
    return max(batch_size, ROUNDS * model.in_flight) if isinstance(model, Flowing) else batch_size


class Failing(NamedTuple):
    """What is known of failures: what they are called, who is told, and after how many in a row it ends."""

    label: str
    say: Callable[[str], object]
    in_a_row: int = IN_A_ROW


class Asker:
    """Answers batches and stores them; counts how many requests went to the model.

    ``advance`` is told how many requests are answered, from the store or by the model.
    """

    def __init__(
        self,
        model: UnifiedModel,
        store: Store,
        index: Index[Response],
        wanted: Wanted | None,
        pinned: bool,
        failing: Failing,
        advance: Callable[[int], object],
    ) -> None:
        self.model, self.store, self.index, self.wanted, self.pinned = model, store, index, wanted, pinned
        self.asked = 0
        self._advance = advance
        self._attempts = Attempts(self._respond, failed, failing.label, "answers", failing.say, failing.in_a_row)

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
        if open_ones and isinstance(self.model, Flowing):
            self._keep(found)
            found += self._flowed(self.model, open_ones)
        else:
            answers = self._attempts.results([request for request, _ in open_ones]) if open_ones else ()
            new = [
                _named(answer, content)
                for answer, (_, content) in zip(answers, open_ones, strict=False)  # fewer where the rest is given up
            ]
            self.asked += len(new)
            found += new
            self._keep(found)
        self._attempts.refuse_more()
        return found

    def _keep(self, responses: Sequence[Response]) -> None:
        self.store.responses.append(responses)
        self._advance(len(responses))

    def _flowed(self, model: Flowing, open_ones: Sequence[tuple[Request, str]]) -> list[Response]:
        """The answers in order, each stored when it comes; fewer where the rest is given up."""
        requests = [request for request, _ in open_ones]
        found: dict[int, Response] = {}
        since = time.perf_counter()
        with closing(model.as_they_come(requests, self._wanted_of(requests))) as groups:
            for group in groups:
                now = time.perf_counter()
                seconds, since, fatal = (now - since) / max(len(group), 1), now, None
                new: list[Response] = []
                for place, answer in group:
                    try:
                        new.append(_named(self._arrived(requests[place], answer, seconds), open_ones[place][1]))
                        found[place] = new[-1]
                    except HermesError as error:  # what has come beside it is stored before it is told
                        fatal = fatal or error
                self.asked += len(new)
                self._keep(new)
                if fatal is not None:
                    raise fatal
                if self._attempts.given_up:
                    break
        return [found[place] for place in sorted(found)]

    def _arrived(self, request: Request, answer: Any, seconds: float) -> Response:
        """What is stored of an answer, or of the exception that came in its place, unless every other would fail so."""
        try:
            if isinstance(answer, Exception):
                raise answer
            (response,) = self._responses([request], [answer], seconds)
        except Exception as error:
            return self._attempts.failed(request, error)
        self._attempts.succeeded()
        return response

    def _wanted_of(self, requests: Sequence[Request]) -> Wanted:
        return self.wanted or ("understanding" if requests[0].images else "generation")

    def _respond(self, batch: Sequence[Request]) -> list[Response]:
        """The model's answers to one batch."""
        begin = time.perf_counter()
        answers = asked(self.model, batch, self._wanted_of(batch))
        if len(answers) != len(batch):
            raise RuntimeError(f"the model gave {len(answers)} answers to {len(batch)} requests")
        return self._responses(batch, answers, (time.perf_counter() - begin) / len(batch))

    def _responses(self, batch: Sequence[Request], answers: Sequence[Any], seconds: float) -> list[Response]:
        """What is stored of answers; their pictures lie on the disk then."""
        wanted = self._wanted_of(batch)
        both = [_checked(answer, Both) for answer in answers] if wanted == "both" else []
        said = [one.said for one in both] if both else answers
        drew = [one.drew for one in both] if both else answers
        contents: list[dict[str, Any]] = [{} for _ in batch]
        if wanted != "generation":
            for content, answer in zip(contents, said, strict=True):
                content |= {"text": str(_checked(answer, str)), **_cuts(answer)}
        if wanted != "understanding":
            pictures = [_checked(one.image if isinstance(one, Drew) else one, Image.Image) for one in drew]
            for content, answer, digest in zip(contents, drew, self._kept(pictures), strict=True):
                content |= {"image": digest, "plan": getattr(answer, "plan", None)}
                content |= {what: cut or content.get(what, False) for what, cut in _cuts(answer).items()}
        return [_response(one, seconds, **content) for one, content in zip(batch, contents, strict=True)]

    def _kept(self, images: Sequence[Image.Image]) -> list[str]:
        try:
            return self.store.keep_images(images)
        except OSError as error:
            if failure := machine_failure(error, where=self.store.folder):
                raise HermesError(failure) from error
            raise


def asked(model: UnifiedModel, batch: Sequence[Request], wanted: Wanted) -> Sequence[Any]:
    """The model's answers to a batch; for both it is asked twice."""
    if wanted == "understanding":
        return model.understand(batch)
    drew = model.generate(batch)
    return drew if wanted == "generation" else [Both(*pair) for pair in zip(model.understand(batch), drew, strict=True)]


def _about(index: Index[Response], requests: Sequence[Request]) -> list[bool]:
    """Whether the stored answers were given about these contents."""
    stored = index.get([request.key for request in requests])
    return [
        response is not None and response.content == _content_key(request)
        for request, response in zip(requests, stored, strict=True)
    ]


def _named(response: Response, content: str) -> Response:
    return response.model_copy(update={"content": content}) if content else response


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


def _cuts(answer: Any) -> dict[str, bool]:
    """What of an answer or its prompt was cut, as far as the answer tells."""
    return {name: bool(getattr(answer, name, False)) for name in ("truncated", "prompt_cut")}


def failed(request: Request, reason: str) -> Response:
    """What is stored of a request without an answer."""
    return _response(request, 0.0, status="error", error=reason)


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
