"""GQA: compositional questions made from scene graphs; one word or phrase, exactly the answer or not.

Paper: Hudson and Manning 2019, "GQA: A New Dataset for Real-World Visual Reasoning" (arXiv:1902.09506).
Licence: CC BY 4.0 (questions).
Data: lmms-lab/GQA, testdev_balanced_instructions joined by imageId with testdev_balanced_images: 12,578 questions.
Prompt: the question, then the short-answer line.

Protocols
- ``official`` (GQA eval.py): the answer must equal the gold byte for byte, nothing is normalised; only questions with
  ``isBalanced`` count. ``binary`` is every structural type but query, ``open`` is query.
- ``llava`` (LLaVA convert_gqa_for_eval.py, then the official script): trailing periods go, the rest in lower case;
  spaces and other punctuation stay. This is the number that papers with LLaVA-like models print.
- ``lmms-eval``: stripped, lower case, ASCII punctuation deleted on both sides; all rows count, balanced or not.

Chance is 0: answers are free text, and the majority answer of a question type is knowledge of the data, not guessing.
An empty answer is marked unparsed and counts as wrong.
"""

import string
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
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def plain(reply: str) -> str:
    """lmms-eval's exact_match: lower case, no ASCII punctuation."""
    return reply.lower().translate(NO_PUNCTUATION)


def read(reply: str, protocol: str) -> str:
    """What the protocol compares."""
    if protocol == "lmms-eval":
        return plain(reply.strip())
    return reply.rstrip(".").lower() if protocol == "llava" else reply


class GQA(Evaluator):
    """Metrics in percent: accuracy; where rows have types also binary, open, structural/<type> and semantic/<type>."""

    name = "gqa"
    version = "1"
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
            types = row.get("types") or {}
            yield Sample(
                id=str(row["id"]),
                group_id=str(row["imageId"]),
                ability=self.ability,
                prompt=text(row, "question", where) + SHORT_ANSWER,
                images=(image_handle(row["image"], where),),
                target=text(row, "answer", where),
                metadata={
                    "balanced": bool(row["isBalanced"]),
                    "types": {key: types[key] for key in ("structural", "semantic") if types.get(key)},
                },
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        sample = answer.sample
        said = read(answer.response.text or "", protocol)
        gold = plain(sample.target) if protocol == "lmms-eval" else sample.target
        types = sample.metadata["types"]
        tags = {"balanced": "yes" if sample.metadata["balanced"] else "no", **types}
        if "structural" in types:
            tags["form"] = "open" if types["structural"] == "query" else "binary"
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": said == gold},
            prediction=said,
            reason="" if said.strip() else "the answer is empty",
            status="scored" if said.strip() else "unparsed",
            tags=tags,
        )

    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        counted = [score for score in scores if protocol == "lmms-eval" or score.tags["balanced"] == "yes"]
        if not counted:
            return {}
        metrics = {"accuracy": mean(counted, "correct")} | means_by_tag(counted, "correct", "form")
        for kind in ("structural", "semantic"):
            metrics |= means_by_tag(counted, "correct", kind, f"{kind}/")
        return metrics
