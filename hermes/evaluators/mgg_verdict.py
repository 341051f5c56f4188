"""Multi-generation GenEval (MGG): do the pictures of later generations of a cycle still hold what the prompt asked for?

The telephone game (arXiv 2509.04438, mollahsabbir/Semantic-Drift-in-Unified-Models at 4f1d253) asks it of generations
1, 3, ..., 19 with OWLv2's boxes above a score of 0.1. Its published program stops after four prompts a generation.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

THRESHOLD = 0.1
OVERLAP = 0.1


def multi_generation_verdict(
    metadata: Mapping[str, Any], detections: Iterable[tuple[float, int, Sequence[float]]]
) -> tuple[bool, str]:
    """MGG's verdict on a picture, and why it is wrong.

    ``detections`` are (score, number of the entry of ``include`` that was looked for, box [x0, y0, x1, y1]); the
    program looks for nothing else. Boxes of one class are pooled, whatever their colours, and every box of an entry
    with a position must have it relative to some box of the target.
    """
    include = metadata["include"]
    boxes: dict[str, list[Sequence[float]]] = {}
    for score, number, box in detections:
        if score > THRESHOLD and number < len(include):
            boxes.setdefault(include[number]["class"], []).append(box)
    reasons: list[str] = []
    matched: list[Sequence[Sequence[float]]] = []
    for entry in include:
        name, found = entry["class"], boxes.get(entry["class"], [])
        enough = len(found) >= entry["count"]
        if not enough:
            reasons.append(f"expected {name} ≥ {entry['count']} above score {THRESHOLD}, found {len(found)}")
        elif entry.get("position"):
            relation, target = entry["position"]
            if not matched[target]:
                reasons.append(f"no target for {name} to be {relation}")
            elif not all(any(_holds(relation, box, other) for other in matched[target]) for box in found):
                reasons.append(f"{name} not {relation} target")
        matched.append(found if enough else ())
    for entry in metadata.get("exclude", ()):
        number = len(boxes.get(entry["class"], ()))
        if number >= entry["count"]:
            reasons.append(f"expected {entry['class']} < {entry['count']}, found {number}")
    return not reasons, "; ".join(reasons)


def _holds(relation: str, a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether box a is so relative to box b: the centres' offset along an axis, less a tenth of both sizes."""
    axis = 0 if relation in ("left of", "right of") else 1
    low_a, high_a, low_b, high_b = a[axis], a[axis + 2], b[axis], b[axis + 2]
    offset = (low_a + high_a) / 2 - (low_b + high_b) / 2
    beyond = max(abs(offset) - OVERLAP * ((high_a - low_a) + (high_b - low_b)), 0.0)
    return math.copysign(beyond, offset) < -0.5 if relation in ("left of", "above") else offset > 0 and beyond > 0.5


def multi_generation_scores(verdicts: Iterable[tuple[str, bool]]) -> dict[str, dict[str, Any]]:
    """Right pictures, all, and the percentage to two digits, of each task and "overall"; from (task, whether right)."""
    told: dict[str, list[bool]] = {}
    every: list[bool] = []
    for task, right in verdicts:
        told.setdefault(task, []).append(right)
        every.append(right)
    return {
        task: {
            "correct": sum(found),
            "total": len(found),
            "accuracy": round(sum(found) / len(found) * 100, 2) if found else 0.0,
        }
        for task, found in {**told, "overall": every}.items()
    }
