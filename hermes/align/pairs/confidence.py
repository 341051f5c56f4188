"""How likely the model finds the right answers about its candidate images; ranks those that its answers leave level."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from hermes.align.pairs.rating import Likelihood, Rated, rate, ratings_of, refuse_lost
from hermes.align.pairs.shown import Shown
from hermes.harness.contracts.model import Alignable, LikelihoodItem
from hermes.harness.judges.replies import asked
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.store import Store
from hermes.harness.system.progress import Progress

NAME = "confidence-1"


def rate_images(
    model: Alignable,
    pictures: Iterable[Shown],
    total: int,
    store: Store,
    batch: int,
    progress: Progress | None = None,
) -> None:
    """Note the mean log-probability of the right answers, in nats, beside what judges say of ``total`` pictures."""
    wanted = (
        Rated(one.key, one.response.sample_id, one.response.index, partial(_answers, one, store)) for one in pictures
    )
    rate(model, wanted, total, store, NAME, _mean, batch, progress)


def confidences_of(store: Store) -> Callable[[Sequence[Shown]], dict[str, float]]:
    """A function from pictures to what is noted of them, by the responses' keys."""
    noted = ratings_of(store, NAME)

    def look_up(pictures: Sequence[Shown]) -> dict[str, float]:
        found = zip(pictures, noted([one.key for one in pictures]), strict=True)
        return {one.response.key: value for one, value in found if value is not None}

    return look_up


def _answers(one: Shown, store: Store) -> list[LikelihoodItem]:
    image = ImageHandle(store.image(one.response).open())
    return [
        LikelihoodItem("text", asked(question["question"]), image, question["answer"])
        for question in one.item.generation.target
    ]


def _mean(one: Rated, found: Sequence[Likelihood]) -> float:
    mean = sum(log_prob for log_prob, _ in found) / len(found)
    return refuse_lost(one, mean, "the right answers about", "give --no-confidence")
