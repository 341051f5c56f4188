"""The non-unification score: how often a model itself says that its picture does not show the prompt.

Paper: arXiv 2507.16663 (ICLR 2026); no code is public. The pictures are those of GenEval, whose prompts are among the
paper's: nothing is drawn anew. The model is asked one question about each picture, in the words that are quoted of the
paper as far as they are known (`WORDING`; the judge adds its line for short answers), and, as a control, about the
prompt of the next row that has another one (of the row before, for the last ones).

A reply is read by the stand-alone 0, 1, yes, no, true and false in it, in any case: where all mean the same, that, and
otherwise it cannot be read, and is in no share. Metrics, 0..1:
- ``rejected``: the published score, 0 is best; ``kind/<task>`` of each task, ``prompts`` the mean over prompts.
- ``swapped_rejected``: the same question about another prompt, which is to be denied.
- ``told_apart``, the headline: (accepted of own + rejected of swapped) / 2. A model that always says yes has a perfect
  ``rejected`` of 0, and 0.5 here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hermes.evaluators.geneval import GenEval
from hermes.evaluators.rejections import OWN, SWAPPED, TOLD_APART, readable, rejections, told_apart
from hermes.harness.contracts.benchmark import Answer, Row, Scored
from hermes.harness.contracts.columns import collect
from hermes.harness.contracts.judge import Judge, word_for_word
from hermes.harness.records.types import Metric, Sample, Score
from hermes.harness.system.errors import HermesError, JudgeError

WORDING = "Does this original image describe {prompt}? Give a score of 1 if it does and 0 if it does not."
ANSWERS = '{"own": text or null, "swapped": text or null}'
_WORD = re.compile(r"(?<!\w)(?<!\d\.)(?:[01]|yes|no|true|false)(?!\w|\.\d)", re.IGNORECASE)
_YES = {"1", "yes", "true"}


def verdict(reply: str) -> bool | None:
    """Whether the reply says that the picture shows the prompt; None where it says both or neither."""
    meant = {word.lower() in _YES for word in _WORD.findall(reply)}
    return meant.pop() if len(meant) == 1 else None


class NonUnification(GenEval):
    """One question to the model about each of its own pictures, and about each with another prompt."""

    name = "non-unification"
    version = "1"
    title = "Non-unification"
    headline = TOLD_APART
    best = GenEval.chance  # nobody knows what is reached at best, so it is in no mean over benchmarks
    judge = "self"
    judge_needs = "answer"
    judges_itself = True
    standard = False
    looks_at = GenEval

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """GenEval's samples; ``swapped`` in the target is the next prompt that is another one, None where none is."""
        alike: list[Sample] = []
        before: str | None = None
        for sample in super().samples(rows):
            if alike and alike[0].prompt != sample.prompt:
                yield from (_swapped(one, sample.prompt) for one in alike)
                before, alike = alike[0].prompt, []
            alike.append(sample)
        yield from (_swapped(one, before) for one in alike)

    def judged(self, sample: Sample) -> list[str]:
        return [WORDING.format(prompt=prompt) for prompt in _prompts(sample).values()]

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"own": reply, "swapped": reply or None}`` for each image."""
        opened = [answer.image.open() for answer in answers if answer.image]
        asked = [(image, answer.sample) for image, answer in zip(opened, answers, strict=True)]
        images = [image for image, sample in asked for _ in _prompts(sample)]
        said = iter(word_for_word(judge, images, [question for _, sample in asked for question in self.judged(sample)]))
        return [
            {OWN_PROMPT: None, SWAPPED_PROMPT: None} | {name: next(said) for name in _prompts(sample)}
            for _, sample in asked
        ]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: data.get(name) for name in (OWN_PROMPT, SWAPPED_PROMPT)}
        if not all(reply is None or isinstance(reply, str) for reply in found.values()):
            raise HermesError(f"expected {ANSWERS}")
        return found

    def score(self, answer: Answer, protocol: str) -> Score:
        replies = answer.judgement or {}
        said = {name: reply for name in (OWN_PROMPT, SWAPPED_PROMPT) if (reply := replies.get(name)) is not None}
        if not said:
            raise JudgeError("the judge gave no reply")
        own, swapped = ([verdict(said[name])] if name in said else [] for name in (OWN_PROMPT, SWAPPED_PROMPT))
        tags = {"tag": answer.sample.metadata["tag"]}
        return rejections(answer, own, swapped, tags).model_copy(update={"prediction": said})

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores = collect(scored, (OWN, SWAPPED), ("tag",))
        own, swapped = readable(scores, OWN), readable(scores, SWAPPED)
        return {
            TOLD_APART: told_apart(scores, OWN, SWAPPED),
            OWN: own.mean(OWN),
            SWAPPED: swapped.mean(SWAPPED),
            "prompts": own.grouped(OWN).metric(),
            **own.means(OWN, "tag", prefix="kind/"),
        }

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> None:
        """Which values there are depends on which replies can be read."""


OWN_PROMPT, SWAPPED_PROMPT = "own", "swapped"


def _prompts(sample: Sample) -> dict[str, str]:
    """The prompts that a picture of the sample is held against, by what they are."""
    found = {OWN_PROMPT: sample.prompt, SWAPPED_PROMPT: sample.target["swapped"]}
    return {name: prompt for name, prompt in found.items() if prompt is not None}


def _swapped(sample: Sample, prompt: str | None) -> Sample:
    return sample.model_copy(update={"target": {"swapped": prompt}})
