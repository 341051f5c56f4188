"""What tests look at in run folders and in the stores behind them."""

import json
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from hermes.harness.records.journal import Journal, R, unsealed
from hermes.harness.records.store import Store
from hermes.harness.records.types import Response, Score


def records(journal: Journal[R]) -> dict[str, R]:
    """Every record of a journal by its key, found as Hermes finds it, in the order in which the keys came."""
    lines = [line for path in journal.files() for line in path.read_bytes().splitlines(keepends=True)]
    keys = dict.fromkeys(from_json(body)["key"] for line in lines if (body := unsealed(line)) is not None)
    found = journal.index().get(list(keys))
    assert None not in found
    return {record.key: record for record in found if record is not None}


def content(folder: Path) -> dict[str, Any]:
    """What results.json holds."""
    found: dict[str, Any] = json.loads(results(folder))
    return found


def results(folder: Path) -> bytes:
    return (folder / "results.json").read_bytes()


def place(folder: Path, task: str, what: str = "answers") -> Path:
    """Where run.json says that a task's answers, scores or judgements lie."""
    found = json.loads((folder / "run.json").read_text())
    path: Path = folder / found["root"] / found["tasks"][task][what]
    return path


def store(folder: Path, task: str) -> Store:
    """The store of a task of a finished run."""
    return Store(place(folder, task))


def answers(folder: Path, task: str) -> dict[tuple[str, int], Response]:
    """The stored answers of a task by sample and index."""
    return {(one.sample_id, one.index): one for one in records(store(folder, task).responses).values()}


def scores(folder: Path, task: str) -> list[Score]:
    lines = place(folder, task, "scores").read_text(encoding="utf-8").splitlines()
    return [Score.model_validate_json(line) for line in lines]


def environments(folder: Path) -> list[dict[str, Any]]:
    """The lines of environment.jsonl."""
    return [json.loads(line) for line in (folder / "environment.jsonl").read_text(encoding="utf-8").splitlines()]
