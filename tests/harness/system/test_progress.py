"""Speed and time left are those of the steps that were done; a log has a line at the right moments, a terminal bars."""

import os
import re
import sys
from collections.abc import Callable

import pytest
from huggingface_hub import utils
from rich.console import Console

from hermes.harness.system import log as logs
from hermes.harness.system.bars import Bars
from hermes.harness.system.log import Log
from hermes.harness.system.pace import Pace, Stage, clock_time, said_left, speed
from hermes.harness.system.progress import watched
from hermes.harness.system.screen import Screen
from hermes.harness.system.text import remark


class Clock:
    """Stands still until it is told to go on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def seconds(pace: Pace) -> tuple[float | None, float | None]:
    now, whole = pace.left(), pace.all_left()
    return now and now.seconds, whole and whole.seconds


def test_the_time_left_is_that_of_the_steps_that_are_left(clock: Clock) -> None:
    pace = Pace(clock)
    pace.plan([Stage("a", 10, "answers"), Stage("b", 4, "answers")])
    pace.start("a", 10)
    assert seconds(pace) == (None, None)
    clock.now = 6
    pace.advance(3)
    assert pace.each == 2
    assert seconds(pace) == (14, 22)
    clock.now = 7  # within a step it goes on falling
    assert seconds(pace) == (13, 21)
    clock.now = 20
    pace.advance(7)
    pace.start("b", 4)
    assert seconds(pace) == (None, 8)
    assert (pace.number, pace.stages, pace.all_done, pace.all_steps, pace.share) == (2, 2, 10, 14, "71 %")


def test_skipped_steps_are_done_and_tell_no_speed(clock: Clock) -> None:
    pace = Pace(clock)
    pace.start("a", 100, done=10)
    pace.skip(80)
    assert (pace.done, pace.left()) == (90, None)
    clock.now = 5
    pace.advance(5)
    assert pace.left() == (5, True)


def test_a_kind_that_is_not_known_makes_it_at_least(clock: Clock) -> None:
    pace = Pace(clock)
    pace.plan([Stage("a", 2), Stage("judge", 2)])
    pace.start("a", 2)
    clock.now = 60
    pace.advance(1)
    assert said_left(pace.left()) == "1:00 left"
    assert said_left(pace.all_left()) == "over 1:00 left"


def test_planned_stages_that_never_begin_are_done(clock: Clock) -> None:
    pace = Pace(clock)
    pace.plan([Stage("a", 5), Stage("b", 5), Stage("c", 10)])
    pace.start("c", 10)
    assert (pace.number, pace.all_done, pace.all_steps) == (3, 10, 20)


def evaluation(part: str, steps: int) -> list[Stage]:
    return [Stage("U", steps, "understanding", part), Stage("judge U", steps, "judge", part)]


def do(pace: Pace, clock: Clock, *stages: Stage) -> None:
    """Do the stages, a second a step."""
    for stage in stages:
        pace.start(stage.label, stage.steps or 0)
        clock.now += stage.steps or 0
        pace.advance(stage.steps or 0)
    pace.finish()


def test_an_evaluation_within_a_self_play_takes_its_place_in_the_plan_whenever_it_comes(clock: Clock) -> None:
    pace, train, tested, checked = Pace(clock), Stage("train", 5), Stage("test", None), Stage("check", None)
    pace.plan([tested, checked, train, tested, checked])
    assert (pace.stages, pace.all_steps) == (5, 5)
    pace.plan(evaluation("test", 8))
    assert (pace.stages, pace.all_steps) == (7, 16 + 5 + 16)
    do(pace, clock, *evaluation("test", 8))
    pace.plan(evaluation("check", 3))
    do(pace, clock, *evaluation("check", 3))
    assert (pace.number, pace.stages) == (4, 9)
    assert (pace.all_done, pace.all_steps) == (22, 22 + 5 + 22)
    do(pace, clock, train)
    assert pace.all_left() == (22, True)
    pace.plan(evaluation("check", 3))  # the one before has turned out to be nothing to do
    do(pace, clock, *evaluation("check", 3))
    assert (pace.number, pace.stages, pace.all_done, pace.all_steps) == (9, 9, 49, 49)


def test_a_part_that_was_not_planned_comes_before_the_rest(clock: Clock) -> None:
    pace = Pace(clock)
    pace.plan([Stage("train", 5)])
    pace.plan(evaluation("test", 8))
    do(pace, clock, *evaluation("test", 8))
    assert (pace.stages, pace.all_done, pace.all_steps) == (3, 16, 21)


def test_another_plan_takes_the_place_of_all(clock: Clock) -> None:
    pace = Pace(clock)
    pace.plan([Stage("a", 5), Stage("b", None)])
    pace.plan([Stage("c", 1)])
    assert (pace.stages, pace.all_steps) == (1, 1)


def test_steps_that_are_not_told_yet_are_more_than_those_that_are_known(clock: Clock) -> None:
    pace = Pace(clock)
    pace.plan([Stage("train", 4), Stage("test", None)])
    pace.start("train", 4)
    clock.now = 2
    pace.advance(2)
    assert (pace.share, said_left(pace.all_left())) == ("under 50 %", "over 0:02 left")
    pace.plan([Stage("U", 4, "", "test")])
    assert (pace.share, said_left(pace.all_left())) == ("25 %", "over 0:02 left")


@pytest.mark.parametrize(("value", "said"), [(0.4, "0:00"), (59.6, "1:00"), (750, "12:30"), (3723, "1:02:03")])
def test_times(value: float, said: str) -> None:
    assert clock_time(value) == said


@pytest.mark.parametrize(
    ("each", "said"), [(None, ""), (0.0, ""), (0.001, "1,000.0/s"), (1.0, "1.0/s"), (2.5, "2.5 s each")]
)
def test_speeds(each: float | None, said: str) -> None:
    assert speed(each) == said


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """`lines()`: what the log has said since, without the time of day, which each must have."""

    def read() -> list[str]:
        found = [re.fullmatch(r"\d\d:\d\d:\d\d (.*)", line) for line in capsys.readouterr().err.splitlines()]
        assert all(found)
        return [line[1] for line in found if line]

    return read


def test_a_log_tells_the_start_the_way_and_the_end_of_each_stage(clock: Clock, lines: Callable[[], list[str]]) -> None:
    with Log("eval", clock=clock) as log:
        log.plan([Stage("a", 1000), Stage("b", 10)])
        assert lines() == ["eval begins: 1,010 steps in 2 stages"]
        log.start("a", 1000)
        log.skip(500)
        clock.now = 30
        log.advance(250, note="loss 0.312")
        assert lines() == []
        log.tell()
        assert lines() == ["a: 750 of 1,000 (75 %), 8.3/s, loss 0.312, 0:30 left; in all 74 %, over 0:30 left"]
        clock.now = 60
        log.advance(250)
        log.start("b", 10)
        assert lines() == ["a: 1,000 of 1,000, 8.3/s, in 1:00; in all 99 %"]
        log.skip(10)
    assert lines() == ["b: 10 of 10, all there before"]


def test_a_log_speaks_up_while_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "EVERY", 0.01)
    with Log("eval") as log:
        log.start("a", 3)
        for _ in range(300):
            log._stopped.wait(0.01)
            if "a: 0 of 3" in capsys.readouterr().err:
                break
        else:
            pytest.fail("no line")


def test_details_are_for_those_who_ask(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (False, True):
        Log("eval", verbose).detail("in batches of 64")
    assert capsys.readouterr().err == "in batches of 64\n"


def test_the_quiet_hear_no_remarks(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (True, False):
        with watched("eval", quiet):
            remark("this has cost something")
    assert capsys.readouterr().err == "this has cost something\n"


@pytest.fixture
def bars_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client was imported under an environment that says nothing of its bars."""
    monkeypatch.delenv("HF_HUB_DISABLE_PROGRESS_BARS", raising=False)
    for name, value in (("HF_HUB_DISABLE_PROGRESS_BARS", None), ("progress_bar_states", {})):
        monkeypatch.setattr(sys.modules["huggingface_hub.utils.tqdm"], name, value)


@pytest.mark.usefixtures("bars_of_the_hub")
@pytest.mark.parametrize("quiet", [True, False])
def test_downloads_show_no_bars_to_the_quiet_nor_in_a_log(quiet: bool) -> None:
    with watched("eval", quiet):
        assert utils.are_progress_bars_disabled()
        with watched("eval", quiet):
            pass
        assert utils.are_progress_bars_disabled()
    assert not utils.are_progress_bars_disabled()
    assert "HF_HUB_DISABLE_PROGRESS_BARS" not in os.environ


@pytest.mark.usefixtures("bars_of_the_hub")
def test_what_the_user_says_of_the_hubs_bars_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "0")
    with watched("eval", quiet=True):
        assert not utils.are_progress_bars_disabled()
    assert os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] == "0"


@pytest.mark.usefixtures("bars_of_the_hub")
def test_bars_that_a_program_has_hidden_stay_hidden() -> None:
    utils.disable_progress_bars()
    with watched("eval"):
        pass
    assert utils.are_progress_bars_disabled()


def test_bars_go_and_one_line_stays() -> None:
    console = Screen(force_terminal=True, width=80, record=True, legacy_windows=False)
    with Bars("eval", console=console) as bars:
        bars.plan([Stage("homologous-g@guidance_scale=1", 4), Stage("b", 2)])
        bars.start("homologous-g@guidance_scale=1", 4)
        bars.advance(1, "loss 0.312")
        shown = Console(width=80, record=True, force_terminal=True)
        shown.print(bars._bars.get_renderable())
        rows = shown.export_text().splitlines()
        bars.advance(3)
        bars.start("b", 2)
        bars.advance(2)
    assert rows[1].startswith("all, stage 1 of 2 ")
    assert all(len(row) <= 80 for row in rows)
    assert "1/4" in rows[0]
    assert "loss 0.312" in rows[0]
    assert "16 %" in rows[1]
    assert console.export_text().splitlines()[-1].startswith("eval: 6 steps in 0:0")
