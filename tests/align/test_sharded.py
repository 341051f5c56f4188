"""Training on two processes, with all weights in each and with a shard in each (FSDP2), ends where one process does.

This file is also the script that the two processes run. Accelerate shards on GPUs alone; on CPUs, where torch can, too,
it is told that it may.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tiny_janus
import tiny_liquid
import tiny_mmada
import tiny_showo
import tiny_showo2
import tiny_vilau
import torch
from align_fake import FakeModel, pictures
from forked import shard_on_cpu, stored
from safetensors.torch import load_file
from torch import Tensor

import hermes
from hermes.align.losses.likelihoods import TrainPair
from hermes.align.settings import TrainSettings
from hermes.align.training import trainer
from hermes.align.training.sharding import blocks, restore, same_weights
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError
from hermes.harness.system.launch import check_launch
from hermes.harness.system.processes import current

SETTINGS = TrainSettings(
    objective="sum", lr=2e-3, epochs=2, batch_size=8, micro_batch=2, replay_batch=4, checkpoint_every=2, bf16=False
)
DIES_AT = 3
CONFIGS = Path(__file__).parents[2] / "configs"


LAYOUTS: list[str] = []
"""For each sharded training of this process: how many numbers there are in all, and in its own shards."""


@dataclass(frozen=True)
class Case:
    """A model, by name, and what its training has beyond SETTINGS; ``double``: in float64, which rounds less."""

    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    double: bool = False


CASES = {
    "fake-averages": Case("fake", {"ema": 0.7, "average": 0.3, "hold": 1.0}),
    "tiny": Case("hermes-tiny", {"lr": 2e-4, "regmean": 1.0}),
    "showo": Case("showo", {"checkpointing": True, "masks": 2}),
    "showo-mixed": Case("showo", {"bf16": True}),
    "mmada": Case("mmada", {"masks": 2}),
    "janus": Case("janus"),
    "janus-lora": Case("janus", {"lora_rank": 2}),
    "vilau": Case("vilau", {"checkpointing": True}),
    "showo2": Case("showo2", {"masks": 2}, double=True),
    "liquid": Case("liquid"),
}
WAYS = {
    "together": tuple(CASES),
    "sharded": ("fake-averages", "tiny", "showo", "showo-mixed", "janus-lora", "vilau", "showo2"),
    "gathered": ("showo", "janus-lora"),
}
"""All weights in each process; a shard in each; likewise, but gathered from a forward to its backward pass (ZeRO-2).

Of models whose blocks are transformers' layers one is sharded.
"""
AGAIN = ("fake-averages", "janus-lora")
QUICK = ("fake-averages", "tiny", "showo", "janus-lora")
"""What is always tried: averages, RegMean, masks and LoRA; the others repeat them on more architectures."""
NOISE = (
    "k_layernorm.bias",
    "attn.key.bias",
    "look_out.mix.0.bias",
    "look_out.mix.2.bias",
)
"""Weights whose gradients are rounding, which AdamW scales up: those that add a constant to all that a softmax takes,
and those of hermes-tiny's units that hardly ever fire. Show-o2 has so many that it is trained in float64."""


def load(name: str, home: Path) -> Any:
    if name == "fake":
        return FakeModel()
    return hermes.load_model(name if name == "hermes-tiny" else str(home / name), "cpu")


def pairs() -> list[TrainPair]:
    """Eleven pairs, most of which lack a side: processes have batches in which only the other one has a text."""
    images = [ImageHandle(image.resize((48, 48))) for image in pictures(33)]
    made = []
    for k in range(11):
        real, winner, loser = images[3 * k : 3 * k + 3]
        und = tuple(LikelihoodItem("text", "caption this", real, f"{word} thing {k}") for word in ("sharp", "blurred"))
        gen = tuple(LikelihoodItem("image", f"draw {k}", image) for image in (winner, loser))
        made.append(TrainPair(f"item-{k}", und if k % 4 in (0, 1) else None, gen if k % 4 in (0, 2, 3) else None))  # type: ignore[arg-type]
    return made


def lessons(both: bool = False) -> list[LikelihoodItem]:
    """Three texts, and as many images where both kinds have a part."""
    images = [ImageHandle(image.resize((48, 48))) for image in pictures(3, 9)]
    texts = [LikelihoodItem("text", "say", image, f"word {k}") for k, image in enumerate(images)]
    return texts + [LikelihoodItem("image", f"draw {k}", image) for k, image in enumerate(images) if both]


def play(case: Case, home: Path, out: Path, **more: Any) -> Any:
    """Train as the case says, save the model in ``out``/saved, and return it."""
    model = load(case.model, home)
    if case.double:
        model.module.double()
    settings = SETTINGS.model_copy(update={**case.settings, **more})
    report = train(model, pairs(), lessons(settings.regmean > 0), settings, out)
    out.mkdir(exist_ok=True)
    (out / f"layouts.{current().rank}").write_text(" ".join(LAYOUTS))
    LAYOUTS.clear()
    if current().main:
        model.save(out / "saved")
        (out / "report.json").write_text(report.model_dump_json())
    current().wait()
    return model


def die_in_step(number: int) -> Callable[..., float]:
    real = trainer.learning_rate

    def dying(step: int, *rest: Any) -> float:
        if step == number:
            raise KeyboardInterrupt
        return real(step, *rest)

    return dying


def interrupted(case: Case, home: Path, out: Path) -> None:
    """Train with an interruption in the midst of it."""
    real = trainer.learning_rate
    trainer.learning_rate = die_in_step(DIES_AT)
    try:
        play(case, home, out)
    except KeyboardInterrupt:
        pass
    finally:
        trainer.learning_rate = real
    assert not (out / "saved").exists()
    current().wait()


def note_layout(module: torch.nn.Module, sharded: torch.nn.Module) -> None:
    """What `restore` does, after a note of how many numbers of the weights are here."""
    LAYOUTS.extend(
        str(sum(part.numel() for part in parts))
        for parts in (sharded.parameters(), (weight.to_local() for weight in sharded.parameters()))  # type: ignore[operator]
    )
    restore(module, sharded)


def main(home: Path, out: Path, cases: Sequence[str]) -> None:
    """These cases in all ways, on all processes; some are interrupted while they are sharded."""
    trainer.restore = note_layout
    for way, names in WAYS.items():
        if way != "together":
            shard_on_cpu(reshard=way == "sharded")
        for name in (name for name in names if name in cases):
            model = play(CASES[name], home, out / way / name)
            if name == "tiny":
                (out / way / f"told.{current().rank}").write_text(repr(tells(model)))
        if way == "sharded":
            for name in (name for name in (*AGAIN, "tiny") if name in cases):
                interrupted(CASES[name], home, out / "again" / name)
            for name in (name for name in AGAIN if name in cases):
                play(CASES[name], home, out / "again" / name)


def tells(model: Any) -> float:
    """A log-probability, which the trained model must be able to tell in every process."""
    item = LikelihoodItem("text", "say", ImageHandle(pictures(1)[0].resize((48, 48))), "a red circle")
    with torch.no_grad():
        return float(model.module(model.collate(model.prepare([item])))[0])


def saved(folder: Path) -> dict[str, Tensor]:
    files = (folder / "saved").rglob("*.safetensors")
    return {
        f"{path.parent.name}/{path.name}/{name}": value for path in files for name, value in load_file(path).items()
    }


def state(folder: Path) -> dict[str, Tensor]:
    """Weights, moments and averages after the last step."""
    return stored(folder)


def log(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if value is not None} for line in lines]


def assert_alike(found: Path, expected: Path) -> None:
    """The same figures, the same state but rounding, and a checkpoint of the same tensors."""
    assert len(log(found)) == len(log(expected)) == 4
    for line, wanted in zip(log(found), log(expected), strict=True):
        if not wanted["step"]:  # who wins where policy and reference are equal is rounding
            line, wanted = ({key: value for key, value in one.items() if "agree" not in key} for one in (line, wanted))
        assert line == pytest.approx(wanted, rel=1e-3, abs=1e-3)
    ours, theirs = state(found), state(expected)
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        if name.startswith(("weight/", "average/")) and not name.endswith(NOISE):
            torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5, msg=name)
    ours, theirs = saved(found), saved(expected)
    assert theirs
    assert {name: (t.shape, t.dtype) for name, t in ours.items()} == {n: (t.shape, t.dtype) for n, t in theirs.items()}
    for name, value in theirs.items():
        if not name.endswith(NOISE):
            torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    made = {
        "janus": tiny_janus.save,
        "showo": tiny_showo.make_checkpoint,
        "mmada": tiny_mmada.save,
        "vilau": tiny_vilau.save,
        "showo2": tiny_showo2.save,
        "liquid": tiny_liquid.save,
    }
    for name, make in made.items():
        (folder / name).mkdir()
        make(folder / name)
    return folder


def tried(names: Iterable[str]) -> list[Any]:
    """The names as parameters; those that are not quick are tried by -m long alone."""
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in names]


@pytest.fixture(scope="module")
def two(home: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left of the quick cases."""
    return launched_twice(QUICK, home, environment, tmp_path_factory)


@pytest.fixture(scope="module")
def others(home: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left of the other ones."""
    return launched_twice([name for name in CASES if name not in QUICK], home, environment, tmp_path_factory)


@pytest.fixture
def left(name: str, request: pytest.FixtureRequest) -> Path:
    """What two processes left of the case and of others."""
    folder: Path = request.getfixturevalue("two" if name in QUICK else "others")
    return folder


def launched_twice(
    cases: Iterable[str], home: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("two")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    paths = (str(Path(__file__).parent), str(Path(__file__).parents[1]), environment["PYTHONPATH"])
    home_of = environment | {"PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launcher, __file__, str(home), str(folder), *cases]
    done = subprocess.run(command, env=home_of, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def one(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """What one process leaves of a case."""
    folder = tmp_path_factory.mktemp("one")

    @cache
    def left(name: str) -> Path:
        play(CASES[name], home, folder / name)
        return folder / name

    return left


@pytest.mark.slow
@pytest.mark.parametrize("name", tried(name for name in CASES if not name.endswith("-mixed")))
def test_two_processes_end_where_one_does(name: str, one: Callable[[str], Path], left: Path) -> None:
    assert_alike(left / "together" / name, one(name))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["sharded", "gathered"])
@pytest.mark.parametrize("name", tried(WAYS["sharded"]))
def test_shards_end_where_whole_weights_do(way: str, name: str, left: Path) -> None:
    if name not in WAYS[way]:
        pytest.skip("is not tried in this way")
    assert_alike(left / way / name, left / "together" / name)
    layouts = [(left / way / name / f"layouts.{rank}").read_text().split() for rank in (0, 1)]
    (all_here, here), (all_there, there) = layouts
    assert int(all_here) == int(all_there) == int(here) + int(there)
    assert int(here) / int(all_here) == pytest.approx(0.5, abs=0.02)
    assert (left / "together" / name / "layouts.0").read_text() == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", AGAIN)
def test_an_interrupted_sharded_training_goes_on(name: str, two: Path) -> None:
    for what in (saved, state):
        expected = what(two / "sharded" / name)
        found = what(two / "again" / name)
        assert set(found) == set(expected)
        assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert log(two / "again" / name) == log(two / "sharded" / name)


@pytest.mark.slow
def test_one_process_goes_on_where_shards_were_interrupted(
    home: Path, one: Callable[[str], Path], two: Path, tmp_path: Path
) -> None:
    shutil.copytree(two / "again" / "tiny", tmp_path / "tiny")
    before = (tmp_path / "tiny" / "train.jsonl").read_text()
    play(CASES["tiny"], home, tmp_path / "tiny")
    assert (tmp_path / "tiny" / "train.jsonl").read_text().startswith(before)
    assert_alike(tmp_path / "tiny", one("tiny"))


@pytest.mark.slow
def test_the_model_is_whole_in_every_process(two: Path) -> None:
    told = [float((two / way / f"told.{rank}").read_text()) for way in ("together", "sharded") for rank in (0, 1)]
    assert told == pytest.approx([told[0]] * 4, abs=1e-3)
    assert told[0] != pytest.approx(tells(hermes.load_model("hermes-tiny", "cpu")), abs=0.1)


@pytest.mark.parametrize("name", ["tiny", "showo", "janus", "showo2"])
def test_eight_times_one_is_one_times_eight(name: str, home: Path, tmp_path: Path) -> None:
    """A step of eight pairs in one pass, and in eight passes of one."""
    for size in (1, 8):
        play(CASES[name], home, tmp_path / str(size), micro_batch=size)
    assert_alike(tmp_path / "1", tmp_path / "8")


def test_blocks_are_the_trained_layers(home: Path) -> None:
    kinds = {}
    for name in ("hermes-tiny", "showo", "janus", "mmada", "vilau", "showo2", "fake"):
        model = load(name, home)
        kinds[name] = [type(block).__name__ for block in blocks(model.module)]
    assert kinds["hermes-tiny"] == ["Block"] * 5
    assert kinds["showo"] == ["Layer"] * 2
    assert kinds["janus"] == ["LlamaDecoderLayer"] * 2  # not the frozen encoder's, not the aligner's single layers
    assert kinds["mmada"] == ["LlamaDecoderLayer"] * 2
    assert kinds["vilau"] == ["LlamaDecoderLayer"] * 2 + ["Block"] * 2  # not the frozen tower's
    assert kinds["showo2"] == ["Qwen2DecoderLayer"] * 2 + ["SiglipEncoderLayer"] * 2 + ["Block"] * 2
    assert kinds["fake"] == []


def test_a_second_module_has_the_very_weights(home: Path) -> None:
    module = load("janus", home).module
    again = same_weights(module)
    assert all(a is b for a, b in zip(module.parameters(), again.parameters(), strict=True))
    assert all(a is b for a, b in zip(module.buffers(), again.buffers(), strict=True))
    assert not {id(part) for part in module.modules()} & {id(part) for part in again.modules()}


def launched(config: Path) -> dict[str, str]:
    """The environment that `accelerate launch --config_file` gives to the processes."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    arguments = launch_command_parser().parse_args(["--config_file", str(config), "script.py"])
    arguments, *_ = _validate_launch_command(arguments)
    assert arguments.num_processes == 8
    return prepare_multi_gpu_env(arguments)


@pytest.mark.parametrize("name", ["ddp", "fsdp", "zero2"])
def test_the_configurations_are_read_by_accelerate(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.utils import FullyShardedDataParallelPlugin

    environment = launched(CONFIGS / f"{name}.yaml")
    check_launch(environment)
    assert environment["ACCELERATE_MIXED_PRECISION"] == "no"
    assert environment.get("ACCELERATE_USE_FSDP", "false") == str(name != "ddp").lower()
    if name != "ddp":
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        plugin = FullyShardedDataParallelPlugin()
        assert (plugin.fsdp_version, plugin.reshard_after_forward) == (2, name == "fsdp")


FSDP2 = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed"),
        ({"ACCELERATE_USE_MEGATRON_LM": "true"}, "Megatron"),
        ({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}, "micro_batch"),
        ({"ACCELERATE_USE_FSDP": "true"}, "fsdp_version: 2"),
        (FSDP2 | {"FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}, "fsdp_cpu_ram_efficient_loading"),
        (FSDP2 | {"FSDP_OFFLOAD_PARAMS": "true"}, "fsdp_offload_params"),
        (FSDP2 | {"FSDP_ACTIVATION_CHECKPOINTING": "true"}, "fsdp_activation_checkpointing"),
    ],
)
def test_a_launcher_that_would_change_the_numbers_is_refused(
    environment: dict[str, str], said: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_launch(FSDP2)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(HermesError, match=said):
        train(load("fake", home), pairs(), lessons(), SETTINGS, tmp_path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
