"""Real images drawn from the model's own captions: whose words they are drawn from, what is refused and trained on."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from align_fake import FakeModel
from forked import on_processes
from test_preferences import group
from test_selfplay import play

from hermes.align.pairs.exchange import read_pairs, write_pairs
from hermes.align.pairs.preferences import Candidate, Preference, build, read_records
from hermes.align.pairs.ranking import ranked_bars
from hermes.align.pairs.redrawn import told_bars
from hermes.align.pairs.tokens import train_pair
from hermes.align.settings import AlignSettings
from hermes.harness.system.errors import HermesError
from hermes.harness.system.settings import build as settings_of
from hermes.viewer.pairs import Pairs
from hermes.viewer.pictures import Pictures

OWN: dict[str, Any] = {"gen_pairs": "own-captions", "side_loss": "sft", "rounds": 1, "eval_limit": 1}


def kept(folder: Path) -> list[Preference]:
    return read_records(folder / "round-1" / "preferences.jsonl", Preference)


def drawn(root: Path) -> list[Path]:
    """The images that were drawn as candidates."""
    return [*root.glob("answers/*/candidate-images-*/media/*")]


def test_the_best_captions_tell_the_real_image() -> None:
    bars = ranked_bars(group([0.2, 0.9, 0.5], "und"), 2, "sft")
    found = told_bars(bars, {"a": "sha"})["a", "gen"]
    assert [(one.prompt, one.image, one.text, one.score) for one, _ in found] == [
        ("text 1-1", "sha", None, 0.9),
        ("text 1-2", "sha", None, 0.5),
    ]
    settings = {"pairing": "both", "objective": "sum", "side_loss": "sft"}
    preferences, drops = build(
        {"a": ("sha", "y")}, bars | {("a", "gen"): found}, number=1, prompt="?", threshold=None, **settings
    )
    assert [one.gen.winner.prompt for one in preferences if one.gen] == ["text 1-1", "text 1-2"]  # 0.5 is no obstacle
    assert drops == {}


def test_a_blank_caption_tells_nothing() -> None:
    blank = [one.model_copy(update={"text": " "}) for one in group([0.9], "und")]
    assert told_bars(ranked_bars(blank, 1, "sft"), {"a": "sha"}) == {}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"side_loss": "sigmoid"}, "give side_loss 'sft'"),
        ({"rule": "released"}, "it goes with rule 'fresh' alone"),
        ({"und_pairs": "own-answers"}, "which gen_pairs 'own-captions' draws none of"),
        ({"objective": "und"}, "at which objective 'und' does not look"),
        ({"differ": "count"}, "which side_loss 'sft' does not compare"),
    ],
)
def test_what_does_not_go_with_it_is_one_line(values: dict[str, Any], words: str) -> None:
    with pytest.raises(HermesError, match=words) as caught:
        settings_of(AlignSettings, overrides={"gen_pairs": "own-captions", "side_loss": "sft", **values})
    assert "\n" not in str(caught.value)


def test_settings_without_it_keep_their_id() -> None:
    assert "gen_pairs" not in AlignSettings().identity()
    assert AlignSettings.model_validate(OWN).identity()["gen_pairs"] == "own-captions"


@pytest.mark.usefixtures("fake_model")
@pytest.mark.parametrize(("ability", "lacks"), [("understanding", "draws no"), ("generation", "answers no")])
def test_a_model_of_one_side_cannot(ability: str, lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeModel, "abilities", (ability,))
    with pytest.raises(HermesError, match=rf"{lacks} .*, which --gen-pairs own-captions needs; leave it out"):
        play(tmp_path / "run", **OWN)


def test_hermes_tiny_draws_what_it_sees_from_what_it_says(tmp_path: Path) -> None:
    tiny = {"model": "hermes-tiny", "items": 4, "n": 3, "steps": 8, "batch_size": 8, "replay": 0.0, "bf16": False}
    (_, entry) = play(tmp_path / "run", **OWN, **tiny, pairs_per_item=2, runs=tmp_path)["rounds"]
    found = kept(tmp_path / "run")
    assert entry["pairs"] == len(found) == 8
    assert entry["drops"] == {}
    for one in found:
        assert one.und
        assert one.gen
        assert (one.gen.winner.image, one.gen.winner.prompt) == (one.image, one.und.winner.text)
        trained = train_pair(one, tmp_path / "run" / "media", losers=False)
        assert trained.und
        assert trained.gen
        assert trained.gen[0].prompt == trained.und[0].text != one.caption
        assert trained.gen[0].image.sha256() == trained.und[0].image.sha256()
    assert entry["training"]["winner_gen"] > 0.1
    candidates = read_records(tmp_path / "run" / "round-1" / "candidates.jsonl", Candidate)
    assert [one.side for one in candidates] == ["und"] * 12
    assert drawn(tmp_path) == []
    best = {one.item_id: max(other.score for other in candidates if other.item_id == one.item_id) for one in candidates}
    assert [one.gen.winner.score for one in found if one.gen and not one.place] == list(best.values())


@pytest.mark.usefixtures("fake_model")
def test_the_words_are_shown_wherever_pairs_are(tmp_path: Path) -> None:
    play(tmp_path / "run", **OWN, objective="gen", pairing="either")
    (first, *_) = kept(tmp_path / "run")
    assert first.und is None
    assert first.gen
    told = first.gen.winner.prompt
    assert f'drawn from: <span class="text">{told}</span>' in (tmp_path / "run/round-1/pairs.html").read_text()
    shown = Pairs(tmp_path / "run", 1).pairs([0], Pictures())[0]
    assert told in str(shown["told"])
    card = (tmp_path / "run/round-1/checkpoint/README.md").read_text()
    assert "the model is trained to draw each image from the best of it" in card
    assert "| critic |" not in card
    write_pairs([first], tmp_path / "run" / "media", tmp_path / "pairs.json")
    (record,) = json.loads((tmp_path / "pairs.json").read_text())
    assert (record["image_prompt"], record["caption"]) == (told, first.caption)
    assert "question" not in record
    record |= {
        "image_lose": str(next(path for path in (tmp_path / "run/media").iterdir() if first.image not in path.name))
    }
    (tmp_path / "pairs.json").write_text(json.dumps([record | {"vqa_score_win": 1.0, "vqa_score_lose": 0.0}]))
    (again,), _ = read_pairs(tmp_path / "pairs.json", lambda _: "sha", "caption?")
    assert again.gen
    assert (again.gen.winner.prompt, again.prompt) == (told, "caption?")


@pytest.mark.usefixtures("fake_model")
def test_answers_may_be_learnt_beside_it(tmp_path: Path) -> None:
    play(tmp_path / "run", **OWN, und_pairs="answers", pairing="both", runs=tmp_path)
    found = kept(tmp_path / "run")
    assert len(found) == 6
    captions = {
        one.text for one in read_records(tmp_path / "run/round-1/candidates.jsonl", Candidate) if not one.prompt
    }
    for one in found:
        assert one.und
        assert one.gen
        assert one.und.winner.prompt == one.prompt
        assert one.gen.winner.prompt in captions
        assert one.und.winner.text not in captions


@pytest.mark.usefixtures("fake_model")
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_any_number_of_processes_finds_the_same(tmp_path: Path) -> None:
    def work(folder: Path) -> None:
        play(folder, **OWN)

    play(tmp_path / "alone", **OWN)
    on_processes(3, work, tmp_path / "three")
    files = [tmp_path / run / "round-1" / "preferences.jsonl" for run in ("alone", "three")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.usefixtures("fake_model")
def test_the_likeliest_caption_tells_where_nobody_is_asked(tmp_path: Path) -> None:
    """Under dual scores the best caption is the one that makes the real image likeliest."""
    play(tmp_path / "run", **OWN, scores="dual", critic="self", runs=tmp_path)
    candidates = read_records(tmp_path / "run/round-1/candidates.jsonl", Candidate)
    for one in kept(tmp_path / "run"):
        assert one.gen
        own = [other for other in candidates if other.item_id == one.item_id]
        assert one.gen.winner.prompt == max(own, key=lambda other: other.score).text
    assert drawn(tmp_path) == []
