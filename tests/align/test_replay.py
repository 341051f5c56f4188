"""What is replayed beside preferences: lessons as the courses of the small models end."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

import pytest

from hermes.align.pairs.items import shapes_items
from hermes.align.pairs.replay import DRAWN, homologous, shapes_lessons
from hermes.harness.contracts.prompts import ONE_SENTENCE
from hermes.harness.system import registry

ITEMS = shapes_items(registry.evaluator("homologous-u"), registry.evaluator("homologous-g"), 3, 0)


def test_one_lesson_in_three_is_an_image_and_half_of_the_answers_are_to_hard_questions() -> None:
    found = list(islice(shapes_lessons(("text", "image"), 0), 1500))
    assert [number for number, item in enumerate(found) if item.kind == "image"] == list(range(0, 1500, DRAWN))
    texts = [item for item in found if item.kind == "text"]
    asked = Counter(
        "caption"
        if item.prompt == ONE_SENTENCE
        else "count"
        if item.prompt.startswith("How many")
        else "relation"
        if any(where in item.prompt for where in ("left of", "right of", "above", "below"))
        else "other"
        for item in texts
    )
    assert 0.07 < asked["caption"] / len(texts) < 0.13
    assert asked["relation"] > 0.15 * len(texts)
    assert asked["count"] > 0.05 * len(texts)


@pytest.mark.parametrize("kinds", [("text",), ("image",), ("text", "image")])
def test_lessons_are_of_the_kinds_that_are_asked_for_and_repeat_with_the_seed(kinds: Sequence[str]) -> None:
    first, again, other = (list(islice(shapes_lessons(kinds, seed), 40)) for seed in (1, 1, 2))
    said = [[(item.kind, item.prompt, item.text, item.seed) for item in one] for one in (first, again, other)]
    assert {item.kind for item in first} == set(kinds)
    assert said[0] == said[1] != said[2]


@pytest.mark.parametrize("kinds", [("text",), ("image",), ("text", "image")])
def test_homologous_items_are_replayed_both_ways_in_turn(kinds: Sequence[str]) -> None:
    found = list(islice(homologous(ITEMS, "Describe.", kinds, 0), 12))
    assert Counter(item.kind for item in found) == dict.fromkeys(kinds, 12 // len(kinds))
    captions = {item.caption for item in ITEMS}
    assert all(item.text in captions and item.prompt == "Describe." for item in found if item.kind == "text")
    assert all(item.prompt in captions | {""} for item in found if item.kind == "image")
