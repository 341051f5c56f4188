"""A model's verdicts on its own pictures: details and whole prompts, own and swapped, and who is at fault."""

import json

import pytest
from asked import aggregated, golden
from judged import BLANK, assert_fit_generation_twin, response, score_images, score_judgements

from hermes.evaluators.homologous import Generation
from hermes.evaluators.non_unification import WORDING, NonUnification, verdict
from hermes.evaluators.rejections import OWN, SWAPPED, TOLD_APART
from hermes.evaluators.self_rejection import SelfRejection
from hermes.harness.contracts.benchmark import Answer
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Sample, Score
from hermes.harness.run.forecast import forecast
from hermes.harness.run.plan import judge_name
from hermes.harness.run.rejection import rejection_table, self_rejections
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError


def item(name, *answers):
    questions = [{"question": f"{name} {k}?", "answer": answer, "kind": "exists"} for k, answer in enumerate(answers)]
    return {"id": name, "caption": f"a picture of {name}", "questions": questions}


ROWS = [item("a", "yes", "yes"), item("b", "no"), item("c", "yes")]


def test_each_item_is_asked_about_the_next_too_and_the_last_about_the_one_before():
    asked = {sample.id: SelfRejection().judged(sample) for sample in SelfRejection().samples(ROWS)}
    assert asked == {"a": ["a 0?", "a 1?", "b 0?"], "b": ["b 0?", "c 0?"], "c": ["c 0?", "b 0?"]}
    (alone,) = SelfRejection().samples(ROWS[:1])
    assert SelfRejection().judged(alone) == ["a 0?", "a 1?"]
    twice = [ROWS[0], {**ROWS[1], "caption": ROWS[0]["caption"]}]
    assert [len(sample.target) for sample in SelfRejection().samples(twice)] == [2, 1]


def test_it_asks_for_what_generation_asks_for():
    drawn, judged = list(Generation().samples(ROWS)), list(SelfRejection().samples(ROWS))
    assert [(one.id, one.prompt) for one in drawn] == [(one.id, one.prompt) for one in judged]
    assert SelfRejection().asked_by is Generation


def test_a_picture_is_rejected_for_one_detail_and_unreadable_replies_are_in_no_share():
    said = {
        "a": [{"answers": ["yes", "no", "no"]}],  # rejected, half of the details; its stranger is accepted
        "b": [{"answers": ["no", "no"]}],  # accepted; its stranger is rejected
        "c": [{"answers": ["hm", "yes"]}],  # no verdict; its stranger is rejected
    }
    scores, metrics = score_judgements(SelfRejection(), ROWS, said)
    assert [score.status for score in scores] == ["scored", "scored", "unparsed"]
    assert metrics == {
        OWN: 0.5,
        f"{OWN}/details": 0.25,
        SWAPPED: pytest.approx(2 / 3),
        f"{SWAPPED}/details": pytest.approx(2 / 3),
        TOLD_APART: pytest.approx((0.75 + 2 / 3) / 2),
    }


def test_a_model_that_always_says_yes_tells_nothing_apart():
    rows = [item(name, "yes", "no") for name in "abcdef"]
    said = {row["id"]: [{"answers": ["yes"] * 4}] for row in rows}
    assert score_judgements(SelfRejection(), rows, said)[1][TOLD_APART] == 0.5
    rows = [item(name, "yes", "yes") for name in "abcdef"]
    metrics = score_judgements(SelfRejection(), rows, said)[1]
    assert (metrics[OWN], metrics[TOLD_APART]) == (0.0, 0.5)


def test_the_oracle_rejects_no_right_picture_of_the_twin_and_most_swapped_ones():
    rows = assert_fit_generation_twin(SelfRejection())[:60]
    pictures = {row["id"]: row["image"] for row in rows}
    _, metrics = score_images(SelfRejection(), rows, lambda sample: pictures[sample.id])
    assert metrics[OWN] == 0
    assert metrics[SWAPPED] > 0.9
    assert metrics[TOLD_APART] > 0.7


def test_only_the_model_itself_judges():
    assert judge_name(SelfRejection(), ["oracle"], "shapes") == "self"
    assert judge_name(Generation(), ["oracle"], "shapes") == "oracle"


def test_replies_are_read_as_the_published_score_reads_them():
    cases = golden("nonunification")["reply_cases"]
    read = {case["reply"]: verdict(case["reply"]) for case in cases}
    assert read == {case["reply"]: None if case["expected"] is None else bool(case["expected"]) for case in cases}


def test_runs_have_the_published_score_and_its_control():
    for run in golden("nonunification")["runs"]:
        scores, expected = [], run["expected_corrected"]
        for row in run["rows"]:
            sample = Sample(
                id=f"{row['prompt']}",
                group_id=f"{row['prompt']}",
                ability="generation",
                prompt="p",
                target={"swapped": "q"},
                metadata={"tag": row["kind"]},
            )
            judgement = {"own": row["own"], "swapped": row["swapped"]}
            answer = Answer(sample, response(sample.id, row["image"]), None, judgement)
            scores += [(sample, score) for score in NonUnification().scores([answer], "official")]
        metrics = aggregated(NonUnification(), scores)
        told = {name: None if metric.value != metric.value else metric.value for name, metric in metrics.items()}
        kinds = {kind: told.get(f"kind/{kind}") for kind in expected["by_kind"]}
        assert told[OWN] == expected["rejected_share"]
        assert told[SWAPPED] == expected["swap_rejected_share"]
        assert told["prompts"] == expected["prompt_rejected_share"]
        assert kinds == expected["by_kind"]
        if expected["balanced"] is None:
            assert told[TOLD_APART] is None
        else:
            assert 1 - told[TOLD_APART] == pytest.approx(expected["balanced"], abs=1e-12)


def test_a_whole_prompt_is_held_against_the_next_other_one():
    rows = [{"tag": "colors", "prompt": prompt, "include": []} for prompt in ("a", "a", "b")]
    asked = [NonUnification().judged(one) for one in NonUnification().samples(rows)]
    about = {prompt: WORDING.format(prompt=prompt) for prompt in "ab"}
    assert asked == [[about[own], about[other]] for own, other in ("ab", "ab", "ba")]
    (alone,) = NonUnification().samples(rows[:1])
    assert NonUnification().judged(alone) == [about["a"]]


class Says:
    """A judge that says what it is made with about every picture."""

    def __init__(self, reply):
        self.answer = lambda images, questions: [reply] * len(questions)


def test_a_judge_is_asked_both_questions_and_a_silent_one_is_an_error():
    rows = [{"tag": "colors", "prompt": prompt, "include": []} for prompt in "ab"]
    samples = list(NonUnification().samples(rows))
    answers = [Answer(sample, response(sample.id, 0), ImageHandle(BLANK)) for sample in samples]
    assert NonUnification().ask_judge(answers, Says("1")) == [{"own": "1", "swapped": "1"}] * 2
    (found,) = NonUnification().scores([Answer(samples[0], response("0", 0), None, {"own": None, "swapped": None})], "")
    assert (found.status, found.reason) == ("error", "the judge gave no reply")
    with pytest.raises(HermesError, match="expected"):
        NonUnification().read_judgement(samples[0], {"own": 1})


def score(name, values, index=0):
    return Score(sample_id=name, index=index, group_id=name, values=values, status="scored" if values else "error")


def test_the_judge_says_who_is_at_fault():
    own = [score(name, {OWN: value}) for name, value in zip("abcd", (1, 1, 0, 0), strict=True)]
    own += [score("e", {}), score("f", {OWN: 1.0})]
    judged = [score(name, {"accuracy": value}) for name, value in zip("abcde", (0.5, 1, 0, 1, 1), strict=True)]
    told = rejection_table(own, [*judged, score("f", {})], "accuracy")
    assert {key: told[key] for key in told if isinstance(told[key], int)} == {
        "pictures": 4,
        "dropped": 2,
        "rejected_wrong": 1,
        "rejected_right": 1,
        "accepted_wrong": 1,
        "accepted_right": 1,
    }
    assert (told["confirmed"].value, told["missed"].value) == (0.5, 0.5)
    assert rejection_table(own[2:4], judged, "accuracy")["confirmed"] is None
    assert self_rejections({}, lambda name: []) == {}


def test_a_run_draws_once_and_says_who_is_at_fault(command, tmp_path):
    tasks = "homologous-g,self-rejection"
    done = command("eval", "--model", "hermes-tiny", "--tasks", tasks, "--limit", 12, "--runs", tmp_path)
    assert done.code == 0
    assert "answers: 12 asked, 12 reused" in done.out
    (path,) = tmp_path.glob("hermes-tiny/*/results.json")
    content = json.loads(path.read_text())
    table = content["gap"]["self_rejection"]["self-rejection"]
    assert table["pictures"] + table["dropped"] == 12
    assert sum(table[key] for key in table if key.startswith(("rejected", "accepted"))) == table["pictures"]
    assert (
        table["judge"] == content["results"]["homologous-g"]["judge"] != content["results"]["self-rejection"]["judge"]
    )
    stores = {one["answers"] for one in json.loads((path.parent / "run.json").read_text())["tasks"].values()}
    assert len(stores) == 1


def test_a_dry_run_counts_what_both_look_at_once(tmp_path):
    settings = EvalSettings(
        model="hermes-tiny", tasks=("self-rejection", "homologous-g"), limit=5, runs=tmp_path, device="cpu"
    )
    told = forecast(settings)
    assert {task.name: task.answers - task.stored for task in told.tasks} == {"self-rejection": 0, "homologous-g": 5}
    alone = forecast(settings.model_copy(update={"tasks": ("self-rejection",)}))
    assert alone.tasks[0].answers - alone.tasks[0].stored == 5
