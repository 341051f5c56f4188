"""Every caption is read back with its own small reader and must be true and complete."""

import random
import re
from collections import Counter
from collections.abc import Callable
from itertools import islice

import pytest

from hermes.shapes import captions
from hermes.shapes.scene import (
    COLORS,
    SHAPES,
    SIZES,
    Obj,
    Scene,
    compose,
    scenes,
)
from hermes.shapes.words import PLACE_PHRASES, place_of

SCENES = list(islice(scenes("validation", 0, "test captions"), 500))
RELATIONS: dict[str, Callable[[Obj, Obj], bool]] = {
    "left of": lambda a, b: a.x < b.x - 6,
    "right of": lambda a, b: a.x > b.x + 6,
    "above": lambda a, b: a.y < b.y - 6,
    "below": lambda a, b: a.y > b.y + 6,
    "next to": lambda a, b: max(abs(a.x - b.x), abs(a.y - b.y)) < 20,
}
SINGULAR = {f"{shape}{'es' if shape == 'cross' else 's'}": shape for shape in SHAPES}
NUMBER = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4}


def meant(words: str, scene: Scene) -> list[Obj]:
    """The objects that ``red circles in the top left`` can mean."""
    found = list(scene.objects)
    phrase = next((phrase for phrase in PLACE_PHRASES.values() if words.endswith(f" {phrase}")), "")
    if phrase:
        found = [obj for obj in found if PLACE_PHRASES[place_of(obj)] == phrase]
    for word in words.removesuffix(phrase).split():
        singular = {"crosses": "cross"}.get(
            word, word if word in ("cross", *COLORS, *SIZES) else word.removesuffix("s")
        )
        assert singular in (*COLORS, *SIZES, *SHAPES), words
        found = [obj for obj in found if singular in (obj.color, obj.size, obj.shape)]
    return found


def listed(text: str, scene: Scene) -> int:
    """How many objects a list such as ``two red circles and a white square`` names; each item must be true."""
    total = 0
    for item in re.split(r", | and ", text):
        number, words = item.split(" ", 1)
        assert len(meant(words, scene)) >= NUMBER[number], (item, scene)
        total += NUMBER[number]
    return total


def check_sentence(text: str, scene: Scene) -> None:
    text = re.sub(r"^(an image of|a picture of|there is|there are|a photo of) ", "", text)
    text = text.removesuffix(" on a gray background")
    relation = re.fullmatch(
        r"an? ([\w ]+?) (left of|right of|above|below|next to) an? (\w+(?: \w+)?)(?: with (.+))?", text
    )
    if relation:
        a, name, b, rest = relation.groups()
        assert any(RELATIONS[name](p, q) for p in meant(a, scene) for q in meant(b, scene)), (text, scene)
        assert 2 + (listed(rest, scene) if rest else 0) == len(scene.objects)
    else:
        assert listed(text, scene) == len(scene.objects), (text, scene)


def check_dense(text: str, scene: Scene) -> None:
    first, *others = text.removesuffix(".").split(". ")
    number = re.search(r"\b(one|two|three|four) objects?$", first)
    assert number
    assert NUMBER[number[1]] == len(scene.objects)
    told = 0
    for sentence in others:
        place = re.fullmatch(rf"an? (.+) is ({'|'.join(PLACE_PHRASES.values())})", sentence)
        relation = re.fullmatch(r"the (.+) is (left of|right of|above|below) the (.+)", sentence)
        if place:
            told += len(meant(f"{place[1]} {place[2]}", scene))
        else:
            assert relation, sentence
            assert RELATIONS[relation[2]](meant(relation[1], scene)[0], meant(relation[3], scene)[0])
    assert told == len(scene.objects)


@pytest.mark.parametrize("scene", SCENES[:50], ids=lambda scene: scene.key)
def test_full_names_everything(scene: Scene) -> None:
    text = captions.full(scene, random.Random(1))
    items = re.split(r", | and ", text)
    told = Counter(item.split(" ", 1)[1] for item in items)
    assert told == Counter(f"{obj.size} {obj.name} {PLACE_PHRASES[place_of(obj)]}" for obj in scene.objects)


def test_references_are_five_true_sentences() -> None:
    rng = random.Random(2)
    for scene in SCENES:
        texts = captions.references(scene, rng)
        assert len(set(texts)) == len(texts) == 5
        for text in texts:
            check_sentence(text, scene)


def test_dense_tells_all_and_only_what_is_true() -> None:
    for scene in SCENES:
        check_dense(captions.dense(scene, random.Random(3)), scene)


def test_simple_is_true_and_mixes_the_styles() -> None:
    rng = random.Random(4)
    styles: Counter[str] = Counter()
    for scene in SCENES:
        for _ in range(3):
            text = captions.simple(scene, rng)
            styles["dense" if text.endswith(".") else "photo" if text.startswith("a photo") else "sentence"] += 1
            (check_dense if text.endswith(".") else check_sentence)(text, scene)
    assert 0.11 < styles["dense"] / styles.total() < 0.19
    assert 0.07 < styles["photo"] / styles.total() < 0.25


def test_photo_templates_are_those_of_geneval() -> None:
    assert captions.photo_of_object("circle") == "a photo of a circle"
    assert captions.photo_of_two("circle", "square") == "a photo of a circle and a square"
    assert captions.photo_of_count("cross", 3) == "a photo of three crosses"
    assert captions.photo_of_colored("orange", "circle") == "a photo of an orange circle"
    assert captions.photo_of_position("circle", "left of", "square") == "a photo of a circle left of a square"
    pairs = ("red", "circle"), ("orange", "square")
    assert captions.photo_of_two_colored(*pairs) == "a photo of a red circle and an orange square"


def test_photo_is_none_where_no_template_is_complete() -> None:
    scene = compose([("red", "circle"), ("blue", "circle"), ("red", "square")], random.Random(0))
    assert captions.photo(scene, random.Random(0)) is None


def test_the_same_seed_writes_the_same() -> None:
    for write in (captions.full, captions.references, captions.dense, captions.simple):
        assert write(SCENES[0], random.Random(5)) == write(SCENES[0], random.Random(5))
