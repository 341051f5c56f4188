"""Self-play end to end on a fake model: what is written, resuming after a kill anywhere, and the control arm."""

import json
import os
import shutil
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from align_fake import FakeModel

from hermes.align.pairs.exchange import write_pairs
from hermes.align.pairs.preferences import Candidate, Preference, read_records
from hermes.align.play import measuring
from hermes.align.play.selfplay import align
from hermes.align.settings import AlignSettings
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import leaderboard

SETTINGS: dict[str, Any] = {
    "model": "fake",
    "rounds": 2,
    "items": 6,
    "n": 3,
    "similarity": "facts",
    "critic": "oracle",
    "threshold": 0.2,
    "epochs": 2,
    "batch_size": 2,
    "replay_batch": 4,
    "checkpoint_every": 1,
    "eval_limit": 3,
    "device": "cpu",
}


pytestmark = pytest.mark.usefixtures("fake_model")


def play(folder: Path, **changes: Any) -> dict[str, Any]:
    return align(AlignSettings.model_validate({**SETTINGS, "out": folder, **changes}))


def lasting(folder: Path) -> dict[str, Any]:
    """All that must not depend on interruptions: history without times, preferences, logs, weights, cards, scores."""
    history = json.loads((folder / "history.json").read_text())
    for entry in history["rounds"]:
        del entry["seconds"]
    files = [
        *folder.glob("round-*/candidates.jsonl"),
        *folder.glob("round-*/preferences.jsonl"),
        *folder.glob("round-*/training/train.jsonl"),
        *folder.glob("round-*/checkpoint/model.safetensors"),
        *folder.glob("round-*/checkpoint/README.md"),
        *folder.glob("round-*/evaluation/results.json"),
    ]
    assert len(files) == 3 + 5 * 2
    return {"history": history} | {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_history_holds_every_round(tmp_path: Path) -> None:
    history = play(tmp_path / "run", eval_guidance=1.5)
    assert [entry["round"] for entry in history["rounds"]] == [0, 1, 2]
    assert history["folder"] == tmp_path / "run"
    base, first, _ = history["rounds"]
    for entry in history["rounds"]:
        assert entry["gap"]["value"] == pytest.approx(entry["u"]["value"] - entry["g"]["value"])
        assert entry["g_guided"] is not None
    assert (base["pairs"], base["loss"], base["drops"]) == (0, None, {})
    kept = read_records(tmp_path / "run" / "round-1" / "preferences.jsonl", Preference)
    assert first["pairs"] == len(kept) > 0
    assert set(first["seconds"]) == {"candidates", "preferences", "training", "evaluation"}
    assert not list((tmp_path / "run").glob("**/states"))
    gallery = (tmp_path / "run" / "round-1" / "pairs.html").read_text()
    assert all(escape(preference.caption) in gallery for preference in kept)


def test_a_round_draws_from_the_model_of_the_round_before(tmp_path: Path) -> None:
    play(tmp_path / "run")
    drew, evaluated = [], []
    for number in (1, 2):
        store = tmp_path / "run" / json.loads((tmp_path / f"run/round-{number}/drawn.json").read_text())["images"]
        drew.append(json.loads((store / "spec.json").read_text())["model"]["fingerprint"])
        before = (tmp_path / f"run/round-{number - 1}/evaluation/spec.json").read_text()
        evaluated.append(json.loads(before)["model"]["fingerprint"])
    assert drew == evaluated
    assert drew[0] != drew[1]


def test_g_under_guidance_has_the_name_of_its_task_everywhere(tmp_path: Path) -> None:
    play(tmp_path / "a", rounds=1, eval_guidance=1.5)
    text = (tmp_path / "a" / "report.md").read_text() + leaderboard([tmp_path])
    assert "| precision | weights in float32, training in " in text
    tables = [line for line in text.splitlines() if "| Gap (U - G) |" in line]
    assert len(tables) == 4  # of the report: rounds, models and their differences; of the leaderboard: rounds
    assert all("G (guidance scale 1.5)" in line for line in tables)
    assert "guided" not in text


def test_a_second_call_does_nothing_and_more_rounds_go_on(tmp_path: Path) -> None:
    first = play(tmp_path / "run", rounds=1)
    stamp = (tmp_path / "run" / "round-1" / "round.json").stat().st_mtime_ns
    assert play(tmp_path / "run", rounds=1) == first
    more = play(tmp_path / "run", rounds=2)
    assert more["rounds"][:2] == first["rounds"]
    assert len(more["rounds"]) == 3
    assert (tmp_path / "run" / "round-1" / "round.json").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("name", ["replace", "fsync"])
def test_a_kill_at_any_write_changes_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole files come by `os.replace`; journals, pictures and folders are on the disk after an `os.fsync`."""
    real = getattr(os, name)
    writes = 0

    def counting(*arguments: Any) -> None:
        nonlocal writes
        writes += 1
        if writes == stop_at:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(os, name, counting)
    stop_at = 0
    play(tmp_path / "whole")
    expected, total = lasting(tmp_path / "whole"), writes
    for number, stop in enumerate(range(1, total, max(1, total // 5))):
        folder = tmp_path / f"killed-{number}"
        writes, stop_at = 0, stop
        with pytest.raises(KeyboardInterrupt):
            play(folder)
        stop_at = 0
        play(folder)
        assert lasting(folder) == expected, f"killed at write {stop} of {total}"
        assert not list(folder.rglob("*.part"))
        assert not list(folder.glob("**/states"))
        assert len(list(folder.glob("round-*/evaluation/report.html"))) == 3


def test_images_carry_the_models_confidence_and_captions_do_not(tmp_path: Path) -> None:
    play(tmp_path / "with", rounds=1)
    play(tmp_path / "without", rounds=1, confidence=False)
    for name, nothing in (("with", {"und": True, "gen": False}), ("without", {"und": True, "gen": True})):
        found = read_records(tmp_path / name / "round-1" / "candidates.jsonl", Candidate)
        assert {one.side: one.confidence is None for one in found} == nothing


def test_the_control_arm_trains_without_preferences(tmp_path: Path) -> None:
    history = play(tmp_path / "run", objective="replay", rounds=1)
    entry = history["rounds"][1]
    assert entry["pairs"] > 0
    assert entry["margin_und"] is None
    assert entry["training"]["replay"] is not None


@pytest.mark.parametrize(("replay", "texts"), [(0.0, 4), (0.3, 2)])
def test_a_step_holds_texts_alone_and_as_many_as_it_replays(tmp_path: Path, replay: float, texts: int) -> None:
    play(tmp_path / "run", hold=1.0, replay=replay, rounds=1)
    lines = (tmp_path / "run" / "round-1" / "training" / "train.jsonl").read_text().splitlines()
    assert {(line["items"], line["texts"]) for line in map(json.loads, lines)} == {(4, texts)}


def test_fresh_items_differ_from_round_to_round(tmp_path: Path) -> None:
    play(tmp_path / "run", fresh_items=True)
    ids = [
        {json.loads(line)["item_id"] for line in (tmp_path / "run" / f"round-{r}" / "candidates.jsonl").open()}
        for r in (1, 2)
    ]
    assert ids[0].isdisjoint(ids[1])


def test_rules_see_the_candidates_of_earlier_rounds(tmp_path: Path) -> None:
    play(tmp_path / "run", rule="paper", threshold=0.0)
    kept = read_records(tmp_path / "run" / "round-2" / "preferences.jsonl", Preference)
    rounds = {c.round for p in kept for duel in (p.und, p.gen) if duel for c in (duel.winner, duel.loser)}
    assert rounds == {1, 2}


def test_a_folder_of_other_settings_is_refused_and_fresh_starts_over(tmp_path: Path) -> None:
    play(tmp_path / "run", rounds=1)
    with pytest.raises(HermesError, match="another run"):
        play(tmp_path / "run", rounds=1, seed=1)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert play(tmp_path / "run", rounds=1, seed=1, fresh=True)["seed"] == 1
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert len(list((tmp_path / "run" / "answers").glob("*/candidate-images-*"))) == 1


def test_another_version_of_the_adapter_is_another_self_play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(tmp_path / "run", rounds=1)
    monkeypatch.setattr(FakeModel, "version", "2", raising=False)
    with pytest.raises(HermesError, match=r"another run \(model\.code '1' there, '2' here\)"):
        play(tmp_path / "run", rounds=1)


def test_a_folder_of_an_older_version_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "spec.json").write_text('{"schema": 1, "model": "abc", "settings": {}}')
    with pytest.raises(HermesError, match=r"older version \(schema 1\); give another --out$"):
        play(tmp_path / "run")


def test_a_model_that_cannot_be_trained_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeModel, "alignable", False)
    with pytest.raises(HermesError, match="cannot be trained"):
        play(tmp_path / "run")


def test_a_model_without_a_likelihood_of_pictures_trains_on_captions_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeModel, "likelihoods", ("text",), raising=False)
    kinds, prepare = set(), FakeModel.prepare

    def noted(model: FakeModel, items: Any) -> Any:
        kinds.update(item.kind for item in items)
        return prepare(model, items)

    monkeypatch.setattr(FakeModel, "prepare", noted)
    with pytest.raises(HermesError, match=r"no likelihood of pictures, which --objective sum needs; give .* und$"):
        play(tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    history = play(tmp_path / "run", objective="und", rounds=1)
    assert history["rounds"][1]["pairs"] > 0
    assert kinds == {"text"}
    home = tmp_path / "run" / "round-1"
    assert {one.side for one in read_records(home / "candidates.jsonl", Candidate)} == {"und"}
    assert not list((tmp_path / "run" / "answers").glob("*/candidate-images-*/media/*"))


def test_pictures_of_given_pairs_are_left_out_where_they_have_no_likelihood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(tmp_path / "both", rounds=1)
    kept = read_records(tmp_path / "both" / "round-1" / "preferences.jsonl", Preference)
    write_pairs(kept, tmp_path / "both" / "media", tmp_path / "pairs.json")
    monkeypatch.setattr(FakeModel, "likelihoods", ("text",), raising=False)
    play(tmp_path / "run", rounds=1, objective="und", pairs=tmp_path / "pairs.json")
    home = tmp_path / "run" / "round-1"
    found = read_records(home / "preferences.jsonl", Preference)
    assert [one.item_id for one in found] == [one.item_id for one in kept]
    assert all(one.und and one.gen is None for one in found)
    assert json.loads((home / "drops.json").read_text())["gen: no likelihood"] == len(kept)


def test_rules_need_no_store_of_an_earlier_round(tmp_path: Path) -> None:
    """All that later rounds may compare with lies in the self-play's own folder, even what gave no pair so far."""
    changes: dict[str, Any] = {"rule": "paper", "threshold": 0.34, "pairing": "either", "items": 16, "n": 2}
    play(tmp_path / "whole", **changes)
    play(tmp_path / "robbed", **changes, rounds=1)
    for store in (tmp_path / "robbed" / "answers").glob("*/candidate-images-*"):
        shutil.rmtree(store)
    play(tmp_path / "robbed", **changes)
    assert lasting(tmp_path / "robbed") == lasting(tmp_path / "whole")
    drawn = []
    for number in (1, 2):
        kept = read_records(tmp_path / "robbed" / f"round-{number}" / "preferences.jsonl", Preference)
        duels = [preference.gen for preference in kept if preference.gen]
        drawn.append({one.image for duel in duels for one in (duel.winner, duel.loser) if one.round == 1})
    assert drawn[1] - drawn[0]


def test_patience_ends_a_self_play_that_no_longer_gains(tmp_path: Path) -> None:
    whole = play(tmp_path / "whole", rounds=4)
    ended = play(tmp_path / "ended", rounds=4, patience=1)
    gaps = []
    for number in range(len(ended["rounds"])):
        results = json.loads((tmp_path / "ended" / f"round-{number}" / "validation" / "results.json").read_text())
        gaps.append(abs(results["gap"]["homologous"]["gap"]["value"]))
    # Each round before the last was nearer to 0 than all before it; the last was not, or it was the last one wanted.
    assert all(gaps[k] < min(gaps[:k]) for k in range(1, len(gaps) - 1))
    assert len(gaps) == 5 or gaps[-1] >= min(gaps[:-1])
    assert len(ended["rounds"]) < len(whole["rounds"])
    again = play(tmp_path / "ended", rounds=4, patience=1)
    assert [entry["round"] for entry in again["rounds"]] == [entry["round"] for entry in ended["rounds"]]


@pytest.mark.parametrize(
    ("gaps", "patience", "last"),
    [
        ((0.4, 0.3, 0.2, 0.1), 1, None),
        ((0.4, 0.4, 0.1), 1, 1),
        ((0.4, 0.5, 0.3, 0.3, 0.3, 0.1), 2, 4),
        ((0.1, 0.3, 0.2, 0.0), 2, 2),
        ((0.1, 0.2, 0.3), 0, None),
        ((-0.4, -0.3, -0.1), 1, None),
        ((-0.1, -0.2, -0.3), 2, 2),
        ((0.1, -0.05, -0.2, -0.3), 2, 3),
        ((-0.2, 0.2, 0.1), 1, 1),
    ],
)
def test_patience_counts_rounds_since_the_gap_nearest_to_0(
    monkeypatch: pytest.MonkeyPatch, gaps: tuple[float, ...], patience: int, last: int | None
) -> None:
    game: Any = SimpleNamespace(settings=AlignSettings(patience=patience))
    monkeypatch.setattr(measuring, "_validation_gap", lambda game, number: gaps[number])
    ended = (number for number in range(len(gaps)) if measuring.exhausted(game, number))
    assert next(ended, None) == last


def test_patience_may_come_to_a_self_play_that_was_begun_without(tmp_path: Path) -> None:
    """It does not change what a round is, so the folder goes on; rounds that are played are measured then."""
    play(tmp_path / "late", rounds=1)
    late = play(tmp_path / "late", rounds=4, patience=1)
    ended = play(tmp_path / "ended", rounds=4, patience=1)
    assert [entry["gap"] for entry in late["rounds"]] == [entry["gap"] for entry in ended["rounds"]]


def test_more_images_than_captions_can_be_drawn(tmp_path: Path) -> None:
    play(tmp_path / "run", rounds=1, n=2, n_images=5)
    drawn = {
        kind: sum(
            len(path.read_text().splitlines())
            for path in (tmp_path / "run" / "answers").glob(f"*/candidate-{kind}-*/responses.0.jsonl")
        )
        for kind in ("captions", "images")
    }
    assert drawn == {"captions": 6 * 2, "images": 6 * 5}


def test_the_first_round_can_come_from_a_file_of_pairs(tmp_path: Path) -> None:
    """What one self-play preferred, written and read back, trains another one to the same weights."""
    first = play(tmp_path / "first", rounds=1, critic="oracle")
    kept = read_records(tmp_path / "first/round-1/preferences.jsonl", Preference)
    assert write_pairs(kept, tmp_path / "first/media", tmp_path / "pairs.json") == len(kept) > 0
    again = play(tmp_path / "again", rounds=2, rule="paper", pairs=tmp_path / "pairs.json")
    assert again["rounds"][1]["pairs"] == len(kept)
    assert not (tmp_path / "again/round-1/drawn.json").exists()
    assert len(list((tmp_path / "again").glob("answers/*/candidate-*"))) == 2  # captions and images of round 2
    read = read_records(tmp_path / "again/round-1/preferences.jsonl", Preference)
    assert [(p.item_id, p.image, p.und and p.und.winner.text) for p in read] == [
        (p.item_id, p.image, p.und and p.und.winner.text) for p in kept
    ]
    assert [p.gen and p.gen.loser.image for p in read] == [p.gen and p.gen.loser.image for p in kept]
    assert again["rounds"][1]["training"]["steps"] == first["rounds"][1]["training"]["steps"]
    with pytest.raises(HermesError, match=r"no\.json cannot be read"):
        play(tmp_path / "none", pairs=tmp_path / "no.json")
