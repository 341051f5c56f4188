"""What of a self-play is still to do, as a dry run and the plan of its stages say, and which one a dry run finds."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from align_fake import FakeModel

import hermes
from hermes import terminal
from hermes.align.play.forecast import PlayForecast, forecast
from hermes.align.play.selfplay import align
from hermes.align.settings import AlignSettings
from hermes.harness.system.pace import Pace, Stage
from hermes.harness.system.progress import Silent

SETTINGS: dict[str, Any] = {
    **{"rounds": 1, "items": 6, "n": 3, "similarity": "facts", "critic": "oracle", "threshold": 0.2, "steps": 1},
    **{"batch_size": 2, "replay": 0, "eval_limit": 2, "device": "cpu"},
}

pytestmark = pytest.mark.usefixtures("fake_model")


def coming(model: Path, runs: Path, **changes: Any) -> PlayForecast:
    return forecast(AlignSettings.model_validate({**SETTINGS, "model": str(model), "runs": runs, **changes}))


def test_the_self_play_of_a_model_that_was_in_memory_is_found_where_it_was_loaded_alike(tmp_path: Path) -> None:
    played = hermes.align(FakeModel(), runs=tmp_path, progress=False, **SETTINGS)
    (saved,) = (tmp_path / "models").iterdir()
    found = coming(saved, tmp_path)
    assert (found.folder, [one.missing for one in found.rounds]) == (played.folder, [(), ()])
    assert coming(saved, tmp_path, dtype="auto").folder is None
    (path,) = tmp_path.glob("*/align-*/round-0/evaluation/environment.jsonl")
    start = json.loads(path.read_text().splitlines()[0])
    del start["handed_in"]
    start["settings"]["dtype"] = "auto"
    path.write_text(json.dumps(start) + "\n")  # as an older version left it
    assert coming(saved, tmp_path).folder == played.folder


class Paced(Silent):
    """Notes each stage that begins, and how many stages there were thought to be."""

    def __init__(self) -> None:
        self.pace, self.begun = Pace(), list[tuple[str, int]]()

    def plan(self, stages: Sequence[Stage]) -> None:
        self.pace.plan(stages)

    def start(self, label: str, total: int, done: int = 0) -> None:
        self.pace.start(label, total, done)
        self.begun.append((label, self.pace.stages))


def played(folder: Path, **changes: Any) -> Paced:
    """A self-play from what is there to its end."""
    progress = Paced()
    align(AlignSettings.model_validate({**SETTINGS, "model": "fake", "out": folder, **changes}), progress)
    return progress


EVALUATED = ["homologous-u", "homologous-g", "judge homologous-g"]
ROUND = [
    "captions",
    "images",
    "critic",
    "confidence",
    "similarity (facts)",
    "preferences",
    "prepare pairs",
    "train (sum)",
]


def test_the_plan_holds_every_stage_of_every_round(tmp_path: Path) -> None:
    first = played(tmp_path / "run", patience=2)
    assert [label.partition(", ")[0] for label, _ in first.begun] == [*EVALUATED * 2, *ROUND, *EVALUATED * 2]
    assert {stages for _, stages in first.begun[len(EVALUATED) :]} == {first.pace.number} == {20}
    for path in ("round.json", "evaluation", "validation"):
        remove(tmp_path / "run" / "round-1" / path)
    remove(tmp_path / "run" / "round-0" / "validation")
    again = played(tmp_path / "run", patience=2)
    assert [label for label, _ in again.begun if label != "homologous-u"] == EVALUATED[1:] * 3
    assert again.begun[-1][1] == again.pace.number == 9


EITHER = {"pairing": "either"}
CAPTIONS, IMAGES = ["captions", "similarity (facts)"], ["images", "critic", "confidence"]
RIGHT_ANSWERS = {"und_pairs": "answers", "side_loss": "sft"}


@pytest.mark.parametrize(
    ("changes", "drawn"),
    [
        ({"objective": "gen", **EITHER}, IMAGES),
        ({"objective": "und", **EITHER}, CAPTIONS),
        ({"objective": "gen", "pairing": "both"}, CAPTIONS + IMAGES),
        ({"objective": "und", "pairing": "both"}, CAPTIONS + IMAGES),
        ({"objective": "sum", **EITHER}, CAPTIONS + IMAGES),
        ({"objective": "gen", "und_pairs": "both", **EITHER}, IMAGES),
        ({"objective": "und", **RIGHT_ANSWERS, **EITHER}, []),
        ({"objective": "und", "und_pairs": "own-answers", "side_loss": "sft", **EITHER}, IMAGES),
        ({"objective": "gen", "gen_pairs": "own-captions", "side_loss": "sft", **EITHER}, CAPTIONS),
        ({"gen_pairs": "own-captions", **RIGHT_ANSWERS}, CAPTIONS),
    ],
)
def test_what_no_pair_needs_is_neither_planned_nor_drawn(
    changes: dict[str, Any], drawn: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = coming(Path("fake"), tmp_path, **changes)
    assert (found.captions > 0, found.images > 0) == ("captions" in drawn, "images" in drawn)
    terminal.show(terminal.align_forecast(found))
    said = " ".join(capsys.readouterr().out.split())
    parts = ["18 captions"] * ("captions" in drawn) + ["18 images, judged by oracle"] * ("images" in drawn)
    assert f"a round: {', '.join(['6 items of shapes', *parts])}; " in said
    work = [one.name for one in coming(Path("hermes-tiny"), tmp_path, **changes, critic="self").work.phases]
    assert set(work[:-2]) == {one.partition(" ")[0] for one in drawn} - {"confidence"}
    progress = played(tmp_path / "run", **changes)
    labels = [label.partition(", ")[0] for label, _ in progress.begun]
    assert sorted(labels[len(EVALUATED) : labels.index("preferences")]) == sorted(drawn)
    assert progress.pace.number == progress.pace.stages
    (_, entry) = json.loads((tmp_path / "run" / "history.json").read_text())["rounds"]
    assert entry["pairs"] > 0
    if drawn != CAPTIONS + IMAGES and "own-answers" not in changes.values() and "objective" in changes:
        other = "und" if changes["objective"] == "gen" else "gen"
        assert entry[f"margin_{other}"] is None
        assert not [reason for reason in entry["drops"] if reason.startswith(other)]


def test_a_self_play_that_ends_early_has_nothing_to_come(tmp_path: Path) -> None:
    ended = played(tmp_path / "run", rounds=4, patience=1)
    last = len(list((tmp_path / "run").glob("round-*"))) - 1
    assert last < 4
    assert (ended.pace.number, ended.pace.whole) == (ended.pace.stages, True)
    assert phases(tmp_path, out=tmp_path / "run", rounds=4, patience=1) == [()] * (last + 1)
    assert len(phases(tmp_path, out=tmp_path / "run", rounds=4)) == 5


def test_the_phases_of_a_dry_run_are_those_of_the_self_play(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.json"
    pairs.write_text("[]")
    later = ("candidates", "preferences", "training", "evaluation")
    assert phases(tmp_path, rounds=2) == [("evaluation",), later, later]
    assert phases(tmp_path, rounds=2, pairs=pairs) == [("evaluation",), later[1:], later]
    assert phases(tmp_path, patience=1) == [("evaluation", "validation"), (*later, "validation")]
    played(tmp_path / "run")
    assert phases(tmp_path, out=tmp_path / "run") == [(), ()]
    assert phases(tmp_path, out=tmp_path / "run", patience=1) == [("validation",)] * 2


def phases(runs: Path, **changes: Any) -> list[tuple[str, ...]]:
    return [one.missing for one in coming(Path("fake"), runs, **changes).rounds]


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
