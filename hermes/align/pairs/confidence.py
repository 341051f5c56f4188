"""How likely the model finds the right answers about its candidate images; ranks those that its answers leave level."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice

import torch

from hermes.align.losses.likelihoods import to_device
from hermes.align.pairs.items import Item
from hermes.harness.contracts.model import Alignable, LikelihoodItem
from hermes.harness.judges.replies import asked
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.store import Store
from hermes.harness.records.types import Judgement, Response
from hermes.harness.system.errors import HermesError
from hermes.harness.system.fitting import Fitting
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent

NAME = "confidence-1"
VALUE = "log_prob"


def rate_images(
    model: Alignable,
    items: Sequence[Item],
    responses: Sequence[Response],
    keys: Mapping[str, str],
    store: Store,
    batch: int,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Mean log-probability of the right answers in nats, by the responses' keys; noted beside what judges say.

    What is not known yet is computed batch by batch, shared by all processes. ``keys`` maps a response's key to that of
    what is said of its picture; ``batch`` is the number of answers that go through the model at once.
    """
    progress, processes = progress or Silent(), current()
    journal = store.judgements(NAME)
    questions = {item.id: item.generation.target for item in items}
    known = journal.index().answered([keys[one.key] for one in responses])
    processes.wait()
    wanted = [one for one, there in zip(responses, known, strict=True) if not there]
    mine = wanted[processes.rank :: processes.world]
    progress.start("confidence", len(mine))
    fitting = Fitting(batch, "confidence", progress.say)
    for begin in range(0, len(mine), batch):
        part = mine[begin : begin + batch]
        opened = [(response, ImageHandle(store.image(response).open())) for response in part]
        answers = [
            LikelihoodItem("text", asked(one["question"]), image, one["answer"])
            for response, image in opened
            for one in questions[response.sample_id]
        ]
        found = iter(fitting.run(partial(_log_probs, model, answers, fitting)))
        rated = []
        for response in part:
            own = list(islice(found, len(questions[response.sample_id])))
            if not math.isfinite(sum(own)):
                raise HermesError(
                    f"the likelihood of the right answers about {response.sample_id}, image {response.index}, is "
                    f"{sum(own)}; check the model's weights, or give --no-confidence"
                )
            place = {"key": keys[response.key], "sample_id": response.sample_id, "index": response.index}
            rated.append(Judgement(**place, judge=NAME, data={VALUE: sum(own) / len(own)}))
        journal.append(rated)
        progress.advance(len(part))
    processes.wait()
    noted = journal.index().get([keys[one.key] for one in responses])
    return {one.key: float(said.data[VALUE]) for one, said in zip(responses, noted, strict=True) if said}


@torch.no_grad()
def _log_probs(model: Alignable, items: Sequence[LikelihoodItem], fitting: Fitting) -> list[float]:
    prepared = model.prepare(items)
    device = next(model.module.parameters()).device
    values: list[float] = []
    for begin in range(0, len(prepared), fitting.size):
        part = to_device(model.collate(prepared[begin : begin + fitting.size]), device)
        values += model.module(part)[0].float().tolist()
    return values
