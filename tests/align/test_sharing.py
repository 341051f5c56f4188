"""Self-plays under one root share answers by content: arms, other n, evaluations, and commands at the same time."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from align_fake import FakeModel
from test_selfplay import SETTINGS, lasting, play

from hermes.align.play.selfplay import align
from hermes.align.settings import AlignSettings
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.disk import locked, read_json
from hermes.harness.system.progress import Silent

pytestmark = pytest.mark.usefixtures("fake_model")

ITEMS, N, EVALUATED = SETTINGS["items"], SETTINGS["n"], SETTINGS["eval_limit"]
QUESTIONS = 18
"""Of the first EVALUATED items of the test split."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> "Counter[str]":
    """How many requests each ability of the model has been asked for."""
    found: Counter[str] = Counter()

    def watch(ability: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def counting(self: FakeModel, requests: Any) -> Any:
            found[ability] += len(requests)
            return real(self, requests)

        return counting

    for ability in ("understand", "generate"):
        monkeypatch.setattr(FakeModel, ability, watch(ability, getattr(FakeModel, ability)))
    return found


def taken(asked: "Counter[str]") -> dict[str, int]:
    """What has been asked since the last look."""
    found = dict(asked)
    asked.clear()
    return found


def test_arms_draw_once_what_comes_before_training(tmp_path: Path, asked: "Counter[str]") -> None:
    """With what another arm left, nothing is asked again before the first training, and nothing else changes."""
    alone = {name: play(tmp_path / name, objective=name) for name in ("sum", "coupled")}
    a_round = {"understand": ITEMS * N, "generate": ITEMS * N}
    an_evaluation = {"understand": QUESTIONS, "generate": EVALUATED}
    whole = {name: 2 * a_round[name] + 3 * an_evaluation[name] for name in a_round}
    assert taken(asked) == {name: 2 * count for name, count in whole.items()}
    root = tmp_path / "root"
    shared = {"sum": play(tmp_path / "first", objective="sum", runs=root)}
    assert taken(asked) == whole
    shared["coupled"] = play(tmp_path / "second", objective="coupled", runs=root)
    assert taken(asked) == {name: whole[name] - a_round[name] - an_evaluation[name] for name in whole}
    for name, folder in (("sum", "first"), ("coupled", "second")):
        assert lasting(tmp_path / folder) == lasting(tmp_path / name)
        assert [entry["gap"] for entry in shared[name]["rounds"]] == [e["gap"] for e in alone[name]["rounds"]]
    play(tmp_path / "third", objective="sum", runs=root)  # as the first arm, in a folder of its own
    assert taken(asked) == {}


def test_another_seed_has_other_stores_and_another_judge_the_same(tmp_path: Path, asked: "Counter[str]") -> None:
    root = tmp_path / "root"
    play(tmp_path / "first", rounds=1, runs=root)
    taken(asked)
    play(tmp_path / "second", rounds=1, runs=root, seed=1)
    assert taken(asked)["generate"] == ITEMS * N + 2 * EVALUATED
    assert len(list(root.glob("answers/*/candidate-images-*"))) == 2
    play(tmp_path / "third", rounds=1, runs=root, critic="self", confidence=False, pairing="either")
    critic = ITEMS * N * 6  # six questions about each picture, asked of the model itself
    assert taken(asked) == {"generate": EVALUATED, "understand": critic + QUESTIONS}
    assert len(list(root.glob("answers/*/candidate-images-*"))) == 2


def test_more_candidates_reuse_those_that_are_there(tmp_path: Path, asked: "Counter[str]") -> None:
    """Images are known by their index; of the captions the greedy one is the same for any n."""
    root = tmp_path / "root"
    play(tmp_path / "four", rounds=1, n=4)
    play(tmp_path / "few", rounds=1, n=2, runs=root)
    taken(asked)
    play(tmp_path / "more", rounds=1, n=4, runs=root)
    assert taken(asked) == {"generate": ITEMS * 2 + EVALUATED, "understand": ITEMS * 3 + QUESTIONS}
    files = [tmp_path / name / "round-1" / "candidates.jsonl" for name in ("more", "four")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("number", [0, 1])
def test_an_evaluation_and_hermes_eval_are_the_same_answers(tmp_path: Path, asked: "Counter[str]", number: int) -> None:
    """Whichever comes first asks; the other one finds all of it, and the numbers are the same."""
    root, run = tmp_path / "root", tmp_path / "run"
    play(run, rounds=1, runs=root)
    taken(asked)
    model = str(run / f"round-{number}" / "checkpoint") if number else "fake"
    wanted: dict[str, Any] = {"tasks": ("homologous-u", "homologous-g"), "limit": EVALUATED, "device": "cpu"}
    content = evaluate(EvalSettings(model=model, runs=root, **wanted))
    assert {name: (one.asked, one.reused) for name, one in content["drawn"].items()} == {
        "homologous-u": (0, QUESTIONS),
        "homologous-g": (0, EVALUATED),
    }
    assert taken(asked) == {}
    theirs = read_json(run / f"round-{number}" / "evaluation" / "results.json")
    ours = read_json(Path(content["folder"]) / "results.json")
    assert (ours["results"], ours["gap"]) == (theirs["results"], theirs["gap"])


def test_a_self_play_begins_with_what_hermes_eval_has_asked(tmp_path: Path, asked: "Counter[str]") -> None:
    root = tmp_path / "root"
    evaluate(EvalSettings(model="fake", tasks=("homologous-u", "homologous-g"), runs=root, limit=5, device="cpu"))
    taken(asked)
    play(tmp_path / "run", rounds=1, runs=root)
    assert taken(asked) == {"understand": ITEMS * N + QUESTIONS, "generate": ITEMS * N + EVALUATED}


@pytest.mark.parametrize("harm", ["flipped", "short", "missing"])
def test_a_damaged_picture_is_drawn_again_though_it_is_judged(tmp_path: Path, asked: "Counter[str]", harm: str) -> None:
    root = tmp_path / "root"
    play(tmp_path / "first", rounds=1, runs=root)
    before = (tmp_path / "first" / "round-1" / "candidates.jsonl").read_bytes()
    (media,) = root.glob("answers/*/candidate-images-*/media")
    victim = sorted(media.iterdir())[3]
    data = victim.read_bytes()
    victim.unlink()  # the first self-play has its own link to it
    if harm != "missing":
        victim.write_bytes(data[:-40] if harm == "short" else data[:60] + bytes([data[60] ^ 1]) + data[61:])
    taken(asked)
    play(tmp_path / "second", rounds=1, runs=root)
    assert taken(asked) == {"generate": 1}
    assert victim.read_bytes() == data
    assert (tmp_path / "second" / "round-1" / "candidates.jsonl").read_bytes() == before


def test_fresh_empties_the_self_play_and_not_what_others_share(tmp_path: Path, asked: "Counter[str]") -> None:
    root = tmp_path / "root"
    settings = AlignSettings.model_validate({**SETTINGS, "rounds": 1, "runs": root})
    folder = align(settings)["folder"]
    expected = (folder / "round-1" / "candidates.jsonl").read_bytes()
    assert folder.parent.parent == root
    (folder / "round-1" / "candidates.jsonl").write_text("")
    taken(asked)
    assert align(settings.model_copy(update={"fresh": True}))["folder"] == folder
    assert (folder / "round-1" / "candidates.jsonl").read_bytes() == expected
    assert taken(asked) == {}
    play(tmp_path / "run", rounds=1)
    taken(asked)
    play(tmp_path / "run", rounds=1, fresh=True)  # its answers are its own
    assert taken(asked)["generate"] == ITEMS * N + 2 * EVALUATED


class Heard(Silent):
    """Notes what is said."""

    def __init__(self) -> None:
        self.waits = threading.Event()

    def say(self, text: str) -> None:
        if "another command works with the same answers" in text:
            self.waits.set()


def test_a_self_play_waits_for_the_one_that_draws(tmp_path: Path, asked: "Counter[str]") -> None:
    root, heard = tmp_path / "root", Heard()
    play(tmp_path / "first", rounds=1, runs=root)
    (captions,) = root.glob("answers/*/candidate-captions-*")
    settings = AlignSettings.model_validate({**SETTINGS, "rounds": 1, "runs": root, "out": tmp_path / "second"})
    other = threading.Thread(target=align, args=(settings, heard))
    with locked(captions):
        other.start()
        assert heard.waits.wait(60)
        taken(asked)
        assert not (tmp_path / "second" / "round-1" / "candidates.jsonl").exists()
    other.join(60)
    assert taken(asked) == {}
    assert (tmp_path / "second" / "history.json").exists()


PLUGIN = """
import os, time
from pathlib import Path
from align_fake import FakeModel
HOME = Path({home!r})
class Slow(FakeModel):
    name = "fake"
    @classmethod
    def load(cls, reference, device):
        (HOME / f"ready-{{os.getpid()}}").touch()
        end = time.monotonic() + 60
        while len(list(HOME.glob("ready-*"))) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        return super().load(reference, device)
    def generate(self, requests):
        with (HOME / "drawn").open("a") as file:
            file.writelines(f"{{self.info.fingerprint}} {{one.key}}\\n" for one in requests)
        time.sleep(0.1)
        return super().generate(requests)
"""


def lines(path: Path) -> Iterator[str]:
    with path.open() as file:
        yield from (line.strip() for line in file)


def test_two_commands_at_the_same_time_draw_once(tmp_path: Path, environment: dict[str, str]) -> None:
    """Both begin together; each picture is drawn by one of them, and both end as they would alone."""
    alone = {name: play(tmp_path / f"alone-{name}", rounds=1, objective=name) for name in ("sum", "coupled")}
    home, root = tmp_path / "home", tmp_path / "root"
    home.mkdir()
    plugin = home / "slow.py"
    plugin.write_text(PLUGIN.format(home=str(home)))
    here = os.pathsep.join((str(Path(__file__).parent), environment["PYTHONPATH"]))
    config = home / "align.toml"
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in (SETTINGS | {"rounds": 1}).items()))
    commands = [
        (
            *(sys.executable, "-m", "hermes", "align", "--config", config, "--plugin", plugin, "--objective", name),
            *("--batch-draw", "4", "--runs", root, "--out", tmp_path / name),
        )
        for name in alone
    ]
    begun = [
        subprocess.Popen(tuple(map(str, command)), env=environment | {"PYTHONPATH": here}, stderr=subprocess.PIPE)
        for command in commands
    ]
    said = [process.communicate(timeout=240)[1].decode() for process in begun]
    assert [process.returncode for process in begun] == [0, 0], said
    assert any("waiting for it" in text for text in said)
    drawn = Counter(lines(home / "drawn"))
    assert set(drawn.values()) == {1}
    base, *trained = sorted(
        len(list(root.glob(f"answers/*/{kind}-*"))) for kind in ("candidate-images", "homologous-g")
    )
    assert (base, trained) == (1, [3])
    assert len(drawn) == ITEMS * N + 3 * EVALUATED
    for name in alone:
        for path in ("round-1/preferences.jsonl", "round-1/candidates.jsonl", "round-1/checkpoint/model.safetensors"):
            assert (tmp_path / name / path).read_bytes() == (tmp_path / f"alone-{name}" / path).read_bytes()
