"""Your own questions: a file of images, questions and answers is a benchmark, without a line of code.

Task: --task-file my.jsonl is ``file:my``. Columns: see `own_rows` and docs/benchmarks.md, "Your own questions".
Prompt: the question, its choices as ``A. text`` lines, and the house's instruction for a letter or for a short answer;
under ``contains`` and ``judge`` the question alone.

Protocols, of which the task's name says the first (``file:my:contains``), ``exact`` where it says none
- ``exact``: the reply is an accepted answer: the same words (own_match.py), or yes or no as the reader reads it.
- ``contains``: the words of an accepted answer stand together in the reply.
- ``judge``: the judge is told the question, the accepted answers and the reply, and says whether they mean the same.
  It compares texts, as well where stored answers come without images: the picture that judges are asked about is blank.
Questions with choices are multiple choice under each of them: the reader (harness/contracts/reader.py) finds the letter
or the text of an option in the reply, and it is right where that is an accepted one.

A reply that holds nothing or names no choice, and one of which the judge says neither yes nor no, is wrong and
unparsed. Questions about the same picture, known by its path, are one item. Metrics: accuracy in percent and, where
rows have categories, ``category/<name>``.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from PIL import Image

from hermes.evaluators.own_match import asked_of_judge, is_contained, is_same, tokens
from hermes.evaluators.own_rows import own_rows
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.columns import collect, columns_of
from hermes.harness.contracts.judge import Judge, word_for_word
from hermes.harness.contracts.prompts import OPTION_LETTER, SHORT_ANSWER
from hermes.harness.contracts.reader import choice_of, is_yes_or_no, said, yes_or_no
from hermes.harness.contracts.reasoning import without_reasoning
from hermes.harness.records.images import image_handle
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.harness.system.errors import HermesError, JudgeError

EXACT, CONTAINS, JUDGE = MATCHES = ("exact", "contains", "judge")
SHORT = GenerationConfig(max_new_tokens=32, temperature=0.0)
FREE = GenerationConfig(max_new_tokens=512, temperature=0.0)
CATEGORY = "category"
BLANK = (64, 64)


class Own(Evaluator):
    """One file of rows; `make` gives it the name of the file and the protocols, the one that was named first."""

    name = "file"
    version = "1"
    title = "your own questions"
    ability = "understanding"
    data = DataSpec(hub="", split="test", n=0, columns=("question", "answers"))
    config = SHORT
    headline = "accuracy"
    unit = "%"
    chance = 0.0
    best = 100.0
    protocols = MATCHES
    standard = False
    strips_reasoning = MATCHES

    @classmethod
    def make(cls, argument: str | None) -> "Evaluator":
        """The evaluator of "LABEL" or "LABEL:MATCH"."""
        label, _, match = (argument or "").partition(":")
        match = match or EXACT
        if match not in MATCHES:
            raise HermesError(f"task 'file:{argument}': answers are scored by {', '.join(MATCHES)}, not by {match!r}")
        others = (other for other in MATCHES if other not in (match, JUDGE))  # a judge must be there from the start
        told = {
            "__module__": cls.__module__,
            **({"name": f"file:{label}", "title": label} if label else {}),
            "protocols": (match, *others),
            "config": SHORT if match == EXACT else FREE,
            "judge_needs": "answer" if match == JUDGE else None,
        }
        bound: type[Evaluator] = type(cls.__name__, (cls,), told)
        return bound()

    def local_rows(self, source: Path, split: Split) -> Iterable[Row]:
        return own_rows(source, self.shown)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            where = f"{self.name} row {row['id']}"
            yield Sample(
                id=row["id"],
                group_id=row["group"],
                ability=self.ability,
                prompt=self._prompt(row["question"], row["choices"]),
                images=tuple(image_handle(image, where) for image in row["images"]),
                target=row["answers"],
                choices=tuple(row["choices"]),
                metadata={CATEGORY: row["category"]} if row["category"] else {},
            )

    def _prompt(self, question: str, choices: Sequence[str]) -> str:
        lines = [f"\n{letter}. {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False)]
        instruction = OPTION_LETTER if choices else SHORT_ANSWER if self.protocols[0] == EXACT else ""
        is_told = question.endswith(instruction.strip())  # as in LLaVA's files
        return question + "".join(lines) + ("" if is_told else instruction)

    def judged(self, sample: Sample) -> Iterable[str]:
        return () if sample.choices else (sample.prompt,)

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"reply": the judge's words}``; nothing where an answer needs no judge."""
        said_of: list[dict[str, Any]] = [{} for _ in answers]
        asked = [
            (place, answer.sample, reply)
            for place, answer in enumerate(answers)
            if not answer.sample.choices and (reply := without_reasoning(answer.response.text or ""))
        ]
        if asked:
            questions = [asked_of_judge(sample.prompt, sample.target, reply) for _, sample, reply in asked]
            blank = [Image.new("RGB", BLANK, "white")] * len(questions)
            for (place, _, _), words in zip(asked, word_for_word(judge, blank, questions), strict=True):
                said_of[place] = {"reply": words}
        return said_of

    def score(self, answer: Answer, protocol: str) -> Score:
        found, right, why = self._read(answer, protocol)
        sample = answer.sample
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": float(right)},
            prediction=found,
            reason=why,
            status="scored" if right or not why else "unparsed",
            tags=sample.metadata,
        )

    def _read(self, answer: Answer, protocol: str) -> tuple[str, bool, str]:
        """What an answer says, whether that is right, and why it cannot be read."""
        sample, reply = answer.sample, answer.response.text or ""
        if sample.choices:
            place = choice_of(reply, sample.choices)
            found = "" if place is None else sample.choices[place]
            return found, found in sample.target, "" if found else "the answer is none of the choices"
        text = said(reply)
        if not tokens(text):
            return "", False, "the answer is empty"
        if protocol == JUDGE:
            if "reply" not in (answer.judgement or {}):
                raise JudgeError("the judgement holds no reply")
            verdict = yes_or_no((answer.judgement or {})["reply"])
            return text, verdict == "yes", "" if verdict else "the judge says neither yes nor no"
        if protocol == CONTAINS:
            return text, is_contained(reply, sample.target), ""
        unread = all(map(is_yes_or_no, sample.target)) and not yes_or_no(reply)
        return text, is_same(reply, sample.target), "the answer is neither yes nor no" if unread else ""

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        answers = collect(scored, ("correct",), (CATEGORY,))
        return {
            "accuracy": answers.pooled("correct", 100).metric(),
            **answers.means("correct", CATEGORY, 100, f"{CATEGORY}/"),
        }

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return columns_of(scores, ("correct",)).pooled("correct", 100)
