"""What is asked about a drawn picture, and what was answered to it, in words."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Question(NamedTuple):
    """``name`` is its id among the replies where they are a mapping, ``right`` the right answer."""

    name: str
    text: str
    right: str


def asked_about(target: Any, metadata: Mapping[str, Any]) -> list[Question]:
    """The questions that a sample's target or metadata hold; none where a judge is asked none."""
    if isinstance(target, Sequence) and not isinstance(target, str):
        entries = [one for one in target if isinstance(one, Mapping) and "question" in one]
        return [Question(str(k), str(one["question"]), str(one.get("answer", ""))) for k, one in enumerate(entries)]
    told = metadata.get("propositions")
    entries = [one for one in told if isinstance(one, Mapping)] if isinstance(told, Sequence) else []
    return [
        Question(str(one["id"]), str(one["question"]), "yes") for one in entries if {"id", "question"} <= one.keys()
    ]


def reply_to(replies: Any, number: int, name: str) -> str | None:
    """The reply to a question, in a list by its number, in a mapping by its name."""
    if isinstance(replies, Mapping):
        return None if replies.get(name) is None else str(replies[name])
    if isinstance(replies, list | tuple) and number < len(replies):
        return str(replies[number])
    return None


def words_of(prediction: Any) -> str | None:
    """What a scorer has read in an answer, in one line; None where it is nothing."""
    if isinstance(prediction, Mapping):
        return ", ".join(f"{name}: {value}" for name, value in prediction.items())
    if isinstance(prediction, list | tuple):
        return ", ".join(map(str, prediction))
    return None if prediction is None else str(prediction)
