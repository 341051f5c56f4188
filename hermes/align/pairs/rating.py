"""What the model itself finds likely of its candidates: noted beside them, once, shared by all processes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch

from hermes.align.losses.likelihoods import to_device
from hermes.harness.contracts.model import Alignable, LikelihoodItem
from hermes.harness.records.store import Store
from hermes.harness.records.types import Judgement
from hermes.harness.system.errors import HermesError
from hermes.harness.system.fitting import Fitting
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent
from hermes.harness.system.sharing import Sharing, chunks

LOOK_UP = 512
VALUE = "log_prob"


class Rated(NamedTuple):
    """A candidate to be rated: the key under which it is noted, whose it is, and whose likelihoods it is rated by."""

    key: str
    sample_id: str
    number: int
    items: Callable[[], Sequence[LikelihoodItem]]


Likelihood = tuple[float, float]
"""The log-probability of an item, in nats, and how many tokens it is summed over."""


def rate(
    model: Alignable,
    candidates: Iterable[Rated],
    total: int,
    store: Store,
    name: str,
    value: Callable[[Rated, Sequence[Likelihood]], float],
    batch: int,
    progress: Progress | None = None,
) -> None:
    """Note ``value`` of ``total`` candidates in the store's judgements of that name.

    What is not known yet is computed batch by batch, shared by all processes; ``batch`` is the number of items that go
    through the model at once.
    """
    progress = progress or Silent()
    label = name.partition("-")[0]
    journal = store.judgements(name)
    known = journal.index()
    current().wait()
    progress.start(label, total)

    def unrated() -> Iterator[Rated]:
        for part in chunks(candidates, LOOK_UP):
            there = known.answered([one.key for one in part])
            progress.skip(int(there.sum()))
            yield from (one for one, done in zip(part, there, strict=True) if not done)

    fitting = Fitting(batch, label, progress.say)
    work = Sharing(unrated(), batch, label)
    for part in work:
        asked = [one.items() for one in part]
        every = [item for items in asked for item in items]
        found = iter(fitting.run(partial(_likelihoods, model, every, fitting)))
        notes = []
        for one, items in zip(part, asked, strict=True):
            data = {VALUE: value(one, list(islice(found, len(items))))}
            notes.append(Judgement(key=one.key, sample_id=one.sample_id, index=one.number, judge=name, data=data))
        journal.append(notes)
        progress.advance(work.did(len(part)))
    progress.advance(work.did(0))


def ratings_of(store: Store, name: str) -> Callable[[Sequence[str]], list[float | None]]:
    """A function from keys to what is noted under them, None where nothing is."""
    index = store.judgements(name).index()

    def look_up(keys: Sequence[str]) -> list[float | None]:
        return [float(said.data[VALUE]) if said else None for said in index.get(keys)]

    return look_up


def refuse_lost(one: Rated, value: float, what: str, remedy: str) -> float:
    """The value. Raises HermesError where it is not finite."""
    if abs(value) < float("inf"):
        return value
    raise HermesError(
        f"the likelihood of {what} {one.sample_id}, candidate {one.number}, is {value}; check the model's weights, or "
        f"{remedy}"
    )


@torch.no_grad()
def _likelihoods(model: Alignable, items: Sequence[LikelihoodItem], fitting: Fitting) -> list[Likelihood]:
    prepared = model.prepare(items)
    device = next(model.module.parameters()).device
    found: list[Likelihood] = []
    for begin in range(0, len(prepared), fitting.size):
        part = to_device(model.collate(prepared[begin : begin + fitting.size]), device)
        log_probs, counts = model.module(part)
        found += zip(log_probs.float().tolist(), counts.float().tolist(), strict=True)
    return found
