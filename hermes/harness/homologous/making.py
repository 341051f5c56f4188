"""Questions for a file of captions, one line of the output a caption, going on where an earlier call ended."""

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hermes.harness.errors import HermesError
from hermes.harness.homologous.answer_filter import AnswerFilter
from hermes.harness.homologous.formats import read_items, source_files
from hermes.harness.homologous.records import Item, Question, QuestionWriter, Written
from hermes.harness.progress import Progress, Silent
from hermes.harness.store import write_atomic
from hermes.harness.types import Record

FILTERED = "no question passed the filter"
NONE_GIVEN = "the captions' file holds no questions for it"
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
    files = [path for path in source_files(captions, "captions", "test") if path.resolve() != out.resolve()]
    items = captioned(read_items(files, images), captions)[:limit]
    writer = make_writer(by, seed, device)
    sieve = _filter(keep, device)
    identity = f"{writer.identity} {sieve.identity}" if sieve else writer.identity
    if fresh:
        out.unlink(missing_ok=True)
    done = {line["id"] for line in _lines(out, identity)}
    todo = [item for item in items if item.id not in done]
    failed: dict[str, str] = {}
    progress.start(f"questions by {by.partition(':')[0]}", len(items), done=len(items) - len(todo))
    for start in range(0, len(todo), batch_size):
        batch = todo[start : start + batch_size]
        written = writer.write(batch)
        failed |= {item.id: one.error for item, one in zip(batch, written, strict=True) if one.error}
        answered = [(item, one) for item, one in zip(batch, written, strict=True) if not one.error]
        _append(out, _output(answered, sieve, identity, out.parent))
        progress.advance(len(batch))
    lines = list(_lines(out, identity))
    if tifa_out is not None:
        write_atomic(tifa_out, json.dumps(list(tifa_rows(lines)), indent=4) + "\n")
    return _made(lines, failed)


def captioned(items: Sequence[Item], where: Path) -> list[Item]:
    """The items. Raises HermesError for one without a caption, and where there are none."""
    if not items:
        raise HermesError(f"{where} holds no captions; give rows with a caption or prompt")
    for item in items:
        if item.caption is None:
            raise HermesError(f"{where}: item {item.id!r} has no caption; add it")
    return list(items)


def make_writer(by: str, seed: int, device: str) -> QuestionWriter:
    """The writer that ``by`` names; its checkpoint is loaded. Raises HermesError for a name that nobody knows."""
    name, colon, argument = by.partition(":")
    if by == "rules":
        from hermes.harness.homologous.rules import RuleWriter

        return RuleWriter(seed)
    if by == "given":
        return GivenWriter()
    if name == "tifa" and (argument or not colon):
        from hermes.harness.environment import pick_device
        from hermes.harness.homologous.checkpoints import load_text_model
        from hermes.harness.homologous.tifa_writer import CHECKPOINT, TifaWriter

        return TifaWriter(load_text_model("AutoModelForCausalLM", argument or CHECKPOINT, pick_device(device)))
    if name == "openai" and argument:
        from hermes.harness.homologous.endpoint_writer import EndpointWriter
        from hermes.harness.judges.endpoint.client import ChatClient
        from hermes.harness.judges.endpoint.settings import read_settings
        from hermes.harness.registry import load_class

        load_class("judges", "openai")
        return EndpointWriter(ChatClient(read_settings(argument)))
    raise HermesError(f"nobody writes questions by {by!r}; choose from {WRITERS}")


class GivenWriter:
    """The questions that the captions' file itself holds, to be filtered or written in another form."""

    identity = "given"

    def write(self, items: Sequence[Item]) -> list[Written]:
        return [Written(item.questions or (), "" if item.questions else NONE_GIVEN) for item in items]


def tifa_rows(lines: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
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
    from hermes.harness.environment import pick_device
    from hermes.harness.homologous.checkpoints import load_text_model

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
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("ab") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise HermesError(f"{out} cannot be written to ({error.strerror}); give another --out") from None


def _lines(out: Path, identity: str) -> Iterator[dict[str, Any]]:
    """The lines of an output file; one that a crash left unfinished is cut off."""
    if not out.exists():
        return
    content = out.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_atomic(out, whole)
    for number, text in enumerate(whole.splitlines(), 1):
        try:
            line = json.loads(text)
            by = line["by"]
        except (ValueError, KeyError, TypeError):
            raise HermesError(f"{out}: line {number} is none of `hermes data questions`; give another --out") from None
        if by != identity:
            raise HermesError(f"{out} holds questions by {by!r}, not {identity!r}; give another --out, or --fresh")
        yield line


def _made(lines: Sequence[dict[str, Any]], failed: dict[str, str]) -> Made:
    without: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if not line["questions"]:
            without[line["reason"]].append(line["id"])
    return Made(
        captions=len(lines),
        asked=sum(bool(line["questions"]) for line in lines),
        questions=sum(len(line["questions"]) for line in lines),
        malformed=sum(line["malformed"] for line in lines),
        filtered=sum(line["filtered"] for line in lines),
        without={reason: tuple(names) for reason, names in without.items()},
        failed=failed,
    )
