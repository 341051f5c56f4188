"""The commands around `hermes align`: an ablation, pairs out of it, and a self-play that begins with them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
COMMON = """
model = "hermes-tiny"
rounds = 1
items = 4
n = 3
epochs = 1
batch_size = 4
threshold = 0.0
pairing = "either"
replay_batch = 2
eval_limit = 2
device = "cpu"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ablation")


@pytest.fixture(scope="module")
def told() -> list[Any]:
    """What the ablation's command has said, once it was given."""
    return []


@pytest.fixture
def ablation(home: Path, told: list[Any], command: Command) -> tuple[Path, Any]:
    """The folder of an ablation with an arm that cannot be played, and what the command said; played once."""
    if not told:
        path = home / "arms.toml"
        arms = (
            "[arms.sum]\nobjective = 'sum'\n[arms.'no pairs']\nobjective = 'sum'\nthreshold = 1.0\npairing = 'both'\n"
        )
        path.write_text(f"seeds = [3]\n[common]\n{COMMON}\n{arms}")
        told.append(command("ablate", path, "--out", home / "out", "--quiet"))
    return home / "out", told[0]


def test_an_ablation_prints_its_report_and_what_failed(ablation: tuple[Path, Any]) -> None:
    out, (code, said, err) = ablation
    assert code == 1
    assert "What each arm reaches" in said
    assert re.fullmatch(
        r"failed: no pairs, seed 3: no valid preference pair to train on \(.*\d not above the threshold.*\); "
        r'(give pairing = "either" to train on one side alone, or )?lower the threshold, or draw more items or '
        r"candidates\n",
        err,
    )
    assert (out / "report.md").read_text().strip() in said
    history = json.loads((out / "sum" / "seed-3" / "history.json").read_text())
    assert (history["arm"], history["seed"], len(history["rounds"])) == ("sum", 3, 2)


def test_pairs_go_out_and_come_in(ablation: tuple[Path, Any], command: Command, tmp_path: Path) -> None:
    run = ablation[0] / "sum" / "seed-3"
    code, _, err = command("data", "pairs", run, "--out", tmp_path / "pairs.json")
    assert code == 0
    records = json.loads((tmp_path / "pairs.json").read_text())
    assert f"{len(records)} pairs" in err
    assert len(records) == json.loads((run / "history.json").read_text())["rounds"][1]["pairs"] > 0
    (tmp_path / "align.toml").write_text(COMMON)
    code, said, err = command(
        *(
            "align",
            "--config",
            tmp_path / "align.toml",
            "--pairs",
            tmp_path / "pairs.json",
            "--label",
            "given",
            "--objective",
            "sum",
        ),
        *("--out", tmp_path / "run", "--quiet"),
    )
    assert (code, err) == (0, "")
    assert "given (objective sum)" in said
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert (history["arm"], history["rounds"][1]["pairs"]) == ("given", len(records))


def test_what_is_not_there_is_one_line(command: Command, tmp_path: Path) -> None:
    for arguments, words in (
        (("ablate", "no-such-recipe"), "is not a recipe; the recipes are ablation"),
        (("ablate", tmp_path / "none.toml"), "cannot be read"),
        (("data", "pairs", tmp_path), "is not there; give the folder of a self-play"),
        (("align", "--config", "papr"), "is not a recipe"),
    ):
        code, out, err = command(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert words in err
