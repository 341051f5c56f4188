"""From the detector's logits to instances: mmdet's instance branch (MaskFormer's fusion head), in its order.

Upsample the mask logits to the padded input, cut off the padding, resize to the original image (two bilinear steps, not
one); softmax over all classes, "no object" dropped last; the best 100 pairs of query and class, chosen by class
probability alone; a mask is where its logit is above 0; the score is class probability times the mean probability
inside the mask. No threshold and no suppression of overlaps.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

INSTANCES = 100
# Masks are resized this many at a time, so that a large image does not need all of them in float32 at once.
BLOCK = 25


@dataclass(frozen=True)
class Instances:
    """N instances, best first: ``labels`` (N,) int64, ``scores`` (N,) float32, ``masks`` (N, H, W) bool, and ``boxes``
    (N, 4) float32 as x0, y0, x1, y1 in pixels, where x1 and y1 are one past the last pixel. An empty mask has box and
    score 0."""

    labels: "Tensor"
    scores: "Tensor"
    boxes: "Tensor"
    masks: "Tensor"


def instances(
    class_logits: "Tensor",
    mask_logits: "Tensor",
    padded: tuple[int, int],
    resized: tuple[int, int],
    original: tuple[int, int],
) -> Instances:
    """The instances of one image from the last layer's logits: classes (Q, C + 1), masks (Q, h, w).

    ``padded``, ``resized`` and ``original`` are (height, width) of the input, of its part without padding, and of the
    image, in pixels.
    """
    import torch

    probabilities = class_logits.softmax(dim=-1)[:, :-1]
    classes = probabilities.shape[1]
    best, flat = probabilities.flatten().topk(min(INSTANCES, probabilities.numel()), sorted=False)
    queries, which = torch.unique(flat // classes, return_inverse=True)
    parts = [_masks(mask_logits[block], padded, resized, original) for block in queries.split(BLOCK)]
    masks, certainty = (torch.cat(part) for part in zip(*parts, strict=True))
    scores = best * certainty[which]
    order = scores.argsort(descending=True, stable=True)
    kept = which[order]
    return Instances(flat[order] % classes, scores[order], _boxes(masks)[kept], masks[kept])


def _masks(
    logits: "Tensor", padded: tuple[int, int], resized: tuple[int, int], original: tuple[int, int]
) -> tuple["Tensor", "Tensor"]:
    """Masks (Q, H, W) of the original size, and the mean probability inside each (Q,)."""
    from torch.nn.functional import interpolate

    large = interpolate(logits[None], size=padded, mode="bilinear", align_corners=False)
    large = large[..., : resized[0], : resized[1]]
    final = interpolate(large, size=original, mode="bilinear", align_corners=False)[0]
    masks = final > 0
    inside = (final.sigmoid() * masks).flatten(1).sum(1)
    return masks, inside / (masks.flatten(1).sum(1) + 1e-6)


def _boxes(masks: "Tensor") -> "Tensor":
    """(N, 4) float32 around masks (N, H, W)."""
    import torch

    sides = []
    for along in (masks.any(1), masks.any(2)):
        size = along.shape[1]
        places = torch.arange(size, device=masks.device)
        first = torch.where(along, places, size).amin(1)
        last = torch.where(along, places + 1, 0).amax(1)
        sides.append((torch.minimum(first, last), last))
    (x0, x1), (y0, y1) = sides
    return torch.stack([x0, y0, x1, y1], dim=1).float()
