"""Pictures that a request or an item shows, as tokens of rows: looked at once where they are equal."""

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from hermes.harness.models.bagel.config import Rule
from hermes.harness.models.bagel.load import Loaded
from hermes.harness.models.bagel.pixels import levels_of, patches_of, pixels_of, places_of, resized, tokens_of

GLANCE = 224
"""Pixels of the longer side of a picture that is to be drawn again (HorizonWind2004/reconstruction-alignment b250aa1:
GenEval 82.4; 79.2 at 512 px)."""


@dataclass(frozen=True)
class Seen:
    """Features (n, wide) of a picture's patches, in ``grid`` rows and columns."""

    features: Tensor
    grid: tuple[int, int]


@dataclass(frozen=True)
class Clean:
    """Tokens (m, channels) of a picture without noise, float32 on the CPU."""

    tokens: Tensor
    grid: tuple[int, int]


class Eyes:
    """Both encoders. ``as_released``: a picture that is asked about goes through the sizes of the authors' demo."""

    def __init__(self, loaded: Loaded, as_released: bool) -> None:
        self.loaded, self.as_released = loaded, as_released
        self.settings, self.network = loaded.settings, loaded.network
        self.stride = loaded.autoencoder.factor * loaded.settings.latent_patch

    def asked_about(self, picture: Image.Image) -> Image.Image:
        """The picture in the size that the vision encoder sees it in."""
        if self.as_released:
            return self.changed(self.drawn(picture))
        return resized(picture, self.settings.seen_rule(False))

    def glanced_at(self, picture: Image.Image) -> Image.Image:
        """The picture as RecA shows it: at 224 px, so small that it cannot be copied."""
        longest = min(GLANCE, self.settings.seen_rule(False).longest)
        return resized(picture, Rule(longest, self.settings.patch, self.settings.patch))

    def drawn(self, picture: Image.Image) -> Image.Image:
        """The picture in the size that the autoencoder takes, which is that of what is drawn."""
        return resized(picture, self.settings.drawn_rule(self.stride))

    def changed(self, drawn: Image.Image) -> Image.Image:
        """A picture of the autoencoder's size in that in which the vision encoder sees what is to be changed."""
        return resized(drawn, self.settings.seen_rule(True))

    @torch.inference_mode()
    def see(self, picture: Image.Image) -> Seen:
        """Of a picture in its size."""
        patch = self.settings.patch
        grid = (picture.height // patch, picture.width // patch)
        patches = patches_of(pixels_of(levels_of(picture)), patch).to(self.network.device)
        places = places_of(grid, self.network.sides[0]).to(self.network.device)
        return Seen(self.network.looked([(patches, places)]), grid)

    def read(self, picture: Image.Image, generator: torch.Generator | None = None) -> Clean:
        """The likeliest latents of a picture in its size, or, with a generator, drawn ones as released."""
        pixels = pixels_of(levels_of(picture))
        noise, vae = None, self.loaded.autoencoder
        grid = (picture.height // self.stride, picture.width // self.stride)
        if generator is not None:
            patch = self.settings.latent_patch
            shape = (vae.vae.config.latent_channels, grid[0] * patch, grid[1] * patch)
            noise = torch.randn(shape, generator=generator)
        return Clean(tokens_of(vae.encode(pixels, noise), self.settings.latent_patch).cpu(), grid)
