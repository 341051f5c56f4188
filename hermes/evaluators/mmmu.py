"""MMMU: college-level questions of 30 subjects, multiple choice (94 %) or open.

Paper: Yue et al. 2024, "MMMU: A Massive Multi-discipline Multimodal Understanding and Reasoning Benchmark"
(arXiv:2311.16502). Licence: Apache-2.0.
Data: lmms-lab/MMMU, split validation, 900 questions, 847 of them multiple choice.
Prompt, as lmms-eval has it: the question, one option a line as "A. text", a blank line, the instruction; of open
questions the question, a blank line, the short-answer line. MMMU's own config has a blank line before the options too.
``<image k>`` marks stay in the text.

Protocols, both after MMMU's eval_utils.py; the number is the share of all questions that are right
- ``official``: strips , . ! ? ; : ' from the ends, one kind after the other; then looks for '(A)', then for ' A ';
  then, in answers of more than five words, for an option's text. The last mention wins. Otherwise a letter is drawn
  from random.Random(42), in sample order: such answers are marked unparsed and count by luck.
- ``lmms-eval``: the answer is stripped first; instead of ' A ' it looks for 'A ' (the end of a word such as NASA
  counts) and then for 'A.'. The last mention is still sought as ' A ', so without one the first option wins. It draws
  from random.Random(0); in its own runs other draws come between, so its letters differ from run to run.
- Open answers, in both: lower case; of each line the shortest tail after "so", "is", "answer" and the like, after '='
  too in the last line; all numbers in them, rounded to 2 decimals. Right if a gold text stands inside a read text, or a
  gold number is among the numbers. One-letter texts get a space before or after.

The official script prints three decimals of the share, lmms-eval five. An answer column that holds a Python list as
text is read as that list in both; lmms-eval itself leaves it as text, so that such golds never match there.

Chance: 94.1 % of the questions are multiple choice, nearly all of four options, so drawing letters gives 23.5 %.
"""

import ast
import math
import random
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hermes.evaluators.base import OPTION_LETTER, SHORT_ANSWER, Answer, DataSpec, Evaluator, Row
from hermes.evaluators.fields import text
from hermes.evaluators.means import mean, means_by_tag
from hermes.evaluators.twin import asked_scenes, in_turn
from hermes.harness.errors import HermesError
from hermes.harness.images import image_handle
from hermes.harness.shapes.draw import draw
from hermes.harness.shapes.questions import choices
from hermes.harness.shapes.scene import Split
from hermes.harness.types import GenerationConfig, Metric, Sample, Score

DISCIPLINES = {
    "Art and Design": {"Art": "color", "Art_Theory": "choose", "Design": "shape", "Music": "count"},
    "Business": {
        "Accounting": "sum",
        "Economics": "more",
        "Finance": "count",
        "Manage": "place",
        "Marketing": "object",
    },
    "Science": {"Biology": "object", "Chemistry": "shape", "Geography": "place", "Math": "count", "Physics": "beside"},
    "Health and Medicine": {
        "Basic_Medical_Science": "size",
        "Clinical_Medicine": "place",
        "Diagnostics_and_Laboratory_Medicine": "color",
        "Pharmacy": "shape",
        "Public_Health": "count",
    },
    "Humanities and Social Science": {
        "History": "beside",
        "Literature": "french",
        "Psychology": "same",
        "Sociology": "choose",
    },
    "Tech and Engineering": {
        "Agriculture": "object",
        "Architecture_and_Engineering": "place",
        "Computer_Science": "code",
        "Electronics": "beside",
        "Energy_and_Power": "size",
        "Materials": "color",
        "Mechanical_Engineering": "shape",
    },
}
SUBJECTS = {subject: name for name, subjects in DISCIPLINES.items() for subject in subjects}
KINDS = {subject: kind for subjects in DISCIPLINES.values() for subject, kind in subjects.items()}
OPEN_EVERY = 17
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FORMS = {"official": ("({})", " {} "), "lmms-eval": ("({})", "{} ", "{}.")}
SEEDS = {"official": 42, "lmms-eval": 0}
CUES = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
TRIVIAL = (":", ",", ".", "!", "?", ";", "'")
NUMBERS = (
    r"-?\b\d{1,3}(?:,\d{3})+\b",
    r"-?\d+(?:\.\d+)?[eE][+-]?\d+",
    r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])",
)


def read_letter(reply: str, options: Sequence[str], protocol: str) -> str | None:
    """The letter that the answer names, by itself or by its option's text; None where the protocol would draw one."""
    for mark in ",.!?;:'":
        reply = reply.strip(mark)
    reply = f" {reply} "
    letters = LETTERS[: len(options)]
    for form in FORMS[protocol]:
        if named := [letter for letter in letters if form.format(letter) in reply]:
            place = form if form == "({})" else " {} "
            return max(named, key=lambda letter: reply.rfind(place.format(letter)))
    if len(reply.split()) > 5:
        spots = {letter: reply.lower().rfind(option.lower()) for letter, option in zip(letters, options, strict=False)}
        if max(spots.values(), default=-1) >= 0:
            return max(spots, key=spots.__getitem__)
    return None


def normalise(reply: str) -> list[float | str]:
    """A number rounded to 2 decimals, or the text in lower case (one letter: with a space before, and after)."""
    reply = reply.strip()
    try:
        return [round(float(reply.replace(",", "")), 2)]
    except ValueError:
        reply = reply.lower()
        return [f" {reply}", f"{reply} "] if len(reply) == 1 else [reply]


def tail(line: str, cues: Sequence[str]) -> str:
    """The shortest text after the last mention of a cue; an empty one gives way to the next cue's."""
    best = ""
    for cue in cues:
        if cue in line:
            rest = line.split(cue)[-1].strip()
            best = rest if not best or len(rest) < len(best) else best
    return best


def read_open(reply: str) -> set[float | str]:
    """Every number and text that the answer may mean."""
    reply = reply.strip().strip(".").lower()
    *lines, last = reply.split("\n")
    tails = [tail(line, CUES) for line in lines] + [tail(last, (*CUES, "="))]
    keys = [key for key in tails if key and key not in TRIVIAL] or [reply]
    numbers = [number for key in keys for pattern in NUMBERS for number in re.findall(pattern, key)]
    return {value for found in keys + numbers for value in normalise(found)}


def listed(values: Iterable[float | str]) -> list[float | str]:
    """The numbers, then the texts, each sorted; numbers that JSON cannot hold as text."""
    numbers = sorted(value for value in values if not isinstance(value, str))
    return [
        *(value if math.isfinite(value) else str(value) for value in numbers),
        *sorted(value for value in values if isinstance(value, str)),
    ]


def open_correct(said: Iterable[float | str], gold: Sequence[str]) -> bool:
    """Whether a gold number is among the read ones, or a gold text stands inside a read one."""
    values = [value for one in gold for value in normalise(one)]
    texts = [value for value in values if isinstance(value, str)]
    return any(any(t in one for t in texts) if isinstance(one, str) else one in values for one in said)


def strings(column: Any) -> list[str] | None:
    """The strings of a list, or of a text that holds a Python list of strings; None where it is neither."""
    if isinstance(column, str):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                column = ast.literal_eval(column)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    return column if isinstance(column, list) and all(isinstance(item, str) for item in column) else None


def gold_answers(column: Any) -> list[str]:
    """The right answers of a column that holds one, a list, or a list written as text."""
    if isinstance(column, list):
        return [str(one) for one in column]
    return strings(column) or [str(column)]


class MMMU(Evaluator):
    """Metrics in percent: accuracy, and each discipline and subject under its own name, all over questions."""

    name = "mmmu"
    version = "2"
    title = "MMMU"
    ability = "understanding"
    data = DataSpec(
        hub="lmms-lab/MMMU",
        split="validation",
        n=900,
        columns=("id", "question", "options", "answer", "question_type", *(f"image_{k}" for k in range(1, 8))),
        scored=("options", "answer", "question_type"),
        shapes_n=300,
    )
    config = GenerationConfig(max_new_tokens=128, temperature=0.0)
    headline = "accuracy"
    unit = "%"
    chance = 23.5
    best = 100.0
    protocols = ("official", "lmms-eval")

    def shapes_rows(self, split: Split, seed: int) -> list[Row]:
        """Ten questions a subject, the subjects in turn, each with its kind of question above; every 17th is open."""
        subjects = list(KINDS) * (self.data.shapes_n // len(KINDS))
        items = asked_scenes(split, seed, self.name, in_turn(tuple(KINDS.values()), len(subjects), 1))
        rows: list[Row] = []
        for number, (subject, (scene, (qa,), rng)) in enumerate(zip(subjects, items, strict=True)):
            is_open = number % OPEN_EVERY == OPEN_EVERY - 1
            options = () if is_open else choices(qa, rng)
            rows.append(
                {
                    "id": f"{split}_{subject}_{number // len(KINDS) + 1}",
                    "question": qa.question,
                    "options": str(list(options)),
                    "explanation": "",
                    **{f"image_{k}": draw(scene) if k == 1 else None for k in range(1, 8)},
                    "img_type": "['Drawings']",
                    "answer": qa.answer if is_open else LETTERS[options.index(qa.answer)],
                    "topic_difficulty": "Easy",
                    "question_type": "open" if is_open else "multiple-choice",
                    "subfield": qa.kind,
                }
            )
        return rows

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            where = f"mmmu {row['id']}"
            choice = row["question_type"] == "multiple-choice"
            options = strings(row["options"]) if choice else []
            if options is None or (choice and not 0 < len(options) <= len(LETTERS)):
                raise HermesError(f"{where}: options must be a list of strings, or one written as text; mend the row")
            if row["answer"] in (None, "", []):
                raise HermesError(f"{where}: the answer is empty; use a split that has answers")
            lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
            instruction = OPTION_LETTER if choice else SHORT_ANSWER
            subject = "_".join(str(row["id"]).split("_")[1:-1])
            tags = {"subject": subject, "discipline": SUBJECTS[subject]} if subject in SUBJECTS else {}
            yield Sample(
                id=str(row["id"]),
                group_id=str(row["id"]),
                ability=self.ability,
                prompt="\n".join([text(row, "question", where), *lines, instruction]),
                images=tuple(
                    image_handle(row[f"image_{k}"], f"{where} image_{k}")
                    for k in range(1, 8)
                    if row[f"image_{k}"] is not None
                ),
                target=gold_answers(row["answer"]),
                choices=tuple(options),
                metadata={"choice": choice, "tags": tags},
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        """One answer by itself: where a letter must be drawn, it is the protocol's first draw."""
        return self._score(answer, protocol, random.Random(SEEDS[protocol]))

    def score_all(self, answers: Sequence[Answer], protocol: str) -> list[Score]:
        rng = random.Random(SEEDS[protocol])
        return [self._score(answer, protocol, rng) for answer in answers]

    def _score(self, answer: Answer, protocol: str, rng: random.Random) -> Score:
        sample, reply = answer.sample, answer.response.text or ""
        if protocol == "lmms-eval":
            reply = reply.strip()
        said: str | list[float | str]
        if sample.metadata["choice"]:
            letter = read_letter(reply, sample.choices, protocol)
            parsed, reason = letter is not None, "" if letter else "the answer names no option; the letter was drawn"
            said = letter or rng.choice(LETTERS[: len(sample.choices)])
            correct = said in sample.target
        else:
            found = read_open(reply)
            parsed, reason = found != {""}, "" if found != {""} else "the answer is empty"
            correct = open_correct(found, sample.target)
            said = listed(found)
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": correct},
            prediction=said,
            reason=reason,
            status="scored" if parsed else "unparsed",
            tags=sample.metadata["tags"],
        )

    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        metrics = {"accuracy": mean(scores, "correct")}
        for tag in ("discipline", "subject"):
            metrics |= means_by_tag(scores, "correct", tag)
        return metrics
