"""RegMean: linear layers that read texts as the round's start did, and pictures as its end does.

arXiv 2212.09849, which merges models in closed form: each layer's output is fitted by least squares to that of either
model on what this model is there for. Here one is there for texts and one for pictures.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hermes.align.training.sharding import blocks
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.system.errors import HermesError

READ = 1024
"""Replayed items of a kind that are read, at the most."""
SHRINK = 0.9
"""What moments off the diagonal are multiplied by; the paper shrinks them, too. Without it the fit tells texts from
images by directions that hold next to nothing, such as the one that a norm leaves out, and weights along them grow
tenfold."""
RIDGE = 1e-6
"""Of the mean second moment, towards the end: decides what neither kind ever reads."""
Moments = dict[str, Tensor]
"""For each layer the mean of x x' over all positions that it reads, in float64 on the CPU; a bias reads 1."""


def dealt(layers: Mapping[str, nn.Linear], world: int) -> list[list[str]]:
    """Which layers each of the processes reads and fits: one by one, the widest first.

    Moments are larger than weights, so they are divided by layers, and each process has all items go forward.
    """
    widest = sorted(layers, key=lambda name: -_width(layers[name]))
    return [widest[rank::world] for rank in range(world)]


def fitted_layers(module: nn.Module) -> dict[str, nn.Linear]:
    """The trained linear layers of the blocks, by name, but those whose weight is another part's, too.

    Raises HermesError for a model that has none.
    """
    owners = Counter(id(weight) for part in module.modules() for weight in part.parameters(recurse=False))
    inside = {id(part) for block in blocks(module) for part in block.modules()}
    found = {
        name: part
        for name, part in module.named_modules()
        if id(part) in inside
        and isinstance(part, nn.Linear)
        and part.weight.requires_grad
        and owners[id(part.weight)] == 1
    }
    if not found:
        raise HermesError("regmean: this model has no trained linear layers in blocks; leave it out")
    return found


def joint(layer: nn.Linear) -> Tensor:
    """Weight and bias as one matrix (out, in), or (out, in + 1), in float32 on the CPU; a copy."""
    weight = layer.weight.detach().to("cpu", torch.float32, copy=True)
    return weight if layer.bias is None else torch.cat([weight, layer.bias.detach().cpu().float()[:, None]], 1)


class Reading:
    """Sums what layers read while it is listened to."""

    def __init__(self, layers: Mapping[str, nn.Linear]) -> None:
        self.layers = layers
        self.sums = {name: torch.zeros(2 * (_width(layer),), dtype=torch.float64) for name, layer in layers.items()}
        self.positions = dict.fromkeys(layers, 0)
        self.waiting: dict[str, list[Tensor]] = {name: [] for name in layers}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Every pass inside it counts; nothing in it may be padded."""
        hooks = [
            layer.register_forward_pre_hook(partial(self._hear, name), with_kwargs=True)
            for name, layer in self.layers.items()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def moments(self) -> Moments:
        """The means over what was read; of what was never read 0."""
        for name in self.layers:
            self._add(name)
        return {name: total / max(self.positions[name], 1) for name, total in self.sums.items()}

    @torch.no_grad()
    def _hear(self, name: str, layer: nn.Linear, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Moments are as large as layers, and those of one item are not worth their way to the CPU: rows wait."""
        heard: Tensor = args[0] if args else kwargs["input"]
        self.waiting[name].append(heard.detach().flatten(0, -2).clone())
        if sum(map(len, self.waiting[name])) >= layer.in_features:
            self._add(name)

    @torch.no_grad()
    def _add(self, name: str) -> None:
        """Add what waits to the sums.

        Products in float32 are exact enough, as an entry is off by rounding of its own row and column, whose diagonal
        `_shrunk` keeps; float64 would take consumers' GPUs 64 times as long.
        """
        if not self.waiting[name]:
            return
        rows = torch.cat(self.waiting[name])
        self.waiting[name].clear()
        with full_float32(rows.device.type), torch.autocast(rows.device.type, enabled=False):
            rows = rows.float()
            if self.layers[name].bias is not None:
                rows = torch.cat([rows, rows.new_ones(len(rows), 1)], 1)
            self.sums[name] += (rows.T @ rows).cpu()
        self.positions[name] += len(rows)


def fit(start: Tensor, end: Tensor, texts: Tensor, pictures: Tensor, weight: float) -> Tensor:
    """The matrix W that minimises weight E|W x - start x|^2 over texts + E|W y - end y|^2 over pictures, (out, in).

    ``start`` and ``end`` are (out, in), ``texts`` and ``pictures`` (in, in) second moments, which are shrunk first.
    The regression mean of arXiv 2212.09849, with a weight; what is in neither stays as ``end`` has it.
    """
    kept, changed = weight * _shrunk(texts), _shrunk(pictures)
    ridge = RIDGE * float((kept + changed).diagonal().mean())
    if not ridge:
        return end
    changed += ridge * torch.eye(len(changed), dtype=changed.dtype)
    aim = start.double() @ kept + end.double() @ changed
    found: Tensor = torch.linalg.solve(kept + changed, aim, left=False)
    return found


def _shrunk(moments: Tensor) -> Tensor:
    return SHRINK * moments + (1 - SHRINK) * moments.diagonal().diag()


@torch.no_grad()
def put(layer: nn.Linear, matrix: Tensor) -> None:
    """Write weight and bias as `joint` has them into the layer."""
    layer.weight.copy_(matrix[:, : layer.in_features])
    if layer.bias is not None:
        layer.bias.copy_(matrix[:, layer.in_features])


def _width(layer: nn.Linear) -> int:
    return int(layer.in_features) + (layer.bias is not None)
