"""Lessons: the benchmarks' prompts word for word, right answers, and no scene of another split."""

import hashlib
import random
from collections import Counter
from itertools import islice

import pytest

from hermes.harness.contracts.prompts import ONE_SENTENCE, OPTION_LETTER, SHORT_ANSWER
from hermes.harness.records.types import Split
from hermes.shapes.lessons import VERSION, lesson, multiple_choice, planning, training_scenes
from hermes.shapes.questions import QA, answer
from hermes.shapes.scene import split_of
from hermes.shapes.words import PLACE_PHRASES

SCENES = list(islice(training_scenes("train", 0), 400))


def test_every_dialogue_is_a_benchmark_prompt_with_the_right_answer() -> None:
    rng = random.Random(1)
    lettered = 0
    for scene in SCENES:
        *short, (caption_prompt, caption) = lesson(scene, rng).dialogues
        assert caption_prompt == ONE_SENTENCE
        assert caption
        assert len({prompt.split("\n")[0] for prompt, _ in short}) == len(short) == 4
        for prompt, reply in short:
            if prompt.endswith(OPTION_LETTER):
                question, *options = prompt.removesuffix(OPTION_LETTER).split("\n")
                assert [option[:3] for option in options] == ["A. ", "B. ", "C. ", "D. "]
                assert answer(question, scene.objects) == options["ABCD".index(reply)][3:]
                lettered += 1
            else:
                assert prompt.endswith(SHORT_ANSWER)
                assert answer(prompt.removesuffix(SHORT_ANSWER), scene.objects) == reply
    assert 0.15 < lettered / (4 * len(SCENES)) < 0.25


def test_the_multiple_choice_prompt_word_for_word() -> None:
    prompt, letter = multiple_choice(QA("What size is the red circle?", "large", "size"), random.Random(0))
    lines = prompt.split("\n")
    assert lines[0] == "What size is the red circle?"
    assert sorted(line[3:] for line in lines[1:5]) == ["large", "medium", "small", "tiny"]
    assert lines[5:] == ["Answer with the option's letter from the given choices directly."]
    assert f"{letter}. large" in lines


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_training_scenes_stay_in_their_split(split: Split) -> None:
    assert {split_of(scene.key) for scene in islice(training_scenes(split, 3), 300)} == {split}


def test_training_scenes_repeat_with_the_seed_only() -> None:
    first, again, other = (list(islice(training_scenes("train", seed), 20)) for seed in (1, 1, 2))
    assert first == again != other


def test_other_lessons_have_another_version() -> None:
    """Self-plays replay lessons, so their ids hold the version: raise it together with this hash."""
    rng = random.Random(6)
    found = [lesson(scene, rng) for scene in islice(training_scenes("train", 6), 50)]
    assert (VERSION, hashlib.sha256(repr(found).encode()).hexdigest()[:16]) == ("2", "7c90cdc25fd0650b")


def test_all_numbers_of_objects_are_taught() -> None:
    counts = Counter(len(scene.objects) for scene in SCENES)
    assert min(counts[number] for number in (1, 2, 3, 4)) > 0.1 * len(SCENES)


def test_the_vocabulary_stays_small() -> None:
    rng = random.Random(2)
    words: set[str] = set()
    for scene in islice(training_scenes("train", 5), 2000):
        found = lesson(scene, rng)
        for text in (found.prompt_for_image, *(part for pair in found.dialogues for part in pair)):
            words.update(text.replace("\n", " ").replace("?", " ").replace(",", " ").split())
    assert len(words) < 200


def placed(text: str) -> int:
    """How many places a text names; the longest phrases first, as "top" is in "top left"."""
    count = 0
    for phrase in sorted(PLACE_PHRASES.values(), key=len, reverse=True):
        count += text.count(phrase)
        text = text.replace(phrase, "")
    return count


def test_a_plan_names_every_object_and_its_place_in_the_order_of_the_prompt() -> None:
    rng = random.Random(3)
    lessons = [planning("train", rng) for _ in range(600)]
    planned = [(prompt, plan) for prompt, plan in lessons if plan]
    for _, plan in planned:
        objects = plan.replace(" and a", ", a").split(", ")
        assert placed(plan) == len(objects)
        assert all(part.split()[1] in ("small", "large") for part in objects)
    photos = [(prompt, plan) for prompt, plan in planned if prompt.startswith("a photo of")]
    for prompt, plan in photos:
        mentions = [prompt.index(part.split()[3]) for part in plan.replace(" and a", ", a").split(", ")]
        assert mentions == sorted(mentions)
    assert 0.5 < len(photos) / len(lessons) < 0.7
    large = sum(plan.count("large") for _, plan in photos)
    assert 0.75 < large / (large + sum(plan.count("small") for _, plan in photos)) < 0.85


def test_a_prompt_that_names_every_place_has_an_empty_plan() -> None:
    rng = random.Random(4)
    without = [prompt for prompt, plan in (planning("train", rng) for _ in range(600)) if not plan]
    assert 0.1 < len(without) / 600 < 0.2
    assert all(placed(prompt) for prompt in without)


@pytest.mark.parametrize("split", ["train", "test"])
def test_plans_stay_in_their_split(split: Split) -> None:
    """By the key of what they name: a lone object counts with its size and place, others by their coloured shapes."""
    rng = random.Random(5)
    for _ in range(300):
        _, plan = planning(split, rng)
        found = [part.split(" ", 4) for part in plan.replace(" and a", ", a").split(", ")] if plan else []
        if len(found) > 1:
            assert split_of(" + ".join(sorted(f"{part[2]} {part[3]}" for part in found))) == split
        elif found:
            where = list(PLACE_PHRASES.values()).index(found[0][4])
            assert split_of(f"{found[0][2]} {found[0][3]} {found[0][1]} {where}") == split
