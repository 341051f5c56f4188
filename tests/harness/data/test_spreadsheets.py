"""TSV and Excel files, VLMEvalKit's columns in them, and images that stay in the file."""

import base64
import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.evaluators.mme import MME
from hermes.evaluators.mmmu import MMMU
from hermes.evaluators.pope import POPE
from hermes.harness.data.files import file_rows
from hermes.harness.data.separated import TextCell
from hermes.harness.data.tables import load_data
from hermes.harness.records.types import Result

Command = Callable[..., Any]
Rows = list[dict[str, Any]]


def encoded(shade: int) -> str:
    """A noisy picture, so that its text is as long as an image's."""
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50 + shade).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def tsv(path: Path, rows: Rows) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return path


def xlsx(path: Path, rows: Rows) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(list(rows[0]))
    for row in rows:
        book.active.append(list(row.values()))
    book.save(path)
    return path


@pytest.fixture
def pope() -> Rows:
    """Two pictures, each shown twice; the second time by the index of the row that holds it."""
    pictures = [encoded(shade) for shade in range(2)]
    return [
        {"index": 10 + k, "image": pictures[k // 2] if k % 2 == 0 else str(9 + k)}
        | {"question": f'Is there a "cat",\nor\ttwo {k}?', "answer": "Yes" if k % 2 else "No", "category": "random"}
        for k in range(4)
    ]


def predicted(rows: Rows) -> Rows:
    said = ("no", "Yes", "No", "no")
    left = [{key: value for key, value in row.items() if key != "image"} for row in rows]
    return [row | {"prediction": answer} for row, answer in zip(left, said, strict=True)]


def test_vlmevalkits_file_of_pope(tmp_path: Path, pope: Rows) -> None:
    data = load_data(POPE(), str(tsv(tmp_path / "POPE.tsv", pope)), "test")
    samples = list(data.samples)
    assert [sample.id for sample in samples] == [f"random/{10 + k}" for k in range(4)]
    assert [sample.group_id for sample in samples] == ["10", "10", "12", "12"]
    assert [sample.target for sample in samples] == ["no", "yes", "no", "yes"]
    pictures = [sample.images[0].sha256() for sample in samples]
    assert pictures[0] == pictures[1] != pictures[2] == pictures[3]
    assert samples[0].prompt.startswith('Is there a "cat",\nor\ttwo 0?')


def test_images_stay_in_the_file(tmp_path: Path, pope: Rows) -> None:
    cells = [row["image"] for row in file_rows(tsv(tmp_path / "POPE.tsv", pope))]
    assert all(isinstance(cell, TextCell) for cell in cells)
    assert cells[0] == cells[1]
    assert cells[2]() == pope[2]["image"]


@pytest.mark.parametrize("kind", [tsv, xlsx, "json"])
@pytest.mark.parametrize("alone", [True, False])
def test_vlmevalkits_predictions(tmp_path: Path, command: Command, pope: Rows, kind: Any, alone: bool) -> None:
    tsv(tmp_path / "POPE.tsv", pope)
    if kind == "json":
        (tmp_path / "m").write_text(json.dumps(predicted(pope)))
        path = (tmp_path / "m").rename(tmp_path / "m.json")
    else:
        path = kind(tmp_path / f"m.{kind.__name__}", predicted(pope))
    data = path if alone else "POPE.tsv"
    said = command("score", "--task", "pope", "--data", data, "--responses", path, "--json")
    assert said.code == 0, said.err
    found = Result.model_validate(json.loads(said.out))
    assert (found.metrics["accuracy"].value, found.n, found.partial) == (75, 4, True)


def test_numbers_and_formulas_in_a_workbook_are_the_texts_that_they_were(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "m.xlsx", [{"index": 1, "prediction": 2}, {"index": 2, "prediction": "=x"}])
    assert [row["prediction"] for row in file_rows(path)] == [2, "=x"]


def test_an_empty_answer_in_a_workbook_is_an_empty_answer(tmp_path: Path, command: Command, pope: Rows) -> None:
    rows = predicted(pope)
    rows[0]["prediction"] = None
    path = xlsx(tmp_path / "m.xlsx", rows)
    said = command("score", "--task", "pope", "--data", tsv(tmp_path / "POPE.tsv", pope), "--responses", path, "--json")
    counts = Result.model_validate(json.loads(said.out)).counts
    assert (counts["scored"], counts["unparsed"], counts["error"]) == (3, 1, 0)


def test_vlmevalkits_file_of_mmmu(tmp_path: Path) -> None:
    """Options from A on, several images as one list, and the rows of the other split left out."""
    several = json.dumps([encoded(1), encoded(2)])
    row = {"question": "Which <image 1>?", "A": "x", "B": "y", "C": "", "answer": "B", "split": "validation"}
    rows = [
        {"index": 1, "id": "validation_Art_1", "image": encoded(0), **row},
        {"index": 2, "id": "validation_Art_2", "image": several, **row, "A": "", "B": "", "answer": "3"},
        {"index": 3, "id": "dev_Art_1", "image": encoded(0), **row, "split": "dev"},
    ]
    samples = list(load_data(MMMU(), str(tsv(tmp_path / "MMMU.tsv", rows)), "test").samples)
    assert [sample.id for sample in samples] == ["validation_Art_1", "validation_Art_2"]
    assert [sample.choices for sample in samples] == [("x", "y"), ()]
    assert [len(sample.images) for sample in samples] == [1, 2]
    assert len({image.sha256() for sample in samples for image in sample.images}) == 3


def test_image_paths_start_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "imgs").mkdir()
    for k in range(2):
        Image.new("RGB", (4, 4), (k, 0, 0)).save(tmp_path / "imgs" / f"{k}.png")
    row = {"category": "existence", "answer": "Yes"}
    rows = [{"index": k, "image_path": f"imgs/{k // 2}.png", "question": f"Is it {k}?", **row} for k in range(4)]
    samples = list(load_data(MME(), str(tsv(tmp_path / "MME.tsv", rows)), "test").samples)
    assert [sample.id for sample in samples] == [f"existence/{k}/{n}" for k in (0, 1) for n in (1, 2)]
    assert samples[0].images[0].size() == (4, 4)


def test_an_index_that_no_row_before_has_is_a_broken_image(tmp_path: Path, command: Command, pope: Rows) -> None:
    tsv(tmp_path / "POPE.tsv", [pope[0], pope[1] | {"image": "99"}])
    found = json.loads(command("data", "check", "pope", "--data", "POPE.tsv", "--json").out)
    assert found["problems"][0]["kind"] == "broken image"


def test_a_cell_too_many_is_a_bad_row(tmp_path: Path, command: Command) -> None:
    text = "id,answer,category\na,yes,random\nb,no,random,x\nc,no,random,\n"
    (tmp_path / "pope.csv").write_text(text)
    found = json.loads(command("data", "check", "pope", "--data", ".", "--json").out)
    told = {problem["kind"]: problem["examples"] for problem in found["problems"]}
    assert told["bad row"] == ["pope.csv: row 2 has more cells than the header; quote those that hold a separator"]
    said = command("score", "--task", "pope", "--data", ".", "--responses", "pope.csv")
    assert (said.code, said.err.count("\n")) == (2, 1)


def test_a_file_that_is_no_workbook(tmp_path: Path, command: Command) -> None:
    pytest.importorskip("openpyxl")
    (tmp_path / "rows.xlsx").write_text("no workbook")
    said = command("data", "check", "pope", "--data", "rows.xlsx")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "cannot be read as a workbook" in said.err


def test_a_workbook_without_openpyxl_is_one_line(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.xlsx").write_text("")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    said = command("data", "check", "pope", "--data", "rows.xlsx")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "hermes-bench[xlsx]" in said.err


def test_a_picture_of_few_characters_is_an_image_for_other_rows_too(tmp_path: Path, pope: Rows) -> None:
    """A small picture's text is as short as a path, with and without a data: prefix."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    pope[0]["image"], pope[2]["image"] = text, f"data:image/png;base64,{text}"
    source = tsv(tmp_path / "pope.tsv", pope)
    samples = load_data(POPE(), str(source), "test").samples
    assert [sample.images[0].open().getpixel((0, 0)) for sample in samples] == [(255, 0, 0)] * 4
