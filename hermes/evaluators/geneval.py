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

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hermes.evaluators.base import Answer, DataSpec, Evaluator, Row
from hermes.evaluators.fields import text
from hermes.evaluators.judged import read_detections
from hermes.harness.errors import HermesError, JudgeError
from hermes.harness.judges.base import Judge
from hermes.harness.seeds import derive_seed
from hermes.harness.shapes.prompts import TAGS, geneval_prompt
from hermes.harness.shapes.scene import COLORS, Split
from hermes.harness.stats import mean_metric, sum_metric
from hermes.harness.types import GenerationConfig, Metric, Sample, Score

Detections = Mapping[str, Sequence[Mapping[str, Any]]]
PROMPTS_A_TASK = 16
THRESHOLD = 0.3
COUNTING_THRESHOLD = 0.9
MAX_BOXES = 16
POSITION_THRESHOLD = 0.1


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes [x0, y0, x1, y1] whose last pixel belongs to them."""

    def area(x0: float, y0: float, x1: float, y1: float) -> float:
        return max(x1 - x0 + 1, 0.0) * max(y1 - y0 + 1, 0.0)

    shared = area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    return shared / (area(*a) + area(*b) - shared)


def kept_boxes(detections: Detections, tag: str, max_overlap: float = 1.0) -> dict[str, list[Mapping[str, Any]]]:
    """The boxes that count, best first; with ``max_overlap`` below 1 without those that overlap a better one."""
    threshold = np.float32(COUNTING_THRESHOLD if tag == "counting" else THRESHOLD)
    kept: dict[str, list[Mapping[str, Any]]] = {}
    for name, boxes in detections.items():
        scores = np.asarray([box["score"] for box in boxes], dtype=np.float32)
        order = [k for k in np.argsort(scores, kind="stable")[::-1] if scores[k] > threshold][:MAX_BOXES]
        chosen: list[Mapping[str, Any]] = []
        for k in order:
            if max_overlap == 1.0 or all(iou(boxes[k]["box"], box["box"]) < max_overlap for box in chosen):
                chosen.append(boxes[k])
        if chosen:
            kept[name] = chosen
    return kept


def relations(a: Sequence[float], b: Sequence[float]) -> set[str]:
    """Where box a lies relative to box b: the centres' offset, less a tenth of both sizes, along each axis."""
    corners = np.asarray([a, b], dtype=np.float32).reshape(2, 2, 2)
    first, second = corners.mean(axis=1)
    sizes = np.abs(corners[:, 1] - corners[:, 0]).sum(axis=0)
    offset = first - second
    beyond = np.maximum(np.abs(offset) - np.float32(POSITION_THRESHOLD) * sizes, 0) * np.sign(offset)
    if np.all(np.abs(beyond) < 1e-3):
        return set()
    x, y = beyond / np.linalg.norm(offset)
    told = {"left of": x < -0.5, "right of": x > 0.5, "above": y < -0.5, "below": y > 0.5}
    return {relation for relation, holds in told.items() if holds}


def verdict(boxes: Detections, metadata: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the kept boxes meet the metadata, and the reasons why not, one a line."""
    reasons: list[str] = []
    matched: list[Sequence[Mapping[str, Any]] | None] = []
    for entry in metadata.get("include", ()):
        found = boxes.get(entry["class"], ())[: entry["count"]]
        reason = _unmet(entry, found, matched)
        matched.append(None if reason else found)
        reasons += [reason] if reason else []
    for entry in metadata.get("exclude", ()):
        number = len(boxes.get(entry["class"], ()))
        if number >= entry["count"]:
            reasons.append(f"expected {entry['class']}<{entry['count']}, found {number}")
    return not reasons, "\n".join(reasons)


def _unmet(
    entry: Mapping[str, Any],
    found: Sequence[Mapping[str, Any]],
    matched: Sequence[Sequence[Mapping[str, Any]] | None],
) -> str:
    name, count, color = entry["class"], entry["count"], entry.get("color")
    if len(found) < count:
        return f"expected {name}>={count}, found {len(found)}"
    if color is not None:
        seen = [box.get("color") for box in found]
        if None in seen:
            raise JudgeError(f"a box of {name!r}, whose color is asked about, has none")
        if seen.count(color) < count:
            others = ", ".join(f"{seen.count(other)} {other}" for other in COLORS if other in seen)
            return f"expected {color} {name}>={count}, found {seen.count(color)} {color}; and {others}"
    if entry.get("position"):
        relation, target = entry["position"]
        targets = matched[target]
        if targets is None:
            return f"no target for {name} to be {relation}"
        for box in found:
            for other in targets:
                true = relations(box["box"], other["box"])
                if relation not in true:
                    return f"expected {name} {relation} target, found {' and '.join(sorted(true))} target"
    return ""


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
        shapes_n=len(TAGS) * PROMPTS_A_TASK,
    )
    config = GenerationConfig(num_images=4)
    headline = "overall"
    unit = "0..1"
    chance = 0.0
    best = 1.0
    judge = "oracle"
    real_judge = "mask2former"
    judge_needs = "detect"

    def shapes_rows(self, split: Split, seed: int) -> list[Row]:
        """Sixteen prompts a task, the tasks in turn. A prompt repeats only in a task that has fewer different ones."""
        columns = [_prompts(tag, split, seed) for tag in TAGS]
        return [row for turn in zip(*columns, strict=True) for row in turn]

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

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"detections": {class: [{"box", "score", "color"}]}}`` for each image."""
        images = [answer.image.open() for answer in answers if answer.image]
        colored = [
            {entry["class"] for entry in answer.sample.target.get("include", ()) if entry.get("color")}
            for answer in answers
        ]
        return [{"detections": found} for found in judge.detect(images, colored)]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        return read_detections(data)

    def score(self, answer: Answer, protocol: str) -> Score:
        sample = answer.sample
        boxes = kept_boxes((answer.judgement or {})["detections"], sample.metadata["tag"])
        correct, reason = verdict(boxes, sample.target)
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": correct},
            prediction={name: len(found) for name, found in boxes.items()},
            reason=reason,
            tags={"tag": sample.metadata["tag"]},
        )

    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        tasks = {
            tag: mean_metric(*_values([score for score in scores if score.tags["tag"] == tag]))
            for tag in dict.fromkeys(score.tags["tag"] for score in scores)
        }
        any_right: dict[str, float] = {}
        for score in scores:
            any_right[score.group_id] = max(any_right.get(score.group_id, 0.0), score.values["correct"])
        prompts = mean_metric(list(any_right.values()), list(any_right))
        return {"overall": sum_metric(list(tasks.values())), **tasks, "prompts": prompts}


def _values(scores: Sequence[Score]) -> tuple[list[float], list[str]]:
    return [score.values["correct"] for score in scores], [score.group_id for score in scores]


def _prompts(tag: str, split: Split, seed: int) -> list[Row]:
    rng = random.Random(derive_seed(seed, split, "geneval", tag))
    drawn = [geneval_prompt(tag, rng, split) for _ in range(50 * PROMPTS_A_TASK)]
    different = list({row["prompt"]: row for row in drawn}.values())
    return [different[k % len(different)] for k in range(PROMPTS_A_TASK)]


def _check(target: Mapping[str, Any], where: str) -> None:
    """Raise HermesError unless every entry names a class and a count, and positions point to an earlier entry."""
    for key in ("include", "exclude"):
        for number, entry in enumerate(target.get(key, ())):
            if not isinstance(entry, Mapping) or "class" not in entry or not isinstance(entry.get("count"), int):
                raise HermesError(f"{where}: {key} entry {number + 1} needs a class and a whole count; mend the row")
            position = entry.get("position")
            if position and not (len(position) == 2 and position[1] in range(number)):
                raise HermesError(f"{where}: {key} entry {number + 1} has a position without target; mend the row")
