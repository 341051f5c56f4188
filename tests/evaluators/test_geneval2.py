"""GenEval 2: Soft-TIFA against the reference, its quirks by hand, and what a judge must say."""

import pytest
from asked import golden
from hypothesis import given
from hypothesis import strategies as st
from judged import BLANK, response, score_judgements

from hermes.evaluators.geneval2 import TOKENS, WHOLE, GenEval2
from hermes.evaluators.soft_tifa import WORDS, geometric, spellings
from hermes.harness.contracts.benchmark import Answer
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError

CLOSE = {"rel": 1e-12, "abs": 1e-15}
YES, THREE = ["Is it red?", "Yes"], ["How many cats are there?", "three"]
NAMES = (
    *(f"all_atomicities_{k}" for k in range(4)),
    *(f"small_{k}" for k in range(5)),
    *("zero", "perfect", "space", "digitten", "atom_count_2", "unknown_skill"),
)
SKILLS = {"object", "attribute", "count", "position", "verb"}


def row(*questions, prompt="a cat", atoms=3):
    return {"prompt": prompt, "atom_count": atoms, "vqa_list": list(questions), "skills": ["object"] * len(questions)}


def scored(questions, weights, protocol="official", **more):
    data = GenEval2().read_judgement(next(GenEval2().samples([row(*questions)])), {TOKENS: weights, **more})
    (score,), metrics = score_judgements(GenEval2(), [row(*questions)], {"a cat": [data]}, protocol)
    return score, metrics


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_reference(name):
    (run,) = [run for run in golden("geneval2")["runs"] if run["name"] == name]
    samples = list(GenEval2().samples(run["items"]))
    told = {
        sample.id: [GenEval2().read_judgement(sample, {TOKENS: item[TOKENS], WHOLE: item[WHOLE]})]
        for sample, item in zip(samples, run["items"], strict=True)
    }
    scores, metrics = score_judgements(GenEval2(), run["items"], told)
    for item, score in zip(run["items"], scores, strict=True):
        expected = item["expected"]
        assert score.status == "scored"
        assert score.prediction == pytest.approx(expected["soft"], **CLOSE)
        tifa = sum(expected["tifa"]) / len(expected["tifa"])
        wanted = {"am": expected["am"], "gm": expected["gm"], "tifa": tifa, "vqascore": expected["vqascore"]}
        assert score.values == pytest.approx(wanted, **CLOSE)
    totals = run["expected_totals"]
    assert {name: metrics[name] for name in totals} == pytest.approx(totals, **CLOSE)
    skills = run["expected_analysis"].get("per_skill_am", {})
    assert {name: metrics[f"skill/{name}"] for name in skills} == pytest.approx(skills, **CLOSE)
    atoms = run["expected_analysis"].get("per_atomicity_gm", {})
    assert {name: metrics[f"atoms/{name}"] for name in atoms} == pytest.approx(atoms, **CLOSE)
    scores, metrics = score_judgements(GenEval2(), run["items"], told, "corrected")
    corrected = run["expected_corrected"]
    assert [value for score in scores for value in score.prediction] == pytest.approx(
        [value for item in corrected["soft"] for value in item], **CLOSE
    )
    assert metrics["soft_tifa_am"] == pytest.approx(corrected["am"], **CLOSE)
    assert metrics["soft_tifa_gm"] == pytest.approx(corrected["gm"], **CLOSE)


def test_a_lone_space_is_every_number_and_ten_begins_with_one_for_the_official_script_alone():
    weights = [{" ": 0.5, "3": 0.25, "1": 0.25}]
    assert scored([THREE], weights)[0].prediction == [0.75]
    assert scored([THREE], weights, "corrected")[0].prediction == [0.25]
    ten = ["How many cats are there?", "ten"]
    assert scored([ten], weights)[0].prediction == [0.75]
    assert scored([ten], weights, "corrected")[0].prediction == [0.0]


def test_a_listed_no_is_respected_when_corrected_alone():
    no, weights = ["Is it red?", "No"], [{"Yes": 0.75, "No": 0.25}]
    assert scored([no], weights)[0].values["tifa"] == 1.0
    score, metrics = scored([no], weights, "corrected")
    assert (score.prediction, metrics["tifa"]) == ([0.25], 0.0)


def test_one_judging_gives_all_means():
    _, metrics = scored(
        [YES, THREE], [{"Yes": 1.0}, {"3": 0.25, "two": 0.75}], vqascore_first_token_probabilities={"Yes": 1}
    )
    assert metrics["soft_tifa_am"] == 62.5
    assert metrics["soft_tifa_gm"] == pytest.approx(50)
    assert (metrics["tifa"], metrics["vqascore"], metrics["skill/object"]) == (50, 100, 62.5)
    assert metrics["atoms/3"] == metrics["soft_tifa_gm"]


def test_what_is_not_listed_takes_its_share_officially_and_an_answer_that_may_be_there_is_unparsed():
    score, _ = scored([YES], [{"Yes": 0.5, "No": 0.25}], rest=[0.25])
    assert (score.status, score.prediction) == ("scored", [0.5])
    for protocol in GenEval2.protocols:
        score, _ = scored([YES, YES], [{"Yes": 1.0}, {"No": 0.75}], protocol, rest=[0.0, 0.25])
        assert (score.status, score.prediction) == ("unparsed", [1.0, 0.0])
        assert "of 1 questions" in score.reason


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_geometric_mean_lies_between_the_least_and_the_arithmetic_mean(values):
    assert min(values) * (1 - 1e-9) <= geometric(values) <= sum(values) / len(values) + 1e-12


@given(st.sampled_from(WORDS), st.sampled_from(["", " "]), st.sampled_from([str.lower, str.upper, str.capitalize]))
def test_a_number_is_read_in_every_case(word, space, case):
    question = ["How many cats are there?", word]
    assert scored([question], [{space + case(word): 1.0}], "corrected")[0].prediction == [1.0]
    others = [other for other in WORDS if other != word]
    assert scored([question], [dict.fromkeys(others, 0.1)], "corrected")[0].prediction == [0.0]
    assert len(spellings(*question)) == 6


def test_the_headline_is_made_of_the_means_that_runs_are_compared_by():
    items = [row(YES, prompt=str(number)) for number in range(4)]
    told = {
        str(number): [{TOKENS: [{"Yes": number / 4, "No": 1 - number / 4}], "rest": [0.0], "pieces": {}}]
        for number in range(4)
    }
    scores, metrics = score_judgements(GenEval2(), items, told)
    means = GenEval2.headline_means(scores, "official")
    assert means.metric().value == metrics["soft_tifa_gm"] == pytest.approx(37.5)


class Certain:
    """Gives each question's first spelling half of its probability."""

    identity = "certain-1"

    def weigh(self, images, questions, wanted):
        self.asked = questions
        return [{"tokens": {spelled[0]: 0.5, "The": 0.375}, "rest": 0.125, "pieces": {" 3": " "}} for spelled in wanted]


def test_the_judge_is_asked_every_question_and_for_the_whole_prompt():
    judge, samples = Certain(), list(GenEval2().samples([row(YES, THREE), row(YES, prompt="a dog")]))
    said = GenEval2().ask_judge([Answer(one, response(one.id, 0), ImageHandle(BLANK)) for one in samples], judge)
    assert judge.asked == [
        "Is it red? Answer in one word.",
        "How many cats are there? Answer in one word.",
        'Does this image show "a cat"? Answer the question with Yes or No.',
        "Is it red? Answer in one word.",
        'Does this image show "a dog"? Answer the question with Yes or No.',
    ]
    scores, _ = score_judgements(GenEval2(), [row(YES, THREE), row(YES, prompt="a dog")], {"a cat": said[:1]})
    assert scores[0].values == pytest.approx({"gm": 0.5, "am": 0.5, "tifa": 1, "vqascore": 0.5})
    assert GenEval2().read_judgement(samples[0], said[0]) == said[0]


@pytest.mark.parametrize(
    "broken", [{}, {TOKENS: []}, {TOKENS: [{}]}, {TOKENS: [{"Yes": "1"}]}, {TOKENS: [{"Yes": 1}], "rest": [0, 0]}]
)
def test_a_judgement_of_another_form_is_refused(broken):
    (sample,) = GenEval2().samples([row(YES)])
    with pytest.raises(HermesError, match="expected"):
        GenEval2().read_judgement(sample, broken)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"vqa_list": []}, "vqa_list"),
        ({"vqa_list": [["Is it?", 1]]}, "vqa_list"),
        ({"skills": ["object"] * 2}, "skills"),
    ],
)
def test_a_broken_row_is_named(broken, named):
    with pytest.raises(HermesError, match=f"geneval2 row 1: {named}"):
        list(GenEval2().samples([row(YES) | broken]))
