"""Data sets as `datasets` holds them: revision, lazily read images, and tables that are joined."""

import io
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from hermes.evaluators.gqa import GQA
from hermes.harness.contracts.benchmark import DataSpec, Evaluator
from hermes.harness.data.hub import hub_rows
from hermes.harness.data.tables import load_data
from hermes.harness.records.images import ImageHandle
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError

COLORS = ("red", "lime", "blue")
SPEC = DataSpec(hub="", split="test", n=3, columns=("id", "image"))


def png(color: str) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def repository(folder: Path, tables: dict[str, tuple[str, dict[str, list[Any]]]]) -> str:
    """A data set repository with one config for each table (config -> (split, columns)), as a download leaves it."""
    lines = ["---", "configs:"]
    for config, (split, columns) in tables.items():
        images = {name: datasets.Image() for name in columns if name.startswith("image") and name != "imageId"}
        table = datasets.Dataset.from_dict(columns)
        for name, feature in images.items():
            table = table.cast_column(name, feature)
        path = folder / config / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True)
        table.to_parquet(path)
        lines += [f"- config_name: {config}", "  data_files:", f"  - split: {split}", f"    path: {config}/{split}-*"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    return str(folder)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def pixel(value: Any) -> tuple[int, ...]:
    return ImageHandle(value).open().getpixel((0, 0))  # type: ignore[return-value]


def test_rows_come_with_a_revision_and_images_that_are_read_when_opened(cache: None, tmp_path: Path) -> None:
    columns = {"id": ["a", "b", "c"], "image": [png(color) for color in COLORS], "image_2": [None, png("red"), None]}
    name = repository(tmp_path / "set", {"default": ("test", columns)})
    found, revision = hub_rows(SPEC, name, None)
    rows = list(found)
    assert revision
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert [pixel(row["image"]) for row in rows] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert [row["image_2"] is None for row in rows] == [True, False, True]
    assert hub_rows(SPEC, name, None)[1] == revision


GQA_ROWS = {
    "id": ["1", "2", "3"],
    "imageId": ["n2", "n1", "n2"],
    "question": ["a?", "b?", "c?"],
    "answer": ["yes", "no", "red"],
    "fullAnswer": ["Yes.", "No.", "It is red."],
    "isBalanced": [True, True, True],
}


def gqa_tables(ids: list[str]) -> dict[str, tuple[str, dict[str, list[Any]]]]:
    images = {"id": ids, "image": [png(color) for color in COLORS[: len(ids)]]}
    return {"testdev_balanced_instructions": ("testdev", GQA_ROWS), "testdev_balanced_images": ("testdev", images)}


@pytest.mark.parametrize("source", ["hub", "folder"])
def test_gqa_joins_its_images(cache: None, tmp_path: Path, source: str) -> None:
    name = repository(tmp_path / "gqa", gqa_tables(["n1", "n2"]))
    if source == "folder":
        samples = load_data(GQA(), name, "test").samples
        colors = [sample.images[0].open().getpixel((0, 0)) for sample in samples]
    else:
        colors = [pixel(row["image"]) for row in hub_rows(GQA.data, name, None)[0]]
    assert colors == [(0, 255, 0), (255, 0, 0), (0, 255, 0)]


@pytest.mark.parametrize("revision", [None, "v1"])
def test_joined_tables_are_of_one_commit(
    cache: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None
) -> None:
    name = repository(tmp_path / "gqa", gqa_tables(["n1", "n2"]))
    asked: list[str | None] = []
    load = datasets.load_dataset

    def noting(*given: Any, revision: str | None, **named: Any) -> Any:
        asked.append(revision)
        return load(*given, **named)

    monkeypatch.setattr(datasets, "load_dataset", noting)
    _, commit = hub_rows(GQA.data, name, revision)
    assert asked == [revision, commit]


def test_a_row_without_image_in_the_joined_table_is_named(cache: None, tmp_path: Path) -> None:
    name = repository(tmp_path / "gqa", gqa_tables(["n1"]))
    with pytest.raises(HermesError, match="no image has the id 'n2' that a row's imageId names"):
        list(hub_rows(GQA.data, name, None)[0])


def test_the_revision_is_part_of_the_run_and_stands_for_the_images(
    plugins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator: Evaluator = registry.load_class("evaluators", "theirs")()
    row = {"id": 0, "item": 0, "question": "Is it red?", "answer": "yes", "image": b"never decoded"}
    asked: list[tuple[str, str | None]] = []

    def from_hub(spec: DataSpec, name: str, revision: str | None) -> Any:
        asked.append((name, revision))
        return iter([row]), revision or "newest"

    monkeypatch.setattr("hermes.harness.data.tables.hub_rows", from_hub)
    loaded = [load_data(evaluator, source, "test") for source in ("hub", "hub:other/set", "hub:other/set@abc")]
    assert asked == [(evaluator.data.hub, None), ("other/set", None), ("other/set", "abc")]
    assert [data.info.source for data in loaded] == [f"hub:{evaluator.data.hub}", "hub:other/set", "hub:other/set"]
    assert [data.info.revision for data in loaded] == ["newest", "newest", "abc"]
    assert len({data.info.fingerprint for data in loaded}) == 3


def test_what_the_hub_refuses_is_one_line(cache: None, tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="cannot be loaded from the hub"):
        hub_rows(SPEC, str(tmp_path / "absent"), None)
    name = repository(tmp_path / "set", {"default": ("train", {"id": ["a"]})})
    with pytest.raises(HermesError, match="cannot be loaded from the hub"):
        hub_rows(SPEC, name, None)
