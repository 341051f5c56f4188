"""Where the answers of a model to a task are kept: one folder for each pair, shared by all runs under one root.

    <root>/answers/<model>-<id>/<task>-<id>/     responses.<rank>.jsonl, media/, judgements/, scores/

The ids are hashes of what stands in the folder's spec.json: of the model as it is (weights, precision, version of the
adapter's code), and of what the task asks (benchmark and version, generation settings, seed). Neither the data nor how
much of it is asked is part of them: each answer has a key of its own (`records.keys`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from hermes.harness.records.keys import BESIDE, short_hash, slug
from hermes.harness.records.store import Store
from hermes.harness.records.types import SCHEMA_VERSION, GenerationConfig, ModelInfo
from hermes.harness.system.disk import locked, read_json, write_json
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current

ANSWERS = "answers"
SPEC = "spec.json"
BUSY = "{task}: another command works with the same answers ({folder}); waiting for it"


class Placed(Protocol):
    """Settings that say where a command writes."""

    @property
    def out(self) -> Path | None: ...

    @property
    def runs(self) -> Path: ...

    @property
    def model_fields_set(self) -> set[str]: ...


def root_of(settings: Placed) -> Path:
    """The folder under which answers are kept: --out is a folder of its own unless --runs is given beside it."""
    if settings.out is not None and "runs" not in settings.model_fields_set:
        return settings.out
    return settings.runs


def model_identity(info: ModelInfo, code: str) -> dict[str, Any]:
    """The model as it is; its name does not change what it answers. ``code`` is the version of its adapter."""
    noise = {"noise": info.noise} if info.noise else {}
    return {"fingerprint": info.fingerprint, "dtype": info.dtype, "code": code, **noise}


def code_version(model: Any) -> str:
    """The version of an adapter's code: raised when the same weights would answer differently."""
    return str(getattr(model, "version", "1"))


def asked_identity(name: str, version: str, config: GenerationConfig) -> dict[str, Any]:
    """What a benchmark asks, apart from its rows. The number of images is none of it: each has an index of its own."""
    settings = config.model_dump(exclude=BESIDE - {"seed"})
    return {"task": name, "version": version, "config": settings}


@contextmanager
def open_store(
    root: Path, info: ModelInfo, code: str, asked: dict[str, Any], say: Callable[[str], None]
) -> Iterator[Store]:
    """The store of a model and of what it is asked, kept from other commands while the block runs.

    It is made where there is none yet, and waited for, which ``say`` tells, where another command has it. All processes
    call; those beside the main one have it to themselves after ``current().wait()``.
    """
    model = model_identity(info, code)
    folder = store_folder(root, info, code, asked)
    store = Store(folder, current().rank)
    if not current().main:
        yield store
        return
    with locked(folder, wait=lambda: say(BUSY.format(task=asked["task"], folder=folder))):
        store.tidy()
        _identify(folder / SPEC, {"schema": SCHEMA_VERSION, "model": model, **asked}, info.name)
        yield store


def store_folder(root: Path, info: ModelInfo, code: str, asked: dict[str, Any]) -> Path:
    """Where the answers of a model to what it is asked are, or will be; that above it holds all of the model's."""
    home = _place(root / ANSWERS, info.name, short_hash(model_identity(info, code)))
    return _place(home, str(asked["task"]), short_hash(asked))


def _identify(path: Path, identity: dict[str, Any], name: str) -> None:
    """Say in the folder what its answers are. Raises HermesError where something else is said there."""
    said: dict[str, Any] = {}
    with suppress(HermesError):  # none yet, or damaged: what the folder's name says is written again
        said = read_json(path)
    if not said:
        write_json(path, {**identity, "model": {"name": name, **identity["model"]}})
    elif _nameless(said) != _nameless(identity):
        raise HermesError(f"{path} is not that of the answers asked for; remove its folder, or give another --runs")


def _nameless(spec: dict[str, Any]) -> dict[str, Any]:
    model = spec.get("model")
    return {**spec, "model": {**model, "name": None} if isinstance(model, dict) else None}


def _place(home: Path, name: str, identity: str) -> Path:
    """The folder of an identity, whatever name it was made under."""
    return next(iter(sorted(home.glob(f"*-{identity}"))), home / f"{slug(name)}-{identity}")
