"""The official layouts: POPE's question files, GenEval's folders, DPG-Bench's grids, and lmms-eval's samples."""

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.evaluators.dpg_bench import DPGBench
from hermes.evaluators.geneval import GenEval
from hermes.evaluators.pope import POPE
from hermes.harness.data.tables import load_data
from hermes.harness.records.types import Result
from hermes.harness.system.errors import HermesError
from hermes.shapes.draw import draw
from hermes.shapes.scene import scenes
from hermes.shapes.twins import twin_of

Command = Callable[..., Any]
REAL = Path(__file__).parents[4] / "shared" / "realdata"
FOUR = ("red", "green", "blue", "white")
RGB = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def write(path: Path, entries: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def grid(path: Path, pictures: Sequence[Image.Image]) -> Path:
    """Four pictures of one size, row by row."""
    width, height = pictures[0].size
    canvas = Image.new("RGB", (2 * width, 2 * height))
    for place, picture in enumerate(pictures):
        canvas.paste(picture, (place % 2 * width, place // 2 * height))
    canvas.save(path)
    return path


def colors(path: Path, size: tuple[int, int] = (6, 4)) -> Path:
    return grid(path, [Image.new("RGB", size, color) for color in FOUR])


def scored(said: Any) -> Result:
    assert said.code == 0, said.err
    return Result.model_validate(json.loads(said.out))


def real(name: str) -> Path:
    if not (REAL / name).exists():
        pytest.skip("the real data is not here")
    return REAL / name


def pope_line(number: int, label: str) -> dict[str, Any]:
    return {"question_id": number, "image": "COCO_val2014_000000000001.jpg", "text": "Is there a cat?", "label": label}


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_popes_own_files_are_rows(tmp_path: Path, suffix: str) -> None:
    for sampling in ("adversarial", "popular", "random"):
        write(tmp_path / f"coco_pope_{sampling}{suffix}", [pope_line(1, "yes"), pope_line(2, "no")])
    Image.new("RGB", (4, 4)).save(tmp_path / "COCO_val2014_000000000001.jpg")
    samples = list(load_data(POPE(), str(tmp_path), "test").samples)
    assert [sample.id for sample in samples] == [
        f"{sampling}/{number}" for sampling in ("random", "popular", "adversarial") for number in (1, 2)
    ]
    assert [sample.target for sample in samples[:2]] == ["yes", "no"]
    assert samples[0].prompt.startswith("Is there a cat?\n")
    assert samples[0].images[0].open().size == (4, 4)


def test_pope_rows_in_its_columns_are_left_as_they_are(tmp_path: Path) -> None:
    row = {
        "id": "0",
        "question_id": "1",
        "question": "Is it red?",
        "answer": "no",
        "image_source": "a",
        "image": "a.png",
    }
    write(tmp_path / "pope.jsonl", [row | {"category": "popular"}])
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert [sample.id for sample in load_data(POPE(), str(tmp_path), "test").samples] == ["popular/1"]


def test_the_real_questions_of_pope_are_scored(command: Command, tmp_path: Path) -> None:
    folder = real("pope_coco")
    labels = {
        f"{sampling}/{row['question_id']}": row["label"]
        for sampling in ("random", "popular", "adversarial")
        for row in map(json.loads, (folder / f"coco_pope_{sampling}.json").read_text().splitlines())
    }
    write(tmp_path / "responses.jsonl", [{"id": name, "response": label} for name, label in labels.items()])
    arguments = ("score", "--task", "pope", "--data", folder, "--responses", tmp_path / "responses.jsonl", "--json")
    found = scored(command(*arguments))
    assert (found.n, found.partial, found.metrics["accuracy"].value) == (9000, False, 100)
    assert found.metrics["yes_ratio"].value == 50


@pytest.fixture
def geneval(tmp_path: Path) -> Path:
    """Three prompts with two images each, as GenEval's script wants them; one image is broken."""
    rows = twin_of(GenEval).rows("test", 0)[:3]
    for number, row in enumerate(rows):
        folder = tmp_path / "images" / f"{number:05d}"
        write(folder / "metadata.jsonl", [row])
        (folder / "samples").mkdir()
        for index, scene in enumerate(islice(scenes("test", number, "geneval"), 2)):
            draw(scene).save(folder / "samples" / f"{index:04d}.png")
        draw(scene).save(folder / "grid.png")
    (tmp_path / "images" / "00001" / "samples" / "0000.png").write_bytes(b"no picture")
    return tmp_path / "images"


def test_genevals_folders_are_scored_as_they_are(command: Command, geneval: Path, tmp_path: Path) -> None:
    score = ("score", "--task", "geneval", "--responses", geneval, "--judge", "oracle", "--device", "cpu")
    found = scored(command(*score, "--json", "--per-sample", tmp_path / "samples.jsonl"))
    scores = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [(entry["sample_id"], entry["index"]) for entry in scores] == [
        (f"{number:05d}", index) for number in range(3) for index in range(2)
    ]
    assert [entry["status"] == "error" for entry in scores] == [False, False, True, False, False, False]
    assert "00001/samples/0000.png: the image does not decode" in scores[2]["reason"]
    assert (found.judge, found.n_expected, found.counts["error"]) == ("oracle-1", 553 * 2, 1)
    rows = [json.loads((folder / "metadata.jsonl").read_text()) for folder in sorted(geneval.iterdir())]
    write(tmp_path / "rows.jsonl", rows)
    again = scored(command(*score, "--data", tmp_path / "rows.jsonl", "--json"))
    assert again.metrics == found.metrics


def test_a_kept_run_of_genevals_folders_is_scored_again(command: Command, geneval: Path, tmp_path: Path) -> None:
    score = ("score", "--task", "geneval", "--responses", geneval, "--judge", "oracle", "--device", "cpu")
    assert command(*score, "--out", tmp_path / "run").code == 0
    before = (tmp_path / "run" / "results.json").read_bytes()
    assert command("score", tmp_path / "run").code == 0
    assert (tmp_path / "run" / "results.json").read_bytes() == before


def test_metadata_of_two_prompts_in_one_folder_is_refused(command: Command, geneval: Path) -> None:
    path = geneval / "00002" / "metadata.jsonl"
    path.write_text(path.read_text() * 2)
    said = command("score", "--task", "geneval", "--responses", geneval, "--judge", "oracle")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "00002/metadata.jsonl holds 2 objects" in said.err


def test_dpg_benchs_grids_are_scored_by_item_and_crop(command: Command, tmp_path: Path) -> None:
    rows = twin_of(DPGBench).rows("test", 0)
    items = list(dict.fromkeys(row["item_id"] for row in rows if row["item_id"]))[:4]
    write(tmp_path / "rows.jsonl", [row for row in rows if row["item_id"] in ("", *items)])
    (tmp_path / "images").mkdir()
    blank = Image.new("RGB", (48, 48), (158, 162, 166))
    for place, (item, scene) in enumerate(zip(items, scenes("test", 0, "dpg_bench"), strict=False)):
        pictures = [draw(scene) if index == place else blank for index in range(4)]
        grid(tmp_path / "images" / f"{item}.png", pictures)
    score = ("score", "--task", "dpg_bench", "--data", "rows.jsonl", "--responses", "images", "--judge", "oracle")
    found = scored(command(*score, "--json", "--per-sample", "samples.jsonl"))
    scores = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    points = {(entry["sample_id"], entry["index"]): entry["values"]["score"] for entry in scores}
    assert len(points) == 16
    assert [points[item, index] == 1 for item in items for index in range(4)] == [
        place == index for place in range(4) for index in range(4)
    ]
    assert found.n_expected == 1065 * 4
    single = scored(command(*score, "--pic-num", "1", "--resolution", "48", "--json"))
    assert (single.n, single.n_expected) == (4, 1065)
    assert single.metrics["overall"].value == pytest.approx(100 * sum(points[item, 0] for item in items) / 4)


def test_an_image_of_an_unknown_item_is_refused(command: Command, tmp_path: Path) -> None:
    rows = twin_of(DPGBench).rows("test", 0)[:8]
    write(tmp_path / "rows.jsonl", rows)
    (tmp_path / "images").mkdir()
    colors(tmp_path / "images" / "stranger.png")
    said = command(
        *("score", "--task", "dpg_bench", "--data", "rows.jsonl", "--responses", "images", "--judge", "oracle")
    )
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "stranger.png: no row has the id 'stranger'" in said.err


def test_a_folder_of_something_else_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    write(tmp_path / "rows.jsonl", twin_of(GenEval).rows("test", 0)[:2])
    said = command("score", "--task", "geneval", "--data", "rows.jsonl", "--responses", "images", "--judge", "oracle")
    assert said.code == 2
    assert "images is no official layout" in said.err


@pytest.mark.parametrize("kind", ["json", "texts"])
def test_prompts_without_questions_are_no_dpg_bench(tmp_path: Path, kind: str) -> None:
    if kind == "json":
        (tmp_path / "dpg_bench_prompts.json").write_text(json.dumps({"0.txt": "A cup.", "1.txt": "Two cats."}))
    else:
        (tmp_path / "0.txt").write_text("A cup.")
    with pytest.raises(HermesError, match="holds prompts only, without the questions that score them"):
        load_data(DPGBench(), str(tmp_path), "test")


def sample_line(number: int, reply: str) -> dict[str, Any]:
    """A line as lmms-eval writes it with --log_samples."""
    return {
        "doc_id": number,
        "target": "yes",
        "resps": [[reply]],
        "filtered_resps": [reply],
        "doc": {"question_id": str(number), "question": "Is there a cat?", "answer": "yes", "category": "random"},
        "doc_hash": "0",
    }


@pytest.mark.parametrize("ids", [("0", "1", "2"), ("x", "y", "z")])
def test_an_lmms_eval_samples_file_is_scored(command: Command, tmp_path: Path, ids: Sequence[str]) -> None:
    labels = ("yes", "no", "yes")
    rows = [{"id": name, "answer": label, "category": "random"} for name, label in zip(ids, labels, strict=True)]
    write(tmp_path / "rows.jsonl", rows)
    write(tmp_path / "samples.jsonl", [sample_line(2, "Yes"), sample_line(0, "yes"), sample_line(1, "yes")])
    score = ("score", "--task", "pope", "--protocol", "lmms-eval", "--data", "rows.jsonl", "--json")
    found = scored(command(*score, "--responses", "samples.jsonl", "--per-sample", "scores.jsonl"))
    assert found.metrics["accuracy"].value == pytest.approx(200 / 3)
    scores = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [(entry["sample_id"], entry["values"]["correct"]) for entry in scores] == [
        (ids[0], 1),
        (ids[1], 0),
        (ids[2], 1),
    ]


def test_a_document_beyond_the_rows_is_refused(command: Command, tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", [{"id": "x", "answer": "yes", "category": "random"}])
    write(tmp_path / "samples.jsonl", [sample_line(0, "yes"), sample_line(5, "yes")])
    said = command("score", "--task", "pope", "--data", "rows.jsonl", "--responses", "samples.jsonl")
    assert said.code == 2
    assert "no row has the id '5'" in said.err
