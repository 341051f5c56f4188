"""Every benchmark end to end on a small folder in the real columns and file formats, as a downloaded copy has them."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pyarrow import Table, parquet

import hermes
from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.data.check import check_data
from hermes.harness.data.tables import load_data
from hermes.harness.system import registry
from hermes.shapes.twins import twin_of

GROUPS = 3
Rows = list[dict[str, Any]]
Write = Callable[[str, Rows, Path], None]


def some_rows(task: str) -> Rows:
    """The rows of the twin's first items: real columns, PIL images."""
    evaluator: Evaluator = registry.evaluator(task)
    rows = [dict(row) for row in twin_of(evaluator).rows("test", 0)]
    if task == "dpg_bench":
        names = list(dict.fromkeys(row["item_id"] for row in rows))[: GROUPS + 1]
        return [row for row in rows if row["item_id"] in names]
    if task == "mme":
        return rows[: 2 * GROUPS]
    return rows[:GROUPS]


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def is_image(column: str) -> bool:
    return column == "image" or (column.startswith("image_") and column[6:].isdigit())


def as_shards(task: str, rows: Rows, folder: Path) -> None:
    """data/<split>-00000-of-00002.parquet with images as `datasets` writes them, beside another split's file."""
    splits = registry.evaluator(task).data.split.split("+")
    encoded = [
        {
            key: {"bytes": jpeg(value), "path": f"{number}.jpg"} if is_image(key) and value is not None else value
            for key, value in row.items()
        }
        for number, row in enumerate(rows)
    ]
    (folder / "data").mkdir()
    for shard, part in enumerate((encoded[:1], encoded[1:])):
        name = f"{splits[shard % len(splits)]}-{shard:05d}-of-00002.parquet"
        parquet.write_table(Table.from_pylist(part), folder / "data" / name)
    parquet.write_table(Table.from_pylist([{"other": 1}]), folder / "data" / "dev-00000-of-00001.parquet")


def as_json_lines(task: str, rows: Rows, folder: Path) -> None:
    """<task>.jsonl with the images as files beside it."""
    (folder / "pictures").mkdir()
    written = []
    for number, row in enumerate(rows):
        cells = dict(row)
        for column, value in row.items():
            if is_image(column) and value is not None:
                cells[column] = f"pictures/{number}-{column}.png"
                value.save(folder / cells[column])
        written.append(cells)
    write_lines(folder / f"{task}.jsonl", written)


def as_csv(task: str, rows: Rows, folder: Path) -> None:
    """<task>.csv, as DPG-Bench is released."""
    with (folder / f"{task}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def as_metadata(task: str, rows: Rows, folder: Path) -> None:
    """evaluation_metadata.jsonl, as GenEval is released."""
    write_lines(folder / "evaluation_metadata.jsonl", rows)


def as_two_tables(task: str, rows: Rows, folder: Path) -> None:
    """GQA's two configs, each in its own folder: questions without images, and images by id."""
    questions = [{key: value for key, value in row.items() if key != "image"} for row in rows]
    images = {row["imageId"]: {"bytes": jpeg(row["image"]), "path": None} for row in rows}
    tables = {
        "testdev_balanced_instructions": questions,
        "testdev_balanced_images": [{"id": name, "image": image} for name, image in images.items()],
    }
    for config, table in tables.items():
        (folder / config).mkdir()
        parquet.write_table(Table.from_pylist(table), folder / config / "testdev-00000-of-00001.parquet")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


UNDERSTANDING = ("pope", "mme", "vqav2", "gqa", "mmmu", "flickr30k", "pope-8910", "flickr30k-1k", "vqav2-testdev")
GENERATION = ("geneval", "dpg_bench")
CASES: Sequence[tuple[str, Write]] = (
    *((task, as_shards) for task in UNDERSTANDING),
    *((task, as_json_lines) for task in UNDERSTANDING),
    ("gqa", as_two_tables),
    ("geneval", as_metadata),
    ("geneval", as_json_lines),
    ("dpg_bench", as_csv),
    ("tifa", as_json_lines),
    ("homologous-u", as_json_lines),
    ("homologous-g", as_json_lines),
)


@pytest.mark.parametrize(("task", "write"), CASES, ids=[f"{task}-{write.__name__}" for task, write in CASES])
def test_a_real_folder_runs_end_to_end_and_scores_again(task: str, write: Write, tmp_path: Path) -> None:
    rows = some_rows(task)
    folder = tmp_path / "data"
    folder.mkdir()
    write(task, rows, folder)

    evaluator: Evaluator = registry.evaluator(task)
    samples = list(load_data(evaluator, str(folder), "test").samples)
    drawn = list(evaluator.samples(rows))
    assert [(sample.id, sample.prompt) for sample in samples] == [(sample.id, sample.prompt) for sample in drawn]
    assert [len(sample.images) for sample in samples] == [len(sample.images) for sample in drawn]

    out = tmp_path / "run"
    content = hermes.evaluate("null", tasks=(task,), data=str(folder), judge="oracle", out=out)
    result = content["results"][task]
    images = evaluator.config.num_images
    assert result.data.world == "real"
    assert result.data.n == len(samples)
    assert result.counts["error"] == 0
    assert sum(result.counts.values()) == len(samples) * images
    assert result.partial == (evaluator.data.n > len(samples))
    assert (evaluator.headline in result.metrics) == (task != "vqav2-testdev")
    again = hermes.score(out, protocol=evaluator.protocols[-1])["results"][task]
    assert again.counts == result.counts

    found = check_data(task, str(folder))
    assert found.fingerprint == result.data.fingerprint
    assert {problem.kind for problem in found.problems} <= {"wrong number of samples"}


def test_released_files_of_two_benchmarks_may_share_a_folder(tmp_path: Path) -> None:
    as_metadata("geneval", some_rows("geneval"), tmp_path)
    as_csv("dpg_bench", some_rows("dpg_bench"), tmp_path)
    counts = [load_data(registry.evaluator(task), str(tmp_path), "test").info.n for task in GENERATION]
    assert counts == [GROUPS, GROUPS]
