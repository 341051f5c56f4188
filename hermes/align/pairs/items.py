"""Homologous items of self-play: one real image x, its caption y, and the questions that follow from y."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from hermes.align.settings import AlignSettings
from hermes.harness.contracts.benchmark import Evaluator, Row
from hermes.harness.data.doubles import Doubles
from hermes.harness.data.fingerprint import fingerprint
from hermes.harness.data.pins import Pins
from hermes.harness.data.tables import Samples, open_table
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Sample, Split
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current
from hermes.harness.system.sharing import Sharing
from hermes.shapes.twins import homologous, twin_of

TOGETHER = 64
"""Items whose pictures a process reads before it looks for more."""


@dataclass(frozen=True)
class Item:
    """One homologous item: the real image x, and the sample that asks for an image of its caption y.

    ``told`` is what captions of x are compared with: y, or where y leaves things open all that x shows.
    """

    id: str
    image: ImageHandle
    generation: Sample
    told: str

    @property
    def caption(self) -> str:
        return self.generation.prompt


def shapes_items(
    understanding: Evaluator, generation: Evaluator, count: int, seed: int, open_prompts: float = 0.0
) -> list[Item]:
    """``count`` items of the built-in world's train split; another seed gives other items with other ids.

    ``open_prompts`` is the share of items, evenly spread, whose caption is a prompt of GenEval's kind.
    """
    if twin_of(generation) is None:
        raise HermesError(f"task {generation.name!r} has no twin in the shapes world; give --data")
    opened = round(open_prompts * count)
    full = _shapes_items(understanding, generation, count - opened, seed, homologous.rows)
    photos = _shapes_items(understanding, generation, opened, derive_seed(seed, "open"), homologous.open_rows)
    turns = [(place + 1) * opened // count > place * opened // count for place in range(count)]
    sources = iter(full), iter(photos)
    return [next(sources[turn]) for turn in turns]


def _shapes_items(
    understanding: Evaluator,
    generation: Evaluator,
    count: int,
    seed: int,
    make: Callable[[Split, int], Sequence[Row]],
) -> list[Item]:
    items: list[Item] = []
    block = 0
    while len(items) < count:
        draw = derive_seed(seed, block, "selfplay")
        rows = make("train", draw)[: count - len(items)]
        asked, drawn = understanding.samples(rows), generation.samples(rows)
        told = {str(row["id"]): row["told"] for row in rows if "told" in row}
        items += _join(asked, drawn, prefix=f"{draw:016x}/", told=told)
        block += 1
    return items


def data_items(understanding: Evaluator, generation: Evaluator, source: str, end: int, pins: Pins) -> list[Item]:
    """The items to train on of a data folder or of the hub: the first ``end``, of which no more is read, or all.

    Raises HermesError where two have one id.
    """
    asked, drawn = (Samples(side, open_table(side, source, "train", pins=pins)) for side in (understanding, generation))
    items, ids = [], Doubles()
    for item in _join(_of_groups(asked, end), _of_groups(drawn, end)):
        items.append(item)
        ids.add(item.id)
    ids.refuse(lambda: (item.id for item in items), source)
    return items


def _of_groups(samples: Iterable[Sample], count: int) -> Iterator[Sample]:
    """The samples before the group after the first ``count``."""
    groups: set[str] = set()
    for sample in samples:
        groups.add(sample.group_id)
        if len(groups) > count:
            return
        yield sample


def _join(
    asked: Iterable[Sample], drawn: Iterable[Sample], prefix: str = "", told: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Item]:
    """Both sides joined by group_id; an item that has one side alone is an error."""
    images: dict[str, ImageHandle] = {}
    for sample in asked:
        images.setdefault(sample.group_id, sample.images[0])
    for sample in drawn:
        if sample.group_id not in images:
            raise HermesError(f"item {sample.group_id!r} has a caption but no questions; give both or neither")
        name = prefix + sample.group_id
        renamed = sample.model_copy(update={"id": name, "group_id": name})
        yield Item(name, images[sample.group_id], renamed, told.get(sample.group_id, sample.prompt))


def measured(settings: AlignSettings) -> tuple[Split, ...]:
    """The splits that a self-play is measured on."""
    chosen = settings.patience or settings.guidances
    splits: list[Split] = [settings.eval_split, *(("validation",) if chosen else ())]
    return tuple(dict.fromkeys(splits))


def with_known_pictures(items: Sequence[Item]) -> list[Item]:
    """The items with the hashes of their pictures, each of which one process has read. All processes must call."""
    work = Sharing(enumerate(items), TOGETHER, "reading pictures")
    found = [[place, item.image.sha256()] for part in work for place, item in part]
    known = dict(current().gathered(found))
    return [replace(item, image=replace(item.image, hashed=known[place])) for place, item in enumerate(items)]


class ItemSource:
    """The items of every round, and which world they are of.

    ``asker`` and ``drawer`` are both sides of the homologous benchmark, of which the training reads no item that
    evaluations hold; ``model`` is an adapter or its class; ``pins`` says which commit of a hub data set is read.
    """

    def __init__(
        self, asker: Evaluator, drawer: Evaluator, settings: AlignSettings, model: Any, pins: Pins | None = None
    ) -> None:
        self.asker, self.drawer, self.settings, self.pins = asker, drawer, settings, pins or Pins()
        self.source = settings.data or ("shapes" if getattr(model, "world", "real") == "shapes" else "hub")
        self.world: Literal["shapes", "real"] = "shapes" if self.source == "shapes" else "real"
        self.total: int | None = None
        """How many items of the real world there are to train on, once a round has read to their end."""
        if self.world == "real":
            if settings.open_prompts:
                raise HermesError(f"open_prompts: the items of {self.source} have captions of their own; leave it out")
            asker.held_out = drawer.held_out = measured(settings)

    def of_round(self, number: int) -> list[Item]:
        """The same items in every round, or others in each, as ``settings.changes_items`` says.

        Each round takes on where the one before has stopped; after the last item of real data comes the first again.
        """
        settings, begin = self.settings, self._begin(number)
        if self.world == "shapes":
            seed = derive_seed(settings.seed, number if settings.changes_items else 0, "items")
            return shapes_items(self.asker, self.drawer, settings.items, seed, settings.open_prompts)
        end = begin + settings.items
        items = data_items(self.asker, self.drawer, self.source, end, self.pins)
        if len(items) < end:
            self.total = len(items)
        if len(items) < settings.items:
            raise HermesError(
                f"{self.source} holds {len(items)} homologous items to train on, but {settings.items} were asked for; "
                f"give --items {len(items)}"
            )
        return [items[place % len(items)] for place in range(begin, end)]

    def again(self, number: int) -> int:
        """How many items of a round, which has been read, were items of a round before because there are no others."""
        if self.total is None or not self.settings.changes_items:
            return 0
        return min(self.settings.items, max(0, self._begin(number + 1) - self.total))

    def fingerprint(self) -> str:
        """A hash of the first round's items, images included. All processes must call."""
        items = with_known_pictures(self.of_round(1))
        return fingerprint([item.generation.model_copy(update={"images": (item.image,)}) for item in items])

    def _begin(self, number: int) -> int:
        """How many items come before those of a round."""
        return (number - 1) * self.settings.items if self.settings.changes_items else 0
