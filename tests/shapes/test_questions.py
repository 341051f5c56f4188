"""Askers, homologous items and propositions against the exact reader and against the scene itself."""

import random
from collections import Counter
from itertools import islice

import pytest

from hermes.shapes.captions import full
from hermes.shapes.questions import (
    KINDS,
    OPEN,
    QA,
    YES_NO,
    answer,
    ask,
    choices,
    homologous,
    propositions,
)
from hermes.shapes.scene import (
    COLORS,
    SHAPES,
    Scene,
    compose,
    place,
    scenes,
)

SCENES = list(islice(scenes("validation", 0, "test questions"), 600))
PAIR = Scene(
    (place("circle", "red", "large", 0, random.Random(1)), place("square", "blue", "small", 2, random.Random(2))), 0
)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reader_inverts_the_asker(kind: str) -> None:
    rng = random.Random(1)
    asked = [(scene, ask(scene, rng, kind)) for scene in SCENES for _ in range(4)]
    found = [(scene, qa) for scene, qa in asked if qa]
    assert len(found) > len(asked) / 3
    for scene, qa in found:
        assert answer(qa.question, scene.objects) == qa.answer, qa
        assert qa.kind == kind


@pytest.mark.parametrize("kind", YES_NO)
def test_a_wanted_answer_is_given(kind: str) -> None:
    rng = random.Random(2)
    for want in ("yes", "no"):
        found = [qa for scene in SCENES[:200] if (qa := ask(scene, rng, kind, want))]
        assert {qa.answer for qa in found} == {want}


@pytest.mark.parametrize("kind", [kind for kind in YES_NO if kind not in ("same", "larger", "logical")])
def test_yes_and_no_are_balanced(kind: str) -> None:
    rng = random.Random(3)
    counts = Counter(qa.answer for scene in SCENES for _ in range(2) if (qa := ask(scene, rng, kind)))
    assert 0.42 < counts["yes"] / counts.total() < 0.58


def test_half_of_the_absent_coloured_shapes_recombine_the_scene() -> None:
    rng = random.Random(4)
    words = [
        ask(PAIR, rng, "exists", "no").question.removeprefix("Is there a").removesuffix(" in the image?").split()  # type: ignore[union-attr]
        for _ in range(3000)
    ]
    named = [(w[-2], w[-1]) for w in words if len(w) >= 2 and w[-2] in COLORS and w[-1] in SHAPES and "large" not in w]
    mixed = sum(pair in {("red", "square"), ("blue", "circle")} for pair in named)
    assert 0.35 < mixed / len(named) < 0.65


def test_the_same_seed_asks_the_same() -> None:
    def run() -> list[QA | None]:
        rng = random.Random(5)
        return [ask(scene, rng, kind) for scene in SCENES[:20] for kind in KINDS]

    assert run() == run()


def test_kinds_that_need_two_objects_refuse_one() -> None:
    lone = compose([("red", "circle")], random.Random(0))
    for kind in ("relation", "larger", "same", "beside"):
        assert ask(lone, random.Random(0), kind) is None


@pytest.mark.parametrize("kind", OPEN)
def test_open_answers_are_short_and_lower_case(kind: str) -> None:
    rng = random.Random(6)
    answers = {qa.answer for scene in SCENES for _ in range(8) if (qa := ask(scene, rng, kind))}
    assert all(text == text.lower() and 1 <= len(text.split()) <= 2 for text in answers)
    assert len(answers) >= {"size": 2, "count": 4, "shape": 5}.get(kind, 9)


@pytest.mark.parametrize("kind", KINDS)
def test_choices_are_four_and_hold_the_answer(kind: str) -> None:
    rng = random.Random(7)
    places: Counter[int] = Counter()
    for scene in SCENES:
        qa = ask(scene, rng, kind)
        if qa:
            options = choices(qa, rng)
            assert len(set(options)) == len(options) == 4
            places[options.index(qa.answer)] += 1
    assert set(places) == {0, 1, 2, 3}


@pytest.mark.parametrize("n", [1, 4, 6, 8])
def test_homologous_questions_differ_and_are_right(n: int) -> None:
    rng = random.Random(8)
    for scene in SCENES[:200]:
        asked = homologous(scene, rng, n)
        assert len({qa.question for qa in asked}) == n
        assert all(answer(qa.question, scene.objects) == qa.answer for qa in asked)


def test_homologous_questions_follow_from_the_full_caption() -> None:
    """Scenes with one caption have one set of answers: redraw each object inside its cell and ask again."""
    rng = random.Random(9)
    for scene in SCENES[:200]:
        again = Scene(tuple(place(o.shape, o.color, o.size, o.cell, rng) for o in scene.objects), 1)
        assert full(scene, random.Random(4)) == full(again, random.Random(4))
        assert all(answer(qa.question, again.objects) == qa.answer for qa in homologous(scene, rng))


def test_an_empty_image_scores_badly_on_homologous_questions() -> None:
    rng = random.Random(10)
    right = [[answer(qa.question, []) == qa.answer for qa in homologous(scene, rng)] for scene in SCENES]
    assert max(sum(item) for item in right) <= 3
    assert sum(map(sum, right)) / (6 * len(right)) < 0.2


def test_homologous_items_mix_kinds() -> None:
    rng = random.Random(11)
    counts = Counter(qa.kind for scene in SCENES for qa in homologous(scene, rng))
    assert {"exists", "color", "shape", "size", "count", "place", "relation"} <= set(counts)
    assert min(counts.values()) > 0.02 * counts.total()


def test_propositions_are_true_and_depend_on_earlier_entities() -> None:
    for scene in SCENES:
        rows = propositions(scene)
        assert len({row.question for row in rows}) == len(rows)
        for place_in_list, row in enumerate(rows, start=1):
            assert answer(row.question, scene.objects) == "yes"
            assert row.tuple_text.startswith(f"{row.category} - ")
            for parent in row.dependencies:
                assert parent < place_in_list
                assert rows[parent - 1].category == "entity"


def test_propositions_of_a_pair() -> None:
    rows = propositions(PAIR)
    counts = Counter(row.category for row in rows)
    assert counts == {"entity": 2, "attribute": 4, "relation": 3, "other": 1, "global": 1}
    assert (
        "relation",
        "relation - spatial (red circle, blue square, left of)",
        "Is the red circle left of the blue square?",
        (1, 2),
    ) in rows


def test_propositions_fail_on_an_empty_image() -> None:
    assert all(answer(row.question, []) == "no" for scene in SCENES[:50] for row in propositions(scene))
