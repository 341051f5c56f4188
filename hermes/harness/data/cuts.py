"""How many images a file holds and how they lie in it: what the user says, else what the file and the others show."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import isqrt, log
from pathlib import Path

from PIL import Image

from hermes.harness.data.seams import breaks
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError, ImageError

LOOKED_AT = 8  # Files of one size that are opened to see whether they are grids.
LONG = 3  # A file that is so many times longer than wide is a strip.
Size = tuple[int, int]


@dataclass(frozen=True)
class Grid:
    """Images in a file, counted row by row."""

    columns: int
    rows: int

    @property
    def count(self) -> int:
        return self.columns * self.rows

    def unit(self, size: Size) -> Size | None:
        """The size of one image; None where the file cannot be divided so."""
        width, height = size
        if width % self.columns or height % self.rows:
            return None
        return width // self.columns, height // self.rows

    def __str__(self) -> str:
        return f"{self.columns} x {self.rows}"


ONE = Grid(1, 1)


@dataclass(frozen=True)
class Cutting:
    """What is known before the files are seen.

    ``count`` (--pic-num), ``grid`` (--grid) and ``side`` (--resolution) are the user's. ``most`` is how many images an
    item has, ``usual`` the grid of the benchmark's official files, which decides where they show nothing.
    """

    most: int = 1
    usual: Grid = ONE
    count: int | None = None
    grid: Grid | None = None
    side: int | None = None

    @property
    def said(self) -> bool:
        return (self.count, self.grid, self.side) != (None, None, None)


@dataclass(frozen=True)
class Cut:
    """One file and how it is cut: by ``side`` pixels from the top left corner, else evenly. ``problem``: why not."""

    path: Path
    grid: Grid = ONE
    side: int | None = None
    problem: str = ""

    def images(self) -> list[ImageHandle]:
        """The images in the file's order; of a file that does not fit one, which raises ImageError."""
        if self.problem:
            return [ImageHandle(partial(_refuse, self.problem), where=str(self.path))]
        if self.grid == ONE and self.side is None:
            return [ImageHandle(self.path, where=str(self.path))]
        return [
            ImageHandle(partial(_crop, self.path, self.grid, place, self.side), where=f"{self.path}, image {place}")
            for place in range(self.grid.count)
        ]


def read_grid(text: str) -> Grid:
    """The grid "4x1": columns, then rows. Raises HermesError for anything else."""
    found = re.fullmatch(r"\s*(\d{1,2})\s*[xX*,]\s*(\d{1,2})\s*", text)
    grid = Grid(int(found[1]), int(found[2])) if found else None
    if grid is None or not grid.count:
        raise HermesError(f"--grid must be columns x rows, such as 2x2 or 4x1, not {text!r}")
    return grid


def cut_files(files: Sequence[Path], cutting: Cutting) -> list[Cut]:
    """How each file is cut. One that cannot be read is left whole, so that its error is told where it is opened."""
    sizes = {file: _size(file) for file in files} if cutting.said or cutting.most > 1 else {}
    of_size: dict[Size, list[Path]] = {}
    for file, size in sizes.items():
        if size:
            of_size.setdefault(size, []).append(file)
    grids = {size: _as_said(size, cutting) for size in of_size} if cutting.said else _told_apart(of_size, cutting)
    unit = _unit(of_size, grids, cutting.side)
    cuts = []
    for file in files:
        size = sizes.get(file)
        grid = grids[size] if size else ONE
        problem = _problem(size, grid, cutting, unit) if size else ""
        cuts.append(Cut(file, grid, cutting.side, problem))
    return cuts


def described(cuts: Iterable[Cut]) -> str:
    """One line that says how the files were cut; empty where there are none."""
    kinds = Counter("do not fit" if cut.problem else cut.grid for cut in cuts)
    parts = []
    for kind, count in kinds.items():
        files = f"{count} file{'s' if count > 1 else ''}"
        if isinstance(kind, Grid):
            parts.append(f"{files} of one image" if kind == ONE else f"{files} cut {kind} (columns x rows)")
        else:
            parts.append(f"{files} that {kind if count > 1 else 'does not fit'}")
    return f"images: {', '.join(parts)}" if parts else ""


def _size(path: Path) -> Size | None:
    try:
        return ImageHandle(path).size()
    except ImageError:
        return None


def _as_said(size: Size, cutting: Cutting) -> Grid:
    """The grid that the user says; where only a number or a side is said, the one that suits the file."""
    width, height = size
    if cutting.grid:
        return cutting.grid
    if cutting.side:
        exact = Grid(max(1, width // cutting.side), max(1, height // cutting.side))
        return exact if cutting.count in (None, exact.count) else _squarest(size, cutting.count)
    return _squarest(size, cutting.count or 1)


def _squarest(size: Size, count: int) -> Grid:
    """Of the grids of so many images the one whose images are nearest to squares, of two the more compact one."""
    width, height = size
    grids = [Grid(columns, count // columns) for columns in range(1, count + 1) if count % columns == 0]
    return min(
        grids,
        key=lambda grid: (
            round(abs(log(width / grid.columns * grid.rows / height)), 6),
            abs(grid.columns - grid.rows),
        ),
    )


def _told_apart(files: Mapping[Size, Sequence[Path]], cutting: Cutting) -> dict[Size, Grid]:
    """The grid of the files of each size: by its own shape, by the sizes of the others, by what the files show."""
    grids = {size: strip for size in files if (strip := _strip(size, cutting.most)) and strip.count >= LONG}
    units = {grid.unit(size) for size, grid in grids.items()}
    grids |= {size: ONE for size in files if size in units}
    open_question: dict[Grid, list[Size]] = {}
    for size in sorted(files.keys() - grids.keys()):
        possible = [grid for grid in _possible(size, cutting.most) if grid.unit(size)]
        others: set[Size | None] = units | (files.keys() - {size})
        grids[size] = next((grid for grid in possible if grid.unit(size) in others), ONE)
        for grid in possible if grids[size] == ONE else ():
            open_question.setdefault(grid, []).append(size)
    for grid in sorted(open_question, key=lambda grid: grid.count):
        sizes = [size for size in open_question[grid] if grids[size] == ONE]
        if _shown([file for size in sizes for file in files[size]], grid, cutting.usual):
            grids |= dict.fromkeys(sizes, grid)
    return grids


def _strip(size: Size, most: int) -> Grid | None:
    """The strip of squares that a file of this size is."""
    width, height = size
    long, short = max(size), min(size)
    if long % short or not 2 <= long // short <= most:
        return None
    return Grid(long // short, 1) if width > height else Grid(1, long // short)


def _possible(size: Size, most: int) -> Iterator[Grid]:
    """The grids that a file of this size may be: a strip of two squares, a long strip of all images, a square grid."""
    width, height = size
    if strip := _strip(size, most):
        yield strip
    if max(size) >= LONG * min(size):
        yield Grid(most, 1) if width > height else Grid(1, most)
    elif most > 1 and isqrt(most) ** 2 == most:
        yield Grid(isqrt(most), isqrt(most))


def _shown(files: Sequence[Path], grid: Grid, usual: Grid) -> bool:
    """Whether the files break off along the grid's lines; where they show neither, whether it is the usual grid.

    A single picture hardly ever does, a grid sometimes does not, so that a file that breaks off outweighs one that does
    not.
    """
    votes: Counter[bool | None] = Counter()
    for file in files[:: max(1, -(-len(files) // LOOKED_AT))]:
        try:
            votes[breaks(ImageHandle(file).open(), grid.columns, grid.rows)] += 1
        except ImageError:
            continue
    for_it, against = 2 * votes[True], votes[False]
    return grid == usual if for_it == against else for_it > against


def _unit(files: Mapping[Size, Sequence[Path]], grids: Mapping[Size, Grid], side: int | None) -> Size | None:
    """The size of one image where most files are cut; None where most are one image."""
    units: Counter[Size | None] = Counter()
    for size, same in files.items():
        units[None if grids[size] == ONE else (side, side) if side else grids[size].unit(size)] += len(same)
    return units.most_common(1)[0][0] if units else None


def _problem(size: Size, grid: Grid, cutting: Cutting, unit: Size | None) -> str:
    """Why a file of this size does not fit; empty where it does."""
    width, height = size
    if cutting.side:
        fits = grid.columns * cutting.side <= width and grid.rows * cutting.side <= height
        return "" if fits else f"{width} x {height} pixels hold no {grid} images of {cutting.side} x {cutting.side}"
    if grid.unit(size) is None:
        return f"{width} x {height} pixels cannot be cut {grid}"
    if unit is None:
        return ""
    if grid != ONE and size == unit:
        return f"it is as large as one image of the other files, {width} x {height} pixels"
    if grid == ONE and size != unit and not cutting.said:
        return f"{width} x {height} pixels are neither one image of {unit[0]} x {unit[1]} nor several"
    return ""


def _refuse(problem: str) -> Image.Image:
    raise ValueError(problem)


def _crop(path: Path, grid: Grid, place: int, side: int | None) -> Image.Image:
    whole = _opened(path, path.stat().st_mtime_ns)
    across, down = (side, side) if side else (whole.width // grid.columns, whole.height // grid.rows)
    left, top = place % grid.columns * across, place // grid.columns * down
    return whole.crop((left, top, left + across, top + down))


@lru_cache(maxsize=1)
def _opened(path: Path, changed: int) -> Image.Image:
    """The file, decoded once for all its images; ``changed`` is when it was written."""
    return ImageHandle(path, where=str(path)).open()
