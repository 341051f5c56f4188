"""Self-play on four processes: whoever is slow is waited for, and killed in any phase any number of them goes on."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from align_fake import FakeModel
from forked import on_processes
from safetensors.torch import load_file
from test_selfplay import SETTINGS, play

from hermes.align.pairs import closeness
from hermes.align.play import preferring
from hermes.align.training import trainer
from hermes.harness.judges.similarity import similarity
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.store import Store
from hermes.harness.system.processes import TIMEOUT, current
from hermes.harness.system.sharing import Sharing

pytestmark = [pytest.mark.usefixtures("fake_model"), pytest.mark.skipif(sys.platform != "linux", reason="forks")]


def test_a_slow_process_is_waited_for_beyond_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One compares captions for twice as long as a collective may take; what comes out is the same to the last bit."""

    def slow(which: str, device: str) -> Any:
        score = similarity(which, device)

        def compared(captions: Sequence[str], references: Sequence[str]) -> list[float]:
            time.sleep(1)
            return score(captions, references)

        return compared if current().main else score

    def work(folder: Path) -> None:
        play(folder, rounds=1)

    on_processes(4, work, tmp_path / "undisturbed")
    monkeypatch.setenv(TIMEOUT, "1")
    monkeypatch.setattr(closeness, "similarity", slow)
    on_processes(4, work, tmp_path / "slow")
    for file in ("checkpoint/model.safetensors", "training/train.jsonl", "evaluation/results.json"):
        ours, theirs = ((tmp_path / run / "round-1" / file).read_bytes() for run in ("slow", "undisturbed"))
        assert ours == theirs
    play(tmp_path / "alone", rounds=1)
    for file in ("candidates.jsonl", "preferences.jsonl", "drops.json"):
        assert (tmp_path / "slow/round-1" / file).read_bytes() == (tmp_path / "alone/round-1" / file).read_bytes()


class Death:
    """Ends this process, without a word to the others, at the second step of a phase."""

    def __init__(self, phase: str) -> None:
        self.phase, self.steps = phase, 0

    def step(self, *phases: str) -> None:
        self.steps += any(phase.startswith(self.phase) for phase in phases)
        if self.steps == 2:
            os._exit(0)


PHASES = (
    ("captions", 4),
    ("images", 2),
    ("critic", 1),
    ("similarity", 4),
    ("preferences", 2),
    ("preparing pairs", 1),
    ("training", 4),
    ("training", 2),
    ("saving", 4),
    ("homologous", 1),
)


def test_killed_in_each_phase_any_number_of_processes_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEOUT, "3")
    settings = {"rounds": 1, "n": 6, "batch_draw": 1, "pairing": "either", "threshold": 0.0, "epochs": 4, "bf16": False}
    monkeypatch.setitem(SETTINGS, "items", 12)
    play(tmp_path / "alone", **settings)

    def work(phase: str) -> None:
        death = Death(phase)
        did, rate, save, ties = Sharing.did, trainer.learning_rate, FakeModel.save, preferring.token_ties

        def stepping(self: Sharing[Any], steps: int) -> int:
            death.step(self.label)
            return did(self, steps)

        def learning_rate(*given: Any) -> float:
            death.step("training")
            return rate(*given)

        def saved(self: FakeModel, folder: Path) -> None:
            death.steps = 1
            death.step("saving")
            save(self, folder)

        def differing(*given: Any) -> Any:
            death.steps = 1
            death.step("preferences")
            return ties(*given)

        Sharing.did = stepping  # type: ignore[method-assign]
        trainer.learning_rate, FakeModel.save, preferring.token_ties = learning_rate, saved, differing  # type: ignore
        play(tmp_path / "killed", **settings)
        (tmp_path / f"ended-{phase}").touch()

    for phase, world in PHASES:
        on_processes(world, work, phase, well=False)
        assert not (tmp_path / f"ended-{phase}").exists()
    on_processes(4, work, "never")
    for file in ("candidates.jsonl", "preferences.jsonl", "drops.json"):
        assert (tmp_path / "killed/round-1" / file).read_bytes() == (tmp_path / "alone/round-1" / file).read_bytes()
    ours, theirs = (load_file(tmp_path / run / "round-1/checkpoint/model.safetensors") for run in ("killed", "alone"))
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-3, atol=1e-4)
    found = [
        json.loads((tmp_path / run / "round-1/evaluation/results.json").read_text())["gap"]
        for run in ("killed", "alone")
    ]
    assert found[0] == found[1]
    assert not list((tmp_path / "killed/round-1").glob("preferences.*.jsonl"))
    assert not [path for path in (tmp_path / "killed/round-1/training").iterdir() if path.is_dir()]


def test_what_is_read_does_not_grow_with_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four open as many pictures as one does, and prepare and look at as many, whoever does it.

    But for those that an evaluation asks about: they are hashed by each process, once in a round.
    """
    monkeypatch.setitem(SETTINGS, "items", 12)

    def counted(world: int) -> dict[str, int]:
        folder = tmp_path / str(world)

        def work() -> None:
            counts: Counter[str] = Counter()
            for cls, name in ((ImageHandle, "_encoded"), (FakeModel, "prepare"), (Store, "verified")):
                counting(cls, name, counts)
            play(folder / "run", rounds=1)
            (folder / f"counts.{current().rank}").write_text(json.dumps(counts))

        folder.mkdir()
        on_processes(world, work)
        found: Counter[str] = Counter()
        for rank in range(world):
            found.update(json.loads((folder / f"counts.{rank}").read_text()))
        return dict(found)

    def counting(cls: type, name: str, counts: "Counter[str]") -> None:
        real = getattr(cls, name)

        def noted(self: Any, *given: Any) -> Any:
            counts[name] += len(given[0]) if name == "prepare" else 1
            return real(self, *given)

        setattr(cls, name, noted)

    alone, four = counted(1), counted(4)
    evaluated = 3 * 2 * SETTINGS["eval_limit"]
    assert four == alone | {"_encoded": alone["_encoded"] + evaluated}
