"""Settings: defaults < file < command line, and one-line errors."""

from pathlib import Path

import pytest

from hermes.align.settings import AlignSettings
from hermes.harness.system.errors import HermesError
from hermes.harness.system.settings import build


def test_command_line_wins_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "align.toml"
    file.write_text('objective = "und"\nn = 4\n')
    settings = build(AlignSettings, file, {"n": 8, "rounds": None})
    assert (settings.objective, settings.n, settings.rounds) == ("und", 8, AlignSettings().rounds)


def test_an_unknown_key_lists_the_known_ones(tmp_path: Path) -> None:
    file = tmp_path / "align.toml"
    file.write_text("bata_und = 0.2\n")
    with pytest.raises(HermesError, match=r"bata_und.*beta_gen, beta_und"):
        build(AlignSettings, file)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"objective": "best"}, "objective"),
        ({"n": 1}, "n"),
        ({"rule": "paper", "fresh_items": True}, "rule"),
        ({"lr": float("inf")}, "lr"),
        ({"guidance": float("nan")}, "guidance"),
    ],
)
def test_a_bad_value_names_its_key_in_one_line(values: dict[str, object], key: str) -> None:
    with pytest.raises(HermesError, match=key) as caught:
        build(AlignSettings, overrides=values)
    assert "\n" not in str(caught.value)


def test_the_identity_leaves_out_what_changes_no_result() -> None:
    base = AlignSettings()
    same = AlignSettings(rounds=7, out=Path("x"), batch_draw=3, micro_batch=2, checkpoint_every=1, device="cpu")
    assert base.identity() == same.identity()
    assert base.identity() != AlignSettings(seed=1).identity()
