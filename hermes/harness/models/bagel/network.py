"""BAGEL whole, under its published names: what its tokens are made of, and its layers on rows or behind a cache.

Source: ByteDance-Seed/Bagel commit 056b5fd, modeling/bagel/bagel.py and modeling_utils.py.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from hermes.harness.models.bagel.attending import Cache, Rows
from hermes.harness.models.bagel.config import Settings
from hermes.harness.models.bagel.experts import Attention, Experts, Parts
from hermes.harness.models.bagel.rows import Packed
from hermes.harness.models.bagel.vit import Vit

WAVES = 256


class Connector(nn.Module):
    """The vision encoder's features to the layers' width."""

    def __init__(self, wide: int, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(wide, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(gelu(self.fc1(x), approximate="tanh"))
        return y


class Times(nn.Module):
    """Times in 0..1 as tokens' embeddings."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(WAVES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, times: Tensor) -> Tensor:
        y: Tensor = self.mlp(waves(times).to(self.mlp[0].weight))  # type: ignore[arg-type]
        return y


class Table(nn.Module):
    """Sines and cosines of a token's column and row; stored, and never trained."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(rows, width), requires_grad=False)


class Bagel(nn.Module):
    """All but the autoencoder. Sizes are those of the tensors' ``shapes`` by name, and of the settings."""

    def __init__(self, settings: Settings, shapes: dict[str, torch.Size]) -> None:
        """Raises KeyError for a name that is not there."""
        super().__init__()
        width = settings.width
        vocabulary = shapes["language_model.model.embed_tokens.weight"][0]
        self.language_model = Experts(settings, vocabulary, int(settings.llm["num_hidden_layers"]))
        seen = shapes["vit_pos_embed.pos_embed"][0]
        self.vit_model = Vit(settings, shapes["vit_model.vision_model.embeddings.position_embedding.weight"][0])
        self.connector = Connector(int(settings.vit["hidden_size"]), width)
        self.time_embedder = Times(width)
        channels = shapes["vae2llm.weight"][1]
        self.vae2llm, self.llm2vae = nn.Linear(channels, width), nn.Linear(width, channels)
        self.vit_pos_embed = Table(seen, width)
        self.latent_pos_embed = Table(shapes["latent_pos_embed.pos_embed"][0], width)

    @property
    def sides(self) -> tuple[int, int]:
        """How many tokens of a side the tables of seen and of drawn pictures have."""
        return math.isqrt(len(self.vit_pos_embed.pos_embed)), math.isqrt(len(self.latent_pos_embed.pos_embed))

    @property
    def channels(self) -> int:
        """Numbers of a drawn token."""
        return self.llm2vae.out_features

    @property
    def device(self) -> torch.device:
        return self.vae2llm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.vae2llm.weight.dtype

    def looked(self, pictures: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Patches and places of pictures to the features (S, wide) of all their patches; each picture by itself."""
        return torch.cat([self.vit_model.empty(), *(self.vit_model(*one) for one in pictures)])

    def seen(self, features: Tensor, places: Tensor) -> Tensor:
        """Tokens (S, width) of seen pictures."""
        x: Tensor = self.connector(features)
        return x + self.vit_pos_embed.pos_embed[places]

    def drawn(self, latents: Tensor, times: Tensor, picture: Tensor, places: Tensor) -> Tensor:
        """Tokens (M, width) of drawn pictures: latents (M, channels), a time for each picture, and whose they are."""
        x: Tensor = self.vae2llm(latents.to(self.dtype)) + self.time_embedder(times)[picture]
        return x + self.latent_pos_embed.pos_embed[places]

    def run(self, und: Tensor, gen: Tensor, places: Tensor, attend: Attention) -> Parts:
        """States of tokens."""
        found: Parts = self.language_model(und, gen, places, attend)
        return found

    def read(self, rows: Packed, features: Tensor, latents: Tensor, times: Tensor, cache: Cache | None = None) -> Parts:
        """States (U, width) and (G, width) of whole rows: features (S, wide) of the seen pictures' patches, latents
        (M, channels) of the drawn ones and their times (pictures,). Keys and values are left in the ``cache``.
        """
        words = self.language_model.model.embed_tokens(rows.ids)
        und = torch.cat([words, self.seen(features, rows.seen).to(words.dtype)])
        gen = self.drawn(latents, times, rows.picture, rows.drawn).to(words.dtype)
        return self.run(und, gen, rows.places, Rows(rows, cache))


def waves(times: Tensor) -> Tensor:
    """Cosines and sines (N, WAVES) of times, which are not made larger."""
    half = WAVES // 2
    steps = torch.exp(-math.log(10000) * torch.arange(half, device=times.device, dtype=torch.float32) / half)
    angles = times.float()[:, None] * steps
    return torch.cat([angles.cos(), angles.sin()], -1)
