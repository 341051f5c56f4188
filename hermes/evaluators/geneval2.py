"""GenEval 2: prompts of three to ten atoms, each asked about; Soft-TIFA takes how probable the right answer is.

Paper: Kamath et al. 2025, "GenEval 2: Addressing Benchmark Drift in Text-to-Image Evaluation" (arXiv:2512.16853).
Licence of code and data: CC BY-NC 4.0, so the data do not come with Hermes.
Data: geneval2_data.jsonl of github.com/facebookresearch/GenEval2, 800 prompts, 100 for each number of atoms, one image
each; it lies on GitHub only, so give the file or its folder with --data. A sample's name is its prompt, as in the
official file of image paths, ``{prompt: path}``.
Prompt: the data's own, nothing added.

The judge looks at the image and is asked ``{question} Answer in one word.``; the probabilities of its first token are
stored, so that every number below comes from one judging. The official judge is Qwen/Qwen3-VL-8B-Instruct.

Protocol ``official`` (evaluation.py and soft_tifa_analysis.py at a6e82d2), in percent: a question's soft value is the
sum of the probabilities of the first tokens of all spellings of the answer. ``soft_tifa_am`` is the mean over prompts
of the arithmetic, ``soft_tifa_gm`` of the geometric mean of their values; ``tifa`` counts the questions whose most
probable token is a spelling; ``vqascore`` asks whether the image shows the prompt. ``skill/<skill>`` is the mean of
all values of a skill, ``atoms/<n>`` the ``soft_tifa_gm`` of the prompts of n atoms. Its quirks:
- " 3" begins with the token " ", whose probability every question for a number gets;
- "10" begins with "1"; above ten the word "other" is right;
- the answer of a question without a number is taken to be yes.
Protocol ``corrected``: the probabilities of the tokens that are the listed answer, whatever its case and the spaces
around it; the beginning of a spelling counts nothing. ``tifa`` looks at the most probable token in the same way.

An endpoint lists its twenty most probable tokens, and its vocabulary is taken to be Qwen's. A spelling that the list
does not hold counts 0; an image with a question of which it holds none is marked unparsed. Chance is given as 0, though
two of three answers are yes: nobody has measured it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from hermes.evaluators.soft_tifa import QWEN, Asked, are_weights, geometric, spellings, whole
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.columns import Collector, columns_of
from hermes.harness.contracts.fields import nested, text, texts
from hermes.harness.contracts.judge import Judge, Weigher
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score
from hermes.harness.system.errors import HermesError

ASKED, SHOWN = "{} Answer in one word.", 'Does this image show "{}"? Answer the question with Yes or No.'
TOKENS, WHOLE = "first_token_probabilities", "vqascore_first_token_probabilities"
EXPECTED = f'{{"{TOKENS}": [{{token: probability}}, one a question]}}'
IS_SHOWN = ("", "Yes")
OVERALL = {"soft_tifa_gm": "gm", "soft_tifa_am": "am", "tifa": "tifa"}


class GenEval2(Evaluator):
    """Metrics in percent: soft_tifa_gm, soft_tifa_am, tifa, vqascore, ``skill/<skill>`` and ``atoms/<n>``."""

    name = "geneval2"
    version = "1"
    title = "GenEval 2"
    ability = "generation"
    data = DataSpec(
        hub="",
        split="test",
        n=800,
        columns=("prompt", "atom_count", "vqa_list", "skills"),
        released="geneval2_data.jsonl",
        cells={"vqa_list": nested, "skills": texts},
    )
    config = GenerationConfig(num_images=1)
    headline = "soft_tifa_gm"
    unit = "%"
    chance = 0.0
    best = 100.0
    protocols = ("official", "corrected")
    judge_needs = "weigh"
    standard = False

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample a prompt; the target is its questions with their answers."""
        for number, row in enumerate(rows):
            where = f"geneval2 row {number + 1}"
            prompt = text(row, "prompt", where)
            yield Sample(
                id=prompt,
                group_id=prompt,
                ability=self.ability,
                prompt=prompt,
                target=_questions(row, where),
                metadata={"skills": row["skills"], "atoms": str(row["atom_count"])},
            )

    def judged(self, sample: Sample) -> list[str]:
        return _asked(sample)

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """For each image the probabilities of the judge's first token, for each question and for the whole prompt."""
        opened = [answer.image.open() for answer in answers if answer.image]
        asked = [_asked(answer.sample) for answer in answers]
        wanted = [_wanted(answer.sample) for answer in answers]
        said = iter(
            cast(Weigher, judge).weigh(
                [image for image, questions in zip(opened, asked, strict=True) for _ in questions],
                [question for questions in asked for question in questions],
                [one for each in wanted for one in each],
            )
        )
        return [_judgement([next(said) for _ in questions]) for questions in asked]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        """The probabilities of another judge; without ``rest`` those of all tokens that are not listed are 0."""
        found, rest, pieces = data.get(TOKENS), data.get("rest"), data.get("pieces", QWEN)
        n = len(sample.target)
        if not isinstance(found, list) or len(found) != n or not all(map(are_weights, found)):
            raise HermesError(f"expected {EXPECTED}, {n} of them, each from 0 to 1")
        if not isinstance(pieces, Mapping) or not (rest is None or (isinstance(rest, list) and len(rest) == n)):
            raise HermesError(
                f"expected {EXPECTED}, and beside it rest: a number for each, pieces: {{spelling: token}}"
            )
        read: dict[str, Any] = {TOKENS: found, "rest": rest or [0.0] * n, "pieces": dict(pieces)}
        if WHOLE in data:
            if not are_weights(data[WHOLE]):
                raise HermesError(f"{WHOLE} must be {{token: probability}}, each from 0 to 1")
            read |= {WHOLE: data[WHOLE], "vqascore_rest": data.get("vqascore_rest", 0.0)}
        return read

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, judgement = answer.sample, answer.judgement or {}
        pieces = judgement["pieces"]
        seen = [
            Asked(question, right, weights, rest, pieces)
            for (question, right), weights, rest in zip(
                sample.target, judgement[TOKENS], judgement["rest"], strict=True
            )
        ]
        values = [one.soft(protocol) for one in seen]
        unseen = sum(one.unseen(protocol) for one in seen)
        found = {
            "gm": geometric(values),
            "am": sum(values) / len(values),
            "tifa": sum(one.hard(protocol) for one in seen) / len(values),
        }
        if WHOLE in judgement:
            shown = Asked(*IS_SHOWN, judgement[WHOLE], judgement["vqascore_rest"], pieces)
            found["vqascore"] = shown.soft(protocol)
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values=found,
            prediction=values,
            reason=f"of {unseen} questions the judge lists no probability of the answer" if unseen else "",
            status="unparsed" if unseen else "scored",
            tags={"atoms": sample.metadata["atoms"]},
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        prompts, atoms = Collector((*OVERALL.values(), "vqascore"), ("atoms",)), Collector(("soft",), ("skill",))
        for sample, score in scored:
            prompts.add(score.group_id, score.values, score.tags)
            for skill, value in zip(sample.metadata["skills"], score.prediction, strict=True):
                atoms.add(score.group_id, {"soft": value}, {"skill": skill})
        columns = prompts.columns()
        metrics = {name: columns.grouped(value, 100).metric() for name, value in OVERALL.items()}
        if columns.values["vqascore"].size and not any(columns.values["vqascore"] != columns.values["vqascore"]):
            metrics["vqascore"] = columns.grouped("vqascore", 100).metric()
        metrics |= atoms.columns().means("soft", "skill", 100, "skill/")
        by_atoms = sorted(columns.by_tag("atoms"), key=lambda one: (len(one[0]), one[0]))
        return metrics | {f"atoms/{name}": part.grouped("gm", 100).metric() for name, part in by_atoms}

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return columns_of(scores, ("gm",)).grouped("gm", 100)


def _questions(row: Row, where: str) -> list[list[str]]:
    """The questions with their answers. Raises HermesError where they are none, or not as many as the skills."""
    found, skills = row["vqa_list"], row["skills"]
    pairs = isinstance(found, list) and found and all(isinstance(one, list | tuple) and len(one) == 2 for one in found)
    if not pairs or not all(isinstance(said, str) and said.strip() for one in found for said in one):
        raise HermesError(f"{where}: vqa_list must be a list of [question, answer]; fix the row")
    if not isinstance(skills, list) or len(skills) != len(found):
        raise HermesError(f"{where}: skills must name one skill for each of the {len(found)} questions; fix the row")
    return [list(one) for one in found]


def _asked(sample: Sample) -> list[str]:
    """What the judge is asked about an image: each question, and last whether it shows the prompt."""
    return [*(ASKED.format(question) for question, _ in sample.target), SHOWN.format(sample.prompt)]


def _wanted(sample: Sample) -> list[tuple[str, ...]]:
    """The spellings of which a probability is wanted, for each of what is asked: those of both protocols."""
    pairs = [*sample.target, IS_SHOWN]
    return [tuple(dict.fromkeys((*spellings(*pair), *whole(pair[1])))) for pair in pairs]


def _judgement(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is stored of the judge's words about one image."""
    *each, whole = said
    pieces: dict[str, str] = {}
    for one in said:
        pieces |= QWEN if one["pieces"] is None else one["pieces"]
    return {
        TOKENS: [dict(one["tokens"]) for one in each],
        "rest": [one["rest"] for one in each],
        WHOLE: dict(whole["tokens"]),
        "vqascore_rest": whole["rest"],
        "pieces": pieces,
    }
