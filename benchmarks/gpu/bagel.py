"""BAGEL 7B-MoT: tokens a second of answers, pictures of 1024 px a second, without the autoencoder."""

from argparse import Namespace
from collections.abc import Iterator

import torch

from gpu.measuring import Figure, Place, rate


def check(place: Place) -> Iterator[Figure]:
    """In bfloat16; pictures with the settings of the authors' GenEval script."""
    from bagel_speed import BATCH, CASES, PICTURES, SIZES

    chosen = Namespace(device=place.device, type=torch.bfloat16)
    chosen.tokens, chosen.steps = place.pick((16, 6), (3, 2))
    size = SIZES[place.pick("7b-mot", "tiny")]
    for task, rows, count, unit, how in (
        ("text", BATCH, BATCH * chosen.tokens, "tokens", f"{chosen.tokens} tokens"),
        ("images", PICTURES, PICTURES, "pictures", f"{chosen.steps} times"),
    ):
        run = next(one.run for one in CASES[task](size, chosen).variants if one.name.startswith("ours"))
        yield from rate(place, f"{task}, batch {rows}, {how}", count, unit, run)
