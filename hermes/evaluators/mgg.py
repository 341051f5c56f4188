"""Multi-generation GenEval (MGG): GenEval's prompts as chains, and whether each generation's picture still meets them.

Paper: the telephone game (arXiv 2509.04438); the program is mollahsabbir/Semantic-Drift-in-Unified-Models at 4f1d253.
A prompt is drawn, the drawing described, the description drawn: pictures are the generations 1, 3, ..., 19, one a
prompt. Data: GenEval's prompts (evaluators/geneval.py).

The published detector is OWLv2, asked for one `a photo of a [colour ]class` an entry; the judge here is GenEval's
(``mask2former``), whose boxes of a class and, where an entry has one, of its colour are that entry's.
Metrics, 0..1: ``overall`` over all pictures of all generations; each of GenEval's tasks; ``generation/<k>``.

Protocol ``official``: the program's verdict (boxes above 0.1, those of one class pooled, every box in relation), on the
first four prompts alone, where its published version stops.
Protocol ``corrected``: all prompts, and GenEval's own verdict.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hermes.evaluators.cycles import by_generation
from hermes.evaluators.geneval import GenEval
from hermes.evaluators.geneval_verdict import kept_boxes, verdict
from hermes.evaluators.mgg_verdict import multi_generation_verdict
from hermes.harness.contracts.benchmark import Answer, Row, Scored
from hermes.harness.contracts.chains import Chained
from hermes.harness.contracts.columns import Columns, collect, columns_of
from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.judged import read_detections
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score
from hermes.harness.system.errors import HermesError

CORRECT, TASK, GENERATION = "correct", "tag", "generation"
STOPS_AFTER = 4
BOXES = '{"boxes": [[score, number of the entry, [x0, y0, x1, y1]]]}'


class MultiGeneration(Chained):
    """Metrics, 0..1: overall, the six tasks, and each generation."""

    name = "mgg"
    version = "1"
    title = "MGG"
    begins = "generation"
    data = GenEval.data
    config = GenerationConfig(num_images=19)
    headline = "overall"
    unit = "0..1"
    chance = 0.0
    best = 1.0
    protocols = ("official", "corrected")
    judge = "mask2former"
    judge_needs = "detect"
    standard = False

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """GenEval's samples; ``place`` is a prompt's number."""
        for place, sample in enumerate(GenEval().samples(rows)):
            yield sample.model_copy(update={"metadata": {**sample.metadata, "place": place}})

    def judged(self, sample: Sample) -> list[str]:
        return GenEval().judged(sample)

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """As GenEval asks, of each picture; nothing is asked about a description."""
        found = iter(GenEval().ask_judge([answer for answer in answers if answer.image], judge))
        return [next(found) if answer.image else {} for answer in answers]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        """Detections by class as GenEval's, or the published detector's boxes by entry."""
        if "boxes" not in data:
            return read_detections(data) if data else {}
        boxes = data["boxes"]
        if not isinstance(boxes, list) or not all(isinstance(one, list) and len(one) == 3 for one in boxes):
            raise HermesError(f"expected {BOXES}")
        return {"boxes": boxes}

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, judgement = answer.sample, answer.judgement or {}
        counts = bool(judgement) and (protocol == "corrected" or sample.metadata["place"] < STOPS_AFTER)
        correct, reason = self._verdict(sample, judgement, protocol) if judgement else (False, "")
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={CORRECT: float(correct)} if counts else {},
            prediction=correct if judgement else None,
            reason=reason,
            tags={TASK: sample.metadata[TASK], GENERATION: str(answer.response.index + 1)} if counts else {},
        )

    def _verdict(self, sample: Sample, judgement: Mapping[str, Any], protocol: str) -> tuple[bool, str]:
        if protocol == "corrected" and "detections" in judgement:
            return verdict(kept_boxes(judgement["detections"], sample.metadata[TASK]), sample.target)
        return multi_generation_verdict(sample.target, judgement.get("boxes") or _by_entry(sample, judgement))

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores = collect(scored, (CORRECT,), (TASK, GENERATION))
        return {
            "overall": _overall(scores).metric(),
            **scores.means(CORRECT, TASK),
            **by_generation(scores, CORRECT),
        }

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return _overall(columns_of(scores, (CORRECT,), (TASK,)))


def _overall(scores: Columns) -> Means:
    """The mean over pictures that count."""
    return Means([(part.values[CORRECT], part.groups) for part in [_counted(scores)]])


def _counted(scores: Columns) -> Columns:
    return scores.take((scores.tags[TASK] >= 0).nonzero()[0])


def _by_entry(sample: Sample, judgement: Mapping[str, Any]) -> Iterator[tuple[float, int, Sequence[float]]]:
    """GenEval's boxes as those of the entries that they were looked for by."""
    for number, entry in enumerate(sample.target.get("include", ())):
        for box in judgement.get("detections", {}).get(entry["class"], ()):
            if not entry.get("color") or box["color"] == entry["color"]:
                yield box["score"], number, box["box"]
