"""The telephone game: how alike to its beginning is what is left of a picture or a caption, generation by generation?

Paper: arXiv 2509.04438; the program is mollahsabbir/Semantic-Drift-in-Unified-Models at 4f1d253, without a licence. Its
data, nd400 (NoCaps and DOCCI, under their own terms), do not come with Hermes: give rows ``{id, image, caption}`` with
--data. The program holds no prompts: captions are asked for as in ``cycle-image`` and ``cycle-text``, and the chains
are theirs, so what both ask is asked once.

- ``drift-image`` compares every caption and every picture of a chain with the picture that it began with,
- ``drift-text`` with the caption. Twenty generations, as published; ``drift-text:6`` has six.

The judge ``similarity`` has the program's encoders (judges/encoders.py): mpnet for two texts, CLIP for a text and a
picture, DINO for two pictures. Each generation is also compared with the beginning of another item: the one before, of
the first sixteen in turn from there on, the second for the first.

Protocol ``official``: ``mcd/<direction>`` is the mean over generations of the mean similarity over items (a similarity,
so higher is better, though it is called drift), ``mcd`` the mean of both directions (the published one is that of four,
the mean of both tasks'). ``sdr_a``, ``sdr_b`` and ``sdr_c`` are the means of a, b and c of a exp(-b k) + c, fitted to
either curve; they are left out where a fit does not end. Joined by item, not by position as in the program.
Protocol ``corrected`` adds to ``mcd`` of each direction, on its own: ``kept/<direction>/<k>``, the share of the first
generation's distance from strangers that is left; ``slope/<direction>``, least squares over the first eight
generations, with an interval over items; ``strangers/<direction>``, the similarity of what does not belong together.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, ClassVar, cast

import numpy as np

from hermes.evaluators.cycle_scores import decay, decay_rate, drift
from hermes.evaluators.cycles import GENERATION, PICTURED, TOLD, CycleImage, CycleText, pictured, scored, slope, told
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.chains import Chained
from hermes.harness.contracts.columns import Columns, collect, columns_of
from hermes.harness.contracts.judge import Judge, Likener
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.stats import DIFFERENCE, Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score
from hermes.harness.system.errors import HermesError

SIMILARITY, STRANGER, DIRECTION = "similarity", "stranger", "direction"
STRANGERS, FIRST = 16, 8
EXPECTED = '{"similarity": number}, beside it "stranger" likewise and "encoder": text'


class Drift(Chained):
    """Metrics: mcd and mcd/<direction>; official sdr_a, sdr_b, sdr_c; corrected kept, slope and strangers."""

    version = "1"
    config = GenerationConfig(num_images=20)
    headline = "mcd"
    unit = "-1..1"
    best = 1.0
    chance = best  # nobody knows what strangers have, so it is in no mean over benchmarks
    protocols = ("official", "corrected")
    judge = "similarity"
    judge_needs = "liken"
    standard = False
    source: ClassVar[str]

    def __init__(self, generations: int | None = None) -> None:
        super().__init__(generations)
        self._anchors: dict[str, str | ImageHandle] = {}

    def begun(self, row: Row, where: str) -> Sample:
        """The chain of a row."""
        raise NotImplementedError

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample an item, with the name of the item that it is held against."""
        self._anchors = {}
        waiting: Sample | None = None
        for number, row in enumerate(rows):
            sample = self.begun(row, f"{self.name} item {row['id']}")
            if number == 0:
                waiting = sample
            else:
                if waiting is not None:
                    self._anchors[sample.id] = _beginning(sample)
                    yield self._against(waiting, sample.id)
                    self._anchors = {waiting.id: _beginning(waiting)} | self._anchors
                    waiting = None
                known = [name for name in self._anchors if name != sample.id]
                yield self._against(sample, known[(number - 1) % len(known)])
                if len(self._anchors) < STRANGERS:
                    self._anchors[sample.id] = _beginning(sample)
        if waiting is not None:
            yield waiting

    def _against(self, sample: Sample, stranger: str) -> Sample:
        """The sample with the other's name and a hash of its beginning, so that judgements belong to both."""
        found = self._anchors[stranger]
        text = found if isinstance(found, str) else found.sha256() if self.shown else ""
        mark = sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
        return sample.model_copy(update={"metadata": {STRANGER: stranger, "hash": mark}})

    def categories(self, sample: Sample) -> Collection[str]:
        return ()

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"similarity", "stranger", "encoder"}`` of each answer; no stranger where there is one item alone."""
        begun = {answer.sample.id: _beginning(answer.sample) for answer in answers}
        begun |= {name: self._anchors[name] for answer in answers if (name := answer.sample.metadata.get(STRANGER))}
        seen = {name: one if isinstance(one, str) else one.open() for name, one in begun.items()}
        pairs: list[tuple[Any, Any]] = []
        for answer in answers:
            said = answer.image.open() if answer.image else answer.response.text or ""
            pairs += [(said, seen[name]) for name in (answer.sample.id, answer.sample.metadata.get(STRANGER)) if name]
        found = iter(cast(Likener, judge).liken(pairs))
        told: list[dict[str, Any]] = []
        for answer in answers:
            encoder, value = next(iter(next(found).items()))
            other = next(iter(next(found).values())) if STRANGER in answer.sample.metadata else None
            told.append({SIMILARITY: value, STRANGER: other, "encoder": encoder})
        return told

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        found, other = data.get(SIMILARITY), data.get(STRANGER)
        if not _is_number(found) or not (other is None or _is_number(other)):
            raise HermesError(f"expected {EXPECTED}")
        return {SIMILARITY: found, STRANGER: other, "encoder": str(data.get("encoder", ""))}

    def score(self, answer: Answer, protocol: str) -> Score:
        judgement = answer.judgement or {}
        values = {name: judgement[name] for name in (SIMILARITY, STRANGER) if judgement[name] is not None}
        drawn = self.ability_at(answer.response.index) == "generation"
        return scored(
            self, answer, values, judgement[SIMILARITY], **{DIRECTION: f"{self.source}-{'image' if drawn else 'text'}"}
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores = collect(scored, (SIMILARITY, STRANGER, GENERATION), (DIRECTION,))
        parts = dict(scores.by_tag(DIRECTION))
        metrics = {"mcd": _mcd(scores).metric()} | {f"mcd/{name}": _mcd(part).metric() for name, part in parts.items()}
        return metrics | (_decline(parts) if protocol == "official" else _relative(parts))

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return _mcd(columns_of(scores, (SIMILARITY, GENERATION), (DIRECTION,)))


class DriftImage(Drift):
    """Every generation against the first picture."""

    name = "drift-image"
    title = "Drift, picture first"
    begins = "understanding"
    source = "image"
    data = DataSpec(hub="", split="test", n=0, columns=PICTURED, scored=("id",))
    looks_at: ClassVar[type[Evaluator] | None] = CycleImage

    def begun(self, row: Row, where: str) -> Sample:
        return pictured(row, where)


class DriftText(Drift):
    """Every generation against the first caption."""

    name = "drift-text"
    title = "Drift, caption first"
    begins = "generation"
    source = "text"
    data = DataSpec(hub="", split="test", n=0, columns=TOLD, scored=("id",))
    looks_at: ClassVar[type[Evaluator] | None] = CycleText

    def begun(self, row: Row, where: str) -> Sample:
        return told(row, where)


def _beginning(sample: Sample) -> str | ImageHandle:
    return sample.images[0] if sample.images else sample.prompt


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mcd(scores: Columns) -> Means:
    """The mean over directions of the mean over generations of the mean over items."""
    parts, weights = [], []
    directions = list(scores.by_tag(DIRECTION))
    for _, part in directions:
        generations = np.unique(part.values[GENERATION])
        for generation in generations:
            one = part.take(np.flatnonzero(part.values[GENERATION] == generation))
            parts.append((one.values[SIMILARITY], one.groups))
            weights.append(1 / len(directions) / len(generations))
    return Means(parts, weights, bounds=DIFFERENCE)


def _curves(part: Columns) -> dict[str, dict[int, float]]:
    """The similarities of each item by generation."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    columns = (part.groups.tolist(), part.values[GENERATION].tolist(), part.values[SIMILARITY].tolist())
    for group, generation, value in zip(*columns, strict=True):
        found[str(group)][int(generation)] = value
    return found


def _decline(parts: Mapping[str, Columns]) -> dict[str, Metric]:
    """SDR over the directions; nothing where a curve determines no decay."""
    fits = []
    for part in parts.values():
        found = part.values[GENERATION]
        generations = np.unique(found)
        means = [float(part.values[SIMILARITY][found == one].mean()) for one in generations]
        try:
            fits.append(decay(generations.tolist(), means))
        except (HermesError, TypeError):  # no fit, or fewer generations than it has parameters
            return {}
    rates = decay_rate(fits) if fits else []
    n = sum(len(part) for part in parts.values())
    return {f"sdr_{name}": Metric(value=value, n=n) for name, value in zip("abc", rates, strict=False)}


def _relative(parts: Mapping[str, Columns]) -> dict[str, Metric]:
    """What is left relative to strangers, how fast it goes, and what strangers have; a direction on its own."""
    metrics: dict[str, Metric] = {}
    for name, part in parts.items():
        strangers = part.take(np.flatnonzero(np.isfinite(part.values[STRANGER])))
        if len(strangers):
            other = strangers.mean(STRANGER, bounds=DIFFERENCE)
            told = drift(_curves(part), other.value)
            metrics |= {
                f"kept/{name}/{k}": Metric(value=share, n=told["chains"][k], groups=told["chains"][k])
                for k, share in told["kept"].items()
                if share is not None
            }
            metrics[f"strangers/{name}"] = other
        metrics |= slope(part, SIMILARITY, f"slope/{name}", FIRST)
    return metrics
