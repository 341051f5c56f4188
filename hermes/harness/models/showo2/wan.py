"""Wan2.1's autoencoder for single pictures: diffusers' class with the weights under their original names.

Latents here are normalised: (mean - MEAN) / STD of the published constants, which diffusers leaves to its callers.
Source of the constants and of how they are used: showlab/Show-o, commit 45a5a2d, show-o2/models.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.models.showo2.places import WHO
from hermes.harness.models.tensors import misfit, read_tensors
from hermes.harness.system.errors import HermesError

ADVICE = "give Wan2.1_VAE.pth of Wan-AI/Wan2.1-T2V-14B"


class Wan:
    """Always float32, without TensorFloat-32 on a GPU; one picture at a time, so that companions change nothing.

    ``rounded``: as released, the constants are of this type when pictures are decoded.
    """

    def __init__(self, network: Any, path: Path, rounded: torch.dtype = torch.float32) -> None:
        self.network, self.path = network, path
        self.channels: int = network.config.z_dim
        device = next(network.parameters()).device
        shape = (-1, 1, 1)
        self.mean, self.std = (
            torch.tensor(told, device=device).view(shape)
            for told in (network.config.latents_mean, network.config.latents_std)
        )
        self._rounded = [constant.to(rounded).float() for constant in (self.mean, 1 / self.std)]

    @torch.inference_mode()
    def posterior(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (3, H, W) in -1..1 to the normalised mean and the log-variance (C, H / 8, W / 8)."""
        device = self.mean.device
        with full_float32(str(device)):
            told = self.network.encode(pixels[None, :, None].to(device, torch.float32)).latent_dist
        mean, spread = told.mean[0, :, 0], told.logvar[0, :, 0]
        return (mean - self.mean) / self.std, spread

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents (C, h, w) to pixels (3, 8 h, 8 w) in -1..1."""
        mean, inverse = self._rounded
        with full_float32(str(mean.device)):
            out = self.network.decode((latents.to(mean) / inverse + mean)[None, :, None]).sample
        pixels: Tensor = out[0, :, 0].clamp(-1, 1)
        return pixels


def sampled(mean: Tensor, spread: Tensor, noise: Tensor) -> Tensor:
    """Latents as the training draws them; the noise is not divided by STD, as the mean is."""
    return mean + torch.exp(0.5 * spread) * noise


def load_wan(path: Path, device: str, rounded: torch.dtype = torch.float32) -> Wan:
    """The autoencoder of a file. Raises HermesError for what is torn or of another kind."""
    import diffusers
    from diffusers.loaders import single_file_utils

    try:
        held = read_tensors(path).tensors
    except HermesError as error:
        raise HermesError(f"{WHO}: {error}") from None
    try:
        with torch.device("meta"):
            kind: Any = diffusers.AutoencoderKLWan
            network = kind(**_sizes(held))
        convert: Any = single_file_utils.convert_wan_vae_to_diffusers
        state = {name: tensor.float() for name, tensor in convert(dict(held)).items()}
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        raise HermesError(f"{WHO}: {path} is not the autoencoder of Wan2.1 ({error!r}); {ADVICE}") from None
    if odd := misfit(network.state_dict(), state):
        raise HermesError(f"{WHO}: {path} {odd}; {ADVICE}")
    refuse_not_finite(held, f"{WHO}: {path}")
    network.load_state_dict(state, assign=True)
    return Wan(flattened(network).to(device).eval().requires_grad_(False), path, rounded)


def _sizes(held: Mapping[str, Tensor]) -> dict[str, Any]:
    """The settings of diffusers' class from the shapes of the tensors."""
    width = len(held["encoder.conv1.bias"])
    levels: list[int] = []
    halves: list[bool] = []
    blocks, inside, place = 0, True, 0
    while inside:
        name = f"encoder.downsamples.{place}."
        if f"{name}residual.6.bias" in held:
            blocks += 1
            levels[len(halves) :] = [len(held[f"{name}residual.6.bias"]) // width]
        elif f"{name}resample.1.bias" in held:
            halves.append(f"{name}time_conv.bias" in held)
        else:
            inside = False
        place += 1
    return {
        "base_dim": width,
        "z_dim": len(held["conv2.bias"]),
        "dim_mult": levels,
        "num_res_blocks": blocks // len(levels),
        "temperal_downsample": halves,
    }


def flattened(network: Any) -> Any:
    """The network with the last slice in time of each kernel: a picture alone meets no other, and the rest is idle."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

    for module in network.modules():
        if isinstance(module, WanCausalConv3d) and module.kernel_size[0] > 1:
            module.weight = nn.Parameter(module.weight[:, :, -1:].contiguous(), requires_grad=False)
            module.kernel_size = (1, *module.kernel_size[1:])
            module._padding = (*module._padding[:4], 0, 0)
    return network
