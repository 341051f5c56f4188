"""TIFA: multiple-choice questions made from a caption; a VQA judge answers them about the image drawn from it.

Paper: Hu et al. 2023, "TIFA: Accurate and Interpretable Text-to-Image Faithfulness Evaluation with Question Answering"
(arXiv:2303.11897). Licence: Apache-2.0.
Data: tifa_v1.0 of github.com/Yushi-Hu/tifa, 4,081 captions, one image each; it lies on GitHub only, so give its file of
questions and answers with --data: one row a question ``{id, caption, question, choices, answer, element_type}``. Rows
with a list, ``{id, caption, questions: [{question, choices, answer, type}]}``, are read as well.
Prompt: the caption, nothing added.

Protocol ``official`` (tifascore/tifa_score.py at 8e37050): the judge is asked the question without its choices. Its
answer stands if it is one of them byte for byte; otherwise the choice whose sentence is most similar to it, the first
of equals, is taken. That choice must equal the answer byte for byte. A question asked twice about a caption counts
twice. ``tifa_average`` is the mean over captions of the mean over their questions, ``tifa_stdev`` the standard
deviation (n - 1) of these means, left out for a single caption, where the official script stops; ``type/<type>`` is
the mean over all questions of an element type.

The official judge is mPLUG-large, the official similarity that of all-mpnet-base-v2 (``tifa:mpnet``, from the hub); the
default is the smaller all-MiniLM-L6-v2, which an extra brings. Similarities are stored with the judgement, so that
scoring is pure. An image about which the judge says nothing at all is marked unparsed. Chance is given as 0: a picture
drawn without looking at the caption meets some questions, but nobody has measured how many.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import stdev
from typing import Any

from hermes.evaluators.tifa_questions import Question, chosen, fit, read_question, similarities_of
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored, Verdict
from hermes.harness.contracts.columns import Collector, columns_of
from hermes.harness.contracts.fields import nested, spelled, text, texts
from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.judged import read_answer_list
from hermes.harness.data.files import named
from hermes.harness.data.official.tifa import tifa_rows
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.harness.system.errors import HermesError

SIMILARITIES = '{"answers": [text], "similarities": [one number a choice, or null where the answer is a choice]}'


class TIFA(Evaluator):
    """Metrics, 0..1: tifa_average, tifa_stdev, and ``type/<element type>``."""

    name = "tifa"
    version = "1"
    title = "TIFA v1.0"
    ability = "generation"
    data = DataSpec(
        hub="",
        split="test",
        n=4081,
        columns=("id", "caption"),
        cells={"questions": nested, "choices": texts, "answer": spelled},
    )
    config = GenerationConfig(num_images=1)
    headline = "tifa_average"
    unit = "0..1"
    chance = 0.0
    best = 1.0
    judge = "mplug"
    judge_needs = "answer"
    standard = False

    def __init__(self, similarity: str = "minilm") -> None:
        self.similarity = similarity

    @classmethod
    def make(cls, argument: str | None) -> "TIFA":
        """``tifa`` or ``tifa:SIMILARITY``, one of hermes.harness.judges.similarity's."""
        from hermes.harness.judges.similarity import resolve

        return cls(resolve(argument or "minilm"))

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        return None if named(self.name, source) else tifa_rows(source)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample a caption, at its first row; the target is its questions."""
        asked: dict[str, list[Question]] = {}
        captions: dict[str, str] = {}
        for row in rows:
            item, where = str(row["id"]), f"tifa caption {row['id']}"
            captions.setdefault(item, text(row, "caption", where))
            found = row.get("questions", [row] if "question" in row else [])
            if not isinstance(found, Sequence) or not all(isinstance(entry, Mapping) for entry in found):
                raise HermesError(f"{where}: questions must be a list of {{question, choices, answer}}; fix the row")
            asked.setdefault(item, []).extend(read_question(entry, where) for entry in found)
        for item, caption in captions.items():
            if not asked[item]:
                raise HermesError(f"tifa caption {item} has no questions; give the file of questions and answers")
            yield Sample(id=item, group_id=item, ability=self.ability, prompt=caption, target=asked[item])

    def never_right(self, sample: Sample) -> list[str]:
        """Questions whose answer is none of their choices: nothing is right there, as in the reference."""
        lost = [entry for entry in sample.target if entry["answer"] not in entry["choices"]]
        return [f"the answer to {entry['question'][:60]!r} is none of its choices" for entry in lost]

    def judged(self, sample: Sample) -> list[str]:
        return [entry["question"] for entry in sample.target]

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"answers": [one a question], "similarities": [one list or None a question]}`` for each image."""
        opened = [answer.image.open() for answer in answers if answer.image]
        asked = [answer.sample.target for answer in answers]
        images = [image for image, batch in zip(opened, asked, strict=True) for _ in batch]
        said = judge.answer(images, [entry["question"] for batch in asked for entry in batch])
        similar = iter(similarities_of(said, [entry["choices"] for batch in asked for entry in batch], self.similarity))
        free = iter(said)
        return [
            {"answers": list(islice(free, len(batch))), "similarities": list(islice(similar, len(batch)))}
            for batch in asked
        ]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        """``{"answers": [...]}`` with or without similarities; where there are none they are computed."""
        answers: list[str] = read_answer_list(data, len(sample.target))["answers"]
        choices = [entry["choices"] for entry in sample.target]
        given = data.get("similarities")
        if given is None:
            given = similarities_of(answers, choices, self.similarity)
        elif not fit(given, answers, choices):
            raise HermesError(f"expected {SIMILARITIES}, {len(choices)} of each")
        return {"answers": answers, "similarities": given}

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, judgement = answer.sample, answer.judgement or {}
        said = [
            chosen(free, entry["choices"], similar)
            for entry, free, similar in zip(sample.target, judgement["answers"], judgement["similarities"], strict=True)
        ]
        right = [entry["answer"] == one for entry, one in zip(sample.target, said, strict=True)]
        heard = any(judgement["answers"])
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"score": sum(right) / len(right)},
            prediction=said,
            reason="" if heard else "the judge said nothing about the image",
            status="scored" if heard else "unparsed",
        )

    def verdicts(self, sample: Sample, score: Score) -> Iterator[Verdict]:
        for entry, said in zip(sample.target, score.prediction, strict=True):
            yield Verdict(entry["question"], entry["type"], said)

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        captions, asked = Collector(("score",)), Collector(("right",), ("type",))
        for sample, score in scored:
            captions.add(score.group_id, score.values)
            for entry, said in zip(sample.target, score.prediction, strict=True):
                asked.add(score.group_id, {"right": entry["answer"] == said}, {"type": entry["type"]})
        columns = captions.columns()
        _, counts, sums = columns.by_group("score")
        means = sums / counts
        metrics = {"tifa_average": columns.grouped("score").metric()}
        if len(means) > 1:
            metrics["tifa_stdev"] = Metric(value=stdev(means.tolist()), n=len(means), groups=len(means))
        return metrics | asked.columns().means("right", "type", prefix="type/")

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return columns_of(scores, ("score",)).grouped("score")
