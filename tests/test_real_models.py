"""Checkpoints of real unified models, tiny and random: the benchmarks of their abilities, and a round of self-play."""

from pathlib import Path
from typing import Any

import pytest
import tiny_emu3
import tiny_janus
import tiny_mmada
import tiny_showo
import tiny_showo2
import tiny_vilau
import torch
from safetensors.torch import load_file

import hermes
from hermes.harness.models.detect import model_class
from hermes.harness.system.disk import read_json


@pytest.fixture(scope="module", params=["janus", "showo", "emu3", "mmada", "vilau", "showo2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny checkpoint of each model that can be aligned."""
    home = tmp_path_factory.mktemp("checkpoints") / f"tiny-{request.param}"
    make = {
        "janus": tiny_janus.save,
        "showo": tiny_showo.make_checkpoint,
        "emu3": tiny_emu3.save,
        "mmada": tiny_mmada.save,
        "vilau": tiny_vilau.save,
        "showo2": tiny_showo2.save,
    }[request.param]
    home.mkdir()
    return make(home)


def play(folder: Path, out: Path, **settings: Any) -> dict[str, Any]:
    """One round whose judge tosses coins, so that a random model's candidates differ."""
    wanted: dict[str, Any] = {
        "recipe": "none",
        "data": "shapes",
        "rounds": 1,
        "items": 4,
        "n": 3,
        "critic": "theirs-coin",
        "judge": "theirs-coin",
        "similarity": "minilm",
        "threshold": 0.0,
        "pairing": "either",
        "caption_tokens": 12,
        "eval_limit": 2,
        "epochs": 1,
        "batch_size": 2,
        "replay_batch": 2,
        "lr": 1e-3,
        "device": "cpu",
    }
    return hermes.align(model=str(folder), out=out, **wanted | settings)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """By name, with the folder of the part that they belong to."""
    files = sorted(folder.rglob("*.safetensors"))
    return {
        f"{path.parent.relative_to(folder)}/{name}": each for path in files for name, each in load_file(path).items()
    }


def test_a_folder_runs_every_benchmark(folder: Path, tmp_path: Path, command: Any) -> None:
    """`hermes eval --model FOLDER` finds the adapter, says what it found, and no request fails."""
    code, _, err = command(
        *("eval", "--model", folder, "--data", "shapes", "--limit", 1, "--device", "cpu", "--out", tmp_path / "run")
    )
    assert code == 0
    kind = model_class(str(folder)).__name__
    assert f"model: {kind} (understanding, generation) from {folder}, " in err
    assert "B of weights, cpu" in err
    results = read_json(tmp_path / "run" / "results.json")["results"]
    assert set(results) >= {"pope", "mme", "vqav2", "gqa", "mmmu", "flickr30k", "geneval", "dpg_bench"}
    assert {name: result["counts"].get("error", 0) for name, result in results.items()} == dict.fromkeys(results, 0)


def test_it_plays_a_round(folder: Path, tmp_path: Path, plugins: None) -> None:
    """The round trains on both sides, changes the weights, and its checkpoint is a model again."""
    content = play(folder, tmp_path)
    before, after = content["rounds"]
    assert after["pairs"] > 0
    assert after["training"]["margin_und"] is not None
    assert after["training"]["margin_gen"] is not None
    assert before["u"]["n"] == after["u"]["n"] > 0
    saved = tmp_path / "round-1" / "checkpoint"
    old, new = weights(folder), weights(saved)
    assert {name: tensor.shape for name, tensor in old.items()} == {name: tensor.shape for name, tensor in new.items()}
    assert any(not torch.equal(old[name], new[name]) for name in old)
    again = hermes.load_model(str(saved), "cpu")
    assert type(again) is model_class(str(folder))
    assert again.info.fingerprint != hermes.load_model(str(folder), "cpu").info.fingerprint
