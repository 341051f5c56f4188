"""The loop of parallel decoding by itself: any number of tokens where the order needs no square."""

import pytest
import torch

from hermes.harness.models.maskgit import Drawing, draw_steps, drawing_of, empty_image
from hermes.harness.records.types import GenerationConfig, Order

MASK, CODES = 100, 6


@pytest.mark.parametrize(("tokens", "order"), [(8, "confidence"), (7, "random"), (9, "halton"), (1, "confidence")])
def test_every_token_is_drawn(tokens: int, order: Order) -> None:
    told = torch.randn(2, tokens, CODES, generator=torch.Generator().manual_seed(1))
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    image = empty_image(2, tokens, MASK, torch.device("cpu"))
    drawing = Drawing(steps=3, guidance=0, temperature=0, order=order)
    *_, last = draw_steps(lambda ids: told, image, 10, MASK, generators, drawing)
    assert torch.equal(last.chosen, told.argmax(-1) + 10)


def test_the_likeliest_codes_alone_are_drawn_where_top_k_says_so() -> None:
    told = torch.randn(2, 4, CODES, generator=torch.Generator().manual_seed(1))
    best = told.topk(2).indices + 10
    for seed in range(5):
        generators = [torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 9)]
        drawing = drawing_of(GenerationConfig(top_k=2), GenerationConfig(steps=2, guidance_scale=0.0), "model x")
        image = empty_image(2, 4, MASK, torch.device("cpu"))
        *_, last = draw_steps(lambda ids: told, image, 10, MASK, generators, drawing)
        assert (last.chosen[..., None] == best).any(-1).all()
