"""What a round asks of the model: requests for captions, answers and images, item by item."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hermes.align.pairs import candidates
from hermes.align.pairs.answers import answer_requests, questions_of
from hermes.align.pairs.dual import Dual
from hermes.align.pairs.items import Item
from hermes.align.settings import AlignSettings
from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.contracts.model import Alignable, likelihoods_of
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Request


@dataclass(frozen=True)
class Asked:
    """What a round asks for, and of whom; ``number`` is the round, ``closed`` whether answers are of a closed
    vocabulary. It holds no answer."""

    model: Alignable
    items: Sequence[Item]
    settings: AlignSettings
    drawer: Evaluator
    number: int
    closed: bool

    @property
    def seed(self) -> int:
        return derive_seed(self.settings.seed, self.number, "round")

    @property
    def has_captions(self) -> bool:
        return self.settings.captions and "text" in likelihoods_of(self.model)

    @property
    def has_answers(self) -> bool:
        """Whether answers are candidates; right ones may need none of the model's."""
        return self.settings.answers and "text" in likelihoods_of(self.model)

    @property
    def has_images(self) -> bool:
        return self.settings.images and "image" in likelihoods_of(self.model)

    @property
    def dual(self) -> Dual | None:
        """What scores candidates where that is nobody but the model."""
        return Dual(self.settings.caption_prompt, self.seed) if self.settings.scores == "dual" else None

    @property
    def number_of_captions(self) -> int:
        return len(self.items) * self.settings.n if self.has_captions else 0

    @property
    def number_of_answers(self) -> int:
        drawn = self.settings.drawn_answers if self.has_answers else 0
        return sum(len(questions_of(item, self.closed)) for item in self.items) * drawn if drawn else 0

    @property
    def number_of_images(self) -> int:
        return len(self.items) * (self.settings.n_images or self.settings.n) if self.has_images else 0

    def captions(self, items: Iterable[Item]) -> Iterator[Request]:
        """The requests for captions of these items, item by item; none where they have no likelihood or no part."""
        if not self.has_captions:
            return
        settings, defaults, seed = self.settings, self.model.info.defaults, self.seed
        for item in items:
            yield from candidates.caption_requests(
                [item], settings.n, settings.caption_prompt, defaults, settings.caption_tokens, seed
            )

    def answers(self, items: Iterable[Item]) -> Iterator[Request]:
        """The requests for answers about these items' real images, item by item; none where they have no part."""
        if not (self.has_answers and self.settings.drawn_answers):
            return
        settings, defaults, seed = self.settings, self.model.info.defaults, self.seed
        for item in items:
            yield from answer_requests(item, settings.drawn_answers, defaults, seed, self.closed)

    def images(self, items: Iterable[Item]) -> Iterator[Request]:
        """The requests for images of these items, item by item; none where they have no likelihood or no part."""
        if not self.has_images:
            return
        settings, defaults, seed = self.settings, self.model.info.defaults, self.seed
        for item in items:
            yield from candidates.image_requests(
                [item], settings.n_images or settings.n, defaults, settings.guidance, seed, settings.plan
            )
