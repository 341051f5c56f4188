"""Self-play of models of one side: a pipeline that draws, a chat model that answers; what is refused and said."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from align_fake import FakeModel
from forked import on_processes
from safetensors.torch import load_file
from theirs.coin import Coin

from hermes import terminal
from hermes.align.pairs.exchange import write_pairs
from hermes.align.pairs.preferences import Candidate, Preference, read_records
from hermes.align.play.forecast import forecast
from hermes.align.play.selfplay import align
from hermes.align.settings import AlignSettings
from hermes.harness.models.pipeline.adapter import DiffusersModel
from hermes.harness.records.types import GenerationConfig
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import leaderboard
from hermes.leaderboards.arms import write_report
from hermes.leaderboards.read import read_history

MODELS = Path(__file__).parents[1] / "harness" / "models"
SETTINGS: dict[str, Any] = {
    "data": "shapes",
    "items": 4,
    "rounds": 1,
    "eval_limit": 2,
    "epochs": 2,
    "batch_size": 4,
    "replay_batch": 4,
    "lr": 1e-3,
    "bf16": False,
    "device": "cpu",
}
DRAWS = {"critic": "coin", "judge": "coin", "threshold": 0.01, "n": 3, "masks": 1}
ANSWERS = {"caption_tokens": 8, "n": 4, "similarity": "facts"}
SIDES = {"generation": ("u", "answers no questions"), "understanding": ("g", "draws no images")}


def offered(patch: pytest.MonkeyPatch) -> None:
    """A judge by coin, and pipelines that draw in two steps."""
    patch.setitem(registry._of_files, ("judges", "coin"), registry.Offer("judges", "coin", Coin, "coin.py"))
    few = GenerationConfig(guidance_scale=0.0, steps=2)
    patch.setattr("hermes.harness.models.pipeline.drawing.own_defaults", lambda pipe: few)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    pytest.importorskip("torchvision")
    sys.path.insert(0, str(MODELS))
    import tiny_pipelines
    import tiny_vlms

    root = tmp_path_factory.mktemp("one-sided")
    return {
        "generation": f"diffusers:{tiny_pipelines.stable_diffusion(root / 'drawer')}",
        "understanding": f"hf:{tiny_vlms.llava(root / 'answerer')}",
    }


def play(folder: Path, **changes: Any) -> dict[str, Any]:
    return align(AlignSettings.model_validate({**SETTINGS, "out": folder, **changes}))


@pytest.fixture(scope="module")
def played(checkpoints: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A self-play of each."""
    folders = {side: tmp_path_factory.mktemp("played") / side for side in checkpoints}
    with pytest.MonkeyPatch.context() as patch:
        offered(patch)
        for side, folder in folders.items():
            play(folder, model=checkpoints[side], **(DRAWS if side == "generation" else ANSWERS))
    return folders


@pytest.mark.parametrize("side", SIDES)
def test_a_round_draws_trains_and_measures_its_own_side(side: str, played: dict[str, Path]) -> None:
    missing, lacks = SIDES[side]
    content = json.loads((played[side] / "history.json").read_text())
    own = "g" if missing == "u" else "u"
    assert content["undefined"] == lacks
    for entry in content["rounds"]:
        assert (entry[missing], entry["gap"]) == (None, None)
        assert 0 <= entry[own]["value"] <= 1
        assert list(entry["results"]) == [f"homologous-{own}"]
    (_, last) = content["rounds"]
    kind = {"u": "und", "g": "gen"}[own]
    assert last["pairs"] > 0
    assert not any(reason.startswith("gen" if own == "u" else "und") for reason in last["drops"])
    assert last["training"][f"agree_{kind}"] is not None
    home = played[side] / "round-1"
    assert {one.side for one in read_records(home / "candidates.jsonl", Candidate)} == {kind}
    before, after = (json.loads((played[side] / f"round-{n}/evaluation/results.json").read_text()) for n in (0, 1))
    assert before["model"]["fingerprint"] != after["model"]["fingerprint"]
    assert before["gap"] == {"homologous": None, "benchmarks": None, "variants": {}, "undefined": lacks}


@pytest.mark.parametrize("side", SIDES)
def test_the_gap_is_said_to_be_undefined(
    side: str, played: dict[str, Path], checkpoints: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why, folder = f"undefined: the model {SIDES[side][1]}", played[side]
    history = read_history(folder / "history.json")
    terminal.show(terminal.align_summary(history, "self-play"))
    settings = AlignSettings.model_validate({**SETTINGS, "model": checkpoints[side], "out": folder})
    terminal.show(terminal.align_forecast(forecast(settings)))
    run = history.evaluations[1]
    terminal.show(terminal.eval_summary({**dict(run), "gap": run.gap.model_dump()}))
    assert capsys.readouterr().out.count(why) == 3
    for page in ("report.html", "round-1/evaluation/report.html"):
        text = (folder / page).read_text()
        assert why in text
    table = leaderboard([folder], format="md")
    assert "undefined" in table
    assert SIDES[side][1] in table
    write_report(tmp_path, {"arm": folder}, "arm", {})
    assert "undefined" in (tmp_path / "report.md").read_text()
    card = (folder / "round-1" / "checkpoint" / "README.md").read_text()
    assert f"which is undefined for a model that {SIDES[side][1]}" in card


def test_a_killed_self_play_of_a_pipeline_ends_as_a_whole_one(
    played: dict[str, Path], checkpoints: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered(monkeypatch)
    settings = {"model": checkpoints["generation"], **DRAWS}

    def killed(model: DiffusersModel, folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DiffusersModel, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            play(tmp_path / "run", **settings)
    assert any((tmp_path / "run/round-1/training/states").iterdir())
    play(tmp_path / "run", **settings)
    for name in ("checkpoint/unet/diffusion_pytorch_model.safetensors", "preferences.jsonl", "evaluation/results.json"):
        assert (tmp_path / "run/round-1" / name).read_bytes() == (played["generation"] / "round-1" / name).read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_two_processes_end_where_one_does(
    played: dict[str, Path], checkpoints: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered(monkeypatch)

    def work() -> None:
        play(tmp_path / "run", model=checkpoints["generation"], **DRAWS)

    on_processes(2, work)
    name = "round-1/checkpoint/unet/diffusion_pytorch_model.safetensors"
    alone, together = (load_file(folder / name) for folder in (played["generation"], tmp_path / "run"))
    import torch

    for key, value in alone.items():
        # AdamW makes a step of what is rounding in a gradient near 0.
        torch.testing.assert_close(together[key], value, rtol=1e-3, atol=1e-3)


REFUSED: dict[str, dict[str, Any]] = {
    "generation": {
        "objective": "product",
        "pairing": "both",
        "patience": 1,
        "confidence": True,
        "hold": 1.0,
        "regmean": 1.0,
        "caption_tokens": 10,
        "critic": "self",
        "judge": "self",
        "eval_tasks": ("pope",),
    },
    "understanding": {
        "objective": "gen",
        "pairing": "both",
        "patience": 1,
        "confidence": True,
        "n_images": 4,
        "critic": "oracle",
        "masks": 2,
        "eval_guidance": 2.0,
        "differ": "count",
        "guidances": (0.0, 1.0),
        "regmean": 1.0,
        "eval_tasks": ("geneval",),
    },
}


@pytest.fixture
def of_one_side(fake_model: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`of_one_side(ability)` leaves the fake model nothing else."""

    def leave(ability: str) -> None:
        monkeypatch.setattr(FakeModel, "abilities", (ability,))

    return leave


@pytest.mark.parametrize(("side", "name"), [(side, name) for side, names in REFUSED.items() for name in names])
def test_what_asks_for_the_other_side_is_refused_before_anything_is_loaded(
    side: str, name: str, of_one_side: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_one_side(side)
    monkeypatch.setattr(FakeModel, "load", None)
    with pytest.raises(HermesError, match=r"; (leave|give) ") as refused:
        play(tmp_path / "run", model="fake", **{name: REFUSED[side][name]})
    said = str(refused.value)
    assert "\n" not in said
    assert name.replace("_", "-") in said
    assert SIDES[side][1] in said
    assert not (tmp_path / "run").exists()


def test_what_is_left_out_is_as_one_side_needs_it(of_one_side: Callable[[str], None], tmp_path: Path) -> None:
    of_one_side("generation")
    quick = {"model": "fake", "n": 3, "threshold": 0.2}
    play(tmp_path / "drawer", **quick)
    settings = json.loads((tmp_path / "drawer/spec.json").read_text())["settings"]
    assert (settings["critic"], settings["confidence"], settings["pairing"]) == ("oracle", False, "either")
    kept = read_records(tmp_path / "drawer/round-1/preferences.jsonl", Preference)
    assert kept
    assert all(one.gen and one.und is None for one in kept)
    write_pairs(kept, tmp_path / "drawer" / "media", tmp_path / "pairs.json")
    play(tmp_path / "given", **quick, pairs=tmp_path / "pairs.json")
    again = read_records(tmp_path / "given/round-1/preferences.jsonl", Preference)
    assert [one.item_id for one in again] == [one.item_id for one in kept]


def test_a_sum_over_one_side_is_the_objective_of_that_side(
    of_one_side: Callable[[str], None], fake_model: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a model of one side learns under ``sum`` is what one of both sides learns under ``und``."""
    quick = {"model": "fake", "n": 3, "replay": 0.0, "pairing": "either"}
    monkeypatch.setattr(FakeModel, "likelihoods", ("text",), raising=False)
    play(tmp_path / "und", **quick, objective="und")
    of_one_side("understanding")
    play(tmp_path / "sum", **quick, objective="sum")
    names = ("checkpoint/model.safetensors", "training/train.jsonl")
    for name in names:
        one, other = ((tmp_path / arm / "round-1" / name).read_bytes() for arm in ("und", "sum"))
        assert one == other


def test_a_run_refuses_a_judge_that_cannot_answer(checkpoints: dict[str, str]) -> None:
    settings = EvalSettings(
        model=checkpoints["generation"], tasks=("homologous-g",), data="shapes", judge="self", device="cpu"
    )
    with pytest.raises(HermesError, match=r"judge 'self' is the evaluated model, which answers no questions; give"):
        evaluate(settings)
