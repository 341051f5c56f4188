"""Log-probabilities of pictures under a pipeline: Gaussian, from what its denoiser predicts under times and noise."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.models.noising import gaussian_log_probs, levels_of, noise_of
from hermes.harness.models.pictures import Once
from hermes.harness.models.pipeline.process import Diffusion, Flow

CHUNK = 8
Told = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """One picture: its latents (C, h, w) on the CPU, what the denoiser is told of its prompt, the seed of its noise."""

    latents: Tensor
    told: Told
    seed: int


class LikelihoodBatch(NamedTuple):
    """Rows (R, ...), the draws of all items one after the other.

    inputs: keywords of the denoiser; target: what it should predict, float32; owner (R,): which item a row is of;
    counts (B,): elements of an item's latents.
    """

    inputs: Told
    target: Tensor
    owner: Tensor
    counts: Tensor


class Denoising(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float32 tensors (B,).

    Trained is the denoiser alone; its guidance has no part in it.
    """

    def __init__(self, denoiser: Any) -> None:
        super().__init__()
        self.denoiser: nn.Module = denoiser

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        (prediction,) = self.denoiser(**batch.inputs, return_dict=False)
        items = len(batch.counts)
        draws = len(batch.owner) // items
        return gaussian_log_probs(prediction, batch.target, batch.owner, items, draws), batch.counts


def denoiser_of(pipe: Any) -> Any:
    """The network that predicts: U-Net or transformer."""
    return getattr(pipe, "unet", None) or pipe.transformer


@torch.no_grad()
def prepare_items(pipe: Any, items: Sequence[LikelihoodItem], side: int) -> list[Prepared]:
    """Items with their latents and prompts encoded, equal ones once; ``side`` is the pictures' in pixels.

    Other pictures are cut to a square and resized. The autoencoder's mode is taken, so nothing is drawn.
    """
    pictures = Once(lambda picture: ImageOps.fit(picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS))
    numbers = [pictures.number(item.image) for item in items]
    latents = [one for part in _chunks(pictures.made) for one in _latents(pipe, part)]
    prompts = list(dict.fromkeys(item.prompt for item in items))
    encode = PROMPTS[type(pipe).__name__]
    told = dict(zip(prompts, (one for part in _chunks(prompts) for one in encode(pipe, part, side)), strict=True))
    return [Prepared(latents[n], told[item.prompt], item.seed) for n, item in zip(numbers, items, strict=True)]


def collate_items(items: Sequence[Prepared], process: Diffusion | Flow, draws: int, denoiser: Any) -> LikelihoodBatch:
    """Items under ``draws`` draws of time and noise each, which their seeds alone fix, on the CPU."""
    shapes = [item.latents.shape for item in items]
    clean = torch.stack([item.latents for item in items]).repeat_interleave(draws, 0)
    noise = torch.cat([noise_of(item.seed, draws, shape) for item, shape in zip(items, shapes, strict=True)])
    levels = torch.cat([levels_of(item.seed, draws) for item in items])
    noised = process.noised(clean, noise, levels)
    inputs = _stacked([item.told for item in items for _ in range(draws)])
    inputs["hidden_states" if isinstance(process, Flow) else "sample"] = noised.latents.to(denoiser.dtype)
    return LikelihoodBatch(
        inputs | {"timestep": noised.times},
        noised.target,
        torch.arange(len(items)).repeat_interleave(draws),
        torch.tensor([float(shape.numel()) for shape in shapes]),
    )


def _chunks(things: Sequence[Any]) -> Iterator[list[Any]]:
    for begin in range(0, len(things), CHUNK):
        yield list(things[begin : begin + CHUNK])


def _latents(pipe: Any, pictures: list[Image.Image]) -> Tensor:
    vae = pipe.vae
    pixels = pipe.image_processor.preprocess(pictures).to(vae.device, vae.dtype)
    shift, scale = float(vae.config.get("shift_factor") or 0.0), float(vae.config.scaling_factor)
    latents: Tensor = vae.encode(pixels).latent_dist.mode().float().cpu()
    return (latents - shift) * scale


def _stacked(told: Sequence[Told]) -> Told:
    """One dictionary of rows from one for each row."""
    return {
        key: _stacked([one[key] for one in told])
        if isinstance(value, dict)
        else torch.stack([one[key] for one in told])
        for key, value in told[0].items()
    }


def _one_text(pipe: Any, prompts: list[str], side: int) -> list[Told]:
    words, _ = pipe.encode_prompt(prompts, **_alone(pipe))
    return [{"encoder_hidden_states": one} for one in words.cpu()]


def _with_sizes(pipe: Any, prompts: list[str], side: int) -> list[Told]:
    """As if a picture of this size had not been cut or resized, which is what SDXL is told where it draws."""
    words, _, pooled, _ = pipe.encode_prompt(prompts, **_alone(pipe))
    sizes = torch.tensor([side, side, 0, 0, side, side]).to(words.dtype)
    return [
        {"encoder_hidden_states": one, "added_cond_kwargs": {"text_embeds": whole, "time_ids": sizes}}
        for one, whole in zip(words.cpu(), pooled.cpu(), strict=True)
    ]


def _with_pooled(pipe: Any, prompts: list[str], side: int) -> list[Told]:
    words, _, pooled, _ = pipe.encode_prompt(prompts, None, None, **_alone(pipe))
    return [
        {"encoder_hidden_states": one, "pooled_projections": whole}
        for one, whole in zip(words.cpu(), pooled.cpu(), strict=True)
    ]


def _alone(pipe: Any) -> Told:
    return {"device": pipe._execution_device, "num_images_per_prompt": 1, "do_classifier_free_guidance": False}


PROMPTS: dict[str, Callable[[Any, list[str], int], list[Told]]] = {
    "StableDiffusionPipeline": _one_text,
    "StableDiffusionXLPipeline": _with_sizes,
    "StableDiffusion3Pipeline": _with_pooled,
}
"""How each pipeline of `trainable.PIPELINES` reads prompts: for each what its denoiser is told of it."""
