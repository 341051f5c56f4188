"""A training's figures reach a tracker: every step once, whatever interrupts it."""

import json
from pathlib import Path
from typing import Any

import pytest
from points import points
from test_trainer import SETTINGS, trained

from hermes.align.training import trainer
from hermes.harness.system.errors import HermesError


def test_figures_reach_a_tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step's figures are in TensorBoard's files once, margins and likelihoods of both sides apart."""
    tracked = SETTINGS.model_copy(update={"trackers": ("tensorboard",), "checkpoint_every": 4})
    real = trainer.learning_rate

    def killed(number: int, *rest: Any) -> float:
        if number == 6:
            raise KeyboardInterrupt
        return real(number, *rest)

    monkeypatch.setattr(trainer, "learning_rate", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, tracked)
    assert list(points(tmp_path / "hermes-align")["loss"]) == [*range(6)]  # of which two are trained again
    monkeypatch.setattr(trainer, "learning_rate", real)
    trained(tmp_path, tracked)
    told = points(tmp_path / "hermes-align")
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert len(lines) == 9
    for name in ("lr", "loss", "margin_und", "margin_gen", "winner_gen", "loser_gen", "winner_und", "loser_und"):
        assert told[name] == {line["step"]: pytest.approx(line[name], rel=1e-5) for line in lines}


@pytest.mark.parametrize(
    ("name", "words"), [("tensorbord", "knows no 'tensorbord'"), ("aim", "'aim' is not installed; pip install aim")]
)
def test_a_tracker_that_would_note_nothing_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(HermesError, match=words):
        trained(tmp_path, SETTINGS.model_copy(update={"trackers": (name,)}))
