"""The parts of Show-o2 under their published names: language model, both paths of a picture, flow head.

Source: showlab/Show-o, commit 45a5a2d, show-o2/models. Pictures are latents (B, C, 2h, 2w) at a time in 0..1, of which
1 is clean. A picture takes h * w + 1 places of a sequence: its time token, then its tokens row by row.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import SiglipVisionConfig
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm
from transformers.models.siglip.modeling_siglip import SiglipEncoder

from hermes.harness.models.recompute import recompute
from hermes.harness.models.showo2.flow import LAST_EPS, Block, HeadSizes, Last, Rotary, run

LONGEST = 10000.0
"""The longest period of the time's frequencies."""


class Patches(nn.Module):
    """Latents (B, C, 2h, 2w) to tokens (B, h * w, width), row by row."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, latents: Tensor) -> Tensor:
        out: Tensor = self.proj(latents).flatten(2).transpose(1, 2)
        return out


class TimeEmbed(nn.Module):
    """Times (B,) in 0..1 to (B, width)."""

    def __init__(self, frequencies: int, width: int) -> None:
        super().__init__()
        self.pairs = frequencies // 2
        self.mlp = nn.Sequential(nn.Linear(frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def angles(self, times: Tensor) -> Tensor:
        """Cosines and sines (B, frequencies), float32."""
        places = torch.arange(self.pairs, dtype=torch.float32, device=times.device)
        turned = times.float()[:, None] * torch.exp(-math.log(LONGEST) * places / self.pairs)
        return torch.cat([turned.cos(), turned.sin()], -1)

    def forward(self, times: Tensor) -> Tensor:
        first: Any = self.mlp[0]
        out: Tensor = self.mlp(self.angles(times).to(first.weight.dtype))
        return out


class Network(nn.Module):
    """``showo`` is transformers' Qwen2ForCausalLM, of width H. ``table``: rows and columns of the position table."""

    def __init__(
        self,
        showo: Any,
        siglip: SiglipVisionConfig,
        head: HeadSizes,
        table: tuple[int, int],
        channels: int,
        patch: int,
        frequencies: int,
    ) -> None:
        super().__init__()
        width, seen = int(showo.config.hidden_size), int(siglip.hidden_size)
        self.showo = showo
        self.channels, self.patch, self.table = channels, patch, table
        self.image_embedder_und = Patches(channels, seen, patch)
        self.image_embedder_gen = Patches(channels, width, patch)
        self.position_embedding = nn.Embedding(table[0] * table[1], seen)
        layers: Any = SiglipEncoder
        self.und_trans = layers(siglip)
        self.fusion_proj = nn.Sequential(
            Qwen2RMSNorm(seen + width, eps=LAST_EPS), nn.Linear(seen + width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.time_embed = TimeEmbed(frequencies, head.width)
        same = width == head.width
        self.time_embed_proj: nn.Module = nn.Identity() if same else nn.Linear(head.width, width)
        self.diff_proj: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Linear(width, head.width), nn.GELU(), nn.Linear(head.width, head.width))
        )
        self.diffusion_head_a = nn.ModuleList(Block(head, number) for number in range(head.layers))
        self.diffusion_head_b = Last(head.width, head.out)
        self.rotary = Rotary(head.head)
        self.recompute = False

    @property
    def device(self) -> torch.device:
        """Where inputs go, and everything but a language model that is spread over devices."""
        return self.image_embedder_gen.proj.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the network."""
        return self.image_embedder_gen.proj.weight.dtype

    def recompute_activations(self, on: bool) -> None:
        """Gradient checkpointing of the language model, the semantic layers and the flow head."""
        recompute(self.showo, on)
        self.recompute = on

    def positions(self, rows: int, columns: int) -> Tensor:
        """The position table (1, rows * columns, width), resized to another grid where it has one."""
        table = self.position_embedding.weight
        if (rows, columns) == self.table:
            return table[None]
        grid = table.float().T.reshape(1, -1, *self.table)
        resized = interpolate(grid, (rows, columns), mode="bicubic", align_corners=False)
        return resized.flatten(2).transpose(1, 2).to(table.dtype)

    def semantic(self, latents: Tensor) -> Tensor:
        """Latents to what SigLIP's layers see in them, (B, h * w, width)."""
        rows, columns = (side // self.patch for side in latents.shape[-2:])
        x: Tensor = self.image_embedder_und(latents) + self.positions(rows, columns)
        for layer in self.und_trans.layers:
            x = run(layer, self.recompute, x, None)
        return x

    def picture(self, latents: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, C, 2h, 2w) at times (B,) or (1,) to tokens (B, h * w + 1, H), and the embedded times."""
        latents = latents.to(self.dtype)
        told = self.time_embed(times)
        both = torch.cat([self.semantic(latents), self.image_embedder_gen(latents)], -1)
        first = self.time_embed_proj(told)[:, None].expand(len(latents), -1, -1)
        return torch.cat([first, self.fusion_proj(both)], 1), told

    def words(self, ids: Tensor) -> Tensor:
        """Embeddings (B, L, H) of token ids (B, L)."""
        out: Tensor = self.showo.model.embed_tokens(ids)
        return out.to(self.device)

    def read(self, embedded: Tensor, allowed: Tensor, places: Tensor, cache: Any = None) -> Tensor:
        """Final states (B, L, H) behind embeddings (B, L, H) at ``places`` (B, L).

        ``allowed`` (B, 1, L or 1, cached + L) is true where a place may look. A ``cache`` is transformers' and grows.
        """
        states: Tensor = self.showo.model(
            inputs_embeds=embedded,
            attention_mask=allowed,
            position_ids=places,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        return states.to(self.device)

    def flow(
        self,
        hidden: Tensor,
        time: Tensor | None,
        drawn: Tensor | None,
        allowed: Tensor,
        places: Tensor,
        cache: Any = None,
    ) -> Tensor:
        """The flow head's states (B, L, width) behind those of the language model.

        ``drawn`` (B, L) is true at a picture's places and None where all are; ``time`` None means that none is.
        """
        x = self.diff_proj(hidden)
        rotary = self.rotary(places, x.dtype)
        for block in self.diffusion_head_a:
            x = run(block, self.recompute, x, time, drawn, rotary, allowed, cache)
        out: Tensor = x
        return out

    def velocity(self, states: Tensor, time: Tensor, size: tuple[int, int]) -> Tensor:
        """The flow head's states (B, h * w, width) of a picture's tokens to velocities (B, C, 2h, 2w), data less noise.

        Token n has the latents from place p * p * n on in raster order, p the patch's side, not those of its own patch.
        """
        out = self.diffusion_head_b(states, time)
        made: Tensor = out.reshape(len(out), size[0] * size[1], self.channels).transpose(1, 2)
        return made.reshape(len(out), self.channels, *size)
