"""The vision tower: SigLIP's states to residual codes, codes to features, and features to a picture.

Source: mit-han-lab/vila-u, commit 096623c. SigLIP and the decoder are transformers' own classes; the decoder's levels
are numbered from the other end there.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import JanusVQVAEConfig, SiglipVisionConfig, SiglipVisionModel
from transformers.models.janus.modeling_janus import JanusVQVAEAttnBlock, JanusVQVAEDecoder

from hermes.harness.models.vilau.sizes import Sizes

CODEBOOK = "rqvaesiglip.quantizer.codebooks.{}.weight"
BEFORE = {
    "encoder": "rqvaesiglip.siglip_model.vision_model.",
    "decoder": "rqvaesiglip.decoder.",
    "post_quant_conv": "rqvaesiglip.post_quant_conv.",
}


class Tower(nn.Module):
    """Frozen. ``codes`` K rows of width C in the codebook; ``z`` channels go into the decoder.

    With ``released`` features have the rounding of the authors' straight-through sum, x + (z - x), which is visible in
    bfloat16; the precision itself is that of the weights.
    """

    def __init__(self, sizes: Sizes, codes: int, width: int, released: bool = False) -> None:
        super().__init__()
        self.grid, self.latent, self.released = sizes.grid, sizes.latent, released
        settings = {**sizes.siglip, "num_hidden_layers": int(sizes.siglip["num_hidden_layers"]) - 1}
        config: Any = SiglipVisionConfig(**settings, vision_use_head=False)
        if released:
            # Which attention it is shows in bfloat16 codes; that of transformers 4.36 was the plain one.
            config._attn_implementation = "eager"
        # The features are what goes into SigLIP's last layer; that layer and what follows it are never computed.
        encoder: Any = SiglipVisionModel(config)
        encoder.post_layernorm = nn.Identity()
        self.encoder = encoder
        # With a shared codebook a checkpoint holds one table as often as there are depths.
        self.codebooks = nn.Parameter(torch.zeros(1 if sizes.shared else sizes.depth, codes, width))
        self.depth, self.width = sizes.depth, width
        self.decoder, channels = _decoder(sizes.decoder)
        self.post_quant_conv = nn.Conv2d(width, channels, 1)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "Tower":
        """Never in training mode."""
        return super().train(False)

    @property
    def positions(self) -> int:
        """N, how many positions a picture has."""
        return self.grid[0] * self.grid[1]

    @property
    def dtype(self) -> torch.dtype:
        return self.codebooks.dtype

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, R, R) in -1..1 to codes (B, N, D), row by row, and features (B, N, C)."""
        return self.quantise(self.states(pixels))

    def states(self, pixels: Tensor) -> Tensor:
        """SigLIP's states (B, N, C) before its last layer."""
        states: Tensor = self.encoder(pixel_values=pixels.to(self.dtype)).last_hidden_state
        return states

    def quantise(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (..., D), each the nearest row to what those before it leave, and features (..., C), their rows' sum.

        Distances are |r|^2 + |c|^2 - 2 r c in the states' precision; of equal ones the lowest code is taken.
        """
        rest = states.reshape(-1, states.shape[-1])
        total, codes = torch.zeros_like(rest), []
        for depth in range(self.depth):
            table = self._table(depth)
            lengths = rest.square().sum(1, keepdim=True) + table.square().sum(1)
            code = torch.addmm(lengths, rest, table.T, alpha=-2).argmin(1)
            row = table[code]
            rest, total = rest - row, total + row
            codes.append(code)
        features = total.view_as(states)
        if self.released:
            features = states + (features - states)
        return torch.stack(codes, -1).view(*states.shape[:-1], self.depth), features

    def rows(self, codes: Tensor, depth: int) -> Tensor:
        """The codebook's rows (..., C) of codes (...) of this depth."""
        return self._table(depth)[codes]

    def sums(self, codes: Tensor) -> Tensor:
        """Codes (..., D) to the sums (..., D, C) of the rows of all codes up to each; the last are the features."""
        rows = [self.rows(codes[..., depth], depth) for depth in range(self.depth)]
        return torch.stack(rows, -2).cumsum(-2)

    def decode(self, features: Tensor) -> Tensor:
        """Features (B, N, C) to pictures (B, 3, R, R), about -1..1."""
        latent = features.to(self.dtype).transpose(1, 2).reshape(len(features), -1, *self.grid)
        if self.latent is not None:
            latent = interpolate(latent, size=self.latent, mode="bilinear", align_corners=False)
        picture: Tensor = self.decoder(self.post_quant_conv(latent))
        return picture

    def _table(self, depth: int) -> Tensor:
        return self.codebooks[depth if len(self.codebooks) > 1 else 0]


def published_names(tower: Tower) -> dict[str, str]:
    """The name in a checkpoint of each of the tower's tensors but the codebooks."""
    last = len(tower.decoder.up) - 1
    found = {}
    for name in tower.state_dict():
        part, _, rest = name.partition(".")
        if rest.startswith("up."):
            level, _, inner = rest.removeprefix("up.").partition(".")
            rest = f"up.{last - int(level)}.{inner}"
        if part in BEFORE:
            found[name] = BEFORE[part] + rest
    return found


def _decoder(settings: dict[str, Any]) -> tuple[Any, int]:
    """The decoder that taming-transformers' settings describe, and how many channels go into it."""
    levels, channels = [int(each) for each in settings["ch_mult"]], int(settings["z_channels"])
    config = JanusVQVAEConfig(
        base_channels=int(settings["ch"]),
        channel_multiplier=levels,
        num_res_blocks=int(settings["num_res_blocks"]),
        latent_channels=channels,
        in_channels=int(settings.get("in_channels", 3)),
        out_channels=int(settings.get("out_ch", 3)),
    )
    decoder_class: Any = JanusVQVAEDecoder
    attention: Any = JanusVQVAEAttnBlock
    decoder = decoder_class(config)
    # transformers' has attention at the lowest level alone; taming-transformers' at those whose side is named.
    lowest = int(settings["resolution"]) // 2 ** (len(levels) - 1)
    for number, times in enumerate(reversed(levels)):
        side, width = lowest * 2**number, config.base_channels * times
        count = config.num_res_blocks + 1 if side in settings["attn_resolutions"] else 0
        decoder.up[number].attn = nn.ModuleList(attention(width) for _ in range(count))
    return decoder, channels
