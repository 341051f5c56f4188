"""Benchmarks that ask about the model's last answer: a picture is described, the description drawn, and so on."""

from typing import ClassVar, Literal, NamedTuple

from hermes.harness.contracts.benchmark import Evaluator
from hermes.harness.contracts.prompts import ONE_SENTENCE
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Ability, GenerationConfig, Sample
from hermes.harness.system.errors import HermesError


class Step(NamedTuple):
    """What one step of a chain asks."""

    prompt: str
    images: tuple[ImageHandle, ...] = ()


class Chained(Evaluator):
    """A sample is a chain of ``config.num_images`` answers; answer ``index`` is its generation ``index + 1``.

    ``begins`` says what the first step does: "understanding" describes the sample's picture in the words of its prompt,
    "generation" draws the sample's prompt. Steps of the two kinds take turns, and each looks at the answer before it
    alone. ``describing`` holds the settings of descriptions, ``describe`` the words that ask for one where the sample's
    prompt does not. A failed step, and a description without words, ends its chain: every later answer is an error.
    """

    ability = "generation"
    begins: ClassVar[Literal["understanding", "generation"]]
    describing: ClassVar[GenerationConfig] = GenerationConfig(max_new_tokens=256, temperature=0.0)
    describe: ClassVar[str] = ONE_SENTENCE
    most: ClassVar[int] = 100

    def __init__(self, generations: int | None = None) -> None:
        if generations is not None:
            vars(self)["config"] = type(self).config.model_copy(update={"num_images": generations})

    @classmethod
    def make(cls, argument: str | None) -> "Chained":
        """The task "name" or "name:GENERATIONS"."""
        if argument is None:
            return cls()
        if not argument.isdecimal() or not 2 <= int(argument) <= cls.most:
            raise HermesError(
                f"task {cls.name}:{argument}: give a number of generations from 2 to {cls.most}, as in {cls.name}:6"
            )
        return cls(int(argument))

    @classmethod
    def needed(cls) -> tuple[Ability, ...]:
        return ("understanding", "generation")

    def ability_at(self, index: int) -> Literal["understanding", "generation"]:
        """What the step that gives this answer does."""
        describes = (self.begins == "understanding") == (index % 2 == 0)
        return "understanding" if describes else "generation"

    def step(self, sample: Sample, index: int, before: str | ImageHandle | None) -> Step:
        """What is asked for this answer; ``before`` is the answer before it, None at the first step."""
        if before is None:
            return Step(sample.prompt, sample.images)
        if isinstance(before, str):
            return Step(before)
        return Step(sample.prompt if self.begins == "understanding" else self.describe, (before,))
