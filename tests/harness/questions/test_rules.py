"""Questions by rules: what they ask follows from GenEval's metadata, and the oracle answers them of true pictures."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from hermes.harness.data.homologous.records import Item
from hermes.harness.questions.geneval_prompts import CLASSES, metadata_of
from hermes.harness.questions.rules import OUTSIDE, RuleWriter, geneval_questions, plural
from hermes.harness.questions.shapes_captions import objects_of
from hermes.harness.system.errors import HermesError
from hermes.shapes.captions import full
from hermes.shapes.prompts import TAGS, geneval_prompt, geneval_scene
from hermes.shapes.questions import answer
from hermes.shapes.scene import COLORS, random_scene
from hermes.shapes.words import NUMBERS, RELATIONS

GENEVAL = Path(__file__).parents[4] / "shared" / "realdata" / "geneval"
OPPOSITES = ({"left of", "right of"}, {"above", "below"})


def truth(metadata, question):
    """The answer to a rule's question, worked out from GenEval's metadata alone; None for any other question."""
    entries = {entry["class"]: entry for entry in metadata["include"]}
    names = list(entries)
    for name, entry in entries.items():
        several, verb = plural(name), ("Are" if name in ("skis", "scissors") else "Is")
        article = "an" if name[0] in "aeiou" else "a"
        there = f"Are there {name}" if verb == "Are" else f"Is there {article} {name}"
        facts = {f"{there} in the image?": "yes"}
        if metadata["tag"] == "counting":
            facts[f"How many {several} are in the image?"] = str(entry["count"])
            for number, word in enumerate((*NUMBERS, "5")):
                right = "yes" if number == entry["count"] else "no"
                facts[f"Are there exactly {word} {several} in the image?"] = right
        if "color" in entry:
            facts[f"What color {verb.lower()} the {name}?"] = entry["color"]
            facts |= {f"{verb} the {name} {c}?": "yes" if c == entry["color"] else "no" for c in COLORS}
        if "position" in entry:
            relation, index = entry["position"]
            anchor = metadata["include"][index]["class"]
            axis = next(pair for pair in OPPOSITES if relation in pair)
            facts |= {f"{verb} the {name} {r} the {anchor}?": "yes" if r == relation else "no" for r in axis}
            facts[f"{verb} the {name} left or right of the {anchor}?"] = relation.split()[0]
            facts[f"{verb} the {name} above or below the {anchor}?"] = relation
        if len(names) == 1:
            facts["What object is in the image?"] = facts["What shape is the object?"] = name
        for other in names:
            if other != name:
                facts[f"What object is in the image besides the {name}?"] = other
        if question in facts:
            return facts[question]
    return None


def assert_true(metadata, questions):
    for asked in questions:
        assert asked.answer == truth(metadata, asked.question), (metadata["prompt"], asked.question)
        assert asked.answer in asked.choices
        assert len(set(asked.choices)) == len(asked.choices)
    assert len({asked.question for asked in questions}) == len(questions)


def test_all_prompts_of_geneval():
    if not GENEVAL.is_dir():
        pytest.skip("GenEval's prompts are not here")
    lines = [json.loads(line) for line in (GENEVAL / "evaluation_metadata.jsonl").open()]
    assert tuple((GENEVAL / "object_names.txt").read_text().split("\n"))[: len(CLASSES)] == CLASSES
    counts = Counter()
    for number, line in enumerate(lines):
        assert metadata_of(line["prompt"]) == line
        by_metadata = RuleWriter().write([Item(str(number), line["prompt"], metadata=line)])
        by_text = RuleWriter().write([Item(str(number), line["prompt"])])
        assert by_metadata == by_text
        assert_true(line, by_text[0].questions)
        counts[line["tag"], len(by_text[0].questions)] += 1
    assert counts == {
        ("single_object", 2): 80,
        ("two_object", 4): 99,
        ("counting", 4): 80,
        ("colors", 4): 94,
        ("position", 5): 100,
        ("color_attr", 8): 100,
    }


@pytest.mark.parametrize("tag", TAGS)
def test_shapes_prompts_are_read_and_the_oracle_answers_as_the_rules_say(tag):
    rng = random.Random(0)
    for _ in range(40):
        metadata = geneval_prompt(tag, rng)
        assert metadata_of(metadata["prompt"]) == metadata
        questions = geneval_questions(metadata, rng, "x")
        assert_true(metadata, questions)
        scene = geneval_scene(metadata, rng)
        assert [answer(asked.question, scene.objects) for asked in questions] == [asked.answer for asked in questions]


@pytest.mark.parametrize(
    "prompt",
    [
        "a photo of a castle",
        "a photo of an bench",
        "a photo of a bench.",
        "A photo of a bench",
        "a photo of two bench",
        "a photo of a bench and a red cup",
        "a photo of five cups",
        "a photo of a grey cup",
        "a photo of a cup  above a bench",
        "a photo of a man riding a horse and a dog",
        "",
    ],
)
def test_what_is_outside_the_grammar_is_not_guessed(prompt):
    assert metadata_of(prompt) is None
    assert RuleWriter().write([Item("x", prompt)])[0].reason == OUTSIDE


def test_full_captions_are_read_back_exactly():
    rng = random.Random(1)
    for number in range(300):
        scene = random_scene(rng)
        caption = full(scene, rng)
        objects = objects_of(caption)
        assert objects is not None
        seen = Counter((obj.size, obj.color, obj.shape, obj.cell) for obj in objects)
        assert seen == Counter((obj.size, obj.color, obj.shape, obj.cell) for obj in scene.objects)
        (written,) = RuleWriter().write([Item(str(number), caption)])
        assert len(written.questions) == 6
        for asked in written.questions:
            assert answer(asked.question, scene.objects) == asked.answer


@pytest.mark.parametrize(
    "caption",
    [
        "a large red circle in the top left.",
        "an large red circle in the top left",
        "a red circle in the top left",
        "two large red circles in the top left",
        "a large red circle in the top left and a small red cross in the top left",
        "a large red circle in the top left, a small red cross at the top",
    ],
)
def test_other_captions_about_shapes_are_not_read(caption):
    assert objects_of(caption) is None


def test_the_same_seed_writes_the_same_questions():
    items = [Item(str(k), "a photo of a red cup and a blue bench") for k in range(20)]
    assert RuleWriter(3).write(items) == RuleWriter(3).write(items)
    assert RuleWriter(3).write(items) != RuleWriter(4).write(items)


def test_things_that_are_only_there_twice_and_plurals():
    asked = RuleWriter().write([Item("x", "a photo of a skis right of a zebra")])[0].questions
    assert {"Are there skis in the image?", "Are the skis right of the zebra?"} <= {qa.question for qa in asked}
    assert [plural(noun) for noun in ("bench", "toothbrush", "bus", "person", "sheep", "knife", "kite")] == [
        "benches",
        "toothbrushes",
        "buses",
        "people",
        "sheep",
        "knives",
        "kites",
    ]


def test_a_class_in_two_entries_is_asked_about_by_name_only():
    include = [{"class": "cup", "count": 1, "color": color} for color in ("red", "blue")]
    questions = geneval_questions({"tag": "color_attr", "include": include}, random.Random(0), "x")
    assert [asked.question for asked in questions] == ["Is there a cup in the image?"]


@pytest.mark.parametrize(
    "include",
    [
        [{"count": 1}],
        [{"class": "cup", "count": "some"}],
        ["cup"],
        [{"class": "cup", "count": 1, "position": ["up", 0]}],
    ],
)
def test_metadata_of_another_form_are_refused(include):
    with pytest.raises(HermesError, match="item 5"):
        geneval_questions({"tag": "position", "include": include}, random.Random(0), "item 5")


def test_relations_are_those_of_the_shapes_world():
    assert {relation for pair in OPPOSITES for relation in pair} == set(RELATIONS)
