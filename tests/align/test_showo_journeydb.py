"""Show-o on JourneyDB's files by the command line: two rounds on one process and on two, and a kill in training."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_showo
import torch
from align_fake import pictures
from safetensors.torch import load_file
from torch import Tensor

import hermes
from hermes.harness.data.homologous.formats import read_items
from hermes.harness.models.showo.adapter import ShowO
from hermes.harness.system.disk import read_json

LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
DEFAULTS = ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")
SETTINGS = """
objective = "sum"
items = 8
n = 3
epochs = 1
batch_size = 2
micro_batch = 1
replay_batch = 2
checkpoint_every = 1
lr = 1e-3
bf16 = false
threshold = 0.0
pairing = "either"
similarity = "minilm"
critic = "theirs-coin"
judge = "theirs-coin"
caption_tokens = 8
eval_limit = 3
device = "cpu"
"""
KEYS = {"showo.model.embed_tokens.weight", "showo.model.layers.1.self_attn.q_proj.weight", "showo.lm_head.bias"}
NOISE = "k_layernorm.bias"
"""Half of it adds a constant to all that a softmax takes: its gradient is rounding, which AdamW scales up."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "show-o"
    folder.mkdir()
    return tiny_showo.make_checkpoint(folder)


def annotation(number: int) -> dict[str, Any]:
    """One line as JourneyDB has them; some entries of Task3 lack their answer."""
    colour, other = ("red", "blue") if number % 2 else ("blue", "red")
    return {
        "img_path": f"./{number % 3:03d}/picture-{number}.png",
        "prompt": f"a {colour} cat number {number} --v 5",
        "Task1": {"Style": [], "Content": []},
        "Task2": {"Caption": f"A {colour} cat sits on {number} boats."},
        "Task3": {
            "Content Relevant Questions and Answers": [
                {"Question": "Is there a cat?", "Options": {"A": "yes", "B": "no"}, "Answer": "A"},
                {"Question": f"Is it {other}?", "Options": {"A": "yes", "B": "no"}, "Answer": "B"},
                {"Question": f"Is it {colour}?", "Options": ["yes", "no"], "Answer": "yes"},
                {"Question": "Is it day?", "Options": {"A": "yes", "B": "no"}},
            ],
            "Style Relevant Questions and Answers": [
                {"Question": "Is it night?", "Options": {"A": "yes", "B": "no"}, "Answer": "B"}
            ],
        },
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train.jsonl of eight items and test.json of four, with their images in folders of parts, as in the archives."""
    folder = tmp_path_factory.mktemp("journeydb") / "data"
    images = [image.resize((40, 32)) for image in pictures(12, seed=5)]
    rows = [annotation(number) for number in range(12)]
    for row, image in zip(rows, images, strict=True):
        path = folder / "imgs" / row["img_path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        image.convert("RGB").save(path)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:8]))
    (folder / "test.json").write_text(json.dumps(rows[8:]))
    return folder


class Play:
    """A self-play of the model on the data in a folder of its own."""

    def __init__(self, folder: Path, model: Path, data: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, {**environment, "CUDA_VISIBLE_DEVICES": ""}
        self.config = folder.with_suffix(".toml")
        self.config.write_text(SETTINGS)
        self.arguments = ("-m", "hermes", "align", "--config", self.config, "--model", model, "--data", data)

    def begin(self, launcher: tuple[str, ...] = (), rounds: int = 2) -> "subprocess.Popen[str]":
        command = (sys.executable, *launcher, *self.arguments, "--rounds", rounds, "--out", self.folder, "--quiet")
        pipe = subprocess.PIPE
        return subprocess.Popen(tuple(map(str, command)), env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def finish(self, process: "subprocess.Popen[str]") -> None:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err[-4000:]

    def history(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "history.json").read_text())
        for entry in content["rounds"]:
            del entry["seconds"]
        return content

    def weights(self, number: int) -> dict[str, Tensor]:
        return load_file(self.folder / f"round-{number}" / "checkpoint" / "pytorch_model.safetensors")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, model: Path, data: Path, environment: dict[str, str]) -> Play:
    play = Play(tmp_path_factory.mktemp("alone") / "run", model, data, environment)
    play.finish(play.begin())
    return play


def figures(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """All that a history holds, by its place in it."""
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from figures(entry, f"{where}/{key}")
    else:
        yield where, value


def test_the_files_are_read_as_they_are(data: Path) -> None:
    train, test = read_items([data / "train.jsonl"]), read_items([data / "test.json"])
    assert [item.id for item in train] == [f"picture-{number}" for number in range(8)]
    assert [item.id for item in test] == [f"picture-{number}" for number in range(8, 12)]
    assert [len(item.questions or ()) for item in (*train, *test)] == [4] * 12
    assert all(Path(item.image).is_file() for item in (*train, *test))


@pytest.mark.slow
def test_both_sides_are_trained_in_both_rounds(alone: Play, model: Path) -> None:
    history = alone.history()
    assert [entry["round"] for entry in history["rounds"]] == [0, 1, 2]
    assert history["model"]["parameters"] > 0
    for entry in history["rounds"]:
        assert entry["u"]["n"] == entry["g"]["n"] == 3
        assert entry["gap"]["value"] == pytest.approx(entry["u"]["value"] - entry["g"]["value"])
    for entry in history["rounds"][1:]:
        assert 0 < entry["pairs"] <= 8
        assert entry["training"]["margin_und"] is not None
        assert entry["training"]["margin_gen"] is not None
    drawn = [json.loads(line) for line in (alone.folder / "round-1" / "candidates.jsonl").open()]
    assert {line["item_id"] for line in drawn} == {f"picture-{number}" for number in range(8)}
    before, first, second = load_file(model / "pytorch_model.safetensors"), alone.weights(1), alone.weights(2)
    for old, new in ((before, first), (first, second)):
        moved = max(float((old[name] - new[name]).abs().max()) for name in old)
        assert 1e-4 < moved < 0.1


@pytest.mark.slow
def test_the_checkpoint_has_the_published_keys_and_is_a_model(alone: Play, model: Path) -> None:
    published, saved = load_file(model / "pytorch_model.safetensors"), alone.weights(2)
    assert {name: t.shape for name, t in saved.items()} == {name: t.shape for name, t in published.items()}
    assert saved.keys() >= KEYS
    again = hermes.load_model(str(alone.folder / "round-2" / "checkpoint"), "cpu")
    assert isinstance(again, ShowO)
    state = again.transformer.state_dict()
    assert all(torch.equal(state[name.removeprefix("showo.")], value) for name, value in saved.items())
    assert again.info.fingerprint != hermes.load_model(str(model), "cpu").info.fingerprint


@pytest.mark.long
def test_two_processes_play_as_one(
    alone: Play, tmp_path: Path, model: Path, data: Path, environment: dict[str, str]
) -> None:
    play = Play(tmp_path / "run", model, data, environment)
    play.finish(play.begin((*LAUNCH, *DEFAULTS)))
    images = play.folder / read_json(play.folder / "round-1" / "drawn.json")["images"]
    shares = [images / f"responses.{rank}.jsonl" for rank in (0, 1)]
    assert [len(share.read_text().splitlines()) for share in shares] == [12, 12]
    found, expected = dict(figures(play.history())), dict(figures(alone.history()))
    assert found.keys() == expected.keys()
    for where, value in expected.items():
        if isinstance(value, float):
            assert math.isclose(found[where], value, rel_tol=1e-3, abs_tol=1e-4), where
        else:
            assert found[where] == value, where
    for number in (1, 2):
        ours, theirs = play.weights(number), alone.weights(number)
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            if not name.endswith(NOISE):
                torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5, msg=name)
