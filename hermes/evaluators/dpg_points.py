"""DPG-Bench's propositions: how a row is read, which ones a protocol looks at, and which have a point."""

from collections.abc import Mapping, Sequence
from typing import Any

from hermes.harness.contracts.benchmark import Row
from hermes.harness.contracts.fields import text
from hermes.harness.system.errors import HermesError, JudgeError

Proposition = Mapping[str, Any]
Points = dict[int, float]


def read_proposition(row: Row, where: str) -> dict[str, Any]:
    """The proposition of a row of the CSV, its level up to the first bracket."""
    try:
        number = int(row["proposition_id"])
        parents = [int(part) for part in str(row["dependency"]).split(",")]
    except ValueError:
        raise HermesError(f"{where}: proposition_id and dependency must be whole numbers; fix the row") from None
    return {
        "id": number,
        "question": text(row, "question_natural_language", where),
        "level": text(row, "tuple", where).split("(")[0].strip(),
        "dependencies": [parent for parent in parents if parent != 0],
    }


def counted(rows: Sequence[Proposition], protocol: str) -> dict[int, Proposition]:
    """The propositions that the protocol looks at, by id, in row order."""
    if protocol == "official":
        rows = [row for row in rows if not row["first"]]
        rows = [row for row in rows if row["block"] == rows[-1]["block"]]
    return {row["id"]: row for row in rows}


def raw_points(asked: Mapping[int, Proposition], answers: Mapping[str, str]) -> Points:
    """1 for each question that is answered 'yes'. Raises JudgeError where one has no answer."""
    if lost := [number for number in asked if str(number) not in answers]:
        raise JudgeError(f"the judgement has no answer to question {lost[0]}")
    return {number: float(answers[str(number)] == "yes") for number in asked}


def official_points(asked: Mapping[int, Proposition], raw: Points) -> Points:
    """Points after the official walk down the rows. Raises KeyError where it does."""
    points = dict(raw)
    for number, row in asked.items():
        if any(points[parent] == 0 for parent in row["dependencies"]):
            points[number] = 0.0
    return points


def corrected_points(asked: Mapping[int, Proposition], raw: Points) -> Points:
    """A point for each question answered yes together with all that it builds on; unknown parents are left out."""

    def stands(number: int) -> bool:
        reached, todo = {number}, [number]
        while todo:
            fresh = {parent for parent in asked[todo.pop()]["dependencies"] if parent in asked} - reached
            reached |= fresh
            todo += fresh
        return all(raw[one] for one in reached)

    return {number: float(stands(number)) for number in asked}


def points_of(rows: Sequence[Proposition], answers: Mapping[str, str], protocol: str) -> tuple[Points, Points] | None:
    """Points before and after dependencies; None where the official script drops the item."""
    asked = counted(rows, protocol)
    raw = raw_points(asked, answers)
    if protocol == "corrected":
        return raw, corrected_points(asked, raw)
    try:
        return (raw, official_points(asked, raw)) if asked else None
    except KeyError:
        return None
