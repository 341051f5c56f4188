"""Unison's items asked both ways: its program's scores, its files as they are, and the drawn world's twin."""

import json
from pathlib import Path

import pytest
from asked import aggregated, golden, scored
from judged import assert_fit_generation_twin, response, score_images, score_judgements
from PIL import Image

from hermes.evaluators.unison import ASK, SYSTEM, YES_OR_NO, Generation, Swapped, Understanding
from hermes.evaluators.unison_ic import read_table
from hermes.harness.contracts.benchmark import Answer
from hermes.harness.data.tables import load_data
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Result
from hermes.harness.run.gap import unison_gaps
from hermes.harness.system.errors import HermesError

PICTURE = Image.new("RGB", (8, 8))
CLOSE = {"rel": 1e-12, "abs": 1e-12}


def item(name, *questions):
    return {"id": name, "prompt": f"a picture of {name}", "image": PICTURE, "questions": list(questions)}


def judgement_of(one):
    """What `hermes score` takes of an item of the program's table."""
    numbered = list(enumerate(one.questions, 1))
    return {
        "answers": {str(k): question.judged for k, question in numbered if question.text},
        "understanding": {str(k): question.answer for k, question in numbered if question.answer is not None},
        "drawn": one.drawn,
    }


def both_sides(items, protocol):
    """The scores of both sides of the items, which have questions all."""
    rows = [item(str(one.id), *(question.text for question in one.questions)) for one in items]
    said = [question.answer for one in items for question in one.questions]
    samples = zip(Understanding().samples(rows), said, strict=True)
    asked = [
        (sample, score)
        for sample, text in samples
        if text is not None
        for answer in [Answer(sample, response(sample.id, 0).model_copy(update={"text": text}))]
        for score in Understanding().scores([answer], protocol)
    ]
    evaluator = Generation()
    drawn = []
    for sample, one in zip(evaluator.samples(rows), items, strict=True):
        judgement = evaluator.read_judgement(sample, judgement_of(one))
        drawn += [
            (sample, score)
            for score in evaluator.scores([Answer(sample, response(sample.id, 0), None, judgement)], protocol)
        ]
    return asked, drawn


def value(metrics, name):
    found = metrics.get(name)
    return None if found is None or found.value != found.value else found.value / 100


@pytest.mark.parametrize("protocol", ["official", "corrected"])
def test_every_run_of_the_program_has_its_scores(protocol):
    for run in golden("unison_ic")["runs"]:
        items = read_table(run["rows"], run["existing_images"], run["judge_replies"].get)
        asked, drawn = both_sides([one for one in items if one.questions], protocol)
        found = {
            "u": value(aggregated(Understanding(), asked, protocol), "understanding"),
            "g": value(aggregated(Generation(), drawn, protocol), "generation"),
            "both": value(aggregated(Generation(), drawn, protocol), "unified"),
        }
        if protocol == "official":
            scores = run["expected_official"]["scores"]
            expected = {name: scores[f"{long}_score"] for name, long in LONG.items()}
            expected = {name: one if run["expected_official"]["details"] else None for name, one in expected.items()}
        else:
            told = run["expected_corrected"]
            expected = {"u": told["understanding"], "g": told["generation"], "both": told["both"]}
            table = unison_gaps(
                dict.fromkeys(("unison-u", "unison-g"), Result.model_construct()),
                lambda name, sides={"unison-u": asked, "unison-g": drawn}: [score for _, score in sides[name]],
            )
            cells = table["unison"]["unison-g"]["counts"] if table else dict.fromkeys(told["question_table"], 0)
            assert cells == told["question_table"], run["name"]
        assert found == {
            name: pytest.approx(one, **CLOSE) if one is not None else None for name, one in expected.items()
        }, run["name"]


LONG = {"u": "understanding", "g": "generation", "both": "unified"}


def test_a_question_is_asked_in_the_published_words_and_swapped_pictures_are_the_next_ones():
    rows = [
        item(name, f"{name} 1?", f"{name} 2?") | {"image": Image.new("RGB", (8, 8), name_)}
        for name, name_ in (("a", "red"), ("b", "green"), ("c", "blue"))
    ]
    asked = list(Understanding().samples(rows))
    assert [(one.id, one.prompt, one.target) for one in asked[:2]] == [
        ("a/1", f"a 1?{YES_OR_NO}", "yes"),
        ("a/2", f"a 2?{YES_OR_NO}", "yes"),
    ]
    swapped = list(Swapped().samples(rows))
    assert [one.id for one in swapped] == [one.id for one in asked]
    colours = [one.images[0].open().getpixel((0, 0)) for one in swapped[::2]]
    assert colours == [(0, 128, 0), (0, 0, 255), (0, 128, 0)]
    assert list(Swapped().samples(rows[:1])) == []


def test_a_model_that_always_says_yes_understands_all_and_denies_nothing():
    rows = [item(name, "1?", "2?") for name in "abc"]
    assert scored(Understanding(), rows, ["Yes."] * 6, "official")[1] == {"understanding": 100.0}
    assert scored(Swapped(), rows, ["Yes."] * 6, "official")[1] == {"denied": 0.0}
    scores, metrics = scored(Swapped(), rows, ["no", "hm"] * 3, "official")
    assert metrics == {"denied": 50.0}
    assert [score.status for score in scores] == ["scored", "unparsed"] * 3


def test_what_failed_counts_for_the_program_and_is_an_error_where_corrected():
    rows = [item("a", "1?", "2?"), item("b", "1?"), item("c", "1?")]
    said = {
        "a": [{"answers": ["yes", "ERROR: yes"]}],
        "b": [{"answers": ["yes"], "drawn": False}],
        "c": [{"answers": ["ERROR: no healthy upstream"]}],
    }
    assert score_judgements(Generation(), rows, said)[1] == {"generation": pytest.approx(100 / 3)}
    scores, metrics = score_judgements(Generation(), rows, said, "corrected")
    assert [(one.status, one.reason) for one in scores] == [
        ("scored", ""),
        ("error", "there is no picture"),
        ("error", "no question was judged"),
    ]
    assert metrics == {"generation": 100.0}


class Writes:
    """A judge that writes, and keeps what it was asked."""

    abilities = ("answer", "write")

    def write(self, images, texts, system, max_tokens, attempt):
        self.asked = (list(texts), system, max_tokens, attempt)
        return ["yes"] * len(texts)


def test_a_judge_that_writes_is_asked_in_the_published_words():
    (sample,) = Generation().samples([item("a", "1?", "", "3?")])
    judge = Writes()
    (said,) = Generation().ask_judge([Answer(sample, response("a", 0), ImageHandle(PICTURE))], judge)
    assert said == {"answers": ["yes", None, "yes"]}
    assert judge.asked == ([ASK.format("1?"), ASK.format("3?")], SYSTEM, 8, 0)


@pytest.mark.parametrize(
    "data", [{}, {"answers": {"3": "yes"}}, {"answers": ["yes"]}, {"answers": {"1": "yes"}, "drawn": 1}]
)
def test_a_judgement_of_another_form_is_refused(data):
    (sample,) = Generation().samples([item("a", "1?", "2?")])
    with pytest.raises(HermesError, match="expected"):
        Generation().read_judgement(sample, data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The public files of two items, with a blank line between, under Internal_Consistency."""
    home = tmp_path / "Internal_Consistency"
    (home / "images").mkdir(parents=True)
    (home / "prompts.txt").write_text("a cat\n\na dog\n")
    questions = {"prompt_0": {"1": "a cat?"}, "prompt_2": {"1": "a dog?", "2": "brown?"}}
    (home / "questions.json").write_text(json.dumps({"questions": questions}))
    Image.new("RGB", (8, 8), "red").save(home / "images" / "1.png")
    Image.new("RGB", (8, 8), "blue").save(home / "images" / "3.jpg")
    return tmp_path


def test_the_public_files_are_read_as_they_are(folder):
    asked = load_data(Understanding(), str(folder), "test")
    assert [sample.id for sample in asked.samples] == ["0/1", "2/1", "2/2"]
    assert [sample.images[0].open().getpixel((0, 0))[2] > 200 for sample in asked.samples] == [False, True, True]
    drawn = load_data(Generation(), str(folder / "Internal_Consistency"), "test")
    assert [(sample.id, sample.prompt) for sample in drawn.samples] == [("0", "a cat"), ("2", "a dog")]
    assert drawn.info.n_expected == 556


def test_files_that_do_not_belong_together_are_refused(folder):
    questions = folder / "Internal_Consistency" / "questions.json"
    questions.write_text(json.dumps({"questions": {"prompt_0": {"1": "a cat?"}}}))
    with pytest.raises(HermesError, match="no questions under prompt_2"):
        load_data(Generation(), str(folder), "test")
    questions.write_text("[]")
    with pytest.raises(HermesError, match="give the published file"):
        load_data(Generation(), str(folder), "test")
    (folder / "Internal_Consistency" / "images" / "3.jpg").unlink()
    questions.write_text(json.dumps({"questions": {"prompt_0": {"1": "a?"}, "prompt_2": {"1": "b?"}}}))
    with pytest.raises(HermesError, match="unison-u item 2: the image is empty"):
        load_data(Understanding(), str(folder), "test")


def test_the_twin_s_questions_hold_for_its_pictures():
    rows = assert_fit_generation_twin(Generation())
    pictures = {row["id"]: row["image"] for row in rows}
    _, metrics = score_images(Generation(), rows, lambda sample: pictures[sample.id])
    assert metrics == {"generation": 100.0}


def test_a_run_of_both_sides_has_the_gap_and_uni(command, tmp_path):
    done = command("eval", "--model", "hermes-tiny", "--tasks", "unison-u,unison-g", "--limit", 12, "--runs", tmp_path)
    assert done.code == 0
    assert "gap over Unison's items" in done.out
    assert "Uni" in done.out
    (path,) = tmp_path.glob("hermes-tiny/*/results.json")
    content = json.loads(path.read_text())
    found = content["gap"]["unison"]["unison-g"]
    assert found["items"] == 12
    assert sum(found["counts"].values()) == 48
    assert found["unified"]["value"] == pytest.approx(found["joint"]["value"])  # as many questions in each item
    assert content["gap"]["benchmarks"] is None
    report = (path.parent / "report.md").read_text()
    assert "Unison's items" in report
    assert f"{found['unified']['value']:.3f}" in report
