"""Preference pairs written to and read from HermesFlow's file: round trip, the released spelling, filters, errors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hermes.align.pairs.exchange import pair_candidates, read_pairs, write_pairs
from hermes.align.pairs.preferences import Candidate, Duel, Preference, Side, raise_bars
from hermes.align.pairs.tokens import train_pair
from hermes.harness.records.store import Store
from hermes.harness.system.errors import HermesError

PROMPT = "Describe the picture."
CASES = Path(__file__).parents[3] / "shared" / "cases" / "generation"
KEYS = [
    *("id", "img_path", "prompt", "caption"),
    *("caption_win", "caption_lose", "bert_score_win", "bert_score_lose"),
    *("image_win", "image_lose", "vqa_score_win", "vqa_score_lose"),
]
Change = dict[str, Any]


def square(shade: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (shade, 10, 200))


def keeper(folder: Path) -> Callable[[Image.Image], str]:
    """Keeps images in ``folder``/media and names them."""
    return lambda image: Store(folder).keep_images([image])[0]


def duel(item: str, side: Side, contents: tuple[str, str], scores: tuple[float, float]) -> Duel:
    kind = "text" if side == "und" else "image"
    winner, loser = (
        Candidate.model_validate(
            {"item_id": item, "side": side, "round": 1, "index": 0, "seed": 0, "score": score, kind: content}
        )
        for content, score in zip(contents, scores, strict=True)
    )
    return Duel(winner=winner, loser=loser)


def three(keep: Callable[[Image.Image], str]) -> list[Preference]:
    """One item with both sides, one with captions alone, one with images alone."""
    real, best, worst = (keep(square(shade)) for shade in (1, 2, 3))
    und = duel("a/1", "und", (" A red <hat> & a “scarf”", ""), (0.953, 0.25))
    gen = duel("a/1", "gen", (best, worst), (1.0, 1 / 3))
    both = Preference(item_id="a/1", round=1, image=real, caption="a red hat", prompt=PROMPT, und=und, gen=gen)
    und = duel("b", "und", ("good", "bad"), (0.5, -0.1))
    gen = duel("c", "gen", (worst, best), (0.75, 0.0))
    captions = both.model_copy(update={"item_id": "b", "und": und, "gen": None})
    return [both, captions, both.model_copy(update={"item_id": "c", "und": None, "gen": gen})]


def released(folder: Path, *changes: Change, name: str = "pair_dpo_data.json") -> Path:
    """A file as the released scripts append to it, one object for each change of a sound record, and its images."""
    home = folder / "datasets" / "journydb"
    home.mkdir(parents=True, exist_ok=True)
    texts = []
    for number, change in enumerate(changes):
        item = change.get("id", number)
        own = f"datasets/journydb/generated_images/{item}"
        record = {
            "id": item,
            "img_path": f"datasets/journydb/initial_images/{item}.jpg",
            "prompt": "hat, 4k --ar 3:2",
            "caption": f"A hat, number {item}.",
            "caption_win": " A hat.",
            "caption_lose": " A vase.",
            "bert_score_win": 0.9526261687278748,
            "bert_score_lose": 0.5964741706848145,
            "image_win": f"{own}/5.png",
            "image_lose": f"{own}/0.png",
            "vqa_score_win": 0.667,
            "vqa_score_lose": 0.5,
        }
        for shade, key in enumerate(("img_path", "image_win", "image_lose")):
            path = folder / str(record[key])
            path.parent.mkdir(parents=True, exist_ok=True)
            square(10 * number + shade).save(path)
        kept = {key: value for key, value in (record | change).items() if value != "left out"}
        texts.append(json.dumps(kept, ensure_ascii=False, indent=4) + ",\n")
    (home / name).write_text("".join(texts))
    return home / name


def read(path: Path, **options: Any) -> tuple[list[Preference], dict[str, int]]:
    return read_pairs(path, keeper(path.parent / "kept"), PROMPT, **options)


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    pairs = three(keeper(tmp_path / "run"))
    out = tmp_path / "given" / "pair_dpo_data.json"
    assert write_pairs(pairs, tmp_path / "run" / "media", out) == 3
    assert read(out) == (pairs, {"gen: no candidates": 1, "und: no candidates": 1})
    assert sorted(path.name for path in (out.parent / "kept" / "media").iterdir()) == sorted(
        path.name for path in (tmp_path / "run" / "media").iterdir()
    )


def test_the_file_is_one_json_array_of_the_released_keys(tmp_path: Path) -> None:
    pairs = three(keeper(tmp_path))
    out = tmp_path / "pairs.json"
    write_pairs(pairs, tmp_path / "media", out)
    both, captions, images = json.loads(out.read_text(encoding="utf-8"))
    assert list(both) == KEYS
    assert both["img_path"] == f"media/{pairs[0].image}.png"
    assert (both["caption_win"], both["caption_lose"]) == (" A red <hat> & a “scarf”", "")
    assert (both["vqa_score_win"], both["vqa_score_lose"]) == (1.0, 1 / 3)
    assert both["prompt"] == both["caption"] == "a red hat"
    assert list(captions) == KEYS[:8]
    assert list(images) == KEYS[:4] + KEYS[8:]


def test_plans_go_along_with_their_images(tmp_path: Path) -> None:
    """One that was planned, and one that was drawn from the prompt itself."""
    *_, images = three(keeper(tmp_path / "run"))
    assert images.gen
    planned, plain = (
        end.model_copy(update={"plan": plan})
        for end, plan in zip((images.gen.winner, images.gen.loser), ("a hat on the left", ""), strict=True)
    )
    pairs = [images.model_copy(update={"gen": Duel(winner=planned, loser=plain)})]
    out = tmp_path / "given" / "pair_dpo_data.json"
    write_pairs(pairs, tmp_path / "run" / "media", out)
    assert json.loads(out.read_text())[0]["plan_win"] == "a hat on the left"
    assert read(out)[0] == pairs


def test_images_are_found_from_a_linked_folder(tmp_path: Path) -> None:
    pairs = three(keeper(tmp_path / "run"))
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "deep")
    write_pairs(pairs, tmp_path / "run" / "media", tmp_path / "link" / "pairs.json")
    assert read(tmp_path / "link" / "pairs.json")[0] == pairs


def test_a_missing_image_leaves_the_old_file(tmp_path: Path) -> None:
    pairs = three(keeper(tmp_path))
    out = tmp_path / "pairs.json"
    assert write_pairs([], tmp_path / "media", out) == 0
    (tmp_path / "media" / f"{pairs[0].image}.png").unlink()
    with pytest.raises(HermesError, match=r"\(img_path of item 'a/1'\) is not there"):
        write_pairs(pairs, tmp_path / "media", out)
    assert json.loads(out.read_text()) == []
    assert not list(tmp_path.glob(".*.part"))


def test_the_released_spelling(tmp_path: Path) -> None:
    path = released(tmp_path, {"id": 238}, {"id": "p9", "caption": "", "vqa_score_win": 1})
    (first, second), drops = read(path)
    assert drops == {}
    assert (first.item_id, first.caption, first.prompt, first.round) == ("238", "A hat, number 238.", PROMPT, 1)
    assert second.caption == "hat, 4k --ar 3:2"
    assert first.und
    assert first.gen
    assert second.gen
    assert (first.und.winner.text, first.und.loser.text) == (" A hat.", " A vase.")
    assert (first.und.winner.score, first.und.loser.score) == (0.9526261687278748, 0.5964741706848145)
    assert (first.gen.winner.score, first.gen.loser.score, second.gen.winner.score) == (0.667, 0.5, 1.0)
    one = first.gen.winner
    assert (one.item_id, one.side, one.round, one.index, one.seed, one.text) == ("238", "gen", 1, 0, 0, None)


def test_the_images_reach_the_training_pair(tmp_path: Path) -> None:
    path = released(tmp_path, {}, {})
    _, preference = read(path)[0]
    pair = train_pair(preference, path.parent / "kept" / "media")
    assert pair.und
    assert pair.gen
    winner, loser = (item.image.open().getpixel((0, 0)) for item in pair.gen if item.image)
    assert (winner, loser) == ((11, 10, 200), (12, 10, 200))
    assert pair.gen[0].prompt == "A hat, number 1."
    assert (pair.und[0].prompt, pair.und[0].text) == (PROMPT, " A hat.")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bert_score_win": 0.5, "bert_score_lose": 0.5}, "und: tie"),
        ({"bert_score_win": 0.4}, "und: inverted"),
        ({"caption_lose": " A hat."}, "und: tie"),
        ({"caption_lose": "A  hat. "}, "und: tie"),
        ({"caption_win": None, "caption_lose": "left out"}, "und: no candidates"),
        ({"vqa_score_win": 0.5}, "gen: tie"),
        ({"vqa_score_win": 0.25}, "gen: inverted"),
        ({"vqa_score_win": 0.6}, "gen: threshold"),
        ({"image_lose": "datasets/journydb/generated_images/0/5.png"}, "gen: tie"),
        ({"image_win": "datasets/journydb/generated_images_iter2/7/3.png"}, "gen: other item"),
        ({"image_lose": "datasets/journydb/generated_images/7/0.png"}, "gen: other item"),
        ({"image_win": "left out", "image_lose": "left out"}, "gen: no candidates"),
    ],
)
def test_a_side_that_is_no_pair_is_dropped_and_counted(tmp_path: Path, change: Change, reason: str) -> None:
    path = released(tmp_path, change, {})
    (first, second), drops = read(path)
    assert drops == {reason: 1}
    assert (first.und is None, first.gen is None) == (reason.startswith("und"), reason.startswith("gen"))
    assert second.und
    assert second.gen
    kept, drops = read(path, pairing="both")
    assert [preference.item_id for preference in kept] == ["1"]
    assert drops == {reason: 1, "unpaired": 1}
    kept, _ = read(path, objective="product")
    assert [preference.item_id for preference in kept] == ["1"]


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp"])
def test_one_picture_in_two_files_is_a_tie(tmp_path: Path, suffix: str) -> None:
    """Whatever the file is called, says beside the pixels, or is packed in."""
    note = PngInfo()
    note.add_text("comment", "x")
    copy = f"datasets/journydb/generated_images/0/copy.{suffix}"
    path = released(tmp_path, {"image_lose": copy}, {})
    square(1).save(tmp_path / copy, **({"pnginfo": note} if suffix == "png" else {"lossless": True}))
    kept, drops = read(path)
    assert drops == {"gen: tie": 1}
    assert [preference.gen is None for preference in kept] == [True, False]
    assert [preference.item_id for preference in read(path, pairing="both")[0]] == ["1"]


def test_a_pixel_makes_a_difference(tmp_path: Path) -> None:
    path = released(tmp_path, {"image_lose": "near.png"})
    near = square(1)
    near.putpixel((0, 0), (2, 10, 200))
    near.save(tmp_path / "near.png")
    assert read(path)[1] == {}


@pytest.mark.parametrize(("objective", "missing", "other"), [("und", "image", "gen"), ("gen", "caption", "und")])
def test_an_objective_of_one_side_needs_no_other(tmp_path: Path, objective: str, missing: str, other: str) -> None:
    alone = {f"{missing}_win": "left out", f"{missing}_lose": "left out"}
    path = released(tmp_path, alone, {}, {"bert_score_win": 0.1, "vqa_score_win": 0.1})
    kept, drops = read(path, pairing="both", objective=objective)
    assert [preference.item_id for preference in kept] == ["0", "1"]
    assert drops[f"{other}: no candidates"] == 1
    assert [preference.item_id for preference in read(path, pairing="both")[0]] == ["1"]


def test_the_threshold_can_be_another(tmp_path: Path) -> None:
    path = released(tmp_path, {"vqa_score_win": 0.6})
    assert read(path, threshold=0.5)[1] == {}
    assert read(path, threshold=0.7)[1] == {"gen: threshold": 1}


def test_an_item_without_any_side_is_left_out(tmp_path: Path) -> None:
    kept, drops = read(released(tmp_path, {"bert_score_win": 0.1, "vqa_score_win": 0.1}, {}))
    assert [preference.item_id for preference in kept] == ["1"]
    assert drops == {"gen: inverted": 1, "und: inverted": 1}


def test_left_out_scores_are_one_and_nought(tmp_path: Path) -> None:
    change = dict.fromkeys(("bert_score_win", "bert_score_lose", "vqa_score_win", "vqa_score_lose"), "left out")
    kept, drops = read(released(tmp_path, change, change | {"caption_lose": " A hat."}))
    assert drops == {"und: tie": 1}
    found = [(duel.winner.score, duel.loser.score) for duel in (kept[0].und, kept[0].gen, kept[1].gen) if duel]
    assert found == [(1.0, 0.0)] * 3


def test_images_of_dropped_sides_need_not_be_there(tmp_path: Path) -> None:
    (first,), _ = read(released(tmp_path, {"vqa_score_win": 0.5, "image_win": "gone.png", "image_lose": "lost.png"}))
    assert first.gen is None


def test_images_may_lie_in_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = released(tmp_path / "made", {})
    moved = tmp_path / "elsewhere.json"
    path.rename(moved)
    with pytest.raises(HermesError, match=r"image_win .* is not there; put it beside elsewhere\.json or set"):
        read(moved)
    monkeypatch.setenv("HERMES_IMAGE_ROOT", str(tmp_path / "made"))
    assert len(read(moved)[0]) == 1


def test_nothing_is_stored_before_every_record_is_checked(tmp_path: Path) -> None:
    path = released(tmp_path, {}, {"image_lose": "datasets/journydb/generated_images/1/77.png"})
    with pytest.raises(HermesError, match=r"record 2: image_lose '.*1/77.png' is not there"):
        read(path)
    assert not (path.parent / "kept").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": 0}, "record 2 has the id '0' of record 1; keep one of them"),
        ({"id": "0"}, "record 2 has the id '0' of record 1; keep one of them"),
        ({"id": None}, "record 2: the id must be text or a whole number, not None"),
        ({"id": True}, "record 2: the id must be text or a whole number, not True"),
        ({"img_path": "left out"}, "record 2: img_path is missing"),
        ({"caption": "", "prompt": ""}, "record 2: prompt is missing"),
        ({"caption": ["a"]}, "record 2: caption is missing or is not text"),
        ({"caption_win": "\ud83d"}, "record 2: caption_win is missing or is not text"),
        ({"caption_lose": "left out"}, "record 2 has only one of caption_win and caption_lose"),
        ({"image_win": ""}, "record 2: image_win is missing"),
        ({"vqa_score_lose": "left out"}, "record 2 has only one of vqa_score_win and vqa_score_lose"),
        ({"vqa_score_win": "0.7"}, "record 2: vqa_score_win must be a number of at most 1"),
        ({"vqa_score_win": 66.7}, "record 2: vqa_score_win must be a number of at most 1"),
        ({"bert_score_win": float("nan")}, "record 2: bert_score_win must be a number"),
        ({"bert_score_lose": 10**400}, "record 2: bert_score_lose must be a number"),
        ({"plan_lose": 3}, "record 2: plan_lose is not text"),
        ({"image_win": "x" * 5000}, "record 2: image_win .* is not there"),
        ({"img_path": "datasets"}, "record 2: img_path 'datasets' is not there"),
    ],
)
def test_an_unsound_record_is_one_line(tmp_path: Path, change: Change, words: str) -> None:
    path = released(tmp_path, {}, {})
    first, second = json.loads("[" + path.read_text().rstrip(",\n") + "]")
    second = {key: value for key, value in (second | change).items() if value != "left out"}
    path.write_text(json.dumps([first, second]))
    with pytest.raises(HermesError, match=words) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("text", ["[1]", '{"id": 1', "<html>", '{"238": {"caption": "a"}}'])
def test_a_foreign_or_torn_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(text)
    with pytest.raises(HermesError, match=r"pairs\.json: (record 1|line 1)") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    path = released(tmp_path, {})
    (tmp_path / "datasets/journydb/generated_images/0/5.png").write_bytes(b"none")
    with pytest.raises(HermesError, match=r"image_win of item '0', .*/0/5.png: the image does not decode"):
        read(path)


def test_self_play_goes_on_from_the_pairs(tmp_path: Path) -> None:
    pairs = three(keeper(tmp_path))
    better = pairs[0].gen.winner.model_copy(update={"round": 2, "score": 0.5}) if pairs[0].gen else None
    assert better
    bars = raise_bars([pair_candidates(pairs), [better]], "paper")
    assert {key: (win.score, lose.score) for key, (win, lose) in bars.items()} == {("a/1", "gen"): (1.0, 0.5)}


@pytest.mark.parametrize(
    ("case", "objective", "pairs", "dropped"),
    [
        ("10-pairs-same-pixels", "sum", 0, {"gen: tie": 12, "und: tie": 12}),
        ("27-pairs-captions-alone", "und", 12, {"gen: no candidates": 12}),
    ],
)
def test_files_from_the_field(tmp_path: Path, case: str, objective: str, pairs: int, dropped: dict[str, int]) -> None:
    path = CASES / case / "pairs.json"
    if not path.exists():
        pytest.skip("the cases are not here")
    kept, drops = read_pairs(path, keeper(tmp_path), PROMPT, pairing="both", objective=objective)
    assert (len(kept), drops) == (pairs, dropped)
