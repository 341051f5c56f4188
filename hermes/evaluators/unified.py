"""Unified-Bench: how alike to a picture is what a model draws from its own description of it?

Paper: UAE, arXiv 2509.09666; no licence was found. Its 100 pictures do not come with Hermes: give rows ``{id, image}``
or a folder of them with --data. The model is asked for a description in UAE's words (a row may bring an
``instruction``), greedily and up to 512 tokens, where UAE samples; it draws from what it said. A judge that likens
gives the cosine of the drawing and the picture under each of its encoders:
``--judge similarity:image=openai/clip-vit-large-patch14+facebook/dinov2-large``; LongCLIP is none of transformers.

Metrics: ``overall``, the mean over encoders of the mean over pictures; ``<encoder>``, ``<encoder>/min`` and
``<encoder>/max``. Two unrelated photos have a cosine far above 0 under CLIP and near 0 under DINO, so the mean over
encoders mostly orders by the latter. A picture that could not be compared is an error, counted, and in no mean.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hermes.evaluators.cycles import PICTURED, pictured
from hermes.evaluators.unified_bench import PICTURES, reconstruction_statistics
from hermes.harness.contracts.benchmark import Answer, DataSpec, Row, Scored
from hermes.harness.contracts.chains import Chained
from hermes.harness.contracts.columns import Collector, Columns
from hermes.harness.contracts.judge import Judge, Likener
from hermes.harness.records.stats import DIFFERENCE, Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.harness.system.errors import HermesError

DESCRIBE = """You are an expert vision-language model.
Your task is: Given an input image, generate a **textual description** of the image. If there is text in the image, \
transcribe it inside double quotes "".
Now, carefully analyze the input image and output the full description."""
EXPECTED = '{"similarities": {encoder: number or null}}'


class UnifiedBench(Chained):
    """Metrics, -1..1: overall, each encoder's mean, least and greatest."""

    name = "unified-bench"
    version = "1"
    title = "Unified-Bench"
    begins = "understanding"
    describing = GenerationConfig(max_new_tokens=512, temperature=0.0)
    data = DataSpec(hub="", split="test", n=0, columns=PICTURED, scored=("id",))
    config = GenerationConfig(num_images=2)
    headline = "overall"
    unit = "-1..1"
    best = 1.0
    chance = best  # strangers are alike, too, how much the encoder says, so it is in no mean over benchmarks
    judge = "similarity"
    judge_needs = "liken"
    standard = False

    @classmethod
    def make(cls, argument: str | None) -> "UnifiedBench":
        """The task "unified-bench": a description and a drawing, no more."""
        if argument is not None:
            raise HermesError(f"task {cls.name!r} takes no argument, so not ':{argument}'; give {cls.name!r}")
        return cls()

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        """The pictures of a folder that holds some."""
        found = sorted(path for path in source.glob("*") if path.suffix.lower() in PICTURES) if source.is_dir() else []
        return [{"id": path.stem, "image": str(path)} for path in found] or None

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample a picture."""
        for row in rows:
            yield pictured({"instruction": DESCRIBE, **row}, f"unified-bench picture {row['id']}")

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"similarities": {encoder: cosine}}`` of each drawing; nothing is said of a description."""
        pairs = [(answer.image.open(), answer.sample.images[0].open()) for answer in answers if answer.image]
        found = iter(cast(Likener, judge).liken(pairs))
        return [{"similarities": next(found)} if answer.image else {} for answer in answers]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        found = data.get("similarities", {})
        if not isinstance(found, Mapping) or not all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool))
            for value in found.values()
        ):
            raise HermesError(f"expected {EXPECTED}")
        return {"similarities": dict(found)}

    def score(self, answer: Answer, protocol: str) -> Score:
        found = (answer.judgement or {}).get("similarities", {})
        values = {name: float(value) for name, value in found.items() if value is not None}
        return Score(
            sample_id=answer.sample.id,
            index=answer.response.index,
            group_id=answer.sample.group_id,
            values=values,
            prediction=values or None,
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        each = _by_encoder(score for _, score in scored)
        metrics = {"overall": _overall(each).metric()}
        for name, part in each.items():
            metrics[name] = part.mean("similarity", bounds=DIFFERENCE)
            told = reconstruction_statistics(dict(enumerate(part.values["similarity"].tolist())))  # type: ignore[arg-type]
            metrics |= {
                f"{name}/{end}": Metric(value=told[f"{end}_similarity"], n=len(part), groups=len(part))
                for end in ("min", "max")
            }
        return metrics

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return _overall(_by_encoder(scores))


def _by_encoder(scores: Iterable[Score]) -> dict[str, Columns]:
    """The similarities under each encoder."""
    found: dict[str, Collector] = {}
    for score in scores:
        for name, value in score.values.items():
            found.setdefault(name, Collector(("similarity",))).add(score.group_id, {"similarity": value})
    return {name: collector.columns() for name, collector in sorted(found.items())}


def _overall(each: Mapping[str, Columns]) -> Means:
    return Means([(part.values["similarity"], part.groups) for part in each.values()], bounds=DIFFERENCE)
