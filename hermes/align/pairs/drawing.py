"""The candidates of a round: drawn, judged and rated, each step taken from the stores where it is there."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from hermes.align.pairs import candidates
from hermes.align.pairs.answers import answer_candidates
from hermes.align.pairs.asking import Asked
from hermes.align.pairs.closeness import closeness_of, rate_captions
from hermes.align.pairs.confidence import confidences_of, rate_images
from hermes.align.pairs.dual import Dual
from hermes.align.pairs.items import Item
from hermes.align.pairs.preferences import Candidate
from hermes.align.pairs.shown import Shown, shown, whole_of
from hermes.align.settings import AlignSettings
from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.model import Alignable, Wanted
from hermes.harness.models.device import pick_device
from hermes.harness.records.journal import Index
from hermes.harness.records.store import Store
from hermes.harness.records.types import Judgement, Request, Response
from hermes.harness.run.drawing import LOOK_UP, draw
from hermes.harness.run.failing import Reasons
from hermes.harness.run.judging import Judged, judge_responses
from hermes.harness.run.loading import load_judges
from hermes.harness.run.stores import code_version, open_store
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress
from hermes.harness.system.sharing import Sharing, chunks

CAPTIONS, ANSWERS, IMAGES = "candidate-captions", "candidate-answers", "candidate-images"
VERSION = "1"
ATTEMPTS = 3
R = TypeVar("R", Response, Judgement)
TOGETHER = 64
"""Items whose answers are looked up at once."""


@dataclass(frozen=True)
class Drawn:
    """What was drawn for a round and said of it, all of it in stores; ``critic`` is the critic's identity.

    ``reasons`` counts why answers failed, as far as `candidates` has come; a picture on which the critic failed is a
    failed one.
    """

    asked: Asked
    texts: Store
    answers: Store | None
    pictures: Store
    critic: str
    reasons: Reasons = field(default_factory=Reasons)

    def candidates(self) -> Iterator[Candidate]:
        """The scored candidates, first all captions, then all answers and all images, in the order of the items."""
        asked, settings = self.asked, self.asked.settings
        dual = asked.dual
        index = self.texts.responses.index()
        close = dual.captions_of(self.texts) if dual else closeness_of(self.texts, settings.similarity)
        for items in chunks(asked.items, TOGETHER):
            texts = _there(index, asked.captions(items))
            self._count(texts)
            yield from candidates.caption_candidates(texts, close(items, texts), asked.number)
        said_of = self.answers.responses.index() if self.answers else None
        for items in chunks(asked.items if asked.has_answers else (), TOGETHER):
            answers = _there(said_of, asked.answers(items)) if said_of else []
            self._count(answers)
            yield from answer_candidates(items, answers, asked.number, asked.closed)
        if dual and asked.has_images:
            yield from self._rated_images(dual)
        if not self.critic:
            return
        index, said = self.pictures.responses.index(), self.pictures.judgements(self.critic).index()
        sure = confidences_of(self.pictures)
        for items in chunks(asked.items, TOGETHER):
            pictures = _there(index, asked.images(items))
            self._count(pictures)
            seen = list(shown(items, pictures))
            found = zip(seen, said.get([one.key for one in seen]), strict=True)
            judgements = {one.response.key: judgement for one, judgement in found if judgement}
            self._count(judgements.values())
            yield from candidates.image_candidates(
                items, pictures, judgements, asked.drawer, asked.number, sure(seen) if settings.confidence else {}
            )

    def _rated_images(self, dual: Dual) -> Iterator[Candidate]:
        asked, index, worth = self.asked, self.pictures.responses.index(), dual.images_of(self.pictures)
        for items in chunks(asked.items, TOGETHER):
            pictures = _there(index, asked.images(items))
            self._count(pictures)
            yield from candidates.rated_images(pictures, worth(list(shown(items, pictures))), asked.number)

    def _count(self, answers: Iterable[Response | Judgement]) -> None:
        for one in answers:
            if one.error is not None:
                self.reasons.add(one.error)


def draw_candidates(
    model: Alignable,
    items: Sequence[Item],
    settings: AlignSettings,
    root: Path,
    drawer: Evaluator,
    number: int,
    closed: bool,
    progress: Progress,
) -> Drawn:
    """Captions and images of every item from the model, scored, and answers; ``number`` is the round.

    The stores lie under ``root`` and belong to the model and the seed of the round, so self-plays that begin alike draw
    each candidate once. All processes draw, judge and rate, and none keeps what it has drawn. Pictures to which the
    model gives no likelihood are not drawn, nor captions, nor what no pair needs.
    """
    asked = Asked(model, items, settings, drawer, number, closed)
    code, dual = code_version(model), asked.dual
    critic = None
    if asked.has_images and not dual:
        critic = load_judges([settings.critic], model, settings.device)[settings.critic]
    with ExitStack() as stack:
        drawn_answers = settings.drawn_answers if asked.has_answers else 0
        names = (CAPTIONS, IMAGES, *([ANSWERS] if drawn_answers else []))
        texts, pictures, *more = (
            stack.enter_context(
                open_store(root, model.info, code, {"task": name, "version": VERSION, "seed": asked.seed}, progress.say)
            )
            for name in names
        )
        current().wait()
        drawn = Drawn(asked, texts, more[0] if more else None, pictures, critic.identity if critic else "")
        if asked.has_captions:
            label, total = f"captions, round {number}", asked.number_of_captions
            _draw(asked, asked.captions, total, texts, "understanding", progress, label)
        if drawn.answers:
            label, total = f"answers, round {number}", asked.number_of_answers
            _draw(asked, asked.answers, total, drawn.answers, "understanding", progress, label)
        if asked.has_images:
            _see(asked, pictures, critic, progress)
        if asked.has_captions and dual:
            total = asked.number_of_captions
            dual.rate_captions(model, _said(asked, texts), total, texts, settings.batch_draw, progress)
        elif asked.has_captions:
            device = pick_device(settings.device)
            rate_captions(_said(asked, texts), len(items), texts, settings.similarity, device, progress)
    return drawn


def _draw(
    asked: Asked,
    requests: Callable[[Iterable[Item]], Iterator[Request]],
    total: int,
    store: Store,
    wanted: Wanted,
    progress: Progress,
    label: str,
) -> None:
    """Have all requests answered. Raises HermesError where all have failed."""
    settings = asked.settings
    draw(
        asked.model,
        requests(asked.items),
        total,
        store,
        settings.batch_draw,
        progress,
        label,
        wanted,
        max_failures=settings.max_failures,
    )
    _refuse_nothing(store.responses.index(), (request.key for request in requests(asked.items)), label)


def _see(asked: Asked, store: Store, critic: Judge | None, progress: Progress) -> None:
    """Images of every item's caption, drawn, judged and rated; rated alone where there is no critic."""
    settings, number = asked.settings, asked.number
    total = asked.number_of_images
    for _ in range(ATTEMPTS):
        _draw(asked, asked.images, total, store, "generation", progress, f"images, round {number}")
        label = f"critic, round {number}"
        if _whole_pictures(_shown(asked, store), store) and (
            critic is None
            or not judge_responses(
                asked.drawer,
                _to_judge(asked, store, progress),
                total,
                store,
                critic,
                progress,
                label,
                max_failures=settings.max_failures,
            )
        ):
            break
    else:
        raise HermesError(f"{store.media}: pictures are damaged as soon as they are stored; check the disk")
    if asked.dual:
        asked.dual.rate_images(asked.model, _shown(asked, store), total, store, settings.batch_draw, progress)
    if critic is None:
        return
    said = store.judgements(critic.identity).index()
    _refuse_nothing(said, (one.key for one in _shown(asked, store)), label)
    if settings.confidence:
        good = (one for part in chunks(_shown(asked, store), TOGETHER) for one in _answered(said, part))
        rate_images(asked.model, good, total, store, settings.batch_draw, progress)


def _said(asked: Asked, store: Store) -> Iterator[tuple[Item, list[Response]]]:
    """Every item with its captions."""
    index = store.responses.index()
    for items in chunks(asked.items, TOGETHER):
        answers = _there(index, asked.captions(items))
        for item in items:
            yield item, [one for one in answers if one.sample_id == item.id]


def _shown(asked: Asked, store: Store) -> Iterator[Shown]:
    """The different pictures of every item."""
    index = store.responses.index()
    for items in chunks(asked.items, TOGETHER):
        yield from shown(items, _there(index, asked.images(items)))


def _to_judge(asked: Asked, store: Store, progress: Progress) -> Iterator[Judged]:
    """What the critic is asked about; pictures that are there twice count as judged."""
    count = asked.settings.n_images or asked.settings.n
    for item, found in groupby(_shown(asked, store), key=lambda one: one.item):
        own = list(found)
        progress.skip(count - len(own))
        whole = whole_of(item)
        yield from ((item.generation, whole, one.response) for one in own)


def _answered(index: Index[Judgement], shown: Sequence[Shown]) -> Iterator[Shown]:
    known = index.answered([one.key for one in shown])
    yield from (one for one, there in zip(shown, known, strict=True) if there)


def _there(index: Index[Response], requests: Iterable[Request]) -> list[Response]:
    """The answers that there are, in the order of the requests."""
    return [one for one in index.get([request.key for request in requests]) if one is not None]


def _refuse_nothing(index: Index[R], keys: Iterable[str], label: str) -> None:
    """Raise HermesError where all that these keys stand for has failed."""
    first, count = None, 0
    for part in chunks(keys, LOOK_UP):
        if index.answered(part).any():
            return
        first, count = first or next(filter(None, index.get(part)), None), count + len(part)
    if first is not None:
        raise HermesError(
            f"{label}: all {count} failed, the first with: {first.error}; fix the cause and run the same command again"
        )


def _whole_pictures(pictures: Iterable[Shown], store: Store) -> bool:
    """Whether all stored pictures are what was drawn; those that are not are removed, to be drawn again.

    Those that were judged for another self-play are not read again by the critic, so they are looked at here.
    """
    work = Sharing(pictures, TOGETHER, "looking at pictures")
    return not current().total(sum(not store.verified(one.response) for part in work for one in part))
