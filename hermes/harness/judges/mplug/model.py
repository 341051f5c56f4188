"""mPLUG-large VQA put together: images and questions in, the n-best token ids of each answer out.

Paper: Li et al. 2022 (arXiv:2205.12005). Follows what modelscope 1.40.2 computes in its visual question answering
pipeline: always float32, no dropout.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from hermes.harness.judges.mplug.bert import TextEncoder
from hermes.harness.judges.mplug.config import MPlugConfig
from hermes.harness.judges.mplug.decoder import Memory, TextDecoder
from hermes.harness.judges.mplug.fusion import FusionEncoder, ImageStates
from hermes.harness.judges.mplug.search import Hypothesis, beam_search
from hermes.harness.judges.mplug.vision import VisionTransformer


class MPlug(nn.Module):
    """What the published checkpoint needs for answering; momentum copies and CLIP's text tower are not built."""

    def __init__(self, config: MPlugConfig) -> None:
        super().__init__()
        self.config = config
        self.visual_encoder = nn.Sequential(OrderedDict(visual=VisionTransformer(config)))
        self.adapted = config.vision_width != config.hidden_size
        if self.adapted:
            self.visn_fc = nn.Linear(config.vision_width, config.hidden_size)
            self.visn_layer_norm = nn.LayerNorm(config.hidden_size, eps=1e-12)
        self.text_encoder = TextEncoder(config)
        self.fusion_encoder = FusionEncoder(config)
        self.text_decoder = TextDecoder(config)

    def see(self, pixels: Tensor) -> Tensor:
        """Pixels (n, 3, R, R) to image states (n, 1 + patches, width), which hold for every question."""
        states: Tensor = self.visual_encoder(pixels)
        if self.adapted:
            states = self.visn_layer_norm(self.visn_fc(states))
        return states

    def read(self, image: ImageStates, ids: Tensor, mask: Tensor) -> Memory:
        """Questions (n, 25), ids and mask, about their images to what the decoder looks at."""
        image, text = self.fusion_encoder(image, self.text_encoder(ids, mask), mask)
        return self.text_decoder.remember(image, text, mask)

    def forward(self, image: ImageStates, ids: Tensor, mask: Tensor) -> list[list[Hypothesis]]:
        """Questions (n, 25), ids and mask, about their images to the n-best answers of each, best first."""
        memory = self.read(image, ids, mask)
        rows, beams = len(ids), self.config.beam_size
        offsets = beams * torch.arange(rows, device=ids.device)[:, None]

        def next_logits(prefixes: Tensor, parents: Tensor) -> Tensor:
            memory.follow((parents + offsets).flatten())
            logits: Tensor = self.text_decoder(prefixes[..., -1:].flatten(0, 1), memory)
            return logits.view(rows, beams, -1)

        lengths = self.config.min_length, self.config.max_length
        return beam_search(next_logits, rows, beams, *lengths, ids.device)
