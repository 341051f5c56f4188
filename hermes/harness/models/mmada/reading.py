"""Rows of token ids through transformers' Llama as MMaDA runs it: every token sees every token of its row."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


def padded(
    rows: Sequence[Sequence[int]], starts: Sequence[int], pad: int, left: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, which of them belong to the row, and their places for the rotary embedding, all (B, L).

    ``starts`` (B,): the place of each row's first token. Pads are seen by no token of the row.
    """
    length = max(map(len, rows))
    ids = torch.full((len(rows), length), pad)
    real, places = torch.zeros_like(ids, dtype=torch.bool), torch.zeros_like(ids)
    for at, (row, start) in enumerate(zip(rows, starts, strict=True)):
        where = slice(length - len(row), length) if left else slice(0, len(row))
        ids[at, where] = torch.tensor(row)
        real[at, where] = True
        places[at, where] = torch.arange(start, start + len(row))
    return ids, real, places


def hidden_of(network: Any, ids: Tensor, mask: Tensor, places: Tensor) -> Tensor:
    """Last hidden states (B, L, width), on the head's device. ``mask`` says who sees whom: booleans (B, L) for the keys
    that all see, or numbers (B, 1, L, L) that are added to the scores.

    Without a mask Llama would be causal.
    """
    begin, end = (part.weight.device for part in (network.get_input_embeddings(), network.get_output_embeddings()))
    seen = mask[:, None, None, :] if mask.dtype == torch.bool else mask
    given = {"input_ids": ids, "attention_mask": seen, "position_ids": places}
    found = network.model(**{name: value.to(begin) for name, value in given.items()}, use_cache=False)
    hidden: Tensor = found.last_hidden_state.to(end)
    return hidden


def logits_of(network: Any, hidden: Tensor, first: int = 0, last: int | None = None) -> Tensor:
    """(..., width) to float32 logits of the tokens from ``first`` to before ``last``.

    Only their rows are multiplied, unless something lies around the head, such as LoRA.
    """
    head = network.get_output_embeddings()
    if type(head) is not nn.Linear:
        whole: Tensor = head(hidden).float()[..., first:last]
        return whole
    return linear(hidden, head.weight[first:last]).float()
