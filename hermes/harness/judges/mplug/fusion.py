"""The fusion encoder of mPLUG: text attends to the image, and now and then both attend to each other.

Architecture: Li et al. 2022, "mPLUG: Effective and Efficient Vision-Language Learning by Cross-modal Skip-connections"
(arXiv:2205.12005), as modelscope 1.40.2 runs it.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hermes.harness.judges.mplug.bert import KeysValues, Layer, Stack, ones_like_states
from hermes.harness.judges.mplug.config import MPlugConfig


class ImageStates(NamedTuple):
    """``states`` (images, L, width) and for each question the row of its image in them, ``owner`` (questions,).

    Questions about one image share its row, and whatever is computed from it, until a connected layer tells them apart.
    """

    states: Tensor
    owner: Tensor

    def rows(self) -> Tensor:
        """(questions, L, width)."""
        return self.states[self.owner]

    def keys_values(self, layer: Layer) -> KeysValues:
        """What questions look at in the image: projected once an image, given once a question."""
        keys, values = layer.crossattention.project(self.states)
        return keys[self.owner], values[self.owner]


class FusionEncoder(nn.Module):
    """Only the layers that run are built; a connected one has no cross attention. Nothing is changed in place."""

    def __init__(self, config: MPlugConfig) -> None:
        super().__init__()
        self.connected = {number: config.connected(number) for number in config.fused}
        self.encoder = Stack({number: Layer(config, cross=not both) for number, both in self.connected.items()})

    def forward(self, image: ImageStates, text: Tensor, mask: Tensor) -> tuple[ImageStates, Tensor]:
        """Text (questions, 25, width) with its mask (questions, 25); both come back with what the other one gave them.

        The image keeps its states in an ordinary layer; a connected one adds what it makes of them to them.
        """
        for number, layer in self.encoder.numbered():
            if self.connected[number]:
                before = image.rows()
                joined = torch.cat([before, text], 1)
                seen = torch.cat([ones_like_states(before), mask], 1)[:, None, None]
                both = layer(joined, layer.attention.project(joined), seen)
                after, text = both.split([before.shape[1], text.shape[1]], 1)
                image = ImageStates(before + after, torch.arange(len(text), device=text.device))
            else:
                text = layer(text, layer.attention.project(text), mask[:, None, None], image.keys_values(layer))
        return image, text
