"""The power fails at any moment: what is left on the disk can be gone on with, and comes to the same results."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from disk_image import after_cut
from PIL import Image
from power_commands import KINDS, Played, again, broken, moments, play, starts

from hermes.harness.run import judging
from hermes.harness.system import registry

EVAL = ("eval", "--model", "theirs", "--tasks", "theirs,theirs-drawing", "--limit", "3", "--batch-size", "3")
RUN = ("--device", "cpu", "--out", "run")
QUESTIONS = ("data", "questions", "--out", "run/questions.jsonl", "--batch-size", "2", "--device", "cpu")
COMMANDS = {
    "eval": (*EVAL, *RUN),
    "eval --fresh": (*EVAL, "--fresh", *RUN),
    "eval after a kill": (*EVAL, *RUN),
    "score": ("score", "--task", "theirs-drawing", *RUN),
    "questions": QUESTIONS,
}
ENDS = {name: "run/questions.jsonl" if name == "questions" else "run/results.json" for name in COMMANDS}
Play = Callable[[str], Played]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that somebody drew elsewhere, and the rows that they were drawn from."""
    home = tmp_path_factory.mktemp("files")
    colors = ("red", "green", "blue", "red")
    for number, color in enumerate(colors):
        Image.new("RGB", (8, 8), color).save(home / f"{number}.png")
    rows = [{"id": number, "color": color} for number, color in enumerate(colors)]
    answers = [{"id": number, "image": f"{number}.png"} for number, _ in enumerate(colors)]
    captions = [{"id": number, "caption": f"a photo of a {color} apple"} for number, color in enumerate(colors * 2)]
    for name, lines in (("rows", rows), ("answers", answers), ("captions", captions)):
        (home / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return home


@pytest.fixture(scope="module")
def played(site: Path, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """`played(name)`: one of the commands, recorded once. Their model draws pictures that all differ.

    --fresh starts over in a finished run, the command after a kill in what one left that died in its first answers.
    """
    known: dict[str, Played] = {}
    home = tmp_path_factory.mktemp("recorded")
    given = {
        "score": ("--data", str(files / "rows.jsonl"), "--responses", str(files / "answers.jsonl")),
        "questions": (str(files / "captions.jsonl"),),
    }

    def recorded(name: str) -> Played:
        if name not in known:
            command = COMMANDS[name] + given.get(name, ())
            before, until = None, 0
            if name in ("eval --fresh", "eval after a kill"):
                before = recorded("eval").recording
                first = [op.kind == "write" and "responses" in op.path for op in before.ops].index(True)
                until = first + 1 if name == "eval after a kill" else len(before.ops)
            known[name] = play(home / name.replace(" ", "-"), command, before, until)
        return known[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        registry._points.cache_clear()
        from theirs.model import TheirModel

        def generate(self: Any, requests: Sequence[Any]) -> list[Image.Image]:
            pictures = draw(self, requests)
            for picture, request in zip(pictures, requests, strict=True):
                picture.putpixel((7, 7), tuple(request.seed.to_bytes(8, "big")[-3:]))
            return pictures

        draw = TheirModel.generate
        patch.setattr(TheirModel, "generate", generate)
        patch.setattr(judging, "JUDGE_BATCH", 3)
        yield recorded
    registry._points.cache_clear()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_layer_sees_everything(played: Play, name: str) -> None:
    recording = played(name).recording
    assert recording.image.tree() == played(name).tree
    assert recording.native == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_has_ended_loses_nothing(played: Play, name: str) -> None:
    assert played(name).cut(len(played(name).recording.ops), "lost") == played(name).tree


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["eval", "eval after a kill", "score"])
def test_what_a_line_refers_to_is_there_whole(played: Play, name: str, kind: str) -> None:
    """At every single operation. What --fresh throws away may go in any order."""
    one = played(name)
    for point in one.points:
        assert list(broken(one.cut(point, kind), name != "score")) == [], point


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_command_comes_to_the_same(played: Play, name: str, kind: str, tmp_path: Path) -> None:
    """At a share of the moments for each kind, so that all kinds together have seen them all."""
    one = played(name)
    for point in moments(one)[list(KINDS).index(kind) :: len(KINDS)]:
        left = one.cut(point, kind)
        if (state := frozenset(left.items())) in one.tried:
            continue
        one.tried.add(state)
        tree = again(one, left, tmp_path / str(point))
        assert tree[ENDS[name]] == one.tree[ENDS[name]], point
        assert tree.keys() == one.tree.keys(), point
        if name in ("eval", "eval after a kill"):
            assert starts(tree) == starts(left) + 1, point


def test_fresh_can_be_given_again(played: Play, tmp_path: Path) -> None:
    """The spec, by which a run folder is known, is gone from the disk after all else."""
    one = played("eval --fresh")
    gone = [(op.kind, op.path) == ("gone", "run/spec.json") for op in one.recording.ops].index(True)
    for number, kind in enumerate(KINDS):
        tree = again(one, one.cut(gone + 1, kind), tmp_path / str(number))
        assert tree[ENDS["eval"]] == one.tree[ENDS["eval"]]
        assert tree.keys() == one.tree.keys()


@pytest.mark.parametrize(("name", "states"), {"eval": 60, "eval --fresh": 60, "score": 40, "questions": 7}.items())
def test_the_power_fails_often(played: Play, name: str, states: int) -> None:
    """So many different states of the disk does the test above go on from."""
    one, kinds = played(name), list(enumerate(KINDS))
    cuts = (one.cut(point, kind) for number, kind in kinds for point in moments(one)[number :: len(KINDS)])
    assert len({frozenset(left.items()) for left in cuts}) >= states


@pytest.mark.parametrize("what", ["files", "folders"])
def test_without_syncs_lines_refer_to_what_is_lost(played: Play, what: str) -> None:
    """The tests above can fail: were it not for the syncs of files, or of folders, they would."""
    ops, kinds = played("eval").recording.ops, played("eval").recording.kinds
    ops = [op for op in ops if op.kind != "sync" or kinds[op.node] != (what == "folders")]
    found = {
        line.split()[-1]
        for kind in KINDS
        for point in range(len(ops) + 1)
        for line in broken(after_cut(ops[:point], kinds, KINDS[kind](ops[:point])).tree())
    }
    assert "lost" in found if what == "folders" else found >= {"torn", "name"}
