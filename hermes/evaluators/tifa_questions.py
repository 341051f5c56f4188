"""TIFA's questions, and the choice that a free answer to one stands for."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from hermes.harness.contracts.fields import text
from hermes.harness.system.errors import HermesError

Question = Mapping[str, Any]


def read_question(entry: Mapping[str, Any], where: str) -> Question:
    """A question of a row, with its choices, answer and type."""
    row = {"question": None, "answer": None, **entry}
    choices = entry.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise HermesError(f"{where}: choices must be a list of texts; fix the row")
    return {
        "question": text(row, "question", where),
        "choices": [str(choice) for choice in choices],
        "answer": text(row, "answer", where),
        "type": str(entry.get("element_type") or entry.get("type") or "other"),
    }


def chosen(answer: str, choices: Sequence[str], similarities: Sequence[float] | None) -> str:
    """The choice that a free answer stands for."""
    if answer in choices or similarities is None:
        return answer
    return choices[max(range(len(choices)), key=similarities.__getitem__)]


def similarities_of(
    said: Sequence[str], choices: Sequence[Sequence[str]], similarity_name: str
) -> list[list[float] | None]:
    """Of each answer that is none of its choices the similarity to each of them."""
    from hermes.harness.judges.similarity import similarity

    open_answers = [(answer, options) for answer, options in zip(said, choices, strict=True) if answer not in options]
    pairs = [(answer, option) for answer, options in open_answers for option in options]
    values = iter(similarity(similarity_name)(*zip(*pairs, strict=True)) if pairs else [])
    return [
        None if answer in options else list(islice(values, len(options)))
        for answer, options in zip(said, choices, strict=True)
    ]


def fit(given: Any, answers: Sequence[str], choices: Sequence[Sequence[str]]) -> bool:
    """Whether somebody else's similarities are one list for each answer, or None where that is a choice."""
    return isinstance(given, list) and len(given) == len(choices) and all(map(_fits, given, answers, choices))


def _fits(similar: Any, answer: str, choices: Sequence[str]) -> bool:
    if similar is None:
        return answer in choices
    return (
        isinstance(similar, list)
        and len(similar) == len(choices)
        and all(isinstance(value, int | float) for value in similar)
    )
