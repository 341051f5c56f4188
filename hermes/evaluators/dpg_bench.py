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

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from hermes.evaluators.base import Answer, DataSpec, Evaluator, Row
from hermes.evaluators.fields import text
from hermes.evaluators.judged import read_answers
from hermes.harness.errors import HermesError, JudgeError
from hermes.harness.judges.base import Judge
from hermes.harness.seeds import derive_seed
from hermes.harness.shapes.captions import dense
from hermes.harness.shapes.questions import propositions
from hermes.harness.shapes.scene import Split, scenes
from hermes.harness.stats import mean_metric
from hermes.harness.types import GenerationConfig, Metric, Sample, Score

ITEMS = 60
Proposition = Mapping[str, Any]
Points = dict[int, float]


def counted(rows: Sequence[Proposition], protocol: str) -> dict[int, Proposition]:
    """The propositions that the protocol looks at, by id, in row order."""
    if protocol == "official":
        rows = [row for row in rows if not row["first"]]
        rows = [row for row in rows if row["block"] == rows[-1]["block"]]
    return {row["id"]: row for row in rows}


def raw_points(asked: Mapping[int, Proposition], answers: Mapping[str, str]) -> Points:
    """1 for each question that is answered 'yes'. Raises JudgeError where one has no answer."""
    if lost := [number for number in asked if str(number) not in answers]:
        raise JudgeError(f"the judgement has no answer to question {lost[0]}")
    return {number: float(answers[str(number)] == "yes") for number in asked}


def official_points(asked: Mapping[int, Proposition], raw: Points) -> Points:
    """Points after the official walk down the rows. Raises KeyError where it does."""
    points = dict(raw)
    for number, row in asked.items():
        if any(points[parent] == 0 for parent in row["dependencies"]):
            points[number] = 0.0
    return points


def corrected_points(asked: Mapping[int, Proposition], raw: Points) -> Points:
    """A point for each question answered yes together with all that it builds on; unknown parents are left out."""

    def stands(number: int) -> bool:
        reached, todo = {number}, [number]
        while todo:
            fresh = {parent for parent in asked[todo.pop()]["dependencies"] if parent in asked} - reached
            reached |= fresh
            todo += fresh
        return all(raw[one] for one in reached)

    return {number: float(stands(number)) for number in asked}


def points_of(rows: Sequence[Proposition], answers: Mapping[str, str], protocol: str) -> tuple[Points, Points] | None:
    """Points before and after dependencies; None where the official script drops the item."""
    asked = counted(rows, protocol)
    raw = raw_points(asked, answers)
    if protocol == "corrected":
        return raw, corrected_points(asked, raw)
    try:
        return (raw, official_points(asked, raw)) if asked else None
    except KeyError:
        return None


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
        shapes_n=ITEMS,
    )
    config = GenerationConfig(num_images=4)
    headline = "overall"
    unit = "%"
    chance = 0.0
    best = 100.0
    protocols = ("official", "corrected")
    judge = "oracle"
    real_judge = "mplug"

    def shapes_rows(self, split: Split, seed: int) -> list[Row]:
        """Sixty dense captions with the propositions of their scenes, after one row that is no item."""
        rows: list[Row] = [dict.fromkeys(self.data.columns, "") | {"proposition_id": 1, "dependency": "0"}]
        for number, scene in enumerate(islice(scenes(split, seed, self.name), ITEMS)):
            caption = dense(scene, random.Random(derive_seed(seed, split, self.name, number)))
            for place, claim in enumerate(propositions(scene), 1):
                rows.append(
                    {
                        "item_id": f"shapes_{number:03d}",
                        "text": caption,
                        "keywords": ", ".join(sorted({obj.name for obj in scene.objects})),
                        "proposition_id": place,
                        "dependency": ",".join(map(str, claim.dependencies)) or "0",
                        "category_broad": claim.category,
                        "category_detailed": claim.tuple_text.partition(" - ")[2].partition(" (")[0],
                        "tuple": claim.tuple_text,
                        "question_natural_language": claim.question,
                    }
                )
        return rows

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
                items[item].append(_proposition(row, where) | {"first": number == 0, "block": block})
        for item, prompt in prompts.items():
            yield Sample(
                id=item,
                group_id=item,
                ability=self.ability,
                prompt=prompt,
                metadata={"propositions": items[item]},
            )

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

    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        images: dict[str, list[Score]] = defaultdict(list)
        for score in scores:
            images[score.sample_id].append(score)
        kept = {item: found for item, found in images.items() if all("score" in score.values for score in found)}
        means = [sum(score.values["score"] for score in found) / len(found) for found in kept.values()]
        last = {item: max(score.index for score in found) for item, found in kept.items()}
        before: list[tuple[str, str, float]] = []
        after: list[tuple[str, str, float]] = []
        for score in (score for found in kept.values() for score in found):
            rows = samples[score.sample_id].metadata["propositions"]
            points = points_of(rows, score.prediction, protocol)
            if points and (protocol == "corrected" or score.index == last[score.sample_id]):
                levels = {number: row["level"] for number, row in counted(rows, protocol).items()}
                before += [(levels[number], score.group_id, point) for number, point in points[0].items()]
                after += [(levels[number], score.group_id, point) for number, point in points[1].items()]
        metrics = {"overall": mean_metric(means, list(kept), scale=100)}
        if protocol == "official":
            return metrics | _levels(before)
        return metrics | _levels(after) | _levels(before, "raw/")


def _levels(points: Sequence[tuple[str, str, float]], prefix: str = "") -> dict[str, Metric]:
    """The means of (L2 name, group, point) by L1 and by L2."""
    grouped: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for level, group, point in points:
        grouped[prefix + level.split("-")[0].strip()].append((group, point))
        grouped[f"{prefix}L2/{level}"].append((group, point))
    ordered = sorted(grouped, key=lambda name: ("L2/" in name, name))
    return {name: mean_metric(*_columns(grouped[name]), scale=100) for name in ordered}


def _columns(pairs: Sequence[tuple[str, float]]) -> tuple[list[float], list[str]]:
    return [point for _, point in pairs], [group for group, _ in pairs]


def _proposition(row: Row, where: str) -> dict[str, Any]:
    try:
        number = int(row["proposition_id"])
        parents = [int(part) for part in str(row["dependency"]).split(",")]
    except ValueError:
        raise HermesError(f"{where}: proposition_id and dependency must be whole numbers; mend the row") from None
    return {
        "id": number,
        "question": text(row, "question_natural_language", where),
        "level": text(row, "tuple", where).split("(")[0].strip(),
        "dependencies": [parent for parent in parents if parent != 0],
    }
