"""The picture space of hermes-flow: 48 x 48 pixels to 6 x 6 places of eight continuous channels, and back."""

import torch
from torch import Tensor, nn

from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS, SIDE, decoder_of, encoder_of

CHANNELS = 8


class LatentCoder(nn.Module):
    """An autoencoder whose bounded channels are learned under noise, which keeps what is near looking alike.

    Images are (B, 3, 48, 48) in 0..1. Latents are (B, 36, 8), row by row, each channel with mean 0 and deviation 1 over
    scenes.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = encoder_of(CHANNELS)
        self.decoder = decoder_of(CHANNELS)
        self.register_buffer("mean", torch.zeros(CHANNELS))
        self.register_buffer("deviation", torch.ones(CHANNELS))

    def bounded(self, images: Tensor) -> Tensor:
        """Images to (B, 8, 6, 6) in -1..1, not normalised."""
        return torch.tanh(self.encoder(images * 2 - 1))

    def render(self, bounded: Tensor) -> Tensor:
        """The inverse of ``bounded``: images (B, 3, 48, 48), not clipped."""
        made: Tensor = (self.decoder(bounded) + 1) / 2
        return made

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Images to latents (B, 36, 8)."""
        return (self.bounded(images).flatten(2).mT - self.mean) / self.deviation

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, 36, 8) to images (B, 3, 48, 48) in 0..1; what lies outside the bounds is brought to them."""
        bounded = (latents * self.deviation + self.mean).clamp(-1, 1)
        return self.render(bounded.mT.reshape(-1, CHANNELS, SIDE, SIDE)).clamp(0, 1)

    @torch.no_grad()
    def normalise(self, images: Tensor) -> None:
        """Set mean and deviation of the channels to those over these images."""
        values = self.bounded(images).transpose(0, 1).reshape(CHANNELS, -1, IMAGE_TOKENS).flatten(1)
        self.mean.copy_(values.mean(1))
        self.deviation.copy_(values.std(1))
