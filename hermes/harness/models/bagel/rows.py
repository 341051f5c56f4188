"""A row of words and pictures as its model reads it: tokens, rotary places, and who sees whom.

Source: ByteDance-Seed/Bagel commit 056b5fd, data/dataset_base.py and data/data_utils.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hermes.harness.models.bagel.pixels import places_of

Kind = Literal["text", "seen", "latent", "noise"]
NOTHING = -1


@dataclass(frozen=True)
class Marks:
    """Token ids: what begins and ends a text, and a picture."""

    begin: int
    end: int
    picture: int
    picture_end: int


@dataclass(frozen=True)
class Split:
    """Tokens that stand together: a text with its marks, or a picture of ``grid`` rows and columns between its own.

    A text is seen from left to right, a picture as a whole, and a picture of noise by itself alone. ``target``: the id
    that is to be read at each place of a text, or NOTHING. All tokens of a picture are at the rotary ``place``, those
    of a text from there on. A ``part`` from 1 on is seen by that part alone.
    """

    kind: Kind
    place: int
    ids: tuple[int, ...] = ()
    grid: tuple[int, int] = (0, 0)
    target: tuple[int, ...] = ()
    part: int = 0

    @property
    def tokens(self) -> int:
        """Of a picture, without its marks."""
        return self.grid[0] * self.grid[1]

    @property
    def length(self) -> int:
        return len(self.ids) if self.kind == "text" else self.tokens + 2


@dataclass(frozen=True)
class Row:
    """Splits in order, and the rotary place behind them."""

    marks: Marks
    splits: tuple[Split, ...] = ()
    place: int = 0

    @property
    def length(self) -> int:
        return sum(split.length for split in self.splits)

    def text(self, ids: Sequence[int]) -> "Row":
        """And a text, between its marks."""
        whole = (self.marks.begin, *ids, self.marks.end)
        return self._and(Split("text", self.place, whole), len(whole))

    def answer(self, ids: Sequence[int], part: int = 0) -> "Row":
        """And a text that is to be read, with its end, which itself is not needed; one of several behind the same."""
        whole = (self.marks.begin, *ids)
        return self._and(Split("text", self.place, whole, target=(*ids, self.marks.end), part=part), 0)

    def seen(self, grid: tuple[int, int]) -> "Row":
        """And a picture through the vision encoder."""
        return self._and(Split("seen", self.place, grid=grid), 1)

    def latent(self, grid: tuple[int, int]) -> "Row":
        """And a picture through the autoencoder, without noise."""
        return self._and(Split("latent", self.place, grid=grid), 1)

    def noise(self, grid: tuple[int, int]) -> "Row":
        """And a picture that is drawn; it has no rotary place of its own."""
        return self._and(Split("noise", self.place, grid=grid), 0)

    def without(self, kind: Kind) -> "Row":
        """And the place of a picture that is left out, in training."""
        return Row(self.marks, self.splits, self.place + (kind in ("seen", "latent")))

    def _and(self, split: Split, further: int) -> "Row":
        return Row(self.marks, (*self.splits, split), self.place + further)


@dataclass(frozen=True)
class Packed:
    """B rows, of at most L tokens, as the network takes them: words and marks first, then seen tokens, then drawn ones.

    ids (I,); seen (S,) and drawn (M,), places in the tables of pictures; picture (M,), which of the drawn pictures a
    token is of; noisy (M,), whether that one is noise; places (T,) and grid (T,), rotary places and where a token
    stands in B x L; allowed (B, L, L), who sees whom, empty where not asked for; target (I,) and owner (I,): what is to
    be read there or NOTHING, and which item it belongs to; lengths (B,).
    """

    ids: Tensor
    seen: Tensor
    drawn: Tensor
    picture: Tensor
    noisy: Tensor
    places: Tensor
    grid: Tensor
    allowed: Tensor
    target: Tensor
    owner: Tensor
    lengths: Tensor

    def to(self, device: str | torch.device) -> "Packed":
        return Packed(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def packed(
    rows: Sequence[Row], sides: tuple[int, int], owners: Sequence[Sequence[int]] | None = None, masked: bool = True
) -> Packed:
    """``sides``: of the tables of seen and drawn pictures. ``owners``: the item of each row's parts, in order."""
    length = max((row.length for row in rows), default=0)
    ids: list[int] = []
    target: list[int] = []
    owner: list[int] = []
    picture: list[int] = []
    noisy: list[bool] = []
    tables: dict[str, list[Tensor]] = {"seen": [], "drawn": []}
    where: dict[str, list[tuple[range, list[int]]]] = {"ids": [], "seen": [], "drawn": []}
    pictures = 0
    for number, row in enumerate(rows):
        begin = number * length
        for split in row.splits:
            stop = begin + split.length
            mine = owners[number][max(split.part - 1, 0)] if owners else number
            if split.kind == "text":
                ids += split.ids
                target += split.target or [NOTHING] * len(split.ids)
                owner += [mine] * len(split.ids)
                where["ids"].append((range(begin, stop), list(range(split.place, split.place + split.length))))
            else:
                ids += [row.marks.picture, row.marks.picture_end]
                target += [NOTHING] * 2
                owner += [mine] * 2
                where["ids"] += [(range(at, at + 1), [split.place]) for at in (begin, stop - 1)]
                table = "seen" if split.kind == "seen" else "drawn"
                where[table].append((range(begin + 1, stop - 1), [split.place] * split.tokens))
                tables[table].append(places_of(split.grid, sides[table == "drawn"]))
                if table == "drawn":
                    picture += [pictures] * split.tokens
                    noisy += [split.kind == "noise"] * split.tokens
                    pictures += 1
            begin = stop
    order = [one for name in ("ids", "seen", "drawn") for one in where[name]]
    empty = torch.empty(0, dtype=torch.long)
    return Packed(
        ids=torch.tensor(ids, dtype=torch.long),
        seen=torch.cat([empty, *tables["seen"]]),
        drawn=torch.cat([empty, *tables["drawn"]]),
        picture=torch.tensor(picture, dtype=torch.long),
        noisy=torch.tensor(noisy, dtype=torch.bool),
        places=torch.tensor([place for _, places in order for place in places], dtype=torch.long),
        grid=torch.tensor([at for slots, _ in order for at in slots], dtype=torch.long),
        allowed=torch.stack([_allowed(row, length) for row in rows]) if masked else empty,
        target=torch.tensor(target, dtype=torch.long),
        owner=torch.tensor(owner, dtype=torch.long),
        lengths=torch.tensor([row.length for row in rows], dtype=torch.long),
    )


def _allowed(row: Row, length: int) -> Tensor:
    """(length, length): from left to right and within a picture, but no picture of noise, and no other part, from
    outside of it. Pads see the first token, and no one sees them.
    """
    split, hidden, part, whole = (torch.zeros(length, dtype=torch.long) for _ in range(4))
    begin = 0
    for number, one in enumerate(row.splits, 1):
        stop = begin + one.length
        split[begin:stop], part[begin:stop] = number, one.part
        hidden[begin:stop], whole[begin:stop] = one.kind == "noise", one.kind != "text"
        begin = stop
    at = torch.arange(length)
    same = split[:, None] == split
    own = (part == 0) | (part == part[:, None])
    seen = (at <= at[:, None]) | (same & whole.bool())
    allowed = seen & (same | ~hidden.bool()) & own & (at < begin)
    allowed[begin:] = at == 0
    return allowed
