"""HermesFlow's data scripts, case by case: the same pairs where they are right, a counted drop where they are not."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.align.pairs.exchange import read_pairs
from hermes.align.pairs.preferences import (
    SIDES,
    Bar,
    Candidate,
    Duel,
    Preference,
    Side,
    best_and_worst,
    build,
    raise_bars,
)
from hermes.harness.records.store import Store

GOLDEN = Path(__file__).parents[3] / "shared" / "parity" / "scorers" / "hermesflow_dpo.json"
KINDS: dict[Side, tuple[str, str]] = {"und": ("caption", "bert_score"), "gen": ("image", "vqa_score")}
Case = Mapping[str, Any]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    if not GOLDEN.exists():
        pytest.skip("the golden data are not here")
    content: dict[str, Any] = json.loads(GOLDEN.read_text())
    return content


def captions(case: Case, number: int = 1) -> list[Candidate]:
    """The captions of a case with their similarities."""
    scored = zip(case["caption_mmu"], case["similarities"], strict=True)
    return [_candidate(case["id"], "und", number, index, score, text) for index, (text, score) in enumerate(scored)]


def images(item: Any, scores: Sequence[float], number: int = 1) -> list[Candidate]:
    """The images of an item, named as the scripts name them."""
    folder = f"datasets/journeydb/generated_images{'' if number == 1 else f'_iter{number}'}"
    return [
        _candidate(item, "gen", number, index, score, f"{folder}/{item}/{index}.png")
        for index, score in enumerate(scores)
    ]


def _candidate(item: Any, side: Side, number: int, index: int, score: float, content: str) -> Candidate:
    fields = {"item_id": str(item), "side": side, "round": number, "index": index, "seed": 0, "score": score}
    return Candidate.model_validate(fields | {"text" if side == "und" else "image": content})


def both(cases: Iterable[Case], number: int = 1) -> list[Candidate]:
    found: list[Candidate] = []
    for case in cases:
        found += captions(case, number) + images(case["id"], case["vqa_scores"], number)
    return found


def made(
    ids: Iterable[Any], rounds: Sequence[Iterable[Candidate]], rule: str = "fresh"
) -> tuple[dict[str, Preference], dict[str, int]]:
    """Every item with a pair of either side, and the drops."""
    items = {str(item): (f"real {item}", f"caption of {item}") for item in ids}
    kept, drops = build(
        items,
        {key: [bar] for key, bar in raise_bars(rounds, rule).items()},
        number=len(rounds),
        prompt="caption?",
        threshold=0.6,
        pairing="either",
        objective="sum",
    )
    return {preference.item_id: preference for preference in kept}, drops


def told(side: Side, pair: Bar | Duel | None) -> dict[str, Any] | None:
    """A pair in the words of the released file."""
    if pair is None:
        return None
    winner, loser = pair if isinstance(pair, tuple) else (pair.winner, pair.loser)
    content, score = KINDS[side]
    return {
        f"{content}_win": winner.text if side == "und" else winner.image,
        f"{content}_lose": loser.text if side == "und" else loser.image,
        f"{score}_win": winner.score,
        f"{score}_lose": loser.score,
    }


def expected(side: Side, case: Case) -> dict[str, Any]:
    return {f"{key}_{end}": case["expected"][f"{key}_{end}"] for key in KINDS[side] for end in ("win", "lose")}


def duel(kept: Mapping[str, Preference], item: Any, side: Side) -> Duel | None:
    preference = kept.get(str(item))
    return None if preference is None else preference.und if side == "und" else preference.gen


def test_every_caption_pair_of_the_first_round(golden: dict[str, Any]) -> None:
    kept, drops = made((case["id"] for case in golden["cases"]), [both(golden["cases"])])
    ties = 0
    for case in golden["cases"]:
        winner, loser = best_and_worst(captions(case))
        wanted = (case["expected"]["understanding_win_index"], case["expected"]["understanding_lose_index"])
        assert (winner.index, loser.index) == wanted
        assert told("und", (winner, loser)) == expected("und", case)
        found = told("und", duel(kept, case["id"], "und"))
        if case["expected"]["caption_win"] == case["expected"]["caption_lose"]:
            ties += 1  # One caption, or several that score alike: the script writes the same text twice.
            assert found is None
        else:
            assert found == expected("und", case)
    assert drops["und: tie"] == ties == 66


def test_every_image_pair_of_the_first_round(golden: dict[str, Any]) -> None:
    kept, drops = made((case["id"] for case in golden["cases"]), [both(golden["cases"])])
    stale = 0
    for case in golden["cases"]:
        bar = best_and_worst(images(case["id"], case["vqa_scores"]))
        assert [one.index for one in bar] == case["expected"]["indices_if_recomputed_without_the_stale_bug"]
        found = duel(kept, case["id"], "gen")
        if case["expected"]["generation_indices_are_stale"]:
            stale += 1
            assert found is None
        else:
            wanted = (case["expected"]["generation_win_index"], case["expected"]["generation_lose_index"])
            assert found
            assert (found.winner.index, found.loser.index) == wanted
            assert told("gen", found) == expected("gen", case)
    assert (len(golden["cases"]), stale) == (golden["aggregates"]["records"], golden["aggregates"]["stale"])
    assert (drops["gen: tie"], drops["gen: threshold"]) == (53, 45)
    assert drops["gen: tie"] + drops["gen: threshold"] == golden["aggregates"]["stale"]
    assert "gen: no candidates" not in drops


def two_rounds(golden: dict[str, Any]) -> list[list[Candidate]]:
    return [both(golden["cases"]), both(golden["iterative_cases"], 2)]


def test_every_bar_of_the_second_round(golden: dict[str, Any]) -> None:
    """Captions and all scores as the script has them; images, too, but where it inherits those of a stale record."""
    bars = raise_bars(two_rounds(golden), "released")
    stale = {str(case["id"]) for case in golden["cases"] if case["expected"]["generation_indices_are_stale"]}
    differing = set()
    for case in golden["iterative_cases"]:
        item = str(case["id"])
        assert told("und", bars[item, "und"]) == expected("und", case)
        found, wanted = told("gen", bars[item, "gen"]), expected("gen", case)
        assert found
        assert found["image_win"] == wanted["image_win"]
        assert (found["vqa_score_win"], found["vqa_score_lose"]) == (wanted["vqa_score_win"], wanted["vqa_score_lose"])
        if found["image_lose"] != wanted["image_lose"]:
            differing.add(item)
    assert differing
    assert differing <= stale


def test_where_the_second_round_raises_the_bar(golden: dict[str, Any]) -> None:
    """Where the new best is better, all rules that look back agree, and the counts are the script's."""
    released, paper = (raise_bars(two_rounds(golden), rule) for rule in ("released", "paper"))
    before = raise_bars([both(golden["cases"])], "fresh")
    assert len(golden["iterative_cases"]) == golden["aggregates"]["iterative_records"]
    raised = {side: [key for key in released if key[1] == side and _raised(released, before, key)] for side in SIDES}
    assert len(raised["und"]) == golden["aggregates"]["iterative_caption_improved"]
    assert len(raised["gen"]) == golden["aggregates"]["iterative_image_improved"]
    for key in raised["und"] + raised["gen"]:
        assert released[key] == paper[key] == (released[key][0], before[key][0])


def _raised(after: Mapping[Any, Bar], before: Mapping[Any, Bar], key: Any) -> bool:
    return after[key][0].score > before[key][0].score


def test_the_second_rounds_that_are_no_pairs_are_counted(golden: dict[str, Any]) -> None:
    ids = [case["id"] for case in golden["iterative_cases"]]
    kept, drops = made(ids, two_rounds(golden), "released")
    assert {name: count for name, count in drops.items() if name != "unpaired"} == {
        "gen: inverted": 24,
        "gen: threshold": 27,
        "gen: tie": 26,
        "und: inverted": 26,
        "und: tie": 8,
    }
    for case in golden["iterative_cases"]:
        for side in SIDES:
            wanted = expected(side, case)
            score = KINDS[side][1]
            valid = wanted[f"{score}_win"] > wanted[f"{score}_lose"]
            valid = valid and (side == "und" or wanted["vqa_score_win"] > 0.6)
            assert (duel(kept, case["id"], side) is not None) == valid
    _, drops = made(ids, two_rounds(golden), "paper")
    assert not [reason for reason in drops if reason.endswith("inverted")]


@pytest.mark.parametrize("number", [1, 2])
def test_two_files_in_other_orders_are_joined_by_id(golden: dict[str, Any], number: int) -> None:
    """The scripts give an item the scores that stand in its position; Hermes gives it its own."""
    name = ("alignment_by_position_cases_initial", "alignment_by_position_cases_iterative")[number - 1]
    misplaced = golden[name]
    ids = [case["understanding_id"] for case in misplaced]
    own = {case["id"]: case for case in golden["cases"]}
    texts = [candidate for item in ids for candidate in captions(own[item])]
    pictures = [one for case in misplaced for one in images(case["generation_id"], case["vqa_scores"], number)]
    earlier = [both(golden["cases"])] if number == 2 else []
    found = raise_bars([*earlier, [*texts, *pictures]], "released")
    right = golden["cases"] if number == 1 else golden["iterative_cases"]
    scores = {case["id"]: expected("gen", case) for case in right}
    wrong = 0
    for case in misplaced:
        item = case["understanding_id"]
        bar = found[str(item), "gen"]
        assert {one.item_id for one in bar} == {str(item)}
        mine = told("gen", bar)
        assert mine
        assert (mine["vqa_score_win"], mine["vqa_score_lose"]) == tuple(
            scores[item][key] for key in ("vqa_score_win", "vqa_score_lose")
        )
        wrong += mine["vqa_score_win"] != case["expected"]["vqa_score_win"]
    assert wrong > len(misplaced) // 2


def test_what_stops_the_script_is_counted(golden: dict[str, Any]) -> None:
    """An error of the script loses all records after it; its stale ones hold images of the record before."""
    wanted: dict[str, tuple[list[list[int] | None], dict[str, int]]] = {
        "first_record_fails_condition_tie": ([None, [0, 1]], {"gen: tie": 1}),
        "first_record_fails_condition_low": ([None, [0, 1]], {"gen: threshold": 1}),
        "first_ok_then_stale_then_ok": ([[1, 0], None, [3, 1]], {"gen: threshold": 1}),
        "stale_index_beyond_list_length": ([[9, 0], None], {"gen: tie": 1}),
        "empty_vqa_list": ([[0, 1], None], {"gen: no candidates": 1}),
        "empty_caption_list": ([[0, 1], [1, 0]], {"und: no candidates": 1}),
        "exactly_0.6_is_not_enough": ([[0, 1], None], {"gen: threshold": 1}),
        "just_above_0.6": ([[0, 1], [1, 0]], {}),
    }
    assert {case["name"] for case in golden["error_cases"]} == set(wanted)
    for case in golden["error_cases"]:
        scores: list[list[float]] = case["vqa_scores"]
        pool = [one for item, given in enumerate(scores) for one in images(item, given)]
        for item in set(range(len(scores))) - set(case["empty_caption_list_at"]):
            pool += [_candidate(item, "und", 1, index, 1.0 - index, f"text {index}") for index in range(2)]
        kept, drops = made(range(len(scores)), [pool])
        duels = [duel(kept, item, "gen") for item in range(len(scores))]
        found = [one and [one.winner.index, one.loser.index] for one in duels]
        assert (found, drops) == wanted[case["name"]]
        assert all(own in (None, theirs) for own, theirs in zip(found, case["win_lose_index"], strict=False))


def written(folder: Path, cases: Iterable[Case]) -> Path:
    """Records as the scripts append them; an image is there where the item's own candidates have it."""
    path = folder / "datasets" / "journeydb" / "pair_dpo_data.json"
    path.parent.mkdir(parents=True)
    text = ""
    for case in cases:
        image = {"img_path": f"datasets/journeydb/initial_images/{case['id']}.png"}
        record = {"id": case["id"], **image, "prompt": "", "caption": case["caption"]}
        record |= expected("und", case) | expected("gen", case)
        text += json.dumps(record, ensure_ascii=False, indent=4) + ",\n"
        for key in ("img_path", "image_win", "image_lose"):
            place = folder / str(record[key])
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (1, 1), (len(text) % 256, 0, len(key))).save(place)
    path.write_text(text)
    return path


def reading(folder: Path) -> Callable[[Image.Image], str]:
    return lambda image: Store(folder / "kept").keep_images([image])[0]


def test_the_released_file_gives_the_pairs_that_its_candidates_give(golden: dict[str, Any], tmp_path: Path) -> None:
    """The 98 stale records are found by their scores, without the candidates."""
    kept, drops = made((case["id"] for case in golden["cases"]), [both(golden["cases"])])
    read, read_drops = read_pairs(written(tmp_path, golden["cases"]), reading(tmp_path), "caption?")
    assert read_drops == drops
    assert [preference.item_id for preference in read] == list(kept)
    for preference in read:
        assert told("und", preference.und) == told("und", kept[preference.item_id].und)
        mine, theirs = preference.gen, kept[preference.item_id].gen
        assert (mine is None) == (theirs is None)
        if mine and theirs:
            for one, other in ((mine.winner, theirs.winner), (mine.loser, theirs.loser)):
                assert one.score == other.score
                assert (tmp_path / "kept" / "media" / f"{one.image}.png").read_bytes() == (
                    tmp_path / str(other.image)
                ).read_bytes()


def test_the_second_file_and_its_misplaced_records(golden: dict[str, Any], tmp_path: Path) -> None:
    ids = [case["id"] for case in golden["iterative_cases"]]
    _, drops = made(ids, two_rounds(golden), "released")
    path = written(tmp_path / "aligned", golden["iterative_cases"])
    assert read_pairs(path, reading(tmp_path / "aligned"), "caption?")[1] == drops
    texts = {case["id"]: case for case in golden["iterative_cases"]}
    misplaced = [
        {**texts[case["understanding_id"]], "expected": texts[case["understanding_id"]]["expected"] | case["expected"]}
        for case in golden["alignment_by_position_cases_iterative"]
    ]
    read, drops = read_pairs(written(tmp_path / "misplaced", misplaced), reading(tmp_path / "misplaced"), "caption?")
    assert drops["gen: other item"] == len(misplaced) == 20
    assert all(preference.gen is None for preference in read)


def test_without_the_golden_data_a_stale_record_is_no_pair() -> None:
    """Item 1 has no image above 0.6: the script writes images 2 and 0, which were item 0's."""
    pool = images(0, [0.1, 0.5, 0.9]) + images(1, [0.5, 0.6, 0.2]) + images(2, [0.7, 0.7])
    kept, drops = made([0, 1, 2], [pool])
    assert list(kept) == ["0"]
    assert drops == {"gen: threshold": 1, "gen: tie": 1, "und: no candidates": 3}


def test_without_the_golden_data_a_first_record_without_a_pair_stops_nothing() -> None:
    kept, drops = made([0, 1], [images(0, [0.6, 0.6]) + images(1, [0.2, 0.8])])
    assert [(one.gen.winner.index, one.gen.loser.index) for one in kept.values() if one.gen] == [(1, 0)]
    assert drops["gen: tie"] == 1


def test_without_the_golden_data_captions_that_score_alike_are_no_pair() -> None:
    case = {"id": "x", "caption_mmu": ["a", "b"], "similarities": [0.7, 0.7]}
    one = {"id": "y", "caption_mmu": ["a"], "similarities": [0.7]}
    assert made(["x", "y"], [captions(case) + captions(one)]) == ({}, {"gen: no candidates": 2, "und: tie": 2})


def test_without_the_golden_data_orders_do_not_matter() -> None:
    pictures = {"x": images("x", [0.1, 0.9]), "y": images("y", [0.8, 0.3])}
    for order in (("x", "y"), ("y", "x")):
        kept, _ = made(["x", "y"], [[one for item in order for one in pictures[item]]])
        assert [(item, one.gen.winner.index) for item, one in kept.items() if one.gen] == [("x", 1), ("y", 0)]


def test_without_the_golden_data_a_winner_worse_than_its_loser_is_no_pair() -> None:
    rounds = [images("x", [0.9, 0.8]), images("x", [0.7, 0.2], 2)]
    kept, drops = made(["x"], rounds, "released")
    assert (kept, drops["gen: inverted"]) == ({}, 1)
    kept, drops = made(["x"], rounds, "paper")
    assert kept["x"].gen
    assert (kept["x"].gen.winner.score, kept["x"].gen.loser.score) == (0.9, 0.7)
