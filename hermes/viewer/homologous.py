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
            plan = drawn[0].response.plan if drawn[0].response else None
            shown = (drawn_picture(row, self._g.files, pictures) for row in drawn)
            found.append(
                {
                    "id": item,
                    "caption": clean(caption),
                    "real": real[0] if real else {"missing": NOT_STORED},
                    "drawn": [one or {"missing": "nothing was drawn"} for one in shown],
                    "plan": said(plan),
                    "questions": _questions(asked, drawn[0]),
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


def _questions(asked: Sequence[Row], drawn: Row) -> list[dict[str, Any]]:
    """Each question with the answer about the real picture and that about the drawn one."""
    judged = questions_of(drawn)
    found = []
    for number, row in enumerate(asked):
        question = row.sample.prompt.removesuffix(SHORT_ANSWER) if row.sample else row.id
        correct = row.score.values.get("correct") if row.score else None
        other = judged[number] if number < len(judged) else {}
        found.append(
            {
                "question": clean(question),
                "gold": clean(str(row.sample.target)) if row.sample else None,
                "real_answer": said(row.response.text) if row.response else None,
                "real_right": None if correct is None else bool(correct),
                "drawn_answer": other.get("answer"),
                "drawn_right": other.get("right"),
            }
        )
    return found
