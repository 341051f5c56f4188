"""Items without splits: divided by their pictures, for good, and what two splits have in common."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hermes.harness.data.rows import Rows
from hermes.harness.data.shares import SPLITS, MadeUp, Shared, described, of_splits, shared, split_of
from hermes.harness.system.errors import HermesError

Row = dict[str, Any]


def picture(number: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8))


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """400 items of one picture each."""
    for number in range(400):
        picture(number).save(tmp_path / f"{number}.png")
    return [{"id": str(number), "image": str(tmp_path / f"{number}.png")} for number in range(400)]


def parts(rows: list[Row]) -> dict[str, list[str]]:
    return {split: [row["id"] for row in of_splits(Rows(lambda: rows), {split}, SPLITS, "here")] for split in SPLITS}


def test_every_item_is_in_one_split_and_the_shares_are_as_stated(rows: list[Row]) -> None:
    found = parts(rows)
    assert Counter(name for names in found.values() for name in names) == Counter(row["id"] for row in rows)
    assert [abs(len(found[split]) - share) < 30 for split, share in zip(SPLITS, (280, 60, 60), strict=True)] == [
        True
    ] * 3
    assert described(SPLITS) == "train 70 %, validation 15 %, test 15 % by a hash of each picture"


def test_an_item_stays_where_it_is_when_others_come_and_ids_change(rows: list[Row]) -> None:
    before = {row["image"]: split_of(row, SPLITS) for row in rows}
    kept = rows[::3]
    random.Random(1).shuffle(kept)
    assert {row["image"]: split_of({**row, "id": f"new-{k}"}, SPLITS) for k, row in enumerate(kept)} == {
        row["image"]: before[row["image"]] for row in kept
    }


def test_one_picture_is_in_one_split_whatever_its_file_is_like(tmp_path: Path) -> None:
    note = PngInfo()
    note.add_text("comment", "x")
    for number in range(20):
        image = picture(number)
        image.save(tmp_path / "a.png")
        image.save(tmp_path / "b.png", pnginfo=note)
        image.save(tmp_path / "c.webp", lossless=True)
        forms = [tmp_path / "a.png", (tmp_path / "b.png").read_bytes(), {"bytes": (tmp_path / "c.webp").read_bytes()}]
        found = {split_of({"id": str(k), "image": form}, SPLITS) for k, form in enumerate([*forms, image])}
        assert len(found) == 1


def test_without_a_picture_that_decodes_the_id_decides(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    cells = (None, "", str(tmp_path / "torn.png"), str(tmp_path / "gone.png"))
    found = {cell: [split_of({"id": str(k), "image": cell}, SPLITS) for k in range(40)] for cell in cells}
    assert len({tuple(splits) for splits in found.values()}) == 1
    assert set(found[None]) == set(SPLITS)


def test_a_split_that_gets_nothing_is_one_line(rows: list[Row]) -> None:
    lone = [next(row for row in rows if split_of(row, SPLITS) == "train")]
    with pytest.raises(
        HermesError, match=r"^here: none of the 1 items falls to test \(train 70 %, .*\); give more items"
    ):
        list(of_splits(Rows(lambda: lone), {"test"}, SPLITS, "here"))


def test_what_two_splits_share_is_found_by_id_and_by_picture(rows: list[Row], tmp_path: Path) -> None:
    train, test = rows[:10], rows[10:20]
    assert shared(train, test) is None
    note = PngInfo()
    note.add_text("comment", "x")
    picture(3).save(tmp_path / "other name.png", pnginfo=note)
    copy = {"id": "other", "image": str(tmp_path / "other name.png")}
    assert shared(train, [*test, copy, train[5]]) == Shared(2, "other", "3", picture=True)
    renamed = {"id": "7", "image": test[0]["image"]}
    assert shared(train, [renamed]) == Shared(1, "7", "7", picture=False)


def test_ids_that_are_file_names_or_numbers_say_nothing(rows: list[Row]) -> None:
    train = [{**row, "id": MadeUp(number)} for number, row in enumerate(rows[:5])]
    test = [{**row, "id": MadeUp(number)} for number, row in enumerate(rows[5:10])]
    assert shared(train, test) is None
    assert shared(train, [*test, {**train[2], "id": MadeUp(9)}]) == Shared(1, "9", "2", picture=True)
