"""The forms in which judges of generated images speak, checked: detections by class, and answers to questions."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from hermes.harness.system.errors import HermesError

DETECTIONS = '{"detections": {class: [{"box": [x0, y0, x1, y1], "score": number, "color": text or null}]}}'
ANSWERS = '{"answers": {question id: text}}'


def read_detections(data: Mapping[str, Any]) -> dict[str, Any]:
    """``{"detections": {class: [{"box", "score", "color"}]}}``; a box without colour has None."""
    found = data.get("detections")
    if not isinstance(found, Mapping) or not all(isinstance(boxes, list) for boxes in found.values()):
        raise HermesError(f"expected {DETECTIONS}")
    return {"detections": {str(name): [_box(name, box) for box in boxes] for name, boxes in found.items()}}


def _box(name: str, entry: Any) -> dict[str, Any]:
    entry = entry if isinstance(entry, Mapping) else {}
    box, score, color = entry.get("box"), entry.get("score"), entry.get("color")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, [*box, score])):
        raise HermesError(f"a box of {name!r} is not four numbers with a score; expected {DETECTIONS}")
    if color is not None and not isinstance(color, str):
        raise HermesError(f"the color of a box of {name!r} is not text; expected {DETECTIONS}")
    return {"box": box, "score": score, "color": color}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_answers(data: Mapping[str, Any], known: Collection[int]) -> dict[str, Any]:
    """``{"answers": {number: text}}`` with the numbers as text; which of the known ones are there is not checked."""
    found = data.get("answers")
    if not isinstance(found, Mapping) or not all(isinstance(said, str) for said in found.values()):
        raise HermesError(f"expected {ANSWERS}")
    named = {_number(name): said for name, said in found.items()}
    if strange := [name for name in found if _number(name) not in known]:
        raise HermesError(f"there is no question {strange[0]!r}; expected {ANSWERS} with {', '.join(map(str, known))}")
    return {"answers": {str(number): said for number, said in named.items()}}


def _number(name: Any) -> int | None:
    try:
        return int(name)
    except (TypeError, ValueError):
        return None


def read_answer_list(data: Mapping[str, Any], n: int) -> dict[str, Any]:
    """``{"answers": [one text a question]}`` for ``n`` questions."""
    found = data.get("answers")
    if not isinstance(found, list) or len(found) != n or not all(isinstance(said, str) for said in found):
        raise HermesError(f'expected {{"answers": [one text for each of the {n} questions, in order]}}')
    return {"answers": found}
