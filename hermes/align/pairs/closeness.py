"""How close candidates' captions are to the true ones: noted beside the captions, shared by all processes."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from hermes.align.pairs.items import Item
from hermes.harness.judges.similarity import forget_encoders, similarity
from hermes.harness.records.keys import digest, judgement_key
from hermes.harness.records.store import Store
from hermes.harness.records.types import Judgement, Response
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress
from hermes.harness.system.sharing import Sharing

NAME, VALUE = "similarity-1", "similarity"
PART = 8
"""Items whose similarities are written at once."""
Said = tuple[Item, list[Response]]


def rate_captions(said: Iterable[Said], total: int, store: Store, name: str, device: str, progress: Progress) -> None:
    """The similarity of every caption with that of its item, for ``total`` items; what is noted is not asked again.

    An item's captions are always encoded together and with no others, so that the numbers do not depend on how many
    processes share the work. Raises HermesError for a similarity that is not finite.
    """
    journal = store.judgements(_identity(name))
    known = journal.index()
    current().wait()
    progress.start(f"similarity ({name})", total)

    def unrated() -> Iterator[Said]:
        for item, texts in said:
            if known.answered(_keys(item, texts)).all():
                progress.skip(1)
            else:
                yield item, texts

    work = Sharing(unrated(), PART, "similarity")
    for part in work:
        score = similarity(name, device)
        journal.append([one for item, texts in part for one in _rated(item, texts, score, name)])
        progress.advance(work.did(len(part)))
    progress.advance(work.did(0))
    forget_encoders()


def closeness_of(store: Store, name: str) -> Callable[[Sequence[Item], Sequence[Response]], dict[str, float]]:
    """A function from items and their captions to the similarities that are noted, by the responses' keys."""
    index = store.judgements(_identity(name)).index()

    def look_up(items: Sequence[Item], texts: Sequence[Response]) -> dict[str, float]:
        known = {item.id: item for item in items}
        good = [one for one in texts if one.text is not None]
        noted = index.get([_key(known[one.sample_id], one) for one in good])
        return {one.key: float(said.data[VALUE]) for one, said in zip(good, noted, strict=True) if said}

    return look_up


def _rated(
    item: Item,
    texts: Sequence[Response],
    score: Callable[[Sequence[str], Sequence[str]], list[float]],
    name: str,
) -> Iterator[Judgement]:
    good = [one for one in texts if one.text is not None]
    values = score([str(one.text) for one in good], [item.told] * len(good))
    for one, value in zip(good, values, strict=True):
        if not math.isfinite(value):
            raise HermesError("the similarity of a caption is not a finite number; choose another --similarity")
        place = {"key": _key(item, one), "sample_id": item.id, "index": one.index}
        yield Judgement(**place, judge=_identity(name), data={VALUE: value})


def _keys(item: Item, texts: Sequence[Response]) -> list[str]:
    return [_key(item, one) for one in texts if one.text is not None]


def _key(item: Item, caption: Response) -> str:
    return judgement_key(caption.key, caption.text, digest(item.told))


def _identity(name: str) -> str:
    return f"{NAME} {name}"
