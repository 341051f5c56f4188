"""Finds and reads what runs have left: results.json of evaluations and history.json of self-plays. Loads no model."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hermes.harness.errors import HermesError
from hermes.harness.types import SCHEMA_VERSION, Metric, ModelInfo, Result

RESULTS, HISTORY = "results.json", "history.json"
BULK = frozenset(("media", "candidates", "training", "checkpoint"))


class _Read(BaseModel):
    """Keeps what it knows and passes over the rest, so that a later version may write more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class HomologousGap(_Read):
    """U, G and U - G over homologous items, as fractions."""

    u: Metric
    g: Metric
    gap: Metric
    items: int = 0


class BenchmarkGap(_Read):
    """Means of the understanding and of the generation headlines, each brought to 0..1, and their difference."""

    u: Metric
    g: Metric
    gap: Metric
    understanding: tuple[str, ...] = ()
    generation: tuple[str, ...] = ()


class Gaps(_Read):
    homologous: HomologousGap | None = None
    benchmarks: BenchmarkGap | None = None
    variants: dict[str, HomologousGap | None] = {}


class Run(_Read):
    """One evaluation, as its results.json holds it."""

    path: Path
    run_id: str
    label: str | None = None
    model: ModelInfo
    world: str
    split: str
    seed: int
    limit: int | None = None
    protocol: str = ""
    partial: bool
    results: dict[str, Result]
    gap: Gaps = Gaps()

    @property
    def name(self) -> str:
        return self.label or self.model.name


class Round(_Read):
    """One round of a self-play; round 0 is the base model."""

    round: int
    u: Metric
    g: Metric
    gap: Metric
    g_guided: Metric | None = None
    pairs: int = 0
    drops: dict[str, int] = {}
    margin_und: float | None = None
    margin_gen: float | None = None
    loss: float | None = None
    training: dict[str, float | None] | None = None
    seconds: dict[str, float] = {}


class History(_Read):
    """One self-play, as its history.json holds it, and the world and limit of its evaluations."""

    path: Path
    align_id: str
    model: ModelInfo
    objective: str
    arm: str = ""
    seed: int
    rounds: tuple[Round, ...]
    world: Literal["shapes", "real", "mixed", "unknown"] = "unknown"
    partial: bool = False
    judges: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in tables: its arm's name, or its objective."""
        return self.arm or self.objective


M = TypeVar("M", Run, History)


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Every run under the paths (each a run folder or a tree of them), each once, in the order of their paths."""
    runs: list[Run] = []
    for path in _find(paths, RESULTS):
        run = read_run(path)
        if not any(run.model_copy(update={"path": other.path}) == other for other in runs):
            runs.append(run)
    return runs


def read_histories(paths: Sequence[Path]) -> list[History]:
    """Every self-play under the paths."""
    return [read_history(path) for path in _find(paths, HISTORY)]


def read_run(path: Path) -> Run:
    """A results.json. Raises HermesError that names the file where it is not one of this version."""
    return _validate(Run, path, _load(path), {})


def read_history(path: Path) -> History:
    """A history.json. Raises HermesError that names the file where it is not one of this version."""
    evaluations = [_load(found) for found in sorted(path.parent.glob(f"round-*/evaluation/{RESULTS}"))]
    worlds = {str(evaluation.get("world")) for evaluation in evaluations}
    world = "unknown" if not worlds else worlds.pop() if len(worlds) == 1 else "mixed"
    partial = any(evaluation.get("partial") for evaluation in evaluations)
    judges = {result.get("judge") for evaluation in evaluations for result in evaluation.get("results", {}).values()}
    more = {"world": world, "partial": partial, "judges": tuple(sorted(filter(None, judges)))}
    return _validate(History, path, _load(path), more)


def _find(paths: Sequence[Path], name: str) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise HermesError(f"{path} does not exist; give run folders or folders that hold some")
        for found in [path] if path.name == name else _walk(path, name):
            if found.resolve() not in seen:
                seen.add(found.resolve())
                yield found


def _walk(root: Path, name: str) -> Iterator[Path]:
    for folder, inner, files in os.walk(root):
        inner[:] = sorted(item for item in inner if item not in BULK and not item.startswith("."))
        if name in files:
            yield Path(folder) / name
            if name == RESULTS:
                inner.clear()


def _load(path: Path) -> dict[str, Any]:
    again = "run the command that wrote it again, or leave it out"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HermesError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    except (ValueError, RecursionError):
        raise HermesError(f"{path} is not valid JSON; {again}") from None
    if not isinstance(content, dict):
        raise HermesError(f"{path} holds no object; {again}")
    if content.get("schema") != SCHEMA_VERSION:
        raise HermesError(
            f"{path} has schema {content.get('schema')!r}, this version reads {SCHEMA_VERSION}; "
            "score or align again with this version"
        )
    return content


def _validate(kind: type[M], path: Path, content: dict[str, Any], more: dict[str, Any]) -> M:
    try:
        return kind.model_validate({**_with_nan(content), **more, "path": path.parent})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HermesError(
            f"{path}: {where}: {first['msg']}; score or align again with this version of Hermes"
        ) from None


def _with_nan(value: Any) -> Any:
    """JSON has no NaN: a metric whose value is null could not be computed."""
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _with_nan(item) for key, item in value.items()}
    if plain.get("value", 0) is None and "groups" in plain:
        plain["value"] = float("nan")
    return plain
