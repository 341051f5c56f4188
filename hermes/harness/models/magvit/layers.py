"""What MAGVITv2's encoder and decoder are made of: residual blocks, attention, resampling; all maps (B, C, h, w)."""

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hermes.harness.models.magvit.config import GROUPS

EPSILON = 1e-6


def norm(width: int) -> nn.GroupNorm:
    """Group normalisation in 32 groups."""
    return nn.GroupNorm(GROUPS, width, eps=EPSILON)


class ResidualBlock(nn.Module):
    """shortcut(x) + conv2(swish(norm2(conv1(swish(norm1(x)))))); the shortcut is 1x1 where the width changes."""

    def __init__(self, enters: int, leaves: int) -> None:
        super().__init__()
        self.norm1 = norm(enters)
        self.conv1 = nn.Conv2d(enters, leaves, 3, padding=1)
        self.norm2 = norm(leaves)
        self.conv2 = nn.Conv2d(leaves, leaves, 3, padding=1)
        self.nin_shortcut = nn.Identity() if enters == leaves else nn.Conv2d(enters, leaves, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, enters, h, w) to (B, leaves, h, w)."""
        hidden = self.conv1(F.silu(self.norm1(x)))
        mixed: Tensor = self.nin_shortcut(x) + self.conv2(F.silu(self.norm2(hidden)))
        return mixed


class Attention(nn.Module):
    """One head over all positions, with 1x1 convolutions as projections, normalised before and added after."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = norm(width)
        self.q = nn.Conv2d(width, width, 1)
        self.k = nn.Conv2d(width, width, 1)
        self.v = nn.Conv2d(width, width, 1)
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        normed = self.norm(x)
        query, key, value = (project(normed).flatten(2).mT.unsqueeze(1) for project in (self.q, self.k, self.v))
        seen = F.scaled_dot_product_attention(query, key, value).squeeze(1).mT.reshape(x.shape)
        mixed: Tensor = x + self.proj_out(seen)
        return mixed


class Middle(nn.Module):
    """Block, attention, block at the coarsest resolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(width, width)
        self.attn_1 = Attention(width)
        self.block_2 = ResidualBlock(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        mixed: Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return mixed


class Downsample(nn.Module):
    """Half the height and width: a 3x3 convolution of stride 2 over maps padded on the right and at the bottom only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, h / 2, w / 2)."""
        halved: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return halved


class Upsample(nn.Module):
    """Twice the height and width: every value repeated, then a 3x3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, 2 h, 2 w)."""
        doubled: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return doubled


def residual_blocks(enters: int, leaves: int, count: int) -> nn.ModuleList:
    """The blocks of one level; the first changes the width."""
    return nn.ModuleList(ResidualBlock(leaves if index else enters, leaves) for index in range(count))


def run(modules: nn.ModuleList, x: Tensor) -> Tensor:
    """One after the other."""
    for module in modules:
        x = module(x)
    return x
