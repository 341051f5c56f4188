"""The parts of VILA-U as one module: language model, projector, depth transformer, and the frozen vision tower."""

from typing import Any

import torch
from torch import Tensor, nn

from hermes.harness.models.vilau.depth import DepthTransformer
from hermes.harness.models.vilau.prompting import IMAGE
from hermes.harness.models.vilau.tower import Tower


class Projector(nn.Module):
    """Features (..., C) to embeddings (..., H): two layers with the exact GELU between them, under published names."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.layers(features)
        return out


class Network(nn.Module):
    """``llm`` is transformers' LlamaForCausalLM, of width H."""

    def __init__(self, llm: Any, mm_projector: Projector, rqtransformer: DepthTransformer, tower: Tower) -> None:
        super().__init__()
        self.llm, self.mm_projector, self.rqtransformer, self.tower = llm, mm_projector, rqtransformer, tower

    @property
    def device(self) -> torch.device:
        """Where inputs go, and everything but a language model that is spread over devices."""
        return self.tower.codebooks.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of all but the tower."""
        return self.rqtransformer.pos_emb_d.dtype

    def project(self, features: Tensor) -> Tensor:
        """Features (..., C) to embeddings (..., H) of the language model."""
        out: Tensor = self.mm_projector(features.to(self.dtype))
        return out

    def embedded(self, ids: Tensor, features: Tensor) -> Tensor:
        """Embeddings (B, L, H) of token ids (B, L), with features (n, C) in turn where an id is IMAGE."""
        embedded: Tensor = self.llm.get_input_embeddings()(ids.clamp_min(0))
        return embedded.masked_scatter((ids == IMAGE)[..., None], self.project(features).to(embedded))

    def read(self, embedded: Tensor, attention: Tensor, cache: Any = None) -> Tensor:
        """Final states (B, L, H) behind embeddings (B, L, H); ``attention`` (B, cached + L) is 0 at the padding.

        Padding takes no position. A ``cache`` is transformers' and grows by L.
        """
        places = (attention.long().cumsum(1) - 1).clamp_min(0)[:, -embedded.shape[1] :]
        states: Tensor = self.llm.model(
            inputs_embeds=embedded,
            attention_mask=attention,
            position_ids=places,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        return states.to(self.device)
