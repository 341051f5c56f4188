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

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from hermes.evaluators.base import SHORT_ANSWER, Answer, DataSpec, Evaluator, Row
from hermes.evaluators.fields import text
from hermes.evaluators.twin import Wish, asked_scenes
from hermes.harness.errors import HermesError
from hermes.harness.images import image_handle
from hermes.harness.shapes.draw import draw
from hermes.harness.shapes.scene import Split
from hermes.harness.stats import mean_metric, sum_metric
from hermes.harness.types import GenerationConfig, Metric, Sample, Score

PERCEPTION = {
    "existence": "exists",
    "count": "exactly",
    "position": "relation",
    "color": "is_color",
    "posters": "logical",
    "celebrity": "is_at",
    "scene": "empty",
    "landmark": "total",
    "artwork": "is_size",
    "OCR": "is_shape",
}
COGNITION = {
    "commonsense_reasoning": "more",
    "numerical_calculation": "sum",
    "text_translation": "french",
    "code_reasoning": "code",
}
TASKS = (*PERCEPTION, *COGNITION)
SUFFIX = " Please answer yes or no."
IMAGES = 20


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
    """Metrics in points: perception, cognition, and each task under its own name."""

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
        shapes_n=len(TASKS) * IMAGES * 2,
    )
    config = GenerationConfig(max_new_tokens=16, temperature=0.0)
    headline = "perception"
    unit = "points"
    chance = 750.0
    best = 2000.0
    protocols = ("official", "lmms-eval")

    def shapes_rows(self, split: Split, seed: int) -> list[Row]:
        """20 images a task, the tasks in turn; each image is asked one question of the task's kind with each answer.

        The kinds stand beside the tasks above. Some are the task itself in small (existence, count, position, color,
        the sum, the French word, the line of code); the others put what the shapes world has in its place: which things
        a picture combines, which one is where, how full it is, how large a thing is, what figure it is.
        """
        tasks = TASKS * IMAGES
        kinds = list((PERCEPTION | COGNITION).values()) * IMAGES
        plan: Iterator[Sequence[Wish]] = (((kind, "yes"), (kind, "no")) for kind in kinds)
        rows: list[Row] = []
        items = zip(tasks, asked_scenes(split, seed, self.name, plan), strict=True)
        for number, (task, (scene, asked, rng)) in enumerate(items):
            picture = draw(scene)
            for qa in rng.sample(asked, len(asked)):
                rows.append(
                    {
                        "question_id": f"{number // len(TASKS):04d}.png",
                        "image": picture,
                        "question": qa.question + SUFFIX,
                        "answer": qa.answer.capitalize(),
                        "category": task,
                    }
                )
        return rows

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        asked: dict[str, int] = defaultdict(int)
        for row in rows:
            image = f"{row['category']}/{row['question_id']}"
            where = f"mme {image}"
            if row["category"] not in TASKS:
                raise HermesError(f"{where}: category must be one of {', '.join(TASKS)}; mend the row")
            asked[image] += 1
            yield Sample(
                id=f"{image}/{asked[image]}",
                group_id=image,
                ability=self.ability,
                prompt=text(row, "question", where).strip().replace(SUFFIX, "") + SHORT_ANSWER,
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
            values={"correct": said == sample.target},
            prediction=said,
            reason="" if parsed else "the answer begins with neither yes nor no",
            status="scored" if parsed else "unparsed",
            tags={"category": str(sample.metadata["category"])},
        )

    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        images: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for score in scores:
            images[score.tags["category"]][score.group_id].append(score.values["correct"])
        tasks: dict[str, Metric] = {}
        for task in TASKS:
            pairs = {group: pair for group, pair in images[task].items() if len(pair) == 2}
            if pairs:
                points = [sum(pair) / 2 + (sum(pair) == 2) for pair in pairs.values()]
                tasks[task] = mean_metric(points, list(pairs), scale=100)
        project = protocol == "official"
        sums = total("perception", tasks, PERCEPTION, project) | total("cognition", tasks, COGNITION, project)
        return sums | tasks


def total(name: str, tasks: Mapping[str, Metric], members: Collection[str], project: bool) -> dict[str, Metric]:
    """The sum over the member tasks, projected if asked where some are missing, left out where all are."""
    parts = [tasks[task] for task in members if task in tasks]
    weight = len(members) / len(parts) if project and parts else 1.0
    return {name: sum_metric(parts, [weight] * len(parts))} if parts else {}
