"""Answers to questions about real pictures as preferences: which questions, who wins, and what is trained on."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from forked import on_processes
from PIL import Image
from test_candidates import items
from test_selfplay import play

from hermes.align.pairs.answers import (
    RIGHT,
    answer_bars,
    answer_candidates,
    answer_requests,
    own_answer_bars,
    questions_of,
)
from hermes.align.pairs.exchange import read_pairs, write_pairs
from hermes.align.pairs.items import Item
from hermes.align.pairs.preferences import Candidate, Preference, read_records
from hermes.align.pairs.tokens import train_pair
from hermes.harness.judges.replies import asked
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Response, Sample

ANSWERS: dict[str, Any] = {"und_pairs": "answers", "pairing": "either", "n": 4, "eval_limit": 1, "rounds": 1}


def item(*questions: dict[str, Any]) -> Item:
    sample = Sample(id="a", group_id="a", ability="generation", prompt="a hat", target=list(questions))
    return Item("a", ImageHandle(Image.new("RGB", (8, 8))), sample, "a hat")


def question(text: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"question": text, "answer": answer, "kind": "any", **more}


COLOR, THERE, COUNT = question("What color?", "red"), question("A hat?", "Yes"), question("How many?", "two")


def said(texts: list[str | None], one: dict[str, Any] = COLOR) -> list[Candidate]:
    responses = [
        Response(key=str(k), sample_id="a/0", index=k, seed=k, prompt_sha256="", text=text, error=None if text else "?")
        for k, text in enumerate(texts)
    ]
    return list(answer_candidates([item(one)], responses, 1, closed=True))


def test_a_free_answer_has_no_fixed_right_one_outside_the_drawn_world() -> None:
    asked = item(COLOR, THERE, COUNT, question("Which?", "a puppy", choices=["a puppy", "a cat"]))
    assert [name for name, _ in questions_of(asked, closed=True)] == ["a/0", "a/1", "a/2", "a/3"]
    assert [name for name, _ in questions_of(asked, closed=False)] == ["a/1", "a/2", "a/3"]


def test_every_question_is_asked_n_times_about_the_real_picture() -> None:
    one = items(1)[0]
    found = list(answer_requests(one, 3, GenerationConfig(), 7, closed=True))
    assert len(found) == 3 * len(one.generation.target)
    assert len({request.key for request in found}) == len(found)
    assert found[0].prompt == asked(one.generation.target[0]["question"])
    assert [request.config.top_k for request in found[:3]] == [1, 3, 4]
    assert all(request.images == (one.image,) for request in found)


def test_answers_are_read_as_the_benchmark_reads_them() -> None:
    assert [(one.text, one.score) for one in said(["Yes, it is.", "no", None], THERE)] == [
        ("Yes", 1.0),
        ("Yes, it is.", 1.0),
        ("no", 0.0),
    ]
    assert [one.score for one in said(["2", "Three"], COUNT)] == [1.0, 1.0, 0.0]
    assert said(["red"])[0].index == RIGHT


@pytest.mark.parametrize(
    ("texts", "loser"),
    [
        (["blue", "green", "green"], "blue"),  # the greedy one is what the model means
        (["red", "blue", "green", "Green.", "red"], "green"),
        (["red", "red"], None),
        ([None, None], None),
    ],
)
def test_the_right_answer_wins_against_the_models_own_wrong_one(texts: list[str | None], loser: str | None) -> None:
    bars = answer_bars(said(texts), "sigmoid")["a"]
    assert [(winner.text, other.text) for winner, other in bars] == ([("red", loser)] if loser else [])


def test_under_other_losses_right_answers_are_alone_and_own_ones_a_group() -> None:
    found = said(["red", "blue", "blue", "blue"])
    assert [winner.text for winner, _ in answer_bars(found, "sft")["a"]] == ["red"]
    bars = answer_bars(found, "gspo")["a"]
    assert [one.index for bar in bars for one in bar] == [0, 2, 1, 3]
    assert bars[0][0].advantage == pytest.approx(1.5, abs=1e-2)


def kept(folder: Path) -> list[Preference]:
    return read_records(folder / "round-1" / "preferences.jsonl", Preference)


@pytest.mark.usefixtures("fake_model")
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_self_play_on_answers_in_any_number_of_processes(tmp_path: Path) -> None:
    def work(folder: Path) -> None:
        play(folder, **ANSWERS)

    play(tmp_path / "alone", **ANSWERS)
    on_processes(3, work, tmp_path / "three")
    for name in ("candidates.jsonl", "preferences.jsonl"):
        alone, three = ((tmp_path / run / "round-1" / name).read_bytes() for run in ("alone", "three"))
        assert alone == three
    found = kept(tmp_path / "alone")
    pair = next(one for one in found if one.und)
    assert pair.und
    assert pair.prompt == pair.und.winner.prompt
    trained = train_pair(pair, tmp_path / "alone" / "media")
    assert trained.und
    assert trained.und[0].prompt == pair.prompt
    candidates = (tmp_path / "alone/round-1/candidates.jsonl").read_text().splitlines()
    texts = [one for one in map(json.loads, candidates) if one["side"] == "und"]
    assert all(one["prompt"] for one in texts)  # no caption was asked for
    assert pair.prompt.splitlines()[0] in (tmp_path / "alone/round-1/pairs.html").read_text()


@pytest.mark.usefixtures("fake_model")
def test_right_answers_by_themselves_ask_the_model_nothing(tmp_path: Path) -> None:
    play(tmp_path / "run", **ANSWERS, side_loss="sft", objective="und", pairs_per_item=2, runs=tmp_path)
    assert len({one.item_id for one in kept(tmp_path / "run")}) == 6
    assert len({(one.item_id, one.prompt) for one in kept(tmp_path / "run")}) == len(kept(tmp_path / "run")) == 12
    assert list(tmp_path.glob("answers/*/homologous-u-*/responses*.jsonl"))
    assert not list(tmp_path.glob("answers/*/candidate-*/responses*.jsonl"))


def test_of_an_own_image_what_the_critic_found_is_told() -> None:
    image = Candidate(item_id="a", side="gen", round=1, index=0, seed=0, score=0.67, image="sha", right="101")
    asked_about = item(COLOR, THERE, COUNT)
    bars = own_answer_bars(asked_about, [image], closed=True, pairs=9)
    assert sorted((winner.text, winner.image) for winner, _ in bars) == [("red", "sha"), ("two", "sha")]
    assert len(own_answer_bars(asked_about, [image], closed=True)) == 1


@pytest.mark.usefixtures("fake_model")
def test_own_images_are_asked_about_what_they_show(tmp_path: Path) -> None:
    own = {**ANSWERS, "und_pairs": "own-answers", "pairing": "both", "side_loss": "sft", "threshold": 0.2}
    play(tmp_path / "run", **own)
    found = kept(tmp_path / "run")
    assert found
    for one in found:
        if one.gen:
            assert [other.image for other in found if other.item_id == one.item_id] == [one.gen.winner.image]
            trained = train_pair(one, tmp_path / "run" / "media", losers=False)
            assert trained.und
            assert trained.gen
            assert trained.und[0].image.sha256() == trained.gen[0].image.sha256()


@pytest.mark.usefixtures("fake_model")
def test_answers_go_through_a_file_of_pairs(tmp_path: Path) -> None:
    play(tmp_path / "run", **ANSWERS)
    pairs = [one for one in kept(tmp_path / "run") if one.und and not one.gen]
    write_pairs(pairs, tmp_path / "run" / "media", tmp_path / "pairs.json")
    found, _ = read_pairs(tmp_path / "pairs.json", lambda _: "", "caption?", pairing="either")
    assert [one.prompt for one in found] == [one.prompt for one in pairs]
    assert [one.und.winner.text for one in found if one.und] == [one.und.winner.text for one in pairs if one.und]
