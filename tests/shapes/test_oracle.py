"""The oracle answers from the picture what the scene itself would answer."""

import random
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from hermes.harness.system.errors import HermesError
from hermes.shapes.draw import draw
from hermes.shapes.oracle import OracleJudge
from hermes.shapes.questions import KINDS, ask
from hermes.shapes.scene import scenes


@pytest.fixture(scope="module")
def judge():
    return OracleJudge.load()


def test_answers_are_those_of_the_scene(judge):
    rng = random.Random(0)
    images, asked = [], []
    for scene in islice(scenes("test", 0, "oracle test"), 40):
        picture = draw(scene)
        for qa in filter(None, (ask(scene, rng, kind) for kind in KINDS)):
            images.append(picture)
            asked.append(qa)
    said = judge.answer(images, [qa.question for qa in asked])
    assert len(asked) > 500
    assert said == [qa.answer for qa in asked]


def test_detections_hold_every_object_with_its_color_and_box(judge):
    drawn = list(islice(scenes("test", 1, "oracle test"), 40))
    for scene, found in zip(drawn, judge.detect([draw(scene) for scene in drawn], [()] * len(drawn)), strict=True):
        boxes = [(name, box) for name, members in found.items() for box in members]
        assert sorted((name, box["color"]) for name, box in boxes) == sorted((o.shape, o.color) for o in scene.objects)
        for _, box in boxes:
            x0, y0, x1, y1 = box["box"]
            assert box["score"] == 1.0
            inside = [o for o in scene.objects if x0 < o.x < x1 and y0 < o.y < y1]
            assert len(inside) == 1
            assert 1.3 * inside[0].radius < y1 - y0 < 2.5 * inside[0].radius


def test_an_unreadable_picture_gets_no_answer(judge):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    assert judge.answer([Image.fromarray(pixels)], ["How many objects are in the image?"]) == [""]


def test_a_foreign_question_is_an_error(judge):
    picture = draw(next(scenes("test", 0, "oracle test")))
    with pytest.raises(HermesError, match="choose another judge"):
        judge.answer([picture], ["Is the dog happy?"])
