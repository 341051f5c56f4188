"""Pairs of images that differ in counts alone, or in anything else: which are found, refused and trained on."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_real_items import lines, write

from hermes.align.pairs.differing import COUNTS, differing_bars
from hermes.align.pairs.items import Item, shapes_items
from hermes.align.pairs.preferences import Candidate, Preference, build, nothing_left, read_records
from hermes.align.play.planning import plan_play
from hermes.align.play.selfplay import align
from hermes.align.settings import AlignSettings, Differ
from hermes.evaluators.homologous import Generation, Understanding
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Silent
from hermes.harness.system.settings import build as settings_of

KINDS = ["count", "counting", "color", "shape"]
TINY: dict[str, Any] = {
    **{"model": "hermes-tiny", "rounds": 1, "objective": "gen", "pairing": "either", "threshold": 0.0, "steps": 1},
    **{"batch_size": 2, "replay_batch": 2, "eval_limit": 1, "device": "cpu"},
}


def images(rights: Sequence[str], confidences: Sequence[float] = ()) -> list[Candidate]:
    own: dict[str, Any] = {"item_id": "a", "side": "gen", "round": 1, "seed": 0}
    return [
        Candidate(
            **own,
            index=index,
            score=right.count("1") / len(right),
            confidence=confidences[index] if confidences else None,
            image=f"image {index}",
            right=right,
        )
        for index, right in enumerate(rights)
    ]


def places(
    candidates: Sequence[Candidate], differ: Differ, pairs: int = 1, threshold: float = 0.0
) -> list[tuple[int, int]]:
    found = differing_bars(candidates, {"a": KINDS}, differ, pairs, threshold)["a", "gen"]
    return [(winner.index, loser.index) for winner, loser in found]


def test_the_other_questions_are_answered_alike_rightly_or_wrongly() -> None:
    candidates = images(["1110", "1010", "1101", "0010", "1011"])
    assert places(candidates, "count") == [(0, 3)]  # 2 differs in the others, and so does 4, which is the best
    assert places(candidates, "attributes") == [(4, 1)]
    assert places(images(["1111", "0011", "1100"]), "count") == [(0, 1)]
    assert places(images(["1111", "0011", "1100"]), "attributes") == [(0, 2)]


def test_more_right_counts_win_even_where_one_of_them_is_lost() -> None:
    kinds = {"a": ["count"] * 3 + ["color"]}
    found = differing_bars(images(["1000", "0110", "1001"]), kinds, "count", 1, 0.0)["a", "gen"]
    assert [(winner.index, loser.index) for winner, loser in found] == [(1, 0)]


def test_images_that_differ_in_both_or_in_nothing_are_no_pair() -> None:
    for differ in ("count", "attributes"):
        assert places(images(["1111", "0000", "1111"]), differ) == []  # type: ignore[arg-type]
        assert places(images(["1100", "0011"]), differ) == []  # type: ignore[arg-type]


def test_the_largest_margin_then_the_better_winner_then_the_surer_one() -> None:
    rights = ["1011", "0011", "1100", "0000", "1100", "0000"]
    assert places(images(rights), "count") == [(2, 3)]  # two counts, though 0 is better than 2
    assert places(images(["1000", "0000", "1010", "0010"]), "count") == [(2, 3)]  # level in margin
    sure = [0.0, 0.0, -2.0, -1.0, -1.0, -3.0]
    assert places(images(rights, sure), "count") == [(4, 5)]


def test_several_pairs_have_no_candidate_in_common() -> None:
    candidates = images(["1100", "1000", "0000", "0100", "1011", "0011"])
    assert places(candidates, "count", 9) == [(0, 2), (4, 5)]
    assert places(candidates, "count", 1) == [(0, 2)]


def test_a_winner_that_may_win_comes_before_a_larger_margin() -> None:
    candidates = images(["1100", "0000", "1011", "0011"])
    assert places(candidates, "count", threshold=0.4) == [(0, 1)]
    assert places(candidates, "count", threshold=0.6) == [(2, 3)]
    assert places(candidates, "count", threshold=0.9) == [(0, 1)]  # to be counted as not above it


@given(st.lists(st.text("01", min_size=4, max_size=4), min_size=1, max_size=7), st.booleans())
def test_the_first_pair_is_the_best_of_all(rights: list[str], counts: bool) -> None:
    free = [place for place, kind in enumerate(KINDS) if (kind in COUNTS) == counts]

    def margin(one: str, other: str) -> int:
        if any(one[place] != other[place] for place in set(range(4)) - set(free)):
            return 0
        return sum(int(one[place]) - int(other[place]) for place in free)

    every = [(abs(margin(one, other)), max(one.count("1"), other.count("1"))) for one, other in combinations(rights, 2)]
    best = max((one for one in every if one[0]), default=None)
    found = places(images(rights), "count" if counts else "attributes", 9)
    met = [(margin(rights[winner], rights[loser]), rights[winner].count("1")) for winner, loser in found]
    assert (met[0] if met else None) == best
    assert all(more > 0 for more, _ in met)
    assert len({place for pair in found for place in pair}) == 2 * len(found)


def test_an_item_without_such_a_pair_is_counted_by_itself() -> None:
    candidates = images(["1111", "0000"])
    bars = differing_bars(candidates, {"a": KINDS}, "count", 1, 0.6)
    settings = {"threshold": 0.6, "pairing": "either", "objective": "gen", "differ": "count"}
    items = {"a": ("sha", "caption"), "b": ("sha", "caption")}
    kept, drops = build(items, bars, number=1, prompt="?", **settings)
    assert kept == []
    assert drops == {"gen: differ": 1, "gen: no candidates": 1, "und: no candidates": 2}
    said = nothing_left({"gen: differ": 3}, AlignSettings(differ="count"), None)
    assert said == (
        "no valid preference pair to train on (3 without images that differ in such questions alone); leave differ "
        "out, or draw more items or candidates"
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"side_loss": "sft"}, "which side_loss 'sft' does not compare"),
        ({"side_loss": "gspo"}, "which side_loss 'gspo' does not compare"),
        ({"rule": "paper"}, "it goes with rule 'fresh' alone"),
        ({"scores": "dual"}, "give scores 'critic'"),
        ({"objective": "und", "pairing": "either"}, "which objective 'und' draws none of"),
    ],
)
def test_what_does_not_go_with_it_is_one_line(values: dict[str, Any], words: str) -> None:
    with pytest.raises(HermesError, match=words) as caught:
        settings_of(AlignSettings, overrides={"differ": "count", **values})
    assert "\n" not in str(caught.value)


def test_settings_without_it_keep_their_id() -> None:
    assert "differ" not in AlignSettings().identity()
    assert AlignSettings(differ="count").identity()["differ"] == "count"


@pytest.mark.usefixtures("fake_model")
@pytest.mark.parametrize(
    ("kinds", "differ", "words"),
    [
        ({}, "count", "no question of .* has a fitting kind"),
        ({}, "attributes", "no question of .* has a fitting kind"),
        ({"count": "color"}, "count", r"fitting kind \(count, or counting\); name the kinds in the data"),
        ({"count": "counting"}, "count", None),
        ({"count": "color"}, "attributes", None),
    ],
)
def test_data_that_name_no_kinds_are_told_before_anything_is_drawn(
    kinds: dict[str, str], differ: Differ, words: str | None, tmp_path: Path
) -> None:
    """``kinds`` are other names of some; none is told of any question where they are empty."""
    data = tmp_path / "data"
    data.mkdir()
    content = lines(data, range(24))
    for line in content:
        asked = line["questions"]
        line["questions"] = [{**one, "kind": kinds.get(one["kind"], one["kind"]) if kinds else ""} for one in asked]
    write(data / "items.jsonl", content)
    given = {"model": "fake", "data": str(data), "items": 4, "judge": "oracle", "critic": "oracle", "runs": tmp_path}
    settings = AlignSettings.model_validate({**given, "differ": differ, "similarity": "facts", "device": "cpu"})
    if words is None:
        plan_play(settings, Silent())
        return
    with pytest.raises(HermesError, match=words) as caught:
        plan_play(settings, Silent())
    assert "\n" not in str(caught.value)


def kinds_of(items: Sequence[Item]) -> dict[str, list[str]]:
    return {item.id: [question["kind"] for question in item.generation.target] for item in items}


def test_self_plays_train_on_such_pairs_alone(tmp_path: Path) -> None:
    """Two of hermes-tiny, which share their candidates."""
    kinds = kinds_of(shapes_items(Understanding(), Generation(), 16, derive_seed(0, 1, "items")))
    for differ in ("count", "attributes"):
        home = tmp_path / differ
        play = {**TINY, "items": 16, "n": 6, "differ": differ, "out": home, "runs": tmp_path}
        (_, entry) = align(AlignSettings.model_validate(play))["rounds"]
        kept = read_records(home / "round-1" / "preferences.jsonl", Preference)
        assert entry["pairs"] == len(kept) > 0
        assert entry["drops"] == {"gen: differ": 16 - len(kept)}
        for one in kept:
            assert one.gen
            told = zip(kinds[one.item_id], one.gen.winner.right or "", one.gen.loser.right or "", strict=True)
            assert {kind == "count" for kind, won, lost in told if won != lost} == {differ == "count"}
        page = (home / "round-1" / "pairs.html").read_text()
        assert "images: no two differ as --differ says and are alike in all else" in page
