"""Pictures to codes and codes to pictures, through diffusers' VQModel with Chameleon's weights, always in float32."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import VQModel
from PIL import Image
from torch import Tensor, nn

from hermes.harness.models.chameleon_vq.config import GROUPS, VQConfig
from hermes.harness.models.chameleon_vq.names import is_convolution, published
from hermes.harness.models.chameleon_vq.pixels import picture_of, pixels_of
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.system.errors import HermesError


def vq_of(config: VQConfig) -> Any:
    """diffusers' VQModel of these sizes, with random weights."""
    kind: Any = VQModel
    levels = len(config.multipliers)
    return kind(
        in_channels=config.seen,
        out_channels=config.drawn,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(config.base * factor for factor in config.multipliers),
        layers_per_block=config.blocks,
        latent_channels=config.latent,
        num_vq_embeddings=config.codes,
        norm_num_groups=GROUPS,
        vq_embed_dim=config.embed,
        scaling_factor=1.0,
    )


class Codec(nn.Module):
    """Chameleon's VQGAN. A picture is ``config.rows`` lines of as many codes; all else is drawn by ``decode`` alone."""

    def __init__(self, config: VQConfig, tensors: Mapping[str, Tensor], where: str) -> None:
        """``tensors`` by their published names, of which others may be there too.

        Raises HermesError, which begins with ``where``, where one is missing, of another shape or not finite.
        """
        super().__init__()
        self.config = config
        with torch.device("meta"):
            made = vq_of(config)
        self._names = {name: published(name, len(config.multipliers)) for name in made.state_dict()}
        made.load_state_dict(self._fitting(made.state_dict(), tensors, where), assign=True)
        self.vq = made.eval().requires_grad_(False)

    def state(self) -> dict[str, Tensor]:
        """All tensors under their published names and in their published shapes."""
        held = {self._names[name]: tensor for name, tensor in self.vq.state_dict().items()}
        return {name: tensor[..., None, None] if is_convolution(name) else tensor for name, tensor in held.items()}

    @torch.inference_mode()
    def unquantised(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) pixels to (B, embed, h, w), of which each place takes the nearest row of the codebook."""
        with full_float32(str(self._table.device)):
            latents: Tensor = self.vq.encode(pixels.to(self._table)).latents
        return latents

    @torch.inference_mode()
    def codes(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) pixels to (B, h w) codes, line by line."""
        states = self.unquantised(pixels).flatten(2).transpose(1, 2)
        table = self._table
        with full_float32(str(table.device)):
            distance = (states**2).sum(-1, keepdim=True) + (table**2).sum(1) - 2 * states @ table.T
        return distance.argmin(-1)

    def encode(self, picture: Image.Image) -> tuple[int, ...]:
        """The codes of one picture; one at a time, so that companions cannot change one."""
        return tuple(self.codes(pixels_of(picture, self.config.side)[None])[0].tolist())

    @torch.inference_mode()
    def pixels(self, codes: Tensor, rows: int, columns: int) -> Tensor:
        """(B, rows x columns) codes to pixels (B, 3, H, W), mostly in [-1, 1]; any shape is drawn."""
        latents = self._table[codes.to(self._table.device)].transpose(1, 2).reshape(len(codes), -1, rows, columns)
        with full_float32(str(self._table.device)):
            drawn: Tensor = self.vq.decode(latents, force_not_quantize=True).sample
        return drawn

    def decode(self, codes: Sequence[int]) -> Image.Image:
        """The picture of one image's codes; one at a time, so that companions cannot change a pixel."""
        rows = self.config.rows
        return picture_of(self.pixels(torch.tensor([list(codes)]), rows, rows)[0])

    @property
    def _table(self) -> Tensor:
        table: Tensor = self.vq.quantize.embedding.weight
        return table

    def _fitting(self, wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
        lost = sorted(name for name in self._names.values() if name not in tensors)
        if lost:
            what = "decoder, and draws nothing" if all(name.startswith("decoder.") for name in lost) else "VQGAN"
            raise HermesError(
                f"{where} lacks {len(lost)} of {len(wanted)} tensors of Chameleon's {what}, such as {lost[0]}; "
                "download it again"
            )
        fitting = {}
        for name, shape in ((name, tensor.shape) for name, tensor in wanted.items()):
            held = tensors[self._names[name]]
            held = held[..., 0, 0] if is_convolution(self._names[name]) and held.dim() == 4 else held
            if held.shape != shape:
                raise HermesError(
                    f"{where} holds {self._names[name]} with the shape {tuple(held.shape)}, not {tuple(shape)}; "
                    "its settings are those of another VQGAN, download both again"
                )
            fitting[name] = held.float()
        refuse_not_finite({self._names[name]: tensor for name, tensor in fitting.items()}, where)
        return fitting
