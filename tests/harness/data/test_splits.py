"""Which files of a folder hold which split, and what is read for a split that has none."""

import json
from pathlib import Path

import pytest
from PIL import Image

from hermes.harness.data.homologous.formats import homologous_rows
from hermes.harness.data.homologous.splits import files_of
from hermes.harness.records.types import Split
from hermes.harness.system.errors import HermesError

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def folder(home: Path, *names: str) -> Path:
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("[]")
    return home


def told(source: Path) -> dict[str, list[str]]:
    found = files_of(source, "homologous-u")
    return {split: [str(path.relative_to(source)) for path in paths] for split, paths in found.splits.items()}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train.jsonl", "test.jsonl"), {"train": ["train.jsonl"], "test": ["test.jsonl"]}),
        (("train.jsonl", "val.json"), {"train": ["train.jsonl"], "validation": ["val.json"]}),
        (
            ("train_anno.jsonl", "valid_anno_repaired.jsonl"),
            {"train": ["train_anno.jsonl"], "validation": ["valid_anno_repaired.jsonl"]},
        ),
        (
            ("train/train_anno.jsonl", "valid/valid_anno.jsonl", "test/test_questions.jsonl"),
            {
                "train": ["train/train_anno.jsonl"],
                "validation": ["valid/valid_anno.jsonl"],
                "test": ["test/test_questions.jsonl"],
            },
        ),
        (("data/train/a.jsonl", "data/test/a.jsonl"), {"train": ["data/train/a.jsonl"], "test": ["data/test/a.jsonl"]}),
        (
            (
                "data/train-00000-of-00002.parquet",
                "data/train-00001-of-00002.parquet",
                "data/test-00000-of-00001.parquet",
            ),
            {
                "train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
                "test": ["data/test-00000-of-00001.parquet"],
            },
        ),
        (("train.jsonl", "train_old.jsonl", "test.csv"), {"train": ["train.jsonl"], "test": ["test.csv"]}),
        (("train.jsonl", "other.jsonl"), {"train": ["train.jsonl"]}),
        (("data.jsonl",), {}),
        (("train_anno.jsonl",), {}),
        (("test.jsonl",), {}),
        (("initial_data.json", "vqa_data.json"), {}),
        (("text_inputs.json", "question_answers.json", "imgs.json"), {}),
        (("homologous.jsonl", "train.jsonl", "test.jsonl"), {}),
        (("train_test_joined.jsonl", "latest.jsonl"), {}),
    ],
)
def test_names_tell_splits(tmp_path: Path, names: tuple[str, ...], splits: dict[str, list[str]]) -> None:
    assert told(folder(tmp_path, *names)) == splits


def test_what_has_one_split_or_none_is_whole(tmp_path: Path) -> None:
    for number, names in enumerate([("a.jsonl", "b.json"), ("train_anno.jsonl",), ("valid/valid_anno.jsonl",)]):
        found = files_of(folder(tmp_path / str(number), *names), "homologous-g")
        assert [str(path.relative_to(tmp_path / str(number))) for path in found.of("test")] == list(names)


def test_a_split_that_is_not_there_is_never_another_one(tmp_path: Path) -> None:
    found = files_of(folder(tmp_path, "train.jsonl", "test.jsonl"), "homologous-u")
    with pytest.raises(HermesError, match=r"has train\.jsonl, test\.jsonl, and nothing for validation; give the file"):
        found.of("validation")
    beside = files_of(folder(tmp_path / "beside", "train.jsonl", "more.jsonl"), "homologous-u")
    with pytest.raises(HermesError, match=r"has train\.jsonl, and nothing for test"):
        beside.of("test")
    held = files_of(folder(tmp_path / "held", "val.jsonl", "test.jsonl"), "homologous-u")
    with pytest.raises(HermesError, match=r"has val\.jsonl, test\.jsonl, and nothing to train on; add train\.jsonl"):
        held.share("train", ("test",))


def items(home: Path, **files: range) -> Path:
    home.mkdir()
    for name, numbers in files.items():
        rows = []
        for number in numbers:
            Image.new("RGB", (4, 4), (number, 2 * number, 7)).save(home / f"{number}.png")
            asked = [{"question": "Is it?", "answer": "yes"}]
            rows.append({"id": f"i{number}", "image": f"{number}.png", "caption": "It is.", "questions": asked})
        (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return home


def read(source: Path, split: Split, *held_out: Split) -> set[str]:
    return {row["id"] for row in homologous_rows(source, "homologous-u", split, held_out)}


def test_a_folder_without_splits_is_divided_where_something_is_held_out(tmp_path: Path) -> None:
    source = items(tmp_path / "one", data=range(60))
    assert len(read(source, "test")) == 60
    every = [read(source, split, "test") for split in SPLITS]
    assert sum(map(len, every)) == len(set.union(*every)) == 60
    assert all(every)
    assert [read(source / "data.jsonl", split, "test") for split in SPLITS] == every
    assert (
        files_of(source, "homologous-u")
        .said(("test",))
        .endswith("one has no splits: train 70 %, validation 15 %, test 15 % by a hash of each picture")
    )


def test_a_missing_validation_comes_out_of_train_alone_and_only_where_it_is_held_out(tmp_path: Path) -> None:
    source = items(tmp_path / "two", train=range(40), test=range(40, 60))
    tested = {f"i{number}" for number in range(40, 60)}
    assert read(source, "train", "test") == {f"i{number}" for number in range(40)}
    assert read(source, "test", "test") == read(source, "test", "test", "validation") == tested
    train, validation = read(source, "train", "test", "validation"), read(source, "validation", "validation")
    assert validation == read(source, "validation", "test", "validation")
    assert train | validation == read(source, "train", "test")
    assert train.isdisjoint(validation)
    assert validation
    found = files_of(source, "homologous-u")
    assert found.said(("test",)).endswith("two has train.jsonl, test.jsonl")
    assert found.said(("test", "validation")).endswith(
        "validation is taken from train: train 82 %, validation 18 % by a hash of each picture"
    )
