"""Answers from a file that lmms-eval wrote with --log_samples, one JSON object a line."""

from pathlib import Path
from typing import Any

from hermes.harness.contracts.benchmark import Row
from hermes.harness.data.files import file_rows
from hermes.harness.system.errors import HermesError


def read_samples(path: Path) -> list[dict[str, Any]]:
    """One record ``{"id", "index", "response"}`` for each answer; ``id`` is the document's number in its split.

    Format: lmms-eval 0.7.3, loggers/evaluation_tracker.py. ``resps`` holds the answers, or is left out where it would
    repeat ``filtered_resps``; a list of one is written as its only member. Its command line always strips reasoning
    tags, and then ``resps`` are the answers as the task's filters left them. A document has one line for each filter:
    the first with the most answers is taken. ``doc`` is passed on where there is one, without what only holds an image.
    Raises HermesError that names the line.
    """
    if path.suffix != ".jsonl":
        raise HermesError(f"{path} is no samples file of lmms-eval; give the .jsonl that --log_samples wrote")
    records: dict[int, list[dict[str, Any]]] = {}
    for number, line in enumerate(file_rows(path), 1):
        where = f"{path}: row {number}"
        document = _document(line, where)
        texts = _responses(line, where)
        if len(texts) > len(records.get(document, ())):
            extra = {"doc": _without_images(line["doc"])} if isinstance(line.get("doc"), dict) else {}
            records[document] = [
                {"id": document, "index": index, "response": text, **extra} for index, text in enumerate(texts)
            ]
    return [record for group in records.values() for record in group]


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


def _without_images(doc: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in doc.items() if not (isinstance(value, dict) and {"bytes", "path"} & {*value})}
