"""Samples whose prompts somebody wrote anew for the model that draws; judges and scores go by the old ones."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hermes.harness.data.fingerprint import Prints
from hermes.harness.data.tables import Data
from hermes.harness.records.types import Sample
from hermes.harness.system.sharing import chunks

LOOK_UP = 512
Texts = Callable[[Sequence[Sample]], Sequence[str]]


@dataclass(frozen=True)
class Rewritten:
    """The samples, each with what ``texts`` has for it in place of its prompt; nothing is held."""

    samples: Iterable[Sample]
    texts: Texts

    def __iter__(self) -> Iterator[Sample]:
        for chunk in chunks(self.samples, LOOK_UP):
            for sample, text in zip(chunk, self.texts(chunk), strict=True):
                yield sample.rewritten(text)


def rewritten(data: Data, texts: Texts) -> Data:
    """The data with other prompts for the model alone, fingerprint included."""
    info = data.info
    samples = Rewritten(data.samples, texts)
    prints = Prints(f"{info.source.removeprefix('hub:')}@{info.revision}" if info.pinned else None)
    for sample in samples:
        prints.add(sample)
    told = info.model_copy(update={"fingerprint": prints.fingerprint()})
    return replace(data, samples=samples, info=told, digests=bytes(prints.digests))
