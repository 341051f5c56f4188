"""MAGVITv2's encoder: pixels to the latent whose signs are the codes."""

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hermes.harness.models.magvit.config import MagvitConfig
from hermes.harness.models.magvit.layers import Downsample, Middle, norm, residual_blocks, run


class DownLevel(nn.Module):
    """The residual blocks of one resolution, and the step to the next coarser one; the coarsest has none."""

    def __init__(self, enters: int, leaves: int, blocks: int, coarsest: bool) -> None:
        super().__init__()
        self.block = residual_blocks(enters, leaves, blocks)
        self.downsample = nn.Identity() if coarsest else Downsample(leaves)

    def forward(self, x: Tensor) -> Tensor:
        """(B, enters, h, w) to (B, leaves, h / 2, w / 2), or (B, leaves, h, w) at the coarsest level."""
        halved: Tensor = self.downsample(run(self.block, x))
        return halved


class Encoder(nn.Module):
    """Show-o's, with its names of the tensors (showlab/Show-o, models/modeling_magvitv2.py at 45a5a2d)."""

    def __init__(self, config: MagvitConfig) -> None:
        super().__init__()
        widths = (config.channels, *config.encoder_widths)
        last = len(config.encoder_widths) - 1
        self.conv_in = nn.Conv2d(3, config.channels, 3, padding=1)
        self.down = nn.ModuleList(
            DownLevel(widths[level], widths[level + 1], blocks, level == last)
            for level, blocks in enumerate(config.encoder_blocks)
        )
        self.mid = Middle(widths[-1])
        self.norm_out = norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], config.bits, 3, padding=1)
        self.quant_conv = nn.Conv2d(config.bits, config.bits, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in -1..1 to (B, bits, H / stride, W / stride)."""
        hidden = self.mid(run(self.down, self.conv_in(pixels)))
        latent: Tensor = self.quant_conv(self.conv_out(F.silu(self.norm_out(hidden))))
        return latent
