"""hermes-tiny as the harness sees it: load, understand, generate, and log-probabilities for align."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from hermes.harness.models.outline import Outline, settings_file
from hermes.harness.models.tiny.drawing import Drawing, draw_codes
from hermes.harness.models.tiny.likelihood import Likelihood, LikelihoodBatch, Prepared, collate_items
from hermes.harness.models.tiny.tokenizer_image import PIXELS, ImageTokenizer, to_picture
from hermes.harness.models.tiny.transformer import Cache, Transformer
from hermes.harness.models.tiny.unified import WorldModel
from hermes.harness.models.tiny.writing import see
from hermes.harness.records.types import GenerationConfig
from hermes.harness.system.errors import HermesError

NAME = "hermes-tiny"
WEIGHTS = Path(__file__).parent / "weights"
DEFAULTS = GenerationConfig(max_new_tokens=48, guidance_scale=0.0, steps=4, image_size=PIXELS)
IMAGE_TEMPERATURE = 1.0


class TinyModel(WorldModel[Drawing]):
    """A unified model of the Show-o kind for the shapes world.

    Images are drawn at temperature 1 where a request names no temperature. The noise of the order in which tokens are
    kept is that of the codes where a request does not name another. A picture is its codes (36,).
    """

    NAME, WEIGHTS, DEFAULTS, MASKS = NAME, WEIGHTS, DEFAULTS, 2
    coder, trunk = ImageTokenizer, Transformer
    parameters: ClassVar[str] = "2.5 M"
    description: ClassVar[str] = "Small unified model of the shapes world; its weights ship with Hermes"
    best_guidance: ClassVar[float] = 1.0
    decoding: ClassVar[tuple[str, ...]] = ("order", "choice_temperature", "plan", "plan_temperature")

    @classmethod
    def outline(cls, reference: str) -> Outline | None:
        """Its sizes without its weights."""
        path = next((settings_file(source) for source in cls.sources(reference)), WEIGHTS / "config.json")
        if path is None:
            return None
        from hermes.harness.models.tiny.outline import outline_of

        return outline_of(path, DEFAULTS.steps or 1)

    def collate(self, prepared: Sequence[Prepared]) -> LikelihoodBatch:
        """A batch for ``module``, on the model's device."""
        return collate_items(prepared, self.masks).to(self.transformer.head.weight.device)

    @torch.inference_mode()
    def decode(self, picture: Tensor) -> Image.Image:
        return to_picture(self.images.decode(picture[None])[0])

    def _likelihood(self) -> nn.Module:
        return Likelihood(self.transformer)

    def _see(self, pictures: Tensor) -> Cache:
        return see(self.transformer, pictures)

    def _drawing(self, config: GenerationConfig) -> Drawing:
        return drawing_of(config)

    def _draw(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], drawing: Drawing) -> Tensor:
        return draw_codes(self.transformer, prompts, seeds, drawing)

    def _kept(self, pictures: Tensor) -> NDArray[Any]:
        ids: NDArray[Any] = pictures.cpu().numpy() + self.transformer.shape.text
        return ids


def drawing_of(config: GenerationConfig) -> Drawing:
    """How a picture is drawn, checked."""
    steps = DEFAULTS.steps if config.steps is None else config.steps
    temperature = IMAGE_TEMPERATURE if config.temperature is None else config.temperature
    guidance = DEFAULTS.guidance_scale if config.guidance_scale is None else config.guidance_scale
    if config.image_size not in (None, PIXELS):
        raise HermesError(f"image_size: hermes-tiny draws {PIXELS} x {PIXELS} px only; leave image_size out")
    if steps is None or not 1 <= steps <= 36:
        raise HermesError(f"steps: hermes-tiny draws 36 tokens in 1 to 36 steps, not {steps}")
    if temperature < 0 or guidance is None or guidance < 0:
        raise HermesError("temperature and guidance_scale must not be negative")
    noise = temperature if config.choice_temperature is None else config.choice_temperature
    return Drawing(steps, temperature, guidance, config.order or "confidence", noise)
