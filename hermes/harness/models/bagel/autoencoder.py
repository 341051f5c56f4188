"""FLUX's autoencoder: diffusers' class under the names of the published file, with BAGEL's scale of the latents.

Source: ByteDance-Seed/Bagel commit 056b5fd, modeling/autoencoder.py.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hermes.harness.models.bagel.config import Settings
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.models.tensors import misfit, read_tensors
from hermes.harness.system.errors import HermesError

INNER = {
    r"\.mid\.block_1\.": ".mid_block.resnets.0.",
    r"\.mid\.block_2\.": ".mid_block.resnets.1.",
    r"\.mid\.attn_1\.norm\.": ".mid_block.attentions.0.group_norm.",
    r"\.mid\.attn_1\.proj_out\.": ".mid_block.attentions.0.to_out.0.",
    r"\.mid\.attn_1\.([qkv])\.": r".mid_block.attentions.0.to_\1.",
    r"\.nin_shortcut\.": ".conv_shortcut.",
    r"coder\.norm_out\.": "coder.conv_norm_out.",
    r"\.down\.(\d+)\.block\.": r".down_blocks.\1.resnets.",
    r"\.down\.(\d+)\.downsample\.": r".down_blocks.\1.downsamplers.0.",
}
UP = re.compile(r"decoder\.up\.(\d+)\.(block|upsample)\.")


class Autoencoder:
    """Pixels in -1..1 to scaled latents, and back; one picture at a time, in float32, and never trained."""

    def __init__(self, vae: Any, settings: Settings) -> None:
        self.vae = vae.requires_grad_(False).eval()
        self.scale, self.shift = settings.latent_scale

    @property
    def factor(self) -> int:
        """Pixels of a side for each latent."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @torch.inference_mode()
    def moments(self, pixels: Tensor) -> Any:
        """The distribution of the latents of pixels (3, H, W), not scaled."""
        with full_float32(str(self.vae.device)):
            return self.vae.encode(pixels[None].to(self.vae.device)).latent_dist

    @torch.inference_mode()
    def encode(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Scaled latents (z, h, w) of pixels (3, H, W): the likeliest, or with ``noise`` (z, h, w) those it draws."""
        told = self.moments(pixels)
        latents = told.mode() if noise is None else told.mean + torch.exp(0.5 * _logvar(told)) * noise.to(told.mean)
        found: Tensor = self.scale * (latents[0] - self.shift)
        return found

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Pixels (3, H, W) of scaled latents (z, h, w); they may lie outside of -1..1."""
        with full_float32(str(self.vae.device)):
            found: Tensor = self.vae.decode(latents[None].float().to(self.vae.device) / self.scale + self.shift).sample
        return found[0]


def read_autoencoder(path: Path, settings: Settings, device: str, who: str) -> Autoencoder:
    """The autoencoder of a file; its sizes are those of the tensors. Raises HermesError where it is not one."""
    import diffusers

    made: Any = diffusers.AutoencoderKL
    stored = read_tensors(path).tensors
    try:
        own = _sizes(stored)
        with torch.device("meta"):
            vae: Any = made(**own)
        levels = len(own["block_out_channels"])
        tensors = {_inner(name, levels): tensor.float() for name, tensor in stored.items()}
        tensors = {name: _flat(name, tensor) for name, tensor in tensors.items()}
        odd = misfit(vae.state_dict(), tensors)
    except (KeyError, IndexError, ValueError) as error:
        odd = f"lacks {error.args[0] if isinstance(error, KeyError) else 'whole levels'}"
    if odd:
        raise HermesError(f"{who}: {path} is no whole FLUX autoencoder: it {odd}; download it again")
    refuse_not_finite(tensors, f"{who}: {path}")
    vae.load_state_dict(tensors, assign=True)
    return Autoencoder(vae.to(device), settings)


def _logvar(told: Any) -> Tensor:
    """Of the distribution, not cut off as diffusers does."""
    found: Tensor = told.parameters.chunk(2, 1)[1]
    return found


def _sizes(stored: dict[str, Tensor]) -> dict[str, Any]:
    levels = len({name.split(".")[2] for name in stored if name.startswith("encoder.down.")})
    if not levels:
        raise KeyError("encoder.down.0.block.0.conv1.weight")
    channels = [len(stored[f"encoder.down.{level}.block.0.conv1.weight"]) for level in range(levels)]
    blocks = {name.split(".")[4] for name in stored if name.startswith("encoder.down.0.block.")}
    return {
        "in_channels": stored["encoder.conv_in.weight"].shape[1],
        "out_channels": stored["decoder.conv_out.weight"].shape[0],
        "latent_channels": stored["decoder.conv_in.weight"].shape[1],
        "block_out_channels": channels,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": len(blocks),
        "norm_num_groups": 32,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
    }


def _inner(name: str, levels: int) -> str:
    """diffusers' name of a published one; its upward levels are numbered from the other end."""
    for there, here in INNER.items():
        name = re.sub(there, here, name)
    kinds = {"block": "resnets", "upsample": "upsamplers.0"}
    return UP.sub(lambda fit: f"decoder.up_blocks.{levels - 1 - int(fit[1])}.{kinds[fit[2]]}.", name)


def _flat(name: str, tensor: Tensor) -> Tensor:
    """Convolutions of one pixel in the attention are linear layers in diffusers."""
    return tensor[:, :, 0, 0] if ".attentions." in name and tensor.dim() == 4 else tensor
