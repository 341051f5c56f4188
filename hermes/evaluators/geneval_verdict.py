"""GenEval's verdict on an image: which of the detected boxes count, and whether they meet the prompt's metadata."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hermes.harness.contracts.published import GENEVAL_COLORS
from hermes.harness.system.errors import JudgeError

Detections = Mapping[str, Sequence[Mapping[str, Any]]]
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
            others = ", ".join(f"{seen.count(other)} {other}" for other in GENEVAL_COLORS if other in seen)
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
