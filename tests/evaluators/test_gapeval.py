"""GapEval's verdicts through `hermes score`: replies, shares, the table of items, and what is refused."""

import json
import math

import numpy as np
import pytest
from asked import golden

from hermes.evaluators.gapeval import Counted
from hermes.evaluators.gapeval_replies import read_reply, verdict
from hermes.harness.system.errors import HermesError

CELLS = ("p11", "p10", "p01", "p00")


@pytest.fixture
def scored(command, tmp_path):
    """`scored(content, protocol)`: the result of a file of verdicts or shares, and its scores by id."""

    def run(content, protocol):
        path = tmp_path / "verdicts.json"
        path.write_text(json.dumps(content))
        samples = tmp_path / "samples.jsonl"
        asked = ("--responses", path, "--protocol", protocol, "--json", "--per-sample", samples)
        said = command("score", "--task", "gapeval", *asked)
        assert said.code == 0, said.err
        scores = map(json.loads, samples.read_text().splitlines())
        return json.loads(said.out), {score["sample_id"]: score for score in scores}

    return run


def values(result):
    return {name: metric["value"] for name, metric in result["metrics"].items()}


def test_reads_replies_as_the_script():
    for case in golden("gapeval")["reply_cases"]:
        found = read_reply(case["reply"])
        value = str(found.value) if isinstance(found.value, float) and not math.isfinite(found.value) else found.value
        assert (found.parsed, value, found.positive) == (case["parsed"], case["value"], case["positive"]), case


def test_a_reply_says_what_its_words_say():
    said = ['{"score": 1}', '{"score": "raw"}', '{"score": null}', "no JSON", "right", "failed", None, True, 0]
    found = ["right", "wrong", "unreadable", "unreadable", "right", "failed", "failed", "right", "wrong"]
    assert list(map(verdict, said)) == found
    with pytest.raises(HermesError, match="not list"):
        verdict([1])


@pytest.mark.parametrize("place", range(4))
def test_counts_items_by_category(scored, place):
    case = golden("gapeval")["table_from_items_corrected"][place]
    result, scores = scored(case["items"], "corrected")
    found = values(result)
    for category, told in case["expected_corrected"].items():
        left_out = [score for score in scores.values() if score["tags"]["category"] == category and not score["values"]]
        assert len(left_out) == told["left_out"]
        if told["joint"]["n"]:
            joint = told["joint"]
            assert [found[f"{cell}/{category}"] for cell in CELLS] == told["counts"]
            assert found[f"unreadable/{category}"] == told["unreadable_answers"]
            assert found[f"joint/{category}"] == pytest.approx(joint["both"], abs=1e-12)
            assert found[f"understanding/{category}"] == pytest.approx(joint["u"], abs=1e-12)
            assert found[f"generation/{category}"] == pytest.approx(joint["g"], abs=1e-12)
            assert found.get(f"phi/{category}") == (joint["phi"] and pytest.approx(joint["phi"], abs=1e-12))
            assert found[f"gap_raw/{category}"] == pytest.approx(joint["gap_raw_closed_form"], abs=1e-9)
            assert found[f"gap/{category}"] == pytest.approx(joint["gap_closed_form"], abs=1e-9)
    counts = [sum(told["counts"][k] for told in case["expected_corrected"].values()) for k in range(4)]
    assert [found[cell] for cell in CELLS] == counts
    assert result["counts"]["error"] == sum(told["left_out"] for told in case["expected_corrected"].values())


def test_shares_in_the_closed_form(scored):
    for case in golden("gapeval")["fit_cases"][10:14]:
        found = values(scored({"model": case["rows"]}, "corrected")[0])
        for number, told in enumerate(case["expected_corrected_closed_form"], 1):
            assert found[f"difference/{number}"] == pytest.approx(told["u_minus_g"], abs=1e-9)
            assert found[f"gap_raw/{number}"] == pytest.approx(told["gap_raw"], abs=1e-9)
            assert found[f"gap/{number}"] == pytest.approx(told["gap"], abs=1e-9)


def test_the_official_gap_is_the_published_fit(scored):
    case = golden("gapeval")["fit_cases"][-2]
    rows = [{"category": f"c{number}", "shares": row} for number, row in enumerate(case["rows"])]
    result, _ = scored(rows, "official")
    found, told = values(result), case["expected"]
    assert found["gap"] == told["gap_mean"]
    assert [found[f"gap/c{k}"] for k in range(len(rows))] == told["gaps"]
    assert [found[f"gap_raw/c{k}"] for k in range(len(rows))] == told["gap_raw"]
    assert result["metrics"]["gap"]["low"] is None
    assert result["lower"] is True


def test_the_closed_form_s_interval_holds_the_truth():
    """Of 100 samples of 200 items each, how often the interval holds the gap of the shares that they are drawn from."""
    shares = np.array([0.35, 0.3, 0.1, 0.25])
    truth = Counted(shares * 1e9, items=False).gaps()["gap"].value
    draws = np.random.default_rng(3).multinomial(200, shares, 100)
    found = [Counted(cells.astype(float)).gaps()["gap"] for cells in draws]
    assert 90 <= sum(one.low <= truth <= one.high for one in found) <= 99


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([{"category": "a", "shares": [0.5, 0.5, 0.5, 0.5]}], "whose sum is 1"),
        ([{"category": "a", "shares": [0.5, 0.5]}], "whose sum is 1"),
        ({"one": [[1, 0, 0, 0]], "two": [[1, 0, 0, 0]]}, "holds 2 models"),
        (
            [{"category": "a", "understanding": 1, "generation": 1}, {"category": "a", "shares": [1, 0, 0, 0]}],
            "scored apart",
        ),
        ([{"category": "a", "understanding": 1, "generation": [1]}], "not list"),
        ([{"category": "a", "understanding": 1, "generation": 1}, {"category": "a"}], "expected"),
        ([{"id": 1, "category": "a", "understanding": 1, "generation": 1}] * 2, "stands in two rows"),
        ([{"category": 3, "understanding": 1, "generation": 1}], "category must be a text"),
    ],
)
def test_refuses_what_are_no_verdicts(command, tmp_path, content, said):
    path = tmp_path / "verdicts.json"
    path.write_text(json.dumps(content))
    found = command("score", "--task", "gapeval", "--responses", path)
    assert found.code != 0
    assert said in found.err
    assert "Traceback" not in found.err


def test_no_model_is_asked(command, tmp_path):
    found = command("eval", "--model", "null", "--tasks", "gapeval", "--runs", tmp_path)
    assert found.code != 0
    assert "hermes score --task gapeval" in found.err


def test_a_lower_gap_is_best_in_tables(command, tmp_path):
    for label, generation in (("even", ["right", "wrong"]), ("uneven", ["wrong", "wrong"])):
        items = [
            {"id": number, "category": "a", "understanding": said, "generation": generation[number % 2]}
            for number, said in enumerate(["right", "wrong"] * 40)
        ]
        path = tmp_path / f"{label}.json"
        path.write_text(json.dumps(items))
        asked = ("--responses", path, "--protocol", "corrected", "--label", label, "--out", tmp_path / "runs" / label)
        assert command("score", "--task", "gapeval", *asked).code == 0
    said = command("leaderboard", tmp_path / "runs", "--format", "md")
    assert said.code == 0, said.err
    even, uneven = (
        next(line for line in said.out.splitlines() if f"| {name} |" in line) for name in ("even", "uneven")
    )
    assert "**0.000" in even
    assert "**" not in uneven
    assert "GapEval nearer to 0" in said.out
