"""How many images a file holds: told by its size, by the other files, by what it shows, and by the options."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from hermes.harness.data.cuts import ONE, Cutting, Grid, cut_files, described, read_grid
from hermes.harness.data.seams import breaks
from hermes.harness.system.errors import HermesError, ImageError
from hermes.shapes.draw import draw
from hermes.shapes.scene import scenes

FOUR = ("red", "green", "blue", "white")
RGB = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
GRID = Grid(2, 2)
Make = Callable[..., list[Path]]


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    return [draw(scene) for scene in islice(scenes("test", 0, "cuts"), 48)]


def laid(pictures: Sequence[Image.Image], grid: Grid) -> Image.Image:
    width, height = pictures[0].size
    canvas = Image.new("RGB", (grid.columns * width, grid.rows * height))
    for place, picture in enumerate(pictures[: grid.count]):
        canvas.paste(picture, (place % grid.columns * width, place // grid.columns * height))
    return canvas


@pytest.fixture
def make(tmp_path: Path, drawn: list[Image.Image]) -> Make:
    """Files of grids of drawn scenes: so many of each grid."""

    def files(counts: Mapping[Grid, int]) -> list[Path]:
        pictures, paths = iter(drawn), []
        for grid, count in counts.items():
            for _ in range(count):
                paths.append(tmp_path / f"{len(paths)}.png")
                laid(list(islice(pictures, grid.count)), grid).save(paths[-1])
        return paths

    return files


def colors(path: Path, size: tuple[int, int] = (6, 4), grid: Grid = GRID) -> Path:
    laid([Image.new("RGB", size, color) for color in FOUR], grid).save(path)
    return path


@pytest.mark.parametrize("usual", [ONE, GRID])
@pytest.mark.parametrize("grid", [ONE, GRID, Grid(4, 1), Grid(1, 4), Grid(3, 1), Grid(2, 1), Grid(1, 2)])
def test_files_of_one_size_are_cut_as_they_show(make: Make, grid: Grid, usual: Grid) -> None:
    cuts = cut_files(make({grid: 8}), Cutting(4, usual))
    assert {(cut.grid, cut.problem) for cut in cuts} == {(grid, "")}
    assert {image.open().size for cut in cuts for image in cut.images()} == {(48, 48)}


@pytest.mark.parametrize("grid", [ONE, GRID, Grid(4, 1)])
def test_an_item_of_one_image_is_never_cut(make: Make, grid: Grid) -> None:
    assert {cut.grid for cut in cut_files(make({grid: 4}), Cutting(1))} == {ONE}


def test_strips_of_oblong_images_are_cut_where_they_break(tmp_path: Path) -> None:
    files = [colors(tmp_path / f"{k}.png", (40, 30), Grid(4, 1)) for k in range(3)]
    assert {cut.grid for cut in cut_files(files, Cutting(4))} == {Grid(4, 1)}
    banners = [tmp_path / f"banner{k}.png" for k in range(3)]
    for banner in banners:
        Image.linear_gradient("L").resize((160, 30)).save(banner)
    assert {cut.grid for cut in cut_files(banners, Cutting(4))} == {ONE}


def test_blank_files_are_what_is_usual(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), "grey").save(tmp_path / "a.png")
    assert cut_files([tmp_path / "a.png"], Cutting(4, GRID))[0].grid == GRID
    assert cut_files([tmp_path / "a.png"], Cutting(4, ONE))[0].grid == ONE


def test_sizes_tell_single_images_among_grids_and_strips(make: Make) -> None:
    mixed = cut_files(make({Grid(4, 1): 2, ONE: 1, GRID: 2}), Cutting(4))
    assert [cut.grid for cut in mixed] == [Grid(4, 1)] * 2 + [ONE] + [GRID] * 2
    assert described(mixed) == (
        "images: 2 files cut 4 x 1 (columns x rows), 1 file of one image, 2 files cut 2 x 2 (columns x rows)"
    )


def test_a_file_that_does_not_fit_is_its_own_error(make: Make, tmp_path: Path) -> None:
    Image.new("RGB", (100, 47)).save(tmp_path / "odd.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    cuts = cut_files([*make({Grid(4, 1): 3}), tmp_path / "odd.png", tmp_path / "torn.png"], Cutting(4))
    assert [cut.grid.count for cut in cuts] == [4, 4, 4, 1, 1]
    (image,) = cuts[3].images()
    with pytest.raises(ImageError, match=r"odd\.png: .*100 x 47 pixels are neither one image of 48 x 48 nor several"):
        image.open()
    with pytest.raises(ImageError, match=r"torn\.png: .*no known picture format"):
        cuts[4].images()[0].open()
    assert described(cuts).endswith("1 file that does not fit, 1 file of one image")


def test_single_images_may_have_many_sizes(tmp_path: Path) -> None:
    files = []
    for k, size in enumerate([(48, 48), (64, 40), (40, 64), (50, 50), (72, 41)]):
        files.append(tmp_path / f"{k}.png")
        Image.linear_gradient("L").resize(size).save(files[-1])
    assert {(cut.grid, cut.problem) for cut in cut_files(files, Cutting(4))} == {(ONE, "")}


@pytest.mark.parametrize(
    ("cutting", "size", "grid"),
    [
        (Cutting(4, GRID, count=1), (96, 96), ONE),
        (Cutting(1, count=4), (96, 96), GRID),
        (Cutting(1, count=4), (192, 48), Grid(4, 1)),
        (Cutting(1, count=4), (64, 48), GRID),
        (Cutting(1, count=3), (144, 48), Grid(3, 1)),
        (Cutting(1, count=6), (96, 64), Grid(3, 2)),
        (Cutting(4, grid=Grid(1, 4)), (96, 96), Grid(1, 4)),
        (Cutting(4, side=48), (96, 96), GRID),
        (Cutting(4, side=48), (48, 192), Grid(1, 4)),
        (Cutting(4, side=48), (48, 48), ONE),
    ],
)
def test_what_the_user_says_counts(tmp_path: Path, cutting: Cutting, size: tuple[int, int], grid: Grid) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    (cut,) = cut_files([tmp_path / "a.png"], cutting)
    assert (cut.grid, cut.problem) == (grid, "")


@pytest.mark.parametrize(
    ("cutting", "size", "said"),
    [
        (Cutting(1, grid=Grid(4, 1)), (98, 48), "98 x 48 pixels cannot be cut 4 x 1"),
        (Cutting(1, count=4), (97, 96), "97 x 96 pixels cannot be cut 2 x 2"),
        (Cutting(4, count=4, side=49), (96, 96), "96 x 96 pixels hold no 2 x 2 images of 49 x 49"),
    ],
)
def test_what_cannot_be_cut_as_said_is_an_error(
    tmp_path: Path, cutting: Cutting, size: tuple[int, int], said: str
) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    (image,) = cut_files([tmp_path / "a.png"], cutting)[0].images()
    with pytest.raises(ImageError, match=said):
        image.open()


def test_a_single_image_among_grids_is_not_cut_in_four(make: Make) -> None:
    cuts = cut_files(make({GRID: 3, ONE: 1}), Cutting(4, count=4))
    assert [bool(cut.problem) for cut in cuts] == [False, False, False, True]
    with pytest.raises(ImageError, match="as large as one image of the other files, 48 x 48"):
        cuts[3].images()[0].open()


def test_a_grid_is_cut_row_by_row(tmp_path: Path) -> None:
    (cut,) = cut_files([colors(tmp_path / "a.png")], Cutting(1, grid=GRID))
    handles = cut.images()
    assert [(handle.open().size, handle.open().getpixel((0, 0))) for handle in handles] == [
        ((6, 4), RGB[color]) for color in FOUR
    ]
    assert len({handle.sha256() for handle in handles}) == 4


def test_the_resolution_cuts_from_the_corner(tmp_path: Path) -> None:
    path = colors(tmp_path / "a.png", (8, 8))

    def handles(count: int, side: int) -> list[Image.Image]:
        return [image.open() for image in cut_files([path], Cutting(1, count=count, side=side))[0].images()]

    assert [image.size for image in handles(4, 8)] == [(8, 8)] * 4
    assert [image.getpixel((3, 3)) for image in handles(4, 4)] == [RGB["red"]] * 4
    (alone,) = handles(1, 8)
    assert (alone.size, alone.getpixel((7, 7))) == ((8, 8), RGB["red"])


def test_a_turned_grid_is_cut_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    strip = laid([Image.new("RGB", (8, 8), color) for color in FOUR], Grid(4, 1))
    strip.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    strip.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.webp", exif=exif, lossless=True)
    for name in ("a.png", "a.webp"):
        (cut,) = cut_files([tmp_path / name], Cutting(4))
        assert cut.grid == Grid(4, 1)
        assert [image.open().getpixel((4, 4)) for image in cut.images()] == [RGB[color] for color in FOUR]


@pytest.mark.parametrize("text", ["2x2", "4X1", " 1 x 4 "])
def test_grids_are_columns_and_rows(text: str) -> None:
    assert str(read_grid(text)) == " x ".join(text.lower().replace(" ", "").split("x"))


@pytest.mark.parametrize("text", ["2", "0x4", "2x2x2", "axb", "-1x2"])
def test_what_is_no_grid_is_refused(text: str) -> None:
    with pytest.raises(HermesError, match="--grid must be columns x rows"):
        read_grid(text)


def test_hardly_any_single_scene_breaks_off(drawn: list[Image.Image]) -> None:
    assert sum(breaks(picture, 2, 2) is True for picture in drawn) <= 1
    assert breaks(Image.new("RGB", (20, 20)), 2, 2) is None
