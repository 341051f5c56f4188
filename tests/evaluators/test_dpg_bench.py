"""DPG-Bench: both protocols against the reference, the quirks by hand, and the twin under the oracle."""

from itertools import islice
from pathlib import Path

import pytest
from asked import golden, the_twin, twin_rows
from hypothesis import given
from hypothesis import strategies as st
from judged import BLANK, assert_fit_generation_twin, score_images, score_judgements

from hermes.evaluators.dpg_bench import DPGBench
from hermes.evaluators.dpg_points import corrected_points, official_points
from hermes.harness.system.errors import HermesError
from hermes.shapes.draw import draw
from hermes.shapes.scene import scenes

COLUMNS = DPGBench.data.columns
SUITES = (
    *("main_60_images_4_crops", "first_row_is_a_sacrificial_item", "single_crop", "all_yes", "only_last_crop_yes"),
    *("only_first_crop_yes", "roots_no_children_yes", "first_item_has_no_dependencies", "non_contiguous_item"),
)


def row(item, number, dependency="0", level="entity - whole (cup)", text="a cup"):
    values = (item, text, "", number, dependency, "", "", level, f"{item} {number}?")
    return dict(zip(COLUMNS, values, strict=True))


def answers(*said):
    return {"answers": {str(number): word for number, word in enumerate(said, 1)}}


SPARE = row("spare", 1, text="")


@pytest.mark.parametrize("protocol", DPGBench.protocols)
@pytest.mark.parametrize("name", SUITES)
def test_agrees_with_the_reference(name, protocol):
    (suite,) = [suite for suite in golden("dpg")["suites"] if suite["name"] == name]
    rows = [dict(zip(suite["csv_columns"], values, strict=True)) for values in suite["csv_rows"]]
    samples = {sample.id: sample for sample in DPGBench().samples(rows)}
    judgements = {
        item: [
            {"answers": {str(p["id"]): crop[p["question"]] for p in samples[item].metadata["propositions"]}}
            for crop in suite["answers"][item][: suite["pic_num"]]
        ]
        for item in suite["images"]
    }
    scores, metrics = score_judgements(DPGBench(), rows, judgements, protocol)
    expected = suite[f"expected_{protocol}"]
    assert metrics["overall"] == pytest.approx(expected["dpg_bench_score_x100"], rel=1e-9)
    parts = {"": ("L1", "L2")}
    if protocol == "corrected":
        parts = {"raw/": ("L1_raw_answers", "L2_raw_answers")}
        parts[""] = ("L1_after_dependency_zeroing", "L2_after_dependency_zeroing")
    wanted = {"overall"}
    for prefix, (first, second) in parts.items():
        levels = {prefix + level: value for level, value in expected[first].items()}
        levels |= {f"{prefix}L2/{level}": value for level, value in expected[second].items()}
        assert {level: metrics[level] for level in levels} == pytest.approx(levels, rel=1e-9)
        wanted |= set(levels)
    assert set(metrics) == wanted
    for item in suite["images"]:
        found = [score.values["score"] for score in scores if score.sample_id == item and score.values]
        image = expected["per_image"].get(item, {"crop_scores": []})
        assert found == pytest.approx(image["crop_scores"], rel=1e-9)
        if found:
            assert sum(found) / len(found) == pytest.approx(image["score"], rel=1e-9)
    dropped = {score.sample_id for score in scores if not score.values}
    assert dropped == {Path(failed["file"]).stem for failed in expected.get("failed_images", ())}


def test_a_no_reaches_grandchildren_backwards_only_when_corrected():
    rows = [SPARE, row("a", 1, "2"), row("a", 2, "3"), row("a", 3)]
    said = {"a": [answers("yes", "yes", "no")]}
    assert score_judgements(DPGBench(), rows, said, "official")[1]["overall"] == pytest.approx(100 / 3)
    assert score_judgements(DPGBench(), rows, said, "corrected")[1]["overall"] == 0.0


def test_an_item_that_depends_on_the_skipped_row_is_dropped_and_says_so():
    rows = [row("a", 1), row("a", 2, "1"), row("b", 1)]
    said = {"a": [answers("yes", "yes")], "b": [answers("no")]}
    scores, official = score_judgements(DPGBench(), rows, said, "official")
    assert scores[0].values == {}
    assert "drops this item" in scores[0].reason
    assert official["overall"] == 0.0
    assert score_judgements(DPGBench(), rows, said, "corrected")[1]["overall"] == 50.0


def test_a_cycle_or_a_missing_parent_does_no_harm_when_corrected():
    rows = [SPARE, row("a", 1, "2"), row("a", 2, "1"), row("a", 3, "9"), row("a", 4, "3, 1")]
    said = {"a": [answers("yes", "yes", "yes", "yes")]}
    assert score_judgements(DPGBench(), rows, said, "corrected")[1]["overall"] == 100.0
    said = {"a": [answers("yes", "no", "yes", "yes")]}
    assert score_judgements(DPGBench(), rows, said, "corrected")[1]["overall"] == 25.0


def test_an_item_without_questions_after_the_skipped_row_is_dropped():
    rows = [row("a", 1), row("b", 1)]
    scores, metrics = score_judgements(DPGBench(), rows, {"a": [answers("yes")], "b": [answers("no")]}, "official")
    assert scores[0].values == {}
    assert metrics["overall"] == 0.0


def test_interrupted_rows_are_forgotten_by_the_official_script_alone():
    rows = [SPARE, row("a", 1), row("b", 1), row("a", 2)]
    said = {"a": [answers("no", "yes")], "b": [answers("yes")]}
    assert score_judgements(DPGBench(), rows, said, "official")[1]["overall"] == 100.0
    assert score_judgements(DPGBench(), rows, said, "corrected")[1]["overall"] == 75.0


def test_official_levels_look_at_each_items_last_image_before_points_are_lost():
    rows = [SPARE, row("a", 1), row("a", 2, "1", level="attribute - color (cup, red)"), row("b", 1)]
    said = {"a": [answers("yes", "yes"), answers("no", "yes")], "b": [answers("yes")]}
    _, official = score_judgements(DPGBench(), rows, said, "official")
    assert (official["entity"], official["attribute"], official["L2/attribute - color"]) == (50, 100, 100)
    _, corrected = score_judgements(DPGBench(), rows, said, "corrected")
    assert (corrected["attribute"], corrected["raw/attribute"]) == (50, 100)
    assert corrected["entity"] == pytest.approx(200 / 3)


@pytest.mark.parametrize(
    ("text", "second", "first"),
    [
        ("relation - non-spatial (a, b)", "relation - non-spatial", "relation"),
        ("global - (style)", "global -", "global"),
        ("attribute-color (x)", "attribute-color", "attribute"),
        (" other - count (x (y)) ", "other - count", "other"),
        ("entity", "entity", "entity"),
    ],
)
def test_levels_are_cut_from_the_tuple(text, second, first):
    _, metrics = score_judgements(DPGBench(), [SPARE, row("a", 1, level=text)], {"a": [answers("yes")]})
    assert set(metrics) == {"overall", first, f"L2/{second}"}


@pytest.mark.parametrize("reply", ["Yes", "yes.", " yes", "no", "", "y"])
def test_only_the_bare_yes_counts(reply):
    _, metrics = score_judgements(DPGBench(), [SPARE, row("a", 1)], {"a": [answers(reply)]})
    assert metrics["overall"] == 0.0


def test_an_image_without_all_answers_is_no_score():
    rows, said = [SPARE, row("a", 1), row("a", 2)], {"a": [answers("yes"), answers("yes", "no")]}
    (failed, scored), metrics = score_judgements(DPGBench(), rows, said)
    assert (failed.status, failed.values, failed.index) == ("error", {}, 0)
    assert "question 2" in failed.reason
    assert (scored.status, metrics["overall"]) == ("scored", 50.0)


def test_one_dropped_image_drops_the_item():
    rows = [row("a", 1), row("a", 2), row("a", 3, "2,1"), row("b", 1)]
    said = {"a": [answers("yes", "no", "yes"), answers("yes", "yes", "yes")], "b": [answers("yes"), answers("no")]}
    assert score_judgements(DPGBench(), rows, said, "official")[1]["overall"] == 50.0


def test_an_answer_neither_yes_nor_no_is_unparsed_and_has_no_point():
    scores, metrics = score_judgements(DPGBench(), [SPARE, row("a", 1)], {"a": [answers("Yes"), answers("yes")]})
    assert [score.status for score in scores] == ["unparsed", "scored"]
    assert metrics["overall"] == 50.0


@given(st.lists(st.tuples(st.booleans(), st.sets(st.integers(1, 8))), min_size=1, max_size=8))
def test_corrected_never_exceeds_official_which_never_exceeds_the_answers(drawn):
    known = range(1, len(drawn) + 1)
    asked = {number: {"dependencies": sorted(parents & set(known))} for number, (_, parents) in enumerate(drawn, 1)}
    raw = {number: float(yes) for number, (yes, _) in enumerate(drawn, 1)}
    official, corrected = official_points(asked, raw), corrected_points(asked, raw)
    assert all(corrected[number] <= official[number] <= raw[number] for number in known)
    assert corrected == corrected_points(asked, corrected)


def test_the_twin_begins_with_a_row_that_is_no_item():
    rows = assert_fit_generation_twin(DPGBench())
    assert rows[0]["text"] == ""
    assert len({row["item_id"] for row in rows}) == the_twin(DPGBench).n + 1
    broad = {row["category_broad"] for row in rows[1:]}
    assert broad == {"entity", "attribute", "relation", "global", "other"}


@pytest.mark.parametrize("protocol", DPGBench.protocols)
def test_true_pictures_score_100_and_blank_ones_0(protocol):
    rows = twin_rows(DPGBench)
    drawn = map(draw, islice(scenes("test", 0, "dpg_bench"), the_twin(DPGBench).n))
    scores, metrics = score_images(DPGBench(), rows, lambda sample: next(drawn), protocol)
    assert {score.status for score in scores} == {"scored"}
    assert set(metrics.values()) == {100.0}
    _, blank = score_images(DPGBench(), rows, lambda sample: BLANK, protocol)
    assert blank["overall"] == 0.0


def test_columns_read_as_text_from_a_csv_give_the_same_samples():
    rows = twin_rows(DPGBench)
    as_text = [{column: str(value) for column, value in row.items()} for row in rows]
    assert list(DPGBench().samples(as_text)) == list(DPGBench().samples(rows))


@pytest.mark.parametrize("broken", [{"proposition_id": "x"}, {"dependency": ""}, {"tuple": None}])
def test_a_broken_row_is_named(broken):
    with pytest.raises(HermesError, match="dpg_bench row 2"):
        list(DPGBench().samples([SPARE, row("a", 1) | broken]))
