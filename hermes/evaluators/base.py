"""What a benchmark is: one subclass in one file, from rows to samples to scores to metrics. Knows no model."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hermes.harness.errors import HermesError
from hermes.harness.images import ImageHandle
from hermes.harness.judges.base import Judge
from hermes.harness.shapes.scene import Split
from hermes.harness.types import Ability, GenerationConfig, Metric, Response, Sample, Score

Row = Mapping[str, Any]

SHORT_ANSWER = "\nAnswer the question using a single word or phrase."
OPTION_LETTER = "\nAnswer with the option's letter from the given choices directly."
ONE_SENTENCE = "Provide a one-sentence caption for the provided image."


@dataclass(frozen=True)
class Join:
    """A second table of the data set: its ``column`` is joined to the rows whose ``key`` is its ``id``."""

    config: str
    key: str
    id: str
    column: str


@dataclass(frozen=True)
class DataSpec:
    """The real data set (hub id, config, split, expected n) and the size of its twin in the shapes world.

    ``columns`` must be in every row, of the real data set and of the twin. ``scored`` are those without which stored
    answers cannot be scored; all where it is empty. ``released`` is the name of the one file that the authors publish,
    where they do. ``n`` and ``shapes_n`` count samples. ``ungrouped``: each row is a sample and a group of its own, so
    that with a limit no row beyond it is read.
    """

    hub: str
    split: str
    n: int
    columns: tuple[str, ...]
    shapes_n: int
    config: str | None = None
    join: Join | None = None
    scored: tuple[str, ...] = ()
    released: str = ""
    ungrouped: bool = False


@dataclass(frozen=True)
class Answer:
    """A sample with what a model answered: ``image`` where that is one, ``judgement`` once a judge has spoken."""

    sample: Sample
    response: Response
    image: ImageHandle | None = None
    judgement: Mapping[str, Any] | None = None


class Evaluator(ABC):
    """One benchmark.

    ``chance`` and ``best`` bound the headline metric, in its own unit, and bring it to 0..1 for the gap;
    ``shapes_best`` stands for ``best`` in the shapes world where it is given.
    ``judge`` names the default judge of the shapes world, None where no judge is needed; ``real_judge`` that of real
    data, None where the user must name one; ``judge_needs`` is what the judge must be able to do, "answer" or "detect".
    ``standard`` evaluators run when no task is named.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    title: ClassVar[str]
    ability: ClassVar[Ability]
    data: ClassVar[DataSpec]
    config: ClassVar[GenerationConfig]
    headline: ClassVar[str]
    unit: ClassVar[str]
    chance: ClassVar[float]
    best: ClassVar[float]
    shapes_best: ClassVar[float | None] = None
    protocols: ClassVar[tuple[str, ...]] = ("official",)
    judge: ClassVar[str | None] = None
    real_judge: ClassVar[str | None] = None
    judge_needs: ClassVar[str] = "answer"
    standard: ClassVar[bool] = True
    extra: ClassVar[str | None] = None
    packages: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def make(cls, argument: str | None) -> "Evaluator":
        """The evaluator of the task "name" or "name:argument"; most take no argument."""
        if argument is not None:
            raise HermesError(f"task {cls.name!r} takes no argument, so not ':{argument}'; give {cls.name!r}")
        return cls()

    def own_rows(self) -> Iterable[Row] | None:
        """The rows where the evaluator brings its own data set, whatever --data says; None where it does not."""
        return None

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        """The rows of a file or folder in forms of the evaluator's own; None where it reads its columns alone."""
        return None

    @abstractmethod
    def shapes_rows(self, split: Split, seed: int) -> list[Row]:
        """The whole twin of the data set in the shapes world, in the columns of the real one."""

    @abstractmethod
    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """Rows to samples, in order. A sample that expects k images has ``config.num_images`` = k."""

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """For generation: what the judge says of each image, as JSON-ready data; one batched call."""
        raise NotImplementedError(f"{self.name} needs no judge")

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        """What somebody else's judge said of one image, in the form that ``ask_judge`` gives.

        Raises HermesError, without saying where, for another form. Override to check the form.
        """
        return dict(data)

    @abstractmethod
    def score(self, answer: Answer, protocol: str) -> Score:
        """One answer (never one with an error) to its score, from the stored text or judgement alone.

        Raises JudgeError where the judgement lacks what the protocol looks at; the image is then counted as an error.
        """

    def score_all(self, answers: Sequence[Answer], protocol: str) -> list[Score]:
        """All answers, in sample order. Override only where the protocol's own parser depends on the order."""
        return [self.score(answer, protocol) for answer in answers]

    def submission(self, samples: Mapping[str, Sample], scores: Sequence[Score]) -> Any | None:
        """What an evaluation server wants as JSON, where it alone has the answers; written to submission.json."""
        return None

    @abstractmethod
    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        """Scores (errors left out) to metrics with intervals; ``samples`` by id, for corpus-level metrics."""
