"""The twin of GQA: 350 images with two questions each, the structural types in about the shares of the real set."""

from functools import partial

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.records.types import Split
from hermes.shapes.draw import draw
from hermes.shapes.twins.asked import asked_scenes, in_turn

IMAGES = 350
QUESTIONS = 2
# The structural and the semantic type of each kind of question.
TYPES = {
    **dict.fromkeys(("color", "size", "place"), ("query", "attr")),
    **dict.fromkeys(("shape", "object"), ("query", "cat")),
    **{"beside": ("query", "rel"), "count": ("query", "global")},
    **{"exists": ("verify", "obj"), "is_color": ("verify", "attr"), "is_shape": ("verify", "cat")},
    **{"is_size": ("verify", "attr"), "is_at": ("verify", "attr"), "relation": ("verify", "rel")},
    **{"empty": ("verify", "global"), "logical": ("logical", "obj"), "choose": ("choose", "attr")},
    **dict.fromkeys(("same", "larger"), ("compare", "attr")),
}
KINDS = (
    *("color", "logical", "object", "relation", "shape", "choose", "beside", "is_color", "place", "exists", "size"),
    *("logical", "beside", "is_shape", "color", "same", "object", "is_at", "count", "choose", "shape", "logical"),
    *("place", "is_size", "beside", "larger", "color", "empty"),
)


def twin(name: str) -> Twin:
    """The twin of GQA."""
    return Twin(partial(rows, name), IMAGES * QUESTIONS)


def rows(name: str, split: Split, seed: int) -> list[Row]:
    """The kinds of questions in turn; all are balanced."""
    found: list[Row] = []
    plan = in_turn(KINDS, IMAGES, QUESTIONS)
    for number, (scene, asked, _) in enumerate(asked_scenes(split, seed, name, plan)):
        picture = draw(scene)
        for qa in asked:
            structural, semantic = TYPES[qa.kind]
            verdict = qa.answer in ("yes", "no")
            found.append(
                {
                    "id": f"{len(found):08d}",
                    "imageId": f"n{number:06d}",
                    "question": qa.question,
                    "answer": qa.answer,
                    "fullAnswer": f"{qa.answer.capitalize()}." if verdict else f"It is {qa.answer}.",
                    "isBalanced": True,
                    "types": {"structural": structural, "semantic": semantic, "detailed": qa.kind},
                    "image": picture,
                }
            )
    return found
