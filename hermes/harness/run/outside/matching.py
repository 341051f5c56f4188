"""Which row each answer from a file belongs to."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from hermes.harness.data.answers import Answers, refuse_double
from hermes.harness.data.given import Given, question_of
from hermes.harness.records.types import Sample
from hermes.harness.run.outside.rows import ScoredRows
from hermes.harness.system.errors import HermesError
from hermes.harness.system.text import plain

SCORED = ("tag", "include", "exclude")  # What of a prompt that its folder describes decides whether an image is right.
LONGEST = 100
MOST_OTHER_GOLDS = 0.5  # Corrected labels of a set differ in fewer.
ROW_NUMBER = "doc_id"


class Naming(NamedTuple):
    """One way to name samples: by an id, or, where several rows share one, by id and question."""

    places: Mapping[str, int]
    with_question: bool = False

    def place(self, answer: Given) -> int | None:
        """The sample's place among all."""
        return self.places.get(f"{answer.id}\n{answer.asked}" if self.with_question else answer.id)


def matched(rows: ScoredRows, answers: Answers) -> list[Sample]:
    """The sample of each answer.

    All ids are those of the rows, or all are the evaluator's own, or all are of the column that the answers name; in
    lmms-eval's samples they are the rows' numbers from 0 and nothing else. Raises HermesError that names the first
    answer that belongs to no row, where the ids fit two ways, and where an answer says that it belongs to another row.
    """
    samples, given = list(rows.data.samples), answers.given
    questions = [question_of(sample.prompt) for sample in samples]
    namings = list(_namings(rows, samples, questions, answers.key))
    ways: list[list[int]] = []
    for naming in namings:
        way = [place for answer in given if (place := naming.place(answer)) is not None]
        if len(way) == len(given) and way not in ways:
            ways.append(way)
    if not ways:
        stranger = _best_known(given, namings)
        raise HermesError(
            f"{_short(stranger.where)}: no row has the id {_short(repr(stranger.id))}; "
            f"the ids are such as {_short(', '.join(sample.id for sample in samples[:3]))}"
        )
    asked = set(questions)
    contradictions = [_contradiction(given, way, questions, asked) for way in ways]
    good = [way for way, contradiction in zip(ways, contradictions, strict=True) if contradiction is None]
    if not good:
        raise HermesError(contradictions[0] or "")
    if len(good) > 1:
        first = next(place for place, other in enumerate(good[1]) if other != good[0][place])
        one, other = (f"row {way[first] + 1}" for way in good[:2])
        raise HermesError(
            f"{_short(given[first].where)}: the id {_short(repr(given[first].id))} may mean {one} or {other} of the "
            "data; give the rows ids that the answers name, or answers to all rows"
        )
    found = [samples[place] for place in good[0]]
    _refuse_doubles(given, found)
    _refuse_other_metadata(given, found)
    _refuse_other_golds(given, found)
    return found


def _namings(rows: ScoredRows, samples: Sequence[Sample], questions: Sequence[str], key: str) -> Iterator[Naming]:
    if key == ROW_NUMBER:
        yield Naming({str(place): place for place in range(len(samples))})
        return
    yield Naming({sample.id: place for place, sample in enumerate(samples)})
    for names in (rows.own_ids, rows.columns.get(key, ())):
        places = {name: place for place, name in enumerate(names)}
        if len(places) == len(samples):
            yield Naming(places)
        elif len(names) == len(samples):
            named = enumerate(zip(names, questions, strict=True))
            pairs = {f"{name}\n{asked}": place for place, (name, asked) in named}
            if len(pairs) == len(samples):
                yield Naming(pairs, with_question=True)


def _best_known(given: Sequence[Given], namings: Sequence[Naming]) -> Given:
    """The first answer that the naming which knows the most answers does not know."""
    naming = max(namings, key=lambda naming: sum(naming.place(answer) is not None for answer in given))
    return next(answer for answer in given if naming.place(answer) is None)


def _contradiction(given: Sequence[Given], way: Sequence[int], questions: Sequence[str], known: set[str]) -> str | None:
    """What to say of the first answer to the question of another row than its own; None where there is none."""
    for answer, place in zip(given, way, strict=True):
        if answer.asked in known and answer.asked != questions[place]:
            return (
                f"{_short(answer.where)} answers {_short(repr(answer.asked))}, but row {place + 1} of the data, whose "
                "id or number it has, asks another question; give the rows that were asked, in their order"
            )
    return None


def _refuse_doubles(given: Sequence[Given], found: Sequence[Sample]) -> None:
    """Raise HermesError where two answers stand in one place, though their ids or questions differ."""
    first: dict[tuple[str, int], Given] = {}
    for answer, sample in zip(given, found, strict=True):
        before = first.setdefault((sample.id, answer.index), answer)
        if before is not answer:
            refuse_double(before, answer)


def _refuse_other_metadata(given: Sequence[Given], found: Sequence[Sample]) -> None:
    """Raise HermesError for an answer that says it belongs to another prompt than its row's."""
    for answer, sample in zip(given, found, strict=True):
        row = sample.target
        if answer.told is None or not isinstance(row, Mapping):
            continue
        if other := [key for key in SCORED if answer.told.get(key) != row.get(key)]:
            raise HermesError(
                f"{_short(answer.where)} says it belongs to another prompt than row {answer.id} of "
                f"the data ({other[0]} differs); give the rows that fit, or leave out --data to go by the answers"
            )


def _short(text: str) -> str:
    return plain(text, longest=LONGEST)


def _refuse_other_golds(given: Sequence[Given], found: Sequence[Sample]) -> None:
    """Raise HermesError where the right answers that the answers bring are too often not those of their rows."""
    both = [
        (answer, sample)
        for answer, sample in zip(given, found, strict=True)
        if answer.gold and isinstance(sample.target, str)
    ]
    others = [(answer, sample) for answer, sample in both if _folded(answer.gold) != _folded(str(sample.target))]
    if len(others) > MOST_OTHER_GOLDS * len(both):
        answer, sample = others[0]
        raise HermesError(
            f"{_short(answer.where)} was scored against {_short(repr(answer.gold))}, but its row of the data has "
            f"{_short(repr(sample.target))}, and so it is in {len(others)} of {len(both)} answers; give the rows that "
            "were asked, in their order"
        )


def _folded(text: str) -> str:
    return text.strip().rstrip(".").casefold()
