"""The chat server that the tests of the endpoint judge share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_server import ChatServer, chat_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ChatServer]:
    """A server, an empty cache folder, and none of the variables that a user may have set."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HERMES_JUDGE_RPM", "HERMES_JUDGE_PRICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HERMES_JUDGE_CONCURRENCY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HERMES_CACHE", str(tmp_path / "cache"))
    with chat_server() as running:
        yield running
