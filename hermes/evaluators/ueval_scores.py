"""UEval's scores: answers with text and pictures, judged rubric by rubric.

Paper: arXiv 2601.22155; the program is zlab-princeton/UEval at 3a5b5ea (MIT). A judge says of every rubric whether the
answer meets it. An item's text rate and image rate are the shares of met rubrics, and each is averaged over the items
that have such rubrics. `overall` is ours: the program prints no number over both, and the published average is the mean
of the tasks' columns.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CLOSED = {"space", "textbook", "diagram", "paper"}
WORDS = {"true": True, "yes": True, "y": True, "1": True, "false": False, "no": False, "n": False, "0": False}
_BLOCK = re.compile(r"```json\s*(\{.*?\})\s*```", re.DOTALL)
_VERDICT = re.compile(r'\{\s*"(?:criteria_met|explanation)"[^{}]*\}')
_STRAY = re.compile(r'\\(?!["\\/bfnrtu])')

Judged = Callable[[str], bool | None]
"""Whether a rubric is met; None where no reply of the judge could be read."""


def read_reply(reply: str) -> Any:
    """The verdict that a judge wrote as JSON. Raises ValueError where it wrote none; the judge is then asked again."""
    if block := _BLOCK.search(reply):
        text = block[1]
    elif verdict := _VERDICT.search(reply):
        text = verdict[0]
    else:
        text = reply[reply.find("{") : reply.rfind("}") + 1]
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(_STRAY.sub(r"\\\\", text))


def normalised(value: Any) -> Any:
    """A verdict's value: a word for yes or no as a boolean, anything else, numbers too, as it is."""
    return WORDS.get(value.strip().lower(), value) if isinstance(value, str) else value


def met(reply: str) -> bool:
    """Whether a judge's reply says that the rubric is met. Raises ValueError as `read_reply`."""
    return normalised(read_reply(reply).get("criteria_met")) is True


def question_type(task: str) -> str:
    """ "closed" for the four tasks with one right answer, else "open": there image rubrics are judged with the text."""
    return "closed" if task.strip().lower() in CLOSED else "open"


@dataclass(frozen=True)
class Rubrics:
    """The verdicts on one item's rubrics of one kind."""

    verdicts: tuple[bool | None, ...]

    @property
    def failed(self) -> int:
        return self.verdicts.count(None)

    @property
    def met(self) -> int:
        return self.verdicts.count(True)

    def told(self) -> dict[str, Any]:
        """How many are met of those that were judged, and the share; None where there are none."""
        total = len(self.verdicts) - self.failed
        return {"met": self.met, "total": total, "rate": self.met / total if total else None}


def score_items(
    items: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]], judged: Judged
) -> dict[str, Any]:
    """Every item with its rates, and their means.

    An item without an answer is judged as an empty one, and says so in ``answer_found``. ``failed`` counts rubrics on
    which the judge gave no verdict: they are in no rate.
    """
    answers = {str(output["id"]): output for output in outputs}
    told, failed = [], 0
    for item in items:
        answer = answers.get(item["id"])
        text, image = (
            Rubrics(tuple(judged(rubric) for rubric in item.get(f"{kind}_rubrics") or ())) for kind in ("text", "image")
        )
        failed += text.failed + image.failed
        told.append(
            {
                "id": item["id"],
                "question_type": question_type(item["task"]),
                "answer_found": answer is not None,
                "text_answer": "" if answer is None else answer.get("text_answer", ""),
                "images": [] if answer is None else _pictures(answer.get("image_answer")),
                "text_score": text.told(),
                "image_score": image.told(),
                "rubric_met": [*text.verdicts, *image.verdicts],
            }
        )
    return {"items": told, "summary": summary(told), "failed": failed}


def summary(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The means of both rates, each over the items that have such rubrics."""
    text, image = ([rate for item in items if (rate := item[kind]["rate"]) is not None] for kind in _KINDS)
    return {
        "num_items": len(items),
        "text_avg_rate": _mean(text),
        "image_avg_rate": _mean(image),
        "num_items_with_text": len(text),
        "num_items_with_image": len(image),
    }


def overall(items: Iterable[Mapping[str, Any]]) -> float | None:
    """The mean over items of the mean of the rates that an item has; None without any."""
    each = [_mean([rate for kind in _KINDS if (rate := item[kind]["rate"]) is not None]) for item in items]
    return _mean([value for value in each if value is not None])


_KINDS = ("text_score", "image_score")


def _pictures(given: Any) -> list[str]:
    paths = [given] if isinstance(given, str) else given or []
    return [path for path in paths if path]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
