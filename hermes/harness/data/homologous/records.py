"""Homologous items and their questions, and how questions are read from the forms in which others write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hermes.harness.contracts.fields import nested
from hermes.harness.contracts.reader import gold_choice, words
from hermes.harness.records.types import Record
from hermes.harness.system.errors import HermesError

# The names that TIFA, Hermes and JourneyDB give to a question's kind and choices.
KIND_KEYS = ("kind", "element_type", "type")
CHOICE_KEYS = ("choices", "options")


class Question(Record):
    """A question that follows from a caption. ``choices`` may be empty; ``element`` is the word that is asked about."""

    question: str
    answer: str
    kind: str = "other"
    choices: tuple[str, ...] = ()
    element: str = ""

    def row(self) -> dict[str, Any]:
        """As JSON, without what is empty."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in self if value}


@dataclass(frozen=True)
class Item:
    """One homologous item as far as it is known; ``image`` is whatever an ImageHandle opens.

    ``questions`` None means that nobody asked any, () that none could be made. ``metadata`` is GenEval's.
    """

    id: str
    caption: str | None = None
    image: Any = None
    questions: tuple[Question, ...] | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Written:
    """What a question writer made of one caption.

    ``reason`` says why there are no questions, ``malformed`` counts those it wrote that cannot be used, ``error`` says
    why the caption must be asked again.
    """

    questions: tuple[Question, ...] = ()
    reason: str = ""
    malformed: int = 0
    error: str = ""


class QuestionWriter(Protocol):
    """Writes questions about captions; ``identity`` stands in every line that it makes."""

    identity: str

    def write(self, items: list[Item]) -> list[Written]: ...


def read_question(entry: Any, where: str) -> Question:
    """A question from ``{question, answer, kind | element_type | type, choices | options, element}``, in any case.

    Numbers become text. Where there are options, lettered ({"A": "cat"}) or not, the answer is one of them: its text,
    its letter, or both. Raises HermesError that names the item.
    """
    if not isinstance(entry, Mapping):
        raise HermesError(f"{where}: {entry!r} is no question; write objects with question and answer")
    fields = {str(key).lower(): value for key, value in entry.items()}
    question, answer = (_text(fields.get(name), name, where) for name in ("question", "answer"))
    options = next((fields[key] for key in CHOICE_KEYS if fields.get(key)), ())
    options = nested(options)
    if isinstance(options, str) or not isinstance(options, Mapping | Sequence):
        raise HermesError(f"{where}: the choices of {question[:40]!r} must be a list, not text; fix the row")
    if isinstance(options, Mapping):
        answer = _text(options.get(answer.strip(" .():").upper(), answer), "answer", where)
        options = list(options.values())
    choices = tuple(_text(choice, "choice", where) for choice in options)
    if not words(answer):
        raise HermesError(f"{where}: the answer to {question[:40]!r} is {answer[:40]!r}; use a split that has answers")
    if choices:
        answer = choices[_right(answer, choices, f"{where}: the answer to {question[:40]!r}")]
    kind = next((fields[key] for key in KIND_KEYS if fields.get(key)), "other")
    return Question(
        question=question,
        answer=answer,
        kind=str(kind),
        choices=choices,
        element=str(fields.get("element") or ""),
    )


def _right(answer: str, choices: Sequence[str], what: str) -> int:
    place = gold_choice(answer, choices)
    if place is None:
        options = ", ".join(map(repr, choices))
        raise HermesError(f"{what} is {answer[:40]!r}, which is none of the choices {options[:120]}; fix the row")
    return place


def read_questions(found: Any, where: str) -> tuple[Question, ...]:
    """A row's questions. Raises HermesError where they are not a list, or an empty one."""
    if not isinstance(found, list | tuple) or not found:
        raise HermesError(f"{where}: questions must be a list of {{question, answer, kind}}, not empty; fix the row")
    return tuple(read_question(entry, where) for entry in found)


def _text(value: Any, name: str, where: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise HermesError(f"{where}: every {name} must be text, not {value!r}; fix the row")
    return value
