"""How a pipeline's latents are noised in training, and what its denoiser predicts of them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import diffusers
import torch
from torch import Tensor

from hermes.harness.models.noising import flowed, logit_normal
from hermes.harness.models.pipeline.trainable import FLOW


class Noised(NamedTuple):
    """Rows (R, ...): noisy latents, what is to be predicted of them, and the times (R,) that the denoiser is told."""

    latents: Tensor
    target: Tensor
    times: Tensor


@dataclass(frozen=True)
class Diffusion:
    """A diffusion in discrete steps: sqrt(a) x0 + sqrt(1 - a) noise, a the cumulative alpha of a step.

    ``alphas`` (T,); predicted is the noise, or with ``velocity`` sqrt(a) noise - sqrt(1 - a) x0.
    """

    alphas: Tensor
    velocity: bool

    def noised(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Noised:
        """Latents at the steps that uniform ``levels`` (R,) in (0, 1) stand for: all steps are equally likely."""
        steps = (levels * len(self.alphas)).long()
        kept = self.alphas[steps].to(clean.dtype).view(-1, *[1] * (clean.dim() - 1))
        signal, noisiness = kept.sqrt(), (1 - kept).sqrt()
        target = signal * noise - noisiness * clean if self.velocity else noise
        return Noised(signal * clean + noisiness * noise, target, steps)


@dataclass(frozen=True)
class Flow:
    """Flow matching: the straight way from latents to noise, whose velocity is predicted; times are logit-normal.

    ``shift`` moves times towards noise as the scheduler's own does; ``steps`` is what the denoiser calls all noise.
    """

    shift: float
    steps: int

    def noised(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Noised:
        """Latents at the times that uniform ``levels`` (R,) in (0, 1) stand for."""
        times = logit_normal(levels, shift=self.shift)
        return Noised(*flowed(clean, noise, times), (times * self.steps).float())


def process_of(scheduler: Any) -> Diffusion | Flow:
    """The training process of a scheduler for drawing: its class may draw in another way, its settings are the same."""
    config: Any = scheduler.config
    if FLOW in type(scheduler).__name__:
        # A dynamic shift follows the size of a picture while it is drawn; training has none.
        shift = 1.0 if config.get("use_dynamic_shifting") else float(config.get("shift", 1.0))
        return Flow(shift, config.num_train_timesteps)
    scheduler_class: Any = diffusers.DDPMScheduler
    trained = scheduler_class.from_config(config)
    return Diffusion(trained.alphas_cumprod.to(torch.float64), trained.config.prediction_type == "v_prediction")
