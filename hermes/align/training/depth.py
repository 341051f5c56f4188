"""How fast each layer learns: the deeper below the output, the slower (layer-wise decay of the learning rate)."""

import re
from collections.abc import Sequence

LAYER = re.compile(r"(?:^|\.)(\d+)\.")
"""The number of a layer in a parameter's name, the first one there."""


def shares(names: Sequence[str], decay: float) -> list[float]:
    """For each parameter, in the module's order, the share of the learning rate that it gets.

    The last layer's successor (norm, head) has 1, each layer below ``decay`` times as much as the one above it, and
    what comes before the first layer (embeddings) the least: decay ** (distance to the output), after ELECTRA
    (arXiv 2003.10555) and BEiT (arXiv 2106.08254). Layers are known by the first number in a name, so stacks side by
    side, as experts of one transformer, count alike. Without numbers all have 1.
    """
    numbers = [int(found[1]) if (found := LAYER.search(name)) else None for name in names]
    known = [number for number in numbers if number is not None]
    if decay == 1 or not known:
        return [1.0] * len(names)
    top, depths, begun = max(known) + 2, [], False
    for number in numbers:
        begun = begun or number is not None
        depths.append(number + 1 if number is not None else top if begun else 0)
    return [decay ** (top - depth) for depth in depths]
