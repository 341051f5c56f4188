"""Prompt to image tokens: Show-o's transformer in MaskGIT's loop, its text parts computed once."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hermes.harness.models import maskgit
from hermes.harness.models.maskgit import Drawing, Step, guided
from hermes.harness.models.showo.attention import generation_mask
from hermes.harness.models.showo.phi import Phi, with_room
from hermes.harness.models.showo.prompting import Layout


def draw_image(
    model: Phi,
    layout: Layout,
    texts: Sequence[Sequence[int]],
    image: Tensor,
    generators: Sequence[torch.Generator],
    drawing: Drawing,
) -> Tensor:
    """The image token ids (B, N) after the last step; arguments as in ``draw_steps``."""
    *_, last = draw_steps(model, layout, texts, image, generators, drawing)
    return last.chosen


@torch.inference_mode()
def draw_steps(
    model: Phi,
    layout: Layout,
    texts: Sequence[Sequence[int]],
    image: Tensor,
    generators: Sequence[torch.Generator],
    drawing: Drawing,
) -> Iterator[Step]:
    """Every step of drawing ``image`` (B, N) token ids behind B prompts' ids, as `maskgit.draw_steps` has it."""
    words = layout.vocabulary
    read = _Reader(model, layout, texts, image.shape[1], drawing.guidance)
    yield from maskgit.draw_steps(read, image, words.first_code, words.mask, generators, drawing)


class _Reader:
    """Guided logits over the codes; the text parts are computed once, as none of their tokens sees the image."""

    def __init__(
        self, model: Phi, layout: Layout, texts: Sequence[Sequence[int]], tokens: int, guidance: float
    ) -> None:
        device = model.lm_head.weight.device
        self.model, self.layout, self.guidance = model, layout, guidance
        wanted = [*texts, *([[]] * len(texts) if guidance > 0 else [])]
        ids = torch.tensor([layout.generation(text, [layout.vocabulary.mask] * tokens) for text in wanted])
        ids = ids.to(device)
        begin = layout.image_begin
        allowed = generation_mask(ids, layout.vocabulary)
        past = model.remember(ids[:, :begin], allowed[:, :begin, :begin])
        self.past = with_room(past, torch.arange(len(ids), device=device), ids.shape[1])
        self.ids, self.allowed = ids[:, begin:].clone(), allowed[:, begin:]

    def __call__(self, image: Tensor) -> Tensor:
        """(B, N) token ids to (B, N, codes)."""
        vocabulary = self.layout.vocabulary
        self.ids[:, 1:-1] = image.repeat(len(self.ids) // len(image), 1)
        hidden, _ = self.model(self.ids, self.allowed, self.past)
        return guided(self.model.logits(hidden[:, 1:-1], vocabulary.first_code, vocabulary.mask), self.guidance)
