"""`hermes score --task`: answers from files through the command line, and what it says to bad ones."""

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import content, place, results

import hermes
from hermes.harness.records.types import Result, Score

Command = Callable[..., Any]
ROWS = [
    {"id": "a", "answer": "yes", "category": "random", "question": "Is there a cat?", "image": "gone.png"},
    {"id": 7, "answer": "no", "category": "random"},
    {"id": "c", "answer": "no", "category": "popular"},
]
SAID = [{"id": "a", "index": 0, "response": "Yes"}, {"id": "7", "response": "no."}, {"id": "c", "response": "yes"}]
POPE = ("score", "--task", "pope", "--data", "rows.jsonl", "--responses", "responses.jsonl")
GENEVAL = ("score", "--task", "geneval", *POPE[3:])
ONE = {"id": "p", "tag": "single_object", "include": [{"class": "cup", "count": 1}]}
COLORED = {"id": "q", "tag": "colors", "include": [{"class": "cup", "count": 1, "color": "red"}]}
DPG = ("score", "--task", "dpg_bench", "--data", "rows.csv", "--responses", "responses.jsonl")
DPG_COLUMNS = "item_id,text,keywords,proposition_id,dependency,category_broad,category_detailed,tuple"
DPG_CSV = f"""{DPG_COLUMNS},question_natural_language
first,a cup,,1,0,entity,whole,entity - whole (cup),Is there a cup?
first,a cup,,2,0,attribute,color,"attribute - color (cup, red)",Is it red?
second,two cats,,1,0,entity,whole,entity - whole (cat),Are there cats?
"""


def write(path: Path, entries: Iterable[Any]) -> None:
    path.write_text("".join((entry if isinstance(entry, str) else json.dumps(entry)) + "\n" for entry in entries))


@pytest.fixture(autouse=True)
def files(tmp_path: Path, command: Command) -> Path:
    """rows.jsonl and responses.jsonl of POPE, in the folder in which the commands run."""
    write(tmp_path / "rows.jsonl", ROWS)
    write(tmp_path / "responses.jsonl", SAID)
    return tmp_path


def result(said: Any) -> Result:
    assert said.code == 0, said.err
    return Result.model_validate(json.loads(said.out))


def detected(*scores: float, color: str | None = None) -> dict[str, Any]:
    boxes = [{"box": [0, 0, 9, 9], "score": score, **({"color": color} if color else {})} for score in scores]
    return {"detections": {"cup": boxes}}


def refuse(said: Any, *words: str) -> None:
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("hermes: ")
    assert said.err.count("\n") == 1
    assert [word for word in words if word not in said.err] == []


def test_the_result_record_and_nothing_else_is_printed(command: Command, files: Path) -> None:
    found = result(command(*POPE, "--json"))
    assert (found.evaluator, found.protocol, found.judge, found.unit) == ("pope", "official", None, "%")
    assert (found.n, found.n_expected, found.partial) == (3, 9000, True)
    assert found.counts == {"scored": 3, "unparsed": 0, "error": 0}
    assert (found.metrics["accuracy"].value, found.metrics["random/accuracy"].value) == (50, 100)
    assert {path.name for path in files.iterdir()} == {"rows.jsonl", "responses.jsonl"}


def test_samples_have_the_ids_and_the_order_of_the_rows(command: Command, files: Path) -> None:
    command(*POPE, "--per-sample", "new/samples.jsonl")
    scores = [Score.model_validate_json(line) for line in (files / "new/samples.jsonl").read_text().splitlines()]
    assert [(score.sample_id, score.values["correct"]) for score in scores] == [("a", 1), ("7", 1), ("c", 0)]


def test_a_person_sees_every_metric(command: Command) -> None:
    said = command(*POPE, "--label", "their model")
    assert "their model" in said.out
    assert all(
        word in said.out for word in ("3 of 9000", "partial: only", "official protocol", "popular/accuracy", "f1")
    )


def test_rows_without_ids_have_the_evaluators(command: Command, files: Path) -> None:
    write(files / "rows.jsonl", [{"question_id": 5, **ROWS[0], "id": None}, {"question_id": 6, **ROWS[2], "id": None}])
    write(files / "responses.jsonl", [{"id": "random/5", "response": "yes"}, {"id": "popular/6", "response": "no"}])
    assert result(command(*POPE, "--json")).metrics["accuracy"].value == 100


def test_answers_may_name_the_evaluators_ids_where_rows_have_others(command: Command, files: Path) -> None:
    rows = [row | {"question_id": number} for number, row in enumerate(ROWS)]
    write(files / "rows.jsonl", rows)
    write(
        files / "responses.jsonl", [{"id": f"{row['category']}/{row['question_id']}", "response": ""} for row in rows]
    )
    assert result(command(*POPE, "--json")).n == 3


def test_a_missing_answer_is_an_error_and_in_no_mean(command: Command, files: Path) -> None:
    write(files / "responses.jsonl", SAID[:2])
    found = result(command(*POPE, "--json", "--per-sample", "samples.jsonl"))
    assert found.counts == {"scored": 2, "unparsed": 0, "error": 1}
    assert found.metrics["accuracy"].value == 100
    last = json.loads((files / "samples.jsonl").read_text().splitlines()[-1])
    assert (last["sample_id"], last["status"], last["reason"], last["values"]) == ("c", "error", "no response", {})


def test_the_protocol_is_the_tasks_first_unless_named(command: Command) -> None:
    assert result(command(*POPE, "--json")).protocol == "official"
    assert result(command(*POPE, "--json", "--protocol", "lmms-eval")).metrics["accuracy"].value == pytest.approx(
        100 / 3
    )


def test_numbers_and_lists_where_others_write_them(command: Command, files: Path) -> None:
    rows = [
        {"id": "validation_Math_1", "options": "['1', '2']", "answer": "B", "question_type": "multiple-choice"},
        {"id": "validation_Math_2", "options": [1, 2], "answer": ["A", "B"], "question_type": "multiple-choice"},
        {"id": "validation_Math_3", "options": [], "answer": 8.4, "question_type": "open"},
        {"id": "validation_Art_1", "options": "[]", "answer": ["x", "7"], "question_type": "open"},
    ]
    write(files / "rows.jsonl", rows)
    replies = ("B", "(A)", "so it is 8.40", "7")
    given = [{"id": row["id"], "response": reply} for row, reply in zip(rows, replies, strict=True)]
    write(files / "responses.jsonl", given)
    found = result(command("score", "--task", "mmmu", *POPE[3:], "--json"))
    assert {name: metric.value for name, metric in found.metrics.items()} == {
        **dict.fromkeys(("accuracy", "Science", "Math", "Art and Design", "Art"), 100)
    }


@pytest.mark.parametrize("suffix", [".parquet", ".json", ".csv"])
def test_rows_in_other_files(command: Command, files: Path, suffix: str) -> None:
    import pandas

    table = pandas.DataFrame([{**row, "id": str(row["id"]), "image": None, "question": "?"} for row in ROWS])
    path = files / f"rows{suffix}"
    if suffix == ".parquet":
        table.to_parquet(path)
    elif suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        path.write_text(table.to_json(orient="records"))
    assert result(command(*POPE[:4], path, *POPE[5:], "--json")).metrics["accuracy"].value == 50


def test_one_row_may_make_several_samples(command: Command, files: Path) -> None:
    asked = [{"question": "Is it red?", "answer": "yes"}, {"question": "What is it?", "answer": "a cat"}]
    write(files / "rows.jsonl", [{"id": "x", "caption": "a cat", "questions": asked}])
    write(files / "responses.jsonl", [{"id": "x/0", "response": "Yes"}, {"id": "x/1", "response": "cat."}])
    assert result(command("score", "--task", "homologous-u", *POPE[3:], "--json")).metrics["accuracy"].value == 1


def test_detections_are_scored_without_a_judge(command: Command, files: Path) -> None:
    write(files / "rows.jsonl", [ONE, COLORED])
    said = [("p", 0, detected(0.5)), ("p", 1, detected(0.2)), ("q", 0, detected(0.9, color="red"))]
    said += [("q", 1, detected(0.9))]
    write(files / "responses.jsonl", [{"id": name, "index": k, "judgement": data} for name, k, data in said])
    found = result(command(*GENEVAL, "--json", "--per-sample", "samples.jsonl"))
    assert (found.judge, found.n, found.n_expected) == ("given", 3, 2 * 553)
    assert {name: found.metrics[name].value for name in ("single_object", "colors")} == {
        "single_object": 0.5,
        "colors": 1.0,
    }
    last = json.loads((files / "samples.jsonl").read_text().splitlines()[-1])
    assert (last["status"], "has none" in last["reason"]) == ("error", True)


def test_dpg_benchs_table_is_taken_as_it_is(command: Command, files: Path) -> None:
    (files / "rows.csv").write_text(DPG_CSV)
    judged = [("first", {"1": "no", "2": "yes"}), ("second", {1: "yes"})]
    write(files / "responses.jsonl", [{"id": item, "judgement": {"answers": said}} for item, said in judged])
    official = result(command(*DPG, "--json"))
    assert (official.metrics["overall"].value, official.counts["error"]) == (100, 0)
    assert result(command(*DPG, "--json", "--protocol", "corrected")).metrics["overall"].value == 75


def test_an_answer_that_the_protocol_needs_and_has_not_is_an_error(command: Command, files: Path) -> None:
    (files / "rows.csv").write_text(DPG_CSV)
    judged = [("first", {"2": "yes"}), ("second", {})]
    write(files / "responses.jsonl", [{"id": item, "judgement": {"answers": said}} for item, said in judged])
    official = result(command(*DPG, "--json"))
    assert (official.counts["scored"], official.counts["error"]) == (1, 1)
    assert official.metrics["overall"].value == 100
    said = command(*DPG, "--json", "--protocol", "corrected")
    assert said.code == 2  # nothing could be scored
    corrected = Result.model_validate(json.loads(said.out))
    assert (corrected.counts["error"], corrected.metrics) == (2, {})


def test_no_torch_without_a_judge(python: Callable[..., "subprocess.CompletedProcess[str]"], files: Path) -> None:
    run = "import sys; sys.argv = ['hermes', *sys.argv[1:]]\nfrom hermes.cli import main\ntry: main()\nfinally: "
    done = python("-c", f"{run}sys.stderr.write(str('torch' in sys.modules))", *POPE, "--json", "-q", "--out", "run")
    assert (done.returncode, done.stderr) == (0, "False")


def draw_answers(folder: Path, colors: Sequence[str]) -> list[dict[str, Any]]:
    """Flat pictures for the third party's benchmark, two a prompt."""
    for k, color in enumerate(colors):
        Image.new("RGB", (4, 4), color).save(folder / f"{k}.png")
    return [{"id": k // 2, "index": k % 2, "image": f"{k}.png"} for k in range(len(colors))]


@pytest.fixture
def drawn(files: Path) -> Sequence[str]:
    """The third party's prompts with two images each; the last one is gone."""
    write(files / "rows.jsonl", [{"id": k, "color": color} for k, color in enumerate(("red", "blue"))])
    write(files / "responses.jsonl", draw_answers(files, ("red", "green", "blue", "blue")))
    (files / "3.png").unlink()
    return ("score", "--task", "theirs-drawing", *POPE[3:], "--device", "cpu", "--judge", "theirs-judge")


def test_images_are_judged_once_and_the_run_is_kept(
    command: Command, files: Path, drawn: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hermes.harness.system import registry

    found = result(command(*drawn, "--json"))
    assert (found.judge, found.counts) == ("theirs-judge-1", {"scored": 3, "unparsed": 0, "error": 1})
    assert found.metrics["accuracy"].value == pytest.approx(200 / 3)
    (folder,) = (files / "runs" / "scored").iterdir()
    names = {"spec.json", "run.json", "environment.jsonl", "results.json", "report.md", "answers"}
    assert names <= {path.name for path in folder.iterdir()}
    assert place(folder, "theirs-drawing", "judgements").is_dir()
    monkeypatch.setattr(registry.load_class("judges", "theirs-judge"), "answer", lambda *_: pytest.fail("asked again"))
    assert result(command(*drawn, "--json", "--label", "theirs")) == found
    board = command("leaderboard", "runs").out
    assert "| theirs |" in board
    assert "partial and not ranked: theirs-drawing 3 of 30" in board
    assert "files-" in board


def test_a_kept_run_is_scored_again_under_another_protocol(command: Command, files: Path) -> None:
    assert command(*POPE, "--out", "run").code == 0
    before = results(files / "run")
    assert command("score", "run", "--protocol", "lmms-eval").code == 0
    (scored,) = (files / "run" / "scored").iterdir()
    after = content(scored)
    assert after["results"]["pope"]["protocol"] == "lmms-eval"
    assert after["results"]["pope"]["metrics"]["accuracy"]["value"] == pytest.approx(100 / 3)
    assert command("score", "run").code == 0
    assert results(files / "run") == before
    board = command("leaderboard", "run").out
    assert all(run["run_id"] in board for run in (after, content(files / "run")))
    for report, other in ((files / "run", scored), (scored, files / "run")):
        also = (report / "report.md").read_text().split("### Also scored")[1].split("###")[0]
        assert content(other)["run_id"] in also
    refuse(command("score", "run", "--protocol", "corrected"), "no protocol 'corrected'", "lmms-eval")
    write(files / "rows.jsonl", ROWS[:2])
    refuse(command("score", "run"), "the data of pope has changed")


def test_given_judgements_are_kept_and_scored_again(command: Command, files: Path) -> None:
    (files / "rows.csv").write_text(DPG_CSV)
    judged = [("first", {"2": "yes"}), ("second", {"1": "no"})]
    write(files / "responses.jsonl", [{"id": item, "judgement": {"answers": said}} for item, said in judged])
    assert command(*DPG, "--out", "run").code == 0
    assert command(*DPG, "--out", "run").code == 0
    assert command("score", "run", "--protocol", "corrected").code == 0
    (scored,) = (files / "run" / "scored").iterdir()
    found = content(scored)["results"]["dpg_bench"]
    assert (found["judge"], found["counts"]) == ("given", {"scored": 1, "unparsed": 0, "error": 1})
    assert found["metrics"]["overall"]["value"] == 0


def test_a_folder_keeps_one_set_of_answers(command: Command, files: Path) -> None:
    assert command(*POPE, "--out", "run").code == 0
    assert command(*POPE, "--out", "run").code == 0
    before = results(files / "run")
    assert len((place(files / "run", "pope") / "responses.0.jsonl").read_text().splitlines()) == 3
    write(files / "responses.jsonl", [entry | {"response": "no"} for entry in SAID])
    refuse(command(*POPE, "--out", "run"), "holds another run", "--fresh")
    assert results(files / "run") == before
    assert command(*POPE, "--out", "run", "--fresh").code == 0
    assert results(files / "run") != before
    assert len(list(files.glob("run/answers/*"))) == 1


def test_an_answer_that_cannot_be_read_is_kept_once(command: Command, files: Path, drawn: Sequence[str]) -> None:
    for _ in range(3):
        assert result(command(*drawn, "--json", "--out", "run")).counts["error"] == 1
    assert len((place(files / "run", "theirs-drawing") / "responses.0.jsonl").read_text().splitlines()) == 4


def test_the_function_does_what_the_command_does(files: Path) -> None:
    found = hermes.score(task="pope", data="rows.jsonl", responses="responses.jsonl", label="mine")
    assert (found["label"], found["folder"], found["partial"]) == ("mine", None, True)
    assert found["results"]["pope"].metrics["accuracy"].value == 50


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), ["nothing to score", "--task", "--responses"]),
        (("run", "--task", "pope"), ["leave out --task"]),
        (("run", "--json"), ["leave out --json"]),
        (("--task", "pope"), ["--responses"]),
        (("--responses", "responses.jsonl"), ["--task"]),
        ((*POPE[1:3], *POPE[5:]), ["'pope' needs its rows", "--data"]),
        (("--task", "popes", *POPE[3:]), ["unknown evaluator 'popes'"]),
        ((*POPE[1:], "--protocol", "corrected"), ["'pope' has no protocol 'corrected'", "lmms-eval"]),
        ((*POPE[1:], "--pic-num", "0"), ["--pic-num must be a number of images from 1 to 100, not 0"]),
        ((*POPE[1:], "--grid", "2"), ["--grid must be columns x rows", "'2'"]),
        ((*POPE[1:], "--grid", "2x2", "--pic-num", "3"), ["--grid 2x2 holds 4 images, not the 3 of --pic-num"]),
        ((*POPE[1:], "--resolution", "0"), ["--resolution"]),
        ((*POPE[1:4], "no.jsonl", *POPE[5:]), ["no.jsonl does not exist"]),
        ((*POPE[1:6], "no.jsonl"), ["no.jsonl does not exist"]),
        ((*POPE[1:4], "responses.jsonl", *POPE[5:]), ["row 1 has no column 'answer'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_word(command: Command, arguments: Sequence[str], said: list[str]) -> None:
    refuse(command("score", *arguments), *said)


def test_how_files_were_cut_is_said_beside_the_json_but_not_to_the_quiet(command: Command, files: Path) -> None:
    (files / "rows.csv").write_text(DPG_CSV)
    (files / "pictures").mkdir()
    for name in ("first", "second"):
        Image.new("RGB", (96, 96)).save(files / "pictures" / f"{name}.png")
    asked = (*DPG[:6], "pictures", "--judge", "theirs-coin", "--json")
    said, quiet = command(*asked), command(*asked, "-q")
    assert said.err.splitlines()[-1] == "images: 2 files cut 2 x 2 (columns x rows)"
    assert quiet == (0, said.out, "")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([*SAID, {"id": "d", "response": "no"}], ["line 4", "no row has the id 'd'", "a, 7, c"]),
        ([*SAID, SAID[0]], ["line 4", "'a', index 0 again", "line 1"]),
        ([*SAID, {"id": 7, "response": "no"}], ["line 4", "'7', index 0 again"]),
        (["{"], ["line 1 is not valid JSON"]),
        (["[" * 9999], ["line 1 is not valid JSON"]),
        (['{"id": "a", "response": "\\ud800"}'], ["line 1 is not valid JSON"]),
        (["7"], ["line 1 is not an object"]),
        ([{"id": "a"}], ["line 1 holds id", '"response"', '"judgement"']),
        ([{"response": "yes"}], ["line 1 holds response"]),
        ([{"id": "a", "response": "yes", "image": "a.png"}], ["line 1", "expected"]),
        ([{"id": None, "response": "yes"}], ["line 1: id must be text or a whole number"]),
        ([{"id": "a", "response": 1}], ["line 1: response must be text, not int"]),
        ([{"id": "a", "response": None}], ["line 1: response must be text"]),
        ([{"id": "a", "index": -1, "response": ""}], ["line 1: index must be a whole number"]),
        ([{"id": "a", "index": 10**9, "response": ""}], ["line 1: index must be a whole number"]),
        ([{"id": "a", "index": 1, "response": ""}], ["line 1", "highest index"]),
        ([{"id": "a", "image": "a.png"}], ["line 1", "'pope' is answered with \"response\""]),
        ([{"id": "a", "judgement": {}}], ["line 1", "'pope' is answered with \"response\""]),
        ([], ["holds no answers"]),
    ],
    ids=str,
)
def test_bad_responses(command: Command, files: Path, lines: list[Any], said: list[str]) -> None:
    write(files / "responses.jsonl", lines)
    refuse(command(*POPE, "--json"), "responses.jsonl", *said)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([ROWS[0], ROWS[0]], ["'a' stands in two rows"]),
        ([{"id": ["a"], "answer": "yes", "category": "random"}], ["row 1: id must be text or a whole number"]),
        ([{"id": "a", "answer": "maybe", "category": "random"}], ["answer is 'maybe'"]),
        ([{"id": "a", "category": "random"}], ["row 1 has no column 'answer'"]),
        ([ROWS[0], "{"], ["row 2 is not valid JSON"]),
        ([], ["no rows for pope"]),
    ],
    ids=str,
)
def test_bad_rows(command: Command, files: Path, rows: list[Any], said: list[str]) -> None:
    write(files / "rows.jsonl", rows)
    refuse(command(*POPE), "rows.jsonl" if "maybe" not in str(said) else "pope", *said)


@pytest.mark.parametrize(
    ("judgement", "said"),
    [
        ([], ["line 1: judgement must be an object"]),
        ({}, ['"detections"']),
        ({"detections": []}, ['"detections"']),
        ({"detections": {"cup": {}}}, ['"detections"']),
        ({"detections": {"cup": [7]}}, ["a box of 'cup'"]),
        ({"detections": {"cup": [{"box": [0, 0, 9], "score": 1}]}}, ["a box of 'cup'", "[x0, y0, x1, y1]"]),
        ({"detections": {"cup": [{"box": [0, 0, 9, "9"], "score": 1}]}}, ["a box of 'cup'"]),
        ({"detections": {"cup": [{"box": [0, 0, 9, 9]}]}}, ["a box of 'cup'", '"score"']),
        ({"detections": {"cup": [{"box": [0, 0, 9, 9], "score": True}]}}, ["a box of 'cup'"]),
        ({"detections": {"cup": [{"box": [0, 0, 9, 9], "score": float("nan")}]}}, ["a box of 'cup'"]),
        ({"detections": {"cup": [{"box": [0, 0, 9, 9], "score": 1, "color": 3}]}}, ["color of a box of 'cup'"]),
    ],
    ids=str,
)
def test_bad_detections(command: Command, files: Path, judgement: Any, said: list[str]) -> None:
    write(files / "rows.jsonl", [ONE])
    write(files / "responses.jsonl", [{"id": "p", "judgement": judgement}])
    refuse(command(*GENEVAL), "line 1", *said)


@pytest.mark.parametrize(
    ("judgement", "said"),
    [
        ({"answers": ["yes"]}, ['{"answers": {question id: text}}']),
        ({"answers": {"1": True}}, ['{"answers": {question id: text}}']),
        ({"answers": {"1": "yes", "3": "no"}}, ["there is no question '3'", "1, 2"]),
        ({"answers": {"one": "yes"}}, ["there is no question 'one'"]),
    ],
    ids=str,
)
def test_bad_answers_of_a_judge(command: Command, files: Path, judgement: Mapping[str, Any], said: list[str]) -> None:
    (files / "rows.csv").write_text(DPG_CSV)
    write(files / "responses.jsonl", [{"id": "first", "judgement": judgement}])
    refuse(command(*DPG), "line 1", *said)


def test_bad_images_and_judges(command: Command, files: Path, drawn: Sequence[str]) -> None:
    refuse(command(*drawn[:-1], "nobody"), "unknown judge 'nobody'")
    refuse(command(*drawn[:-1], "self"), "judge 'self' is the evaluated model")
    write(files / "responses.jsonl", [{"id": 0, "image": 7}])
    refuse(command(*drawn), "line 1: the image is")
    write(files / "responses.jsonl", [{"id": 0, "response": "red"}])
    refuse(command(*drawn), "line 1", '"image" or "judgement"')
    write(files / "responses.jsonl", [{"id": 0, "image": "0.png"}, {"id": 1, "judgement": {"color": "red"}}])
    refuse(command(*drawn), "line 2 holds a judgement", "line 1 an image")


def test_places_that_cannot_be_written_to(command: Command, files: Path) -> None:
    refuse(command(*POPE, "--out", "rows.jsonl"), "rows.jsonl cannot be written to")
    refuse(command(*POPE, "--per-sample", "rows.jsonl/samples.jsonl"), "cannot be written")
    assert (files / "rows.jsonl").read_text().startswith("{")
