"""The power fails while `hermes align` plays a round: the same command ends where an undisturbed one does."""

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from disk_image import Tree
from power_commands import KINDS, Played, again, broken, play

SETTINGS = """
model = "hermes-tiny"
rounds = 1
items = 3
n = 2
epochs = 1
batch_size = 2
threshold = 0.0
pairing = "either"
replay_batch = 2
checkpoint_every = 1
eval_limit = 1
lora_rank = 2
device = "cpu"
"""
# What is done to which file just before the power fails, and what is left of that which nothing waited for.
CUTS = (
    ("write run/answers/*/candidate-images-*/judgements/*/judgements.0.jsonl", "torn"),
    ("move run/round-1/candidates.jsonl", "lost"),
    ("name run/media/*", "mixed"),
    ("move run/round-1/preferences.jsonl", "names without data"),
    ("move run/round-1/training/states/1", "killed"),
    ("move run/round-1/training/adapter", "zeros"),
    ("write run/round-1/checkpoint.part/*", "torn"),
    ("move run/round-1/checkpoint", "lost"),
    ("move run/round-1/evaluation/results.json", "holed"),
    ("move run/round-1/round.json", "mixed otherwise"),
)
WEIGHTS = ("run/round-1/checkpoint/*.safetensors", "run/round-1/training/adapter/*.safetensors")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    home = tmp_path_factory.mktemp("align")
    (home / "align.toml").write_text(SETTINGS)
    return play(home / "whole", ("align", "--config", str(home / "align.toml"), "--out", "run"))


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key != "seconds"}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def outcome(tree: Tree) -> dict[str, Any]:
    """All that a self-play leaves but times: its history, the weights and the results of both evaluations."""
    same = [path for path in tree if fnmatch(path, "*/results.json") or any(fnmatch(path, name) for name in WEIGHTS)]
    history = json.loads(tree["run/history.json"] or b"")
    return {"history": without_times(history), **{path: tree[path] for path in same}}


def test_the_layer_sees_everything(played: Played) -> None:
    assert played.recording.image.tree() == played.tree
    native = set(played.recording.native)
    assert {path.rpartition("/")[0] for path in native} == {
        "run/round-1/checkpoint.part",
        "run/round-1/training/adapter.part",
    }
    assert all(path.endswith(".safetensors") for path in native)


def test_a_self_play_that_has_ended_loses_nothing(played: Played) -> None:
    assert played.cut(len(played.recording.ops), "lost") == played.tree
    assert not any("/states/" in path for path in played.tree)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_line_refers_to_is_there_whole(played: Played, kind: str) -> None:
    for point in played.points[list(KINDS).index(kind) % 3 :: 3]:
        assert list(broken(played.cut(point, kind))) == [], point


@pytest.mark.parametrize(("operation", "kind"), CUTS)
def test_the_same_command_comes_to_the_same(played: Played, operation: str, kind: str, tmp_path: Path) -> None:
    done = [fnmatch(f"{op.kind} {op.path}", operation) for op in played.recording.ops]
    tree = again(played, played.cut(done.index(True) + 1, kind), tmp_path / "left")
    assert outcome(tree) == outcome(played.tree)
    assert tree.keys() == played.tree.keys()
