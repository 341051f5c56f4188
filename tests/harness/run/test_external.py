"""Answers from files: rows of which only the scored columns are left, names, judges that fail, and submissions."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.harness.data.answers import read_answers
from hermes.harness.data.cuts import Cutting
from hermes.harness.data.tables import load_data
from hermes.harness.records.types import Response, Score
from hermes.harness.run.outside.rows import scored_rows
from hermes.harness.run.outside.score import Scored, ScoreSettings, score_files
from hermes.harness.run.plan import Task
from hermes.harness.run.scoring import Entry, summarise
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError, JudgeError
from hermes.shapes.twins import twin_of

BY_COLUMN = ("words/", "question_type/")  # metrics of columns that need not be there
UNDERSTANDING = ("pope", "mme", "vqav2", "gqa", "mmmu", "flickr30k")


def write(path: Path, entries: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def score(folder: Path, task: str, rows: Iterable[Any], answers: Iterable[Any], **more: Any) -> Scored:
    data, given = write(folder / "rows.jsonl", rows), write(folder / "answers.jsonl", answers)
    return score_files(ScoreSettings(task=task, data=str(data), responses=given, runs=folder / "runs", **more))


def bare(row: Any, columns: Collection[str], scored: Collection[str]) -> dict[str, Any]:
    """The row without its pictures and all else that scoring does not need."""
    return {key: value for key, value in row.items() if key in scored or key not in columns}


@pytest.mark.parametrize("task", UNDERSTANDING)
def test_only_the_scored_columns_are_needed(tmp_path: Path, task: str) -> None:
    evaluator = registry.evaluator(task)
    full = load_data(evaluator, "shapes", "test")
    replies = [("yes", "no", "B", "red", "two", "a red circle")[k % 6] for k in range(full.info.n)]
    entries = (
        Entry(sample, 0, Response(sample_id=sample.id, index=0, seed=0, prompt_sha256="", text=reply))
        for sample, reply in zip(full.samples, replies, strict=True)
    )
    kept: list[Score] = []
    expected = summarise(Task(task, evaluator, {}, full, None), entries, 1, "official", None, kept.append)
    assert len(kept) == full.info.n
    columns, scored = evaluator.data.columns, evaluator.data.scored
    assert 0 < len(scored) < len(columns)
    rows = twin_of(evaluator).rows("test", 0)
    names = [row["id"] if task == "mmmu" else f"row {k}" for k, row in enumerate(rows)]
    found = score(
        tmp_path,
        task,
        [bare(row, columns, scored) | {"id": name} for row, name in zip(rows, names, strict=True)],
        [{"id": name, "response": reply} for name, reply in zip(names, replies, strict=True)],
    )
    assert [entry.sample_id for entry in found.scores] == names
    values = {name: metric.value for name, metric in found.result.metrics.items()}
    assert values == pytest.approx({name: expected.metrics[name].value for name in values})
    assert {name for name in set(expected.metrics) - set(values) if not name.startswith(BY_COLUMN)} == set()


def pope_rows(n: int, **more: Any) -> list[dict[str, Any]]:
    return [{"question_id": 10 + k, "answer": "yes", "category": "random", **more} for k in range(n)]


@pytest.mark.parametrize("name", [5, "5", 5.0])
def test_ids_are_compared_as_text(tmp_path: Path, name: Any) -> None:
    found = score(tmp_path, "pope", [{**pope_rows(1)[0], "id": name}], [{"id": "5", "response": "yes"}])
    assert found.scores[0].sample_id == "5"


def test_rows_without_ids_and_without_the_evaluators_columns_are_numbered(tmp_path: Path) -> None:
    rows = [{"answer": "yes"}, {"answer": "no"}]
    found = score(tmp_path, "gqa", rows, [{"id": 0, "response": "yes"}, {"id": 1, "response": "yes"}])
    assert [(entry.sample_id, entry.values["correct"]) for entry in found.scores] == [("0", 1), ("1", 0)]


def test_truths_in_a_csv_are_read(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,answer,isBalanced\na,yes,True\nb,yes,False\n")
    given = write(tmp_path / "answers.jsonl", [{"id": "a", "response": "yes"}, {"id": "b", "response": "no"}])
    settings = ScoreSettings(task="gqa", data=str(tmp_path / "rows.csv"), responses=given)
    assert score_files(settings).result.metrics["accuracy"].value == 100
    everything = score_files(settings.model_copy(update={"protocol": "lmms-eval"}))
    assert everything.result.metrics["accuracy"].value == 50


def test_half_an_id_column_is_none(tmp_path: Path) -> None:
    rows = [{**row, **more} for row, more in zip(pope_rows(2), ({"id": "a"}, {}), strict=True)]
    write(tmp_path / "rows.jsonl", rows)
    data = scored_rows(registry.evaluator("pope"), str(tmp_path / "rows.jsonl")).data
    assert [sample.id for sample in data.samples] == ["random/10", "random/11"]


def test_two_ways_of_naming_are_not_mixed(tmp_path: Path) -> None:
    rows = [row | {"id": f"mine-{k}"} for k, row in enumerate(pope_rows(3))]
    mixed = [{"id": name, "response": "yes"} for name in ("mine-0", "mine-1", "random/12")]
    with pytest.raises(HermesError, match=r"line 3: no row has the id 'random/12'.*mine-0"):
        score(tmp_path, "pope", rows, mixed)


def test_bad_images_in_the_rows_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"no picture")
    rows = pope_rows(1, image="torn.png", id="a") + pope_rows(1, image="", id="b", question_id=11)
    rows += pope_rows(1, image=None, id="c", question_id=12)
    found = score(tmp_path, "pope", rows, [{"id": name, "response": "yes"} for name in "abc"])
    assert found.result.counts["scored"] == 3


def test_answers_are_numbered_from_the_files_highest_index(tmp_path: Path) -> None:
    answers = [{"id": "a", "index": k, "image": "a.png"} for k in (0, 4)]
    assert read_answers(write(tmp_path / "answers.jsonl", answers), (), Cutting(), "generation").num_images == 5


def test_a_byte_order_mark_and_empty_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"id": "a", "response": ""}\n\n  \n{"id": "b", "response": "x"}')
    assert [answer.id for answer in read_answers(path, (), Cutting(), "understanding").given] == ["a", "b"]


def test_test_dev_has_no_score_but_a_submission(tmp_path: Path) -> None:
    rows = [{"id": k, "question_id": 100 + k, "image_id": 1, "question": "How many?"} for k in range(2)]
    answers = [{"id": k, "response": reply} for k, reply in enumerate(("Two.", "a cat"))]
    found = score(tmp_path, "vqav2-testdev", rows, answers, out=tmp_path / "run")
    assert found.result.counts["error"] == 0
    written = json.loads((tmp_path / "run" / "vqav2-testdev" / "submission.json").read_text())
    assert written == [{"question_id": 100, "answer": "2"}, {"question_id": 101, "answer": "cat"}]


@pytest.fixture
def drawn(plugins: None, tmp_path: Path) -> Callable[..., Scored]:
    """Three red pictures for the third party's benchmark, shown to its judge."""
    for k in range(3):
        Image.new("RGB", (4 + k, 4), "red").save(tmp_path / f"{k}.png")
    rows = [{"id": k, "color": "red"} for k in range(3)]
    answers = [{"id": k, "image": f"{k}.png"} for k in range(3)]

    def run(**more: Any) -> Scored:
        return score(tmp_path, "theirs-drawing", rows, answers, judge="theirs-judge", device="cpu", **more)

    return run


def test_an_image_that_the_judge_fails_on_is_an_error_and_asked_about_again(
    drawn: Callable[..., Scored], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = registry.load_class("judges", "theirs-judge")
    answer, asked = judge.answer, []

    def fails(self: Any, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        asked.extend(image.width for image in images)
        if any(image.width == 5 for image in images):
            raise JudgeError("the line is busy")
        return answer(self, images, questions)  # type: ignore[no-any-return]

    with monkeypatch.context() as patch:
        patch.setattr(judge, "answer", fails)
        first = drawn()
    assert [(entry.status, entry.reason) for entry in first.scores] == [
        ("scored", ""),
        ("error", "the line is busy"),
        ("scored", ""),
    ]
    asked.clear()
    monkeypatch.setattr(judge, "answer", lambda self, images, *_: asked.extend(images) or ["red"] * len(images))
    again = drawn()
    assert [image.width for image in asked] == [5]
    assert again.result.counts == {"scored": 3, "unparsed": 0, "error": 0}
    assert again.content["run_id"] == first.content["run_id"]


def test_other_images_are_another_run(drawn: Callable[..., Scored], tmp_path: Path) -> None:
    first = drawn()
    assert drawn(label="again").content["run_id"] == first.content["run_id"]
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "0.png")
    answers = (tmp_path / "answers.jsonl").read_text()
    other = drawn()
    assert (tmp_path / "answers.jsonl").read_text() == answers
    assert other.content["run_id"] != first.content["run_id"]
    assert other.result.metrics["accuracy"].value == pytest.approx(200 / 3)


def test_judgements_of_a_third_partys_form_are_scored(plugins: None, tmp_path: Path) -> None:
    rows = [{"id": 0, "color": "red"}]
    good = [{"id": 0, "judgement": {"color": "red"}}]
    assert score(tmp_path, "theirs-drawing", rows, good).result.metrics["accuracy"].value == 100


def asked_rows(n: int, **more: Any) -> list[dict[str, Any]]:
    """Rows with an id from 0 and a question_id from 1."""
    row = {"category": "random", "image_source": "a", **more}
    told = ((k, ("yes", "no", "no")[k % 3]) for k in range(n))
    return [{"id": k, "question_id": k + 1, "question": f"Is there a {k}?", "answer": a, **row} for k, a in told]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_lmms_evals_documents_are_the_rows_numbers_and_nothing_else(tmp_path: Path, first: int) -> None:
    rows = [row | {"id": row["question_id"]} for row in asked_rows(6)]
    answers = [{"doc_id": k, "resps": [[rows[k]["answer"]]], "filtered_resps": ["x"]} for k in range(first, 6)]
    found = score(tmp_path, "pope", rows, answers)
    assert (found.result.metrics["accuracy"].value, found.result.counts["error"]) == (100, first)


def test_a_document_that_asks_another_rows_question_is_refused(tmp_path: Path) -> None:
    told = [f"Is there a {k + 1}?\nAnswer briefly." for k in range(2)]
    answers = [{"doc_id": k, "filtered_resps": "yes", "input": text} for k, text in enumerate(told)]
    with pytest.raises(HermesError, match=r"row 1 answers 'Is there a 1\?', but row 1 of the data"):
        score(tmp_path, "pope", asked_rows(3), answers)
    unlike = [answer | {"input": "What do you see?"} for answer in answers]
    assert score(tmp_path, "pope", asked_rows(3), unlike).result.counts["error"] == 1


def test_rows_with_other_right_answers_are_refused_and_corrected_labels_are_not(tmp_path: Path) -> None:
    """Yes, no, no, yes, ...: rows that are shifted by one have other right answers in two of three."""
    rows = asked_rows(12)
    golds = [row["answer"] for row in rows]
    shifted = [{"doc_id": k, "filtered_resps": "yes", "target": golds[(k + 1) % 12].title()} for k in range(12)]
    with pytest.raises(
        HermesError, match=r"row 1 was scored against 'No', but its row of the data has 'yes', .* 8 of 12"
    ):
        score(tmp_path, "pope", rows, shifted)
    corrected = [{"doc_id": k, "filtered_resps": "yes", "target": gold} for k, gold in enumerate(golds)]
    corrected[0]["target"] = "no"
    assert score(tmp_path, "pope", rows, corrected).result.metrics["accuracy"].value == pytest.approx(100 / 3)


def test_an_id_that_fits_two_ways_is_refused(tmp_path: Path) -> None:
    answers = [{"question_id": k, "prompt": "q", "text": "yes"} for k in range(1, 3)]
    with pytest.raises(HermesError, match="line 1: the id '1' may mean row 2 or row 1 of the data"):
        score(tmp_path, "pope", asked_rows(3), answers)


@pytest.mark.parametrize(("ids", "right"), [((1, 2), 50), ((2, 3), 100)])
def test_questions_decide_where_an_id_fits_two_ways(tmp_path: Path, ids: Sequence[int], right: int) -> None:
    """Question 1 is row 0's, whose right answer is yes; the others' is no."""
    rows = asked_rows(3)
    told = {row["question_id"]: f"{row['question']}\nAnswer the question." for row in rows}
    answers = [{"question_id": k, "prompt": told[k], "text": "no"} for k in ids]
    assert score(tmp_path, "pope", rows, answers).result.metrics["accuracy"].value == right


def test_all_ids_fit_one_way_where_one_of_them_does(tmp_path: Path) -> None:
    answers = [{"question_id": k, "text": "no"} for k in range(3)]
    found = score(tmp_path, "pope", asked_rows(3), answers)
    assert [entry.values["correct"] for entry in found.scores] == [0, 1, 1]


def test_the_rows_and_a_run_over_them_have_one_hash(tmp_path: Path) -> None:
    """Without images, and under whatever names, the rows are those that a run sees."""
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    rows = asked_rows(3, image="a.png")
    run = load_data(registry.evaluator("pope"), str(write(tmp_path / "pope.jsonl", rows)), "test").info
    bare_rows = [{key: value for key, value in row.items() if key not in ("image", "id")} for row in rows]
    files = scored_rows(registry.evaluator("pope"), str(write(tmp_path / "bare.jsonl", bare_rows))).data.info
    named = scored_rows(registry.evaluator("pope"), str(tmp_path / "pope.jsonl")).data.info
    assert files.fingerprint == files.rows == named.rows == run.rows != run.fingerprint
    other = [row | {"answer": "yes"} for row in rows]
    changed = scored_rows(registry.evaluator("pope"), str(write(tmp_path / "other.jsonl", other))).data.info
    assert changed.rows != run.rows
