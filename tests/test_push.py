"""`hermes push`: a checkpoint reaches the hub with its card and loads from there; all else is one line, at once."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import TOKEN, Hub, serving
from huggingface_hub import ModelCard, constants

import hermes
from hermes.harness.models.tiny.adapter import TinyModel

Command = Callable[..., Any]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The hub of this process, with an empty cache; Xet, which stores elsewhere, is off as HF_HUB_DISABLE_XET does."""
    with serving() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.endpoint)
        resolve = found.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", resolve)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of hermes-tiny with a card, and what is not to be uploaded beside it."""
    folder = tmp_path_factory.mktemp("run") / "round-1" / "checkpoint"
    TinyModel.load().save(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# mine\n")
    (folder / ".README.md.77.part").write_text("half")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_text("x")
    return folder


FILES = {"README.md", "config.json", "tokenizer.safetensors", "transformer.safetensors", "vocabulary.json"}


def test_a_checkpoint_and_its_card_reach_the_hub_and_load_from_there(command: Command, hub: Hub, made: Path) -> None:
    code, out, err = command("push", made, "me/tiny", "--private")
    total = sum((made / name).stat().st_size for name in FILES) / 1e6
    assert err.startswith(f"push: 5 files, {total:.1f} MB, to me/tiny (private) on {hub.endpoint}: README.md (")
    found = hub.repositories["me/tiny"]
    assert (code, out) == (0, f"pushed: {hub.endpoint}/me/tiny/commit/{found.commit_of('main')}\n")
    assert found.branches["main"] == {name: (made / name).read_bytes() for name in FILES}
    assert (found.private, found.messages) == (True, ["Checkpoint checkpoint, pushed by Hermes"])
    assert ModelCard.load("me/tiny").data.license == "mit"
    there = hermes.load_model("me/tiny", "cpu")
    assert there.info.fingerprint == hermes.load_model(str(made), "cpu").info.fingerprint


def test_a_branch_is_made_where_there_is_none_and_pushed_to_again(command: Command, hub: Hub, made: Path) -> None:
    for _ in range(2):
        assert command("push", made, "me/tiny", "--revision", "round-1").code == 0
    found = hub.repositories["me/tiny"]
    assert found.private is False
    assert (set(found.branches["round-1"]), found.branches["main"]) == (FILES, {})


def test_the_environment_says_which_hub_and_as_whom(
    environment: dict[str, str], python: Command, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as hub:
        told = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path)}
        for name, value in told.items():
            monkeypatch.setitem(environment, name, value)
        found = python("-m", "hermes", "push", made, "me/tiny", "-q")
        assert (found.returncode, found.stderr) == (0, "")
        assert set(hub.repositories["me/tiny"].branches["main"]) == FILES


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: shutil.rmtree(folder), "is not a folder"),
        (lambda folder: (folder / "config.json").unlink(), r"holds no config\.json beside \w+\.safetensors"),
        (lambda folder: [path.unlink() for path in folder.glob("*.safetensors")], "holds no weights"),
    ],
)
def test_what_is_no_checkpoint_is_refused_before_the_hub_is_asked(
    command: Command, hub: Hub, made: Path, tmp_path: Path, change: Callable[[Path], Any], words: str
) -> None:
    shutil.copytree(made, tmp_path / "mine")
    change(tmp_path / "mine")
    refused(command("push", tmp_path / "mine", "me/tiny"), words)
    assert hub.asked == []


def test_a_self_play_is_refused_and_its_last_checkpoint_named(command: Command, hub: Hub, made: Path) -> None:
    refused(command("push", made.parents[1], "me/tiny"), f"holds a self-play; give {made}$")
    assert hub.asked == []


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "me/ti ny", "https://huggingface.co/me/tiny"])
def test_a_name_that_the_hub_does_not_have_is_refused(command: Command, hub: Hub, made: Path, name: str) -> None:
    refused(command("push", made, name), "is no name of the hub; give OWNER/NAME")
    assert hub.asked == []


def test_a_token_that_is_missing_unknown_or_too_weak_is_said(
    command: Command, hub: Hub, made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused(command("push", made, "you/tiny"), r"may not write to you/tiny \(.*rights to create a model under you")
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    refused(command("push", made, "me/tiny"), "does not accept the token .*; set HF_TOKEN or run `hf auth login`")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    hub.asked.clear()
    refused(command("push", made, "me/tiny"), "there is no token")
    assert (hub.asked, hub.repositories) == ([], {})


def test_private_weights_do_not_go_to_a_public_repository(command: Command, hub: Hub, made: Path) -> None:
    command("push", made, "me/tiny")
    before = list(hub.repositories["me/tiny"].messages)
    refused(command("push", made, "me/tiny", "--private"), "me/tiny is there and public")
    assert hub.repositories["me/tiny"].messages == before


def test_a_hub_that_is_away_is_one_line_at_once(
    command: Command, hub: Hub, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    begin = time.monotonic()
    refused(command("push", made, "me/tiny"), r"http://127\.0\.0\.1:9 cannot be reached \(.*; check the network")
    assert time.monotonic() - begin < 5


def refused(said: Any, words: str) -> None:
    """The command failed with one line that says this, after the line on what it wanted to upload if it came so far."""
    lines = said.err.splitlines()
    assert (said.code, said.out) == (2, "")
    assert lines[-1].startswith("hermes: ")
    assert all(line.startswith("push: ") for line in lines[:-1])
    assert len(lines) <= 2
    assert re.search(words, lines[-1]), lines[-1]
