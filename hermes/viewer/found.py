"""Finds runs and self-plays under folders, those in progress included, and where the answers of a run's task lie."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from hermes.harness.contracts.reasoning import THINK, Tags
from hermes.harness.records.keys import short_hash, slug_with_hash
from hermes.harness.records.stored_samples import samples_path
from hermes.harness.records.types import GenerationConfig, Result
from hermes.harness.run.scoring import scores_name
from hermes.harness.run.stores import ANSWERS, SPEC, asked_identity
from hermes.harness.system.disk import read_json
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.read import HISTORY, OF_A_ROUND, RESULTS, SCORED, History, Run, bulk_of, read_history, read_run
from hermes.leaderboards.stored import UNTOLD, TaskFiles, asked_by, told_files

R = TypeVar("R", Run, History)
MODEL = ("fingerprint", "dtype", "code")
ROUND = re.compile(r"round-(\d+)")
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
LOOK_UP = 6  # Folders above a run in which its answers may lie.


@dataclass(frozen=True)
class FoundRun:
    """A run's folder; ``run`` is None until its results are there. ``key`` names it in addresses."""

    key: str
    folder: Path
    spec: dict[str, Any]
    run: Run | None
    play: str | None = None
    round: int | None = None

    @property
    def tasks(self) -> dict[str, str]:
        """The tasks by the keys that name them in addresses."""
        return {safe(name): name for name in (self.run.results if self.run else self.spec.get("tasks", {}))}

    def files(self, task: str) -> TaskFiles | None:
        """The task's files; None where nothing says where they are."""
        try:
            result = self.run.results.get(task) if self.run else None
            return told_files(self.folder, self.spec, task, result) or _derived(self, task, result)
        except UNTOLD:
            return None


@dataclass(frozen=True)
class FoundPlay:
    """A self-play's folder, and the keys of its rounds' evaluations."""

    key: str
    history: History
    runs: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """All that lies under some folders. ``problems`` has a line for each file that cannot be read."""

    runs: dict[str, FoundRun]
    plays: dict[str, FoundPlay]
    problems: list[str]


def find(paths: Sequence[Path]) -> Found:
    """Every run and self-play under the paths. Raises HermesError for a path that is not there."""
    runs: dict[str, FoundRun] = {}
    plays: dict[str, FoundPlay] = {}
    problems: list[str] = []
    homes: dict[Path, str] = {}  # the self-plays by their folders
    for root, prefix in _roots(paths):
        for folder, names in _folders(root):
            key = prefix + _key(folder, root)
            try:
                if HISTORY in names:
                    homes[folder] = key
                    plays[key] = FoundPlay(key, _as_it_is(read_history, folder / HISTORY))
                elif (run := _run(folder, names, key, homes)) is not None:
                    runs[key] = run
            except HermesError as error:
                problems.append(str(error))
    for key, play in plays.items():
        own = (one for one in runs.values() if one.play == key and one.folder.name == OF_A_ROUND[0])
        of_play = {one.round: one.key for one in own if one.round is not None}
        plays[key] = FoundPlay(key, play.history, dict(sorted(of_play.items())))
    return Found(runs, plays, problems)


def safe(text: str) -> str:
    """The text as a part of an address; told apart from others by a hash where it had to be changed."""
    plain = UNSAFE.sub("-", text)
    return plain if plain == text else f"{plain}-{short_hash(text)[:6]}"


def _roots(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """The folders of the paths, and what their keys begin with: of several the name, and a hash where two share it.

    Raises HermesError for a path that is not there.
    """
    roots: dict[Path, Path] = {}  # by what they are however they are written, so that each counts once
    for path in paths:
        if not path.exists():
            raise HermesError(f"{path} does not exist; give the folder of runs")
        root = path if path.is_dir() else path.parent
        roots.setdefault(root.resolve(), root)
    names = Counter(real.name for real in roots)
    for real, root in roots.items():
        mark = f"-{short_hash(str(real))[:6]}" if names[real.name] > 1 else ""
        yield root, f"{safe(real.name)}{mark}~" if len(roots) > 1 else ""


def _key(folder: Path, root: Path) -> str:
    parts = folder.relative_to(root).parts or (root.resolve().name,)
    return "~".join(safe(part) for part in parts)


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """The folders that hold a run or a self-play, with the names of their files."""
    for where, inner, files in os.walk(root):
        folder = Path(where)
        held = [name for name in (SPEC, RESULTS, HISTORY) if name in files]
        if held:
            yield folder, held
        is_run = RESULTS in held or (SPEC in held and "environment.jsonl" in files)
        bulk = bulk_of(folder, inner)
        wanted = (name for name in sorted(inner) if name not in bulk and not name.startswith("."))
        inner[:] = [name for name in wanted if not is_run or name == SCORED or ROUND.fullmatch(name)]


def _run(folder: Path, names: Sequence[str], key: str, homes: Mapping[Path, str]) -> FoundRun | None:
    """The run of a folder; None where its files are those of something else, such as a self-play before round 0."""
    run = _as_it_is(read_run, folder / RESULTS) if RESULTS in names else None
    spec = read_json(folder / SPEC) if SPEC in names else {}
    if run is None and not isinstance(spec.get("tasks"), dict):
        return None
    round_ = ROUND.fullmatch(folder.parent.name)
    play = homes.get(folder.parent.parent) if round_ else None
    return FoundRun(key, folder, spec, run, play, int(round_[1]) if round_ and play else None)


def _as_it_is(read: Callable[[Path], R], path: Path) -> R:
    """What a file holds now; one that has not changed since is not read again."""
    told = path.stat()
    found: R = _unchanged(read, path, told.st_mtime_ns, told.st_size)
    return found


@lru_cache(maxsize=4096)
def _unchanged(read: Callable[[Path], R], path: Path, time: int, size: int) -> R:
    return read(path)


def _derived(found: FoundRun, task: str, result: Result | None) -> TaskFiles | None:
    """What follows from the spec: a run in progress has no run.json yet."""
    asked = found.spec["tasks"][task]
    config = GenerationConfig.model_validate(asked["config"])
    evaluator, version = asked_by(task, asked, result)
    model = short_hash({name: found.spec["model"][name] for name in MODEL})
    identity = short_hash(asked_identity(evaluator, version, config))
    homes = (home / ANSWERS for home in (found.folder, *found.folder.absolute().parents[:LOOK_UP]))
    store = next((store for home in homes for store in home.glob(f"*-{model}/*-{identity}")), None)
    if store is None:
        return None
    judge = asked["judge"]
    tags: Tags = tuple((first, last) for first, last in asked.get("reasoning_tags", THINK))
    name = scores_name(asked["protocol"], judge, asked["data"], config.num_images, tags)
    judgements = store / "judgements" / slug_with_hash(judge) if judge else None
    return TaskFiles(evaluator, config, store, store / "scores" / name, samples_path(store, asked["data"]), judgements)
