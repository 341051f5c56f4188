"""The rows of docs/one-base.md on small checkpoints in the published layouts: Show-o and what methods made of it."""

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_showo
import torch
from harness.models.showo.test_showo_clip import CLIP_WIDTH, write_clip
from safetensors.torch import load_file, save_file

from hermes.align.play import recipes as of_align
from hermes.harness.run import recipes as of_eval

TASKS = ("pope", "mme", "vqav2", "gqa", "mmmu", "flickr30k", "geneval", "dpg_bench")
SHORT = """
rounds = 1
items = 4
n = 2
n_images = 2
steps = 1
batch_size = 2
micro_batch = 1
threshold = 0.0
pairing = "either"
similarity = "minilm"
critic = "oracle"
caption_tokens = 8
eval_limit = 1
"""
"""What makes the paper's recipe end in seconds; its other settings stay."""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder with all of them, named as on the hub."""
    root = tmp_path_factory.mktemp("one-base")
    base = root / "show-o-512x512"
    base.mkdir()
    tiny_showo.make_checkpoint(base)
    trained(base, root / "HermesFlow", {}, 1)
    trained(base, root / "UniRL", {"use_mod": True, "num_new_special_tokens": 10, "pretrained_model_path": "base"}, 2)
    (root / "Show-o-512x512-RecA").mkdir()
    reca = trained(base, root / "Show-o-512x512-RecA" / "checkpoint-5000" / "unwrapped_model", {"w_clip_vit": True}, 3)
    write_clip(reca / "clip")
    return root


def trained(base: Path, folder: Path, config: dict[str, Any], seed: int) -> Path:
    """The base with other weights: HermesFlow's and UniRL's in a pickle, RecA's in safetensors with a projector."""
    shutil.copytree(base, folder)
    generator = torch.Generator().manual_seed(seed)
    state = load_file(folder / "pytorch_model.safetensors")
    state = {name: weight + 0.1 * torch.randn(weight.shape, generator=generator) for name, weight in state.items()}
    if config.get("w_clip_vit"):
        for name, shape in (("0", (32, CLIP_WIDTH)), ("2", (32, 32))):
            state[f"mm_projector.{name}.weight"] = torch.randn(shape, generator=generator) * 0.1
            state[f"mm_projector.{name}.bias"] = torch.zeros(32)
        save_file(state, folder / "pytorch_model.safetensors")
    else:
        (folder / "pytorch_model.safetensors").unlink()
        torch.save(state, folder / "pytorch_model.bin")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | config))
    return folder


def test_the_recipe_asks_for_the_papers_eight() -> None:
    assert tuple(of_eval.SHELF.read(Path("one-base"))["tasks"]) == TASKS


def test_one_command_a_row_and_one_for_the_table(
    checkpoints: Path, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"

    def measure(folder: Path, name: str) -> None:
        said = command("eval", "--config", "one-base", "--model", str(folder), "--data", "shapes", "--limit", "1")
        assert said.code == 0, said.err
        (results,) = runs.glob(f"{name}/*/results.json")
        content = json.loads(results.read_text())
        assert tuple(content["results"]) == TASKS
        settings = content["model"]["defaults"]
        assert (settings["guidance_scale"], settings["steps"]) == (5.0, 50)

    names = ("show-o-512x512", "HermesFlow", "UniRL")
    for name in names:
        measure(checkpoints / name, name)
    measure(checkpoints / "Show-o-512x512-RecA", "Show-o-512x512-RecA-checkpoint-5000")
    base = str(checkpoints / "show-o-512x512")
    short = tomllib.loads(SHORT)
    paper = of_align.SHELF.shipped("paper").read_text().splitlines()
    kept = [line for line in paper if line.partition(" ")[0] not in short]
    (tmp_path / "short.toml").write_text("\n".join([*kept, SHORT]))
    said = command("align", "--config", "short.toml", "--model", base, "--data", "shapes", "--judge", "oracle")
    assert said.code == 0, said.err
    (played,) = runs.glob("show-o-512x512/align-*/round-1/checkpoint")
    row = ("--data", "shapes", "--limit", "1", "--label", "Hermes")
    said = command("eval", "--config", "one-base", "--model", str(played), *row)
    assert said.code == 0, said.err

    table = command("leaderboard", str(runs), "--deltas", "--intervals", "--base", "show-o-512x512")
    assert table.code == 0, table.err
    for name in (*names, "Show-o-512x512-RecA-checkpoint-5000", "Hermes"):
        assert f"| {name} | 0.000" in table.out
