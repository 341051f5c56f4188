"""GenEval's prompts by their exact grammar: from the text back to the metadata that it was made from."""

import re
from collections.abc import Iterable
from typing import Any

from hermes.shapes.captions import (
    photo_of_colored,
    photo_of_count,
    photo_of_object,
    photo_of_position,
    photo_of_two,
    photo_of_two_colored,
)
from hermes.shapes.scene import COLORS, SHAPES
from hermes.shapes.words import NUMBERS, RELATIONS, plural

# prompts/object_names.txt of djghosh13/geneval: the COCO classes, four of them renamed.
CLASSES = tuple(
    """person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,
bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,
snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,
knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,
dining table,toilet,tv,laptop,computer mouse,tv remote,computer keyboard,cell phone,microwave,oven,toaster,sink,
refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush""".replace("\n", "").split(",")
)


def _any(words: Iterable[str]) -> str:
    return "(" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"


_NOUNS = (*CLASSES, *SHAPES)
_SINGULAR = {plural(noun): noun for noun in _NOUNS}
_COUNTS = {word: number for number, word in enumerate(NUMBERS) if number > 1}
_A_NOUN = f"an? {_any(_NOUNS)}"
_A_COLORED = f"an? {_any(COLORS)} {_any(_NOUNS)}"
_ONE = re.compile(f"a photo of {_A_NOUN}")
_TWO = re.compile(f"a photo of {_A_NOUN} and {_A_NOUN}")
_COUNT = re.compile(f"a photo of {_any(_COUNTS)} {_any(_SINGULAR)}")
_COLORED = re.compile(f"a photo of {_A_COLORED}")
_POSITION = re.compile(f"a photo of {_A_NOUN} {_any(RELATIONS)} {_A_NOUN}")
_TWO_COLORED = re.compile(f"a photo of {_A_COLORED} and {_A_COLORED}")


def metadata_of(prompt: str) -> dict[str, Any] | None:
    """``{tag, include, exclude?, prompt}`` as evaluation_metadata.jsonl has it, of the 80 classes and the five shapes.

    None for every other text: only what reads letter by letter as its template writes it is accepted.
    """
    found = _read(prompt)
    if found is None or found[0] != prompt:
        return None
    _, tag, include = found
    metadata: dict[str, Any] = {"tag": tag, "include": include}
    if tag == "counting":
        metadata["exclude"] = [{"class": include[0]["class"], "count": include[0]["count"] + 1}]
    return metadata | {"prompt": prompt}


def _read(prompt: str) -> tuple[str, str, list[dict[str, Any]]] | None:
    """The prompt written again, the task, and what the image must include."""
    if found := _ONE.fullmatch(prompt):
        return photo_of_object(found[1]), "single_object", [_entry(found[1])]
    if found := _TWO.fullmatch(prompt):
        return photo_of_two(found[1], found[2]), "two_object", [_entry(found[1]), _entry(found[2])]
    if found := _COUNT.fullmatch(prompt):
        noun, count = _SINGULAR[found[2]], _COUNTS[found[1]]
        return photo_of_count(noun, count), "counting", [_entry(noun, count=count)]
    if found := _COLORED.fullmatch(prompt):
        return photo_of_colored(found[1], found[2]), "colors", [_entry(found[2], color=found[1])]
    if found := _POSITION.fullmatch(prompt):
        noun, relation, anchor = found.groups()
        include = [_entry(anchor), _entry(noun, position=[relation, 0])]
        return photo_of_position(noun, relation, anchor), "position", include
    if found := _TWO_COLORED.fullmatch(prompt):
        first, second = (found[1], found[2]), (found[3], found[4])
        include = [_entry(noun, color=color) for color, noun in (first, second)]
        return photo_of_two_colored(first, second), "color_attr", include
    return None


def _entry(noun: str, count: int = 1, **more: Any) -> dict[str, Any]:
    return {"class": noun, "count": count, **more}
