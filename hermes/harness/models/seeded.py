"""How one request is drawn: its settings over its model's defaults, checked. Nothing here needs torch."""

from dataclasses import dataclass

from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.system.errors import HermesError


@dataclass(frozen=True)
class Draw:
    """How one row is drawn. Temperature 0 is greedy, top_k 0 and top_p 1 keep every token, guidance up to 1 is none."""

    seed: int
    temperature: float = 0.0
    top_k: int = 0
    guidance: float = 1.0
    top_p: float = 1.0


def draw_of(request: Request, defaults: GenerationConfig, temperature: float) -> Draw:
    """The request's own settings; ``temperature`` is for one that names none. Raises HermesError for negative ones."""
    config = defaults.model_copy(update=request.config.model_dump(exclude_none=True))
    draw = Draw(
        seed=request.seed,
        temperature=temperature if config.temperature is None else config.temperature,
        top_k=config.top_k or 0,
        guidance=1.0 if config.guidance_scale is None else config.guidance_scale,
        top_p=1.0 if config.top_p is None else config.top_p,
    )
    if draw.temperature < 0 or draw.top_k < 0 or draw.guidance < 0:
        raise HermesError("temperature, top_k and guidance_scale must not be negative; give 0 or more")
    return draw


def max_new_tokens_of(request: Request, defaults: GenerationConfig) -> int:
    """How many tokens an answer may have. Raises HermesError for less than one."""
    tokens = defaults.max_new_tokens if request.config.max_new_tokens is None else request.config.max_new_tokens
    if tokens is None or tokens < 1:
        raise HermesError(f"max_new_tokens: an answer has at least one token, not {tokens}; give 1 or more")
    return tokens
