"""Each round takes the guidance that is best on validation scenes, and its candidates and sequences are counted."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from align_fake import FakeModel
from PIL import Image
from test_real_items import lines, write

from hermes import terminal
from hermes.align.play.forecast import forecast
from hermes.align.play.measuring import best_guidance
from hermes.align.play.selfplay import align
from hermes.align.settings import AlignSettings
from hermes.harness.data.tables import WORLD_SEED
from hermes.harness.records.types import Request
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Silent
from hermes.harness.system.settings import build
from hermes.leaderboards.read import read_history
from hermes.outcomes import SelfPlay
from hermes.shapes.twins.homologous import rows

SETTINGS: dict[str, Any] = {
    "model": "fake",
    "rounds": 1,
    "items": 6,
    "n": 3,
    "similarity": "facts",
    "critic": "oracle",
    "threshold": 0.2,
    "epochs": 2,
    "batch_size": 2,
    "replay_batch": 4,
    "eval_limit": 4,
    "device": "cpu",
}
RIGHT = {"validation": 1.0, "test": 2.0}
"""The scale at which the fake model draws what was asked for, in the scenes of each split."""

pytestmark = pytest.mark.usefixtures("fake_model")


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def disagreeing(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, float]], None]:
    """`disagreeing(scales)`: the fake model draws rightly at other scales in other splits, else an empty picture."""

    def let(scales: dict[str, float]) -> None:
        known = {row["caption"]: (split, row["image"]) for split in RIGHT for row in rows(split, WORLD_SEED)}
        plain = FakeModel.generate

        def generate(self: FakeModel, requests: Sequence[Request]) -> list[Image.Image]:
            found = []
            for request, picture in zip(requests, plain(self, requests), strict=True):
                split, right = known.get(request.prompt, ("train", picture))
                at = request.config.guidance_scale or 0.0
                wrong = Image.new("RGB", right.size)
                found.append(right if split == "train" or scales[split] == at else wrong)
            return found

        monkeypatch.setattr(FakeModel, "generate", generate)

    return let


def play(folder: Path, said: Said | None = None, **changes: Any) -> dict[str, Any]:
    return align(AlignSettings.model_validate({**SETTINGS, "guidances": (0, 1, 2), "out": folder, **changes}), said)


def test_validation_chooses_where_the_reported_scenes_disagree(
    disagreeing: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disagreeing(RIGHT)
    said = Said()
    history = play(tmp_path / "run", said)
    assert (history["guided"], history["guidances"]) == ("", [0.0, 1.0, 2.0])
    for number, entry in enumerate(history["rounds"]):
        home = tmp_path / "run" / f"round-{number}"
        compared, reported = (
            json.loads((home / what / "results.json").read_text()) for what in ("guidance", "evaluation")
        )
        assert (compared["split"], reported["split"]) == ("validation", "test")
        names = ["homologous-g", "homologous-g@guidance_scale=1", "homologous-g@guidance_scale=2"]
        assert list(compared["results"]) == names
        found = [compared["results"][name]["metrics"]["accuracy"]["value"] for name in names]
        assert found[1] == 1.0 > max(found[0], found[2])
        assert list(reported["results"]) == ["homologous-u", *names[:2]]
        assert entry["guidance"] == 1.0
        assert entry["g_guided"] == reported["results"][names[1]]["metrics"]["accuracy"]
        assert entry["g_guided"]["value"] < 1.0
        assert set(entry["seconds"]) >= {"guidance", "evaluation"}
    (line,) = (line for line in said.lines if line.startswith("round 1, guidance: "))
    assert "G 1.000 [" in line
    assert line.endswith("taken: 1")
    text = (tmp_path / "run" / "report.md").read_text()
    assert "| G (best guidance) | Guidance |" in text
    assert "at its best scale of 0, 1, 2 on validation scenes." in text
    terminal.show(terminal.align_summary(read_history(tmp_path / "run" / "history.json"), "self-play"))
    shown = capsys.readouterr().out
    assert shown.count("at guidance 1") == 2
    assert "G (best guidance)" in " ".join(shown.split())
    outcome = SelfPlay.of(tmp_path / "run")
    assert list(outcome.to_pandas()["guidance"]) == [1.0, 1.0]
    assert "G (best guidance)" in outcome._repr_html_()
    assert play(tmp_path / "run") == history


def test_the_reported_scenes_choose_where_they_are_validation_and_it_is_said(
    disagreeing: Callable[..., None], tmp_path: Path
) -> None:
    disagreeing({"validation": 2.0, "test": 1.0})
    history = play(tmp_path / "run", eval_split="validation")
    assert {entry["guidance"] for entry in history["rounds"]} == {2.0}
    for number in (0, 1):
        home = tmp_path / "run" / f"round-{number}"
        compared, reported = (
            json.loads((home / what / "results.json").read_text())["results"]["homologous-g@guidance_scale=2"]
            for what in ("guidance", "evaluation")
        )
        assert compared["metrics"] == reported["metrics"]
    assert "on these very scenes, which are validation scenes." in (tmp_path / "run" / "report.md").read_text()


def test_no_guidance_is_plain_g_and_is_measured_once(disagreeing: Callable[..., None], tmp_path: Path) -> None:
    disagreeing({"validation": 0.0, "test": 0.0})
    history = play(tmp_path / "run", guidances=(0, 2))
    for number, entry in enumerate(history["rounds"]):
        results = json.loads((tmp_path / "run" / f"round-{number}/evaluation/results.json").read_text())["results"]
        assert list(results) == ["homologous-u", "homologous-g"]
        assert (entry["guidance"], entry["g_guided"]["value"]) == (0.0, 1.0)


def test_of_equals_the_lowest_is_taken() -> None:
    def content(*values: float) -> dict[str, Any]:
        names = ("homologous-g", "homologous-g@guidance_scale=1", "homologous-g@guidance_scale=2.5")
        return {
            "results": {
                name: {"metrics": {"accuracy": {"value": value}}} for name, value in zip(names, values, strict=True)
            }
        }

    settings = AlignSettings(guidances=(2.5, 0, 1))
    assert settings.guidances == (0, 1, 2.5)
    assert best_guidance(settings, content(0.5, 0.75, 0.75)) == 1
    assert best_guidance(settings, content(0.5, 0.5, 0.5)) == 0
    assert best_guidance(settings, content(0.5, 0.75, 0.875)) == 2.5


def test_without_guidances_all_is_as_before(tmp_path: Path) -> None:
    history = play(tmp_path / "run", guidances=(), eval_guidance=1.5)
    assert (history["guided"], "guidances" in history) == ("homologous-g@guidance_scale=1.5", False)
    assert [entry["guidance"] for entry in history["rounds"]] == [1.5, 1.5]
    assert not (tmp_path / "run" / "round-0" / "guidance").exists()
    plain = play(tmp_path / "plain", guidances=())
    assert [(entry["guidance"], entry["g_guided"]) for entry in plain["rounds"]] == [(None, None)] * 2
    assert "guidances" not in AlignSettings().identity()
    assert AlignSettings(guidances=(1,)).identity()["guidances"] == [1.0]


def test_the_scales_are_what_a_self_play_is(tmp_path: Path) -> None:
    play(tmp_path / "run", rounds=1)
    with pytest.raises(HermesError, match="another run"):
        play(tmp_path / "run", rounds=1, guidances=(0, 1))


def test_the_model_s_own_best_scale_has_no_part_in_the_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeModel, "best_guidance", 1.5, raising=False)
    history = play(tmp_path / "run", guidances=(0, 2))
    assert json.loads((tmp_path / "run" / "spec.json").read_text())["settings"]["eval_guidance"] is None
    assert {entry["guidance"] for entry in history["rounds"]} <= {0.0, 2.0}
    found = forecast(AlignSettings.model_validate({**SETTINGS, "guidances": (0, 2), "runs": tmp_path}))
    assert found.evaluated == ("homologous-u", "homologous-g")


def test_a_killed_comparison_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = play(tmp_path / "whole")
    (tmp_path / "run").mkdir()
    from hermes.align.play import measuring

    real = measuring.write_reports

    def killed(out: Path) -> None:
        if out.parent.name == "round-1":
            raise KeyboardInterrupt
        real(out)

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "write_reports", killed)
        with pytest.raises(KeyboardInterrupt):
            play(tmp_path / "run")
    assert not (tmp_path / "run/round-1/evaluation").exists()
    again = play(tmp_path / "run")
    assert [entry["guidance"] for entry in again["rounds"]] == [entry["guidance"] for entry in expected["rounds"]]
    assert [entry["g_guided"] for entry in again["rounds"]] == [entry["g_guided"] for entry in expected["rounds"]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"guidances": (0, -1)}, "guidances = .* is not valid .a guidance scale is 0 or more"),
        ({"guidances": ("0", "much")}, r"guidances\.1 = 'much'"),
        ({"guidances": (0, 1), "eval_guidance": 1.0}, "leave one of the two out"),
    ],
)
def test_scales_that_cannot_be_are_one_line(values: dict[str, Any], words: str) -> None:
    with pytest.raises(HermesError, match=words) as caught:
        build(AlignSettings, overrides=values)
    assert "\n" not in str(caught.value)


def data(home: Path, **files: range) -> Path:
    for name, numbers in files.items():
        write(home / f"{name}.jsonl", lines(home, numbers))
    return home


def test_outside_data_without_validation_items_are_refused(tmp_path: Path) -> None:
    home = data(tmp_path, train=range(6), test=range(6, 9))
    with pytest.raises(HermesError, match="--guidances is chosen from on validation items: ") as caught:
        play(
            tmp_path / "run", data=str(home), items=4, pairing="either", threshold=0.0, judge="oracle", guidances=(0, 1)
        )
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("or leave --guidances out")
    assert not (tmp_path / "run").exists()


def test_outside_validation_items_are_kept_apart_and_are_what_a_self_play_is(tmp_path: Path) -> None:
    home = data(tmp_path / "data", train=range(6), validation=range(9, 12), test=range(6, 9))
    changes = {"data": str(home), "items": 4, "pairing": "either", "threshold": 0.0, "judge": "oracle"}
    history = play(tmp_path / "run", **changes)
    assert all(entry["guidance"] in (0, 1, 2) for entry in history["rounds"])
    spec = json.loads((tmp_path / "run" / "spec.json").read_text())
    assert spec["chosen_on"] != spec["evaluated"]
    write(home / "validation.jsonl", lines(home, range(12, 15)))
    with pytest.raises(HermesError, match=r"another run \(chosen_on "):
        play(tmp_path / "run", **changes)
    write(home / "validation.jsonl", lines(home, range(5, 6)))
    with pytest.raises(HermesError, match="validation and train share an item: 'item-5'"):
        play(tmp_path / "other", **changes)


def test_a_dry_run_says_that_a_guidance_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = AlignSettings.model_validate({**SETTINGS, "guidances": (0, 1.5), "runs": tmp_path})
    found = forecast(settings)
    later = ("candidates", "preferences", "training", "guidance", "evaluation")
    assert [one.missing for one in found.rounds] == [("guidance", "evaluation"), later]
    assert found.evaluated == ("homologous-u", "homologous-g")
    terminal.show(terminal.align_forecast(found))
    text = " ".join(capsys.readouterr().out.split())
    assert "G once more at the guidance of 0, 1.5 that is best on validation scenes" in text


@pytest.mark.parametrize("masks", [1, 3])
def test_what_a_round_draws_and_trains_on_is_counted(
    masks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the fake model's images are masked by a seed; its texts are exact."""
    monkeypatch.setattr(FakeModel, "masks", masks, raising=False)
    history = play(tmp_path / "run", guidances=(), n_images=4, hold=0.5)
    entry = history["rounds"][1]
    assert entry["drawn"] == {"pictures": 6 * 4, "texts": 6 * 3}
    assert history["rounds"][0]["drawn"] == {}
    home = tmp_path / "run" / "round-1"
    kept = [json.loads(line) for line in (home / "preferences.jsonl").read_text().splitlines()]
    und, gen = (sum(one[side] is not None for one in kept) for side in ("und", "gen"))
    assert und
    assert gen
    replayed = entry["training"]["steps"] * 4
    # Winner and loser of both sides in each of two epochs; of what is replayed every other item is a text.
    assert entry["training"]["sequences"] == 2 * (2 * und + 2 * gen * masks) + replayed // 2 * (1 + masks)
    # The reference sees images under each epoch's masks, and texts once, those that are held, too.
    assert entry["training"]["references"] == 2 * und + 2 * (2 * gen * masks) + replayed // 2


def test_the_control_trains_on_what_is_replayed_alone(tmp_path: Path) -> None:
    training = play(tmp_path / "run", guidances=(), objective="replay")["rounds"][1]["training"]
    assert (training["sequences"], training["references"]) == (training["steps"] * 4, 0)


def test_winners_alone_are_half_of_the_sequences(tmp_path: Path) -> None:
    entry = play(tmp_path / "run", guidances=(), side_loss="sft", pairing="either", replay=0)["rounds"][1]
    kept = (tmp_path / "run" / "round-1" / "preferences.jsonl").read_text().splitlines()
    sides = sum(json.loads(line)[side] is not None for line in kept for side in ("und", "gen"))
    assert entry["training"]["sequences"] == 2 * sides
