"""`hermes data check`: what is found in good and in bad data, and the exit code."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.evaluators.gqa import GQA
from hermes.evaluators.pope import POPE
from hermes.harness.data.check import check_data
from hermes.harness.data.tables import load_data

Command = Callable[..., Any]
REAL = Path(__file__).parents[4] / "shared" / "realdata"
ROW = {"id": "0", "question_id": "0", "question": "Is there a cat?", "answer": "yes", "image_source": "a"}
ROW |= {"image": "a.png", "category": "random"}


def rows(path: Path, entries: Iterable[dict[str, Any]]) -> Path:
    Image.new("RGB", (4, 4)).save(path.parent / "a.png")
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def many(n: int) -> list[dict[str, Any]]:
    return [ROW | {"question_id": str(number)} for number in range(n)]


def real(name: str) -> Path:
    if not (REAL / name).exists():
        pytest.skip("the real data is not here")
    return REAL / name


def kinds(path: Path, task: str = "pope") -> dict[str, int]:
    return {problem.kind: problem.count for problem in check_data(task, str(path)).problems}


@pytest.mark.parametrize(
    "task", ["pope", "mme", "vqav2", "gqa", "mmmu", "flickr30k", "geneval", "dpg_bench", "homologous-u", "homologous-g"]
)
def test_the_shapes_world_is_well(task: str) -> None:
    found = check_data(task, "shapes")
    assert found.ok
    assert found.n == found.n_expected > 0
    assert found.fingerprint


def test_a_whole_data_set_is_well_and_has_the_fingerprint_of_a_run(tmp_path: Path) -> None:
    path = rows(tmp_path / "pope.jsonl", many(9000))
    found = check_data("pope", str(tmp_path))
    assert (found.rows, found.n, found.n_expected, found.images, found.ok) == (9000, 9000, 9000, 1, True)
    assert set(ROW) == set(found.columns)
    assert found.fingerprint == load_data(POPE(), str(path), "test").info.fingerprint
    unseen = check_data("pope", str(tmp_path), images=False)
    assert (unseen.ok, unseen.images) == (True, None)
    assert unseen.fingerprint not in (None, found.fingerprint)


def test_every_missing_column_is_told(tmp_path: Path) -> None:
    short = {key: value for key, value in ROW.items() if key not in ("answer", "category")}
    found = check_data("pope", str(rows(tmp_path / "pope.jsonl", [ROW, *[short] * 5])))
    told = {problem.kind: (problem.count, problem.examples) for problem in found.problems}
    assert told["column 'answer' is missing"] == (5, ("row 2", "row 3", "row 4"))
    assert told["column 'category' is missing"][0] == 5
    assert (found.rows, found.n, found.fingerprint) == (6, 1, None)


def test_bad_rows_are_counted_and_the_first_ones_named(tmp_path: Path) -> None:
    bad = [row | {"answer": "maybe"} for row in many(5)]
    found = check_data("pope", str(rows(tmp_path / "pope.jsonl", [*many(2), *bad])))
    told = {problem.kind: problem for problem in found.problems}
    assert told["bad row"].count == 5
    assert told["bad row"].examples == tuple(
        f"row {number}: answer is 'maybe'; it must be yes or no" for number in (3, 4, 5)
    )


def test_rows_that_are_counted_by_the_evaluator_have_their_own_numbers(tmp_path: Path) -> None:
    good = {"tag": "counting", "prompt": "two cups", "include": [{"class": "cup", "count": 2}]}
    path = rows(tmp_path / "geneval.jsonl", [good, good | {"include": [{"class": "cup"}]}])
    found = check_data("geneval", str(path))
    assert found.problems[0].examples[0].startswith("row 2: include entry 1 needs a class")


def test_rows_of_another_form_stop_nothing(command: Command, tmp_path: Path) -> None:
    path = rows(tmp_path / "pope.jsonl", [ROW, {"a": 1}, ROW | {"question_id": "1", "answer": 7}])
    with path.open("a") as file:
        file.write('7\n{"id": \n"text"\n' + json.dumps(ROW | {"question_id": "2"}) + "\n")
    found = check_data("pope", str(path))
    told = {problem.kind: problem for problem in found.problems}
    assert (found.rows, found.n) == (7, 2)
    assert told["column 'answer' is missing"].examples == ("row 2",)
    assert told["bad row"].count == 4
    assert [example.partition("row ")[2][:12] for example in told["bad row"].examples] == [
        "3: answer mu",
        "4 is not a J",
        "5 is not val",
    ]
    said = command("data", "check", "pope", "--data", path)
    assert (said.code, "Traceback" in said.out + said.err) == (1, False)


def test_each_reason_has_an_example(tmp_path: Path) -> None:
    bad = [row | {"answer": "maybe"} for row in many(5)] + [ROW | {"question_id": "9", "answer": 7}]
    (problem,) = (one for one in check_data("pope", str(rows(tmp_path / "p.jsonl", bad))).problems if one.count > 1)
    assert problem.examples[-1] == "row 6: answer must be text, not int; fix the row"
    assert (problem.count, len(problem.examples)) == (6, 4)


def test_whatever_a_row_raises_is_a_bad_row(command: Command, tmp_path: Path) -> None:
    """Steps of GQA's programs that lack their argument; the same rows end a run in one line with the row's number."""
    row = {"id": "1", "imageId": "n", "question": "Is it?", "answer": "yes", "fullAnswer": "Yes.", "isBalanced": True}
    row |= {"image": "a.png", "semantic": [{"operation": "select"}]}
    path = rows(tmp_path / "gqa.jsonl", [row | {"semantic": []}, row | {"id": "2"}])
    (problem,) = (one for one in check_data("gqa", str(path)).problems if one.kind == "bad row")
    assert problem.examples[0].startswith("row 2 cannot be read (KeyError: 'argument'")
    rows(tmp_path / "answers.jsonl", [{"id": "1", "response": "yes"}])
    score = ("score", "--task", "gqa", "--data", path, "--responses", "answers.jsonl")
    for arguments in (score, ("eval", "--model", "null", "--tasks", "gqa", "--data", path)):
        said = command(*arguments)
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert "row 2 cannot be read (KeyError: 'argument'" in said.err


def test_a_list_that_breaks_off_keeps_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    path.write_text(f"[{json.dumps(ROW)}, 7, {json.dumps(ROW)[:-9]}")
    found = check_data("pope", str(path))
    assert (found.rows, found.n) == (2, 1)
    assert [problem.kind for problem in found.problems][:2] == ["bad row", "the rest cannot be read"]


def test_doubled_ids_and_a_wrong_count(tmp_path: Path) -> None:
    path = rows(tmp_path / "pope.jsonl", [ROW] * 3)
    found = check_data("pope", str(path))
    told = {problem.kind: problem for problem in found.problems}
    assert (told["id stands in two rows"].count, told["id stands in two rows"].examples[0]) == (2, "'random/0'")
    assert told["wrong number of samples"].examples == ("3, but POPE has 9000",)


def test_images_that_do_not_decode(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    entries = many(4)
    for entry, image in zip(entries, ("torn.png", "gone.png", "gone.png", "a.png"), strict=True):
        entry["image"] = image
    path = rows(tmp_path / "pope.jsonl", entries)
    assert kinds(path)["broken image"] == 2
    assert check_data("pope", str(path)).images == 1
    assert "broken image" not in {problem.kind for problem in check_data("pope", str(path), images=False).problems}


def test_broken_images_without_a_name_are_counted_one_by_one(tmp_path: Path) -> None:
    entries = many(3)
    for entry in entries:
        entry["image"] = "data:image/png;base64,AAAA"
    assert kinds(rows(tmp_path / "pope.jsonl", entries))["broken image"] == 3


def test_an_empty_image_is_a_bad_row(tmp_path: Path) -> None:
    assert kinds(rows(tmp_path / "pope.jsonl", [ROW | {"image": None}]))["bad row"] == 1


def test_the_table(command: Command, tmp_path: Path) -> None:
    said = command("data", "check", "gqa", "--data", "shapes")
    assert said.code == 0
    assert "all is well" in said.out
    assert load_data(GQA(), "shapes", "test").info.fingerprint in said.out
    bad = command("data", "check", "pope", "--data", rows(tmp_path / "pope.jsonl", [ROW, {"id": "1"}]))
    assert bad.code == 1
    assert all(word in bad.out for word in ("column 'answer' is missing", "row 2", "1 of 9000 expected", "problem"))


def test_the_record(command: Command, tmp_path: Path) -> None:
    said = command("data", "check", "pope", "--json", "--data", rows(tmp_path / "pope.jsonl", [ROW]))
    record = json.loads(said.out)
    assert said.code == 1
    assert (record["ok"], record["task"], record["n"], record["n_expected"]) == (False, "pope", 1, 9000)
    assert [problem["kind"] for problem in record["problems"]] == ["wrong number of samples"]


@pytest.mark.parametrize(
    ("task", "data", "content", "said"),
    [
        ("popes", "rows.jsonl", "", "unknown evaluator 'popes'"),
        ("pope", "nowhere", "", "nowhere does not exist"),
        ("pope", "rows.jsonl", "", "no rows for pope"),
        ("pope", "rows.json", "{}", "rows.json is not a JSON list"),
        ("dpg_bench", "rows.json", '{"0.txt": "A cup."}', "holds prompts only"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    command: Command, tmp_path: Path, task: str, data: str, content: str, said: str
) -> None:
    if data != "nowhere":
        (tmp_path / data).write_text(content)
    code, out, err = command("data", "check", task, "--data", data)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("hermes: ")
    assert said in err


def test_the_real_prompts_of_geneval() -> None:
    found = check_data("geneval", str(real("geneval")))
    assert (found.n, found.n_expected, found.ok) == (553, 553, True)
    assert found.fingerprint


def test_the_real_questions_of_pope() -> None:
    found = check_data("pope", str(real("pope_coco")), images=False)
    assert (found.n, found.n_expected, found.ok) == (9000, 9000, True)
    assert found.fingerprint


def test_the_real_prompts_of_dpg_bench_have_no_questions(command: Command) -> None:
    said = command("data", "check", "dpg_bench", "--data", real("dpg"))
    assert said.code == 2
    assert "holds prompts only, without the questions that score them; give the official dpg_bench.csv" in said.err


def test_bad_homologous_items_are_all_listed(command: Callable[..., Any], tmp_path: Path) -> None:
    """Whichever comes first, and whether a question or the row as a whole is wrong."""
    asked = {"question": "Is it red?", "answer": "yes"}
    items = [
        {"caption": "a", "questions": [{"question": "Is it red?"}]},
        {"caption": "a", "questions": [asked]},
        {"caption": "a", "questions": [asked | {"answer": "?"}]},
        "no object",
        {"caption": "a", "questions": [asked | {"answer": "pink", "choices": ["red", "blue"]}]},
    ]
    rows = [item | {"id": str(k), "image": "p.png"} if isinstance(item, dict) else item for k, item in enumerate(items)]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Image.new("RGB", (4, 4)).save(tmp_path / "p.png")
    found = command("data", "check", "homologous-u", "--data", "items.jsonl", "--json")
    (bad,) = [one for one in json.loads(found.out)["problems"] if one["kind"] == "bad row"]
    assert (found.code, bad["count"]) == (1, 4)
