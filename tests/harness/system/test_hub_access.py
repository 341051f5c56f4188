"""A hub that does not answer is found out at once, and said in one line; what the environment says is honoured."""

import http.server
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from hermes.harness.system import hub

CLOSED = "http://127.0.0.1:9"  # discard: nobody listens
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(environment: dict[str, str], python: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`run(*arguments, **environment)`: the command line in another process, with a cache of its own."""
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
        monkeypatch.delitem(environment, name, raising=False)
    monkeypatch.setitem(environment, "HF_HOME", str(tmp_path / "home"))

    def command(*arguments: object, **more: str) -> "subprocess.CompletedProcess[str]":
        for name, value in more.items():
            monkeypatch.setitem(environment, name, value)
        return python("-m", "hermes", *arguments)

    return command


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--model", "org/model"), "org/model: no such folder, and not available from the hub"),
        (("--model", "null", "--tasks", "pope", "--data", "hub"), "lmms-lab/POPE cannot be loaded from the hub"),
    ],
    ids=["model", "data"],
)
def test_a_hub_that_does_not_answer_is_one_line_at_once(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], what: str
) -> None:
    began = time.monotonic()
    said = run("eval", *arguments, HF_ENDPOINT=CLOSED)
    assert time.monotonic() - began < 30  # its client alone would go on trying for longer
    assert (said.returncode, said.stdout, said.stderr.count("\n")) == (2, "", 1)
    assert said.stderr.startswith(f"hermes: {what} ({CLOSED} does not answer (")
    assert f"and the cache {tmp_path / 'home' / 'hub'} does not hold it)" in said.stderr


def test_offline_is_not_tried(run: Run) -> None:
    said = run("eval", "--model", "org/model", HF_HUB_OFFLINE="1", HF_ENDPOINT=CLOSED)
    assert said.stderr.startswith(
        "hermes: org/model: no such folder, and not available from the hub (HF_HUB_OFFLINE is"
    )


class Hub:
    """Has no repository, answers so as the real one does, and notes the token that came with it."""

    def __init__(self) -> None:
        self.tokens: list[str | None] = []
        tokens = self.tokens

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                tokens.append(self.headers.get("authorization"))
                self.send_response(401)
                self.send_header("content-length", "0")
                self.send_header("x-error-code", "RepoNotFound")
                self.end_headers()

            do_GET = do_HEAD  # noqa: N815

            def log_message(self, *_: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def refusing() -> Iterator[Hub]:
    found = Hub()
    threading.Thread(target=found.server.serve_forever, daemon=True).start()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_private_repository_is_asked_for_with_the_token_and_said(run: Run, refusing: Hub) -> None:
    said = run("eval", "--model", "org/model", HF_ENDPOINT=refusing.address, HF_TOKEN="hf_mine")
    assert "Bearer hf_mine" in refusing.tokens
    assert said.stderr.count("\n") == 1
    assert "or it is private: set HF_TOKEN" in said.stderr


def test_what_is_gated_or_not_there_is_told_apart() -> None:
    def raised(kind: Any) -> BaseException:
        error = OSError("401 Client Error\nmore")
        error.__cause__ = kind.__new__(kind)
        return error

    assert "gated" in hub.missing(raised(GatedRepoError))
    assert "none of this name" in hub.missing(raised(RepositoryNotFoundError))
    assert hub.missing(OSError("first line\nsecond")) == "first line"
