"""Whole runs with the endpoint judge: what fails is counted and asked again, nothing is paid twice, costs are shown."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, ChatServer
from stored import scores

import hermes
from hermes.evaluators.dpg_bench import DPGBench
from hermes.harness.data.tables import load_data
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Silent

pytest.importorskip("openai")

from hermes.harness.judges.endpoint import judge as endpoint
from hermes.harness.system.endpoint.settings import read_settings


class TestRun:
    """DPG-Bench of the null model, whose images are all alike: two items, four images each."""

    @pytest.fixture
    def run(self, server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
        """`run()`: one command, given again and again; its judge waits milliseconds before it tries again."""
        quick = partial(replace, backoff=0.001)
        monkeypatch.setattr(endpoint, "read_settings", lambda argument: quick(read_settings(argument)))
        ends: list[Callable[[], None]] = []
        monkeypatch.setattr(endpoint.atexit, "register", ends.append)

        def go() -> Any:
            server.asked.clear()
            content = hermes.evaluate(
                model="null",
                tasks=("dpg_bench",),
                judge=f"openai:test@{server.url}",
                limit=2,
                device="cpu",
                out=tmp_path / "run",
                progress=Silent(),
            )
            ends.pop()()
            return content["results"]["dpg_bench"]

        return go

    def test_errors_are_counted_and_only_they_are_asked_again(self, server, run, tmp_path, capsys):
        items = load_data(DPGBench(), "shapes", "test", 2, None).samples
        asked = [{row["question"] for row in item.metadata["propositions"]} for item in items]
        bad = min(asked[1] - asked[0])
        server.answer = lambda asked, tries: Answer(status=500) if asked.question == bad else Answer()
        result = run()
        assert result.judge == f"openai-test@{server.url[7:-3]}-prompt1-reader1"
        assert result.counts == {"scored": 4, "unparsed": 0, "error": 4}
        assert result.metrics["overall"].value == 100.0
        assert set(server.questions) == asked[0] | asked[1]
        assert sum("HTTP 500" in score.reason for score in scores(tmp_path / "run", "dpg_bench")) == 4
        assert "stored replies used: 0;" in capsys.readouterr().err

        server.answer = lambda asked, tries: Answer("I see a picture.")
        result = run()
        assert result.counts == {"scored": 4, "unparsed": 4, "error": 0}
        assert result.metrics["overall"].value < 100.0
        assert server.questions == [bad]
        assert capsys.readouterr().err == (
            f"judge openai:test: requests: 1; tokens: 100 in, 2 out; stored replies used: {len(asked[1]) - 1}; "
            "neither yes nor no: 1\n"
        )

        run()
        assert server.questions == []
        assert capsys.readouterr().err == ""

    def test_a_dead_endpoint_stops_the_run_and_the_same_command_goes_on(self, server, run):
        server.answer = lambda asked, tries: Answer(status=503)
        with pytest.raises(HermesError, match="questions in a row"):
            run()
        server.answer = lambda asked, tries: Answer("yes")
        assert run().counts == {"scored": 8, "unparsed": 0, "error": 0}

    def test_the_command_shows_what_it_cost_in_one_line(self, server, environment, tmp_path):
        arguments = ["eval", "--model", "null", "--tasks", "dpg_bench", "--limit", "1", "--device", "cpu"]
        done = subprocess.run(
            [sys.executable, "-m", "hermes", *arguments, "--judge", f"openai:test@{server.url}"],
            env=environment | {"HERMES_CACHE": "cache", "HERMES_JUDGE_PRICE": "1,2", "NO_PROXY": "127.0.0.1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        n = len(server.asked)
        assert n > 0
        assert [line for line in done.stderr.splitlines() if line.startswith("judge")] == [
            f"judge openai:test: requests: {n}; tokens: {100 * n:,} in, {2 * n} out; cost: ${104 * n / 1e6:.4f}; "
            "stored replies used: 0; neither yes nor no: 0"
        ]

    def test_a_stopped_command_asks_no_further_and_keeps_what_it_paid_for(self, server, environment, tmp_path):
        server.answer = lambda asked, tries: Answer(seconds=0.4)
        arguments = ["eval", "--model", "null", "--tasks", "dpg_bench", "--limit", "2", "--device", "cpu"]
        command = subprocess.Popen(
            [sys.executable, "-m", "hermes", *arguments, "--judge", f"openai:test@{server.url}"],
            env=environment | {"HERMES_CACHE": "cache", "HERMES_JUDGE_CONCURRENCY": "1", "NO_PROXY": "127.0.0.1"},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stored = tmp_path / "cache" / "judges" / "test.jsonl"
        deadline = time.monotonic() + 120
        while not (stored.exists() and stored.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        command.send_signal(signal.SIGINT)
        err = command.communicate(timeout=120)[1]
        assert command.returncode == 130
        assert f"judge openai:test: requests: {len(server.asked)};" in err
        assert len(stored.read_text().splitlines()) == len(server.asked) <= 5

    def test_ctrl_c_ends_a_command_whose_endpoint_says_nothing(self, server, environment, tmp_path):
        server.answer = lambda asked, tries: Answer(seconds=20)
        arguments = ["eval", "--model", "null", "--tasks", "dpg_bench", "--limit", "2", "--device", "cpu"]
        command = subprocess.Popen(
            [sys.executable, "-m", "hermes", *arguments, "--judge", f"openai:test@{server.url}"],
            env=environment | {"HERMES_CACHE": "cache", "NO_PROXY": "127.0.0.1"},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not server.asked:
            time.sleep(0.01)
        command.send_signal(signal.SIGINT)
        begin = time.monotonic()
        err = command.communicate(timeout=120)[1]
        assert command.returncode == 130
        assert time.monotonic() - begin < 4  # two seconds, on a machine that has nothing else to do
        assert "hermes: stopped" in err
        assert "Traceback" not in err
        assert "pending" not in err

    def test_a_command_without_a_key_is_one_line(self, server, command):
        said = command("eval", "--model", "null", "--tasks", "dpg_bench", "--judge", "openai:gpt")
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert "set OPENAI_API_KEY" in said.err
