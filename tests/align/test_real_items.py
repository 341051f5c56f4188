"""Self-play on real data: nothing that it trains on is measured, and rounds take new items while there are any."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hermes.align.play.selfplay import align
from hermes.align.settings import AlignSettings
from hermes.harness.data.check import check_data
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Silent
from hermes.leaderboards import leaderboard
from hermes.shapes.twins.homologous import rows

SETTINGS: dict[str, Any] = {
    "model": "fake",
    "rounds": 1,
    "items": 4,
    "n": 3,
    "similarity": "facts",
    "critic": "oracle",
    "judge": "oracle",
    "threshold": 0.0,
    "pairing": "either",
    "epochs": 1,
    "batch_size": 4,
    "replay_batch": 2,
    "eval_limit": 3,
    "device": "cpu",
}
Line = dict[str, Any]

pytestmark = pytest.mark.usefixtures("fake_model")


def lines(home: Path, numbers: range) -> list[Line]:
    """Items of the drawn world as files of a user; other numbers are other pictures."""
    home.mkdir(exist_ok=True)
    found = []
    for number in numbers:
        row = rows("validation", 3)[number]
        row["image"].save(home / f"{number}.png")
        found.append({**row, "id": f"item-{number}", "image": f"{number}.png"})
    return found


def write(path: Path, content: list[Line]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in content))
    return path


class Said(Silent):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def play(data: Path, out: Path, said: Said | None = None, **changes: Any) -> dict[str, Any]:
    return align(AlignSettings.model_validate({**SETTINGS, "data": str(data), "out": out, **changes}), said)


def trained(out: Path, number: int) -> set[str]:
    drawn = (out / f"round-{number}" / "candidates.jsonl").read_text().splitlines()
    return {json.loads(line)["item_id"] for line in drawn}


def measured(out: Path) -> set[str]:
    stores = out.glob("answers/*/homologous-*/responses.*.jsonl")
    return {json.loads(line)["sample_id"].partition("/")[0] for store in stores for line in store.open()}


def test_one_file_is_divided_and_every_round_has_new_items(tmp_path: Path) -> None:
    data, said = tmp_path / "data", Said()
    data.mkdir()
    write(data / "items.jsonl", lines(data, range(24)))
    history = play(data, tmp_path / "run", said, rounds=3, items=7)
    rounds = [trained(tmp_path / "run", number) for number in (1, 2, 3)]
    assert [len(items) for items in rounds] == [7, 7, 7]
    assert rounds[0].isdisjoint(rounds[1])
    held = measured(tmp_path / "run")
    assert held
    assert held.isdisjoint(set.union(*rounds))
    total = len(set.union(*rounds))
    divided = f"{data} has no splits: train 70 %, validation 15 %, test 15 % by a hash of each picture"
    again = f"round 3: {data} has {total} items to train on; {21 - total} of 7 come again"
    assert said.lines[0] == history["data"] == divided
    assert [line for line in said.lines if "come again" in line] == [again]
    assert f"| data | {divided} |" in (tmp_path / "run" / "report.md").read_text()
    assert leaderboard([tmp_path / "run"])


def test_a_round_that_begins_late_is_the_same_as_in_one_go(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write(data / "items.jsonl", lines(data, range(16)))
    play(data, tmp_path / "whole", rounds=2)
    play(data, tmp_path / "parts", rounds=1)
    play(data, tmp_path / "parts", rounds=2)
    for name in ("candidates.jsonl", "preferences.jsonl", "evaluation/results.json"):
        found = [(tmp_path / out / "round-2" / name).read_bytes() for out in ("whole", "parts")]
        assert found[0] == found[1]


def test_rules_that_compare_rounds_keep_their_items(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write(data / "items.jsonl", lines(data, range(16)))
    play(data, tmp_path / "run", rounds=2, rule="released")
    assert trained(tmp_path / "run", 1) == trained(tmp_path / "run", 2)


def test_more_items_than_train_has_is_one_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write(data / "train.jsonl", lines(data, range(5)))
    write(data / "test.jsonl", lines(data, range(5, 8)))
    with pytest.raises(HermesError, match=r"holds 5 homologous items to train on, but 6 .*; give --items 5$"):
        play(data, tmp_path / "run", items=6)


def one_picture_twice(data: Path, test: list[Line]) -> None:
    note = PngInfo()
    note.add_text("comment", "x")
    Image.open(data / "2.png").save(data / "copy.png", pnginfo=note)
    test[1]["image"] = "copy.png"


def one_id_twice(data: Path, test: list[Line]) -> None:
    test[1]["id"] = "item-2"


def one_item_twice(data: Path, test: list[Line]) -> None:
    test[1:] = lines(data, range(2, 4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (one_picture_twice, "test and train share an item: 'item-7', which shows the picture of 'item-2'; keep each"),
        (one_id_twice, "test and train share an item: 'item-2', which stands in both; keep each"),
        (
            one_item_twice,
            "test and train share 2 items, such as 'item-2', which shows the picture of 'item-2'",
        ),
    ],
)
def test_an_item_in_train_and_test_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    data = tmp_path / "data"
    write_both(data, change)
    with pytest.raises(HermesError, match=words) as caught:
        play(data, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    (problem,) = check_data("homologous-u", str(data)).problems
    assert (problem.kind, problem.examples) == ("in two splits", (words.partition(";")[0],))


def write_both(data: Path, change: Any) -> None:
    data.mkdir()
    write(data / "train.jsonl", lines(data, range(6)))
    test = lines(data, range(6, 9))
    change(data, test)
    write(data / "test.jsonl", test)


def test_validation_is_looked_at_where_it_is_measured(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_both(data, lambda *_: None)
    write(data / "valid.jsonl", lines(data, range(5, 6)))
    play(data, tmp_path / "without")
    with pytest.raises(HermesError, match="validation and train share an item: 'item-5'"):
        play(data, tmp_path / "with", patience=1)


def test_one_picture_with_two_captions_may_be_trained_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_both(data, lambda *_: None)
    twice = lines(data, range(6))
    write(data / "train.jsonl", [*twice, {**twice[0], "id": "again"}])
    play(data, tmp_path / "run", items=7)
    assert "again" in trained(tmp_path / "run", 1)


def test_pairs_of_evaluated_pictures_are_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_both(data, lambda *_: None)
    pair = {"id": 0, "caption": "c", "caption_win": "a red circle", "caption_lose": "a blue square"}
    for name, number in (("fine", 1), ("taken", 7)):
        (tmp_path / f"{name}.json").write_text(json.dumps([{**pair, "img_path": f"data/{number}.png"}]))
    play(data, tmp_path / "fine", pairs=tmp_path / "fine.json")
    with pytest.raises(HermesError, match=r"test and taken\.json share an item: 'item-7', which shows the picture"):
        play(data, tmp_path / "taken", pairs=tmp_path / "taken.json")


def test_any_model_can_be_measured_on_what_is_held_out(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write(data / "items.jsonl", lines(data, range(16)))
    play(data, tmp_path / "run", eval_limit=None)
    wanted: Line = {"model": "fake", "tasks": ("homologous-u", "homologous-g"), "judge": "oracle", "device": "cpu"}
    wanted["data"] = str(data)
    whole, held = (
        evaluate(
            EvalSettings.model_validate({**wanted, "data": str(data), "held_out": held, "out": tmp_path / f"{held}"})
        )
        for held in (False, True)
    )
    played = json.loads((tmp_path / "run" / "round-0" / "evaluation" / "results.json").read_text())["results"]
    for task, result in held["results"].items():
        assert result.data.fingerprint == played[task]["data"]["fingerprint"]
        assert result.data.n < whole["results"][task].data.n


def test_captions_alone_train_an_objective_of_captions(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_both(data, lambda *_: None)
    alone = {"caption": "c", "caption_win": "a red circle", "caption_lose": "a blue square"}
    tied = alone | {"caption_lose": "a red  circle "}
    records = [{"id": k, "img_path": f"data/{k}.png", **(alone if k < 3 else tied)} for k in range(5)]
    (tmp_path / "pairs.json").write_text(json.dumps(records))
    changes = {"pairs": tmp_path / "pairs.json", "pairing": "both", "objective": "und"}
    entry = play(data, tmp_path / "run", **changes)["rounds"][1]
    assert (entry["pairs"], entry["drops"]) == (3, {"gen: no candidates": 5, "und: tie": 2})
    (tmp_path / "pairs.json").write_text(json.dumps(records[3:]))
    with pytest.raises(
        HermesError, match=r"pair to train on \(2 without candidates, 2 ties\); put other pairs into pairs"
    ):
        play(data, tmp_path / "none", **changes)


def test_other_evaluation_items_are_another_self_play(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_both(data, lambda *_: None)
    play(data, tmp_path / "run")
    write(data / "test.jsonl", lines(data, range(9, 12)))
    with pytest.raises(HermesError, match=r"another run \(evaluated "):
        play(data, tmp_path / "run")


def test_the_drawn_world_says_nothing_of_data(tmp_path: Path) -> None:
    said = Said()
    history = play(Path("shapes"), tmp_path / "run", said)
    assert "data" not in history
    assert not any("train" in line for line in said.lines)
    assert "evaluated" not in json.loads((tmp_path / "run" / "spec.json").read_text())
