"""Finds and reads what runs have left: results.json of evaluations and history.json of self-plays. Loads no model."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hermes.harness.records.types import ByName, Metric, ModelInfo, Result
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import file_error
from hermes.harness.system.parsing import json_file

RESULTS, HISTORY, SCORED = "results.json", "history.json", "scored"
SCHEMAS = (1, 2)
AGAIN = "run the command that wrote it again, or leave it out"
OF_A_ROUND = ("evaluation", "validation", "guidance")
"""The runs in the folder of a self-play's round: that which is reported, patience's, and that of the guidances."""
BULK = frozenset(("answers", "media", "candidates", "training", "checkpoint"))


class _Read(ByName, BaseModel):
    """Keeps what it knows and passes over the rest, so that a later version may write more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class HomologousGap(_Read):
    """U, G and U - G over homologous items, as fractions, and the 2 x 2 of their questions (records/agreement.py).

    Runs of older versions have no 2 x 2: ``joint`` is None. A phi that is not defined is NaN. ``unified`` is Unison's
    score of both sides, None over other items.
    """

    u: Metric
    g: Metric
    gap: Metric
    items: int = 0
    joint: Metric | None = None
    phi: Metric | None = None
    ratio: float | None = None
    counts: dict[str, int] = {}
    gapeval: dict[str, float] = {}
    left_out: int = 0
    unified: Metric | None = None


class BenchmarkGap(_Read):
    """Means of the understanding and of the generation headlines, each brought to 0..1, and their difference."""

    u: Metric
    g: Metric
    gap: Metric
    understanding: tuple[str, ...] = ()
    generation: tuple[str, ...] = ()


class Gaps(_Read):
    """``undefined`` says of a model of one side what it does not do, "" of others."""

    homologous: HomologousGap | None = None
    benchmarks: BenchmarkGap | None = None
    variants: dict[str, HomologousGap | None] = {}
    unison: dict[str, HomologousGap] = {}
    undefined: str = ""


class Run(_Read):
    """One evaluation, as its results.json holds it; ``settings`` names its recipe, or what it was told beside tasks."""

    path: Path
    run_id: str
    label: str | None = None
    model: ModelInfo
    world: str
    split: str
    seed: int
    limit: int | None = None
    chosen: str = ""
    settings: str = ""
    protocol: str = "official"
    partial: bool
    results: dict[str, Result]
    gap: Gaps = Gaps()

    @property
    def name(self) -> str:
        return self.label or self.model.name


class Round(_Read):
    """One round of a self-play; round 0 is the base model. A model of one side has one of U and G, and no gap.

    ``guidance`` is the scale of ``g_guided``. ``drawn`` counts the candidates that were asked for, "pictures" and
    "texts". Older versions wrote neither.
    """

    round: int
    u: Metric | None
    g: Metric | None
    gap: Metric | None
    joint: Metric | None = None
    phi: Metric | None = None
    g_guided: Metric | None = None
    guidance: float | None = None
    pairs: int = 0
    drops: dict[str, int] = {}
    failures: dict[str, int] = {}
    drawn: dict[str, int] = {}
    margin_und: float | None = None
    margin_gen: float | None = None
    loss: float | None = None
    training: dict[str, float | None] | None = None
    seconds: dict[str, float] = {}


class History(_Read):
    """One self-play, as its history.json holds it, and the world, completeness and judges of its evaluations.

    ``evaluations`` are those of its rounds, as far as they are still there. ``settings`` is a hash of all that its
    seeds have in common, "" where an older version wrote the file. ``guided`` names the task under guidance whose
    accuracy is each round's ``g_guided``; "" where each round takes the best of ``guidances``. ``data`` says how real
    data are divided, ``undefined`` what a model of one side does not do.
    """

    path: Path
    align_id: str
    model: ModelInfo
    objective: str
    arm: str = ""
    seed: int
    settings: str = ""
    guided: str = ""
    guidances: tuple[float, ...] = ()
    precision: str = ""
    data: str = ""
    undefined: str = ""
    rounds: tuple[Round, ...]
    evaluations: dict[int, Run] = {}
    world: Literal["shapes", "real", "mixed", "unknown"] = "unknown"
    partial: bool = False
    judges: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in tables: its arm's name, or its objective."""
        return self.arm or self.objective

    def result(self, number: int, task: str) -> Result | None:
        """What a round's evaluation has of a task."""
        evaluation = self.evaluations.get(number)
        return evaluation.results.get(task) if evaluation else None


M = TypeVar("M", Run, History)


class Files(dict[Path, dict[str, Any]]):
    """The content of files by path, each read the first time that it is looked up."""

    def __missing__(self, path: Path) -> dict[str, Any]:
        self[path] = content = _load(path)
        return content


def read_all(paths: Sequence[Path]) -> tuple[list[Run], list[History]]:
    """Every run and every self-play under the paths, in the order of their paths; a file is read once.

    A path is a run folder, an align folder, or a tree of them. Copies of a run count once.
    """
    files = Files()
    runs: dict[str, Run] = {}
    histories: list[History] = []
    for path in find_files(paths):
        if path.name == RESULTS:
            run = read_run(path, files)
            runs.setdefault(run.model_dump_json(exclude={"path"}), run)
        else:
            histories.append(read_history(path, files))
    return list(runs.values()), histories


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Every run under the paths, self-plays' rounds included."""
    return read_all(paths)[0]


def read_histories(paths: Sequence[Path]) -> list[History]:
    """Every self-play under the paths."""
    files = Files()
    return [read_history(path, files) for path in find_files(paths) if path.name == HISTORY]


def read_run(path: Path, files: Files | None = None) -> Run:
    """A results.json. Raises HermesError that names the file where this version cannot read it."""
    return _validate(Run, path, (Files() if files is None else files)[path], {})


def read_history(path: Path, files: Files | None = None) -> History:
    """A history.json. Raises HermesError that names the file where this version cannot read it.

    J and phi of a round that has none, as older versions wrote it, come from its evaluation once that is scored again.
    """
    files = Files() if files is None else files
    found = sorted(path.parent.glob(f"round-*/evaluation/{RESULTS}"))
    by_round = {
        int(number): read_run(one, files)
        for one in found
        if (number := one.parents[1].name.removeprefix("round-")).isdecimal()
    }
    evaluations = list(by_round.values())
    worlds = {evaluation.world for evaluation in evaluations}
    world = "unknown" if not worlds else worlds.pop() if len(worlds) == 1 else "mixed"
    partial = any(evaluation.partial for evaluation in evaluations)
    judges = {result.judge for evaluation in evaluations for result in evaluation.results.values()}
    more = {"world": world, "partial": partial, "judges": tuple(sorted(filter(None, judges))), "evaluations": by_round}
    history = _validate(History, path, files[path], more)
    return history.model_copy(update={"rounds": tuple(_with_joint(entry, by_round) for entry in history.rounds)})


def _with_joint(entry: Round, evaluations: Mapping[int, Run]) -> Round:
    found = evaluations[entry.round].gap.homologous if entry.round in evaluations else None
    if entry.joint or not found:
        return entry
    return entry.model_copy(update={"joint": found.joint, "phi": found.phi})


def score_files(folder: Path) -> dict[str, Path]:
    """The score file of each task of a run folder: where run.json says, or in the task's folder in older runs.

    Raises HermesError for a run.json that cannot be read.
    """
    path = folder / "run.json"
    if not path.exists():
        return {found.parent.name: found for found in sorted(folder.glob("*/scores.jsonl"))}
    content = _object(path)
    try:
        root = folder / content["root"]
        return {name: root / task["scores"] for name, task in content["tasks"].items() if task.get("scores")}
    except (KeyError, TypeError, AttributeError):
        raise HermesError(f"{path} does not say where the scores are; {AGAIN}") from None


def find_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The results.json and history.json under the paths. Raises HermesError for a path that is not there."""
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise HermesError(f"{path} does not exist; give run folders or folders that hold some")
        for found in [path] if path.name in (RESULTS, HISTORY) else _walk(path):
            if found.resolve() not in seen:
                seen.add(found.resolve())
                yield found


def bulk_of(folder: Path, inner: Collection[str]) -> set[str]:
    """Which of the folders in a folder hold what runs work with. A run or a model may be called like one of them."""
    return {name for name in BULK.intersection(inner) if not any(map(_is_run, _with_inner(folder / name)))}


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in (RESULTS, HISTORY))


def _with_inner(folder: Path) -> Iterator[Path]:
    yield folder
    with suppress(OSError), os.scandir(folder) as entries:  # it may go away, or be closed to us
        yield from (Path(entry.path) for entry in entries if entry.is_dir())


def _walk(root: Path) -> Iterator[Path]:
    for where, inner, files in os.walk(root):
        folder = Path(where)
        yield from (folder / name for name in (RESULTS, HISTORY) if name in files)
        bulk = bulk_of(folder, inner)
        wanted = (name for name in inner if name not in bulk and not name.startswith("."))
        # In a run's own folder there are only the runs that were scored from its answers.
        inner[:] = [name for name in sorted(wanted) if RESULTS not in files or name == SCORED]


def _load(path: Path) -> dict[str, Any]:
    content = _object(path)
    if content.get("schema") not in SCHEMAS:
        raise HermesError(
            f"{path} has schema {content.get('schema')!r}, this version reads {' and '.join(map(str, SCHEMAS))}; "
            "score or align again with this version"
        )
    return content


def _object(path: Path) -> dict[str, Any]:
    try:
        content = _with_nan(json_file(path))
    except OSError as error:
        raise file_error(path, error, "check its permissions") from None
    except (ValueError, RecursionError):
        raise HermesError(f"{path} is not valid JSON; {AGAIN}") from None
    if not isinstance(content, dict):
        raise HermesError(f"{path} holds no object; {AGAIN}")
    return content


def _validate(kind: type[M], path: Path, content: dict[str, Any], more: dict[str, Any]) -> M:
    try:
        return kind.model_validate({**content, **more, "path": path.parent})
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
