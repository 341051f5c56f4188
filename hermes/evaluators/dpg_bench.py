"""DPG-Bench: dense prompts, each with yes/no questions that build on each other; a VQA judge answers them.

Paper: Hu et al. 2024, "ELLA: Equip Diffusion Models with LLM for Enhanced Semantic Alignment" (arXiv:2403.05135).
Licence: Apache-2.0.
Data: dpg_bench/dpg_bench.csv of github.com/TencentQQGYLab/ELLA, one row a question, 1,065 prompts; it lies on GitHub
only, so give its folder or the file with --data. Four images a prompt, which the official script cuts from one 2 x 2
grid: index 0 is the top left, then top right, bottom left, bottom right. (Its --pic-num is 1 in Python and 4 in the
launcher that the paper's numbers come from.)
Prompt: the ``text`` column, nothing added.

Only the answer ``yes`` counts 1, byte for byte; an image's score is the mean over its questions, an item's the mean
over its images, ``overall`` the mean over items. L2 is a row's ``tuple`` up to the first bracket, stripped
("attribute - color", and "global -" where nothing stands between), L1 that up to the first dash: entity, attribute,
relation, global, other.

Protocol ``official`` (compute_dpg_bench.py at 3c228f1), with its quirks:
- the first row of the CSV is skipped, so the first item lacks its first question;
- a dependency on a question that is not there ends in a KeyError, and the whole item leaves every number; so does an
  item that is left without questions. Such scores have no values and say so in ``reason``;
- a question loses its point where a parent has none. This goes once down the rows, so a 'no' reaches grandchildren only
  where parents stand first;
- rows of an item that other items interrupt: only the last uninterrupted rows count;
- L1 and L2 take the last image of each item alone, before points are lost.
Protocol ``corrected``: every row counts, a question has its point only if it and all that it builds on, however far,
are answered yes; L1 and L2 take all images, after points are lost, and with the prefix ``raw/`` before.

A row without text is no item: the twin begins with one, so that the skipped row costs nothing. An image with an answer
that is neither yes nor no is marked unparsed. Chance is 0: a picture drawn without looking at the prompt hardly fits.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from hermes.evaluators.dpg_points import counted, points_of, read_proposition
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored, Verdict
from hermes.harness.contracts.columns import Collector, Columns, columns_of
from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.judged import read_answers
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score

LEVELS = ("L1", "L2")


class DPGBench(Evaluator):
    """Metrics in percent: overall, the L1 categories (entity, attribute, relation, global, other), ``L2/<name>``."""

    name = "dpg_bench"
    version = "1"
    title = "DPG-Bench"
    ability = "generation"
    data = DataSpec(
        hub="",
        split="test",
        n=1065,
        columns=(
            *("item_id", "text", "keywords", "proposition_id", "dependency"),
            *("category_broad", "category_detailed", "tuple", "question_natural_language"),
        ),
        scored=("item_id", "proposition_id", "dependency", "tuple"),
    )
    config = GenerationConfig(num_images=4)
    headline = "overall"
    unit = "%"
    chance = 0.0
    best = 100.0
    protocols = ("official", "corrected")
    judge = "mplug"
    judge_needs = "answer"

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """One sample an item, at its first row."""
        items: dict[str, list[dict[str, Any]]] = defaultdict(list)
        prompts: dict[str, str] = {}
        block, before = 0, ""
        for number, row in enumerate(rows):
            where = f"dpg_bench row {number + 1}"
            item, prompt = str(row["item_id"]), str(row["text"] or "").strip()
            block, before = block + (item != before), item
            if prompt:
                prompts.setdefault(item, prompt)
                items[item].append(read_proposition(row, where) | {"first": number == 0, "block": block})
        for item, prompt in prompts.items():
            yield Sample(
                id=item,
                group_id=item,
                ability=self.ability,
                prompt=prompt,
                metadata={"propositions": items[item]},
            )

    def judged(self, sample: Sample) -> list[str]:
        return [row["question"] for row in sample.metadata["propositions"]]

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"answers": {proposition id: answer}}`` for each image."""
        opened = [answer.image.open() for answer in answers if answer.image]
        asked = [counted(answer.sample.metadata["propositions"], "corrected") for answer in answers]
        images = [image for image, rows in zip(opened, asked, strict=True) for _ in rows]
        said = iter(judge.answer(images, [row["question"] for rows in asked for row in rows.values()]))
        return [{"answers": {str(number): next(said) for number in rows}} for rows in asked]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        return read_answers(data, [row["id"] for row in sample.metadata["propositions"]])

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, answers = answer.sample, (answer.judgement or {})["answers"]
        found = points_of(sample.metadata["propositions"], answers, protocol)
        strange = sum(said not in ("yes", "no") for said in answers.values())
        reason = "" if found else "the official script drops this item: it depends on a row that the script skips"
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"score": sum(found[1].values()) / len(found[1])} if found else {},
            prediction=answers,
            reason=reason or (f"{strange} answers are neither yes nor no" if strange else ""),
            status="unparsed" if strange else "scored",
        )

    def verdicts(self, sample: Sample, score: Score) -> Iterator[Verdict]:
        for number, row in counted(sample.metadata["propositions"], "corrected").items():
            if (said := score.prediction.get(str(number))) is not None:
                level = row["level"].split("-")[0].strip()
                yield Verdict(row["question"], level, said if said in ("yes", "no") else "")

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        items, before, after = Collector(("score",)), Collector(("point",), LEVELS), Collector(("point",), LEVELS)
        for _, found in groupby(scored, key=lambda pair: pair[0].id):
            images = list(found)
            if not all("score" in score.values for _, score in images):
                continue
            last = max(score.index for _, score in images)
            for sample, score in images:
                items.add(score.group_id, score.values)
                propositions = sample.metadata["propositions"]
                points = points_of(propositions, score.prediction, protocol)
                if points is None or (protocol == "official" and score.index != last):
                    continue
                for number, row in counted(propositions, protocol).items():
                    levels = {"L1": row["level"].split("-")[0].strip(), "L2": row["level"]}
                    for columns, point in zip((before, after), points, strict=True):
                        columns.add(score.group_id, {"point": point[number]}, levels)
        metrics = {"overall": items.columns().grouped("score", 100).metric()}
        if protocol == "official":
            return metrics | _levels(before.columns())
        return metrics | _levels(after.columns()) | _levels(before.columns(), "raw/")

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return columns_of((score for score in scores if "score" in score.values), ("score",)).grouped("score", 100)


def _levels(points: Columns, prefix: str = "") -> dict[str, Metric]:
    """The means of the points by L1 and by L2."""
    return points.means("point", "L1", 100, prefix) | points.means("point", "L2", 100, f"{prefix}L2/")
