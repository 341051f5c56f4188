"""The files of benchmarks' authors and of other harnesses as users have them, through the command line."""

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.harness.data.official.vqa import vqa_rows
from hermes.harness.records.types import Result
from hermes.harness.system.errors import HermesError
from hermes.shapes.draw import draw
from hermes.shapes.scene import scenes

Command = Callable[..., Any]
ASKED = "\nAnswer the question using a single word or phrase."
VAL, SAID = "v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json"
SAMPLINGS = ("random", "popular", "adversarial")


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def lines(path: Path, entries: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


@pytest.fixture
def score(command: Command) -> Callable[..., Result]:
    """The result of `hermes score` for a task, rows and answers."""

    def run(task: str, data: str, responses: str, *more: Any) -> Result:
        said = command("score", "--task", task, "--data", data, "--responses", responses, "--json", *more)
        assert said.code == 0, said.err
        return Result.model_validate(json.loads(said.out))

    return run


@pytest.fixture
def check(command: Command) -> Callable[..., dict[str, Any]]:
    """What `hermes data check` finds."""

    def run(task: str, data: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(command("data", "check", task, "--data", data, "--json").out)
        return found

    return run


def kinds(found: dict[str, Any]) -> list[str]:
    return [problem["kind"] for problem in found["problems"] if problem["kind"] != "wrong number of samples"]


def asked(number: int) -> dict[str, Any]:
    return {"question_id": number, "image_id": number // 10, "question": f"What is {number}?"}


def annotated(number: int, answer: str = "red") -> dict[str, Any]:
    people = [{"answer": answer, "answer_confidence": "yes", "answer_id": one} for one in range(1, 11)]
    kind = {"question_type": "what", "answer_type": "other", "multiple_choice_answer": answer}
    return {"question_id": number, "image_id": number // 10, **kind, "answers": people}


@pytest.fixture
def vqa(tmp_path: Path) -> Path:
    """A folder with the validation's files in one order, and the training's with other answers beside them."""
    numbers = (420, 421, 422)
    write(tmp_path / VAL, {"info": {"year": 2017}, "questions": [asked(number) for number in numbers]})
    write(tmp_path / SAID, {"info": {}, "annotations": [annotated(number) for number in numbers]})
    train = [annotated(number, "blue") for number in numbers]
    write(tmp_path / VAL.replace("val", "train"), {"questions": [asked(number) for number in numbers]})
    write(tmp_path / SAID.replace("val", "train"), {"annotations": train})
    write(tmp_path / "results.json", [{"question_id": number, "answer": "red"} for number in numbers])
    picture(tmp_path / "val2014" / "COCO_val2014_000000000042.jpg")
    return tmp_path


@pytest.mark.parametrize("data", [".", VAL, SAID])
def test_vqas_files_are_rows_and_answers(vqa: Path, score: Callable[..., Result], data: str) -> None:
    found = score("vqav2", data, "results.json")
    assert (found.metrics["accuracy"].value, found.n) == (100, 3)


def test_vqas_rows_have_questions_and_images(vqa: Path, check: Callable[..., dict[str, Any]]) -> None:
    found = check("vqav2", ".")
    assert (found["n"], found["images"], kinds(found)) == (3, 1, [])
    rows = list(vqa_rows(vqa, ("answers",), "validation") or ())
    assert [row["question"] for row in rows] == ["What is 420?", "What is 421?", "What is 422?"]
    assert rows[0]["image"] == str(vqa / "val2014" / "COCO_val2014_000000000042.jpg")


def test_vqas_files_may_have_other_orders_and_other_questions(vqa: Path, score: Callable[..., Result]) -> None:
    write(vqa / VAL, {"questions": [asked(number) for number in (422, 9, 420, 421)]})
    write(vqa / SAID, {"annotations": [annotated(number) for number in (420, 8, 422)]})
    lines(
        vqa / "llava.jsonl", [{"question_id": n, "prompt": f"What is {n}?{ASKED}", "text": "red"} for n in (422, 420)]
    )
    found = score("vqav2", ".", "llava.jsonl")
    assert (found.metrics["accuracy"].value, found.n, found.counts["error"]) == (100, 2, 0)


def test_annotations_alone_are_enough_to_score(vqa: Path, score: Callable[..., Result]) -> None:
    (vqa / VAL).unlink()
    assert score("vqav2", SAID, "results.json").metrics["accuracy"].value == 100


def test_questions_without_annotations_are_refused_but_for_test_dev(
    vqa: Path, command: Command, check: Callable[..., dict[str, Any]]
) -> None:
    write(vqa / "dev" / "v2_OpenEnded_mscoco_test-dev2015_questions.json", {"questions": [asked(420)]})
    write(vqa / "dev" / "v2_OpenEnded_mscoco_test2015_questions.json", {"questions": [asked(420), asked(421)]})
    said = command("data", "check", "vqav2", "--data", "dev/v2_OpenEnded_mscoco_test2015_questions.json")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "the annotations, which hold the answers, are not beside it" in said.err
    assert check("vqav2-testdev", "dev")["n"] == 1


def test_a_file_that_could_be_two_is_named(vqa: Path) -> None:
    write(vqa / "OpenEnded_mscoco_val2014_questions.json", {"questions": [asked(1)]})
    with pytest.raises(HermesError, match="several files of questions"):
        vqa_rows(vqa, ("answers",), "validation")


def test_vqas_bad_elements_are_listed(vqa: Path, check: Callable[..., dict[str, Any]]) -> None:
    write(vqa / VAL, {"questions": [asked(420), 7, asked(422)]})
    found = check("vqav2", ".")
    assert (found["n"], found["problems"][0]["examples"]) == (2, [f"{VAL}: questions 2 is not an object; fix it"])


def test_the_tasks_own_file_comes_first(vqa: Path, score: Callable[..., Result]) -> None:
    lines(vqa / "vqav2.jsonl", [annotated(420, "green")])
    lines(vqa / "one.jsonl", [{"id": 420, "response": "red"}])
    assert score("vqav2", ".", "one.jsonl").metrics["accuracy"].value == 0


def gqa_question(answer: str, **more: Any) -> dict[str, Any]:
    return {"imageId": "n1", "question": "Is it red?", "answer": answer, **more}


@pytest.fixture
def gqa(tmp_path: Path) -> Path:
    balanced = {"isBalanced": True, "fullAnswer": "Yes.", "types": {"structural": "verify"}, "semantic": []}
    questions = {"20a": gqa_question("yes", **balanced), "21": gqa_question("2", **balanced)}
    write(tmp_path / "testdev_balanced_questions.json", questions)
    write(tmp_path / "val_balanced_questions.json", {"9": gqa_question("no")})
    write(
        tmp_path / "predictions.json", [{"questionId": "20a", "prediction": "yes"}, {"questionId": 21, "prediction": 2}]
    )
    picture(tmp_path / "images" / "n1.jpg")
    return tmp_path


@pytest.mark.parametrize("data", [".", "testdev_balanced_questions.json"])
def test_gqas_files_are_rows_and_answers(
    gqa: Path, score: Callable[..., Result], check: Callable[..., dict[str, Any]], data: str
) -> None:
    found = score("gqa", data, "predictions.json")
    assert (found.metrics["accuracy"].value, found.metrics["binary"].n, found.n) == (100, 2, 2)
    checked = check("gqa", data)
    assert (checked["n"], checked["images"], kinds(checked)) == (2, 1, [])


def test_gqas_questions_need_no_more_than_an_answer(gqa: Path, check: Callable[..., dict[str, Any]]) -> None:
    write(gqa / "few.json", {"1": gqa_question("yes"), "2": "broken"})
    found = check("gqa", "few.json")
    assert (found["n"], kinds(found)) == (1, ["bad row"])
    assert "question '2' is not an object" in found["problems"][0]["examples"][0]


def test_the_same_prediction_twice_is_refused(gqa: Path, command: Command) -> None:
    write(gqa / "twice.json", [{"questionId": "21", "prediction": "2"}] * 2)
    said = command("score", "--task", "gqa", "--data", ".", "--responses", "twice.json")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "answer 2 answers id '21', index 0 again (first in twice.json answer 1); keep one" in said.err


@pytest.fixture
def tifa(tmp_path: Path) -> Path:
    """TIFA's three files, with right images in a folder of their own."""
    scene = next(iter(scenes("test", 1, 0)))
    color, shape = scene.objects[0].color, scene.objects[0].shape
    question = {"id": "a_1", "caption": "a scene", "element": "x", "element_type": "color"}
    question |= {"question": f"What color is the {shape}?", "choices": [color, "none"], "answer": color}
    write(tmp_path / "t" / "question_answers.json", [question])
    write(tmp_path / "t" / "text_inputs.json", [{"id": "a_1", "caption": "a scene"}])
    write(tmp_path / "t" / "imgs.json", {"a_1": "imgs/a_1.png"})
    (tmp_path / "t" / "imgs").mkdir()
    draw(scene).save(tmp_path / "t" / "imgs" / "a_1.png")
    return tmp_path


@pytest.mark.parametrize("pretty", [True, False])
def test_tifas_three_files(tifa: Path, score: Callable[..., Result], pretty: bool) -> None:
    (tifa / "t" / "imgs.json").write_text(json.dumps({"a_1": "imgs/a_1.png"}, indent=4 if pretty else None))
    found = score("tifa", "t", "t/imgs.json", "--judge", "oracle")
    assert (found.metrics["tifa_average"].value, found.n, found.counts["error"]) == (1, 1, 0)


def test_images_that_tifas_object_names_from_its_scripts_folder_are_found(
    tifa: Path, score: Callable[..., Result]
) -> None:
    write(tifa / "t" / "imgs.json", {"a_1": "t/imgs/a_1.png"})
    assert score("tifa", "t", "t/imgs.json", "--judge", "oracle").metrics["tifa_average"].value == 1


def test_several_images_of_one_prompt(tifa: Path, score: Callable[..., Result]) -> None:
    write(tifa / "t" / "imgs.json", {"a_1": ["imgs/a_1.png", "imgs/gone.png"]})
    found = score("tifa", "t", "t/imgs.json", "--judge", "oracle")
    assert found.counts == {"scored": 1, "unparsed": 0, "error": 1}


def test_tifas_captions_come_from_either_file_and_must_agree(tifa: Path, check: Callable[..., dict[str, Any]]) -> None:
    path = tifa / "t" / "question_answers.json"
    (question,) = json.loads(path.read_text())
    write(path, [{key: value for key, value in question.items() if key != "caption"}])
    assert (check("tifa", "t")["n"], kinds(check("tifa", "t"))) == (1, [])
    write(path, [question | {"caption": "another"}])
    found = check("tifa", "t")
    assert kinds(found) == ["bad row"]
    assert "the caption of 'a_1' is another one in text_inputs.json" in found["problems"][0]["examples"][0]


@pytest.fixture
def pope(tmp_path: Path) -> Path:
    """POPE's files in coco/, LLaVA's list, and answers to it that are right in the first two samplings."""
    listed = []
    for sampling in reversed(SAMPLINGS):
        questions = [(f"COCO_val2014_{k // 2:012d}.jpg", f"Is there a {sampling} {k}?") for k in range(4)]
        labels = ("yes", "no", "yes", "no")
        lines(
            tmp_path / "coco" / f"coco_pope_{sampling}.json",
            [
                {"question_id": k + 1, "image": image, "text": text, "label": labels[k]}
                for k, (image, text) in enumerate(questions)
            ],
        )
        listed += [{"image": image, "text": text + ASKED, "category": sampling} for image, text in questions]
    listed = [{"question_id": number, **entry} for number, entry in enumerate(listed)]
    lines(tmp_path / "llava_pope_test.jsonl", listed)
    said = [{"question_id": entry["question_id"], "prompt": entry["text"]} for entry in listed]
    lines(
        tmp_path / "answers" / "m.jsonl",
        [{**entry, "text": "Yes" if k % 2 == 0 or k >= 8 else "No", "model_id": "m"} for k, entry in enumerate(said)],
    )
    for k in range(2):
        picture(tmp_path / "val2014" / f"COCO_val2014_{k:012d}.jpg")
    return tmp_path


@pytest.mark.parametrize("data", [".", "llava_pope_test.jsonl"])
def test_llavas_answers_to_its_list_of_popes_questions(
    pope: Path, score: Callable[..., Result], check: Callable[..., dict[str, Any]], data: str
) -> None:
    found = score("pope", data, "answers/m.jsonl")
    shares = [found.metrics[f"{sampling}/accuracy"].value for sampling in SAMPLINGS]
    assert (found.n, shares) == (12, [50, 100, 100])
    checked = check("pope", data)
    assert (checked["n"], checked["images"], kinds(checked)) == (12, 2, [])


def test_llavas_list_of_another_commit_is_told(pope: Path, check: Callable[..., dict[str, Any]]) -> None:
    (pope / "coco" / "coco_pope_random.json").unlink()
    found = check("pope", ".")
    assert (found["n"], kinds(found), found["problems"][0]["count"]) == (8, ["bad row"], 4)
    assert "row 9 is in none of POPE's files" in found["problems"][0]["examples"][0]


def test_llavas_list_without_labels_is_refused(pope: Path, command: Command) -> None:
    for path in (pope / "coco").glob("*"):
        path.unlink()
    said = command("data", "check", "pope", "--data", ".")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "has no labels; put POPE's coco_pope_*.json beside it" in said.err


@pytest.mark.parametrize("name", ["llava_pope_test.jsonl", "coco/coco_pope_random.json"])
def test_files_of_questions_are_no_answers(pope: Path, command: Command, name: str) -> None:
    said = command("score", "--task", "pope", "--data", ".", "--responses", name)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "holds question_id, image, text" in said.err


def test_llavas_answers_to_mme_are_told_apart_by_their_questions(tmp_path: Path, score: Callable[..., Result]) -> None:
    rows = [
        {"question_id": f"existence/{k}.png", "question": f"Is it {word} {k}? Please answer yes or no."}
        | {"answer": "Yes" if word == "this" else "No", "category": "existence"}
        for k in range(2)
        for word in ("this", "that")
    ]
    lines(tmp_path / "mme.jsonl", rows)
    answers = [
        {"question_id": row["question_id"], "prompt": row["question"].removesuffix(" Please answer yes or no.") + ASKED}
        | {"text": row["answer"]}
        for row in reversed(rows)
    ]
    lines(tmp_path / "answers.jsonl", answers)
    assert score("mme", ".", "answers.jsonl").metrics["existence"].value == 200


def test_captions_in_cocos_form(tmp_path: Path, score: Callable[..., Result]) -> None:
    captions = ("a red dog runs", "two cats sleep", "one bird")
    rows = [f"{k},\"['{caption}' 'a {caption}']\"" for k, caption in enumerate(captions)]
    (tmp_path / "flickr30k.csv").write_text("img_id,caption\n" + "\n".join(rows) + "\n")
    write(tmp_path / "captions.json", [{"image_id": k, "caption": caption} for k, caption in enumerate(captions)])
    assert score("flickr30k", ".", "captions.json").metrics["bleu_1"].value == pytest.approx(100)


def test_mmmus_object_of_answers(tmp_path: Path, score: Callable[..., Result]) -> None:
    row = {"question": "q", "options": "['a' 'b']", "answer": "B", "question_type": "multiple-choice"}
    lines(tmp_path / "mmmu.jsonl", [row | {"id": f"validation_Art_{k}"} for k in range(2)])
    write(tmp_path / "out.json", {"validation_Art_1": "A", "validation_Art_0": "B"})
    assert score("mmmu", ".", "out.json").metrics["accuracy"].value == 50


def subject(path: Path, split: str, empty: Any = None) -> None:
    """A parquet file of two questions, each with one image."""
    import pandas as pd

    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"question": "Which <image 1>?", "options": "['a', 'b']", "question_type": "multiple-choice"}
    row |= {f"image_{k}": empty for k in range(2, 8)} | {"answer": "?" if split == "test" else "A"}
    place = "_".join(path.parts[-3:])
    data = [{"id": f"{place}_{k}", "image_1": {"bytes": png(k), "path": None}, **row} for k in range(2)]
    pd.DataFrame(data).to_parquet(path)


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name", ["{subject}/{split}-00000-of-00001.parquet", "{split}/{subject}.parquet", "{split}/{subject}/0000.parquet"]
)
def test_mmmus_folders_by_subject_and_by_split(tmp_path: Path, check: Callable[..., dict[str, Any]], name: str) -> None:
    for split in ("dev", "test", "validation"):
        for one in ("Art", "Math"):
            subject(tmp_path / "MMMU" / name.format(subject=one, split=split), split)
    found = check("mmmu", "MMMU")
    assert (found["n"], found["images"], kinds(found)) == (4, 4, [])


@pytest.mark.parametrize("empty", [None, {"bytes": None, "path": None}, {"bytes": None, "path": ""}])
def test_empty_images_of_a_parquet_file_are_none(
    tmp_path: Path, check: Callable[..., dict[str, Any]], empty: Any
) -> None:
    subject(tmp_path / "Art" / "rows.parquet", "validation", empty)
    found = check("mmmu", "Art/rows.parquet")
    assert (found["n"], found["images"], kinds(found)) == (2, 2, [])


@pytest.mark.parametrize("empty", ["", None, [], {}, {"path": ""}, float("nan")])
def test_empty_images_of_lines_are_none(tmp_path: Path, check: Callable[..., dict[str, Any]], empty: Any) -> None:
    picture(tmp_path / "p.png")
    row = {"id": "validation_Art_1", "question": "q", "options": ["a"], "answer": "A", "image_1": "p.png"}
    row |= {"question_type": "multiple-choice", **{f"image_{k}": empty for k in range(2, 8)}}
    lines(tmp_path / "mmmu.jsonl", [row])
    found = check("mmmu", ".")
    assert (found["n"], found["images"], kinds(found)) == (1, 1, [])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """What `save_to_disk` wrote: pope/ with two splits, and one/ with a single table."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    row = {"question": "Is there a cat?", "answer": "yes", "image_source": "a", "category": "random"}
    rows = [{"id": str(k), "question_id": str(k), "image": {"bytes": png(k), "path": None}, **row} for k in range(3)]
    table = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    datasets.DatasetDict({"test": table, "train": table.select([0])}).save_to_disk(str(tmp_path / "pope"))
    table.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": table, "dev": table}).save_to_disk(str(tmp_path / "odd"))
    return tmp_path


@pytest.mark.parametrize("data", [".", "pope", "pope/test", "one"])
def test_saved_data_sets(saved: Path, check: Callable[..., dict[str, Any]], data: str) -> None:
    found = check("pope", data)
    assert (found["n"], found["images"], kinds(found)) == (3, 3, [])


def test_saved_data_sets_are_scored(saved: Path, score: Callable[..., Result]) -> None:
    lines(saved / "answers.jsonl", [{"id": k, "response": "yes"} for k in range(3)])
    assert score("pope", "pope", "answers.jsonl").n == 3


def test_a_saved_data_set_without_the_split_is_refused(saved: Path, command: Command) -> None:
    said = command("data", "check", "pope", "--data", "odd")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "holds train, dev, not test" in said.err
    (saved / "one" / "data-00000-of-00001.arrow").write_bytes(b"torn")
    said = command("data", "check", "pope", "--data", "one")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "cannot be read as a saved data set" in said.err


def test_saved_homologous_items(tmp_path: Path, check: Callable[..., dict[str, Any]]) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    questions = [{"question": "Is there a cat?", "answer": "yes", "kind": "exists"}]
    rows = [{"id": str(k), "caption": "a cat", "questions": questions} for k in range(4)]
    rows = [row | {"image": {"bytes": png(k), "path": None}} for k, row in enumerate(rows)]
    table = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    datasets.DatasetDict({"test": table.select(range(3)), "train": table.select([3])}).save_to_disk(
        str(tmp_path / "items")
    )
    found = check("homologous-u", "items")
    assert (found["n"], found["images"], kinds(found)) == (3, 3, [])
