"""Who sees whom: whole rows; one word behind each row of a cache; and a drawn picture behind one or more of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hermes.harness.models.bagel.experts import attended
from hermes.harness.models.bagel.rows import Packed


class Cache:
    """Keys and values of B rows, N tokens long with room for ``more``, which are padded on the right; of every layer.

    ``lengths`` (B,): tokens of each row.
    """

    def __init__(self, lengths: Tensor, more: int) -> None:
        self.lengths = lengths
        self.used = int(lengths.max()) if len(lengths) else 0
        self.size = self.used + more
        self.layers: list[tuple[Tensor, Tensor]] = []

    def write(self, layer: int, where: Tensor, key: Tensor, value: Tensor) -> None:
        """Keys and values (n, K, D) to flat places of B x N."""
        if layer == len(self.layers):
            shape = (len(self.lengths), self.size, *key.shape[1:])
            self.layers.append((key.new_zeros(shape), value.new_zeros(shape)))
        for held, new in zip(self.layers[layer], (key, value), strict=True):
            held.flatten(0, 1).index_copy_(0, where, new)


class Rows:
    """Attention within whole rows, whose keys and values are left in the ``cache``."""

    def __init__(self, rows: Packed, cache: Cache | None = None) -> None:
        self.mask, self.grid, self.cache = rows.allowed, rows.grid, cache
        self.rows, self.length = len(rows.lengths), rows.allowed.shape[1]
        self.where = None
        if cache is not None:
            self.where = rows.grid // max(self.length, 1) * cache.size + rows.grid % max(self.length, 1)

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if self.cache is not None and self.where is not None:
            self.cache.write(layer, self.where, key, value)
        q, k, v = (spread(part, self.grid, self.rows, self.length) for part in (query, key, value))
        return attended(q, k, v, self.mask).flatten(0, 1)[self.grid]


class NextWord:
    """Attention of one word for each row of a cache, the ``step``-th behind it, to the row and the words before."""

    def __init__(self, cache: Cache, step: int) -> None:
        device = cache.lengths.device
        at = cache.lengths + step
        self.cache = cache
        self.where = torch.arange(len(at), device=device) * cache.size + at
        self.end = cache.used + step + 1
        self.mask = torch.arange(self.end, device=device) <= at[:, None, None]

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        self.cache.write(layer, self.where, key, value)
        held, values = (part[:, : self.end] for part in self.cache.layers[layer])
        return attended(query[:, None], held, values, self.mask)[:, 0]


@dataclass(frozen=True)
class Behind:
    """What a picture stands behind: the first ``lengths`` (B,) tokens of the rows of ``cache``, which may be none, and
    the picture's rotary places (B,).
    """

    cache: Cache | None
    lengths: Tensor
    places: Tensor


class Pictures:
    """Attention of a picture for each row in several branches, which are the same but for what they stand behind.

    ``canvas``: the rows of one branch. Tokens are the marks of all branches, then the drawn ones of all branches.
    """

    def __init__(self, behind: Sequence[Behind], canvas: Packed) -> None:
        self.behind, self.grid, self.marks = behind, canvas.grid, len(canvas.ids)
        self.rows, self.length = len(canvas.lengths), int(canvas.lengths.max())
        device = self.grid.device
        own = torch.arange(self.length, device=device) < canvas.lengths[:, None]
        self.masks: list[Tensor | None] = []
        for one in behind:
            used = one.cache.used if one.cache else 0
            seen = torch.cat([torch.arange(used, device=device) < one.lengths[:, None], own], 1)
            self.masks.append(None if bool(seen.all()) else seen[:, None])

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        found = torch.empty_like(query)
        first = len(self.behind) * self.marks
        drawn = len(self.grid) - self.marks
        for number, (one, mask) in enumerate(zip(self.behind, self.masks, strict=True)):
            marks = slice(number * self.marks, (number + 1) * self.marks)
            tokens = slice(first + number * drawn, first + (number + 1) * drawn)
            q, k, v = (self._spread(torch.cat([part[marks], part[tokens]])) for part in (query, key, value))
            if one.cache is not None:
                k, v = (torch.cat(both, 1) for both in zip(one.cache.layers[layer], (k, v), strict=True))
            seen = attended(q, k, v, mask).flatten(0, 1)[self.grid]
            found[marks], found[tokens] = seen[: self.marks], seen[self.marks :]
        return found

    def _spread(self, x: Tensor) -> Tensor:
        return spread(x, self.grid, self.rows, self.length)


def spread(x: Tensor, grid: Tensor, rows: int, length: int) -> Tensor:
    """(T, ...) to (rows, length, ...) by their places in it, 0 where nothing stands."""
    return x.new_zeros(rows * length, *x.shape[1:]).index_copy(0, grid, x).view(rows, length, *x.shape[1:])
