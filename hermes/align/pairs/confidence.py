"""How likely the model finds the right answers about its candidate images; ranks those that its answers leave level."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

import torch

from hermes.align.losses.likelihoods import to_device
from hermes.align.pairs.shown import Shown
from hermes.harness.contracts.model import Alignable, LikelihoodItem
from hermes.harness.judges.replies import asked
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.store import Store
from hermes.harness.records.types import Judgement
from hermes.harness.system.errors import HermesError
from hermes.harness.system.fitting import Fitting
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent
from hermes.harness.system.sharing import Sharing, chunks

NAME = "confidence-1"
LOOK_UP = 512
VALUE = "log_prob"


def rate_images(
    model: Alignable,
    pictures: Iterable[Shown],
    total: int,
    store: Store,
    batch: int,
    progress: Progress | None = None,
) -> None:
    """Note the mean log-probability of the right answers, in nats, beside what judges say of ``total`` pictures.

    What is not known yet is computed batch by batch, shared by all processes; ``batch`` is the number of answers that
    go through the model at once.
    """
    progress = progress or Silent()
    journal = store.judgements(NAME)
    known = journal.index()
    current().wait()
    progress.start("confidence", total)

    def unrated() -> Iterator[Shown]:
        for part in chunks(pictures, LOOK_UP):
            there = known.answered([one.key for one in part])
            progress.skip(int(there.sum()))
            yield from (one for one, done in zip(part, there, strict=True) if not done)

    fitting = Fitting(batch, "confidence", progress.say)
    work = Sharing(unrated(), batch, "confidence")
    for part in work:
        opened = [(one, ImageHandle(store.image(one.response).open())) for one in part]
        answers = [
            LikelihoodItem("text", asked(question["question"]), image, question["answer"])
            for one, image in opened
            for question in one.item.generation.target
        ]
        found = iter(fitting.run(partial(_log_probs, model, answers, fitting)))
        journal.append([_rated(one, list(islice(found, len(one.item.generation.target)))) for one in part])
        progress.advance(work.did(len(part)))
    progress.advance(work.did(0))


def confidences_of(store: Store) -> Callable[[Sequence[Shown]], dict[str, float]]:
    """A function from pictures to what is noted of them, by the responses' keys."""
    index = store.judgements(NAME).index()

    def look_up(pictures: Sequence[Shown]) -> dict[str, float]:
        noted = index.get([one.key for one in pictures])
        return {one.response.key: float(said.data[VALUE]) for one, said in zip(pictures, noted, strict=True) if said}

    return look_up


def _rated(one: Shown, log_probs: Sequence[float]) -> Judgement:
    if not math.isfinite(sum(log_probs)):
        raise HermesError(
            f"the likelihood of the right answers about {one.item.id}, image {one.response.index}, is "
            f"{sum(log_probs)}; check the model's weights, or give --no-confidence"
        )
    place = {"key": one.key, "sample_id": one.response.sample_id, "index": one.response.index}
    return Judgement(**place, judge=NAME, data={VALUE: sum(log_probs) / len(log_probs)})


@torch.no_grad()
def _log_probs(model: Alignable, items: Sequence[LikelihoodItem], fitting: Fitting) -> list[float]:
    prepared = model.prepare(items)
    device = next(model.module.parameters()).device
    values: list[float] = []
    for begin in range(0, len(prepared), fitting.size):
        part = to_device(model.collate(prepared[begin : begin + fitting.size]), device)
        values += model.module(part)[0].float().tolist()
    return values
