"""MAGVITv2, the image tokeniser of Show-o and MMaDA: images to a grid of codes and back, with the published weights."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.models.magvit.config import MagvitConfig, infer_config
from hermes.harness.models.magvit.decoder import Decoder
from hermes.harness.models.magvit.encoder import Encoder
from hermes.harness.models.magvit.quantiser import Quantiser
from hermes.harness.models.source import Source, folder_of
from hermes.harness.models.tensors import misfit, read_tensors
from hermes.harness.models.trained import around
from hermes.harness.system.errors import HermesError

PUBLISHED = "showlab/magvitv2"


class Magvit(nn.Module):
    """Encoder, lookup-free quantiser and decoder; 8192 codes of 16 x 16 pixels in showlab/magvitv2.

    Yu et al., "Language Model Beats Diffusion: Tokenizer is Key to Visual Generation" (ICLR 2024), as Show-o has it
    (showlab/Show-o, models/modeling_magvitv2.py at 45a5a2d). Always float32, without TensorFloat-32 on a GPU.
    """

    def __init__(self, config: MagvitConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize = Quantiser(config.bits)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.quantize.embedding.device

    @torch.no_grad()
    def latent(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in -1..1 to what is quantised, (B, bits, H / stride, W / stride).

        Raises HermesError for another shape, or sides that the stride does not divide.
        """
        stride = self.config.stride
        if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.shape[2] % stride or pixels.shape[3] % stride:
            raise HermesError(
                f"the image tokeniser was given pixels of shape {tuple(pixels.shape)}; "
                f"give (B, 3, H, W) with H and W multiples of {stride}"
            )
        with full_float32(str(self.device)):
            latent: Tensor = self.encoder(pixels.to(self.device, torch.float32))
        return latent

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in -1..1 to codes (B, N) int64, row by row. Raises HermesError as ``latent`` does."""
        return self.quantize.codes(self.latent(pixels)).flatten(1)

    @torch.no_grad()
    def decode(self, codes: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Codes (B, N) to images (B, 3, H, W), about -1..1 and not clipped.

        ``grid`` is the codes' (rows, columns), a square if left out. Raises HermesError where the codes do not fill
        it, and for codes that there are not.
        """
        with full_float32(str(self.device)):
            pixels: Tensor = self.decoder(self.quantize.vectors(self._arranged(codes.to(self.device), grid)))
        return pixels

    def _arranged(self, codes: Tensor, grid: tuple[int, int] | None) -> Tensor:
        """Codes (B, N) as (B, rows, columns)."""
        if codes.ndim != 2:
            raise HermesError(f"the image tokeniser was given codes of shape {tuple(codes.shape)}; give (B, N)")
        rows, columns = grid or (math.isqrt(codes.shape[1]),) * 2
        if rows * columns != codes.shape[1]:
            raise HermesError(f"{codes.shape[1]} image codes do not fill a grid of {rows} x {columns}; give its shape")
        if codes.numel() and (codes.min() < 0 or codes.max() >= self.config.codebook_size):
            raise HermesError(
                f"image codes from {int(codes.min())} to {int(codes.max())} were given; "
                f"the codebook has 0 to {self.config.codebook_size - 1}"
            )
        return codes.view(-1, rows, columns)


def load_magvit(source: str | Path, device: str = "cpu", config: MagvitConfig | None = None) -> Magvit:
    """The tokeniser of a checkpoint folder or weights file, float32, ready to use on ``device`` and not trainable.

    The sizes are those of the stored tensors unless ``config`` gives them. Raises HermesError for a checkpoint that
    cannot be read, tensors that are missing, odd or of another shape than the sizes want, and values that are no
    numbers.
    """
    path = Path(source).expanduser()
    stored = read_tensors(path).tensors
    if config is None:
        config = infer_config({name: tuple(tensor.shape) for name, tensor in stored.items()}, str(path))
    with torch.device("meta"):
        model = Magvit(config)
    standard = {f"quantize.{name}": buffer for name, buffer in Quantiser(config.bits).named_buffers()}
    weights = standard | stored
    if odd := misfit(model.state_dict(), weights):
        raise HermesError(f"{path} is no whole MAGVITv2: it {odd}; give the published checkpoint showlab/magvitv2")
    refuse_not_finite(weights, str(path))
    for name, buffer in standard.items():
        if not torch.equal(weights[name].to(buffer.dtype), buffer):
            raise HermesError(f"{path}: {name} orders the codes unlike MAGVITv2; give the published checkpoint")
    state = {name: tensor.to(device, torch.float32) for name, tensor in weights.items()} | {
        name: buffer.to(device) for name, buffer in standard.items()
    }
    model.load_state_dict(state, assign=True)
    return model.requires_grad_(False).eval()


def magvit_folder(folder: Path) -> Path:
    """Where the image tokeniser of a checkpoint is: the subfolder or sibling ``magvitv2``, else the published one."""
    near = [place / "magvitv2" for place in around(folder) if (place / "magvitv2").is_dir()]
    return near[0] if near else folder_of(Source(PUBLISHED, None, local=False))
