"""The rows of one task of a run: each answer with its sample, score and judgement, found where their files have them.

Short columns of all rows are read in one pass; whole rows are read again where they are wanted, a few at a time.
"""

import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from hermes.harness.records.journal import Index, Journal, whole_lines
from hermes.harness.records.keys import judgement_key
from hermes.harness.records.stored_samples import StoredSample, read_sample
from hermes.harness.records.types import Judgement, Response, Score
from hermes.harness.system.errors import HermesError
from hermes.harness.system.text import plain
from hermes.leaderboards.stored import TaskFiles
from hermes.leaderboards.worth import gold_of, is_right, value_of

SHORT = 160  # Characters of a text in a list.
CHUNK = 512  # Rows that are read at a time.
ANSWERED = "answered"  # The status of an answer that nobody has scored yet.
SAMPLE, SCORE = frozenset(("id", "group_id", "prompt", "asked")), frozenset(("sample_id", "index"))
Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Row:
    """One answer and what belongs to it, as far as it is there."""

    id: str
    index: int
    sample: StoredSample | None
    score: Score | None
    response: Response | None
    judgement: Judgement | None


@dataclass
class Columns:
    """One entry a row in each list, as the list of rows shows them; texts are short."""

    id: list[str] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    category: list[str] = field(default_factory=list)
    status: list[str] = field(default_factory=list)
    value: list[float | None] = field(default_factory=list)
    right: list[int | None] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    prompt: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    gold: list[str] = field(default_factory=list)
    group: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.id)


class _Answer(NamedTuple):
    """What the list shows of an answer."""

    text: str
    cut: int
    error: str | None


class Rows:
    """All rows of a task as its files are now; ``problems`` has a line for each line that cannot be read."""

    def __init__(self, files: TaskFiles, headline: str = "") -> None:
        self.files, self.headline = files, headline
        self.problems: list[str] = []
        self.columns = Columns()
        self._samples, self._scores = _in_place(files.samples), files.scores
        self._sample_starts, self._score_starts = array("Q"), array("Q")
        self._of_sample = array("q")  # the place of each row's sample, -1 where there is none
        self._keys: dict[tuple[str, int], str] = {}  # of answers whose samples are not stored
        self._responses: Index[Response] | None = None
        self._judgements: Index[Judgement] | None = None
        self._read()

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def stored(self) -> bool:
        """Whether prompts, right answers and pictures are there."""
        return self._samples is not None

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        """Whole rows. Raises HermesError where a file of them is no longer what it was."""
        samples = [self._sample(number) for number in numbers]
        scores = [self._score(number) for number in numbers]
        named = [(self.columns.id[number], self.columns.index[number]) for number in numbers]
        keys = [self._key(sample, *name) for sample, name in zip(samples, named, strict=True)]
        if self._responses is None:
            self._responses = Index(_journals(self.files.store, "responses"), Response)
        responses = self._responses.get(keys)
        judgements = self._judged(samples, keys, responses)
        return [
            Row(*name, sample, score, response, judgement)
            for name, sample, score, response, judgement in zip(
                named, samples, scores, responses, judgements, strict=True
            )
        ]

    def __iter__(self) -> Iterator[Row]:
        numbers = iter(range(len(self)))
        while chunk := list(islice(numbers, CHUNK)):
            yield from self.rows(chunk)

    def _judged(
        self, samples: Sequence[StoredSample | None], keys: Sequence[str], responses: Sequence[Response | None]
    ) -> list[Judgement | None]:
        if self.files.judgements is None or not self.stored:
            return [None] * len(keys)
        if self._judgements is None:
            self._judgements = Index(_journals(self.files.judgements, "judgements"), Judgement)
        return self._judgements.get(
            [
                judgement_key(key, response.content_mark if response else None, bytes.fromhex(sample.whole))
                if sample
                else "0" * 16
                for sample, key, response in zip(samples, keys, responses, strict=True)
            ]
        )

    def _key(self, sample: StoredSample | None, name: str, index: int) -> str:
        """The key of the answer; that of no answer where there is none."""
        if sample is None:
            return self._keys.get((name, index), "0" * 16)
        return self.files.key(sample.id, index, sample.asked)

    def _sample(self, number: int) -> StoredSample | None:
        place = self._of_sample[number]
        if place < 0 or self._samples is None:
            return None
        return read_sample(_line(self._samples, self._sample_starts[place]), str(self._samples))

    def _score(self, number: int) -> Score | None:
        if not self._score_starts:
            return None
        try:
            return Score.model_validate(from_json(_line(self._scores, self._score_starts[number])))
        except (ValidationError, ValueError):
            raise HermesError(f"{self._scores} changed while it was read; look again") from None

    def _read(self) -> None:
        """One pass over each file."""
        answers, by_name = self._answers()
        shown: list[tuple[str, str, str, str, str, str]] = []
        places: dict[str, int] = {}
        if self._samples is not None:
            for start, entry in self._lines(self._samples, SAMPLE):
                gold = short(gold_of(entry.get("target")) or "")
                category = str((entry.get("metadata") or {}).get("category") or "")
                places[entry["id"]] = len(shown)
                self._sample_starts.append(start)
                shown.append((entry["id"], entry["group_id"], short(entry["prompt"]), gold, entry["asked"], category))
        if self._scores.is_file():
            for start, score in self._lines(self._scores, SCORE):
                place = places.get(score["sample_id"], -1)
                self._score_starts.append(start)
                answer = self._find(answers, by_name, score["sample_id"], score["index"], shown, place)
                self._add(score, place, shown, answer)
        else:
            self._unscored(answers, by_name, shown)
        self._keys = {} if self.stored else by_name

    def _unscored(self, answers: dict[str, _Answer], by_name: dict[tuple[str, int], str], shown: Any) -> None:
        """The answers so far of a task that is still in progress."""
        if not shown:
            for (name, index), key in by_name.items():
                self._add({"sample_id": name, "index": index}, -1, shown, answers[key])
            return
        for place, one in enumerate(shown):
            for index in range(self.files.config.num_images):
                if answer := answers.get(self.files.key(one[0], index, one[4])):
                    self._add({"sample_id": one[0], "index": index, "group_id": one[1]}, place, shown, answer)

    def _find(
        self,
        answers: dict[str, _Answer],
        by_name: dict[tuple[str, int], str],
        name: str,
        index: int,
        shown: Any,
        place: int,
    ) -> _Answer | None:
        key = by_name.get((name, index), "") if place < 0 else self.files.key(name, index, shown[place][4])
        return answers.get(key)

    def _add(self, score: dict[str, Any], place: int, shown: Any, answer: _Answer | None) -> None:
        _, group, prompt, gold, _, category = shown[place] if place >= 0 else ("", "", "", "", "", "")
        columns, values = self.columns, score.get("values") or {}
        value = value_of(values, self.headline)
        failed = answer is not None and answer.error is not None
        columns.id.append(score["sample_id"])
        columns.index.append(score["index"])
        columns.category.append(category or next(iter((score.get("tags") or {}).values()), ""))
        columns.status.append(score.get("status") or ("error" if failed else ANSWERED))
        columns.value.append(value)
        columns.right.append(is_right(values, self.headline))
        columns.cut.append(answer.cut if answer else 0)
        columns.prompt.append(prompt)
        columns.answer.append(answer.text if answer else "")
        columns.gold.append(gold)
        columns.group.append(score.get("group_id") or group)
        self._of_sample.append(place)

    def _answers(self) -> tuple[dict[str, _Answer], dict[tuple[str, int], str]]:
        """What the list shows of every stored answer by its key, and the newest key of every sample's answers."""
        answers: dict[str, _Answer] = {}
        by_name: dict[tuple[str, int], str] = {}
        for path in _journals(self.files.store, "responses"):
            for _, _, body in whole_lines(path, self.problems):
                entry = from_json(body)
                key, error = entry["key"], entry.get("error")
                if error is None or key not in answers:  # an error never replaces an answer
                    cut = int(bool(entry.get("truncated") or entry.get("prompt_cut")))
                    answers[key] = _Answer(short(entry.get("text") or ""), cut, error)
                    by_name[entry["sample_id"], entry["index"]] = key
        self.problems = [f"{line} is damaged" for line in self.problems]
        return answers, by_name

    def _lines(self, path: Path, needed: frozenset[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """(first byte, content) of every whole line; a torn last line is none, others that are none are told."""
        start = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    entry = from_json(line)
                except ValueError:
                    entry = None
                if isinstance(entry, dict) and entry.keys() >= needed:
                    yield start, entry
                elif line.endswith(b"\n"):
                    self.problems.append(f"{path} line {number} is damaged")
                start += len(line)


@lru_cache(maxsize=1024)  # answers and right answers are often alike
def short(text: str) -> str:
    """The beginning of a text in one line."""
    found = plain(text[: 2 * SHORT])
    return found if len(found) <= SHORT else found[: SHORT - 3] + "..."


def stamp(files: TaskFiles) -> Stamp:
    """What changes when a file of the task does."""
    paths = [files.scores, _in_place(files.samples) or files.samples, *_journals(files.store, "responses")]
    if files.judgements is not None:
        paths += _journals(files.judgements, "judgements")
    found = ((path, _stat(path)) for path in paths)
    return tuple((str(path), one.st_mtime_ns, one.st_size) for path, one in found if one is not None)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _journals(folder: Path, stem: str) -> list[Path]:
    return Journal(folder, stem, Response).files()


def _in_place(samples: Path) -> Path | None:
    """The file of the samples, or what is there of one that is being written; None where there is neither."""
    if samples.is_file():
        return samples
    parts = sorted(samples.parent.glob(f".{samples.name}.*.part"))
    return parts[-1] if parts else None


def _line(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.readline()
