"""Who may attend to whom: the masks of Show-o's two tasks, as booleans (True = may attend).

Source: Show-o commit 45a5a2d, training/prompting_utils.py.
"""

import torch
from torch import Tensor

from hermes.harness.models.showo.config import Vocabulary


def generation_mask(ids: Tensor, vocabulary: Vocabulary, hide_pads: bool = True) -> Tensor:
    """(B, L) rows of the text-to-image layout to (B, L, L).

    Text is causal. What belongs to the image, from <soi> to <eoi>, sees everything. Pads are seen by pads alone;
    ``hide_pads`` False shows them to the others too, as Show-o did without ``rm_pad_in_image``.
    """
    causal = _causal(ids)
    pad = ids == vocabulary.pad
    order = torch.arange(ids.shape[1], device=ids.device)
    begin = (ids == vocabulary.soi).int().argmax(1)
    image = (order >= begin[:, None]) & ~pad
    allowed = causal | image[:, :, None]
    return allowed & (~pad[:, None, :] | pad[:, :, None]) if hide_pads else allowed


def understanding_mask(ids: Tensor, vocabulary: Vocabulary) -> Tensor:
    """(B, L) rows of the understanding layout to (B, L, L): all see what stands up to <eoi>, the text is causal."""
    order = torch.arange(ids.shape[1], device=ids.device)
    end = (ids == vocabulary.eoi).int().argmax(1)
    return _causal(ids) | (order <= end[:, None])[:, None, :]


def features_mask(seen: Tensor) -> Tensor:
    """(B, L), True where a feature of CLIP stands, to (B, L, L): all see the features, everything else is causal."""
    return _causal(seen) | seen[:, None, :]


def _causal(ids: Tensor) -> Tensor:
    order = torch.arange(ids.shape[1], device=ids.device)
    return (order <= order[:, None]).expand(len(ids), -1, -1)
