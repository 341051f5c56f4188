"""Homologous items of self-play: one real image x, its caption y, and the questions that follow from y."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from hermes.align.settings import AlignSettings
from hermes.evaluators.base import Evaluator
from hermes.harness.data import fingerprint, load_data
from hermes.harness.errors import HermesError
from hermes.harness.images import ImageHandle
from hermes.harness.seeds import derive_seed
from hermes.harness.types import Sample


@dataclass(frozen=True)
class Item:
    """One homologous item: the real image x, and the sample that asks for an image of its caption y."""

    id: str
    image: ImageHandle
    generation: Sample

    @property
    def caption(self) -> str:
        return self.generation.prompt


def shapes_items(understanding: Evaluator, generation: Evaluator, count: int, seed: int) -> list[Item]:
    """``count`` items of the built-in world's train split; another seed gives other items with other ids."""
    items: list[Item] = []
    block = 0
    while len(items) < count:
        draw = derive_seed(seed, block, "selfplay")
        asked = understanding.samples(understanding.shapes_rows("train", draw))
        drawn = generation.samples(generation.shapes_rows("train", draw))
        items += _join(asked, drawn, prefix=f"{draw:016x}/")
        block += 1
    return items[:count]


def data_items(understanding: Evaluator, generation: Evaluator, source: str, count: int) -> list[Item]:
    """The first ``count`` items of a data folder or of the hub. Raises HermesError where there are fewer."""
    asked = load_data(understanding, source, "train", count).samples
    items = _join(asked, load_data(generation, source, "train", count).samples)
    if len(items) < count:
        raise HermesError(
            f"{source} holds {len(items)} homologous items, {count} are wanted; give --items {len(items)}"
        )
    return items


def _join(asked: Iterable[Sample], drawn: Iterable[Sample], prefix: str = "") -> list[Item]:
    """Both sides joined by group_id; an item that has one side alone is an error."""
    images: dict[str, ImageHandle] = {}
    for sample in asked:
        images.setdefault(sample.group_id, sample.images[0])
    items = []
    for sample in drawn:
        if sample.group_id not in images:
            raise HermesError(f"item {sample.group_id!r} has a caption but no questions; give both or neither")
        name = prefix + sample.group_id
        items.append(Item(name, images[sample.group_id], sample.model_copy(update={"id": name, "group_id": name})))
    return items


class ItemSource:
    """The items of every round, and which world they are of.

    ``asker`` and ``drawer`` are both sides of the homologous benchmark; ``model`` is an adapter or its class.
    """

    def __init__(self, asker: Evaluator, drawer: Evaluator, settings: AlignSettings, model: Any) -> None:
        self.asker, self.drawer, self.settings = asker, drawer, settings
        self.source = settings.data or ("shapes" if getattr(model, "world", "real") == "shapes" else "hub")
        self.world: Literal["shapes", "real"] = "shapes" if self.source == "shapes" else "real"

    def of_round(self, number: int) -> list[Item]:
        """The same items in every round, or others in each, as ``settings.changes_items`` says."""
        settings = self.settings
        if self.world == "real":
            return data_items(self.asker, self.drawer, self.source, settings.items)
        seed = derive_seed(settings.seed, number if settings.changes_items else 0, "items")
        return shapes_items(self.asker, self.drawer, settings.items, seed)

    def fingerprint(self) -> str:
        """A hash of the first round's items, images included."""
        return fingerprint([item.generation.model_copy(update={"images": (item.image,)}) for item in self.of_round(1)])
