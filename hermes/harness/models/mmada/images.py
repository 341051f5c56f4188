"""Prompt to image tokens: MMaDA's transformer in MaskGIT's loop.

Source: Gen-Verse/MMaDA commit 3cdb870, models/modeling_mmada.py (t2i_generate). There rows keep the pads before their
text and logits are those of all places over the whole vocabulary; here rows have no pads, which no token sees, at the
places that they have there, and logits are those of the image over the codes. The text sees the image, so nothing of it
can be kept from one step to the next.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from hermes.harness.models import maskgit
from hermes.harness.models.maskgit import Drawing, Step, guided
from hermes.harness.models.mmada.prompting import Layout
from hermes.harness.models.mmada.reading import hidden_of, logits_of, padded


@torch.inference_mode()
def draw_steps(
    network: Any,
    layout: Layout,
    texts: Sequence[Sequence[int]],
    image: Tensor,
    generators: Sequence[torch.Generator],
    drawing: Drawing,
) -> Iterator[Step]:
    """Every step of drawing ``image`` (B, N) token ids behind B prompts' ids, as `maskgit.draw_steps` has it."""
    words = layout.vocabulary
    read = Reader(network, layout, texts, image.shape[1], drawing.guidance)
    yield from maskgit.draw_steps(read, image, words.first_code, words.mask, generators, drawing)


class Reader:
    """Guided logits over the codes of B images of N tokens, behind their texts and, for guidance, behind empty ones."""

    def __init__(
        self, network: Any, layout: Layout, texts: Sequence[Sequence[int]], tokens: int, guidance: float
    ) -> None:
        self.network, self.vocabulary, self.guidance = network, layout.vocabulary, guidance
        wanted = [*texts, *([[]] * len(texts) if guidance > 0 else [])]
        rows = [layout.generation(text, [layout.vocabulary.mask] * tokens) for text in wanted]
        made = padded(rows, [layout.pads(text) for text in wanted], layout.vocabulary.pad)
        device = network.get_output_embeddings().weight.device
        self.ids, self.real, self.places = (part.to(device) for part in made)
        self.image = slice(self.ids.shape[1] - tokens - 1, self.ids.shape[1] - 1)

    def __call__(self, image: Tensor) -> Tensor:
        """(B, N) token ids to float32 logits (B, N, codes)."""
        words = self.vocabulary
        self.ids[:, self.image] = image.repeat(len(self.ids) // len(image), 1)
        hidden = hidden_of(self.network, self.ids, self.real, self.places)[:, self.image]
        return guided(logits_of(self.network, hidden, words.first_code, words.first_code + words.codes), self.guidance)
