"""A benchmark as a third party writes one: two questions about every picture, read leniently or strictly."""

from collections.abc import Iterable, Iterator
from itertools import islice

from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored, Twin
from hermes.harness.contracts.columns import collect
from hermes.harness.records.images import image_handle
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.shapes.draw import draw
from hermes.shapes.scene import scenes

PICTURES = 12


def twin_rows(split: Split, seed: int) -> list[Row]:
    rows: list[Row] = []
    for item, scene in enumerate(islice(scenes(split, seed, "theirs"), PICTURES)):
        circle = "yes" if any(obj.shape == "circle" for obj in scene.objects) else "no"
        asked = (("Is there a circle?", circle), ("How many objects are there?", str(len(scene.objects))))
        for question, answer in asked:
            row = {"id": len(rows), "item": item, "question": question, "answer": answer, "image": draw(scene)}
            rows.append(row)
    return rows


class Theirs(Evaluator):
    """Is there a circle, and how many objects are there?"""

    name = "theirs"
    version = "1"
    title = "Their benchmark"
    ability = "understanding"
    data = DataSpec(
        hub="theirs/benchmark",
        split="test",
        n=2 * PICTURES,
        columns=("id", "item", "question", "answer", "image"),
    )
    config = GenerationConfig(max_new_tokens=8, temperature=0.0)
    headline = "accuracy"
    unit = "%"
    chance = 30.0
    best = 100.0
    protocols = ("official", "strict")
    twin = Twin(twin_rows, n=2 * PICTURES)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            yield Sample(
                id=str(row["id"]),
                group_id=str(row["item"]),
                ability=self.ability,
                prompt=row["question"],
                images=(image_handle(row["image"], f"theirs {row['id']}"),),
                target=row["answer"],
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        text = answer.response.text or ""
        said = text if protocol == "strict" else text.lower().strip(".")
        parsed = said in ("yes", "no", "1", "2", "3", "4")
        return Score(
            sample_id=answer.sample.id,
            index=answer.response.index,
            group_id=answer.sample.group_id,
            values={"correct": float(said == answer.sample.target)},
            prediction=said,
            status="scored" if parsed else "unparsed",
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        return {"accuracy": collect(scored, ("correct",)).mean("correct", scale=100)}
