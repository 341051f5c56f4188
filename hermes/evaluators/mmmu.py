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
text is read as that list in both; lmms-eval itself leaves it as text, so that such golds never match there. The gold of
a choice is its letter; an option's text and a small letter are read as that where they can mean one option alone.

Chance: 94.1 % of the questions are multiple choice, nearly all of four options, so drawing letters gives 23.5 %.
"""

import random
from collections.abc import Iterable, Iterator
from string import ascii_uppercase

from hermes.evaluators.mmmu_answers import (
    gold_answers,
    gold_letter,
    listed,
    open_correct,
    read_letter,
    read_open,
    strings,
)
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.columns import collect, columns_of
from hermes.harness.contracts.fields import HIDDEN, spelled, text, texts
from hermes.harness.contracts.prompts import OPTION_LETTER, SHORT_ANSWER
from hermes.harness.contracts.published import MMMU_DISCIPLINES
from hermes.harness.records.images import image_handle
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score
from hermes.harness.system.errors import HermesError

DISCIPLINES = {subject: name for name, subjects in MMMU_DISCIPLINES.items() for subject in subjects}
SEEDS = {"official": 42, "lmms-eval": 0}


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
        cells={"options": texts, "answer": spelled},
    )
    config = GenerationConfig(max_new_tokens=128, temperature=0.0)
    headline = "accuracy"
    unit = "%"
    chance = 23.5
    best = 100.0
    protocols = ("official", "lmms-eval")

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            where = f"mmmu {row['id']}"
            choice = row["question_type"] == "multiple-choice"
            options = strings(row["options"]) if choice else []
            if options is None or (choice and not 0 < len(options) <= len(ascii_uppercase)):
                raise HermesError(f"{where}: options must be a list of strings, or one written as text; fix the row")
            golds = gold_answers(row["answer"]) if row["answer"] is not None else []
            if not golds or any(gold.strip() in HIDDEN for gold in golds):
                said = "hidden ('?')" if any(gold.strip() for gold in golds) else "empty"
                raise HermesError(f"{where}: the answer is {said}; use a split that has answers")
            if choice:
                golds = [gold_letter(gold, options, where) for gold in golds]
            lines = [f"{letter}. {option}" for letter, option in zip(ascii_uppercase, options, strict=False)]
            instruction = OPTION_LETTER if choice else SHORT_ANSWER
            subject = "_".join(str(row["id"]).split("_")[1:-1])
            tags = {"subject": subject, "discipline": DISCIPLINES[subject]} if subject in DISCIPLINES else {}
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
                target=golds,
                choices=tuple(options),
                metadata={"choice": choice, "tags": tags},
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        """One answer by itself: where a letter must be drawn, it is the protocol's first draw."""
        return self._score(answer, protocol, random.Random(SEEDS[protocol]))

    def scores(self, answers: Iterable[Answer], protocol: str) -> Iterator[Score]:
        """One generator draws all letters, in sample order."""
        rng = random.Random(SEEDS[protocol])
        for answer in answers:
            yield self._score(answer, protocol, rng)

    def _score(self, answer: Answer, protocol: str, rng: random.Random) -> Score:
        sample, reply = answer.sample, answer.response.text or ""
        if protocol == "lmms-eval":
            reply = reply.strip()
        said: str | list[float | str]
        if sample.metadata["choice"]:
            letter = read_letter(reply, sample.choices, protocol)
            parsed, reason = letter is not None, "" if letter else "the answer names no option; the letter was drawn"
            said = letter or rng.choice(ascii_uppercase[: len(sample.choices)])
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

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores = collect(scored, ("correct",), ("discipline", "subject"))
        metrics = {"accuracy": scores.pooled("correct", 100).metric()}
        return metrics | scores.means("correct", "discipline", 100) | scores.means("correct", "subject", 100)

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return columns_of(scores, ("correct",)).pooled("correct", 100)
