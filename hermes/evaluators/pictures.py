"""Scores of pictures, whatever they were drawn for: the pictures of any benchmark that draws, or of your own prompts.

Tasks: ``clipscore`` scores the pictures of the task ``prompts``, ``clipscore:TASK`` those of another, such as
``clipscore:geneval``; so do ``pickscore``, ``hpsv2`` and ``aesthetic``. The pictures are those of that task: what it
has drawn is not drawn again. Each score has a judge of its name, whose weights --judge names (harness/judges/pictures).

- ``clipscore`` (Hessel et al. 2021, arXiv 2104.08718): 100 max(cos, 0) under CLIP ViT-L/14, as torchmetrics defines it.
- ``pickscore`` (Kirstain et al. 2023, arXiv 2305.01569): the scaled cosine of PickScore_v1.
- ``hpsv2`` (Wu et al. 2023, arXiv 2306.09341): 100 times the cosine of HPSv2.1.
- ``aesthetic`` (LAION, improved-aesthetic-predictor): of the picture alone.

Metrics: the mean over pictures, under the task's own name; ``category/<name>`` where the data has categories; and
``prompt_cut``, the share of pictures whose prompt the scorer did not read to its end. Intervals are clustered by
prompt.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

from hermes.evaluators.prompts import CATEGORY, Prompts
from hermes.harness.contracts.benchmark import Answer, Evaluator, Row, Scored
from hermes.harness.contracts.columns import collect, columns_of
from hermes.harness.contracts.judge import Judge, Rater
from hermes.harness.records.stats import Means
from hermes.harness.records.types import Metric, Sample, Score, Split
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.shapes.twins import twin_of


class OfPictures(Evaluator):
    """Looks at the pictures of another benchmark; `make` says which."""

    ability = "generation"
    data = Prompts.data
    config = Prompts.config
    chance = 0.0
    best = 0.0  # nobody knows what chance has, so it is in no mean over benchmarks
    standard = False
    looks_at = Prompts

    def __init__(self, drawn: Evaluator | None = None) -> None:
        self.drawn = drawn or Prompts()

    @classmethod
    def make(cls, argument: str | None) -> "Evaluator":
        """The evaluator of the pictures of the task ``argument``."""
        if argument is None:
            return cls()
        drawn: Evaluator = registry.evaluator(argument)
        if drawn.ability != "generation" or drawn.looks_at is not None:
            raise HermesError(
                f"task '{cls.name}:{argument}': {argument!r} draws no pictures of its own; name one that does"
            )
        twin = twin_of(drawn)
        told = {
            "__module__": cls.__module__,
            "name": f"{cls.name}:{argument}",
            "title": f"{cls.title} ({drawn.title})",
            "data": replace(drawn.data, scored=()),
            "config": drawn.config,
            "divides": drawn.divides,
            "looks_at": type(drawn),
            "twin": twin and replace(twin, judge=None, best=None),
        }
        bound: type[OfPictures] = type(cls.__name__, (cls,), told)
        return bound(drawn)

    def own_rows(self) -> Iterable[Row] | None:
        return self._told().own_rows()

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        return self._told().local_rows(source, split)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """The other's samples without what only the other looks at."""
        for sample in self._told().samples(rows):
            category = sample.metadata.get(CATEGORY)
            metadata = {CATEGORY: category} if isinstance(category, str) else {}
            yield sample.model_copy(update={"target": None, "choices": (), "metadata": metadata})

    def _told(self) -> Evaluator:
        """The other benchmark, which reads rows as this one was told to."""
        self.drawn.shown, self.drawn.held_out = self.shown, self.held_out
        return self.drawn


class PictureScore(OfPictures):
    """One number a picture, from the judge of the score's name."""

    version = "1"
    unit = "own unit"
    scale: ClassVar[float] = 1.0

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"score": number, "cut": whether the prompt was cut}`` for each image."""
        images = [answer.image.open() for answer in answers if answer.image]
        return [dict(one) for one in cast(Rater, judge).rate(images, [answer.sample.prompt for answer in answers])]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        score, cut = data.get("score"), data.get("cut", False)
        if isinstance(score, bool) or not isinstance(score, int | float) or not isinstance(cut, bool):
            raise HermesError('expected {"score": number}, on the scale of the scorer')
        return {"score": float(score), "cut": cut}

    def score(self, answer: Answer, protocol: str) -> Score:
        data, sample = answer.judgement or {}, answer.sample
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"score": data["score"], "prompt_cut": float(data["cut"])},
            tags={name: value for name, value in sample.metadata.items() if name == CATEGORY},
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        pictures = collect(scored, ("score", "prompt_cut"), (CATEGORY,))
        return {
            self.headline: pictures.pooled("score", self.scale).metric(),
            **pictures.means("score", CATEGORY, self.scale, f"{CATEGORY}/"),
            "prompt_cut": pictures.mean("prompt_cut"),
        }

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return columns_of(scores, ("score",)).pooled("score", cls.scale)


class ClipScore(PictureScore):
    """Percent of a cosine, negative ones as 0."""

    name = "clipscore"
    title = "CLIPScore"
    headline = "clipscore"
    judge = "clipscore"
    judge_needs = "clipscore"
    scale = 100.0
    unit = "x100"


class PickScore(PictureScore):
    """On the model's own scale, about 20."""

    name = "pickscore"
    title = "PickScore"
    headline = "pickscore"
    judge = "pickscore"
    judge_needs = "pickscore"


class HPSv2(PictureScore):
    """Percent of a cosine."""

    name = "hpsv2"
    title = "HPSv2"
    headline = "hpsv2"
    judge = "hpsv2"
    judge_needs = "hpsv2"
    scale = 100.0
    unit = "x100"


class Aesthetic(PictureScore):
    """1 to 10; the user names the weights."""

    name = "aesthetic"
    title = "Aesthetic score"
    headline = "aesthetic"
    judge = "aesthetic"
    judge_needs = "aesthetic"
