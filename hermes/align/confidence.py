"""How likely the model finds the right answers about its candidate images; ranks those that its answers leave level."""

from collections.abc import Sequence
from itertools import islice

import torch

from hermes.align.items import Item
from hermes.align.likelihoods import to_device
from hermes.harness.images import ImageHandle
from hermes.harness.judges.replies import asked
from hermes.harness.models.base import Alignable, LikelihoodItem
from hermes.harness.processes import current
from hermes.harness.progress import Progress, Silent
from hermes.harness.store import Journal, ResponseStore
from hermes.harness.types import Judgement, Response

STEM = "confidences"
VALUE = "log_prob"


def rate_images(
    model: Alignable,
    items: Sequence[Item],
    responses: Sequence[Response],
    store: ResponseStore,
    batch: int,
    progress: Progress | None = None,
) -> None:
    """Note each image's confidence that is not yet known beside it; batch by batch, shared by all processes.

    ``batch`` is the number of answers that go through the model at once.
    """
    progress, processes = progress or Silent(), current()
    journal = Journal(store.journal.folder, STEM, Judgement, processes.rank)
    questions = {item.id: item.generation.target for item in items}
    name = model.info.name  # hashes the weights, so it is asked once
    done = set(journal.read())
    processes.wait()
    wanted = [item for item in responses if (item.sample_id, item.index) not in done]
    mine = wanted[processes.rank :: processes.world]
    progress.start("confidence", len(mine))
    for begin in range(0, len(mine), batch):
        part = mine[begin : begin + batch]
        opened = [(response, ImageHandle(store.image(response).open())) for response in part]
        answers = [
            LikelihoodItem("text", asked(one["question"]), image, one["answer"])
            for response, image in opened
            for one in questions[response.sample_id]
        ]
        found = iter(_log_probs(model, answers, batch))
        rated = []
        for response in part:
            own = list(islice(found, len(questions[response.sample_id])))
            key = {"sample_id": response.sample_id, "index": response.index, "judge": name}
            rated.append(Judgement(**key, data={VALUE: sum(own) / len(own)}))
        journal.append(rated)
        progress.advance(len(part))
    processes.wait()


def read_confidences(store: ResponseStore) -> dict[tuple[str, int], float]:
    """Mean log-probability of the right answers in nats, by (item, index) of the images that have been rated."""
    found = Journal(store.journal.folder, STEM, Judgement).read()
    return {key: float(rated.data[VALUE]) for key, rated in found.items()}


@torch.no_grad()
def _log_probs(model: Alignable, items: Sequence[LikelihoodItem], batch: int) -> list[float]:
    prepared = model.prepare(items)
    device = next(model.module.parameters()).device
    values: list[float] = []
    for begin in range(0, len(prepared), batch):
        part = to_device(model.collate(prepared[begin : begin + batch]), device)
        values += model.module(part)[0].float().tolist()
    return values
