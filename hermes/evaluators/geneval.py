"""GenEval: does the generated image hold the objects, counts, colours and positions of the prompt? A detector decides.

Paper: Ghosh et al. 2023, "GenEval: An Object-Focused Framework for Evaluating Text-to-Image Alignment"
(arXiv:2310.11513). Licence: MIT.
Data: prompts/evaluation_metadata.jsonl of github.com/djghosh13/geneval, 553 prompts in six tasks (80 single_object, 99
two_object, 80 counting, 94 colors, 100 position, 100 color_attr), four images a prompt; it lies on GitHub only, so give
the file, or its folder, with --data.
Prompt: the data's own, nothing added.

Protocol ``official`` (evaluate_images.py and summary_scores.py at af4902f): of each class the boxes with a score above
0.3 (counting: 0.9) count, compared in float32, best 16 first, of equal scores the later one first. Each entry of
``include`` looks at its best ``count`` boxes only: enough boxes, then their colours, then the position of each relative
to each box of the target entry. An entry of ``exclude`` fails where its count is reached. Overall is the mean of
the task accuracies, not of all images. ``prompts`` is the share of prompts with any right image.

The official detector is Mask2Former over 80 COCO classes with CLIP for the colours; in the shapes world the oracle
detects the five shapes. Chance is 0: a picture drawn without looking at the prompt almost never meets it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hermes.evaluators.geneval_verdict import kept_boxes, verdict
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored, Verdict
from hermes.harness.contracts.columns import Columns, collect, columns_of
from hermes.harness.contracts.fields import nested, text
from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.judged import read_detections
from hermes.harness.records.stats import Means, mean_metric
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score
from hermes.harness.system.errors import HermesError


class GenEval(Evaluator):
    """Metrics, 0..1: overall, the six tasks, and prompts."""

    name = "geneval"
    version = "1"
    title = "GenEval"
    ability = "generation"
    data = DataSpec(
        hub="",
        split="test",
        n=553,
        columns=("tag", "prompt", "include"),
        scored=("tag", "include"),
        released="evaluation_metadata.jsonl",
        cells={"include": nested, "exclude": nested},
    )
    config = GenerationConfig(num_images=4)
    headline = "overall"
    unit = "0..1"
    chance = 0.0
    best = 1.0
    judge = "mask2former"
    judge_needs = "detect"

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for number, row in enumerate(rows):
            where = f"geneval row {number + 1}"
            tag, prompt = text(row, "tag", where), text(row, "prompt", where)
            target = {key: row[key] for key in ("tag", "include", "exclude", "prompt") if row.get(key) is not None}
            _check(target, where)
            yield Sample(
                id=f"{number:05d}",
                group_id=f"{tag}: {prompt}",
                ability=self.ability,
                prompt=prompt,
                target=target,
                metadata={"tag": tag},
            )

    def judged(self, sample: Sample) -> list[str]:
        return [entry["class"] for key in ("include", "exclude") for entry in sample.target.get(key, ())]

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"detections": {class: [{"box", "score", "color"}]}}`` for each image."""
        images = [answer.image.open() for answer in answers if answer.image]
        colored = [
            {entry["class"] for entry in answer.sample.target.get("include", ()) if entry.get("color")}
            for answer in answers
        ]
        return [{"detections": found} for found in judge.detect(images, colored)]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        """Detections, or ``{"correct", "reason"}`` as the official script writes its verdict to results.jsonl."""
        return dict(data) if isinstance(data.get("correct"), bool) else read_detections(data)

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, judgement = answer.sample, answer.judgement or {}
        boxes = kept_boxes(judgement.get("detections", {}), sample.metadata["tag"])
        correct, reason = verdict(boxes, sample.target)
        if "correct" in judgement:
            correct, reason = judgement["correct"], str(judgement.get("reason", ""))
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": correct},
            prediction={name: len(found) for name, found in boxes.items()},
            reason=reason,
            tags={"tag": sample.metadata["tag"]},
        )

    def verdicts(self, sample: Sample, score: Score) -> Iterator[Verdict]:
        yield Verdict(sample.prompt, sample.metadata["tag"], "yes" if score.values["correct"] else "no")

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores = collect(scored, ("correct",), ("tag",))
        tasks = {tag: part.mean("correct") for tag, part in _tasks(scores).items()}
        prompts, _, right = scores.by_group("correct")
        any_right = mean_metric((right > 0).astype(float), prompts)
        return {"overall": _overall(scores).metric(), **tasks, "prompts": any_right}

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means | None:
        return _overall(columns_of(scores, ("correct",), ("tag",)))


def _overall(scores: Columns) -> Means:
    """The mean of the task accuracies."""
    return Means([(part.values["correct"], part.groups) for part in _tasks(scores).values()])


def _tasks(scores: Columns) -> dict[str, Columns]:
    """The scores of each task, in the order of the data."""
    parts = dict(scores.by_tag("tag"))
    in_order = [scores.names["tag"][code] for code in dict.fromkeys(scores.tags["tag"].tolist())]
    return {tag: parts[tag] for tag in in_order}


def _check(target: Mapping[str, Any], where: str) -> None:
    """Raise HermesError unless every entry names a class and a count, and positions point to an earlier entry."""
    for key in ("include", "exclude"):
        for number, entry in enumerate(target.get(key, ())):
            if not isinstance(entry, Mapping) or "class" not in entry or not isinstance(entry.get("count"), int):
                raise HermesError(f"{where}: {key} entry {number + 1} needs a class and a whole count; fix the row")
            position = entry.get("position")
            if position and not (len(position) == 2 and position[1] in range(number)):
                raise HermesError(f"{where}: {key} entry {number + 1} has a position without target; fix the row")
