"""GenEval: the reference scorer's verdicts, hand-made boxes, and the twin under the oracle."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from asked import golden, twin_rows
from hypothesis import given
from hypothesis import strategies as st
from judged import BLANK, assert_fit_generation_twin, score_images, score_judgements

from hermes.evaluators.geneval import GenEval
from hermes.evaluators.geneval_verdict import iou, kept_boxes, relations, verdict
from hermes.harness.system.errors import HermesError, JudgeError
from hermes.shapes.draw import draw
from hermes.shapes.prompts import TAGS, geneval_scene

METADATA = Path(__file__).parents[3] / "shared" / "realdata" / "geneval" / "evaluation_metadata.jsonl"
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
COORDINATES = st.integers(0, 500)
BOXES = st.tuples(COORDINATES, COORDINATES, st.integers(1, 200), st.integers(1, 200)).map(
    lambda parts: [parts[0], parts[1], parts[0] + parts[2], parts[1] + parts[3]]
)


def box(score=1.0, x=0.0, y=0.0, color="red", side=10.0):
    return {"box": [x, y, x + side, y + side], "score": score, "color": color}


@pytest.mark.parametrize("part", ["cases", "hand_written_metadata", "overlap_0.5_cases"])
def test_verdicts_are_those_of_the_reference(part):
    for case in golden("geneval")[part]:
        expected, metadata = case["expected"], case["metadata"]
        kept = kept_boxes(case["detections"], metadata["tag"], 0.5 if "overlap" in part else 1.0)
        assert verdict(kept, metadata) == (expected["correct"], expected["reason"])
        if "kept_boxes" in expected:
            boxes = {name: [[*found["box"], found["score"]] for found in members] for name, members in kept.items()}
            assert boxes == expected["kept_boxes"]


def test_relations_and_overlaps_are_those_of_the_reference():
    for case in golden("geneval")["relative_position_and_iou_cases"]:
        assert sorted(relations(case["box_a"], case["box_b"])) == sorted(case["relations_of_a_to_b"])
        assert iou(case["box_a"], case["box_b"]) == pytest.approx(case["iou"], rel=1e-5)


def test_aggregates_are_those_of_the_reference():
    data = golden("geneval")
    prompts = {json.dumps(case["metadata"], sort_keys=True): case["metadata"] for case in data["cases"]}
    numbers = {key: f"{number:05d}" for number, key in enumerate(prompts)}
    judgements = {number: [] for number in numbers.values()}
    for case in data["cases"]:
        judgements[numbers[json.dumps(case["metadata"], sort_keys=True)]].append({"detections": case["detections"]})
    scores, metrics = score_judgements(GenEval(), prompts.values(), judgements)
    expected = data["aggregates"]
    assert sum(score.values["correct"] for score in scores) == expected["images_correct"]
    assert {tag: metrics[tag] for tag in TAGS} == pytest.approx(expected["task_means_unrounded"])
    assert metrics["overall"] == pytest.approx(expected["overall_unrounded"])
    assert round(metrics["overall"], 5) == expected["overall_printed"]
    assert summary(scores, metrics, len(numbers)) == expected["summary_scores_stdout_lines"]


def summary(scores, metrics, prompts):
    """The lines that the official summary prints."""
    images = Counter(score.tags["tag"] for score in scores)
    right = Counter(score.tags["tag"] for score in scores if score.values["correct"])
    tasks = [f"{tag:<16} = {metrics[tag]:.2%} ({right[tag]} / {images[tag]})" for tag in images]
    return [
        *("Summary", "=======", f"Total images: {len(scores)}", f"Total prompts: {prompts}"),
        f"% correct images: {right.total() / images.total():.2%}",
        f"% correct prompts: {metrics['prompts']:.2%}",
        *("Task breakdown", "==============", *tasks),
        f"Overall score (avg. over tasks): {metrics['overall']:.5f}",
    ]


def test_the_real_prompts_give_553_samples_in_six_tasks():
    if not METADATA.exists():
        pytest.skip("GenEval's own prompts are not here")
    samples = list(GenEval().samples(map(json.loads, METADATA.read_text().splitlines())))
    assert len(samples) == GenEval.data.n
    assert Counter(sample.metadata["tag"] for sample in samples) == {
        **{"single_object": 80, "two_object": 99, "counting": 80},
        **{"colors": 94, "position": 100, "color_attr": 100},
    }
    assert samples[0].prompt == "a photo of a bench"


def test_thresholds_are_strict_and_counting_has_its_own():
    boxes = {"cup": [box(0.3), box(0.31), box(0.95)]}
    assert len(kept_boxes(boxes, "colors")["cup"]) == 2
    assert len(kept_boxes(boxes, "counting")["cup"]) == 1
    assert kept_boxes({"cup": [box(0.1)]}, "colors") == {}


def test_at_most_sixteen_boxes_and_the_later_of_equal_ones_first():
    kept = kept_boxes({"cup": [box(0.5, x=float(k)) for k in range(20)]}, "colors")["cup"]
    assert [found["box"][0] for found in kept] == list(range(19, 3, -1))


def test_only_the_best_boxes_are_asked_for_their_color():
    metadata = {"include": [{"class": "cup", "count": 1, "color": "blue"}]}
    best_is_red = {"cup": [box(0.9, color="red"), box(0.8, color="blue")]}
    assert verdict(best_is_red, metadata) == (False, "expected blue cup>=1, found 0 blue; and 1 red")
    with pytest.raises(JudgeError, match="color"):
        verdict({"cup": [box(color=None)]}, metadata)


def test_a_position_needs_a_matched_target():
    entry = {"class": "cat", "count": 1, "position": ["left of", 0]}
    metadata = {"include": [{"class": "dog", "count": 1}, entry]}
    assert verdict({"cat": [box()], "dog": [box(x=50.0)]}, metadata) == (True, "")
    assert verdict({"cat": [box()]}, metadata)[1] == "expected dog>=1, found 0\nno target for cat to be left of"


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ([0, 0, 10, 10], [50, 0, 60, 10], {"left of"}),
        ([0, 0, 10, 10], [50, 50, 60, 60], {"left of", "above"}),
        ([0, 0, 10, 10], [0, 0, 10, 10], set()),
        ([0, 0, 10, 10], [1, 0, 11, 10], set()),
        ([0, 0, 10, 10], [3, 0, 13, 10], set()),
        ([0, 0, 10, 10], [5, 0, 15, 10], {"left of"}),
        ([0, 0, 100, 100], [30, 90, 130, 190], {"above"}),
        ([50, 0, 60, 10], [0, 0, 10, 10], {"right of"}),
    ],
)
def test_relations_need_an_offset_beyond_a_tenth_of_both_sizes(a, b, told):
    assert relations(a, b) == told


def test_reasons_name_every_relation_and_every_color():
    position = {"include": [{"class": "dog", "count": 1}, {"class": "cat", "count": 1, "position": ["left of", 0]}]}
    boxes = {"dog": [box()], "cat": [box(x=200.0, y=200.0)]}
    assert verdict(boxes, position)[1] == "expected cat left of target, found below and right of target"
    assert verdict({"dog": [box()], "cat": [box()]}, position)[1] == "expected cat left of target, found  target"
    cups = {"include": [{"class": "cup", "count": 3, "color": "red"}]}
    seen = {"cup": [box(color="white"), box(color="red"), box(color="orange"), box(color="red")]}
    assert verdict(seen, cups)[1] == "expected red cup>=3, found 1 red; and 1 red, 1 orange, 1 white"


def test_every_pair_of_matched_boxes_must_stand_in_the_relation():
    entry = {"class": "cat", "count": 2, "position": ["left of", 0]}
    metadata = {"include": [{"class": "dog", "count": 2}, entry]}
    right = {"cat": [box(), box(y=5.0)], "dog": [box(x=100.0), box(x=120.0)]}
    assert verdict(right, metadata) == (True, "")
    crossed = {"cat": [box(), box(x=110.0)], "dog": [box(x=100.0), box(x=120.0)]}
    assert verdict(crossed, metadata)[0] is False


def test_of_equal_scores_the_later_comes_first_and_sixteen_are_kept():
    boxes = {"cup": [box(0.5, x=float(k)) for k in range(20)]}
    assert [found["box"][0] for found in kept_boxes(boxes, "colors")["cup"]] == [float(k) for k in range(19, 3, -1)]


@pytest.mark.parametrize(("tag", "edge"), [("colors", 0.30000001192092896), ("counting", 0.8999999761581421)])
def test_scores_are_compared_in_float32(tag, edge):
    assert kept_boxes({"cup": [box(edge)]}, tag) == {}
    assert kept_boxes({"cup": [box(edge + 1e-7)]}, tag) != {}


def test_an_excluded_count_is_a_limit_and_a_class_may_come_twice():
    metadata = {"include": [{"class": "cup", "count": 1}], "exclude": [{"class": "cup", "count": 2}]}
    assert verdict({"cup": [box()]}, metadata) == (True, "")
    assert verdict({"cup": [box(), box()]}, metadata) == (False, "expected cup<2, found 2")
    twice = {"include": [{"class": "cup", "count": 1}, {"class": "cup", "count": 2}]}
    assert verdict({"cup": [box()]}, twice) == (False, "expected cup>=2, found 1")
    assert verdict({}, {"include": []}) == (True, "")


@given(BOXES, BOXES)
def test_relations_are_mirrored_and_overlap_is_symmetric(a, b):
    assert {OPPOSITE[relation] for relation in relations(a, b)} == relations(b, a)
    assert iou(a, b) == pytest.approx(iou(b, a))
    assert iou(a, a) == 1.0


def test_the_twin_has_sixteen_prompts_a_task_in_turn():
    rows = assert_fit_generation_twin(GenEval())
    assert [row["tag"] for row in rows[:6]] == list(TAGS)
    assert set(Counter(row["tag"] for row in rows).values()) == {16}


def test_true_pictures_score_one_and_blank_ones_zero():
    rows = twin_rows(GenEval)
    rng = random.Random(0)
    scores, metrics = score_images(GenEval(), rows, lambda sample: draw(geneval_scene(sample.target, rng)))
    assert [score.reason for score in scores if not score.values["correct"]] == []
    assert list(metrics.values()) == pytest.approx([1.0] * len(metrics))
    _, blank = score_images(GenEval(), rows, lambda sample: BLANK)
    assert set(blank.values()) == {0.0}


def test_overall_is_the_mean_of_tasks_not_of_images():
    rows = twin_rows(GenEval)[:2]
    seen = {rows[0]["include"][0]["class"]: [box()]}
    _, metrics = score_judgements(GenEval(), rows, {"00000": [{"detections": seen}] * 3, "00001": [{"detections": {}}]})
    assert metrics["overall"] == 0.5
    assert metrics["prompts"] == 0.5


@pytest.mark.parametrize(
    "broken",
    [
        {"include": [{"class": "cup"}]},
        {"include": [{"count": 1}]},
        {"include": [{"class": "cup", "count": 1, "position": ["above", 0]}]},
        {"prompt": None},
    ],
)
def test_a_broken_row_is_named(broken):
    row = {"tag": "colors", "prompt": "a photo", "include": []} | broken
    with pytest.raises(HermesError, match="geneval row 1"):
        list(GenEval().samples([row]))
