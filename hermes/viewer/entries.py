"""One answer with its sample and score as a row of a table: the columns, and what stands in them."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from hermes.harness.data.cells import CHANGED, is_changed
from hermes.harness.records.stored_samples import Reference, StoredSample, pictures_path
from hermes.leaderboards.stored import TaskFiles
from hermes.leaderboards.worth import gold_of, value_of
from hermes.viewer.found import FoundRun
from hermes.viewer.rows import ANSWERED, Row, Rows

TEXT, NUMBER, WHOLE, TRUTH, TEXTS = "text", "number", "whole", "truth", "texts"
COLUMNS = {
    "model": TEXT,
    "run_id": TEXT,
    "task": TEXT,
    "protocol": TEXT,
    "id": TEXT,
    "index": WHOLE,
    "group": TEXT,
    "category": TEXT,
    "prompt": TEXT,
    "choices": TEXTS,
    "gold": TEXT,
    "target": TEXT,
    "answer": TEXT,
    "plan": TEXT,
    "prediction": TEXT,
    "reason": TEXT,
    "status": TEXT,
    "error": TEXT,
    "value": NUMBER,
    "values": TEXT,
    "tags": TEXT,
    "judge": TEXT,
    "judgement": TEXT,
    "truncated": TRUTH,
    "prompt_cut": TRUTH,
    "seconds": NUMBER,
    "pictures": TEXTS,
    "drawn": TEXT,
}
"""What a row holds. Text that is not one word is JSON: target, prediction, values, tags and judgement."""


class TaskRows(NamedTuple):
    """The answers of one task of a run."""

    run: FoundRun
    task: str
    rows: Rows


def entry(one: TaskRows, row: Row) -> dict[str, Any]:
    """One row of the table."""
    sample, score, response, judgement = row.sample, row.score, row.response, row.judgement
    files = one.rows.files
    failed = response is not None and response.error is not None
    drawn = files.store / "media" / f"{response.image}.png" if response and response.image else None
    result = one.run.run.results.get(one.task) if one.run.run else None
    return {
        "model": one.run.run.name if one.run.run else one.run.spec["model"]["name"],
        "run_id": one.run.run.run_id if one.run.run else one.run.folder.name,
        "task": one.task,
        "protocol": result.protocol if result else one.run.spec["tasks"][one.task]["protocol"],
        "id": row.id,
        "index": row.index,
        "group": score.group_id if score else sample.group_id if sample else None,
        "category": _category(row),
        "prompt": sample.prompt if sample else None,
        "choices": list(sample.choices) if sample else [],
        "gold": gold_of(sample.target) if sample else None,
        "target": as_text(sample.target) if sample else None,
        "answer": response.text if response else None,
        "plan": response.plan if response else None,
        "prediction": as_text(score.prediction) if score else None,
        "reason": score.reason if score else None,
        "status": score.status if score else "error" if failed else ANSWERED,
        "error": response.error if response else None,
        "value": value_of(score.values, one.rows.headline) if score else None,
        "values": as_text(score.values) if score else None,
        "tags": as_text(score.tags) if score else None,
        "judge": judgement.judge if judgement else None,
        "judgement": as_text(judgement.data) if judgement else None,
        "truncated": response.truncated if response else None,
        "prompt_cut": response.prompt_cut if response else None,
        "seconds": response.seconds if response else None,
        "pictures": _places(sample, files) if sample else [],
        "drawn": str(drawn) if drawn else None,
    }


def _category(row: Row) -> str | None:
    told = row.sample.metadata.get("category") if row.sample else None
    return str(told or next(iter(row.score.tags.values() if row.score else ()), "")) or None


def as_text(value: Any) -> str | None:
    """Text as it is, anything else as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _places(sample: StoredSample, files: TaskFiles) -> list[str]:
    """Where the pictures are; what lies there is marked where it is not what was asked about."""
    mark = f"{CHANGED}: " if is_changed(sample, files.samples, files.by_content) else ""
    return [f"{mark}{_place(one, files.samples)}" for one in sample.pictures]


def _place(reference: Reference, samples: Path) -> str:
    """Where a picture is, as text: a file, or a file and where in it."""
    if reference.path is not None:
        return reference.path
    if reference.cell is not None:
        cell = reference.cell
        return f"{cell.file}#{cell.group}/{cell.column}/{cell.row}"
    if reference.part is not None:
        return f"{pictures_path(samples)}#{reference.part[0]}+{reference.part[1]}"
    return f"missing: {reference.missing}"
