"""hermes-flow as the harness sees it: load, understand, generate, and log-probabilities for align."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from hermes.harness.models.flow.drawing import Drawing, draw_latents
from hermes.harness.models.flow.latents import LatentCoder
from hermes.harness.models.flow.likelihood import Likelihood, LikelihoodBatch, collate_items
from hermes.harness.models.flow.network import FlowTransformer
from hermes.harness.models.flow.packing import collate, seen_row
from hermes.harness.models.tiny.likelihood import Prepared
from hermes.harness.models.tiny.tokenizer_image import PIXELS, to_picture
from hermes.harness.models.tiny.transformer import Cache
from hermes.harness.models.tiny.unified import WorldModel
from hermes.harness.records.types import GenerationConfig
from hermes.harness.system.errors import HermesError

NAME = "hermes-flow"
WEIGHTS = Path(__file__).parent / "weights"
DEFAULTS = GenerationConfig(max_new_tokens=48, guidance_scale=0.0, steps=8, image_size=PIXELS)
MOST_STEPS = 1000


class FlowModel(WorldModel[Drawing]):
    """A unified model of the Transfusion kind (arXiv 2408.11039) for the shapes world.

    Text by next-token prediction, images by flow matching in continuous latents. A picture is its latents (36, 8).
    """

    NAME, WEIGHTS, DEFAULTS, MASKS = NAME, WEIGHTS, DEFAULTS, 4
    coder, trunk = LatentCoder, FlowTransformer
    parameters: ClassVar[str] = "2.6 M"
    description: ClassVar[str] = "Small model of the shapes world that draws by a flow; its weights ship with Hermes"
    best_guidance: ClassVar[float] = 1.0
    decoding: ClassVar[tuple[str, ...]] = ("plan", "plan_temperature")

    def collate(self, prepared: Sequence[Prepared]) -> LikelihoodBatch:
        """A batch for ``module``, on the model's device."""
        return collate_items(prepared, self.masks).to(self.transformer.head.weight.device)

    @torch.inference_mode()
    def decode(self, picture: Tensor) -> Image.Image:
        return to_picture(self.images.decode(picture[None])[0])

    def _likelihood(self) -> nn.Module:
        return Likelihood(self.transformer)

    @torch.inference_mode()
    def _see(self, pictures: Tensor) -> Cache:
        batch = collate([seen_row(picture, []) for picture in pictures.cpu().numpy()]).to(pictures.device)
        past: Cache = self.transformer(batch.tokens, batch.place, batch.cell, batch.mask, batch.latent, batch.time)[1]
        return past

    def _drawing(self, config: GenerationConfig) -> Drawing:
        steps = DEFAULTS.steps if config.steps is None else config.steps
        guidance = DEFAULTS.guidance_scale if config.guidance_scale is None else config.guidance_scale
        if config.temperature is not None:
            raise HermesError("temperature: hermes-flow draws from noise and has none for pictures; leave it out")
        if config.image_size not in (None, PIXELS):
            raise HermesError(f"image_size: hermes-flow draws {PIXELS} x {PIXELS} px only; leave image_size out")
        if steps is None or not 1 <= steps <= MOST_STEPS:
            raise HermesError(f"steps: hermes-flow draws in 1 to {MOST_STEPS} steps, not {steps}")
        if guidance is None or guidance < 0:
            raise HermesError("guidance_scale must not be negative")
        return Drawing(steps, guidance)

    def _draw(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], drawing: Drawing) -> Tensor:
        return draw_latents(self.transformer, prompts, seeds, drawing)

    def _kept(self, pictures: Tensor) -> NDArray[Any]:
        kept: NDArray[Any] = pictures.cpu().numpy()
        return kept
