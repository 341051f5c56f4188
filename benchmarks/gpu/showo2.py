"""Show-o2 1.5B at 432 px: tokens a second of answers, pictures a second."""

from argparse import Namespace
from collections.abc import Iterator

import torch

from gpu.measuring import Figure, Place, rate


def check(place: Place) -> Iterator[Figure]:
    """In bfloat16; pictures with guidance, decoded in float32."""
    from showo2_speed import CASES, SIZES

    chosen = Namespace(device=place.device, type=torch.bfloat16)
    chosen.tokens, chosen.steps = place.pick((32, 20), (4, 2))
    for task, unit, told in (("text", "tokens", chosen.tokens), ("images", "pictures", chosen.steps)):
        how = f"{told} tokens" if task == "text" else f"{told} points"
        for variant in CASES[task](SIZES[place.pick("1.5b", "tiny")], chosen).variants:
            if variant.name.startswith("ours"):
                name = f"{task}, {variant.name.removeprefix('ours, ')}, {how}"
                yield from rate(place, name, variant.units, unit, variant.run)
