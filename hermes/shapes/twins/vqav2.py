"""The twins of VQAv2 and of its test-dev: 350 images with two questions each, which ten drawn people answer."""

import random
from collections import Counter
from functools import partial
from typing import Any

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.records.types import Split
from hermes.shapes.draw import draw
from hermes.shapes.questions import QA, YES_NO, choices
from hermes.shapes.twins.asked import asked_scenes, in_turn

IMAGES = 350
QUESTIONS = 2
PEOPLE = 10
# What the rows of test-dev do not have.
HIDDEN = ("question_type", "multiple_choice_answer", "answers", "answer_type")
# Yes/no, number and other in the shares of the real set (38, 12, 50 %).
KINDS = (
    *("exists", "color", "relation", "object", "count", "shape", "is_color", "place", "empty", "beside", "is_at"),
    *("size", "count", "color", "larger", "object", "logical", "place", "exactly", "beside", "same", "choose"),
    *("count", "shape", "is_size"),
)
OTHERWISE = {
    **{str(number): [word, f"{word}."] for number, word in enumerate(("one", "two", "three", "four"), start=1)},
    **{"yes": ["Yes", "yes it is"], "no": ["No", "no it isnt"]},
    **{"center": ["middle", "in the center"], "large": ["big"], "small": ["little", "tiny"], "cross": ["plus", "x"]},
    **{
        "square": ["box", "a square"],
        "circle": ["a circle", "dot", "round"],
        "purple": ["violet"],
        "left": ["the left"],
    },
}


def twin(name: str) -> Twin:
    """The twin of VQAv2; of test-dev one about other scenes, without the answers."""
    return Twin(partial(hidden_rows if name == "vqav2-testdev" else rows, name), IMAGES * QUESTIONS)


def hidden_rows(name: str, split: Split, seed: int) -> list[Row]:
    """Rows as those of VQAv2, without the answers."""
    return [{key: row[key] for key in row if key not in HIDDEN} for row in rows(name, split, seed)]


def rows(name: str, split: Split, seed: int) -> list[Row]:
    """The kinds of questions in turn."""
    found: list[Row] = []
    plan = in_turn(KINDS, IMAGES, QUESTIONS)
    for number, (scene, asked, rng) in enumerate(asked_scenes(split, seed, name, plan)):
        picture = draw(scene)
        for qa in asked:
            people = crowd(qa, rng)
            found.append(
                {
                    "question_type": " ".join(qa.question.lower().split()[:2]),
                    "multiple_choice_answer": Counter(person["answer"] for person in people).most_common(1)[0][0],
                    "answers": people,
                    "image_id": number,
                    "answer_type": answer_type(qa),
                    "question_id": len(found),
                    "question": qa.question,
                    "image": picture,
                }
            )
    return found


def answer_type(qa: QA) -> str:
    return "yes/no" if qa.kind in YES_NO else "number" if qa.kind == "count" else "other"


def crowd(qa: QA, rng: random.Random) -> list[dict[str, Any]]:
    """Ten people, at least seven with the answer itself; the others put it otherwise or are wrong."""
    others = rng.choices(range(4), weights=(11, 5, 3, 1))[0]
    wrong = [option for option in choices(qa, rng) if option != qa.answer]
    said = [qa.answer] * (PEOPLE - others) + [
        rng.choice(OTHERWISE.get(qa.answer, [f"a {qa.answer}"])) if rng.random() < 0.5 else rng.choice(wrong)
        for _ in range(others)
    ]
    rng.shuffle(said)
    return [
        {
            "answer": answer,
            "answer_confidence": rng.choices(("yes", "maybe", "no"), weights=(8, 3, 1))[0],
            "answer_id": k + 1,
        }
        for k, answer in enumerate(said)
    ]
