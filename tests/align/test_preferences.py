"""Winners and losers, the raise-the-bar rules against the golden data, joining by id, and counted filters."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.align.pairs.preferences import (
    RULES,
    Bar,
    Candidate,
    Preference,
    Side,
    best_and_worst,
    build,
    nothing_left,
    raise_bars,
    read_records,
    verdict,
    without_ties,
)
from hermes.align.pairs.ranking import ranked_bars
from hermes.align.settings import AlignSettings
from hermes.harness.system.disk import write_jsonl
from hermes.harness.system.errors import HermesError

GOLDEN = Path(__file__).parents[3] / "shared" / "parity" / "scorers" / "hermesflow_dpo.json"
SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.6, 0.75, 1.0]), min_size=1, max_size=6)


def group(scores: list[float], side: Side = "gen", item: str = "a", number: int = 1) -> list[Candidate]:
    return [
        Candidate(
            item_id=item,
            side=side,
            round=number,
            index=index,
            seed=index,
            score=score,
            text=f"text {number}-{index}" if side == "und" else None,
            image=f"image {number}-{index}" if side == "gen" else None,
        )
        for index, score in enumerate(scores)
    ]


def made(candidates: list[Candidate], ids: list[str], **options: Any) -> tuple[list[Preference], dict[str, int]]:
    settings = {"threshold": 0.6, "pairing": "both", "objective": "sum", **options}
    items = {item: (f"sha of {item}", f"caption of {item}") for item in ids}
    return build(items, ranked_bars(candidates, 1), number=1, prompt="caption?", **settings)


def golden() -> dict[str, Any]:
    if not GOLDEN.exists():
        pytest.skip("the golden data are not here")
    content: dict[str, Any] = json.loads(GOLDEN.read_text())
    return content


def test_first_best_and_first_worst() -> None:
    best, worst = best_and_worst(group([0.5, 1.0, 1.0, 0.25, 0.25]))
    assert (best.index, worst.index) == (1, 3)


def test_confidence_ranks_candidates_of_one_score_and_no_others() -> None:
    scores, sure = [0.5, 1.0, 1.0, 0.25, 0.25], [0.0, -3.0, -1.0, -2.0, -5.0]
    candidates = [one.model_copy(update={"confidence": c}) for one, c in zip(group(scores), sure, strict=True)]
    best, worst = best_and_worst(candidates)
    assert (best.index, worst.index) == (2, 4)
    assert verdict(best_and_worst(candidates[1:3]), 0.6) == "tie"


def test_what_is_the_same_is_a_tie_whatever_it_scores() -> None:
    better, worse = group([0.9, 0.1])
    again = worse.model_copy(update={"image": better.image})
    assert verdict((better, again), 0.6) == "tie"
    assert verdict((better, worse), 0.6) is None
    best, other = group([0.9, 0.1], "und")
    for text in (f" {best.text}", f"{best.text}\n", str(best.text).replace(" ", "  ")):
        assert verdict((best, other.model_copy(update={"text": text})), None) == "tie"
    assert verdict((best, other), None) is None


def test_sides_that_turn_out_to_be_ties_are_taken_out_and_counted() -> None:
    kept, drops = made(
        [one for item in "abc" for one in group([0.2, 0.1], "und", item) + group([0.9, 0.1], "gen", item)],
        ["a", "b", "c"],
    )
    ties: dict[str, list[Side]] = {"a": ["gen"], "b": ["und", "gen"]}
    left, counts = without_ties(kept, ties, drops, pairing="both", objective="sum")
    assert [one.item_id for one in left] == ["c"]
    assert counts == {"gen: tie": 2, "und: tie": 1, "unpaired": 1}
    left, counts = without_ties(kept, ties, drops, pairing="either", objective="sum")
    assert [(one.item_id, one.und is None, one.gen is None) for one in left] == [
        ("a", False, True),
        ("c", False, False),
    ]
    assert counts == {"gen: tie": 2, "und: tie": 1}
    left, counts = without_ties(kept, ties, {"und: tie": 4}, pairing="either", objective="gen")
    assert [one.item_id for one in left] == ["c"]
    assert counts == {"gen: tie": 2, "und: tie": 5, "unpaired": 1}


@pytest.mark.parametrize(
    ("drops", "changes", "given", "said"),
    [
        ({"und: tie": 12, "gen: tie": 12}, {}, Path("a/pairs.json"), "(24 ties); put other pairs into pairs.json"),
        (
            {"gen: threshold": 3, "und: tie": 1, "unpaired": 2, "candidate errors": 9},
            {},
            None,
            '(3 not above the threshold, 2 left without the other side, 1 ties); give pairing = "either" to train on '
            "one side alone, or lower the threshold, or draw more items or candidates",
        ),
        (
            {"unpaired": 2},
            {"objective": "product"},
            None,
            "(2 left without the other side); draw more items or candidates",
        ),
        ({}, {}, None, "(there are none); draw more items or candidates"),
    ],
)
def test_no_pair_at_all_is_explained(
    drops: dict[str, int], changes: dict[str, Any], given: Path | None, said: str
) -> None:
    assert nothing_left(drops, AlignSettings(**changes), given).startswith(
        f"no valid preference pair to train on {said}"
    )


def test_golden_winners_and_losers() -> None:
    for case in golden()["cases"]:
        best, worst = best_and_worst(group(case["similarities"], "und"))
        expected = case["expected"]
        assert (best.index, worst.index) == (
            expected["understanding_win_index"],
            expected["understanding_lose_index"],
        )
        bar = best_and_worst(group(case["vqa_scores"]))
        assert (verdict(bar, 0.6) is None) == expected["generation_condition_met"]
        if expected["generation_condition_met"]:
            assert (bar[0].index, bar[1].index) == (
                expected["generation_win_index"],
                expected["generation_lose_index"],
            )


def test_golden_stale_pairs_are_dropped_instead() -> None:
    stale = [case for case in golden()["cases"] if case["expected"]["generation_indices_are_stale"]]
    assert stale
    for case in stale:
        kept, drops = made(group(case["similarities"], "und") + group(case["vqa_scores"]), ["a"])
        assert kept == []
        assert any(reason.startswith("gen: ") for reason in drops)


def test_golden_released_rule() -> None:
    for case in golden()["iterative_cases"]:
        old, expected = case["initial_pair"], case["expected"]
        for side, scores, kind in (("und", "similarities", "bert_score"), ("gen", "vqa_scores", "vqa_score")):
            before = group([old[f"{kind}_win"], old[f"{kind}_lose"]], side, number=1)  # type: ignore[arg-type]
            best, worst = best_and_worst(group(case[scores], side, number=2))  # type: ignore[arg-type]
            winner, loser = RULES["released"]((before[0], before[1]), best, worst)
            assert (winner.score, loser.score) == (expected[f"{kind}_win"], expected[f"{kind}_lose"])


@given(old=SCORES, new=SCORES)
def test_the_papers_rule_never_lowers_the_bar(old: list[float], new: list[float]) -> None:
    before = best_and_worst(group(old))
    best, worst = best_and_worst(group(new, number=2))
    winner, loser = RULES["paper"](before, best, worst)
    assert winner.score == max(before[0].score, best.score)
    assert winner.score >= loser.score
    assert best in (winner, loser)


@given(old=SCORES, new=SCORES)
def test_the_released_rule_agrees_with_the_papers_where_the_bar_rises(old: list[float], new: list[float]) -> None:
    before = best_and_worst(group(old))
    best, worst = best_and_worst(group(new, number=2))
    paper, released = (RULES[name](before, best, worst) for name in ("paper", "released"))
    assert (paper == released) == (best.score > before[0].score or (best == paper[0] and before[1] == paper[1]))
    assert released[0] == best


def test_rules_go_on_from_round_to_round() -> None:
    rounds = [group([0.8, 0.2], number=1), group([0.7, 0.1], number=2), group([0.9, 0.3], number=3)]
    bars = {name: raise_bars(rounds, name)["a", "gen"] for name in RULES}
    scores = {name: (bar[0].score, bar[1].score) for name, bar in bars.items()}
    assert scores == {"fresh": (0.9, 0.3), "paper": (0.9, 0.8), "released": (0.9, 0.7)}


def test_an_inverted_pair_of_the_released_rule_is_dropped() -> None:
    rounds = [group([0.8, 0.7], number=1), group([0.65, 0.1], number=2)]
    assert verdict(raise_bars(rounds, "released")["a", "gen"], 0.6) == "inverted"
    assert verdict(raise_bars(rounds, "paper")["a", "gen"], 0.6) is None


@pytest.mark.parametrize(
    ("scores", "reason"),
    [([0.7, 0.7], "tie"), ([0.6, 0.1], "threshold"), ([0.6000001, 0.1], None), ([0.4, 0.1], "threshold")],
)
def test_filters(scores: list[float], reason: str | None) -> None:
    bar: Bar = best_and_worst(group(scores))
    assert verdict(bar, 0.6) == reason


def test_captions_know_no_threshold() -> None:
    kept, drops = made(group([0.2, 0.1], "und") + group([0.9, 0.1]), ["a"])
    assert len(kept) == 1
    assert drops == {}


def test_sides_are_joined_by_item_whatever_the_order() -> None:
    und = group([0.9, 0.1], "und", "a") + group([0.8, 0.2], "und", "b")
    gen = group([0.7, 0.3], "gen", "b") + group([1.0, 0.5], "gen", "a")
    kept, drops = made(und + gen, ["b", "a"])
    assert [preference.item_id for preference in kept] == ["b", "a"]
    assert drops == {}
    for preference in kept:
        assert preference.caption == f"caption of {preference.item_id}"
        for duel in (preference.und, preference.gen):
            assert duel is not None
            assert duel.winner.item_id == duel.loser.item_id == preference.item_id
            assert duel.margin > 0


def test_an_item_with_one_side_alone() -> None:
    candidates = group([0.9, 0.1], "und") + group([0.5, 0.5])
    kept, drops = made(candidates, ["a"])
    assert kept == []
    assert drops == {"gen: tie": 1, "unpaired": 1}
    kept, drops = made(candidates, ["a"], pairing="either")
    assert kept[0].gen is None
    assert kept[0].und is not None
    assert drops == {"gen: tie": 1}
    kept, drops = made(candidates, ["a"], pairing="either", objective="gen")
    assert kept == []
    assert drops == {"gen: tie": 1, "unpaired": 1}


@given(data=st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=5))
def test_every_item_is_kept_or_counted(data: list[tuple[list[float], list[float]]]) -> None:
    ids = [f"item {k}" for k in range(len(data))]
    candidates = []
    for item, (und, gen) in zip(ids, data, strict=True):
        candidates += group(und, "und", item) + group(gen, "gen", item)
    kept, drops = made(candidates, ids)
    und_drops = sum(count for reason, count in drops.items() if reason.startswith("und: "))
    gen_drops = sum(count for reason, count in drops.items() if reason.startswith("gen: "))
    assert len(ids) == len(kept) + drops.get("unpaired", 0) + (und_drops + gen_drops - drops.get("unpaired", 0)) // 2


def test_the_file_is_one_json_a_line_and_reads_back(tmp_path: Path) -> None:
    kept, _ = made(group([0.9, 0.1], "und") + group([0.9, 0.1]), ["a"])
    write_jsonl(tmp_path / "preferences.jsonl", kept)
    lines = (tmp_path / "preferences.jsonl").read_text().splitlines()
    assert [json.loads(line)["item_id"] for line in lines] == ["a"]
    assert read_records(tmp_path / "preferences.jsonl", Preference) == kept


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text("{}\n")
    with pytest.raises(HermesError, match="line 1 is not a Preference"):
        read_records(tmp_path / "p.jsonl", Preference)


def test_a_line_separator_in_a_caption_is_part_of_it(tmp_path: Path) -> None:
    text = "a red\u2028circle\u0085"
    one = Candidate(item_id="a", side="und", round=1, index=0, seed=0, score=1.0, text=text)
    write_jsonl(tmp_path / "candidates.jsonl", [one])
    assert read_records(tmp_path / "candidates.jsonl", Candidate) == [one]
