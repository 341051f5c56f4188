"""Answers from a file that lmms-eval wrote with --log_samples, one JSON object a line."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.files import file_rows
from hermes.harness.data.given import Given, question_of
from hermes.harness.system.errors import HermesError


def read_samples(path: Path) -> Iterator[Given]:
    """The answers; their id is the document's number in its split.

    Format: lmms-eval 0.7.3, loggers/evaluation_tracker.py. ``resps`` holds the answers, or is left out where it would
    repeat ``filtered_resps``; a list of one is written as its only member. Its command line always strips reasoning
    tags, and then ``resps`` are the answers as the task's filters left them. A document has one line for each filter:
    the one with the most answers is taken. ``input`` is the prompt, ``target`` the right answer.
    Raises HermesError that names the line, and where two lines of a document differ.
    """
    if path.suffix != ".jsonl":
        raise HermesError(f"{path} is no samples file of lmms-eval; give the .jsonl that --log_samples wrote")
    found: dict[int, tuple[str, list[str], str, str]] = {}
    for number, line in enumerate(file_rows(path), 1):
        where = f"{path}: row {number}"
        document, texts = _document(line, where), _responses(line, where)
        first, before, asked, gold = found.get(document, (where, [], _question(line), _target(line)))
        if not _agree(before, texts):
            raise HermesError(
                f"{where} answers doc_id {document} otherwise than {first.rpartition(': ')[2]}; "
                "keep the lines of one run and of one filter"
            )
        found[document] = (first, max(before, texts, key=len), asked, gold)
    for document, (where, texts, asked, gold) in found.items():
        for index, text in enumerate(texts):
            yield Given(str(document), index, where, text=text, asked=asked, gold=gold)


def _agree(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether one holds what the other does, as far as that goes."""
    return all(a == b for a, b in zip(one, other, strict=False))


def _document(line: Row, where: str) -> int:
    document = line.get("doc_id")
    if isinstance(document, bool) or not isinstance(document, int):
        raise HermesError(f"{where} has no doc_id; give a samples file as lmms-eval --log_samples writes it")
    return document


def _responses(line: Row, where: str) -> list[str]:
    """The texts, whatever single lists they are wrapped in."""
    value = line.get("resps", line.get("filtered_resps"))
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise HermesError(f"{where} holds no text answers (resps); only generate_until tasks can be scored again")
    return texts


def _question(line: Row) -> str:
    """The question that the line says it answers, as far as it does."""
    doc = line.get("doc")
    return question_of(line.get("input") or (doc.get("question") if isinstance(doc, dict) else None))


def _target(line: Row) -> str:
    """The right answer that the line was scored against, where that is a text."""
    target = line.get("target")
    return target if isinstance(target, str) else ""
