"""Questions for a file of captions, one line of the output a caption, continuing where an earlier call ended."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from textwrap import indent
from typing import Any

from hermes.harness.data.doubles import Known
from hermes.harness.data.homologous.formats import read_items
from hermes.harness.data.homologous.records import Item, Question, QuestionWriter, Written
from hermes.harness.data.homologous.splits import files_of
from hermes.harness.questions.answer_filter import AnswerFilter
from hermes.harness.records.types import Record
from hermes.harness.system.disk import make_folder, new_lines, sync_file, sync_folder
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import file_error
from hermes.harness.system.parsing import json_value
from hermes.harness.system.progress import Progress, Silent

FILTERED = "no question passed the filter"
NONE_GIVEN = "the file of captions has no questions for it"
WRITERS = "rules, given, tifa, tifa:ID_OR_FOLDER, openai:MODEL or openai:MODEL@http://HOST:PORT/v1"


class Made(Record):
    """What an output file holds: ``captions`` lines, of them ``asked`` with ``questions`` altogether.

    ``malformed`` questions could not be used, ``filtered`` ones did not pass the filter. ``without`` names the captions
    that have none, by reason. ``failed`` captions have no line, by the reason of the last call, and are asked again.
    """

    captions: int
    asked: int
    questions: int
    malformed: int
    filtered: int
    without: dict[str, tuple[str, ...]]
    failed: dict[str, str]


def make_questions(
    captions: Path,
    by: str,
    out: Path,
    *,
    keep: str | None = None,
    tifa_out: Path | None = None,
    images: Path | None = None,
    limit: int | None = None,
    batch_size: int = 8,
    seed: int = 0,
    device: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
) -> Made:
    """Write questions about every caption of ``captions`` (a file or folder as `formats` reads it) to ``out``.

    ``by`` names the writer: "rules", "given" (the questions that are there already), "tifa[:ID_OR_FOLDER]" or
    "openai:MODEL[@URL]". ``keep`` is the checkpoint of TIFA's filter: only questions that it answers rightly stay.
    ``out`` is JSON lines ``{id, image?, caption, questions, by, ...}``, readable as homologous data; ``tifa_out``
    is the same in the form of TIFA's question_answers.json. Captions that have a line already are skipped; ``fresh``
    removes the file first. Raises HermesError for bad input, and where ``out`` was written by another writer.
    """
    progress = progress or Silent()
    files = [path for path in files_of(captions, "captions").every if path.resolve() != out.resolve()]
    items = _Captioned(read_items(files, images), captions, limit)
    total = sum(1 for _ in items)
    writer = make_writer(by, seed, device)
    sieve = _filter(keep, device)
    identity = f"{writer.identity} {sieve.identity}" if sieve else writer.identity
    if fresh:
        out.unlink(missing_ok=True)
    elif out.is_file():
        sync_file(out)  # a killed process may have left lines unsynced
        sync_folder(out.parent)
    done = Known(line["id"] for line in _lines(out, identity))
    failed: dict[str, str] = {}
    progress.start(f"questions by {by.partition(':')[0]}", total, done=min(len(done), total))
    todo = (item for item in items if item.id not in done)
    while batch := list(islice(todo, batch_size)):
        written = writer.write(batch)
        failed |= {item.id: one.error for item, one in zip(batch, written, strict=True) if one.error}
        answered = [(item, one) for item, one in zip(batch, written, strict=True) if not one.error]
        _append(out, _output(answered, sieve, identity, out.parent))
        progress.advance(len(batch))
    if tifa_out is not None:
        _write_list(tifa_out, tifa_rows(_lines(out, identity)))
    return _made(_lines(out, identity), failed)


@dataclass(frozen=True)
class _Captioned:
    """The first ``limit`` items, read anew each time they are gone through.

    Raises HermesError for one without a caption, and where there are none.
    """

    items: Iterable[Item]
    where: Path
    limit: int | None

    def __iter__(self) -> Iterator[Item]:
        none = True
        for item in islice(self.items, self.limit):
            if item.caption is None:
                raise HermesError(f"{self.where}: item {item.id!r} has no caption; add it")
            none = False
            yield item
        if none:
            raise HermesError(f"{self.where} has no captions; give rows with a caption or prompt")


def make_writer(by: str, seed: int, device: str) -> QuestionWriter:
    """The writer that ``by`` names; its checkpoint is loaded. Raises HermesError for an unknown name."""
    name, colon, argument = by.partition(":")
    if by == "rules":
        from hermes.harness.questions.rules import RuleWriter

        return RuleWriter(seed)
    if by == "given":
        return GivenWriter()
    if name == "tifa" and (argument or not colon):
        from hermes.harness.models.device import pick_device
        from hermes.harness.questions.checkpoints import load_text_model
        from hermes.harness.questions.tifa_writer import CHECKPOINT, TifaWriter

        return TifaWriter(load_text_model("AutoModelForCausalLM", argument or CHECKPOINT, pick_device(device)))
    if name == "openai" and argument:
        from hermes.harness.judges.endpoint.client import ChatClient
        from hermes.harness.questions.endpoint_writer import EndpointWriter
        from hermes.harness.system.endpoint.settings import read_settings
        from hermes.harness.system.registry import load_class

        load_class("judges", "openai")
        return EndpointWriter(ChatClient(read_settings(argument)))
    raise HermesError(f"unknown writer of questions {by!r}; choose from {WRITERS}")


class GivenWriter:
    """The questions that the captions' file itself holds, to be filtered or written in another form."""

    identity = "given"

    def write(self, items: Sequence[Item]) -> list[Written]:
        return [Written(item.questions or (), "" if item.questions else NONE_GIVEN) for item in items]


def tifa_rows(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of TIFA's question_answers.json, one a question."""
    for line in lines:
        for entry in line["questions"]:
            question = Question.model_validate(entry)
            yield {
                "id": line["id"],
                "caption": line["caption"],
                "question": question.question,
                "choices": list(question.choices),
                "answer": question.answer,
                "element_type": question.kind,
                "element": question.element,
            }


def _filter(checkpoint: str | None, device: str) -> AnswerFilter | None:
    if checkpoint is None:
        return None
    from hermes.harness.models.device import pick_device
    from hermes.harness.questions.checkpoints import load_text_model

    return AnswerFilter(load_text_model("AutoModelForSeq2SeqLM", checkpoint, pick_device(device)))


def _output(
    answered: Sequence[tuple[Item, Written]], sieve: AnswerFilter | None, identity: str, folder: Path
) -> Iterator[dict[str, Any]]:
    asked = [one.questions for _, one in answered]
    kept = sieve.kept([item.caption or "" for item, _ in answered], asked) if sieve else asked
    for (item, one), questions in zip(answered, kept, strict=True):
        line: dict[str, Any] = {"id": item.id, "caption": item.caption}
        if isinstance(item.image, str):
            line["image"] = os.path.relpath(item.image, folder)
        line |= {"questions": [question.row() for question in questions], "by": identity}
        if not questions:
            line["reason"] = one.reason or FILTERED
        yield line | {"malformed": one.malformed, "filtered": len(one.questions) - len(questions)}


def _append(out: Path, lines: Iterator[dict[str, Any]]) -> None:
    try:
        make_folder(out.parent)
        with out.open("ab") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(out.parent)
    except OSError as error:
        raise file_error(out, error, "give another --out", "written to") from None


def _lines(out: Path, identity: str) -> Iterator[dict[str, Any]]:
    """The lines of an output file; what a crash left unfinished at its end is cut off, also blocks never written."""
    if not out.exists():
        return
    with out.open("rb") as file:
        start = 0
        for number, text in enumerate(file, 1):
            if not text.endswith(b"\n") or b"\0" in text:
                os.truncate(out, start)
                return
            start += len(text)
            try:
                line = json_value(text)
                by = line["by"]
            except (ValueError, KeyError, TypeError):
                where = f"{out}: line {number}"
                raise HermesError(f"{where} is not from `hermes data questions`; give another --out") from None
            if by != identity:
                raise HermesError(f"{out} holds questions by {by!r}, not {identity!r}; give another --out, or --fresh")
            yield line


def _write_list(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """A JSON list, as ``json.dumps(indent=4)`` writes it, row by row."""
    with new_lines(path) as add:
        add("[")
        last = ""
        for row in rows:
            if last:
                add(last + ",")
            last = indent(json.dumps(row, indent=4), " " * 4)
        if last:
            add(last)
        add("]")


def _made(lines: Iterable[dict[str, Any]], failed: dict[str, str]) -> Made:
    counts: Counter[str] = Counter()
    without: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if not line["questions"]:
            without[line["reason"]].append(line["id"])
        counts["captions"] += 1
        counts["asked"] += bool(line["questions"])
        counts["questions"] += len(line["questions"])
        counts["malformed"] += line["malformed"]
        counts["filtered"] += line["filtered"]
    return Made(
        **{name: counts[name] for name in ("captions", "asked", "questions", "malformed", "filtered")},
        without={reason: tuple(names) for reason, names in without.items()},
        failed=failed,
    )
