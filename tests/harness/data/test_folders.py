"""Folders of images as users have them: flat, numbered, a folder an item, in any case; and GenEval's own results."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.evaluators.dpg_bench import DPGBench
from hermes.evaluators.geneval import GenEval
from hermes.harness.data.cuts import Cutting
from hermes.harness.data.folders import folder_answers
from hermes.harness.records.types import Result
from hermes.harness.system.errors import HermesError
from hermes.shapes.draw import draw
from hermes.shapes.scene import Obj, Scene, scenes
from hermes.shapes.twins import twin_of

Command = Callable[..., Any]
JUDGED = ("--judge", "oracle", "--device", "cpu", "--json")
GENEVAL = ("score", "--task", "geneval")
DPG = ("score", "--task", "dpg_bench", "--data", "rows.jsonl", "--responses", "images")


def write(path: Path, entries: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def scored(said: Any) -> Result:
    assert said.code == 0, said.err
    return Result.model_validate(json.loads(said.out))


def refused(said: Any, *words: str) -> None:
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert [word for word in words if word not in said.err] == []


def right_picture(row: Mapping[str, Any]) -> Image.Image:
    """What the prompt asks for, in corners of their own."""
    wanted = [entry for entry in row["include"] for _ in range(entry["count"])]
    corners = ((0, 8, 8), (2, 40, 8), (6, 8, 40), (8, 40, 40))
    objects = [
        Obj(entry["class"], entry.get("color", "blue"), "large", cell, x, y, 6.8)
        for entry, (cell, x, y) in zip(wanted, corners, strict=False)
    ]
    return draw(Scene(tuple(objects), seed=len(objects)))


@pytest.fixture(scope="module")
def prompts() -> list[tuple[Mapping[str, Any], Image.Image]]:
    """Six prompts of GenEval's twin, each with a right picture."""
    rows = (row for row in twin_of(GenEval).rows("test", 0) if row["tag"] not in ("position", "counting"))
    return [(row, right_picture(row)) for row in islice(rows, 6)]


@pytest.fixture(scope="module")
def items() -> dict[str, Image.Image]:
    """Four items of DPG-Bench's twin, each with a right picture."""
    names = dict.fromkeys(row["item_id"] for row in twin_of(DPGBench).rows("test", 0) if row["item_id"])
    return dict(zip(list(names)[:4], map(draw, scenes("test", 0, "dpg_bench")), strict=False))


@pytest.fixture
def dpg(tmp_path: Path, items: Mapping[str, Image.Image]) -> Path:
    """An empty folder of images beside the rows of the items."""
    wanted = ("", *items)
    write(tmp_path / "rows.jsonl", [row for row in twin_of(DPGBench).rows("test", 0) if row["item_id"] in wanted])
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def geneval(folder: Path, prompts: Sequence[tuple[Mapping[str, Any], Image.Image]], suffix: str = ".png") -> None:
    """GenEval's folders, two right images a prompt."""
    for number, (row, picture) in enumerate(prompts):
        write(folder / f"{number:05d}" / "metadata.jsonl", [row])
        (folder / f"{number:05d}" / "samples").mkdir()
        for index in range(2):
            picture.save(folder / f"{number:05d}" / "samples" / f"{index:04d}{suffix}")


def test_one_image_a_prompt_by_name(command: Command, tmp_path: Path, prompts: Any) -> None:
    write(tmp_path / "meta.jsonl", [row for row, _ in prompts])
    (tmp_path / "images").mkdir()
    for number, (_, picture) in enumerate(prompts):
        picture.save(tmp_path / "images" / f"{number:05d}.png")
    said = command(*GENEVAL, "--data", "meta.jsonl", "--responses", "images", *JUDGED)
    found = scored(said)
    assert (found.metrics["overall"].value, found.n, found.counts["error"]) == (1, 6, 0)
    assert "images: 6 files of one image" in said.err


@pytest.mark.parametrize("suffix", [".PNG", ".Png", ".webp"])
def test_suffixes_in_any_case(command: Command, tmp_path: Path, prompts: Any, suffix: str) -> None:
    geneval(tmp_path / "images", prompts, suffix)
    last = tmp_path / "images" / "00000" / "samples" / f"0001{suffix}"
    Image.open(last).save(last.with_suffix(".JPG"), quality=100, subsampling=0)
    last.unlink()
    found = scored(command(*GENEVAL, "--responses", "images", *JUDGED))
    assert (found.n, found.counts["error"]) == (12, 0)
    assert found.metrics["overall"].value > 0.9


def test_one_picture_in_two_formats_counts_once(command: Command, tmp_path: Path, prompts: Any) -> None:
    geneval(tmp_path / "images", prompts)
    for file in list(tmp_path.glob("images/*/samples/*.png")):
        Image.new("RGB", (48, 48)).save(file.with_suffix(".jpg"))
    found = scored(command(*GENEVAL, "--responses", "images", *JUDGED))
    assert (found.n, found.metrics["overall"].value) == (12, 1)


def test_files_of_the_system_are_no_images(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "._a.png").write_bytes(b"what macOS keeps")
    given, said = folder_answers(tmp_path, {"a"}, Cutting())
    assert ([answer.id for answer in given], said) == (["a"], "images: 1 file of one image")


def test_folders_of_other_prompts_than_the_rows_are_refused(command: Command, tmp_path: Path, prompts: Any) -> None:
    write(tmp_path / "meta.jsonl", [row for row, _ in prompts])
    geneval(tmp_path / "images", [prompts[2], prompts[4]])
    score = (*GENEVAL, "--responses", "images", *JUDGED)
    refused(
        command(*score, "--data", "meta.jsonl"), "00000/samples/0000.png", "another prompt than row 00000", "--data"
    )
    assert scored(command(*score)).metrics["overall"].value == 1
    geneval(tmp_path / "whole", prompts)
    whole = command(*GENEVAL, "--responses", "whole", "--data", "meta.jsonl", *JUDGED)
    assert scored(whole).metrics["overall"].value == 1


def result_lines(prompts: Any, folder: str = "out/") -> list[dict[str, Any]]:
    """What evaluate_images.py writes: four images a prompt, the last one wrong."""
    return [
        {
            "filename": f"{folder}{number:05d}/samples/{index:04d}.png",
            **{"tag": row["tag"], "prompt": row["prompt"], "correct": index < 3},
            **{"reason": "" if index < 3 else "expected more", "metadata": json.dumps(row), "details": "{}"},
        }
        for number, (row, _) in enumerate(prompts)
        for index in range(4)
    ]


@pytest.mark.parametrize("folder", ["out/", "/somewhere/else/", "C:\\out\\"])
def test_genevals_own_results_need_no_judge(command: Command, tmp_path: Path, prompts: Any, folder: str) -> None:
    write(tmp_path / "results.jsonl", reversed(result_lines(prompts, folder)))
    score = (*GENEVAL, "--responses", "results.jsonl", "--json")
    found = scored(command(*score, "--per-sample", "scores.jsonl"))
    assert (found.n, found.judge, found.counts["error"]) == (24, "given", 0)
    assert (found.metrics["overall"].value, found.metrics["prompts"].value) == (0.75, 1)
    scores = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [entry["reason"] for entry in scores[:4]] == ["", "", "", "expected more"]
    write(tmp_path / "meta.jsonl", [row for row, _ in prompts])
    assert scored(command(*score, "--data", "meta.jsonl")).metrics == found.metrics
    assert command(*score[:-1], "--out", "run").code == 0
    before = (tmp_path / "run" / "results.json").read_bytes()
    assert command("score", "run").code == 0
    assert (tmp_path / "run" / "results.json").read_bytes() == before


def test_results_that_do_not_fit_are_refused(command: Command, tmp_path: Path, prompts: Any) -> None:
    score = (*GENEVAL, "--responses", "results.jsonl", "--json")
    lines = result_lines(prompts)
    write(tmp_path / "results.jsonl", [*lines, lines[5]])
    refused(command(*score), "results.jsonl line 25 is about 'out/00001/samples/0001.png' again", "line 6")
    write(tmp_path / "results.jsonl", [lines[0], lines[1] | {"correct": "yes"}])
    refused(command(*score), "results.jsonl line 2: correct must be true or false")
    write(tmp_path / "results.jsonl", [lines[0] | {"metadata": "{"}])
    refused(command(*score), "results.jsonl line 1: metadata must be an object")
    write(tmp_path / "results.jsonl", [lines[0] | {"filename": "0000.png"}])
    refused(command(*score), "results.jsonl line 1: the filename '0000.png' is in no prompt's folder")
    write(tmp_path / "results.jsonl", lines)
    write(tmp_path / "meta.jsonl", [row for row, _ in reversed(prompts)])
    refused(command(*score, "--data", "meta.jsonl"), "line 1 says it belongs to another prompt")


def numbered(first: int, form: str) -> Callable[[Path, str, Image.Image], None]:
    def save(folder: Path, item: str, picture: Image.Image) -> None:
        for number in range(first, first + 4):
            path = folder / form.format(item=item, number=number)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)

    return save


@pytest.mark.parametrize("first", [0, 1, 42])
@pytest.mark.parametrize(
    "form",
    [
        "{item}_{number}.png",
        "{item}-{number:02d}.PNG",
        "{item} ({number}).png",
        "{item}/{number}.png",
        "{item}/samples/{number:04d}.png",
        "{item}/seed_{number}.png",
    ],
)
def test_four_files_an_item(
    command: Command, dpg: Path, items: Mapping[str, Image.Image], first: int, form: str
) -> None:
    save = numbered(first, form)
    for item, picture in items.items():
        save(dpg, item, picture)
    said = command(*DPG, *JUDGED)
    found = scored(said)
    assert (found.metrics["overall"].value, found.n, found.counts["error"]) == (100, 16, 0)
    assert "images: 16 files of one image" in said.err


@pytest.mark.parametrize("option", [(), ("--grid", "4x1"), ("--pic-num", "4"), ("--resolution", "48")])
def test_strips_of_four(command: Command, dpg: Path, items: Mapping[str, Image.Image], option: Sequence[str]) -> None:
    for item, picture in items.items():
        strip = Image.new("RGB", (192, 48))
        for place in range(4):
            strip.paste(picture, (48 * place, 0))
        strip.save(dpg / f"{item}.png")
    found = scored(command(*DPG, *JUDGED, *option))
    assert (found.metrics["overall"].value, found.n) == (100, 16)


def test_one_image_an_item_is_not_cut_in_four(command: Command, dpg: Path, items: Mapping[str, Image.Image]) -> None:
    for item, picture in items.items():
        picture.save(dpg / f"{item}.png")
    found = scored(command(*DPG, *JUDGED))
    assert (found.metrics["overall"].value, found.n) == (100, 4)


def test_a_file_that_does_not_fit_is_counted(command: Command, dpg: Path, items: Mapping[str, Image.Image]) -> None:
    for item, picture in items.items():
        strip = Image.new("RGB", (192, 48))
        for place in range(4):
            strip.paste(picture, (48 * place, 0))
        strip.save(dpg / f"{item}.png")
    strip.crop((0, 0, 100, 47)).save(dpg / f"{item}.png")
    said = command(*DPG, *JUDGED, "--per-sample", "scores.jsonl")
    found = scored(said)
    assert (found.metrics["overall"].value, found.n, found.counts["error"]) == (100, 12, 4)
    last = [json.loads(line) for line in (dpg.parent / "scores.jsonl").read_text().splitlines()][-4]
    assert "100 x 47 pixels are neither one image of 48 x 48 nor several" in last["reason"]
    assert "3 files cut 4 x 1 (columns x rows), 1 file that does not fit" in said.err


def test_an_id_that_ends_in_a_number_is_its_own(tmp_path: Path) -> None:
    for name in ("a_0.png", "a_0_0.png", "b_1.png", "b_2.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "a_0_0.png").unlink()
    given, _ = folder_answers(tmp_path, {"a", "a_0", "b"}, Cutting(4))
    assert [(answer.id, answer.index) for answer in given] == [("a_0", 0), ("b", 0), ("b", 1)]


@pytest.mark.parametrize("names", [("a.png", "a_0.png"), ("a.png", "a.x.png"), ("a_0.png", "a-0.png")])
def test_two_files_that_claim_one_place_are_refused(tmp_path: Path, names: Sequence[str]) -> None:
    for name in names:
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    with pytest.raises(HermesError, match=r"item 'a'|one item"):
        folder_answers(tmp_path, {"a"}, Cutting(4))


def test_a_stranger_has_a_short_name_in_its_error(command: Command, dpg: Path) -> None:
    Image.new("RGB", (8, 8)).save(dpg / f"{'x' * 240}.png")
    said = command(*DPG, *JUDGED)
    refused(said, "no row has the id 'xxx")
    assert len(said.err) < 400


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(HermesError, match="is no official layout"):
        folder_answers(tmp_path, {"a"}, Cutting(4))
