"""Prompts to texts through transformers' own generate: ragged rows of one batch, each with its own draws."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessorList

from hermes.harness.models.seeded import Draw
from hermes.harness.models.seeded_draws import SeededDraws
from hermes.harness.models.vilau.network import Network


@torch.inference_mode()
def write(
    model: Network,
    pad: int,
    prompts: Sequence[Sequence[int]],
    pictures: Sequence[Tensor],
    draws: Sequence[Draw],
    lengths: Sequence[int],
) -> list[list[int]]:
    """The new ids behind each prompt, filled up with the id ``pad`` to the longest.

    ``pictures``: features (N, C) of all pictures that the prompts show, in turn. ``lengths``: how many ids are asked of
    each; shorter rows go on beside the longest.
    """
    length = max(map(len, prompts))
    ids = torch.tensor([[pad] * (length - len(row)) + list(row) for row in prompts], device=model.device)
    real = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in prompts], device=model.device)
    shown = torch.cat(list(pictures)) if pictures else torch.empty(0, model.tower.width)
    written = model.llm.generate(
        inputs_embeds=model.embedded(ids, shown.to(model.device)),
        attention_mask=real,
        logits_processor=LogitsProcessorList([SeededDraws(draws)]),
        max_new_tokens=max(lengths),
        do_sample=False,
    )
    rows: list[list[int]] = written.tolist()
    return rows
