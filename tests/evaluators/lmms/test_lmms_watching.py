"""What scorers of lmms-eval hide is heard: each of them gives 0 where its judge is down, and says so nowhere else."""

import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import requests

if find_spec("lmms_eval") is None:
    pytest.skip("lmms-eval is not installed", allow_module_level=True)

from lmms_judge import JudgeServer, judge_server
from loguru import logger
from PIL import Image

from hermes.evaluators.lmms.tasks import as_lmms_eval
from hermes.evaluators.lmms.watching import watched

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lmms")]
PICTURE = Image.new("RGB", (32, 32), (200, 30, 30))
DOCS: dict[str, dict[str, Any]] = {
    "imgedit": {"key": "a", "edit_type": "add", "prompt": "add a dog", "image": PICTURE},
    "gedit_bench": {"key": "a", "instruction": "add a dog", "input_image": PICTURE},
    "kris_bench": {"category": "color_change", "image_id": "1", "ins_en": "make it blue", "ori_images": [PICTURE]},
    "structeditbench": {"key": "a", "category": "chart", "qa_list": [{"question": "How many?", "answer": "3"}]},
    "babyvision_gen": {
        "taskId": 1,
        "type": "a",
        "subtype": "b",
        "generationPrompt": "mark it",
        "image": PICTURE,
        "answerImage": PICTURE,
    },
}
PREFIXES = {"gedit_bench": "VIESCORE", "babyvision_gen": "BABYVISION"}
FUNCTIONS = {"babyvision_gen": "babyvision"}


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with judge_server(lambda payload, number: (200, "4")) as found:
        yield found


def post(server: JudgeServer, **body: Any) -> None:
    requests.post(f"{server.url}/chat/completions", json={"messages": [], **body}, timeout=5).raise_for_status()


def fail(payload: Mapping[str, Any], number: int) -> tuple[int, str]:
    return 500, ""


@pytest.mark.parametrize("task", DOCS)
def test_a_judge_that_is_down_is_heard(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with judge_server(fail) as server:
        url = server.url
    with as_lmms_eval():
        utils = import_module(f"lmms_eval.tasks.{task}.utils")
    prefix = PREFIXES.get(task, task.upper())
    for name, value in {"API_KEY": "EMPTY", "BASE_URL": url, "API_BASE": url, "CALL_DELAY": "0"}.items():
        monkeypatch.setenv(f"{prefix}_{name}", value)
        if hasattr(utils, f"{prefix}_{name}"):
            monkeypatch.setattr(utils, f"{prefix}_{name}", value)
    for name in ("_openai_client", "_OPENAI_CLIENT"):
        if hasattr(utils, name):
            monkeypatch.setattr(utils, name, None)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.01)
    PICTURE.save(tmp_path / "drawn.png")
    reply = json.dumps({"text": "", "images": [str(tmp_path / "drawn.png")]})
    with as_lmms_eval(), watched() as heard:
        said = getattr(utils, f"{FUNCTIONS.get(task, task)}_process_results")(DOCS[task], [reply])
    numbers = [one.get("score", one.get("correct")) for one in said.values() if isinstance(one, dict)]
    assert not any(number and number > 0 for number in numbers)
    assert heard.error is not None
    assert url.removesuffix("/v1") in heard.error


def test_a_call_that_was_mended_is_no_failure(server: JudgeServer) -> None:
    server.reply = lambda payload, number: (500, "") if number == 1 else (200, "4")
    with watched() as heard:
        with pytest.raises(requests.HTTPError):
            post(server)
        assert "HTTP 500" in (heard.error or "")
        post(server, another=1)
        assert heard.failed
        post(server)
    assert (heard.failed, heard.error) == (None, None)


def test_an_error_in_the_log_stands_unless_the_same_is_asked_again(server: JudgeServer) -> None:
    with watched() as heard:
        logger.error("the key is missing")
        assert heard.error == "the key is missing"
        heard.forget()
        post(server)
        logger.error("this reply has no score")
        post(server)
        assert heard.error is None
        logger.error("this reply has no score")
        post(server, another=1)
    assert heard.error == "this reply has no score"


def test_what_could_not_be_read_is_told_apart_from_other_warnings(server: JudgeServer) -> None:
    with watched() as heard:
        post(server)
        logger.warning("997 prompts are missing")
        assert heard.unread is None
        logger.warning("Could not parse 3 scores")
    assert (heard.unread, heard.error) == ("Could not parse 3 scores", None)


def test_nothing_is_heard_afterwards_and_questions_that_cost_nothing_may_fail(server: JudgeServer) -> None:
    before = requests.Session.send
    with watched() as heard:
        requests.get(f"{server.url}/models", timeout=5)
    post(server)
    logger.warning("nobody listens")
    assert (requests.Session.send, heard.calls, heard.complaints) == (before, [], [])
