"""Which samples of a task a run takes, beside the first N: those of an id, those of a category, a random few items."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Sample
from hermes.harness.system.errors import HermesError
from hermes.harness.system.text import plain

SHOWN = 20  # Names in a message.
LONGEST = 700


class Met(NamedTuple):
    """What was wanted, in words, which of its ids a task has, all its categories, and a few of its ids."""

    told: str
    ids: frozenset[str]
    categories: frozenset[str]
    such_as: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """``ids`` of samples or whole items, ``categories``, and of what is left ``count`` items drawn by the ``seed``.

    Nothing given is no restriction. The items of a smaller count are among those of a larger one.
    """

    ids: frozenset[str] = frozenset()
    categories: tuple[str, ...] = ()
    count: int | None = None
    seed: int = 0

    @property
    def restricts(self) -> bool:
        """Whether anything is asked for beside all samples."""
        return bool(self.ids or self.categories or self.count)

    def takes(self, evaluator: Evaluator, samples: Iterable[Sample], limit: int | None) -> tuple[bytes, Met]:
        """One byte a sample, 1 where it is taken: of what is wanted, the first ``limit`` items.

        Raises HermesError where that is none.
        """
        items: dict[str, int] = {}
        places = array("q")
        ids: set[str] = set()
        categories: set[str] = set()
        such_as: list[str] = []
        for sample in samples:
            named, called = self.ids & {sample.id, sample.group_id}, set(evaluator.categories(sample))
            ids |= named
            categories |= called
            if len(such_as) < 3:
                such_as.append(sample.id)
            fits = (named or not self.ids) and (not self.categories or not called.isdisjoint(self.categories))
            places.append(items.setdefault(sample.group_id, len(items)) if fits else -1)
        met = Met(self._told(), frozenset(ids), frozenset(categories), tuple(such_as))
        if places and not items:
            raise HermesError(f"{evaluator.name}: {self._nothing(met)}")
        taken = set(self._drawn(list(items))[:limit])
        return bytes(place in taken for place in places), met

    def _drawn(self, items: Sequence[str]) -> list[int]:
        """The places of the items that are drawn, in their order."""
        ranked = sorted(range(len(items)), key=lambda place: derive_seed(self.seed, "sample", items[place]))
        return sorted(ranked[: self.count])

    def _told(self) -> str:
        parts = [f"{len(self.ids)} ids"] if self.ids else []
        parts += [f"category {', '.join(self.categories)}"] if self.categories else []
        parts += [f"{self.count} items at random"] if self.count else []
        return "; ".join(parts)

    def _nothing(self, met: Met) -> str:
        if self.ids and not met.ids:
            return f"none of the {len(self.ids)} ids of --ids is there; its ids are such as {_list(met.such_as)}"
        if self.categories and not met.categories:
            return "it has no categories; leave out --category, or the task"
        if self.categories and met.categories.isdisjoint(self.categories):
            return f"it has no category {_list(self.categories)}; there are {_list(sorted(met.categories))}"
        return "no item has one of the ids of --ids and one of the categories"

    def refuse_unknown(self, found: Mapping[str, Met | None]) -> None:
        """Raise HermesError for ids and categories that none of the tasks has."""
        mets = {task: met for task, met in found.items() if met is not None}
        if not mets:
            return
        if strange := sorted(self.ids.difference(*(met.ids for met in mets.values()))):
            task, met = next(iter(mets.items()))
            raise HermesError(
                f"--ids names {_list(strange)}, which no task has; the ids of {task} are such as {_list(met.such_as)}"
            )
        there = sorted(frozenset[str]().union(*(met.categories for met in mets.values())))
        if missing := [name for name in self.categories if name not in there]:
            raise HermesError(f"--category names {_list(missing)}, which no task has; there are {_list(there)}")


ALL = Wanted()


def read_ids(path: Path) -> frozenset[str]:
    """The ids of a file, one a line. Raises HermesError where there are none."""
    try:
        found = frozenset(filter(None, map(str.strip, path.read_text(encoding="utf-8-sig").splitlines())))
    except FileNotFoundError:
        raise HermesError(f"{path} does not exist; give --ids a file with one id a line") from None
    except UnicodeDecodeError:
        raise HermesError(f"{path} is not UTF-8 text; give --ids a file with one id a line") from None
    if not found:
        raise HermesError(f"{path} holds no ids; write one a line")
    return found


def _list(names: Sequence[str]) -> str:
    """The names with commas, at most so many."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return plain(", ".join(names[:SHOWN]), longest=LONGEST) + more
