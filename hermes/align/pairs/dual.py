"""Dual likelihood as reward (SUDER, arXiv 2506.07963): how likely the model finds an item's other half.

A caption is worth how likely the real image is, drawn from that caption; an image is worth how likely the true
caption is, said of that image. Both are a probability per token, e^(log p / n), so lengths do not count, and lie in
0..1. Nobody else is asked.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from hermes.align.pairs.items import Item
from hermes.align.pairs.rating import Likelihood, Rated, rate, ratings_of, refuse_lost
from hermes.align.pairs.shown import Shown
from hermes.harness.contracts.model import Alignable, LikelihoodItem
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.keys import digest, judgement_key
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.store import Store
from hermes.harness.records.types import Response
from hermes.harness.system.progress import Progress

NAME = "dual-1"
Scores = dict[str, float]
"""By the responses' keys."""


class Dual:
    """The ratings of a round; ``prompt`` asks for captions. Images of one item are masked, or noised, alike."""

    def __init__(self, prompt: str, seed: int) -> None:
        self.prompt, self.seed = prompt, seed

    def rate_captions(
        self,
        model: Alignable,
        said: Iterable[tuple[Item, Sequence[Response]]],
        total: int,
        store: Store,
        batch: int,
        progress: Progress,
    ) -> None:
        """Note how likely each real image is, drawn from its captions."""
        wanted = (
            Rated(self._key(item, one), item.id, one.index, partial(self._image, item, one))
            for item, texts in said
            for one in texts
            if one.text is not None
        )
        rate(model, wanted, total, store, NAME, _per_token, batch, progress)

    def rate_images(
        self,
        model: Alignable,
        pictures: Iterable[Shown],
        total: int,
        store: Store,
        batch: int,
        progress: Progress,
    ) -> None:
        """Note how likely each true caption is, said of its images."""
        wanted = (
            Rated(self._key_of(one), one.item.id, one.response.index, partial(self._caption, one, store))
            for one in pictures
        )
        rate(model, wanted, total, store, NAME, _per_token, batch, progress)

    def captions_of(self, store: Store) -> Callable[[Sequence[Item], Sequence[Response]], Scores]:
        """A function from items and their captions to the captions' scores."""
        noted = ratings_of(store, NAME)

        def look_up(items: Sequence[Item], texts: Sequence[Response]) -> Scores:
            known = {item.id: item for item in items}
            good = [one for one in texts if one.text is not None]
            return _scores(good, noted([self._key(known[one.sample_id], one) for one in good]))

        return look_up

    def images_of(self, store: Store) -> Callable[[Sequence[Shown]], Scores]:
        """A function from pictures to their scores."""
        noted = ratings_of(store, NAME)
        return lambda pictures: _scores(
            [one.response for one in pictures], noted([self._key_of(one) for one in pictures])
        )

    def _image(self, item: Item, caption: Response) -> list[LikelihoodItem]:
        seed = derive_seed(self.seed, item.id, "dual")
        return [LikelihoodItem("image", caption.text or "", item.image, seed=seed)]

    def _caption(self, one: Shown, store: Store) -> list[LikelihoodItem]:
        image = ImageHandle(store.image(one.response).open())
        return [LikelihoodItem("text", self.prompt, image, one.item.caption)]

    def _key(self, item: Item, caption: Response) -> str:
        return judgement_key(caption.key, caption.text, digest(item.image.sha256()))

    def _key_of(self, one: Shown) -> str:
        return judgement_key(one.response.key, one.response.image, digest(self.prompt, one.item.caption))


def _scores(responses: Sequence[Response], noted: Sequence[float | None]) -> Scores:
    return {one.key: math.exp(value) for one, value in zip(responses, noted, strict=True) if value is not None}


def _per_token(one: Rated, found: Sequence[Likelihood]) -> float:
    ((log_prob, tokens),) = found
    return refuse_lost(one, log_prob / max(tokens, 1.0), "the other half of", "give --scores critic")
