"""Texts behind rows of tokens, through transformers' own generate: ragged rows, each with its own noise."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from hermes.harness.models.seeded import Draw
from hermes.harness.models.stream.prompting import Prompting
from hermes.harness.models.stream.rows import padded
from hermes.harness.models.stream.sampling import Noise, choose, probabilities, race_of


class TextDraws(LogitsProcessor):
    """Leaves each row the one token that is drawn, so that a greedy search takes it; one object serves one call."""

    def __init__(self, draws: Sequence[Draw], noise: Noise) -> None:
        self.draws, self.noise = draws, noise

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B, V) scores to (B, V): 0 at the drawn token, else -inf."""
        if all(draw.temperature == 0 for draw in self.draws):
            return scores
        chosen = choose(scores, probabilities(scores, self.draws), self.draws, self.noise)
        return torch.full_like(scores, -torch.inf).scatter(1, chosen[:, None], 0.0)


def settings_of(prompting: Prompting, **more: Any) -> Any:
    """generate's settings: nothing is drawn by itself, and a checkpoint's own ways of drawing do not count."""
    kind: Any = GenerationConfig
    return kind(
        bos_token_id=prompting.bos,
        eos_token_id=list(prompting.ends),
        pad_token_id=prompting.pad,
        do_sample=False,
        **more,
    )


def write(
    network: Any,
    rows: Sequence[Sequence[int]],
    draws: Sequence[Draw],
    limit: int,
    prompting: Prompting,
    noise: Noise | None = None,
) -> list[list[int]]:
    """At most ``limit`` new tokens of each row, up to what ends it, and pads behind that.

    ``noise`` stands in for the seeds of ``draws``.
    """
    ids, mask = (part.to(network.device) for part in padded(rows, prompting.pad))
    noise = noise or race_of(draws, network.config.vocab_size, network.device)
    out = network.generate(
        input_ids=ids,
        attention_mask=mask,
        logits_processor=LogitsProcessorList([*prompting.rules(), TextDraws(draws, noise)]),
        generation_config=settings_of(prompting, max_new_tokens=limit),
    )
    written: list[list[int]] = out[:, ids.shape[1] :].tolist()
    return written
