"""The twin of MMMU: ten questions a subject, each subject with a kind of question of its own; every 17th is open."""

from functools import partial
from string import ascii_uppercase

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.contracts.published import MMMU_DISCIPLINES
from hermes.harness.records.types import Split
from hermes.shapes.draw import draw
from hermes.shapes.questions import choices
from hermes.shapes.twins.asked import asked_scenes, in_turn

# The kind of question of each subject, one line a discipline.
KINDS = (
    *("color", "choose", "shape", "count"),
    *("sum", "more", "count", "place", "object"),
    *("object", "shape", "place", "count", "beside"),
    *("size", "place", "color", "shape", "count"),
    *("beside", "french", "same", "choose"),
    *("object", "place", "code", "beside", "size", "color", "shape"),
)
SUBJECTS = tuple(subject for subjects in MMMU_DISCIPLINES.values() for subject in subjects)
QUESTIONS = 10
OPEN_EVERY = 17
IMAGES = 7


def twin(name: str) -> Twin:
    """The twin of MMMU."""
    return Twin(partial(rows, name), len(SUBJECTS) * QUESTIONS)


def rows(name: str, split: Split, seed: int) -> list[Row]:
    """The subjects in turn."""
    subjects = SUBJECTS * QUESTIONS
    items = asked_scenes(split, seed, name, in_turn(KINDS, len(subjects), 1))
    found: list[Row] = []
    for number, (subject, (scene, (qa,), rng)) in enumerate(zip(subjects, items, strict=True)):
        is_open = number % OPEN_EVERY == OPEN_EVERY - 1
        options = () if is_open else choices(qa, rng)
        found.append(
            {
                "id": f"{split}_{subject}_{number // len(SUBJECTS) + 1}",
                "question": qa.question,
                "options": str(list(options)),
                "explanation": "",
                **{f"image_{k}": draw(scene) if k == 1 else None for k in range(1, IMAGES + 1)},
                "img_type": "['Drawings']",
                "answer": qa.answer if is_open else ascii_uppercase[options.index(qa.answer)],
                "topic_difficulty": "Easy",
                "question_type": "open" if is_open else "multiple-choice",
                "subfield": qa.kind,
            }
        )
    return found
