"""What two judges say of one picture, compared: the boxes, and GenEval's verdict on many prompts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hermes.evaluators.geneval_verdict import kept_boxes, verdict
from hermes.harness.contracts.judge import Detections
from hermes.harness.judges.mask2former.colors import Crop
from hermes.harness.judges.mask2former.instance_judge import STORED_ABOVE

# A score this close to a threshold may lie on either side of it.
ROUNDING = 5e-4
RELATIONS = ("left of", "right of", "above", "below")


class BrightestChannel:
    """A colour classifier without weights, so that colours can be compared too."""

    identity = "brightest"

    def classify(self, crops: Sequence[Crop]) -> list[str]:
        channels = [np.asarray(crop.image.convert("RGB")).reshape(-1, 3).mean(axis=0).argmax() for crop in crops]
        return [("red", "green", "blue")[channel] for channel in channels]


class Difference(NamedTuple):
    """Of ``boxes``, how many have no partner, and what lies between partners: pixels of a corner, and score."""

    boxes: int
    unmatched: int
    corner: float
    score: float


def difference(theirs: Detections, ours: Detections) -> Difference:
    """Each of our boxes with the nearest of theirs of that class. At the edge of being stored it may lack one."""
    unmatched, corner, score = 0, 0.0, 0.0
    for name in theirs.keys() | ours.keys():
        left = list(theirs.get(name, ()))
        alone = []
        for box in ours.get(name, ()):
            if left:
                near = min(left, key=lambda other: (apart(box, other), abs(box["score"] - other["score"])))
                left.remove(near)
                corner, score = max(corner, apart(box, near)), max(score, abs(box["score"] - near["score"]))
            else:
                alone.append(box)
        unmatched += sum(box["score"] > STORED_ABOVE + ROUNDING for box in (*alone, *left))
    return Difference(sum(map(len, ours.values())), unmatched, corner, score)


def apart(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """The largest distance between the two boxes' corners, along an axis."""
    return float(np.abs(np.subtract(a["box"], b["box"])).max())


def verdicts(found: Detections, classes: Sequence[str]) -> list[tuple[bool, str]]:
    """GenEval's verdict, and its reason, on prompts of every task about these classes."""
    return [verdict(kept_boxes(found, tag), metadata) for tag, metadata in prompts(classes)]


def prompts(classes: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Tag and metadata, as in GenEval's data."""
    for name in classes:
        one = {"class": name, "count": 1}
        yield "single_object", {"include": [one]}
        for count in (2, 3, 4):
            exclude = [{"class": name, "count": count + 1}]
            yield "counting", {"include": [{"class": name, "count": count}], "exclude": exclude}
        for color in ("red", "green", "blue"):
            yield "colors", {"include": [{**one, "color": color}]}
        for other in classes:
            if other != name:
                two = {"class": other, "count": 1}
                yield "two_object", {"include": [one, two]}
                yield "color_attr", {"include": [{**one, "color": "red"}, {**two, "color": "blue"}]}
                for relation in RELATIONS:
                    yield "position", {"include": [one, {**two, "position": [relation, 0]}]}
