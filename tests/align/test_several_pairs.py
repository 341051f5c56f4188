"""Several pairs of an item, groups, and winners by themselves: who meets whom, and what is trained on."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from align_fake import FakeModel
from forked import on_processes
from test_preferences import group, made
from test_selfplay import play
from test_trainer import SETTINGS, lessons, pairs, weights

from hermes.align.losses.groups import advantages
from hermes.align.losses.likelihoods import TrainPair
from hermes.align.pairs.preferences import Preference, build, read_records
from hermes.align.pairs.ranking import ranked_bars
from hermes.align.settings import AlignSettings, TrainSettings
from hermes.align.training.trainer import train
from hermes.harness.system.errors import HermesError
from hermes.harness.system.settings import build as settings_of

GROUPS: dict[str, Any] = {"pairs_per_item": 2, "pairing": "either", "threshold": 0.0, "n": 4, "eval_limit": 1}


def places(scores: list[float], pairs: int, side_loss: str = "sigmoid") -> list[tuple[int, int]]:
    found = ranked_bars(group(scores), pairs, side_loss)["a", "gen"]
    return [(winner.index, loser.index) for winner, loser in found]


def test_the_best_meets_the_worst_and_the_second_best_the_second_worst() -> None:
    assert places([0.5, 1.0, 0.2, 0.9, 0.0], 1) == [(1, 4)]
    assert places([0.5, 1.0, 0.2, 0.9, 0.0], 2) == [(1, 4), (3, 2)]
    assert places([0.5, 1.0, 0.2, 0.9, 0.0], 9) == [(1, 4), (3, 2)]  # who is in the middle meets nobody
    assert places([0.5, 0.5, 1.0, 0.5], 2) == [(2, 1), (0, 3)]  # level ones in their order, nobody twice
    assert places([0.5], 2) == [(0, 0)]


def test_under_the_supervised_loss_all_may_win() -> None:
    assert [winner for winner, _ in places([0.5, 1.0, 0.9], 3, "sft")] == [1, 2, 0]


def test_a_group_is_laid_out_with_its_advantages() -> None:
    scores = [0.5, 1.0, 0.2, 0.9]
    found = ranked_bars(group(scores), 1, "gspo")["a", "gen"]
    worth = {one.index: one.advantage for bar in found for one in bar}
    assert [worth[place] for place in range(4)] == pytest.approx(advantages(torch.tensor([scores]))[0].tolist())
    assert [(winner.index, loser.index) for winner, loser in found] == [(1, 2), (3, 0)]


def several(scores: list[float], texts: list[float], **options: Any) -> tuple[list[Preference], dict[str, int]]:
    settings = {"threshold": 0.6, "pairing": "both", "objective": "sum", **options}
    pictures, captions = ranked_bars(group(scores), 3), ranked_bars(group(texts, "und"), 3)
    return build({"a": ("sha", "caption")}, pictures | captions, number=1, prompt="?", **settings)


def test_pairs_of_both_sides_go_together_as_far_as_there_are_both() -> None:
    kept, drops = several([1.0, 0.9, 0.7, 0.3, 0.1, 0.0], [0.9, 0.1])
    assert [one.id for one in kept] == ["a", "a, pair 2", "a, pair 3"]
    assert [one.und is None for one in kept] == [False, True, True]
    assert drops == {}
    kept, drops = several([1.0, 0.9, 0.5, 0.3, 0.1, 0.0], [0.9, 0.1], objective="product")
    assert [one.id for one in kept] == ["a"]
    assert drops == {"gen: threshold": 1, "unpaired": 1}


def test_an_item_that_lacks_a_side_is_left_out_whole() -> None:
    kept, drops = several([1.0, 0.9, 0.3, 0.1], [0.5, 0.5])
    assert kept == []
    assert drops == {"und: tie": 1, "unpaired": 2}


def test_one_pair_an_item_is_named_after_it() -> None:
    kept, _ = made(group([0.9, 0.1]) + group([0.9, 0.1], "und"), ["a"])
    assert [one.id for one in kept] == ["a"]


def test_a_supervised_winner_needs_no_worse_candidate_but_must_be_good() -> None:
    def kept(scores: list[float]) -> tuple[list[Preference], dict[str, int]]:
        bars = ranked_bars(group(scores), 1, "sft")
        settings = {"threshold": 0.6, "pairing": "either", "objective": "gen", "side_loss": "sft"}
        return build({"a": ("sha", "caption")}, bars, number=1, prompt="?", **settings)

    assert len(kept([1.0, 1.0])[0]) == 1
    assert kept([0.6, 0.2]) == ([], {"gen: threshold": 1, "und: no candidates": 1})


def test_a_group_that_scores_alike_is_a_tie() -> None:
    bars = ranked_bars(group([0.5] * 4), 1, "gspo")
    settings = {"threshold": 0.6, "pairing": "either", "objective": "gen", "side_loss": "gspo"}
    assert build({"a": ("sha", "caption")}, bars, number=1, prompt="?", **settings)[1]["gen: tie"] == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pairs_per_item": 2, "rule": "paper"}, "rule 'paper' keeps one pair of an item"),
        ({"side_loss": "gspo", "pairs_per_item": 2}, "side_loss 'gspo' takes all candidates of an item"),
        ({"side_loss": "gspo", "reference_free": True}, "leave reference_free out"),
        ({"side_loss": "sft", "anchor": 0.0}, "give an anchor above 0"),
        ({"side_loss": "rloo", "smoothing": 0.1}, "smoothing and target are about margins"),
    ],
)
def test_what_does_not_go_together_is_one_line(values: dict[str, Any], words: str) -> None:
    with pytest.raises(HermesError, match=words) as caught:
        settings_of(AlignSettings, overrides=values)
    assert "\n" not in str(caught.value)


def test_settings_that_came_later_change_no_id_at_their_defaults() -> None:
    later = {"side_loss", "target", "clip_ratio", "pairs_per_item"}
    assert not later & AlignSettings().identity().keys()
    assert later & AlignSettings(pairs_per_item=2).identity().keys() == {"pairs_per_item"}


def test_winners_by_themselves_become_likelier(tmp_path: Path) -> None:
    alone = [TrainPair(one.id, (one.und[0], None), (one.gen[0], None)) for one in pairs() if one.und and one.gen]
    settings = SETTINGS.model_copy(update={"side_loss": "sft"})
    report = train(FakeModel(), alone, lessons(), settings, tmp_path)
    assert report.preference == 0.0
    assert (report.winner_und or 0) > 0.5
    assert (report.winner_gen or 0) > 0.1  # against the first epoch's masks, which 19 pictures do not average away
    assert report.loss < report.loss_first
    assert report.mask_noise is None
    assert report.loser_und == report.loser_gen == 0.0


@pytest.mark.parametrize("name", ["gspo", "rloo"])
def test_a_group_moves_each_candidate_by_its_advantage(name: str, tmp_path: Path) -> None:
    """With the advantages turned round, so is what the training does."""

    def report(advantage: float, folder: str) -> Any:
        data = [TrainPair(one.id, one.und, one.gen, (advantage, -advantage) * 2) for one in pairs()]
        settings = SETTINGS.model_copy(update={"side_loss": name, "anchor": 0.0, "replay": 0.0, "clip_ratio": 0.3})
        return train(FakeModel(), data, (), settings, tmp_path / folder)

    up, down = report(1.0, "up"), report(-1.0, "down")
    assert up.loss_first == pytest.approx(0.0, abs=1e-6)  # advantages add up to 0, and every ratio is 1
    assert up.margin_und > 0 > down.margin_und
    assert up.margin_gen > 0 > down.margin_gen


def test_other_advantages_are_another_training(tmp_path: Path) -> None:
    def trained(advantage: float) -> torch.Tensor:
        model = FakeModel()
        data = [TrainPair(one.id, one.und, one.gen, (advantage, -advantage) * 2) for one in pairs()]
        train(model, data, lessons(), SETTINGS.model_copy(update={"side_loss": "gspo"}), tmp_path)
        return weights(model)

    trained(1.0)
    with pytest.raises(HermesError, match="other settings or pairs"):
        trained(0.5)


@pytest.mark.usefixtures("fake_model")
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_any_number_of_processes_finds_the_same_pairs(tmp_path: Path) -> None:
    def work(folder: Path) -> None:
        play(folder, rounds=1, **GROUPS)

    play(tmp_path / "alone", rounds=1, **GROUPS)
    on_processes(3, work, tmp_path / "three")
    files = [tmp_path / run / "round-1" / "preferences.jsonl" for run in ("alone", "three")]
    assert files[0].read_bytes() == files[1].read_bytes()
    kept = read_records(files[0], Preference)
    assert len(kept) > len({one.item_id for one in kept})
    assert len({one.id for one in kept}) == len(kept)


@pytest.mark.usefixtures("fake_model")
def test_a_self_play_on_winners_alone(tmp_path: Path) -> None:
    history = play(tmp_path, rounds=1, side_loss="sft", objective="gen", pairing="either", threshold=0.0)
    kept = read_records(tmp_path / "round-1" / "preferences.jsonl", Preference)
    assert history["rounds"][1]["pairs"] == len(kept) > 0
    log = [json.loads(line) for line in (tmp_path / "round-1/training/train.jsonl").read_text().splitlines()]
    assert all(line["loser_gen"] == 0.0 for line in log)
    assert isinstance(settings_of(TrainSettings, overrides={"side_loss": "sft"}), TrainSettings)
