"""The one network of hermes-flow: hermes-tiny's blocks over text tokens and noised latents, and a velocity out."""

import torch
from torch import Tensor, nn

from hermes.harness.models.flow.latents import CHANNELS
from hermes.harness.models.tiny.transformer import Cache, Shape, Trunk

SINES = 64
ENTRY, EXIT = 256, 320


def time_waves(time: Tensor) -> Tensor:
    """Sines and cosines (..., 64) of times (...) in 0..1, with wavelengths from 2 pi down to 2 pi / 1000."""
    speed = 1000.0 ** (torch.arange(SINES // 2, device=time.device) / (SINES // 2 - 1))
    angle = time[..., None].float() * speed
    return torch.cat([angle.sin(), angle.cos()], -1)


class FlowTransformer(Trunk):
    """Text ids and latents to hidden states; ``text_logits`` and ``velocity`` read them out.

    A picture is noised by x_t = (1 - t) x0 + t noise, and its velocity is noise - x0; one that is looked at has t = 0.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, shape.text)
        self.enter = nn.Sequential(nn.Linear(CHANNELS, ENTRY), nn.SiLU(), nn.Linear(ENTRY, shape.width))
        self.when = nn.Sequential(nn.Linear(SINES, shape.width), nn.SiLU(), nn.Linear(shape.width, shape.width))
        told = nn.Linear(EXIT, CHANNELS)
        self.leave = nn.Sequential(nn.Linear(shape.width, EXIT), nn.SiLU(), told)
        self.begin(apart=("enter", "when", "leave"))
        nn.init.zeros_(told.weight)
        nn.init.zeros_(told.bias)

    def forward(
        self,
        tokens: Tensor,
        place: Tensor,
        cell: Tensor,
        mask: Tensor,
        latent: Tensor,
        time: Tensor,
        past: Cache | None = None,
    ) -> tuple[Tensor, Cache]:
        """Hidden states (B, L, width), normalised, and the cache including these tokens; arguments as in ``states``."""
        states, present = self.states(tokens, place, cell, mask, latent, time, past)
        normed: Tensor = self.norm(states[-1])
        return normed, present

    def states(
        self,
        tokens: Tensor,
        place: Tensor,
        cell: Tensor,
        mask: Tensor,
        latent: Tensor,
        time: Tensor,
        past: Cache | None = None,
    ) -> tuple[list[Tensor], Cache]:
        """As ``run``, from tokens (B, L) ids and cell (B, L): 1 + index of an image token's cell, 0 for text.

        Where there is a cell, latent (B, L, 8) and time (B, L) are read, elsewhere the id.
        """
        seen = self.enter(latent) + self.when(time_waves(time).to(latent.dtype))
        x = torch.where((cell > 0)[..., None], seen, self.embed(tokens)) + self.cell(cell)
        return self.run(x, place, mask, past)

    def velocity(self, hidden: Tensor) -> Tensor:
        """(..., width) to (..., 8), float32."""
        told: Tensor = self.leave(hidden)
        return told.float()
