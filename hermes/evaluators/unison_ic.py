"""Unison's internal consistency (IC): does a model see in the real picture what it draws from the same prompt?

Paper: arXiv 2606.26984; the program is FudanCVL/Unison at 407b7b5. An item has a prompt, a reference picture and
questions to which yes is the right answer. Of its n questions the model says yes to some about the reference, and a
judge says yes to some about what the model drew:

    U = yes of the model / n        G = yes of the judge / n        Uni = questions with both / n

and each score is the mean over items. `official` is what the program prints, `corrected` leaves what failed out of the
means and counts it. Both read the same `Item`, and `read_table` makes items of the table that the program writes.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

MISSING = {"", "nan", "none", "null", "na", "n/a"}
FAILED = "ERROR: "
NO_ROWS = "no_understanding_rows"
_PICTURE = re.compile(r"[^\s'\"]+\.(?:png|jpe?g|webp|bmp|gif)", re.IGNORECASE)
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


@dataclass(frozen=True)
class Question:
    """A question with what the model said of the reference and the judge of the drawing; None: no answer came."""

    text: str
    answer: str | None
    judged: str | None = None


@dataclass(frozen=True)
class Item:
    """A prompt with its questions; ``drawn``: whether there is a picture of it."""

    id: int
    questions: tuple[Question, ...]
    drawn: bool


def yes_or_no(text: str) -> str:
    """The first piece between anything but a-z that is "yes" or "no"; "unknown" where none is."""
    pieces = re.split("[^a-z]+", text.lower())
    return next((piece for piece in pieces if piece in ("yes", "no")), "unknown")


def picture_path(text: str) -> str | None:
    """The picture that a row of the table names: all of it where it ends like one, else the first word that does."""
    whole = text.strip()
    if whole.lower().endswith(_SUFFIXES):
        return whole
    found = _PICTURE.search(whole)
    return found[0] if found else None


def read_table(
    rows: Iterable[Mapping[str, Any]], pictures: Collection[str], judged: Callable[[str], str | None]
) -> list[Item]:
    """The items of the program's table, by number.

    ``pictures`` are the files that exist, ``judged`` gives the judge's reply to a question's text. Only rows with the
    status "success" hold an answer; of several for one question the last one counts.
    """
    texts: dict[int, dict[str, str]] = {}
    answers: dict[int, dict[str, str]] = {}
    drawn: dict[int, str | None] = {}
    for row in rows:
        item, name = int(row["dialogue_index"]), str(row["question_id"])
        asked, good = row["operation_type"] == "understanding", row["status"] == "success"
        texts.setdefault(item, {})
        if asked and (good or name not in texts[item]):
            texts[item][name] = _cell(row["question_text"])
        if asked and good:
            answers.setdefault(item, {})[name] = _cell(row["model_response"])
        elif good:
            drawn[item] = picture_path(_cell(row["model_response"]))
    return [
        Item(
            item,
            tuple(
                Question(text, answers.get(item, {}).get(name), judged(text) if text else None)
                for name, text in asked_of.items()
            ),
            drawn.get(item) in pictures,
        )
        for item, asked_of in sorted(texts.items())
    ]


def _cell(value: Any) -> str:
    """A cell's text; what a table program reads as missing is ""."""
    return "" if value is None or str(value).strip().lower() in MISSING else str(value)


def official(items: Sequence[Item]) -> dict[str, Any]:
    """The scores as the program prints them, per item and over all.

    Questions whose understanding failed are in no n, failed judgements are read as if they were answers, and an item
    without a picture has G = Uni = 0.
    """
    details, failures = [], {}
    for item in items:
        asked = [question for question in item.questions if question.answer is not None]
        if not asked:
            failures[str(item.id)] = NO_ROWS
            continue
        seen = [yes_or_no(question.answer or "") == "yes" for question in asked]
        drawn = [item.drawn and yes_or_no(question.judged or "") == "yes" for question in asked]
        both = [a and b for a, b in zip(seen, drawn, strict=True)]
        shares = {
            f"{name}_item": sum(values) / len(asked)
            for name, values in (("understanding", seen), ("generation", drawn), ("unified", both))
        }
        details.append({"dialogue_index": item.id, "num_questions": len(asked), **shares})
    scores = {
        f"{name}_score": float(mean([entry[f"{name}_item"] for entry in details] or [0.0]))
        for name in ("understanding", "generation", "unified")
    }
    stats = {
        "num_total": len(items),
        "num_scored": len(details),
        "num_failed": len(failures),
        "failure_reasons": failures,
    }
    return {"task": "IC", "scores": scores, "stats": stats, "details": details}


@dataclass
class _Counted:
    """What `corrected` counts over questions."""

    table: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("p11", "p10", "p01", "p00"), 0))
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("understanding_failed", "understanding_unparsed", "judge_failed", "judge_unparsed", "no_image"), 0
        )
    )

    def seen(self, question: Question) -> bool | None:
        """Whether the model says yes of the reference; None where its answer failed."""
        return self._read(question.answer, "understanding")

    def drawn(self, item: Item, question: Question) -> bool | None:
        """Whether the judge says yes of the drawing; None where there is no picture or no answer."""
        if not item.drawn:
            self.counts["no_image"] += 1
            return None
        failed = not question.judged or question.judged.startswith(FAILED)
        return self._read(None if failed else question.judged, "judge")

    def _read(self, answer: str | None, who: str) -> bool | None:
        if answer is None:
            self.counts[f"{who}_failed"] += 1
            return None
        read = yes_or_no(answer)
        self.counts[f"{who}_unparsed"] += read == "unknown"
        return read == "yes"


def corrected(items: Sequence[Item]) -> dict[str, Any]:
    """The scores without what failed, which is counted: answers, judgements and pictures that are missing.

    An answer that is neither yes nor no is not yes, and counted. ``question_table`` is the 2 x 2 of all questions with
    both answers (first digit the model about the reference). A share of nothing is None.
    """
    counted = _Counted()
    told: list[dict[str, Any]] = []
    for item in items:
        seen, drawn = [], []
        for question in item.questions:
            if question.text:
                seen.append(counted.seen(question))
                drawn.append(counted.drawn(item, question))
        pairs = [(a, b) for a, b in zip(seen, drawn, strict=True) if a is not None and b is not None]
        for a, b in pairs:
            counted.table[f"p{int(a)}{int(b)}"] += 1
        told.append(
            {
                "dialogue_index": item.id,
                "n_questions": len(seen),
                "understanding": _mean([value for value in seen if value is not None]),
                "generation": _mean([value for value in drawn if value is not None]),
                "both": _mean([float(a and b) for a, b in pairs]),
                "complete": 0 < len(pairs) == len(seen),
            }
        )
    means = {
        name: _mean([entry[name] for entry in told if entry[name] is not None])
        for name in ("understanding", "generation", "both")
    }
    return {"items": told, **means, "question_table": counted.table, "counts": counted.counts}


def overall(unified: Mapping[str, float | None]) -> float | None:
    """Unison's score over its tasks: the mean of the unified scores of those that ran, to six digits."""
    found = _mean([value for value in unified.values() if value is not None])
    return None if found is None else round(found, 6)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
