"""U, G, the gap and the 2 x 2 of both sides' questions against figures worked by hand."""

import math

import pytest

from hermes.harness.records.agreement import ASKED, RIGHT, question_key
from hermes.harness.records.stats import DIFFERENCE, Z95, mean_metric
from hermes.harness.records.types import Ability, DataInfo, Metric, Result, Score
from hermes.harness.run.gap import benchmark_gap, gaps, homologous_gap, normalised


def u(item: str, number: int, correct: float | None) -> Score:
    """One answered question about the real image of an item; None is an error."""
    values = {} if correct is None else {"correct": correct}
    status = "error" if correct is None else "scored"
    return Score(sample_id=f"{item}/{number}", index=0, group_id=item, values=values, status=status)


def g(item: str, index: int, accuracy: float | None) -> Score:
    """One generated image of an item, with the share of its questions answered right; None is an error."""
    values = {} if accuracy is None else {"accuracy": accuracy}
    status = "error" if accuracy is None else "scored"
    return Score(sample_id=item, index=index, group_id=item, values=values, status=status)


def result(name: str, ability: Ability, headline: Metric | None, chance: float = 0.0, best: float = 1.0) -> Result:
    return Result(
        evaluator=name,
        version="1",
        ability=ability,
        protocol="official",
        judge=None,
        data=DataInfo(source="shapes", fingerprint="0", n=1, n_expected=1, world="shapes"),
        headline="score",
        unit="",
        chance=chance,
        best=best,
        metrics={"score": headline} if headline else {},
        n=1,
        n_expected=1,
        partial=False,
        counts={},
    )


def half(metric: Metric) -> float:
    assert metric.low is not None
    assert metric.high is not None
    return (metric.high - metric.low) / 2


ANSWERED = [u("a", 0, 1), u("a", 1, 1), u("b", 0, 1), u("b", 1, 0), u("c", 0, 1), u("c", 1, 1)]
DRAWN = [g("a", 0, 0.5), g("b", 0, 0.5), g("c", 0, 0.0)]


def test_gap_by_hand() -> None:
    found = homologous_gap(ANSWERED, DRAWN)
    assert found is not None
    assert found["u"].value == pytest.approx((1 + 0.5 + 1) / 3)
    assert found["g"].value == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert found["gap"].value == pytest.approx((0.5 + 0 + 1) / 3)
    assert (found["items"], found["dropped"]) == (3, 0)


def test_the_interval_is_of_the_paired_differences() -> None:
    found = homologous_gap(ANSWERED, DRAWN)
    assert found is not None
    assert found["gap"] == mean_metric([0.5, 0, 1], ["a", "b", "c"], bounds=DIFFERENCE)


def test_items_that_rise_and_fall_together_have_the_gap_of_no_change_in_twenty() -> None:
    asked = [u(str(item), 0, item % 2) for item in range(20)]
    drawn = [g(str(item), 0, item % 2) for item in range(20)]
    found = homologous_gap(asked, drawn)
    assert found is not None
    assert half(found["u"]) > 0.2
    assert found["gap"].value == 0
    assert half(found["gap"]) == pytest.approx(Z95**2 / (20 + Z95**2))


def test_the_gap_stays_within_one() -> None:
    found = homologous_gap([u(item, 0, 1) for item in "abc"], [g(item, 0, 0.0) for item in "abc"])
    assert found is not None
    assert (found["gap"].value, found["gap"].high) == (1, 1)
    assert found["u"].high == 1
    assert found["g"].low == 0


def test_the_images_of_an_item_are_averaged_and_count_once() -> None:
    asked = [u("a", 0, 1), u("b", 0, 1), u("b", 1, 1), u("b", 2, 1)]
    drawn = [g("a", 0, 0.0), g("a", 1, 1.0), g("b", 0, 1.0), g("b", 1, 1.0)]
    found = homologous_gap(asked, drawn)
    assert found is not None
    assert found["g"].value == 0.75
    assert (found["g"].n, found["g"].groups) == (2, 2)


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ([*ANSWERED, u("d", 0, 1), u("d", 1, None)], [*DRAWN, g("d", 0, 1.0)]),
        ([*ANSWERED, u("d", 0, 1)], [*DRAWN, g("d", 0, None)]),
        ([*ANSWERED, u("d", 0, 1)], [*DRAWN, g("d", 0, 1.0), g("d", 1, None)]),
        ([*ANSWERED, u("d", 0, 1)], DRAWN),
        (ANSWERED, [*DRAWN, g("d", 0, 1.0)]),
    ],
    ids=["an answer failed", "the image failed", "one image of two failed", "no image", "no answer"],
)
def test_an_item_without_both_sides_is_dropped_and_counted(asked: list[Score], drawn: list[Score]) -> None:
    found, plain = homologous_gap(asked, drawn), homologous_gap(ANSWERED, DRAWN)
    assert found is not None
    assert plain is not None
    assert found == {**plain, "dropped": 1}


def test_unparsed_answers_stay_in() -> None:
    asked = [*ANSWERED, u("d", 0, 0).model_copy(update={"status": "unparsed"})]
    found = homologous_gap(asked, [*DRAWN, g("d", 0, 1.0)])
    assert found is not None
    assert found["items"] == 4
    assert found["u"].value == pytest.approx((1 + 0.5 + 1 + 0) / 4)


def test_no_common_item_gives_no_gap() -> None:
    assert homologous_gap([u("a", 0, 1)], [g("b", 0, 1.0)]) is None
    assert homologous_gap([], []) is None


def test_normalising_keeps_the_interval_in_step_and_within_bounds() -> None:
    metric = Metric(value=75.0, low=70.0, high=80.0, n=9, groups=3)
    assert normalised(metric, 50, 100) == Metric(value=0.5, low=0.4, high=0.6, n=9, groups=3)
    assert normalised(Metric(value=40.0), 50, 100) == Metric(value=0.0)
    above = Metric(value=110.0, low=90.0, high=130.0)
    assert normalised(above, 50, 100) == Metric(value=1.0, low=0.8, high=1.0)


def test_benchmark_gap_by_hand() -> None:
    results = {
        "pope": result("pope", "understanding", Metric(value=90.0, low=84.0, high=96.0), chance=50, best=100),
        "mme": result("mme", "understanding", Metric(value=1500.0, low=1420.0, high=1580.0), chance=1000, best=2000),
        "geneval": result("geneval", "generation", Metric(value=0.4, low=0.3, high=0.5)),
    }
    found = benchmark_gap(results)
    assert found is not None
    assert found["u"].value == pytest.approx((0.8 + 0.5) / 2)
    assert half(found["u"]) == pytest.approx(math.hypot(0.12, 0.08) / 2)
    assert found["g"].value == pytest.approx(0.4)
    assert found["gap"].value == pytest.approx(0.25)
    assert half(found["gap"]) == pytest.approx(math.hypot(half(found["u"]), 0.1))
    assert (found["understanding"], found["generation"]) == (["mme", "pope"], ["geneval"])


def test_only_plain_benchmarks_with_a_value_enter_the_benchmark_gap() -> None:
    results = {
        "pope": result("pope", "understanding", Metric(value=0.5)),
        "gqa": result("gqa", "understanding", Metric(value=float("nan"))),
        "mme": result("mme", "understanding", None),
        "homologous-u": result("homologous-u", "understanding", Metric(value=1.0)),
        "geneval": result("geneval", "generation", Metric(value=0.25)),
        "geneval@steps=4": result("geneval", "generation", Metric(value=1.0)),
        "homologous-g": result("homologous-g", "generation", Metric(value=1.0)),
    }
    found = benchmark_gap(results)
    assert found is not None
    assert (found["understanding"], found["generation"]) == (["pope"], ["geneval"])
    assert found["gap"].value == 0.25


def test_one_ability_alone_has_no_gap() -> None:
    results = {"pope": result("pope", "understanding", Metric(value=0.5))}
    assert benchmark_gap(results) is None
    assert gaps(results, {"pope": []}.__getitem__) == {"homologous": None, "benchmarks": None, "variants": {}}


def test_every_other_way_of_drawing_is_a_variant_beside_the_same_answers() -> None:
    guided = [g("a", 0, 1.0), g("b", 0, 1.0), g("c", 0, 0.5)]
    scores = {"homologous-u": ANSWERED, "homologous-g": DRAWN, "homologous-g@guidance_scale=2": guided}
    results = {name: result(name, "generation", Metric(value=1.0)) for name in scores}
    found = gaps(results, scores.__getitem__)
    assert found["homologous"] == homologous_gap(ANSWERED, DRAWN)
    assert found["variants"] == {"homologous-g@guidance_scale=2": homologous_gap(ANSWERED, guided)}
    assert found["variants"]["homologous-g@guidance_scale=2"]["gap"].value == pytest.approx(0)
    alone = gaps({"homologous-g": results["homologous-g"]}, scores.__getitem__)
    assert (alone["homologous"], alone["variants"]) == (None, {})


def asked(item: str, number: int, question: str, correct: bool | None) -> Score:
    """`u` with its question, as the evaluator scores it."""
    tags = {} if correct is None else {ASKED: question_key(question)}
    return u(item, number, None if correct is None else float(correct)).model_copy(update={"tags": tags})


def judged(item: str, index: int, verdicts: dict[str, bool] | None) -> Score:
    """`g` with what the judge's replies to its questions are worth."""
    if verdicts is None:
        return g(item, index, None)
    keys, right = " ".join(map(question_key, verdicts)), "".join(str(int(one)) for one in verdicts.values())
    scored = g(item, index, sum(verdicts.values()) / len(verdicts))
    return scored.model_copy(update={"tags": {ASKED: keys, RIGHT: right}})


def counts(understanding: list[Score], generation: list[Score]) -> tuple[list[int], int]:
    found = homologous_gap(understanding, generation)
    assert found is not None
    return list(found["counts"].values()), found["left_out"]


BOTH = [asked("a", 0, "is it red?", True), asked("a", 1, "is it blue?", False), asked("b", 0, "is it red?", True)]


def test_questions_are_joined_by_item_and_text_in_whatever_order() -> None:
    drawn = [judged("a", 0, {"is it blue?": True, "is it red?": False}), judged("b", 0, {"is it red?": True})]
    assert counts(BOTH, drawn) == ([1, 1, 1, 0], 0)


def test_questions_without_both_sides_are_left_out_and_counted() -> None:
    more = [asked("c", 0, "is it red?", True), asked("c", 1, "is it blue?", None)]
    drawn = [
        judged("a", 0, {"is it red?": True, "is it round?": True}),  # blue was not asked here, round not there
        judged("b", 0, {"is it red?": False}),
        judged("c", 0, None),
    ]
    assert counts([*BOTH, *more], drawn) == ([1, 1, 0, 0], 4)


def test_every_pair_of_an_answer_and_a_picture_is_one_verdict() -> None:
    drawn = [judged("b", 0, {"is it red?": True}), judged("b", 1, {"is it red?": False})]
    assert counts(BOTH[2:], drawn) == ([1, 1, 0, 0], 0)


def test_an_item_s_two_questions_of_one_text_are_two() -> None:
    twice = [asked("a", 0, "is it red?", True), asked("a", 1, "is it red?", False)]
    score = judged("a", 0, {"is it red?": True}).model_copy(
        update={"tags": {ASKED: " ".join([question_key("is it red?")] * 2), RIGHT: "10"}}
    )
    assert counts(twice, [score]) == ([1, 0, 0, 1], 0)


def test_the_counts_make_u_and_g() -> None:
    drawn = [judged("a", 0, {"is it red?": False, "is it blue?": True}), judged("b", 0, {"is it red?": True})]
    two = [*BOTH, asked("b", 1, "is it blue?", False)]
    drawn[1] = judged("b", 0, {"is it red?": True, "is it blue?": False})
    found = homologous_gap(two, drawn)
    assert found is not None
    p11, p10, p01, p00 = found["counts"].values()
    n = p11 + p10 + p01 + p00
    assert ((p11 + p10) / n, (p11 + p01) / n) == (found["u"].value, found["g"].value)
    assert found["joint"].value == p11 / n


def test_scores_that_do_not_tell_questions_apart_have_the_gap_alone() -> None:
    found = homologous_gap(ANSWERED, DRAWN)
    assert found is not None
    assert "joint" not in found
