"""Settings of a picture, and the one call of a pipeline in which pictures of one prompt are drawn."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from hermes.harness.records.types import GenerationConfig
from hermes.harness.system.errors import HermesError

NAMES = {"guidance_scale": "guidance_scale", "steps": "num_inference_steps", "image_size": "height"}


@dataclass(frozen=True)
class Drawing:
    """``guidance`` and ``steps`` are diffusers' guidance_scale and num_inference_steps; ``side`` in pixels.

    None means what the pipeline does where it is not told.
    """

    guidance: float | None
    steps: int | None
    side: int | None

    def keywords(self) -> dict[str, Any]:
        """Keywords of the pipeline's call."""
        named = {"guidance_scale": self.guidance, "num_inference_steps": self.steps}
        named |= {"height": self.side, "width": self.side}
        return {key: value for key, value in named.items() if value is not None}


def own_defaults(pipe: Any) -> GenerationConfig:
    """Guidance and steps of the call's signature; None where it has none or leaves them to the checkpoint."""
    takes = inspect.signature(type(pipe).__call__).parameters
    found = {key: takes[name].default for key, name in NAMES.items() if name in takes and key != "image_size"}
    return GenerationConfig(**{key: value for key, value in found.items() if isinstance(value, int | float)})


def cuts(pipe: Any, prompt: str) -> bool:
    """Whether none of the pipeline's tokenizers reads the prompt to its end (CLIP's has 77 tokens, T5's more)."""
    takes = inspect.signature(type(pipe).__call__).parameters
    longest = takes["max_sequence_length"].default if "max_sequence_length" in takes else None
    found = []
    for name, part in pipe.components.items():
        if name.startswith("tokenizer") and hasattr(part, "model_max_length"):
            clip = type(part).__name__.startswith("CLIP")
            most: int = part.model_max_length if clip or not isinstance(longest, int) else longest
            found.append(len(part(prompt, truncation=False, verbose=False)["input_ids"]) > most)
    return bool(found) and all(found)


def own_side(pipe: Any) -> int:
    """The pixels of a side that the pipeline draws where it is not told, 0 where that is unknown."""
    network = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
    latents = getattr(pipe, "default_sample_size", None)
    if latents is None:
        latents = getattr(getattr(network, "config", None), "sample_size", None)
    scale = getattr(pipe, "vae_scale_factor", 1)
    return latents * scale if isinstance(latents, int) and isinstance(scale, int) else 0


def drawing_of(config: GenerationConfig, defaults: GenerationConfig, pipe: Any, who: str) -> Drawing:
    """The settings of a request, checked. Raises HermesError for one that the pipeline does not have."""
    for key in ("temperature", "top_k"):
        if getattr(config, key) is not None:
            raise HermesError(f"{who}: {key}: a diffusion pipeline has none; leave it out")
    takes = inspect.signature(type(pipe).__call__).parameters
    for key, name in NAMES.items():
        if getattr(config, key) is not None and name not in takes:
            raise HermesError(f"{who}: {key}: {type(pipe).__name__} has no such setting; leave it out")
    guidance = defaults.guidance_scale if config.guidance_scale is None else config.guidance_scale
    steps = defaults.steps if config.steps is None else config.steps
    if guidance is not None and guidance < 0:
        raise HermesError(f"{who}: guidance_scale must not be negative, not {guidance}")
    if any(number is not None and number < 1 for number in (steps, config.image_size)):
        raise HermesError(f"{who}: steps and image_size must be 1 or more, not {steps} and {config.image_size}")
    return Drawing(guidance, steps, config.image_size)


def draw(pipe: Any, prompt: str, seeds: Sequence[int], drawing: Drawing, who: str) -> list[Image.Image]:
    """One picture of the prompt for each seed.

    Each has a generator on the CPU, so that the device's random numbers do not matter. All pictures of a call share the
    prompt, since some pipelines pad prompts to the longest and attend to the padding. A scheduler that draws from
    torch's global generator instead is given each picture's seed there, picture by picture.
    """
    cards = range(torch.cuda.device_count()) if pipe.device.type == "cuda" else range(0)
    with torch.random.fork_rng(cards):
        torch.manual_seed(seeds[0])
        before = _states(cards)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        try:
            out = pipe(prompt=[prompt] * len(seeds), generator=generators, **drawing.keywords())
        except ValueError as error:
            if any(word in str(error) for word in ("height", "num_inference_steps", "guidance_scale")):
                raise HermesError(f"{who}: {' '.join(str(error).split())[:300]}") from None
            raise
        untouched = all(torch.equal(one, other) for one, other in zip(before, _states(cards), strict=True))
    if len(seeds) > 1 and not untouched:
        return [draw(pipe, prompt, [seed], drawing, who)[0] for seed in seeds]
    return [_checked(image, drawing.side, who) for image in _images(out, len(seeds), who)]


def _states(cards: Sequence[int]) -> list[torch.Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(card) for card in cards)]


def _images(out: Any, count: int, who: str) -> Sequence[Any]:
    images = getattr(out, "images", None)
    if not isinstance(images, list) or len(images) != count:
        raise HermesError(f"{who}: the pipeline answers {type(out).__name__}, not images; use a text-to-image pipeline")
    return images


def _checked(image: Any, side: int | None, who: str) -> Image.Image:
    if not isinstance(image, Image.Image):
        raise HermesError(f"{who}: the pipeline gives {type(image).__name__}, not pictures; use another one")
    if side is not None and image.size != (side, side):
        raise HermesError(f"{who}: image_size: it draws {image.width} x {image.height} px when asked for {side}")
    return image.convert("RGB")
