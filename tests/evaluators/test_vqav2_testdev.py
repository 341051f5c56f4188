"""VQAv2 test-dev: the answers as they are submitted, and runs that end without a number."""

import json

import pytest
from asked import PICTURE, assert_fit_twin, golden, scored

from hermes.commands import evaluate
from hermes.evaluators.vqav2_testdev import VQAv2TestDev, submitted
from hermes.harness.contracts.benchmark import failed
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError


def row(number, **columns):
    return {"question_id": number, "image_id": 2, "question": "What is it?", "image": PICTURE, **columns}


def test_submitted_answers_are_those_of_the_reference():
    for case in golden("vqav2")["normalisation_cases"]:
        assert submitted(case["input"]) == case["llava_m4c_submission_answer"]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("The Dog.", "dog"),
        ("it's", "it 's"),
        ("red,white", "redwhite"),
        ("1,000", "1000"),
        ("Two dogs?", "2 dogs"),
        ("isnt\n", "isn't"),
        ("black/white", "black white"),
        ("no\tyes", "no yes"),
        ("None", "0"),
        ("", ""),
        ("3.5", "3.5"),
        ("caf\u00e9's", "caf\u00e9 's"),
    ],
)
def test_answers_are_rewritten_for_the_server(reply, said):
    assert submitted(reply) == said


def test_scores_have_no_values_and_the_submission_holds_every_question():
    benchmark = VQAv2TestDev()
    rows = [row(7), row("8"), row(9)]
    samples = list(benchmark.samples(rows))
    scores, metrics = scored(benchmark, rows, ["A dog!", "", "two"], "official")
    assert metrics == {}
    assert [score.status for score in scores] == ["scored", "unparsed", "scored"]
    assert all(score.values == {} for score in scores)
    lost = failed(samples[1], 0, "no response")
    assert benchmark.submission(zip(samples, [scores[0], lost, scores[2]], strict=True)) == [
        {"question_id": 7, "answer": "dog"},
        {"question_id": 8, "answer": ""},
        {"question_id": 9, "answer": "2"},
    ]


def test_a_question_without_a_number_is_named():
    with pytest.raises(HermesError, match="vqav2-testdev question x"):
        list(VQAv2TestDev().samples([row("x")]))


def test_the_twin_has_no_answers():
    rows = assert_fit_twin(VQAv2TestDev())
    assert all(set(one) == {"question_id", "image_id", "question", "image"} for one in rows)


def test_a_run_ends_well_without_a_number(tmp_path):
    settings = EvalSettings(model="null", tasks=("vqav2-testdev",), data="shapes", limit=20, out=tmp_path / "run")
    content = evaluate(settings)
    result = content["results"]["vqav2-testdev"]
    assert (result.metrics, result.partial) == ({}, True)
    sent = json.loads((tmp_path / "run" / "vqav2-testdev" / "submission.json").read_text())
    assert len(sent) == result.n == sum(result.counts.values())
    assert all(set(one) == {"question_id", "answer"} and isinstance(one["question_id"], int) for one in sent)
    assert (tmp_path / "run" / "report.md").exists()
