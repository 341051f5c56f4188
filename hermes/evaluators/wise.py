"""WISE: does the image show what its prompt implies? A judge who knows the explanation gives scores.

Paper: Niu et al. 2025, "WISE: A World Knowledge-Informed Semantic Evaluation for Text-to-Image Generation"
(arXiv:2503.07265). Licence: none is stated, so neither prompts nor the judge's prompt come with Hermes.
Data: github.com/PKU-YuanGroup/WISE, 1,000 prompts, one image each; give a clone with --data, where the judge's prompt
lies as well. ``wise`` is the paper's version, in WISE_legacy since April 2026; ``wise-verified`` the one that the
authors run since then, of which 487 prompts are others. Their numbers are not comparable.
Prompt: the data's ``Prompt``, nothing added.

The judge gets a system prompt, the official text with prompt and explanation, and the image after it. A reply that
cannot be read is asked for again, up to three times; then the image is an error, counted and left out of all means.
``wise``: consistency, realism and aesthetic quality, each 0 to 2, count (0.7 C + 0.2 R + 0.1 A) / 2; the official judge
is gpt-4o-2024-05-13. ``wise-verified``: one score of 0 or 1; the official judge is Qwen3.5-35B-A3B without thinking. A
category is the mean over its images, which their ids tell; ``overall`` is the weighted sum of all six, and is left out
where one has no image.

Protocol ``official`` (at eb51174) reads replies as the scripts do: in ``wise`` one digit of any size, so that an image
may count more than 1, and the end of "Inconsistency" is Consistency; "0.5" is 0 in ``wise-verified``; "**Score:** 1" is
unreadable. Of 1,000 prompts the scripts want all: here a number without some is marked partial.
Protocol ``corrected``: whole names and whole numbers within the range, with or without marks; what is outside is no
score. Chance is given as 0.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

from hermes.evaluators import wise_replies as replies
from hermes.evaluators.wise_prompt import filled, official_prompt
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.columns import Columns, collect, columns_of
from hermes.harness.contracts.fields import text
from hermes.harness.contracts.judge import Judge, Writer
from hermes.harness.data.official.wise import LEGACY, wise_rows
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.harness.system.errors import HermesError, JudgeError

ATTEMPTS = 3
CATEGORIES = ("culture", "time", "space", "biology", "physics", "chemistry")
EXPECTED = '{"replies": [text]} or {"scores": {name: number}}'


class WISE(Evaluator):
    """Metrics, 0..1: overall and the six categories; consistency, realism and aesthetic_quality, 0..2."""

    name = "wise"
    version = "1"
    title = "WISE"
    ability = "generation"
    data = DataSpec(hub="", split="test", n=1000, columns=("Prompt", "Explanation", "prompt_id"), scored=("prompt_id",))
    config = GenerationConfig(num_images=1)
    headline = "overall"
    unit = "0..1"
    chance = 0.0
    best = 1.0
    protocols = ("official", "corrected")
    judge_needs = "write"
    standard = False

    legacy: ClassVar[bool] = True
    ends: ClassVar[tuple[int, ...]] = (400, 567, 700, 800, 900, 1000)
    weights: ClassVar[tuple[float, ...]] = (0.4, 0.167, 0.133, 0.1, 0.1, 0.1)
    keys: ClassVar[tuple[str, ...]] = replies.THREE
    most: ClassVar[int] = 2
    tokens: ClassVar[int] = 2000
    script: ClassVar[str] = f"{LEGACY}/gpt_eval.py"
    digest: ClassVar[str] = "3ceb48e6447a7b973dd7a9d10e3ab9fffb0cec9a8c3ecbbd3308e094def0c77c"
    system: ClassVar[str] = (
        "You are a professional Vincennes image quality audit expert, please evaluate the image quality strictly "
        "according to the protocol."
    )

    def __init__(self) -> None:
        self._source: Path | None = None

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        self._source = source
        return None if source.is_file() else wise_rows(source, self.legacy)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample a prompt; the target is its explanation."""
        for number, row in enumerate(rows):
            where = f"{self.name} row {number + 1}"
            name = str(row["prompt_id"])
            if not name.isdecimal() or not 1 <= int(name) <= self.ends[-1]:
                raise HermesError(f"{where}: prompt_id must be a number from 1 to {self.ends[-1]}; fix the row")
            place = next(place for place, end in enumerate(self.ends) if int(name) <= end)
            yield Sample(
                id=name,
                group_id=name,
                ability=self.ability,
                prompt=text(row, "Prompt", where),
                target=text(row, "Explanation", where),
                metadata={"category": CATEGORIES[place], "subcategory": str(row.get("Subcategory", ""))},
            )

    def check_asking(self) -> None:
        """Raise HermesError where the judge's prompt is not beside the data."""
        _ = self._prompt

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"replies": [text]}`` for each image: the first that can be read is the last."""
        images = [answer.image.open() for answer in answers if answer.image]
        texts = [
            filled(self._prompt, {"Prompt": answer.sample.prompt, "Explanation": str(answer.sample.target)})
            for answer in answers
        ]
        said: list[list[str]] = [[] for _ in answers]
        for attempt in range(ATTEMPTS):
            left = [place for place, each in enumerate(said) if not any(map(self._is_readable, each))]
            if not left:
                break
            asked = [images[place] for place in left], [texts[place] for place in left]
            fresh = cast(Writer, judge).write(*asked, self.system, self.tokens, attempt)
            for place, reply in zip(left, fresh, strict=True):
                said[place].append(reply)
        return [{"replies": each} for each in said]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        """The replies of another judge in their order, None for one that failed, or the scores that were read."""
        said, scores = data.get("replies"), data.get("scores")
        if isinstance(scores, Mapping) and said is None:
            return {"scores": dict(scores)}
        if not isinstance(said, list) or not all(one is None or isinstance(one, str) for one in said):
            raise HermesError(f"expected {EXPECTED}")
        return {"replies": said}

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, judgement = answer.sample, answer.judgement or {}
        found = self._scores(judgement, protocol)
        if found is None:
            raise JudgeError(_unusable(judgement))
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"score": self.value(found), **({} if self.keys == ("score",) else found)},
            prediction=found,
            tags={"category": sample.metadata["category"]},
        )

    def read(self, reply: str, protocol: str) -> replies.Scores:
        """The scores of a reply."""
        return replies.legacy_scores(reply) if protocol == "official" else replies.strict_legacy_scores(reply)

    def value(self, scores: Mapping[str, float]) -> float:
        """What an image counts."""
        return (0.7 * scores["consistency"] + 0.2 * scores["realism"] + 0.1 * scores["aesthetic_quality"]) / 2

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        parts = [key for key in self.keys if key != "score"]
        columns = collect(scored, ("score", *parts), ("category",))
        found = columns.means("score", "category")
        overall = self._overall(columns)
        metrics = {} if overall is None else {"overall": overall.metric()}
        metrics |= {category: found[category] for category in CATEGORIES if category in found}
        return metrics | {key: columns.mean(key, bounds=(0.0, float(self.most))) for key in parts}

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means | None:
        return cls._overall(columns_of(scores, ("score",), ("category",)))

    @classmethod
    def _overall(cls, columns: Columns) -> Means | None:
        """The weighted sum of the categories; None where one has no image."""
        parts = dict(columns.by_tag("category"))
        if len(parts) < len(CATEGORIES):
            return None
        return Means([(parts[name].values["score"], parts[name].groups) for name in CATEGORIES], cls.weights)

    @cached_property
    def _prompt(self) -> str:
        source = self._source
        homes = [] if source is None else [source, source / LEGACY, source.parent]
        return official_prompt([home for home in homes if home.is_dir()], self.digest, self.script)

    def _scores(self, judgement: Mapping[str, Any], protocol: str) -> replies.Scores | None:
        """All scores of the first reply that has them, or those that are given; None where there are none."""
        if "scores" in judgement:
            given = judgement["scores"]
            if not replies.complete(given, self.keys):
                return None
            found = {key: float(given[key]) for key in self.keys}
            unchecked = protocol == "official" and self.legacy
            return found if unchecked or all(value in range(self.most + 1) for value in found.values()) else None
        each = (self.read(reply, protocol) for reply in judgement["replies"] if reply)
        whole = (found for found in each if replies.complete(found, self.keys))
        return next(whole, None)

    def _is_readable(self, reply: str) -> bool:
        return replies.complete(self.read(reply, "official"), self.keys)


class WISEVerified(WISE):
    """Metrics, 0..1: overall and the six categories."""

    name = "wise-verified"
    title = "WISE_Verified"
    legacy = False
    ends = (400, 520, 640, 760, 880, 1000)
    weights = (0.4, 0.12, 0.12, 0.12, 0.12, 0.12)
    keys = ("score",)
    most = 1
    tokens = 500
    script = "vllm_eval.py"
    digest = "e3a2089ba3a2d4df91a1ec6e3504bbb6d411b60f407444793514bf225f73d827"
    system = (
        "You are a professional text-to-image quality auditor. Evaluate the image strictly according to the protocol."
    )

    def read(self, reply: str, protocol: str) -> replies.Scores:
        """The score of a reply."""
        return replies.verified_scores(reply) if protocol == "official" else replies.strict_verified_scores(reply)

    def value(self, scores: Mapping[str, float]) -> float:
        """What an image counts."""
        return scores["score"]


def _unusable(judgement: Mapping[str, Any]) -> str:
    if "scores" in judgement:
        return f"the scores lack one, or one is out of range: {judgement['scores']}"
    last = next((reply for reply in reversed(judgement["replies"]) if reply), "")
    return f"none of {len(judgement['replies'])} replies holds the scores: {last[:80]!r}"
