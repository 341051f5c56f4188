"""Show-o 1.3B at 512 px: tokens a second of answers, pictures a second, and of what turns codes into pixels."""

from argparse import Namespace
from collections.abc import Iterator

import torch
from showo_cases import CASES

from gpu.measuring import Figure, Place, rate
from gpu.models import filled, showo_size
from hermes.harness.models.magvit.config import MagvitConfig
from hermes.harness.models.magvit.tokeniser import Magvit

PICTURES = 4


def check(place: Place) -> Iterator[Figure]:
    """In bfloat16; pictures with guidance, whose noise is drawn for each row apart."""
    size = showo_size(place)
    chosen = Namespace(device=place.device, type=torch.bfloat16, only=None)
    chosen.tokens, chosen.steps = place.pick((100, 50), (4, 2))
    for task, unit, told in (("text", "tokens", chosen.tokens), ("images", "pictures", chosen.steps)):
        how = f"{told} tokens" if task == "text" else f"{told} steps"
        for variant in CASES[task](size, chosen).variants:
            if variant.name.startswith("ours"):
                name = f"{task}, {variant.name.removeprefix('ours, ')}, {how}"
                yield from rate(place, name, variant.units, unit, variant.run, variant.flops, warm=task == "text")
    yield from pixels(place, size.image)


def pixels(place: Place, codes: int) -> Iterator[Figure]:
    """The image tokeniser's decoder, always float32 and one picture at a time."""
    config = place.pick(MagvitConfig(), MagvitConfig(32, (32,) * 2, (1,) * 2, (32,) * 2, (1,) * 2, 6))
    with torch.device(place.device):
        magvit = Magvit(config)
    filled(magvit, place).requires_grad_(False).eval()
    rows = torch.randint(config.codebook_size, (PICTURES, codes), generator=torch.Generator().manual_seed(1))

    def decoded() -> list[torch.Tensor]:
        return [magvit.decode(row[None]) for row in rows]

    yield from rate(place, "codes to pixels, float32", PICTURES, "pictures", decoded, bf16=False)
