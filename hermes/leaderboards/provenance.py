"""Where the numbers of a report come from: the model, what it was run on, and what changed between starts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hermes.harness.records.types import Metric, ModelInfo
from hermes.leaderboards.read import Run
from hermes.leaderboards.tables import Cell, Table, text_column
from hermes.leaderboards.titles import size

Starts = Sequence[Mapping[str, Any]]
VERSIONS = ("python", "platform", "device", "packages", "git_commit", "adapter", "processes")
"""What is the same for all that one command runs."""
NO_FACTS = ("start", "end", "crc32")


def cell_of(metric: Metric | None, places: int, run: Run | None, source: str = "") -> Cell:
    """A metric as a cell that says which run it was measured in; ``source`` says it where there is no run."""
    if metric is None:
        return Cell()
    source = f"measured (run {run.run_id}, n = {metric.n})" if run else source
    return Cell(metric.value, low=metric.low, high=metric.high, source=source, digits=places)


def model_facts(model: ModelInfo) -> list[tuple[str, str]]:
    """Its name, revision, size and weights."""
    name = model.name + (f" @ {model.revision}" if model.revision else "")
    parameters = f", {size(model.parameters)} parameters" if model.parameters else ""
    return [("model", name + parameters), ("weights", model.fingerprint)]


def machine_facts(starts: Starts, names: Sequence[str] = ()) -> list[tuple[str, str]]:
    """What the last start ran on, and how many starts there were; all that is noted of it, or these ``names``."""
    count = [("starts", str(len(starts)))] if len(starts) > 1 and not names else []
    last = starts[-1] if starts else {}
    kept = {name: value for name, value in last.items() if (name in names if names else name not in NO_FACTS)}
    return [*count, *_scalars(kept, "")]


def facts_table(facts: Sequence[tuple[str, str]], changes: Sequence[str]) -> Table:
    """The facts, with a note for each version that changed between starts."""
    rows = tuple((Cell(text=key), Cell(text=value)) for key, value in facts)
    notes = tuple(f"{line}." for line in changes)
    return Table("Provenance", (text_column("What"), text_column("Value")), rows, notes=notes)


def _scalars(content: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _scalars(value, f"{prefix}{key} " if isinstance(value, dict) else f"{prefix}{key}")
    elif isinstance(content, float):
        yield prefix, f"{content:.6g}"
    elif content is not None and not isinstance(content, list):
        yield prefix, str(content)
