"""What every detecting judge shares: which instances are stored, which boxes get a colour."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from hermes.harness.contracts.judge import Detections
from hermes.harness.judges.mask2former.classes import CLASSES
from hermes.harness.judges.mask2former.colors import ColorClassifier, Crop, cut_out
from hermes.harness.judges.mask2former.postprocess import Instances
from hermes.harness.system.errors import HermesError

STORED_ABOVE = 0.05
COLORED_ABOVE = 0.3
COLORED = 16


class InstanceJudge(ABC):
    """Detects the 80 classes of COCO; subclasses give the instances, this class what is stored of them.

    Stored are all instances with a score above 0.05, best first, so that GenEval can be scored again under other
    thresholds. Of the classes that need a colour, the boxes that GenEval would keep have one: above 0.3, at most 16.
    """

    abilities: ClassVar[tuple[str, ...]] = ("detect",)
    needs_model: ClassVar[bool] = False

    def __init__(self, colors: ColorClassifier, identity: str) -> None:
        self._colors = colors
        self.identity = f"{identity}+{colors.identity}"

    @abstractmethod
    def find(self, images: Sequence[Image.Image]) -> Iterator[tuple[int, Instances]]:
        """The number of each image with its instances, in any order."""

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        raise HermesError(f"the judge {self.identity!r} detects objects and answers no questions; use --judge mplug")

    def detect(self, images: Sequence[Image.Image], colored: Sequence[Collection[str]]) -> list[Detections]:
        """For each image ``{class: [{"box": [x0, y0, x1, y1], "score", "color"}]}``, best first, boxes in pixels.

        Raises ImageError for an image that cannot be detected in.
        """
        detections: list[Detections] = [{} for _ in images]
        boxes: list[dict[str, Any]] = []
        crops: list[Crop] = []
        for number, instances in self.find(images):
            found, numbers = stored(instances)
            for name in sorted(found.keys() & set(colored[number])):
                for place in colored_boxes(found[name]):
                    box, mask = found[name][place], instances.masks[numbers[name][place]].cpu().numpy()
                    boxes.append(box)
                    crops.append(cut_out(images[number], mask, box["box"], name))
            detections[number] = found
        for box, color in zip(boxes, self._colors.classify(crops), strict=True):
            box["color"] = color
        return detections


def stored(instances: Instances) -> tuple[Detections, dict[str, list[int]]]:
    """What is kept of an image's instances, by class and best first, and for each box the number of its instance."""
    detections: Detections = {}
    numbers: dict[str, list[int]] = {}
    labels, scores, boxes = instances.labels.tolist(), instances.scores.cpu().numpy(), instances.boxes.tolist()
    for number in np.argsort(-scores, kind="stable").tolist():
        if scores[number] > np.float32(STORED_ABOVE):
            name = CLASSES[labels[number]]
            box = {"box": boxes[number], "score": float(scores[number]), "color": None}
            detections.setdefault(name, []).append(box)
            numbers.setdefault(name, []).append(number)
    return detections, numbers


def colored_boxes(boxes: Sequence[dict[str, Any]]) -> list[int]:
    """Which of a class's boxes GenEval may look at: above 0.3 in float32, the best 16; of equal scores the later."""
    scores = np.asarray([box["score"] for box in boxes], dtype=np.float32)
    order = np.argsort(scores, kind="stable")[::-1]
    return [int(number) for number in order if scores[number] > np.float32(COLORED_ABOVE)][:COLORED]
