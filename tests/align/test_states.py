"""States of a training: by any number of processes, whole after a kill, by the clock; and work for each process."""

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from align_fake import FakeModel
from forked import on_processes, shard_on_cpu
from safetensors.torch import load_file
from test_trainer import SETTINGS, lessons, pairs, trained, weights

from hermes.align.losses.likelihoods import PairBatches, TrainPair
from hermes.align.settings import AlignSettings, TrainSettings
from hermes.align.training import states, trainer
from hermes.align.training.trainer import train
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Silent

FOUR = SETTINGS.model_copy(update={"batch_size": 4, "epochs": 1, "micro_batch": 2, "checkpoint_every": 1, "ema": 0.5})


def data() -> list[TrainPair]:
    """Ten pairs, of which two lack a side."""
    made = pairs(10)
    made[3] = TrainPair("texts", made[3].und, None)
    made[6] = TrainPair("images", None, made[6].gen)
    return made


class Said(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def play(settings: TrainSettings, folder: Path, dies_at: int | None = None, sharded: bool = False) -> None:
    """Train on all processes, to the end or to a step; main saves the model, each what it said."""
    if sharded:
        shard_on_cpu(reshard=True)
    model, said, real = FakeModel(), Said(), trainer.learning_rate

    def dying(step: int, *rest: Any) -> float:
        if step == dies_at:
            raise KeyboardInterrupt
        return real(step, *rest)

    trainer.learning_rate = dying
    try:
        train(model, data(), lessons(), settings, folder, said)
    except KeyboardInterrupt:
        return
    finally:
        trainer.learning_rate = real
    (folder / f"said.{current().rank}").write_text("\n".join(said.lines))
    if current().main:
        model.save(folder / "saved")


def ends_alike(folder: Path, settings: TrainSettings, alone: Path) -> None:
    """The weights and the log of ``folder`` are those of one undisturbed process."""
    if not alone.exists():
        play(settings, alone)
    ours, theirs = (load_file(place / "saved" / "model.safetensors") for place in (folder, alone))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5)
    logs = [[json.loads(line) for line in (place / "train.jsonl").open()] for place in (folder, alone)]
    assert len(logs[0]) == len(logs[1])
    for line, wanted in zip(*logs, strict=True):
        known = {name: value for name, value in wanted.items() if value is not None}
        assert {name: line[name] for name in known} == pytest.approx(known, rel=1e-3, abs=1e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.parametrize("counts", [((4, True), (2, True), (1, False)), ((1, False), (2, False), (4, True))])
def test_any_number_of_processes_goes_on(tmp_path: Path, counts: tuple[tuple[int, bool], ...]) -> None:
    """Each is killed after a step more: with all weights in each process, or a shard."""
    for number, (world, sharded) in enumerate(counts):
        on_processes(world, play, FOUR, tmp_path / "some", number + 1 if number < 2 else None, sharded)
    ends_alike(tmp_path / "some", FOUR, tmp_path / "alone")
    (state,) = (tmp_path / "some" / states.FOLDER).iterdir()
    assert state.name == "3"
    assert len(list(state.glob("*.distcp"))) == counts[-1][0]


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.parametrize("objective", ["sum", "coupled"])
def test_fewer_pairs_than_processes_end_where_one_process_does(tmp_path: Path, objective: str) -> None:
    """A step of two pairs on three processes: captions and images, winners and losers, are in different ones."""
    settings = FOUR.model_copy(update={"objective": objective, "batch_size": 2})
    on_processes(3, play, settings, tmp_path / "three")
    ends_alike(tmp_path / "three", settings, tmp_path / "alone")
    assert (tmp_path / "three" / "said.0").read_text() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_processes_without_work_are_told_of(tmp_path: Path) -> None:
    settings = FOUR.model_copy(update={"batch_size": 1, "replay_batch": 2, "epochs": 1, "steps": 3, "objective": "sum"})
    on_processes(5, play, settings, tmp_path / "five")
    ends_alike(tmp_path / "five", settings, tmp_path / "alone")
    said = (tmp_path / "five" / "said.0").read_text()
    assert "a step has 4 captions and images for 5 processes, so 1 of them waits" in said
    assert "a step replays 2 items on 5 processes, so 3 of them wait" in said


def test_four_pairs_give_each_of_eight_processes_a_caption_and_an_image(tmp_path: Path) -> None:
    places = PairBatches(FakeModel(), pairs(4), 0, tmp_path).places(range(4))
    for rank in range(8):
        assert sorted(slot // 2 for slot, _ in places[rank::8]) == [0, 1]


def dies(name: str, real: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, when: int) -> None:
    """The ``when``-th call of a function of states is a kill."""
    calls = iter(range(when))

    def dying(*args: Any, **kwargs: Any) -> Any:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(states, name, dying)


@pytest.mark.parametrize("function", ["write_json", "sync_folder", "_tensors"])
def test_a_kill_while_a_state_is_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    expected = trained(tmp_path / "whole", FOUR)
    dies(function, getattr(states, function), monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", FOUR)
    monkeypatch.undo()
    left = {path.name for path in (tmp_path / "killed" / states.FOLDER).iterdir() if path.name.isdigit()}
    assert left
    assert torch.equal(weights(trained(tmp_path / "killed", FOUR)), weights(expected))
    assert (tmp_path / "killed" / "train.jsonl").read_text() == (tmp_path / "whole" / "train.jsonl").read_text()


def test_states_are_written_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes four minutes of a clock; a state is due after ten, and after the last step."""
    written: list[int] = []
    real = states.States.save
    monkeypatch.setattr(
        states.States, "save", lambda self, step, *rest: (written.append(step), real(self, step, *rest))
    )
    clock = iter(range(0, 10**6, 240))
    monkeypatch.setattr(trainer.time, "monotonic", lambda: next(clock))
    trained(tmp_path, FOUR.model_copy(update={"checkpoint_every": None, "epochs": 2}))
    assert written == [3, 6, 9, 10]


def test_when_a_state_is_written_is_no_part_of_what_comes_out() -> None:
    plain = AlignSettings()
    for more in ({"checkpoint_minutes": 1.0}, {"checkpoint_every": 7}, {"lora_half": True}, {"optimizer": "adamw"}):
        assert AlignSettings(**more).identity() == plain.identity()
    assert AlignSettings(optimizer="adamw8bit").identity() != plain.identity()
    assert "optimizer" not in plain.identity()


def test_the_state_of_an_older_version_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "state.safetensors").write_bytes(b"")
    with pytest.raises(HermesError, match="older version of Hermes"):
        trained(tmp_path)


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("harm"), "done"))


@pytest.mark.parametrize("file", [".metadata", "__0_0.distcp"])
def test_a_damaged_state_is_said_in_one_line_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    trained(tmp_path / "run", FOUR)
    path = tmp_path / "run" / states.FOLDER / "5" / file
    for content in (pickle.dumps(Harm()), b"", path.read_bytes()[:-200]):
        path.write_bytes(content)
        with pytest.raises(HermesError, match=r"cannot be read .*; remove") as found:
            trained(tmp_path / "run", FOUR)
        assert "\n" not in str(found.value)
    assert not (tmp_path / "harm").exists()


def test_each_part_of_a_state_is_read_into_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than one stored tensor at a time is in memory beside the weights and their moments."""
    trained(tmp_path, FOUR)
    sizes: list[int] = []
    real = torch.load

    def noted(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        sizes.append(found.nbytes)
        return found

    monkeypatch.setattr(torch, "load", noted)
    trained(tmp_path, FOUR)
    assert len(sizes) == 10  # two weights with two moments, a count of steps and an average
    assert max(sizes) == FakeModel().module.position.nbytes  # type: ignore[union-attr]
