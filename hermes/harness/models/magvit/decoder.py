"""MAGVITv2's decoder: the quantised latent back to pixels."""

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hermes.harness.models.magvit.config import MagvitConfig
from hermes.harness.models.magvit.layers import Middle, Upsample, norm, residual_blocks, run


class UpLevel(nn.Module):
    """The residual blocks of one resolution, and the step to the next finer one; the finest has none."""

    def __init__(self, enters: int, leaves: int, blocks: int, finest: bool) -> None:
        super().__init__()
        self.block = residual_blocks(enters, leaves, blocks)
        self.upsample = nn.Identity() if finest else Upsample(leaves)

    def forward(self, x: Tensor) -> Tensor:
        """(B, enters, h, w) to (B, leaves, 2 h, 2 w), or (B, leaves, h, w) at the finest level."""
        doubled: Tensor = self.upsample(run(self.block, x))
        return doubled


class Decoder(nn.Module):
    """Show-o's, with its names of the tensors; ``up`` is kept finest first and run coarsest first."""

    def __init__(self, config: MagvitConfig) -> None:
        super().__init__()
        widths = (*config.decoder_widths, config.decoder_widths[-1])
        self.post_quant_conv = nn.Conv2d(config.bits, config.bits, 1)
        self.conv_in = nn.Conv2d(config.bits, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList(
            UpLevel(widths[level + 1], widths[level], blocks, level == 0)
            for level, blocks in enumerate(config.decoder_blocks)
        )
        self.norm_out = norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """(B, bits, h, w) to (B, 3, stride h, stride w), about -1..1, not clipped."""
        hidden = self.mid(self.conv_in(self.post_quant_conv(latent)))
        pixels: Tensor = self.conv_out(F.silu(self.norm_out(run(self.up[::-1], hidden))))
        return pixels
