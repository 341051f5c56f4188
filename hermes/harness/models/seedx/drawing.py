"""A picture from Conditions: SDXL's denoiser and decoder of diffusers, with a source picture or without one.

Source: AILab-CVC/SEED-X commit 420d347, src/models/detokenizer/adapter_modules.py and pipeline_stable_diffusion_t2i_
edit.py; stage 1 is diffusers' StableDiffusionXLPipeline, stage 2 an InstructPix2Pix.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hermes.harness.models.full_float32 import full_float32
from hermes.harness.models.seedx.conditions import ConditionResampler, Conditions

IMAGE_GUIDANCE = 1.5


@dataclass(frozen=True)
class Drawing:
    """Steps, guidance, height and width in pixels; a guidance up to 1 is none.

    ``image_guidance``: how much a source picture counts, stage 2's alone.
    """

    steps: int
    guidance: float
    height: int
    width: int
    image_guidance: float = IMAGE_GUIDANCE


class Step(NamedTuple):
    """``noise``: what each row of the denoiser predicts, (R, C, h, w); ``latents`` (1, C, h, w) after the step."""

    noise: Tensor
    latents: Tensor


@dataclass(frozen=True)
class Stage:
    """One set of published weights: ``resampler`` and ``unet``; stage 2's takes a source picture's latents, too.

    ``based``: some of the denoiser's weights are those of SDXL's base.
    """

    resampler: ConditionResampler
    unet: Any
    based: bool = False

    @property
    def sourced(self) -> bool:
        return int(self.unet.config.in_channels) > int(self.unet.config.out_channels)


class Artist:
    """Draws with a stage; one picture at a time, so that companions cannot change a pixel."""

    def __init__(self, stage: Stage, vae: Any, scheduler: Any) -> None:
        self.stage, self.vae, self.scheduler = stage, vae, scheduler

    @property
    def scale(self) -> int:
        """Pixels of a side for each latent."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def side(self) -> int:
        """The width and height that the denoiser was trained for, in pixels."""
        return int(self.stage.unet.config.sample_size) * self.scale

    def noise(self, generator: torch.Generator, drawing: Drawing) -> Tensor:
        """Standard normal (1, C, h, w), drawn on the CPU, so that the device's random numbers do not matter."""
        shape = (1, self.vae.config.latent_channels, drawing.height // self.scale, drawing.width // self.scale)
        return torch.randn(shape, generator=generator)

    @torch.inference_mode()
    def steps(
        self, wanted: Conditions, unwanted: Conditions, noise: Tensor, drawing: Drawing, source: Tensor | None = None
    ) -> Iterator[Step]:
        """The way from ``noise`` to a picture's latents. ``source``: latents of the picture that is changed.

        Rows are [unwanted, wanted] in stage 1 and [wanted with source, unwanted with source, unwanted] in stage 2; the
        wanted alone without guidance. Without a source stage 2 has zeros in its place, and its last two rows are one.
        """
        unet, scheduler = self.stage.unet, self.scheduler
        guided = drawing.guidance > 1 and (not self.stage.sourced or drawing.image_guidance >= 1)
        beside, order = self._beside(noise, source, guided)
        rows = [wanted if one else unwanted for one in order]
        told = torch.cat([one.words for one in rows]), torch.cat([one.whole for one in rows])
        words, whole = (part.to(unet.device, unet.dtype) for part in told)
        size = [drawing.height, drawing.width, 0, 0, drawing.height, drawing.width]
        given = {"text_embeds": whole, "time_ids": whole.new_tensor([size] * len(rows))}
        scheduler.set_timesteps(drawing.steps, device=unet.device)
        latents = noise.to(unet.device) * scheduler.init_noise_sigma
        for time in scheduler.timesteps:
            scaled = scheduler.scale_model_input(latents, time).to(unet.dtype).expand(len(rows), -1, -1, -1)
            if beside is not None:
                scaled = torch.cat([scaled, beside], 1)
            noises = unet(scaled, time, encoder_hidden_states=words, added_cond_kwargs=given).sample.float()
            latents = scheduler.step(self._mixed(noises, drawing), time, latents).prev_sample
            yield Step(noises, latents)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Image.Image:
        """The picture of latents (1, C, h, w)."""
        return to_picture(self.pixels(latents))

    @torch.inference_mode()
    def pixels(self, latents: Tensor) -> Tensor:
        """(1, 3, H, W) in 0..1, from the decoder in float32."""
        scaled = latents.to(self.vae.device, self.vae.dtype) / self.vae.config.scaling_factor
        with full_float32(str(self.vae.device)):
            found: Tensor = self.vae.decode(scaled).sample
        return (found / 2 + 0.5).clamp(0, 1)

    @torch.inference_mode()
    def encode(self, picture: Image.Image, drawing: Drawing) -> Tensor:
        """The latents (1, C, h, w) of a source picture, made the size of the drawing; they are not scaled."""
        size = (drawing.width, drawing.height)
        values = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
        pixels = torch.from_numpy(values).permute(2, 0, 1)[None] / 127.5 - 1
        with full_float32(str(self.vae.device)):
            mode: Tensor = self.vae.encode(pixels.to(self.vae.device, self.vae.dtype)).latent_dist.mode()
        return mode

    def _beside(self, noise: Tensor, source: Tensor | None, guided: bool) -> tuple[Tensor | None, tuple[bool, ...]]:
        """What each row sees beside its latents (R, C, h, w), and whether it is a wanted one."""
        order: tuple[bool, ...] = (True,)
        if not self.stage.sourced:
            return None, (False, *order) if guided else order
        zeros = torch.zeros_like(noise)
        seen = [zeros if source is None else source]
        if guided:
            seen, order = [*seen * 2, *([] if source is None else [zeros])], (True, False, False)
        return torch.cat([one.to(self.stage.unet.device, self.stage.unet.dtype) for one in seen]), order[: len(seen)]

    def _mixed(self, noises: Tensor, drawing: Drawing) -> Tensor:
        """One prediction (1, C, h, w) of those of the rows."""
        if len(noises) == 1:
            return noises
        rows = noises.chunk(len(noises))
        wanted, unwanted = rows[:2] if self.stage.sourced else rows[::-1]
        mixed = unwanted + (wanted - unwanted) * drawing.guidance
        return mixed if len(rows) == 2 else mixed + (unwanted - rows[2]) * (drawing.image_guidance - 1)


def to_picture(pixels: Tensor) -> Image.Image:
    """(1, 3, H, W) in 0..1 to 8 bits, rounded."""
    return Image.fromarray((pixels[0].float() * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())
