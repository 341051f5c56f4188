"""An endpoint judge is checked on the drawn world: one that says yes to all, one that can see, and one that fails."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, ChatServer

from hermes.shapes.oracle import OracleJudge

pytest.importorskip("openai")


def test_a_yes_man_and_one_who_sees(server: ChatServer, command: Callable[..., Any], tmp_path: Path) -> None:
    judge = f"openai:test@{server.url}"
    check = ("judge", "check", "--judge", judge, "--limit", 8, "--json", "--runs")
    flatterer = json.loads(command(*check, tmp_path / "yes").out)
    exists = flatterer["categories"]["exists"]
    assert (exists["false_accept"]["value"], exists["false_reject"]["value"], exists["kappa"]) == (1.0, 0.0, 0.0)
    oracle, asked = OracleJudge(), len(server.asked)
    assert asked == 8 * 6
    server.answer = lambda asked, tries: Answer(oracle.answer([asked.image], [asked.question])[0])
    again = json.loads(command(*check, tmp_path / "yes").out)
    assert (again, len(server.asked)) == (flatterer, asked)
    (tmp_path / "cache").rename(tmp_path / "old")  # or the server's own answers would be taken for those of today
    seeing = json.loads(command(*check, tmp_path / "seeing").out)
    assert (seeing["overall"]["agreement"]["value"], seeing["failed"]) == (1.0, 0)
