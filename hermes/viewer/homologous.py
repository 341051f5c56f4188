"""Both sides of homologous items: the real picture and the drawn one, and the same questions with both answers."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.viewer.details import clean, drawn_picture, questions_of, said, shown_pictures
from hermes.viewer.pictures import Pictures
from hermes.viewer.rows import Row, Rows

NOT_STORED = "an older version did not store it; hermes eval with the same options does"


class Homologous:
    """The items that have both sides in a run, in the order of its questions."""

    def __init__(self, understanding: Rows, generation: Rows) -> None:
        self._u, self._g = understanding, generation
        self._asked = _by_item(understanding)
        self._drawn = _by_item(generation)
        self.ids = [item for item in self._asked if item in self._drawn]
        self.captions = [generation.columns.prompt[self._drawn[item][0]] for item in self.ids]
        self.u = [_mean(understanding, self._asked[item]) for item in self.ids]
        self.g = [_mean(generation, self._drawn[item]) for item in self.ids]
        self._place = {item: place for place, item in enumerate(self.ids)}

    def place(self, item: str) -> int | None:
        """Where an item is in the lists."""
        return self._place.get(item)

    def items(self, places: Sequence[int], pictures: Pictures) -> list[dict[str, Any]]:
        """All that is known of some items."""
        found = []
        for place in places:
            item = self.ids[place]
            asked, drawn = self._u.rows(self._asked[item]), self._g.rows(self._drawn[item])
            real = shown_pictures(asked[0].sample, self._u.files, pictures)
            caption = drawn[0].sample.prompt if drawn[0].sample else ""
            found.append(
                {
                    "id": item,
                    "caption": clean(caption),
                    "real": real[0] if real else {"missing": NOT_STORED},
                    "drawn": [
                        {
                            "picture": drawn_picture(row, self._g.files, pictures) or {"missing": "nothing was drawn"},
                            "plan": said(row.response.plan) if row.response else None,
                            "g": self._g.columns.value[number],
                        }
                        for number, row in zip(self._drawn[item], drawn, strict=True)
                    ],
                    "questions": _questions(asked, drawn),
                    "u": self.u[place],
                    "g": self.g[place],
                }
            )
        return found


def _by_item(rows: Rows) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for number, group in enumerate(rows.columns.group):
        found[group or rows.columns.id[number].rpartition("/")[0]].append(number)
    return found


def _mean(rows: Rows, numbers: Sequence[int]) -> float | None:
    """The mean of an item's values; None where one of them is missing, as the gap has it."""
    values = [value for number in numbers if (value := rows.columns.value[number]) is not None]
    return sum(values) / len(values) if values and len(values) == len(numbers) else None


def _questions(asked: Sequence[Row], drawn: Sequence[Row]) -> list[dict[str, Any]]:
    """Each question by its number, with the answer about the real picture and one about each that was drawn.

    Either side may still lack answers, or not have stored what was asked.
    """
    about = {int(row.id.rpartition("/")[2]): row for row in asked}
    judged = [questions_of(row) for row in drawn]
    found = []
    for number in range(max(max(about) + 1, *map(len, judged))):
        row, others = about.get(number), [one[number] if number < len(one) else {} for one in judged]
        told: dict[str, Any] = next(filter(None, others), {})
        sample, response, score = (row.sample, row.response, row.score) if row else (None, None, None)
        question = clean(sample.prompt.removesuffix(SHORT_ANSWER)) if sample else told.get("question")
        correct = score.values.get("correct") if score else None
        found.append(
            {
                "question": question or f"Question {number + 1}",
                "gold": clean(str(sample.target)) if sample else told.get("expected"),
                "real_answer": said(response.text) if response else None,
                "real_right": None if correct is None else bool(correct),
                "drawn": [{"answer": one.get("answer"), "right": one.get("right")} for one in others],
            }
        )
    return found
