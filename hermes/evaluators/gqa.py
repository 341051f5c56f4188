"""GQA: compositional questions made from scene graphs; one word or phrase, exactly the answer or not.

Paper: Hudson and Manning 2019, "GQA: A New Dataset for Real-World Visual Reasoning" (arXiv:1902.09506).
Licence: CC BY 4.0 (questions).
Data: lmms-lab/GQA, testdev_balanced_instructions joined by imageId with testdev_balanced_images: 12,578 questions.
Prompt: the question, then the short-answer line.

Protocols
- ``official`` (GQA eval.py): the answer must equal the gold byte for byte, nothing is normalised; only questions with
  ``isBalanced`` count. ``binary`` is every structural type but query, ``open`` is query. ``steps/<n>`` counts the
  operations of the question's program, less those that merely end it; ``words/<n>`` its words. ``distribution`` is the
  chi-square distance between the answers given and the gold ones within each global group, over 100: lower is better.
  Validity and plausibility need a file of choices that testdev has not (the script prints 0); they are left out, and so
  is consistency, which needs the entailed questions. The script prints two decimals.
- ``llava`` (LLaVA convert_gqa_for_eval.py, then the official script): trailing periods go, the rest in lower case;
  spaces and other punctuation stay. This is the number that papers with LLaVA-like models print.
- ``lmms-eval``: stripped, lower case, ASCII punctuation deleted on both sides; all rows count, balanced or not.

Chance is 0: answers are free text, and the majority answer of a question type is knowledge of the data, not guessing.
An empty answer is marked unparsed and counts as wrong.
"""

import string
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hermes.evaluators.base import SHORT_ANSWER, Answer, DataSpec, Evaluator, Join, Row
from hermes.evaluators.fields import text
from hermes.evaluators.means import mean, means_by_tag
from hermes.evaluators.twin import asked_scenes, in_turn
from hermes.harness.images import image_handle
from hermes.harness.shapes.draw import draw
from hermes.harness.shapes.scene import Split
from hermes.harness.types import GenerationConfig, Metric, Sample, Score

TYPES = {
    **dict.fromkeys(("color", "size", "place"), ("query", "attr")),
    **dict.fromkeys(("shape", "object"), ("query", "cat")),
    **{"beside": ("query", "rel"), "count": ("query", "global")},
    **{"exists": ("verify", "obj"), "is_color": ("verify", "attr"), "is_shape": ("verify", "cat")},
    **{"is_size": ("verify", "attr"), "is_at": ("verify", "attr"), "relation": ("verify", "rel")},
    **{"empty": ("verify", "global"), "logical": ("logical", "obj"), "choose": ("choose", "attr")},
    **dict.fromkeys(("same", "larger"), ("compare", "attr")),
}
KINDS = (
    *("color", "logical", "object", "relation", "shape", "choose", "beside", "is_color", "place", "exists", "size"),
    *("logical", "beside", "is_shape", "color", "same", "object", "is_at", "count", "choose", "shape", "logical"),
    *("place", "is_size", "beside", "larger", "color", "empty"),
)
LAST_STEPS = ("exist", "query: name", "choose name")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def plain(reply: str) -> str:
    """lmms-eval's exact_match: lower case, no ASCII punctuation.

    It does this in numpy arrays, which drop NULs at the end and cut a text that lower case makes longer ("\u0130").
    """
    return reply.rstrip("\0").lower()[: len(reply)].translate(NO_PUNCTUATION).rstrip("\0")


def read(reply: str, protocol: str) -> str:
    """What the protocol compares."""
    if protocol == "lmms-eval":
        return plain(reply.strip())
    return reply.rstrip(".").lower() if protocol == "llava" else reply


class GQA(Evaluator):
    """Metrics in percent: accuracy, binary, open, and by kind, as far as the rows have the columns for it."""

    name = "gqa"
    version = "2"
    title = "GQA"
    ability = "understanding"
    data = DataSpec(
        hub="lmms-lab/GQA",
        config="testdev_balanced_instructions",
        split="testdev",
        join=Join(config="testdev_balanced_images", key="imageId", id="id", column="image"),
        n=12578,
        columns=("id", "imageId", "question", "answer", "fullAnswer", "isBalanced", "image"),
        scored=("answer",),
        shapes_n=700,
    )
    config = GenerationConfig(max_new_tokens=16, temperature=0.0)
    headline = "accuracy"
    unit = "%"
    chance = 0.0
    best = 100.0
    protocols = ("official", "lmms-eval", "llava")

    def shapes_rows(self, split: Split, seed: int) -> list[Row]:
        """350 images with two questions each; the structural types in about the shares of the real set."""
        rows: list[Row] = []
        plan = in_turn(KINDS, self.data.shapes_n // 2, 2)
        for number, (scene, asked, _) in enumerate(asked_scenes(split, seed, self.name, plan)):
            picture = draw(scene)
            for qa in asked:
                structural, semantic = TYPES[qa.kind]
                verdict = qa.answer in ("yes", "no")
                rows.append(
                    {
                        "id": f"{len(rows):08d}",
                        "imageId": f"n{number:06d}",
                        "question": qa.question,
                        "answer": qa.answer,
                        "fullAnswer": f"{qa.answer.capitalize()}." if verdict else f"It is {qa.answer}.",
                        "isBalanced": True,
                        "types": {"structural": structural, "semantic": semantic, "detailed": qa.kind},
                        "image": picture,
                    }
                )
        return rows

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            where = f"gqa question {row['id']}"
            yield Sample(
                id=str(row["id"]),
                group_id=str(row["imageId"]),
                ability=self.ability,
                prompt=text(row, "question", where) + SHORT_ANSWER,
                images=(image_handle(row["image"], where),),
                target=text(row, "answer", where),
                metadata={"balanced": bool(row["isBalanced"]), "tags": tags(row)},
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        sample = answer.sample
        said = read(answer.response.text or "", protocol)
        gold = plain(sample.target) if protocol == "lmms-eval" else sample.target
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": said == gold},
            prediction=said,
            reason="" if said.strip() else "the answer is empty",
            status="scored" if said.strip() else "unparsed",
            tags=sample.metadata["tags"],
        )

    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        everything = protocol == "lmms-eval"
        counted = [score for score in scores if everything or samples[score.sample_id].metadata["balanced"]]
        if not counted:
            return {}
        metrics = {"accuracy": mean(counted, "correct")} | means_by_tag(counted, "correct", "form")
        for kind in ("structural", "semantic", "steps", "words"):
            metrics |= means_by_tag(counted, "correct", kind, f"{kind}/")
        pairs = [
            (score.tags["group"], samples[score.sample_id].target, score.prediction)
            for score in counted
            if "group" in score.tags
        ]
        if pairs and not everything:
            metrics["distribution"] = Metric(value=distribution(pairs), n=len(pairs))
        return metrics


def tags(row: Row) -> dict[str, str]:
    """The kinds of a question, as far as the row has the columns."""
    types = row.get("types") or {}
    found = {key: str(types[key]) for key in ("structural", "semantic") if types.get(key)}
    if "structural" in found:
        found["form"] = "open" if found["structural"] == "query" else "binary"
    if isinstance(row.get("semantic"), list):
        steps = [f"{step['operation']}: {step['argument']}" for step in row["semantic"]]
        found["steps"] = str(sum(not any(last in step for last in LAST_STEPS) for step in steps))
    group = (row.get("groups") or {}).get("global")
    if group is not None:
        found["group"] = str(group)
    if words := str(row["question"]).split():
        found["words"] = str(len(words))
    return found


def distribution(answers: Sequence[tuple[str, str, str]]) -> float:
    """From (group, gold, answer): the chi-square of the answers' counts against the golds', by group size, / 100."""
    gold: dict[str, Counter[str]] = defaultdict(Counter)
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for group, right, answer in answers:
        gold[group][right] += 1
        said[group][answer] += 1
    distances = (
        sum((said[group][right] - count) ** 2 / count for right, count in golds.items()) * golds.total()
        for group, golds in gold.items()
    )
    return sum(distances) / len(answers) / 100
