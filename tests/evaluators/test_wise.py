"""WISE and WISE_Verified: both readers against the reference, weights, attempts, and where the prompts are found."""

import hashlib
import json

import pytest
from asked import golden
from hypothesis import given
from hypothesis import strategies as st
from judged import BLANK, response, score_judgements

from hermes.evaluators import wise_replies as replies
from hermes.evaluators.wise import CATEGORIES, WISE, WISEVerified
from hermes.evaluators.wise_prompt import filled
from hermes.harness.contracts.benchmark import Answer
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError

VERSIONS = {"legacy": WISE, "verified": WISEVerified}
ALL = [401, 1, 1000, 600, 750, 850]


def rows(*ids):
    return [{"prompt_id": name, "Prompt": f"p{name}", "Explanation": "e", "Category": "c"} for name in ids]


def three(consistency, realism, aesthetic):
    return f"Consistency: {consistency}\nRealism: {realism}\nAesthetic Quality: {aesthetic}"


def scored(evaluator, said, protocol="official"):
    """The scores and metrics of replies by id."""
    told = {str(name): [{"replies": [reply]}] for name, reply in said.items()}
    return score_judgements(evaluator, rows(*said), told, protocol)


@pytest.mark.parametrize("version", VERSIONS)
def test_reads_replies_as_the_reference(version):
    data = golden("wise")
    evaluator = VERSIONS[version]()
    cases = data[f"{version}_reply_cases"] + (data["think_cases"] if version == "verified" else [])
    for case in cases:
        assert evaluator.read(case["reply"], "official") == case["expected"], case
        complete = case.get("complete", bool(case["expected"]))
        assert replies.complete(case["expected"], evaluator.keys) is complete
        assert replies.without_thought(case["reply"]) == case.get("cleaned", replies.without_thought(case["reply"]))


@pytest.mark.parametrize("version", VERSIONS)
def test_asks_again_as_the_reference(version):
    for case in golden("wise")["attempt_cases"]:
        if case["protocol"] != version:
            continue
        evaluator, said = VERSIONS[version](), case["replies_by_attempt"]
        (score,), _ = score_judgements(evaluator, rows(1), {"1": [{"replies": said}]})
        assert (score.prediction if score.status == "scored" else None) == case["scores"]
        assert (score.status == "error") is (case["status"] == "extract_fail")
        evaluator._prompt = "{Prompt}"
        (sample,) = evaluator.samples(rows(1))
        (judged,) = evaluator.ask_judge([Answer(sample, response("1", 0), ImageHandle(BLANK))], Scripted({"p1": said}))
        assert judged == {"replies": [reply or "" for reply in said[: case["attempts_used"]]]}


@pytest.mark.parametrize("version", VERSIONS)
def test_means_are_those_of_the_reference(version):
    for case in golden("wise")["calculate_cases"]:
        if case["protocol"] != version:
            continue
        lines = [dict(zip(case["fields"], values, strict=True)) for file in case["files"] for values in file]
        known = [line for line in lines if isinstance(line["prompt_id"], int) and 1 <= line["prompt_id"] <= 1000]
        told = {}
        for line in known:
            scores = {name: value for name, value in line.items() if value != "ABSENT" and name != "prompt_id"}
            told.setdefault(str(line["prompt_id"]), []).append({"scores": scores})
        _, metrics = score_judgements(VERSIONS[version](), rows(*map(int, told)), told)
        expected = case["expected_exact"]
        categories = {name.lower(): value for name, value in expected["categories"].items()}
        assert {name: metrics[name] for name in CATEGORIES if name in metrics} == pytest.approx(categories, rel=1e-12)
        assert ("overall" in metrics) is (len(categories) == 6)
        if expected["overall"] is not None:
            assert metrics["overall"] == pytest.approx(expected["overall"], rel=1e-12)


class Scripted:
    """Gives the image of a text its replies, one an attempt; the empty text where one failed."""

    identity = "scripted-1"

    def __init__(self, said):
        self.said, self.asked = said, []

    def write(self, images, texts, system, max_tokens, attempt):
        self.asked.append((list(texts), system, max_tokens, attempt))
        return [self.said[text][attempt] or "" for text in texts]


def test_only_unreadable_replies_are_asked_for_again():
    evaluator, judge = WISE(), Scripted({"p1 e": ["?", three(2, 2, 2)], "p2 e": [three(1, 1, 1)]})
    evaluator._prompt = "{Prompt} {Explanation}"
    samples = list(evaluator.samples(rows(1, 2)))
    answers = [Answer(sample, response(sample.id, 0), ImageHandle(BLANK)) for sample in samples]
    assert evaluator.ask_judge(answers, judge) == [{"replies": ["?", three(2, 2, 2)]}, {"replies": [three(1, 1, 1)]}]
    assert judge.asked == [(["p1 e", "p2 e"], WISE.system, 2000, 0), (["p1 e"], WISE.system, 2000, 1)]


@pytest.mark.parametrize(("evaluator", "good"), [(WISE, three(2, 1, 0)), (WISEVerified, "Score: 1")])
def test_an_image_without_scores_is_an_error_and_in_no_mean(evaluator, good):
    scores, metrics = scored(evaluator(), {1: good, 2: "I cannot evaluate this image."})
    assert [score.status for score in scores] == ["scored", "error"]
    assert "none of 1 replies holds the scores: 'I cannot" in scores[1].reason
    assert scores[1].values == {}
    assert metrics["culture"] == pytest.approx(0.8 if evaluator is WISE else 1.0)


def test_overall_weighs_categories_and_is_left_out_where_one_has_no_image():
    said = dict.fromkeys(ALL, three(0, 0, 0))
    for place, (category, weight) in enumerate(zip(CATEGORIES, WISE.weights, strict=True)):
        name = sorted(ALL)[place]
        _, metrics = scored(WISE(), said | {name: three(2, 2, 2)})
        assert metrics["overall"] == pytest.approx(weight)
        assert metrics[category] == pytest.approx(1.0)
    _, metrics = scored(WISE(), {name: reply for name, reply in said.items() if name != 401})
    assert "overall" not in metrics
    assert "time" not in metrics
    assert sum(WISE.weights) == pytest.approx(1)
    assert sum(WISEVerified.weights) == pytest.approx(1)


@pytest.mark.parametrize("protocol", WISE.protocols)
def test_the_headline_is_made_of_the_means_that_runs_are_compared_by(protocol):
    scores, metrics = scored(
        WISE(), {name: three(place % 3, 1, 2) for place, name in enumerate([*ALL, 2, 3, 402])}, protocol
    )
    means = WISE.headline_means(scores, protocol)
    assert means is not None
    assert means.metric().value == pytest.approx(metrics["overall"])
    assert WISE.headline_means(scores[:2], protocol) is None


@pytest.mark.parametrize(
    ("reply", "official", "corrected"),
    [
        (three(9, 2, 2), {"consistency": 9, "realism": 2, "aesthetic_quality": 2}, None),
        (three(10, 2, 2), {"consistency": 1, "realism": 2, "aesthetic_quality": 2}, None),
        (three(1.5, 2, 2), {"consistency": 1, "realism": 2, "aesthetic_quality": 2}, None),
        (three(2, 1, 1) + "\nInconsistency: 0", {"consistency": 0, "realism": 1, "aesthetic_quality": 1}, (2, 1, 1)),
        ("**Consistency:** 2\n**Realism:** 1\n**Aesthetic Quality:** 0", None, (2, 1, 0)),
        ("Consistency：2\nRealism：1\nAesthetic Quality：0", None, (2, 1, 0)),
        ("2\n1\n0", {"consistency": 2, "realism": 1, "aesthetic_quality": 0}, (2, 1, 0)),
    ],
)
def test_the_corrected_reader_wants_whole_names_and_numbers_in_range(reply, official, corrected):
    (score,), _ = scored(WISE(), {1: reply})
    assert score.prediction == official
    (score,), _ = scored(WISE(), {1: reply}, "corrected")
    assert score.prediction == (corrected and dict(zip(WISE.keys, corrected, strict=True)))


@pytest.mark.parametrize(
    ("reply", "official", "corrected"),
    [
        ("Score: 0.5", 0, None),
        ("**Score:** 1", None, 1),
        ("Score：1", None, 1),
        ("Score: 2\nScore: 1", 1, None),
        ("My underscore 1 rule", 1, None),
        ("<think>Score: 0</think>1", 1, 1),
    ],
)
def test_the_corrected_reader_of_one_score(reply, official, corrected):
    for protocol, wanted in (("official", official), ("corrected", corrected)):
        (score,), _ = scored(WISEVerified(), {1: reply}, protocol)
        assert (score.prediction or {}).get("score") == wanted


def test_given_scores_out_of_range_are_no_scores_when_corrected():
    told = {"1": [{"scores": {"consistency": 9, "realism": 2, "aesthetic_quality": 2}}]}
    (score,), _ = score_judgements(WISE(), rows(1), told)
    assert score.values["score"] == pytest.approx(3.45)
    (score,), _ = score_judgements(WISE(), rows(1), told, "corrected")
    assert (score.status, "out of range" in score.reason) == ("error", True)


NUMBERS = st.integers(0, 2)
MARKS = st.sampled_from(["", "*", "**"])


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS), MARKS, st.sampled_from([":", " :", ": ", " "]), st.permutations(range(3)))
def test_what_both_readers_can_read_they_read_alike(numbers, marks, colon, order):
    names = ("Consistency", "Realism", "Aesthetic Quality")
    reply = "\n".join(f"{marks}{names[k]}{marks}{colon} {numbers[k]}" for k in order)
    expected = dict(zip(replies.THREE, map(float, numbers), strict=True))
    assert replies.legacy_scores(reply) == replies.strict_legacy_scores(reply) == expected


@given(st.text(max_size=60))
def test_readers_take_any_text_and_strict_ones_stay_in_range(text):
    for reply in (text, f"Score {text}", f"Realism{text}1"):
        assert set(replies.strict_legacy_scores(reply).values()) <= {0.0, 1.0, 2.0}
        assert set(replies.strict_verified_scores(reply).values()) <= {0.0, 1.0}
        assert set(replies.verified_scores(reply).values()) <= {0.0, 1.0}
        assert all(0 <= value <= 9 for value in replies.legacy_scores(reply).values())


SCRIPT = """
OTHER = "x"
def build(prompt_data, image):
    return [{"text": f\"\"\"Rate "{prompt_data['Prompt']}",
which means {prompt_data["Explanation"]}.\"\"\"}, {"text": "y"}]
"""
PROMPT = 'Rate "{Prompt}",\nwhich means {Explanation}.'


@pytest.fixture
def clone(tmp_path):
    """A clone as it lies on GitHub since April 2026."""
    for home, ids, prompt in (("WISE_legacy/data", (1, 401), "old"), ("data", (2, 402), "new")):
        folder = tmp_path / home
        folder.mkdir(parents=True)
        for name, number in zip(("b", "a"), ids, strict=True):
            (folder / f"{name}.json").write_text(json.dumps([row | {"Prompt": prompt} for row in rows(number)]))
        (folder / "a_rewrite.json").write_text(json.dumps(rows(7)))
        (folder / "merge.json").write_text(json.dumps(rows(8)))
    (tmp_path / "eval.py").write_text(SCRIPT)
    return tmp_path


@pytest.mark.parametrize(("evaluator", "home", "prompt"), [(WISE, "WISE_legacy", "old"), (WISEVerified, ".", "new")])
def test_each_version_reads_its_own_files_of_a_clone_in_order(clone, evaluator, home, prompt):
    for source in (clone, clone / home, clone / home / "data"):
        samples = list(evaluator().samples(evaluator().local_rows(source, "test")))
        assert [int(sample.id) % 400 for sample in samples] == ([1, 1] if evaluator is WISE else [2, 2])
        assert [sample.metadata["category"] for sample in samples] == ["culture", "time"]
        assert {sample.prompt for sample in samples} == {prompt}


def test_the_judges_prompt_is_found_by_its_hash_and_by_nothing_else(clone, monkeypatch):
    monkeypatch.setattr(WISE, "digest", hashlib.sha256(PROMPT.encode()).hexdigest())
    for source in (clone, clone / "data"):
        evaluator = WISE()
        evaluator.local_rows(source, "test")
        evaluator.check_asking()
        assert filled(evaluator._prompt, {"Prompt": "{Explanation}", "Explanation": "e"}) == (
            'Rate "{Explanation}",\nwhich means e.'
        )
    (clone / "eval.py").write_text(SCRIPT.replace("Rate", "Judge"))
    other = WISE()
    other.local_rows(clone, "test")
    with pytest.raises(HermesError, match=r"prompt \(SHA-256 .* is not in .*give a clone of PKU-YuanGroup/WISE"):
        other.check_asking()
    (clone / "prompt.txt").write_text(PROMPT + "\n")
    other.check_asking()


@pytest.mark.parametrize("broken", [{}, {"replies": "Score: 1"}, {"replies": [1]}, {"scores": [1]}])
def test_a_judgement_of_another_form_is_refused(broken):
    with pytest.raises(HermesError, match="expected"):
        WISE().read_judgement(next(WISE().samples(rows(1))), broken)


@pytest.mark.parametrize("name", [0, 1001, "x", -5])
def test_an_id_that_no_category_has_is_refused(name):
    with pytest.raises(HermesError, match="wise row 1: prompt_id"):
        list(WISE().samples(rows(name)))
