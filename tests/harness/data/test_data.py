"""Rows from a folder or the built-in world: checked, limited by items, and fingerprinted by all that matters."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.data.fingerprint import fingerprint
from hermes.harness.data.tables import Data, load_data
from hermes.harness.records.images import ImageHandle, image_handle
from hermes.harness.records.types import Sample
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError, ImageError

Rows = list[dict[str, Any]]


@pytest.fixture
def theirs(plugins: None) -> Evaluator:
    evaluator: Evaluator = registry.load_class("evaluators", "theirs")()
    return evaluator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "red.png")
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "blue.png")
    return tmp_path


def two_rows() -> Rows:
    return [
        {"id": 0, "item": 0, "question": "Is it red?", "answer": "yes", "image": "red.png"},
        {"id": 1, "item": 1, "question": "Is it blue?", "answer": "yes", "image": "blue.png"},
    ]


def write_jsonl(path: Path, rows: Sequence[Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def with_pixels(rows: Rows, folder: Path) -> Rows:
    """The rows as parquet files of the hub hold them: an image column of {bytes, path}."""
    return [{**row, "image": {"bytes": (folder / row["image"]).read_bytes(), "path": None}} for row in rows]


def load(evaluator: Evaluator, folder: Path, limit: int | None = None) -> Data:
    return load_data(evaluator, str(folder), "test", limit)


def colors(data: Data) -> list[Any]:
    return [sample.images[0].open().getpixel((0, 0)) for sample in data.samples]


RED_BLUE = [(255, 0, 0), (0, 0, 255)]


def test_jsonl(theirs: Evaluator, folder: Path) -> None:
    write_jsonl(folder / "theirs.jsonl", two_rows())
    found = load(theirs, folder)
    assert [sample.prompt for sample in found.samples] == ["Is it red?", "Is it blue?"]
    assert colors(found) == RED_BLUE
    info = found.info
    assert (info.source, info.world, info.n, info.n_expected) == ("folder", "real", 2, theirs.data.n)


def test_parquet_gives_the_same_samples_and_fingerprint(theirs: Evaluator, folder: Path) -> None:
    write_jsonl(folder / "theirs.jsonl", two_rows())
    lines = load(theirs, folder)
    (folder / "theirs.jsonl").unlink()
    parquet.write_table(pyarrow.Table.from_pylist(with_pixels(two_rows(), folder)), folder / "theirs.parquet")
    table = load(theirs, folder)
    assert colors(table) == RED_BLUE
    assert table.info == lines.info


def write_csv(path: Path, rows: Rows, encoding: str = "utf-8") -> None:
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding=encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_gives_the_same_samples_and_fingerprint(theirs: Evaluator, folder: Path, encoding: str) -> None:
    write_jsonl(folder / "theirs.jsonl", two_rows())
    lines = load(theirs, folder)
    (folder / "theirs.jsonl").unlink()
    write_csv(folder / "theirs.csv", two_rows(), encoding)
    assert load(theirs, folder).info == lines.info


def test_a_short_row_of_a_csv_is_named(theirs: Evaluator, folder: Path) -> None:
    first, second = two_rows()
    write_csv(folder / "theirs.csv", [first, {key: second[key] for key in ("id", "item", "question")}])
    with pytest.raises(HermesError, match="row 2 has no column 'answer'"):
        load(theirs, folder)


def test_parquet_says_nothing_on_the_screen(theirs: Evaluator, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(with_pixels(two_rows(), folder)), folder / "theirs.parquet")
    load(theirs, folder)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("home", ["theirs", "."])
def test_shards_are_read_in_the_order_of_their_names(theirs: Evaluator, folder: Path, home: str) -> None:
    for name in ("red.png", "blue.png"):
        target = folder / home / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((folder / name).read_bytes())
    first, second = two_rows()
    write_jsonl(folder / home / "test-1.jsonl", [second])
    write_jsonl(folder / home / "test-0.jsonl", [first])
    assert [sample.id for sample in load(theirs, folder).samples] == ["0", "1"]


def test_blank_lines_are_no_rows(theirs: Evaluator, folder: Path) -> None:
    write_jsonl(folder / "theirs.jsonl", two_rows())
    path = folder / "theirs.jsonl"
    path.write_text("\n" + path.read_text().replace("\n", "\n\n"))
    assert load(theirs, folder).info.n == 2


def test_a_missing_column_is_named_with_its_row(theirs: Evaluator, folder: Path) -> None:
    rows = two_rows()
    del rows[1]["answer"]
    write_jsonl(folder / "theirs.jsonl", rows)
    with pytest.raises(
        HermesError, match=r"theirs.*: row 2 has no column 'answer' \(it has id, item, question, image\)"
    ):
        load(theirs, folder)


def test_a_missing_column_of_a_table_is_named(theirs: Evaluator, folder: Path) -> None:
    rows = [{key: row[key] for key in row if key != "question"} for row in with_pixels(two_rows(), folder)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "theirs.parquet")
    with pytest.raises(HermesError, match=r"row 1 has no column 'question'"):
        load(theirs, folder)


def test_a_doubled_id_is_named(theirs: Evaluator, folder: Path) -> None:
    write_jsonl(folder / "theirs.jsonl", [{**row, "id": 7} for row in two_rows()])
    with pytest.raises(HermesError, match="the id '7' stands in two rows"):
        load(theirs, folder)


@pytest.mark.parametrize("content", [b"", b"not a picture", None], ids=["empty", "text", "no file"])
def test_an_image_that_does_not_decode_is_named(theirs: Evaluator, folder: Path, content: bytes | None) -> None:
    write_jsonl(folder / "theirs.jsonl", two_rows())
    (folder / "blue.png").unlink()
    if content is not None:
        (folder / "blue.png").write_bytes(content)
    with pytest.raises(HermesError, match="theirs 1: the image does not decode"):
        load(theirs, folder)


def test_a_truncated_image_is_named(theirs: Evaluator, folder: Path) -> None:
    write_jsonl(folder / "theirs.jsonl", two_rows())
    noise = Image.effect_noise((64, 64), 50).convert("RGB")
    noise.save(folder / "blue.png")
    whole = (folder / "blue.png").read_bytes()
    (folder / "blue.png").write_bytes(whole[: len(whole) // 2])
    broken = list(load(theirs, folder).samples)[1].images[0]
    with pytest.raises(ImageError, match="theirs 1: the image does not decode"):
        broken.open()


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_image_is_named(theirs: Evaluator, folder: Path, value: str | None) -> None:
    first, second = two_rows()
    write_jsonl(folder / "theirs.jsonl", [first, {**second, "image": value}])
    with pytest.raises(HermesError, match="theirs 1: the image is empty"):
        load(theirs, folder)
    with pytest.raises(HermesError, match="row 3: the image is empty"):
        image_handle(value, "row 3")


@pytest.mark.parametrize(
    ("line", "said"),
    [("{", "row 3 is not valid JSON"), ("[1]", "row 3 is not a JSON object"), ("7", "not a JSON object")],
)
def test_a_broken_line_is_named(theirs: Evaluator, folder: Path, line: str, said: str) -> None:
    write_jsonl(folder / "theirs.jsonl", two_rows())
    with (folder / "theirs.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(HermesError, match=rf"theirs\.jsonl: .*{said}"):
        load(theirs, folder)


def test_files_that_are_not_what_they_claim_are_named(theirs: Evaluator, folder: Path) -> None:
    (folder / "theirs.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(HermesError, match=r"theirs\.parquet cannot be read as parquet"):
        load(theirs, folder)
    (folder / "theirs.parquet").unlink()
    (folder / "theirs.csv").write_bytes(b"id,item\n\xff,1\n")
    with pytest.raises(HermesError, match=r"theirs\.csv cannot be read as CSV"):
        load(theirs, folder)
    (folder / "theirs.csv").unlink()
    (folder / "theirs.jsonl").write_bytes(b'{"id": "\xff"}\n')
    with pytest.raises(HermesError, match=r"theirs\.jsonl"):
        load(theirs, folder)


def test_a_folder_without_rows_says_what_was_expected(theirs: Evaluator, folder: Path) -> None:
    with pytest.raises(HermesError, match=r"expected theirs\.jsonl, \.parquet, \.csv or a folder theirs/"):
        load(theirs, folder)
    with pytest.raises(HermesError, match="nowhere does not exist"):
        load(theirs, folder / "nowhere")
    write_jsonl(folder / "theirs.jsonl", [])
    with pytest.raises(HermesError, match="no rows for theirs"):
        load(theirs, folder)


def test_a_limit_counts_items_and_keeps_them_whole(theirs: Evaluator) -> None:
    everything = load_data(theirs, "shapes", "test")
    assert everything.info.n == everything.info.n_expected == theirs.twin.n
    three = load_data(theirs, "shapes", "test", limit=3)
    assert list(three.samples) == list(everything.samples)[:6]
    assert three.info.n_expected == theirs.twin.n
    assert three.info.fingerprint != everything.info.fingerprint
    assert load_data(theirs, "shapes", "test", limit=10_000).info == everything.info


def test_a_limit_finds_the_rest_of_an_item_further_down(theirs: Evaluator, folder: Path) -> None:
    row = two_rows()[0]
    write_jsonl(folder / "theirs.jsonl", [{**row, "id": number, "item": number % 3} for number in range(9)])
    assert [sample.id for sample in load(theirs, folder, limit=2).samples] == ["0", "1", "3", "4", "6", "7"]


def test_the_splits_of_the_built_in_world_differ(theirs: Evaluator) -> None:
    test, validation = (load_data(theirs, "shapes", split) for split in ("test", "validation"))
    assert test.info.fingerprint != validation.info.fingerprint
    assert (test.info.world, test.info.source) == ("shapes", "shapes")


def sample(**changes: Any) -> Sample:
    handle = ImageHandle(Image.new("RGB", (2, 3), "red"), where="somewhere")
    values = {"id": "a", "group_id": "g", "ability": "understanding", "prompt": "p", "images": (handle,), "target": "t"}
    return Sample(**{**values, **changes})


CHANGES: dict[str, dict[str, Any]] = {
    "prompt": {"prompt": "q"},
    "target": {"target": "u"},
    "kind of target": {"target": ["t"]},
    "id": {"id": "b"},
    "group": {"group_id": "h"},
    "choices": {"choices": ("x",)},
    "metadata": {"metadata": {"category": "x"}},
    "no image": {"images": ()},
    "one pixel value": {"images": (ImageHandle(Image.new("RGB", (2, 3), (254, 0, 0))),)},
    "image size": {"images": (ImageHandle(Image.new("RGB", (3, 2), "red")),)},
    "two images": {"images": (ImageHandle(Image.new("RGB", (2, 3), "red")),) * 2},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_fingerprint_changes_with_all_that_can_change_an_answer_or_a_score(changes: dict[str, Any]) -> None:
    assert fingerprint([sample(**changes)]) != fingerprint([sample()])


def encoded(save: Callable[[Image.Image, io.BytesIO], None]) -> bytes:
    buffer = io.BytesIO()
    save(Image.new("RGB", (2, 3), "red"), buffer)
    return buffer.getvalue()


def test_a_fingerprint_depends_on_an_image_file_and_not_on_its_place(tmp_path: Path) -> None:
    png = encoded(lambda image, file: image.save(file, "PNG"))
    (tmp_path / "x.png").write_bytes(png)
    places = (png, tmp_path / "x.png", str(tmp_path / "x.png"), {"bytes": png, "path": None}, lambda: {"bytes": png})
    prints = {fingerprint([sample(images=(ImageHandle(place, where="elsewhere"),))]) for place in places}
    bmp = encoded(lambda image, file: image.save(file, "BMP"))
    assert len(prints) == 1
    assert fingerprint([sample(images=(ImageHandle(bmp),))]) not in prints


def test_a_fingerprint_depends_on_the_order_of_samples() -> None:
    a, b = sample(), sample(id="b")
    assert len({fingerprint([a, b]), fingerprint([b, a]), fingerprint([a])}) == 3


def test_pinned_images_need_not_be_decoded() -> None:
    broken = sample(images=(ImageHandle(b"broken", where="x"),))
    assert fingerprint([broken], "hub@1") == fingerprint([sample()], "hub@1") != fingerprint([sample()], "hub@2")
    with pytest.raises(HermesError, match="x: the image does not decode"):
        fingerprint([broken])
