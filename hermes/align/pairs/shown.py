"""The different pictures of items, as the critic and the model itself are shown them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from hermes.align.pairs.candidates import distinct_images
from hermes.align.pairs.items import Item
from hermes.harness.records.keys import digest, judgement_key
from hermes.harness.records.types import Response


class Shown(NamedTuple):
    """One of the different pictures of an item, and the key of what is said of it."""

    item: Item
    response: Response
    key: str


def shown(items: Iterable[Item], pictures: Sequence[Response]) -> Iterator[Shown]:
    """The different pictures among these, which are of these items."""
    known = {item.id: (item, whole_of(item)) for item in items}
    for one in distinct_images(pictures):
        item, whole = known[one.sample_id]
        yield Shown(item, one, judgement_key(one.key, one.image, whole))


def whole_of(item: Item) -> bytes:
    """What stands for an item with all its questions."""
    return digest(item.generation.model_dump_json(exclude={"images"}))
