"""Logits of some tokens or of all, from a network's states."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear


def head_of(network: Any, columns: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """(..., width) states to float32 logits (..., C) of the ids ``columns`` (C,), or (..., V) of the whole vocabulary.

    Only the rows that are asked for are multiplied, unless something lies around the head, such as LoRA.
    """
    head = network.get_output_embeddings()
    if columns is None:
        return lambda hidden: head(hidden.to(head.weight)).float()
    if type(head) is not nn.Linear:
        return lambda hidden: head(hidden.to(head.weight)).float()[..., columns.to(head.weight.device)]
    weight = head.weight[columns.to(head.weight.device)]
    return lambda hidden: linear(hidden.to(weight), weight).float()
