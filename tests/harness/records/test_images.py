"""What a picture is: orientation, transparency, deep greys, and all the forms in which a cell holds one."""

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from hermes.harness.data.check import check_data
from hermes.harness.data.files import file_rows
from hermes.harness.records.images import ImageHandle, image_handle, pixel_sha256, png_bytes
from hermes.harness.records.pixels import LIMIT, prepare
from hermes.harness.records.sources import unwrapped
from hermes.harness.system.errors import HermesError, ImageError

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8))
BYTES = png_bytes(PICTURE)
TEXT = base64.b64encode(BYTES).decode()
# What must be done to an upright picture so that the orientation brings it back.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def written(picture: Image.Image, kind: str, **options: Any) -> ImageHandle:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return ImageHandle(buffer.getvalue(), where="it")


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode == "RGB" and one.size == other.size and one.tobytes() == other.tobytes()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_is_applied(kind: str, orientation: int) -> None:
    upright = PICTURE.resize((80, 48), Image.Resampling.BOX)
    turn = STORED[orientation]
    stored = upright.transpose(turn) if turn is not None else upright
    options: dict[str, Any] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    handle = written(stored, kind, exif=oriented(orientation), **options)
    prepared = handle.prepared()
    difference = np.asarray(prepared.picture, dtype=int) - np.asarray(upright, dtype=int)
    assert np.abs(difference).max() <= (12 if kind == "JPEG" else 0)
    assert prepared.changes == (("rotated",) if orientation > 1 else ())
    assert handle.size() == upright.size or kind == "TIFF"


def test_an_orientation_is_applied_once() -> None:
    opened = written(PICTURE, "PNG", exif=oriented(6)).open()
    assert same(ImageHandle(opened).open(), opened)
    assert same(ImageHandle(png_bytes(opened)).open(), opened)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"\0" * 20, oriented(9).tobytes()])
def test_exif_data_that_says_nothing_changes_nothing(exif: bytes) -> None:
    prepared = written(PICTURE, "PNG", exif=exif).prepared()
    assert (same(prepared.picture, PICTURE), prepared.changes) == (True, ())


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM"])
def test_rgb_stays_as_it_is(kind: str) -> None:
    handle = written(PICTURE, kind)
    assert same(handle.open(), PICTURE)
    assert handle.prepared().changes == ()
    assert same(ImageHandle(PICTURE).open(), PICTURE)
    assert handle.open().info == {}


def disc(ground: tuple[int, ...], mode: str = "RGBA") -> Image.Image:
    picture = Image.new(mode, (32, 32), ground)
    ImageDraw.Draw(picture).ellipse((8, 8, 24, 24), fill=(0,) * (len(ground) - 1) + (255,))
    return picture


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_what_is_clear_is_white(mode: str) -> None:
    picture = disc((0, 0, 0, 0)).convert("LA" if mode == "LA" else "RGBA")
    if mode in ("P", "PA"):
        picture = picture.quantize(4).convert(mode)
    prepared = prepare(picture)
    assert prepared.changes == ("flattened",)
    assert (prepared.picture.getpixel((0, 0)), prepared.picture.getpixel((16, 16))) == ((255,) * 3, (0,) * 3)


def test_half_clear_is_what_transformers_makes_of_it() -> None:
    transforms = pytest.importorskip("transformers.image_transforms")
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 4), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    theirs = transforms.convert_to_rgb(picture, return_numpy=True)
    assert np.array_equal(np.asarray(prepare(picture).picture), theirs)


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_one_color_may_stand_for_nothing(kind: str) -> None:
    palette = disc((9, 9, 9, 255)).convert("RGB").quantize(4)
    clear = palette.getpixel((0, 0))
    prepared = written(palette, kind, transparency=clear).prepared()
    assert (prepared.changes, prepared.picture.getpixel((0, 0))) == (("flattened",), (255,) * 3)


def test_an_alpha_that_hides_nothing_changes_nothing() -> None:
    picture = PICTURE.convert("RGBA")
    prepared = prepare(picture)
    assert (same(prepared.picture, PICTURE), prepared.changes) == (True, ())


def ramp(top: float, kind: Any, low: float = 0) -> np.ndarray[Any, Any]:
    return np.linspace(low, top, 256).reshape(16, 16).astype(kind)


@pytest.mark.parametrize(
    ("values", "kind", "changes"),
    [
        (ramp(65535, np.uint16), "PNG", ("scaled",)),
        (ramp(65535, np.uint16), "TIFF", ("scaled",)),
        (ramp(65535, np.int32), "TIFF", ("scaled",)),
        (ramp(255, np.int32), "TIFF", ()),
        (ramp(1, np.float32), "TIFF", ("scaled",)),
        (ramp(255, np.float32), "TIFF", ()),
        (ramp(1000, np.float32, -1000), "TIFF", ("scaled",)),
        (ramp(9e6, np.int32), "TIFF", ("scaled",)),
    ],
)
def test_deep_greys_keep_their_steps(values: Any, kind: str, changes: tuple[str, ...]) -> None:
    prepared = written(Image.fromarray(values), kind).prepared()
    grey = np.asarray(prepared.picture)[..., 0].astype(int).ravel()
    assert prepared.changes == changes
    assert np.abs(grey - np.arange(256)).max() <= 1
    assert prepared.picture.getextrema() == ((0, 255),) * 3


def test_a_dark_picture_of_16_bits_stays_dark() -> None:
    assert written(Image.fromarray(ramp(255, np.uint16)), "PNG").open().getextrema() == ((0, 1),) * 3


def test_floats_that_are_no_numbers_are_an_error() -> None:
    with pytest.raises(ImageError, match=r"it: the image does not decode .it holds values that are not finite"):
        written(Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32)), "TIFF").open()


@pytest.mark.parametrize("mode", ["CMYK", "L", "1", "P", "YCbCr"])
def test_all_else_is_what_pil_makes_of_it(mode: str) -> None:
    picture = PICTURE.convert(mode)
    prepared = prepare(picture)
    assert (same(prepared.picture, picture.convert("RGB")), prepared.changes) == (True, ())


def test_pictures_that_differ_where_they_are_clear_have_different_hashes() -> None:
    clear, black = disc((0, 0, 0, 0)), disc((0, 0, 0, 255))
    assert pixel_sha256(clear) != pixel_sha256(black)
    assert pixel_sha256(PICTURE) == pixel_sha256(PICTURE.convert("RGBA"))


@pytest.mark.parametrize(
    "cell",
    [
        "p.png",
        {"path": "p.png", "bytes": None},
        {"path": "p.png"},
        ["p.png"],
        [{"path": "p.png", "bytes": ""}],
        '{"path": "p.png", "bytes": null}',
        "{'path': 'p.png', 'bytes': None}",
        "['p.png']",
        TEXT,
        f"data:image/png;base64,{TEXT}",
        f"DATA:image/png;charset=x;BASE64,{TEXT}",
        TEXT.rstrip("="),
        TEXT.replace("+", "-").replace("/", "_"),
        base64.encodebytes(BYTES).decode(),
        {"path": "gone.png", "bytes": TEXT},
        [TEXT],
    ],
)
def test_every_form_of_a_cell_is_the_picture_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: Any
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    PICTURE.save(tmp_path / "data" / "p.png")
    Image.new("RGB", (9, 6)).save(tmp_path / "elsewhere" / "p.png")
    (tmp_path / "data" / "rows.jsonl").write_text(json.dumps({"image": cell}))
    monkeypatch.chdir(tmp_path / "elsewhere")
    (row,) = file_rows(Path("..", "data", "rows.jsonl"))
    assert same(image_handle(row["image"], "row").open(), PICTURE)


def test_every_form_in_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow
    from pyarrow import parquet

    PICTURE.save(tmp_path / "p.png")
    cell = {"bytes": BYTES, "path": "gone.png"}
    columns = {
        "image": [cell, {"bytes": None, "path": "p.png"}],
        "image_1": [[cell], [{"bytes": None, "path": "p.png"}]],
        "image_2": [BYTES, BYTES],
        "image_3": ["p.png", TEXT],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "rows.parquet")
    monkeypatch.chdir("/")
    found = [image_handle(cell, "row") for row in file_rows(tmp_path / "rows.parquet") for cell in row.values()]
    assert [same(handle.open(), PICTURE) for handle in found] == [True] * 8


def test_nothing_else_opens_pictures() -> None:
    code = Path(prepare.__code__.co_filename).parents[2]
    openers = {path.name for path in code.rglob("*.py") if "Image.open(" in path.read_text()}
    assert openers == {"images.py"}


def test_base64_in_tables_of_other_kinds(tmp_path: Path) -> None:
    import pandas

    long = base64.b64encode(png_bytes(Image.effect_noise((500, 500), 90).convert("RGB"))).decode()
    assert len(long) > 1 << 17
    pandas.DataFrame([{"image": long}]).to_csv(tmp_path / "rows.csv", index=False)
    pandas.DataFrame([{"image": TEXT}, {"image": BYTES.hex()}]).to_parquet(tmp_path / "rows.parquet")
    (row,) = file_rows(tmp_path / "rows.csv")
    assert image_handle(row["image"], "row").open().size == (500, 500)
    assert same(image_handle(next(iter(file_rows(tmp_path / "rows.parquet")))["image"], "row").open(), PICTURE)


@pytest.mark.parametrize("value", [BYTES, bytearray(BYTES), memoryview(BYTES), [BYTES], (PICTURE,), lambda: [BYTES]])
def test_pictures_in_memory(value: Any) -> None:
    assert same(ImageHandle(value).open(), PICTURE)


@pytest.mark.parametrize("cell", [None, "", [], [None], {"path": None, "bytes": None}, b"", float("nan"), "[]"])
def test_an_empty_cell_is_a_bad_row(cell: Any) -> None:
    with pytest.raises(HermesError, match=r"^row 3: the image is empty"):
        image_handle(cell, "row 3")


@pytest.mark.parametrize("cell", [["a.png", "b.png"], 7, {"url": "x"}, True])
def test_what_is_no_single_picture_is_a_bad_row(cell: Any) -> None:
    with pytest.raises(HermesError, match=r"^row 3: the (cell|image)"):
        image_handle(cell, "row 3")


def test_a_name_with_brackets_is_a_file(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "[a] {b}.png")
    assert unwrapped("[a] {b}.png") == "[a] {b}.png"
    assert same(ImageHandle(str(tmp_path / "[a] {b}.png")).open(), PICTURE)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("https://example.org/a.png", "addresses are not opened"),
        ("data:image/png,abc", "a data: address without base64"),
        ("data:image/png;base64,####", "text that is neither a path nor base64"),
        ("data:image/png;base64," + base64.b64encode(b"no picture").decode(), "no known picture format"),
        ("x" * 100_000 + "!", "text that is neither a path nor base64"),
        ("x/" * 1000, "File name too long|No such file"),
        ("y" * 3000, "File name too long"),
        ("a\0b.png", "null"),
        (BYTES[:60], "truncated|broken|Truncated"),
        ("/dev/zero", "no regular file"),
        ("/", "no regular file"),
    ],
)
def test_what_cannot_be_opened_is_said_briefly(source: Any, said: str) -> None:
    handle = ImageHandle(source, where=f"row 7, {source!r}")
    with pytest.raises(ImageError, match=said) as error:
        handle.open()
    assert len(str(error.value)) <= 300
    assert "\n" not in str(error.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match=r"pipe\.png is no regular file"):
        ImageHandle(tmp_path / "pipe.png").open()


def test_errors_are_the_same_every_time() -> None:
    said = set()
    for _ in range(2):
        with pytest.raises(ImageError) as error:
            ImageHandle(b"no picture at all").open()
        said.add(str(error.value))
    assert len(said) == 1


def test_a_large_picture_is_one_error_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = written(PICTURE, "PNG")
    monkeypatch.setenv(LIMIT, "53")
    assert len(handle.sha256()) == 64
    with pytest.raises(ImageError, match=f"9 x 6 pixels are more than the 53 of {LIMIT}"):
        handle.open()
    monkeypatch.setenv(LIMIT, "54")
    assert same(handle.open(), PICTURE)


def test_pils_own_limit_says_nothing(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(tmp_path / "wide.png")
    open_it = (
        "from hermes.harness.records.images import ImageHandle; print(ImageHandle('wide.png').size(), end='')\n"
        "from PIL import Image; Image.open('wide.png')"
    )
    done = subprocess.run([sys.executable, "-c", open_it], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("(10000, 10000)", "")


def test_data_check_counts_what_was_done(tmp_path: Path, command: Callable[..., Any]) -> None:
    PICTURE.save(tmp_path / "turned.png", exif=oriented(3))
    disc((0, 0, 0, 0)).save(tmp_path / "clear.png", exif=oriented(6))
    Image.fromarray(ramp(65535, np.uint16)).save(tmp_path / "deep.png")
    PICTURE.save(tmp_path / "plain.png")
    row = {"question": "Is there a cat?", "answer": "yes", "image_source": "a", "category": "random"}
    names = ["turned.png", "clear.png", "deep.png", "plain.png", "turned.png"]
    rows = [row | {"id": str(k), "question_id": str(k), "image": name} for k, name in enumerate(names)]
    (tmp_path / "pope.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    found = check_data("pope", str(tmp_path))
    assert (found.images, found.changed) == (4, {"rotated": 2, "flattened": 1, "scaled": 1})
    assert "4 decoded (2 rotated, 1 flattened, 1 scaled)" in command("data", "check", "pope", "--data", tmp_path).out
