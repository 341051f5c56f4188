"""The candidates of a round: drawn, judged and rated, each step taken from the stores where it is there."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hermes.align.pairs import candidates
from hermes.align.pairs.confidence import rate_images
from hermes.align.pairs.items import Item
from hermes.align.pairs.preferences import Candidate
from hermes.align.settings import AlignSettings
from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.model import Alignable, likelihoods_of
from hermes.harness.judges.similarity import similarity
from hermes.harness.records.keys import digest, judgement_key
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.store import Store
from hermes.harness.records.types import Ability, Judgement, Request, Response
from hermes.harness.run.drawing import draw
from hermes.harness.run.failing import Reasons
from hermes.harness.run.judging import judge_responses
from hermes.harness.run.loading import load_judges
from hermes.harness.run.stores import code_version, open_store
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress

CAPTIONS, IMAGES = "candidate-captions", "candidate-images"
VERSION = "1"
ATTEMPTS = 3


@dataclass(frozen=True)
class Drawn:
    """The scored candidates of a round, the store that holds their pictures, how many requests failed and why.

    A picture on which the critic failed is a failed one.
    """

    found: list[Candidate]
    images: Store
    failed: int
    failures: dict[str, int]


def draw_candidates(
    model: Alignable,
    items: Sequence[Item],
    settings: AlignSettings,
    root: Path,
    drawer: Evaluator,
    number: int,
    progress: Progress,
) -> Drawn:
    """Captions and images of every item from the model, scored; ``number`` is the round.

    The stores lie under ``root`` and belong to the model and the seed of the round, so self-plays that begin alike draw
    each candidate once. All processes draw, judge and rate; each returns all that was found. Pictures to which the
    model gives no likelihood are not drawn, nor captions.
    """
    defaults, code, seed = model.info.defaults, code_version(model), derive_seed(settings.seed, number, "round")
    kinds = likelihoods_of(model)
    critic = load_judges([settings.critic], model, settings.device)[settings.critic] if "image" in kinds else None
    asked = candidates.caption_requests(
        items if "text" in kinds else (),
        settings.n,
        settings.caption_prompt,
        defaults,
        settings.caption_tokens,
        seed,
    )
    with ExitStack() as stack:
        captions, images = (
            stack.enter_context(
                open_store(root, model.info, code, {"task": name, "version": VERSION, "seed": seed}, progress.say)
            )
            for name in (CAPTIONS, IMAGES)
        )
        current().wait()
        batch, most = settings.batch_draw, settings.max_failures
        texts: list[Response] = []
        if asked:
            label = f"captions, round {number}"
            texts = _answers(model, asked, captions, "understanding", batch, progress, label, most)
            _refuse_nothing(texts, label)
        seen = _Seen([], {}, {})
        if critic:
            seen = _see(model, items, settings, images, drawer, critic, number, progress)
        current().wait()
    found: list[Candidate] = []
    if texts:
        progress.start(f"similarity ({settings.similarity})", len(texts))
        found += candidates.caption_candidates(items, texts, similarity(settings.similarity), number)
        progress.advance(len(texts))
    found += candidates.image_candidates(items, seen.pictures, seen.judgements, drawer, number, seen.sure)
    reasons = Reasons()
    errors = [one.error for one in (*texts, *seen.pictures) if one.error is not None]
    errors += [one.error for one in seen.judgements.values() if one.error is not None]
    for error in errors:
        reasons.add(error)
    return Drawn(found, images, len(errors), reasons.commonest())


class _Seen(NamedTuple):
    """The pictures of a round, what the critic says of them and how sure the model is, by the responses' keys."""

    pictures: list[Response]
    judgements: dict[str, Judgement]
    sure: dict[str, float]


def _see(
    model: Alignable,
    items: Sequence[Item],
    settings: AlignSettings,
    images: Store,
    drawer: Evaluator,
    critic: Judge,
    number: int,
    progress: Progress,
) -> _Seen:
    """Images of every item's caption, drawn, judged and rated."""
    seed, batch, most = derive_seed(settings.seed, number, "round"), settings.batch_draw, settings.max_failures
    count, defaults = settings.n_images or settings.n, model.info.defaults
    wanted = candidates.image_requests(items, count, defaults, settings.guidance, seed, settings.plan)
    samples = {item.id: (item.generation, _whole(item)) for item in items}
    for _ in range(ATTEMPTS):
        pictures = _answers(model, wanted, images, "generation", batch, progress, f"images, round {number}", most)
        _refuse_nothing(pictures, f"images, round {number}")
        distinct = candidates.distinct_images(pictures)
        judged = [(*samples[one.sample_id], one) for one in distinct]
        label = f"critic, round {number}"
        if _whole_pictures(distinct, images) and not judge_responses(
            drawer, judged, len(judged), images, critic, progress, label, max_failures=most
        ):
            break
    else:
        raise HermesError(f"{images.media}: pictures are damaged as soon as they are stored; check the disk")
    keys = {one.key: judgement_key(one.key, one.image, samples[one.sample_id][1]) for one in distinct}
    said = images.judgements(critic.identity).index().get(list(keys.values()))
    judgements = {one.key: judgement for one, judgement in zip(distinct, said, strict=True) if judgement}
    _refuse_nothing(list(judgements.values()), label)
    sure: dict[str, float] = {}
    if settings.confidence:
        good = [one for one in distinct if one.key in judgements and judgements[one.key].error is None]
        sure = rate_images(model, items, good, keys, images, batch, progress)
    return _Seen(pictures, judgements, sure)


def _answers(
    model: Alignable,
    requests: Sequence[Request],
    store: Store,
    ability: Ability,
    batch: int,
    progress: Progress,
    label: str,
    max_failures: int,
) -> list[Response]:
    """The answers to all requests, in their order."""
    draw(model, requests, len(requests), store, batch, progress, label, ability, max_failures=max_failures)
    found = store.responses.index().get([request.key for request in requests])
    return [response for response in found if response is not None]


def _refuse_nothing(answers: Sequence[Response] | Sequence[Judgement], label: str) -> None:
    """Raise HermesError where all have failed."""
    if answers and all(one.error is not None for one in answers):
        raise HermesError(
            f"{label}: all {len(answers)} failed, the first with: {answers[0].error}; fix the cause and run the same "
            "command again"
        )


def _whole_pictures(responses: Sequence[Response], store: Store) -> bool:
    """Whether all stored pictures are what was drawn; those that are not are removed, to be drawn again.

    Those that were judged for another self-play are not read again by the critic, so they are looked at here.
    """
    mine = responses[current().rank :: current().world]
    return not current().total(sum(not store.verified(response) for response in mine))


def _whole(item: Item) -> bytes:
    """What stands for an item with all its questions."""
    return digest(item.generation.model_dump_json(exclude={"images"}))
