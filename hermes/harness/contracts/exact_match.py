"""A benchmark in a few lines: rows, a prompt and a gold answer; a reply counts when it is an accepted answer."""

import re
import string
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.columns import collect, columns_of
from hermes.harness.contracts.prompts import OPTION_LETTER
from hermes.harness.contracts.reader import gold_choice
from hermes.harness.records.images import ImageHandle, image_handle
from hermes.harness.records.stats import Means
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score
from hermes.harness.system.errors import HermesError
from hermes.harness.system.registry import reason

T = TypeVar("T")


class ExactMatch(Evaluator):
    """Questions with short answers. Write ``name``, ``prompt(row)`` and ``gold(row)``; all else has a default.

    A benchmark that brings its own data writes ``rows()``. Any other reads --data, and names in ``columns`` what every
    row must have. A row's ``image``, or its ``image_1``, ``image_2``, ..., are shown; ``id`` names it, and where it has
    none its number does.

    A reply is right when it equals one of the accepted answers, apart from case, outer white space and a final period.
    Where ``choices(row)`` gives options, they are listed below the prompt as A, B, ..., and the reply is the letter, as
    in "B", "(B)", "B.", the option, or both, as in "B. blue". An empty reply, or one that is no option, is unparsed.
    The metric is the accuracy in percent.
    """

    version = "1"
    title = ""
    ability = "understanding"
    data = DataSpec(hub="", split="test", n=0, columns=(), ungrouped=True)
    config = GenerationConfig(max_new_tokens=32, temperature=0.0)
    headline = "accuracy"
    unit = "%"
    chance = 0.0
    best = 100.0
    standard = False
    columns: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        own = vars(cls)
        if "name" in own and "title" not in own:
            cls.title = cls.name
        if "columns" in own and "data" not in own:
            cls.data = replace(cls.data, columns=cls.columns)

    def rows(self) -> Iterable[Row]:
        """The rows, where the benchmark brings its own data."""
        raise NotImplementedError

    @abstractmethod
    def prompt(self, row: Row) -> str:
        """What the model is asked, without the choices."""

    @abstractmethod
    def gold(self, row: Row) -> Any:
        """The right answer, text or a number, or a list of accepted ones; with choices the option or its letter."""

    def choices(self, row: Row) -> Sequence[Any]:
        """The options, where there are some."""
        return ()

    def right(self, reply: str, accepted: Sequence[str]) -> bool:
        """Whether the reply is right; both sides as `plain` leaves them, letters where there are choices."""
        return reply in accepted

    def own_rows(self) -> Iterable[Row] | None:
        return None if type(self).rows is ExactMatch.rows else self._own_rows()

    def _own_rows(self) -> Iterator[Row]:
        number = 0
        try:
            for number, row in enumerate(self.rows(), 1):
                if not isinstance(row, Mapping):
                    raise HermesError(f"{self.name}: rows() gives a {type(row).__name__} as row {number}, not a dict")
                yield row
        except HermesError:
            raise
        except Exception as error:
            raise HermesError(f"{self.name}: rows() fails after row {number}: {reason(error)}") from error

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for number, row in enumerate(rows, 1):
            name = str(number if row.get("id") is None else row["id"])
            where = f"{self.name} row {name}"
            prompt = self._of(row, "prompt", self.prompt, where)
            if not isinstance(prompt, str):
                raise HermesError(f"{where}: prompt() gives a {type(prompt).__name__}, not text")
            options = self._of(row, "choices", lambda row: tuple(map(str, self.choices(row))), where)
            if len(options) > len(string.ascii_uppercase):
                raise HermesError(f"{where}: choices() gives {len(options)} options; there are letters for 26")
            lines = [f"\n{letter}. {option}" for letter, option in zip(string.ascii_uppercase, options, strict=False)]
            yield Sample(
                id=name,
                group_id=name,
                ability=self.ability,
                prompt=prompt + ("".join(lines) + OPTION_LETTER if options else ""),
                images=tuple(_images(row, where)),
                target=_accepted(self._of(row, "gold", self.gold, where), options, where),
                choices=options,
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        sample = answer.sample
        reply = plain(answer.response.text or "")
        said = _letters(sample.choices).get(reply, "") if sample.choices else reply
        accepted = [plain(gold) for gold in sample.target]
        right = said and _called(f"{self.name} row {sample.id}: right()", lambda: self.right(said, accepted))
        why = "the answer is none of the choices" if sample.choices else "the answer is empty"
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"correct": float(bool(right))},
            prediction=said,
            reason="" if said else why,
            status="scored" if said else "unparsed",
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        return {"accuracy": collect(scored, ("correct",)).pooled("correct", 100).metric()}

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        return columns_of(scores, ("correct",)).pooled("correct", 100)

    def _of(self, row: Row, method: str, call: Callable[[Row], T], where: str) -> T:
        return _called(f"{where} (it has {', '.join(map(str, row))}): {method}()", lambda: call(row))


def plain(text: str) -> str:
    """The text without case, outer white space and a final period."""
    return text.strip().removesuffix(".").rstrip().casefold()


def _called(what: str, call: Callable[[], T]) -> T:
    """What the author's method gives; an error in it is said in one line."""
    try:
        return call()
    except HermesError:
        raise
    except Exception as error:
        raise HermesError(f"{what} fails: {reason(error)}; correct the method or the row") from error


def _letters(options: Sequence[str]) -> dict[str, str]:
    """The letter that each way to name an option means; letters come before options that look like letters."""
    pairs = list(zip(string.ascii_lowercase, map(plain, options), strict=False))
    found = {form: letter for letter, _ in pairs for form in (letter, f"({letter})", f"{letter})", f"{letter}:")}
    for letter, option in pairs:
        for form in (
            option,
            f"{letter}. {option}",
            f"{letter}) {option}",
            f"({letter}) {option}",
            f"{letter}: {option}",
        ):
            found.setdefault(form, letter)
    return found


def _accepted(gold: Any, options: Sequence[str], where: str) -> list[str]:
    """The accepted answers as text, as letters where there are options."""
    answers = list(gold) if isinstance(gold, list | tuple | set | frozenset) else [gold]
    for answer in answers:
        if not isinstance(answer, str | int | float) or not plain(str(answer)):
            raise HermesError(f"{where}: gold() gives {answer!r}, neither text nor a number")
    if not answers:
        raise HermesError(f"{where}: gold() gives no answer")
    return [_letter(str(answer), options, where) if options else str(answer) for answer in answers]


def _letter(gold: str, options: Sequence[str], where: str) -> str:
    place = gold_choice(gold, options)
    if place is not None:
        return string.ascii_uppercase[place]
    raise HermesError(f"{where}: gold() gives {gold!r}, which is none of the choices {', '.join(options)}")


def _images(row: Row, where: str) -> Iterator[ImageHandle]:
    """The ``image`` of a row, and those of ``image_1``, ``image_2``, ... that are not empty, in this order."""
    if "image" in row:
        yield image_handle(row["image"], where)
    numbered = {int(match[1]): row[name] for name in row if (match := re.fullmatch(r"image_(\d+)", str(name)))}
    for number in sorted(numbered):
        if numbered[number] not in (None, ""):
            yield image_handle(numbered[number], f"{where}, image {number}")
