"""Mask2Former over images: images of one padded size share a batch, post-processing is image by image."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from hermes.harness.judges.mask2former.postprocess import Instances, instances
from hermes.harness.judges.mask2former.preprocess import SCALE, Prepared, normalised, prepare
from hermes.harness.models.full_float32 import full_float32

if TYPE_CHECKING:
    from torch import Tensor

GPU_BATCH = 8


class Detector:
    """transformers' Mask2FormerForUniversalSegmentation with mmdet's pre- and post-processing, float32.

    ``scale`` is what the (long, short) side must fit into, in pixels; ``batch`` is the most images of a forward pass.
    mmdet runs one image at a time; a batch gives the same to float32's rounding.
    """

    def __init__(
        self,
        model: Any,
        device: str = "cpu",
        scale: tuple[int, int] = SCALE,
        batch: int | None = None,
    ) -> None:
        self._model = model.to(device)
        self._device = device
        self._scale = scale
        self._batch = batch or (GPU_BATCH if device.startswith("cuda") else 1)

    def logits(self, batch: Sequence[Prepared]) -> tuple["Tensor", "Tensor"]:
        """Class logits (N, Q, C + 1) and mask logits (N, Q, H/4, W/4) of the last layer; one padded size."""
        import torch

        with torch.inference_mode(), full_float32(self._device):
            output = self._model(pixel_values=normalised(batch).to(self._device))
        return output.class_queries_logits, output.masks_queries_logits

    def find(self, images: Sequence[Image.Image]) -> Iterator[tuple[int, Instances]]:
        """The number of each image with its instances, not in order, so that masks need not be held.

        Raises ImageError for an image that is too narrow.
        """
        import torch

        prepared = [prepare(image, self._scale) for image in images]
        for numbers in _batches([item.padded for item in prepared], self._batch):
            classes, masks = self.logits([prepared[number] for number in numbers])
            for number, one, mask in zip(numbers, classes, masks, strict=True):
                item = prepared[number]
                with torch.inference_mode():
                    found = instances(one, mask, item.padded, item.resized, item.original)
                yield number, found


def _batches(sizes: Sequence[tuple[int, int]], most: int) -> Iterator[list[int]]:
    """The numbers of equal sizes, at most ``most`` together."""
    groups: dict[tuple[int, int], list[int]] = {}
    for number, size in enumerate(sizes):
        groups.setdefault(size, []).append(number)
    for group in groups.values():
        for begin in range(0, len(group), most):
            yield group[begin : begin + most]
