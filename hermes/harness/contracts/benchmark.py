"""What a benchmark is: one subclass in one file, from rows to samples to scores to metrics. Knows no model."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.model import Wanted
from hermes.harness.contracts.reasoning import THINK, Tags
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.stats import Means
from hermes.harness.records.types import (
    Ability,
    GenerationConfig,
    Metric,
    Response,
    Sample,
    Score,
    Split,
)
from hermes.harness.system.errors import HermesError, JudgeError

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Join:
    """A second table of the data set: its ``column`` is joined to the rows whose ``key`` is its ``id``."""

    config: str
    key: str
    id: str
    column: str


@dataclass(frozen=True)
class DataSpec:
    """The real data set: hub id, config, split, and ``n``, the number of its samples (0 where any number is right).

    ``columns`` must be in every row, of the real data set and of its twin. ``scored`` are those without which stored
    answers cannot be scored; all where it is empty. ``released`` is the name of the one file that the authors publish,
    where they do. ``ungrouped``: each row is a sample and a group of its own, so that with a limit no row beyond it is
    read. ``cells`` bring the forms in which others write a column's values to the data set's (contracts/fields.py).
    """

    hub: str
    split: str
    n: int
    columns: tuple[str, ...]
    config: str | None = None
    join: Join | None = None
    scored: tuple[str, ...] = ()
    released: str = ""
    ungrouped: bool = False
    cells: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Twin:
    """The twin of a benchmark in the drawn world: ``rows(split, seed)`` in the columns of the real data set.

    ``n`` counts its samples. ``judge`` is used there unless another is asked for, ``best`` replaces the
    benchmark's own; None: as with real data.
    """

    rows: Callable[[Split, int], Sequence[Row]]
    n: int
    judge: str | None = None
    best: float | None = None


@dataclass(frozen=True)
class Answer:
    """A sample with what a model answered: ``image`` where that is one, ``judgement`` once a judge has answered."""

    sample: Sample
    response: Response
    image: ImageHandle | None = None
    judgement: Mapping[str, Any] | None = None


Scored = tuple[Sample, Score]


class Verdict(NamedTuple):
    """What a judge said of one thing that it was asked about an answer; "" is what cannot be read."""

    asked: str
    category: str
    said: str


class Evaluator(ABC):
    """One benchmark.

    ``version`` changes whenever an answer would be asked or scored differently. ``chance`` and ``best`` bound the
    headline metric, in its own unit, and bring it to 0..1 for the gap. ``judge_needs`` is what a judge of its answers
    must be able to do (`Judge.abilities`), None where nothing is judged; ``judge`` names the one that is used unless
    another is asked for, None where the user must name one. ``standard`` evaluators run when no task is named.
    ``twin`` is its twin in the drawn world, for benchmarks that do not come with Hermes: `hermes.shapes.twins` knows
    those that do. ``strips_reasoning``: the protocols under which reasoning before an answer is taken away before it is
    scored; ``tags`` are those that it stands between in a run. ``held_out``: splits
    of which no item may be read for another split, so that data without splits are divided; those that can do that are
    marked ``divides``. ``shown`` is False where stored answers alone are scored: rows may lack their images then.
    ``judges_itself``: only the evaluated model judges, whatever other judge is asked for.
    ``asks_to_score``: its scorers ask a server, so scores among which are errors are computed again.
    ``edits``: its samples show pictures that are to be changed, so its models must be able to. ``interleaved``: each is
    answered with a text and a picture; a model that does not give both at once is asked twice.
    ``looks_at`` is the benchmark whose answers this one judges again, None where it asks for its own: its samples have
    the same ids and prompts, so what the model has answered there is not asked again.
    ``lower``: a headline nearer to 0 is better.

    Samples, answers and scores come as streams: no method may need all of them at once, except where the metric is one
    of the whole corpus.
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
    protocols: ClassVar[tuple[str, ...]] = ("official",)
    judge: ClassVar[str | None] = None
    judge_needs: ClassVar[str | None] = None
    standard: ClassVar[bool] = True
    twin: ClassVar[Twin | None] = None
    extra: ClassVar[str | None] = None
    packages: ClassVar[tuple[str, ...]] = ()
    strips_reasoning: ClassVar[tuple[str, ...]] = ("lmms-eval",)
    divides: ClassVar[bool] = False
    judges_itself: ClassVar[bool] = False
    asks_to_score: ClassVar[bool] = False
    edits: ClassVar[bool] = False
    interleaved: ClassVar[bool] = False
    looks_at: "ClassVar[type[Evaluator] | None]" = None
    lower: ClassVar[bool] = False
    tags: Tags = THINK
    held_out: tuple[Split, ...] = ()
    shown: bool = True

    @classmethod
    def make(cls, argument: str | None) -> "Evaluator":
        """The evaluator of the task "name" or "name:argument"; most take no argument."""
        if argument is not None:
            raise HermesError(f"task {cls.name!r} takes no argument, so not ':{argument}'; give {cls.name!r}")
        return cls()

    @classmethod
    def needed(cls) -> tuple[Ability, ...]:
        """What a model must be able to do to be asked."""
        more: tuple[tuple[Ability, bool], ...] = (("editing", cls.edits), ("understanding", cls.interleaved))
        return (cls.ability, *(ability for ability, asked in more if asked))

    @classmethod
    def lacking(cls, abilities: Collection[Ability]) -> str:
        """What of it is missing from these abilities, as in "understanding and generation"; "" where nothing is."""
        return " and ".join(ability for ability in cls.needed() if ability not in abilities)

    @property
    def wanted(self) -> Wanted:
        """What its samples are answered with."""
        if self.interleaved:
            return "both"
        return "understanding" if self.ability == "understanding" else "generation"

    @property
    def asked_by(self) -> "Evaluator | type[Evaluator]":
        """The benchmark by whose name and version the model's answers are stored and seeded."""
        return self.looks_at or self

    def own_rows(self) -> Iterable[Row] | None:
        """The rows where the evaluator brings its own data set, whatever --data says; None where it does not."""
        return None

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        """The rows of a file or folder in forms of the evaluator's own; None where it reads its columns alone."""
        return None

    @abstractmethod
    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """Rows to samples, in order, one after the other. One that expects k images has ``config.num_images`` = k."""

    def categories(self, sample: Sample) -> Collection[str]:
        """What --category may call the sample: the texts of its metadata and of the tags in it."""
        told = {**sample.metadata, **sample.metadata.get("tags", {})}
        return {value for value in told.values() if isinstance(value, str)}

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """What the judge says of each answer of a batch, as JSON-ready data; one batched call."""
        raise NotImplementedError(f"{self.name} needs no judge")

    def never_right(self, sample: Sample) -> Iterable[str]:
        """What of the sample no answer can match, where the reference scores such rows all the same.

        `hermes data check` shows it; what only an error can have caused is refused by ``samples``.
        """
        return ()

    def check_asking(self) -> None:
        """Raise HermesError for what the evaluator itself lacks to ask a judge; called before anything is drawn."""
        return

    def judged(self, sample: Sample) -> Iterable[str]:
        """The questions that a judge is asked about an image of the sample, or the classes that it is to detect.

        Only looked at to refuse a judge that does not know them.
        """
        return ()

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        """What another judge said of one image, in the form that ``ask_judge`` gives.

        Raises HermesError, without saying where, for another form. Override to check the form.
        """
        return dict(data)

    @abstractmethod
    def score(self, answer: Answer, protocol: str) -> Score:
        """One answer (never one with an error) to its score, from the stored text or judgement alone.

        Raises JudgeError where the judgement lacks what the protocol looks at; the image is then counted as an error.
        """

    def scores(self, answers: Iterable[Answer], protocol: str) -> Iterator[Score]:
        """One score for each answer, in their order, which is that of the samples.

        Override only where the protocol's own parser depends on the order or on the whole corpus.
        """
        for answer in answers:
            try:
                score = self.score(answer, protocol)
            except JudgeError as error:
                score = failed(answer.sample, answer.response.index, str(error))
            yield score

    def verdicts(self, sample: Sample, score: Score) -> Iterator[Verdict]:
        """What the judge said of the answer behind a score (never one of an error), thing by thing.

        Two judges are held against each other by it. Nothing where their words cannot be compared so.
        """
        return iter(())

    def submission(self, scored: Iterable[Scored]) -> Any | None:
        """What an evaluation server wants as JSON, where it alone has the answers; written to submission.json.

        ``scored`` are all samples in order, those without a usable answer with a score of status "error".
        """
        return None

    @abstractmethod
    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        """Samples with their scores (errors left out), in sample order, to metrics with intervals.

        ``scored`` can be gone through once. `columns.collect` keeps what metrics need of it in little memory.
        """

    def notes(self, metrics: Mapping[str, Metric]) -> Iterable[str]:
        """What a reader must know of these metrics, beside what is counted: sentences without a full stop."""
        return ()

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means | None:
        """The means that the headline of these scores (errors left out) is made of; None where it is no sum of means.

        Two runs are compared answer by answer with it, so which values there are, in which order and of which groups
        must not depend on what was answered. A class that overrides ``aggregate`` overrides this, too.
        """
        return None


def failed(sample: Sample, index: int, reason: str) -> Score:
    """The score of an answer that is missing or cannot be used: counted, and left out of all means."""
    return Score(sample_id=sample.id, index=index, group_id=sample.group_id, reason=reason, status="error")
