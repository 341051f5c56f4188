"""A generation benchmark with its own judge, as a third party writes them: two pictures a prompt, one colour each."""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, ClassVar

from PIL import Image
from theirs.noting import note_asked

from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored, Twin
from hermes.harness.contracts.columns import collect
from hermes.harness.contracts.judge import Detections, Judge
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
QUESTION = "What color is it?"


def twin_rows(split: Split, seed: int) -> list[Row]:
    return [{"id": number, "color": list(COLORS)[number % 3]} for number in range(15)]


class TheirDrawing(Evaluator):
    """A picture of one colour; notes in the folder THEIRS_LOG what each process asks the judge about."""

    name = "theirs-drawing"
    version = "1"
    title = "Their drawing"
    ability = "generation"
    data = DataSpec(hub="theirs/drawing", split="test", n=15, columns=("id", "color"))
    config = GenerationConfig(num_images=2)
    headline = "accuracy"
    unit = "%"
    chance = 0.0
    best = 100.0
    judge = "theirs-judge"
    judge_needs = "answer"
    twin = Twin(twin_rows, n=15)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            name = f"drawing-{row['id']}"
            yield Sample(
                id=name, group_id=name, ability=self.ability, prompt=f"all {row['color']}", target=row["color"]
            )

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        note_asked("judge", (answer.response.key for answer in answers))
        images = [answer.image.open() for answer in answers if answer.image]
        return [{"color": color} for color in judge.answer(images, [QUESTION] * len(images))]

    def score(self, answer: Answer, protocol: str) -> Score:
        color = (answer.judgement or {})["color"]
        return Score(
            sample_id=answer.sample.id,
            index=answer.response.index,
            group_id=answer.sample.group_id,
            values={"correct": float(color == answer.sample.target)},
            prediction=color,
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        return {"accuracy": collect(scored, ("correct",)).mean("correct", scale=100)}


class TheirJudge:
    """Names the colour of the first pixel; takes THEIRS_SECONDS for each batch."""

    description: ClassVar[str] = "names the colour of a flat picture"
    extra: ClassVar[str | None] = None
    abilities: ClassVar[tuple[str, ...]] = ("answer",)
    needs_model: ClassVar[bool] = False
    identity = "theirs-judge-1"

    @classmethod
    def check(cls, argument: str | None) -> None: ...

    @classmethod
    def load(cls, argument: str | None, device: str) -> "TheirJudge":
        return cls()

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        time.sleep(float(os.environ.get("THEIRS_SECONDS", "0")))
        names = {value: name for name, value in COLORS.items()}
        return [names.get(image.getpixel((0, 0)), "") for image in images]  # type: ignore[arg-type]

    def detect(self, images: Sequence[Image.Image], colored: Sequence[Collection[str]]) -> list[Detections]:
        return [{} for _ in images]
