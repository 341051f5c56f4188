"""LLaMA-2 between two resamplers: features of pictures go in among the words, features of a drawn picture come out.

Source: AILab-CVC/SEED-X commit 420d347, src/models/mllm/seed_x.py (ContinuousLVLM).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hermes.harness.models.seedx.resampler import Resampler

EPS = 1e-5


class Agent(nn.Module):
    """What the published folder ``agent`` holds beside the LLM: both resamplers and the marks of places."""

    def __init__(self, state: Mapping[str, Tensor], heads_in: int, heads_out: int) -> None:
        """Sizes are those of the tensors; raises KeyError for a name that is not there."""
        super().__init__()

        def resampler(name: str, heads: int) -> Resampler:
            queries, width = state[f"{name}.query"].shape
            return Resampler(queries, width, state[f"{name}.kv_proj.weight"].shape[1], heads, EPS)

        self.input_resampler = resampler("input_resampler", heads_in)
        self.output_resampler = resampler("output_resampler", heads_out)
        self.patch_pos_embed = nn.Parameter(torch.empty(state["patch_pos_embed"].shape))

    def embed(self, features: Tensor, places: Tensor) -> Tensor:
        """Features (N, T, width) of entries and their places (N, 2) to embeddings (N, queries, LLM's width)."""
        inner: Tensor = self.input_resampler(features)
        return inner + self.marks(places)[:, None]

    def marks(self, places: Tensor) -> Tensor:
        """The mark (N, width) of each place (x, y) in 0..1; all tokens of an entry bear the same."""
        around = torch.cat([places, 1 - places], -1) / 2
        marks: Tensor = around.to(self.patch_pos_embed) @ self.patch_pos_embed
        return marks

    def regress(self, hidden: Tensor) -> Tensor:
        """The LLM's last states (N, queries, width) at a picture's query tokens to its features (N, queries, out)."""
        features: Tensor = self.output_resampler(hidden.to(self.patch_pos_embed))
        return features


def embedded(llm: Any, ids: Tensor, where: Tensor, pictures: Tensor) -> Tensor:
    """(B, L, width): embeddings of ids (B, L), with those of pictures (N, queries, width) in order ``where`` (B, L)."""
    words: Tensor = llm.get_input_embeddings()(ids)
    return words.masked_scatter(where[..., None].to(words.device), pictures.to(words))


def padded(rows: Sequence[Sequence[Any]], fill: Any, left: bool = False) -> Tensor:
    """(B, L), the rows filled up on the right, or on the left."""
    length = max(len(row) for row in rows)
    return torch.tensor(
        [[fill] * (length - len(row)) * left + list(row) + [fill] * (length - len(row)) * (not left) for row in rows]
    )
