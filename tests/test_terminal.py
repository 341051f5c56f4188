"""The command line at a terminal and away from it: bars, lines of a log, one JSON document, a plan before the work."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hermes import __version__
from hermes.align.play import selfplay
from hermes.harness.run import runner

Command = Callable[..., Any]
EVAL = ("eval", "--model", "theirs", "--tasks", "theirs,theirs-drawing", "--device", "cpu")
PLAY = (
    *("align", "--items", 4, "-n", 2, "--rounds", 1, "--steps", 1, "--eval-limit", 2, "--device", "cpu"),
    *("--replay", 0, "--no-confidence"),
)


def at_terminal(environment: dict[str, str], cwd: Path, *arguments: object, stop: bool = False) -> tuple[int, str]:
    """The exit code of a command at a terminal of 80 columns, and all that it wrote; ``stop``: Ctrl-C on the way."""
    main, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "hermes", *map(str, arguments)]
    quiet = {name: value for name, value in environment.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        command, env={**quiet, "TERM": "xterm"}, cwd=cwd, stdin=end, stdout=end, stderr=end, start_new_session=True
    )
    os.close(end)
    shown = b""
    while True:
        try:
            new = os.read(main, 1 << 16)
        except OSError:  # nobody holds the other end any more
            break
        shown += new
        if stop and b"/s" in shown:  # a first batch is done
            stop = False
            process.send_signal(signal.SIGINT)
    os.close(main)
    return process.wait(timeout=60), shown.decode()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_at_a_terminal_bars_go_and_a_line_stays(environment: dict[str, str], tmp_path: Path) -> None:
    code, shown = at_terminal(environment, tmp_path, *EVAL)
    assert code == 0
    assert "all, stage 3 of 3" in plain(shown)
    erased = shown.rpartition("\x1b[2K")[2]  # what comes after the last line that was taken back
    left = plain(erased)
    assert "stage" not in left
    assert re.search(r"^eval: 84 steps in \d:\d\d\s*$", left.strip().splitlines()[0]), left
    assert left.rstrip().splitlines()[-1].startswith("report: runs/theirs/")


def test_ctrl_c_at_a_terminal_is_one_line_and_the_command_goes_on(environment: dict[str, str], tmp_path: Path) -> None:
    slow = (
        *("eval", "--model", "hermes-tiny", "--tasks", "geneval", "--limit", 8, "--batch-size", 2),
        *("--device", "cpu"),
    )
    code, shown = at_terminal(environment, tmp_path, *slow, stop=True)
    assert code == 130
    assert plain(shown).count("hermes: stopped; the same command goes on where it was") == 1
    assert "Traceback" not in shown
    code, shown = at_terminal(environment, tmp_path, *slow)
    found = re.search(r"answers: (\d+) asked, (\d+) reused", plain(shown))
    assert code == 0
    assert found
    assert int(found[2]) > 0


def test_away_from_a_terminal_a_log_is_written(command: Command) -> None:
    code, _, err = command(*EVAL)
    assert code == 0
    lines = [line.partition(" ")[2] for line in err.splitlines()]
    assert lines[0] == "eval begins: 84 steps in 3 stages"
    assert [line.partition(",")[0] for line in lines[1:]] == [
        "theirs: 24 of 24",
        "theirs-drawing: 30 of 30",
        "judge theirs-drawing: 30 of 30",
    ]


def test_other_processes_are_silent(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from hermes.harness.system import processes
    from hermes.harness.system.progress import watched

    other = processes.Processes(1, 2, 1)
    monkeypatch.setattr(processes, "current", lambda: other)
    with watched("eval") as progress:
        assert type(progress).__name__ == "Silent"


def test_quiet_leaves_the_result_and_verbose_says_more(command: Command) -> None:
    said = command(*EVAL, "-q")
    assert said.err == ""
    assert "report: runs/" in said.out
    more = command(*EVAL, "--verbose").err
    assert "data: theirs, 24 samples from shapes" in more
    assert "theirs: 0 answers asked in batches of 64, 24 reused, in runs/answers/" in more
    assert "scores: runs/answers/" in more


def test_json_is_all_of_stdout(command: Command) -> None:
    said = command(*EVAL, "--json")
    content = json.loads(said.out)
    stored = json.loads(Path(content["folder"], "results.json").read_text())
    assert {name: content[name] for name in stored} == stored
    assert content["drawn"]["theirs"] == {"asked": 24, "reused": 0}
    assert Path(content["report"]).is_file()
    models = json.loads(command("list", "models", "--json").out)
    assert {"null", "theirs"} <= {one["name"] for one in models}
    assert json.loads(command("list", "recipes", "paper", "--json").out)["command"].startswith("hermes align")


@pytest.mark.slow
def test_a_self_play_tells_its_rounds_and_its_plan(command: Command) -> None:
    before = json.loads(command(*PLAY, "--dry-run", "--json", "-q").out)
    assert [one["missing"] for one in before["rounds"]] == [
        ["evaluation"],
        ["candidates", "preferences", "training", "evaluation"],
    ]
    assert (before["captions"], before["images"], before["seconds"]) == (0, 8, None)  # images alone are trained on
    code, out, err = command(*PLAY, "--json")
    assert code == 0, err
    content = json.loads(out)
    assert [one["round"] for one in content["rounds"]] == [0, 1]
    assert "base model, evaluation: U " in err
    assert "round 1, evaluation: U " in err
    after = json.loads(command(*PLAY[:6], 2, *PLAY[7:], "--dry-run", "--json", "-q").out)
    assert after["folder"] == content["folder"]
    assert [len(one["missing"]) for one in after["rounds"]] == [0, 0, 4]
    assert after["seconds"] > 0


def test_a_dry_run_loads_and_writes_nothing_and_counts_what_is_stored(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few = command(*EVAL[:4], "theirs", *EVAL[5:], "--limit", 4)
    assert few.code == 0
    before = sorted(tmp_path.rglob("*"))

    def load(*_: object, **__: object) -> None:
        pytest.fail("loaded")

    monkeypatch.setattr(runner, "load_model", load)
    monkeypatch.setattr(selfplay, "load_model", load)
    found = json.loads(command(*EVAL, "--dry-run", "--json", "-q").out)
    tasks = {one["name"]: one for one in found["tasks"]}
    assert (tasks["theirs"]["answers"], tasks["theirs"]["stored"]) == (24, 8)
    assert (tasks["theirs-drawing"]["answers"], tasks["theirs-drawing"]["stored"]) == (30, 0)
    assert tasks["theirs"]["seconds"] is not None
    assert tasks["theirs-drawing"]["seconds"] is None  # the model has drawn nothing yet
    assert sorted(tmp_path.rglob("*")) == before
    elsewhere = json.loads(command(*EVAL, "--dry-run", "--json", "-q", "--runs", "elsewhere").out)
    assert elsewhere["known"] is None
    fresh = json.loads(command(*EVAL, "--dry-run", "--json", "-q", "--fresh").out)
    assert [one["stored"] for one in fresh["tasks"]] == [0, 0]


@pytest.mark.parametrize("arguments", [("--version",), ("-h",), ("eval", "-h"), ("data", "check", "-h")])
def test_the_usual_short_options(command: Command, arguments: tuple[str, ...]) -> None:
    code, out, err = command(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith(f"hermes {__version__}" if arguments == ("--version",) else "Usage: ")


def test_the_shell_completes_commands_and_names(python: Callable[..., Any], environment: dict[str, str]) -> None:
    code = "import sys; sys.argv = ['hermes']; from hermes.cli import main; main()"
    for typed, wanted in (("hermes ali", "align"), ("hermes list models hermes-t", "hermes-tiny")):
        asked = {"_HERMES_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        environment.update(asked)
        try:
            assert wanted in python("-c", code).stdout
        finally:
            for name in asked:
                del environment[name]


def test_one_name_shows_all_of_one(command: Command) -> None:
    said = command("list", "evaluators", "theirs")
    assert (said.code, "Their benchmark" in said.out) == (0, True)
    code, out, err = command("list", "models", "nobody")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "unknown model 'nobody'; choose from " in err
