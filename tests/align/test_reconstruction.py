"""Real images drawn again from what the model sees of them (RecA): who can, what is trained on, told and refused."""

import sys
from pathlib import Path
from typing import Any

import pytest
from align_fake import FakeModel
from forked import on_processes
from test_selfplay import play

from hermes.align.pairs.exchange import write_pairs
from hermes.align.pairs.preferences import Preference, read_records
from hermes.align.pairs.redrawn import REQUESTS, seen_bars
from hermes.align.pairs.tokens import train_pair
from hermes.align.settings import AlignSettings
from hermes.harness.system.errors import HermesError
from hermes.harness.system.settings import build as settings_of
from hermes.viewer.pairs import Pairs
from hermes.viewer.pictures import Pictures

AGAIN: dict[str, Any] = {"gen_pairs": "reconstruction", "side_loss": "sft", "rounds": 1, "eval_limit": 1}
ALONE: dict[str, Any] = {**AGAIN, "objective": "gen", "pairing": "either"}


@pytest.fixture
def sees(fake_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake model draws from what it sees."""
    monkeypatch.setattr(FakeModel, "reconstructs", True, raising=False)


def kept(folder: Path) -> list[Preference]:
    return read_records(folder / "round-1" / "preferences.jsonl", Preference)


def test_every_item_is_asked_for_in_one_of_twelve_ways_and_differently_in_another_round() -> None:
    real = {f"item-{n}": f"sha-{n}" for n in range(300)}
    first, again, second = (seen_bars(real, number) for number in (1, 1, 2))
    assert first == again
    assert {bar[0].prompt for ((bar),) in first.values()} == set(REQUESTS)
    asked = [[found[item, "gen"][0][0].prompt for item in real] for found in (first, second)]
    assert sum(a != b for a, b in zip(*asked, strict=True)) > 200
    assert len(set(REQUESTS)) == len(REQUESTS) == 12
    assert all(one.again and one is other for ((one, other),) in first.values())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"side_loss": "sigmoid"}, "give side_loss 'sft'"),
        ({"rule": "paper"}, "it goes with rule 'fresh' alone"),
        ({"und_pairs": "own-answers"}, "which gen_pairs 'reconstruction' draws none of"),
        ({"objective": "und"}, "at which objective 'und' does not look"),
    ],
)
def test_what_does_not_go_with_it_is_one_line(values: dict[str, Any], words: str) -> None:
    with pytest.raises(HermesError, match=words) as caught:
        settings_of(AlignSettings, overrides={"gen_pairs": "reconstruction", "side_loss": "sft", **values})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["hermes-tiny", "hermes-flow", "fake"])
@pytest.mark.usefixtures("fake_model")
def test_a_model_that_does_not_draw_from_what_it_sees_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(HermesError, match=rf"'{model}' does not draw from what it sees .* BAGEL and Janus do"):
        play(tmp_path / "run", **ALONE, model=model)
    assert not (tmp_path / "run" / "round-1").exists()


@pytest.mark.usefixtures("sees")
def test_nothing_is_drawn_and_every_real_image_is_trained_on(tmp_path: Path) -> None:
    (_, entry) = play(tmp_path / "run", **ALONE, runs=tmp_path)["rounds"]
    found = kept(tmp_path / "run")
    assert entry["pairs"] == len(found) == 6
    assert entry["drops"] == {}
    assert (tmp_path / "run" / "round-1" / "candidates.jsonl").read_bytes() == b""
    assert not [*tmp_path.glob("answers/*/candidate-*/media/*")]
    for one in found:
        assert one.und is None
        item, loser = train_pair(one, tmp_path / "run" / "media", losers=False).gen or (None, None)
        assert item
        assert loser is None
        assert (item.again, item.prompt in REQUESTS, item.plan) == (True, True, None)
        assert item.image.sha256() == one.image


@pytest.mark.usefixtures("sees")
def test_captions_may_be_learnt_beside_it(tmp_path: Path) -> None:
    play(tmp_path / "run", **AGAIN, pairing="both")
    found = kept(tmp_path / "run")
    assert found
    assert all(one.und and one.und.winner.text and one.gen and one.gen.winner.again for one in found)


@pytest.mark.usefixtures("sees")
def test_it_is_told_wherever_pairs_are_and_is_no_preference_to_export(tmp_path: Path) -> None:
    play(tmp_path / "run", **ALONE)
    (first, *_) = kept(tmp_path / "run")
    assert first.gen
    asked = first.gen.winner.prompt
    page = (tmp_path / "run/round-1/pairs.html").read_text()
    assert f'drawn from what is seen of it, and: <span class="text">{asked}</span>' in page
    assert "loser" not in page.partition("</style>")[2]  # a winner that stands for itself
    pairs = Pairs(tmp_path / "run", 1)
    (shown,) = pairs.pairs([0], Pictures())
    assert (shown["again"], asked in str(shown["told"]), list(shown["gen"])) == (True, True, ["winner"])
    assert pairs.margins == {"und": [None] * 6, "gen": [None] * 6}
    card = (tmp_path / "run/round-1/checkpoint/README.md").read_text()
    assert "draw real images again from the features of its own understanding encoder (after RecA" in card
    assert "HermesFlow" not in card
    with pytest.raises(HermesError, match="such a self-play has no preferences to write"):
        write_pairs([first], tmp_path / "run" / "media", tmp_path / "pairs.json")
    assert not (tmp_path / "pairs.json").exists()


@pytest.mark.usefixtures("sees")
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_any_number_of_processes_finds_the_same(tmp_path: Path) -> None:
    def work(folder: Path) -> None:
        play(folder, **ALONE)

    play(tmp_path / "alone", **ALONE)
    on_processes(3, work, tmp_path / "three")
    files = [tmp_path / run / "round-1" / "preferences.jsonl" for run in ("alone", "three")]
    assert files[0].read_bytes() == files[1].read_bytes()
