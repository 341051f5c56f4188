"""Checkpoints as trainings leave them: files, wrappers' names, folders around the weights, and weights no numbers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_janus
import tiny_showo
import tiny_vlms
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import hermes
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.tensors import read_tensors
from hermes.harness.models.tiny.adapter import WEIGHTS as TINY
from hermes.harness.models.trained import around, checkpoint_folder
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Silent

State = dict[str, Tensor]
FILE = {"showo": "pytorch_model.safetensors", "janus": "model.safetensors", "llava": "model.safetensors"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sources")
    return {
        "showo": tiny_showo.make_checkpoint(root / "showo"),
        "janus": tiny_janus.save(root / "janus"),
        "llava": tiny_vlms.llava(root / "llava"),
    }


@pytest.fixture(scope="module")
def states(sources: dict[str, Path]) -> dict[str, State]:
    return {name: load_file(folder / FILE[name]) for name, folder in sources.items()}


def weights(reference: Path | str) -> State:
    model: Any = hermes.load_model(str(reference), "cpu")
    network = model._model.module if hasattr(model, "_model") else model.network
    return dict(network.state_dict())


@pytest.fixture(scope="module")
def expected(sources: dict[str, Path]) -> dict[str, State]:
    return {name: weights(folder) for name, folder in sources.items()}


def without_weights(source: Path, folder: Path) -> Path:
    shutil.copytree(source, folder)
    (folder / FILE[source.name]).unlink()
    return folder


def behind(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def inside(state: State) -> State:
    """The names that torch.compile gives where it was called on a part."""
    return {name.replace("layers.", "layers._orig_mod.", 1): tensor for name, tensor in state.items()}


def shards(folder: Path, state: State, count: int = 3, keep: tuple[int, ...] = (1, 2, 3)) -> None:
    names = sorted(state)
    for number in keep:
        part = {name: state[name] for name in names[number - 1 :: count]}
        save_file(part, folder / f"model-{number:05d}-of-{count:05d}.safetensors")


def indexed(folder: Path, state: State) -> None:
    names = sorted(state)
    torch.save({name: state[name] for name in names[::2]}, folder / "a.bin")
    torch.save({name: state[name] for name in names[1::2]}, folder / "b.bin")
    places = {name: "ab"[number % 2] + ".bin" for number, name in enumerate(names)}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))


FORMS: dict[str, Callable[[Path, State], Any]] = {
    "DistributedDataParallel": lambda to, state: torch.save(behind("module.", state), to / "pytorch_model.bin"),
    "twice wrapped, compiled": lambda to, state: save_file(
        behind("module.module._orig_mod.", state), to / "model.safetensors"
    ),
    "compiled inside": lambda to, state: save_file(inside(state), to / "model.safetensors"),
    "state_dict": lambda to, state: torch.save({"state_dict": state, "epoch": 3}, to / "pytorch_model.bin"),
    "state_dict of module.": lambda to, state: torch.save(
        {"state_dict": behind("module.", state)}, to / "pytorch_model.bin"
    ),
    "model beside an optimizer": lambda to, state: torch.save(
        {"model": state, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-5}]}}, to / "model.pt"
    ),
    "DeepSpeed": lambda to, state: torch.save({"module": state, "steps": 3}, to / "mp_rank_00_model_states.pt"),
    "another prefix": lambda to, state: save_file(behind("policy.", state), to / "model.safetensors"),
    "shards without index": shards,
    "shards of module.": lambda to, state: indexed(to, behind("module.", state)),
    "an optimizer's file beside": lambda to, state: (
        torch.save(behind("module.", state), to / "last.ckpt"),
        torch.save({"state": {}}, to / "optimizer.bin"),
        torch.save({"seed": 1}, to / "rng_state.pth"),
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", ["showo", "janus"])
def test_what_a_training_wrote_is_the_same_model(
    family: str,
    form: str,
    sources: dict[str, Path],
    states: dict[str, State],
    expected: dict[str, State],
    tmp_path: Path,
) -> None:
    folder = without_weights(sources[family], tmp_path / "trained")
    FORMS[form](folder, states[family])
    found = weights(folder)
    assert found.keys() == expected[family].keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected[family].items())


@pytest.mark.parametrize("form", ["state_dict of module.", "shards without index"])
def test_names_of_an_older_transformers_are_read_inside_a_wrapper(
    form: str, sources: dict[str, Path], states: dict[str, State], expected: dict[str, State], tmp_path: Path
) -> None:
    folder = without_weights(sources["llava"], tmp_path / "trained")
    FORMS[form](folder, states["llava"])
    model: Any = hermes.load_model(str(folder), "cpu")
    plain: Any = hermes.load_model(str(sources["llava"]), "cpu")
    network = model._model.module
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in expected["llava"].items())
    assert network.generation_config.to_dict() == plain._model.module.generation_config.to_dict()
    assert model.info.fingerprint != plain.info.fingerprint  # of files, and these are others


def test_hermes_tiny_is_read_so_too(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "out" / "checkpoint-7")
    path = tmp_path / "out" / "checkpoint-7" / "transformer.safetensors"
    save_file(behind("module.", load_file(path)), path)
    plain = hermes.load_model("hermes-tiny", "cpu")
    assert hermes.load_model(str(tmp_path / "out"), "cpu").info.fingerprint == plain.info.fingerprint
    save_file(behind("other.", load_file(TINY / "tokenizer.safetensors")), path)
    with pytest.raises(
        HermesError, match=r"transformer\.safetensors lacks \d+ of the \d+ tensors, such as .*, and holds"
    ):
        hermes.load_model(str(tmp_path / "out"), "cpu")


WRONG: dict[str, tuple[Callable[[Path, State], Any], str]] = {
    "policy and reference": (
        lambda to, state: save_file(
            {start + name: tensor.clone() for name, tensor in state.items() for start in ("policy.", "ref.")},
            to / "model.safetensors",
        ),
        r"policy\.",
    ),
    "several files": (
        lambda to, state: (torch.save(state, to / "a.pt"), torch.save(state, to / "b.pt")),
        "a.pt and b.pt, and which is meant is not clear|no file named",
    ),
    "a shard lost": (lambda to, state: shards(to, state, keep=(1, 3)), "lacks 1 of 3 shards, such as number 2"),
    "a tensor lost": (
        lambda to, state: torch.save(
            behind("module.", dict(sorted(state.items())[1:])), to / "pytorch_model.bin"
        ),
        r"lacks? 1 (of the 41 )?tensors, such as lm_head\.",
    ),
    "a whole network": (
        lambda to, state: torch.save(torch.nn.Linear(2, 2), to / "pytorch_model.bin"),
        r"cannot be loaded \(it holds a torch\.nn\.modules\.linear\.Linear, which is no weight\)",
    ),
    "a name twice": (
        lambda to, state: save_file(
            {**state, "_orig_mod." + min(state): state[min(state)].clone()}, to / "model.safetensors"
        ),
        "holds tensors twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("family", ["showo", "janus"])
def test_what_is_no_whole_model_is_one_line(
    family: str,
    fault: str,
    sources: dict[str, Path],
    states: dict[str, State],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    write, words = WRONG[fault]
    folder = without_weights(sources[family], tmp_path / "trained")
    write(folder, states[family])
    with pytest.raises(HermesError, match=words) as caught:
        hermes.load_model(str(folder), "cpu")
    assert "\n" not in str(caught.value)
    assert "LOAD REPORT" not in capfd.readouterr().err


def test_shards_of_a_running_training_say_how_they_are_put_together(tmp_path: Path) -> None:
    (tmp_path / "global_step5").mkdir()
    (tmp_path / "global_step5" / "zero_pp_rank_0_mp_rank_00_optim_states.pt").write_bytes(b"x")
    with pytest.raises(HermesError, match=r"zero_to_fp32\.py"):
        read_tensors(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_pointer_of_git_lfs_is_named_as_what_it_is(tmp_path: Path, name: str) -> None:
    """Downloading it again in the same way would bring the same pointer."""
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n")
    with pytest.raises(HermesError, match="Git LFS's pointer to the weights; run `git lfs pull`"):
        read_tensors(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("family", ["showo", "janus", "llava"])
def test_weights_that_are_not_finite_are_refused(
    family: str, value: float, sources: dict[str, Path], states: dict[str, State], tmp_path: Path
) -> None:
    folder = without_weights(sources[family], tmp_path / "broken")
    state = {name: tensor.clone() for name, tensor in states[family].items()}
    broken = next(name for name in sorted(state) if name.endswith("layers.1.input_layernorm.weight"))
    state[broken].view(-1)[-1] = value
    save_file(state, folder / FILE[family], metadata={"format": "pt"})
    with pytest.raises(HermesError, match=r"layers\.1\.input_layernorm\.weight holds numbers that are not finite"):
        hermes.load_model(str(folder), "cpu")


@pytest.mark.parametrize("part", ["transformer", "tokenizer"])
def test_so_are_those_of_hermes_tiny(part: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TINY, tmp_path / "tiny"))
    state = {name: tensor.clone() for name, tensor in load_file(folder / f"{part}.safetensors").items()}
    state[max(state)].view(-1)[0] = float("nan")
    save_file(state, folder / f"{part}.safetensors")
    with pytest.raises(HermesError, match=rf"{part}\.safetensors: {max(state)} holds numbers that are not finite"):
        hermes.load_model(str(folder), "cpu")


def test_numbers_too_large_for_the_precision_are_not_finite_either(
    sources: dict[str, Path], states: dict[str, State], tmp_path: Path
) -> None:
    folder = without_weights(sources["showo"], tmp_path / "large")
    state = {name: tensor * (1e6 if "embed" in name else 1) for name, tensor in states["showo"].items()}
    save_file(state, folder / FILE["showo"])
    assert hermes.load_model(str(folder), "cpu", dtype="bfloat16")
    with pytest.raises(HermesError, match=r"embed_tokens\.weight holds numbers that are not finite"):
        hermes.load_model(str(folder), "cpu", dtype="float16")


def test_what_has_no_numbers_is_finite() -> None:
    tensors = {"empty": torch.empty(0), "whole": torch.arange(3), "apart": torch.empty(2, device="meta")}
    refuse_not_finite(tensors, "here")
    eight = torch.tensor([1.0, float("nan")]).to(torch.float8_e4m3fn)
    with pytest.raises(HermesError, match=r"^here: eight holds numbers"):
        refuse_not_finite(tensors | {"eight": eight}, "here")


@pytest.fixture
def output(sources: dict[str, Path], states: dict[str, State], tmp_path: Path) -> Path:
    """What accelerate leaves of a Show-o training: steps with unwrapped_model/ in them, all else beside the steps."""
    folder = tmp_path / "my-training"
    for step in (5, 40, 500):
        inner = folder / f"checkpoint-{step}" / "unwrapped_model"
        inner.mkdir(parents=True)
        shutil.copy(sources["showo"] / "config.json", inner)
        scaled = {name: tensor * (1 if step == 500 else 2) for name, tensor in states["showo"].items()}
        torch.save(scaled, inner / "pytorch_model.bin")
        (inner.parent / "optimizer.bin").write_bytes(bytes(10))
    for name in ("tokenizer", "magvitv2", "phi_config"):
        shutil.copytree(sources["showo"] / name, folder / name)
    return folder


class Said(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_the_newest_step_of_an_output_folder_is_read_and_named(output: Path, expected: dict[str, State]) -> None:
    from hermes.harness.run.loading import load_model

    said = Said()
    model: Any = load_model(str(output), "cpu", progress=said)
    assert all(torch.equal(model.network.state_dict()[n], tensor) for n, tensor in expected["showo"].items())
    assert f"{output}/checkpoint-500/unwrapped_model (checkpoint-500, the newest of 3 in {output})" in said.lines[0]
    assert model.info.name == "my-training-checkpoint-500"
    said.lines.clear()
    one: Any = load_model(f"showo:{output / 'checkpoint-500'}", "cpu", progress=said)
    assert (one.info.fingerprint, one.info.name) == (model.info.fingerprint, model.info.name)
    assert "the newest of" not in said.lines[0]
    other: Any = load_model(str(output / "checkpoint-40"), "cpu")
    assert other.info.fingerprint != model.info.fingerprint
    assert other.info.name == "my-training-checkpoint-40"


def test_a_finished_training_is_read_where_it_ended(output: Path, sources: dict[str, Path]) -> None:
    shutil.copy(sources["showo"] / "config.json", output)
    assert checkpoint_folder(output) == output / "checkpoint-500" / "unwrapped_model"
    shutil.copy(sources["showo"] / FILE["showo"], output)
    assert checkpoint_folder(output) == output


def test_weights_without_their_settings_are_one_line(output: Path) -> None:
    (output / "checkpoint-500" / "unwrapped_model" / "config.json").unlink()
    with pytest.raises(HermesError, match=r"checkpoint-500/unwrapped_model holds no config\.json beside pytorch_model"):
        hermes.load_model(str(output), "cpu")
    with pytest.raises(HermesError, match=r"holds no config\.json beside pytorch_model"):
        hermes.load_model(f"showo:{output}", "cpu")


def test_where_what_belongs_to_a_checkpoint_may_lie(tmp_path: Path) -> None:
    inner = tmp_path / "out" / "checkpoint-3" / "unwrapped_model"
    inner.mkdir(parents=True)
    assert around(inner) == [inner, inner.parent, tmp_path / "out", tmp_path]
    assert around(tmp_path / "plain") == [tmp_path / "plain", tmp_path]
