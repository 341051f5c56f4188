"""MME: fourteen tasks of yes/no questions, two an image, one to be affirmed and one to be denied.

Paper: Fu et al. 2023, "MME: A Comprehensive Evaluation Benchmark for Multimodal Large Language Models"
(arXiv:2306.13394). Data: lmms-lab/MME, split test, 2,374 questions; research use only, ask the authors.
Prompt: the question without its " Please answer yes or no.", then the short-answer line, as LLaVA and lmms-eval ask it.

A task scores 100 * (acc + acc+), 0..200 points: acc counts questions, acc+ images with both questions right. Perception
is the sum of ten tasks (0..2000), cognition that of four (0..800). Papers mostly print perception.

Protocols
- ``official`` (eval_tool/calculation.py): lower case, not stripped; 'yes' if it stands in the first four characters,
  else 'no' likewise, else 'other', which is wrong. So 'I know' is other and 'None' is no. The tool reads one line an
  answer; answers of several lines, which it cannot hold, are read from their first characters all the same.
- ``lmms-eval``: stripped, every '.' deleted, then the same; a lone 'y' or 'n' counts as well.

An image counts once both its questions are scored; both tools stop at one with a single question. Where whole tasks are
missing the official tool stops: the sums are then projected, the mean of the tasks at hand times ten (or four).
lmms-eval sums the tasks that there are. The official tool stops too where every answer of a task is 'other': such a
task scores 0. Chance: guessing gives acc 50 % and acc+ 25 %, 75 points a task, 750 in perception; saying yes always
gives 500. 'Other' is marked unparsed.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.columns import Codes, Columns, Floats, collect, columns_of
from hermes.harness.contracts.fields import label, text
from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.harness.contracts.published import MME_COGNITION, MME_PERCEPTION, MME_SUFFIX, MME_TASKS
from hermes.harness.records.images import image_handle
from hermes.harness.records.stats import Means, mean_metric
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score
from hermes.harness.system.errors import HermesError

YES = ("yes_gold", "yes_said")
"""The shares of yes among the right answers and among the readings."""
Part = tuple[Floats, Codes]
EACH = (0.0, 2.0)  # What an image can add: half for each right answer, and one more for both.


def read(reply: str, protocol: str) -> str:
    """'yes', 'no' or 'other'."""
    reply = reply.lower()
    if protocol == "lmms-eval":
        reply = reply.strip().replace(".", "")
        if reply in ("y", "n"):
            return "yes" if reply == "y" else "no"
    head = reply[:4]
    return "yes" if "yes" in head else "no" if "no" in head else "other"


class MME(Evaluator):
    """Metrics in points: perception, cognition, and each task under its own name; in percent: `YES`."""

    name = "mme"
    version = "1"
    title = "MME"
    ability = "understanding"
    data = DataSpec(
        hub="lmms-lab/MME",
        split="test",
        n=2374,
        columns=("question_id", "image", "question", "answer", "category"),
        scored=("question_id", "answer", "category"),
        cells={"answer": label},
    )
    config = GenerationConfig(max_new_tokens=16, temperature=0.0)
    headline = "perception"
    unit = "points"
    chance = 750.0
    best = 2000.0
    protocols = ("official", "lmms-eval")

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        asked: Counter[str] = Counter()
        for row in rows:
            image = f"{row['category']}/{row['question_id']}"
            where = f"mme {image}"
            if row["category"] not in MME_TASKS:
                raise HermesError(f"{where}: category must be one of {', '.join(MME_TASKS)}; fix the row")
            asked[image] += 1
            yield Sample(
                id=f"{image}/{asked[image]}",
                group_id=image,
                ability=self.ability,
                prompt=text(row, "question", where).strip().replace(MME_SUFFIX, "") + SHORT_ANSWER,
                images=(image_handle(row["image"], where),),
                target=text(row, "answer", where, ("yes", "no")).strip().lower(),
                metadata={"category": row["category"]},
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        sample = answer.sample
        said = read(answer.response.text or "", protocol)
        parsed = said != "other"
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": said == sample.target, "yes_gold": sample.target == "yes", "yes_said": said == "yes"},
            prediction=said,
            reason="" if parsed else "the answer begins with neither yes nor no",
            status="scored" if parsed else "unparsed",
            tags={"category": str(sample.metadata["category"])},
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        scores = collect(scored, ("correct", *YES), ("category",))
        tasks = points_of(scores)
        sums = {"perception": MME_PERCEPTION, "cognition": MME_COGNITION}
        totals = {name: total(tasks, members, protocol) for name, members in sums.items()}
        metrics = {name: means.metric() for name, means in totals.items() if means.parts}
        shares = {name: scores.mean(name, 100) for name in YES} if len(scores) else {}
        each = {task: mean_metric(*part, scale=100, bounds=EACH) for task, part in tasks.items()}
        return metrics | each | shares

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return total(points_of(columns_of(scores, ("correct",), ("category",))), MME_PERCEPTION, protocol)


def points_of(scores: Columns) -> dict[str, Part]:
    """The points of each task that has an image with both questions."""
    parts = dict(scores.by_tag("category"))
    found = {task: points(parts[task]) for task in MME_TASKS if task in parts}
    return {task: part for task, part in found.items() if len(part[0])}


def points(scores: Columns) -> Part:
    """What each image with both questions adds to acc + acc+ of a task, and which image it is."""
    images, counts, right = scores.by_group("correct")
    both = counts == 2
    return right[both] / 2 + (right[both] == 2), images[both]


def total(tasks: Mapping[str, Part], members: Collection[str], protocol: str) -> Means:
    """The sum over the member tasks; where some are missing the official protocol projects it."""
    parts = [tasks[task] for task in members if task in tasks]
    weight = len(members) / len(parts) if protocol == "official" and parts else 1.0
    return Means(parts, [weight] * len(parts), 100, EACH)
