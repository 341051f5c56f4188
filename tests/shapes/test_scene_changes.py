"""Changes of the drawn world: told and read alike, carried out on scenes, and asked about."""

import random
from itertools import islice

import pytest

from hermes.shapes.changes import KINDS, change, changed, questions, read_change
from hermes.shapes.draw import draw
from hermes.shapes.oracle import OracleJudge
from hermes.shapes.scene import scenes
from hermes.shapes.words import Phrase


def cases(kind, number=40):
    for place, scene in enumerate(islice(scenes("test", 0, "changes"), number)):
        told = change(scene, random.Random(place), kind)
        if told:
            yield scene, told


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_told_is_read(kind):
    found = [told for _, told in cases(kind)]
    assert found
    assert {told.kind for told in found} == {kind}
    assert [read_change(str(told)) for told in found] == found


@pytest.mark.parametrize(
    "text", ["make the red circle", "make the red circle red and blue", "draw a dog", "remove it", ""]
)
def test_other_words_are_no_change(text):
    assert read_change(text) is None


@pytest.mark.parametrize("kind", KINDS)
def test_one_object_is_changed_and_no_other(kind):
    for scene, told in cases(kind):
        after = changed(scene, told).objects
        gone, new = set(scene.objects) - set(after), set(after) - set(scene.objects)
        assert (len(gone), len(new)) == (1, 0 if kind == "remove" else 1)
        phrases = [Phrase.of(obj, ("size", "color", "shape", "place")) for obj in scene.objects]
        assert told.of(phrases) == [Phrase.of(obj, ("size", "color", "shape", "place")) for obj in after]


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_tells_a_change_from_none(kind):
    judge, done, untouched = OracleJudge.load(), [], []
    for scene, told in cases(kind, 24):
        asked = questions(scene, told)
        for picture, found in ((draw(changed(scene, told)), done), (draw(scene), untouched)):
            said = judge.answer([picture] * len(asked), [qa.question for qa in asked])
            found += [(qa.kind, one == qa.answer) for qa, one in zip(asked, said, strict=True)]
    assert sum(right for _, right in done) >= 0.97 * len(done)
    assert not any(right for which, right in untouched if which == "changed" and kind != "remove")
