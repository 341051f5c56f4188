"""The picture of rounds and arms: what its curves hold, what is drawn, and what is missing."""

import sys
from pathlib import Path

import pytest
from PIL import Image
from played import chose, guided, play

from hermes.harness.system.errors import HermesError, MissingExtra
from hermes.leaderboards.curves import curves, curves_png
from hermes.leaderboards.plays import named_arm, read_plays

RIGHT = (1, 1)


@pytest.fixture
def arms(tmp_path: Path) -> list[Path]:
    """Two seeds of `sum`, of which one has a second round, and one of an arm with a name that is hard to draw."""
    first = play(tmp_path / "0", "sum", 0, [{"a": (RIGHT, g), "b": (RIGHT, g)} for g in (0.5, 0.75, 1.0)])
    second = play(tmp_path / "1", "sum", 1, [{"a": (RIGHT, g), "b": ((1, 0), g)} for g in (0.25, 0.25)])
    odd = play(tmp_path / "2", r"_$\frac{ an arm with a rather long name$", 0, [{"a": (RIGHT, 0.5)}] * 2)
    return [first, second, odd]


def test_mean_and_standard_error_over_seeds(arms: list[Path]) -> None:
    drawn = curves(read_plays(arms[:2])["sum"])
    assert [point.round for point in drawn.g] == [0, 1, 2]
    # Half the difference of two values is the standard error of their mean.
    assert drawn.g[0][1:] == (pytest.approx(0.375), pytest.approx(0.125))
    assert drawn.g[1][1:] == (pytest.approx(0.5), pytest.approx(0.25))
    assert drawn.g[2][1:] == (1.0, 0.0)
    assert drawn.u[0][1:] == (pytest.approx(0.875), pytest.approx(0.125))
    assert drawn.gap[0][1:] == (pytest.approx(0.5), pytest.approx(0.0))
    assert drawn.guided == []


def test_guided_curves_take_the_guidance_that_each_round_says(arms: list[Path]) -> None:
    for seed, number, scale, g in (
        *((0, 0, "1", 0.5), (0, 0, "2", 0.25), (1, 0, "2", 0.75), (0, 1, "1", 1.0), (0, 2, "2", 1.0)),
        (0, 2, "1", 0.0),
    ):
        guided(arms[seed], number, scale, {"a": g, "b": g})
    chose(arms[0], (1, 1, 2))
    chose(arms[1], (2, 1))
    drawn = curves(read_plays(arms[:2])["sum"])
    assert [(point.round, point.mean) for point in drawn.guided] == [(0, 0.625), (2, 1.0)]
    assert drawn.title == "G (best guidance)"


def test_a_curve_of_one_guidance_has_its_name(arms: list[Path]) -> None:
    guided(arms[0], 0, "1.5", {"a": 0.5})
    assert curves(read_plays(arms[:1])["sum"]).title == "G (guidance scale 1.5)"


def test_rounds_without_a_value_are_left_out(tmp_path: Path) -> None:
    folder = play(tmp_path / "0", "sum", 0, [{"a": (RIGHT, 0.5)}, {}])
    assert [point.round for point in curves(read_plays([folder])["sum"]).gap] == [0]


def test_the_picture_is_the_same_every_time(arms: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    guided(arms[0], 0, "1.5", {"a": 0.5, "b": 0.5})
    for name in ("one.png", "two.png"):
        curves_png(arms, named_arm, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    picture = Image.open(tmp_path / "one.png")
    assert picture.width >= 1200
    assert not picture.info.keys() & {"Software", "Creation Time"}
    colours = {colour for _, colour in picture.convert("RGB").getcolors(2**24) or ()}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours


def test_without_matplotlib_the_extra_is_named(arms: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"hermes-bench\[plots\]"):
        curves_png(arms, named_arm, arms[0] / "curves.png")


def test_without_self_plays_there_is_no_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(HermesError, match="no self-play under"):
        curves_png([tmp_path], named_arm, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
