"""The endpoint judge against a small server that answers, refuses, fails and disappears."""

import json
import math
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import pytest
from chat_server import Answer, Asked, ChatServer, completion
from PIL import Image

from hermes.harness.records.images import pixel_sha256
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError, JudgeError, MissingExtra

pytest.importorskip("openai")

from hermes.harness.judges.endpoint.judge import EndpointJudge
from hermes.harness.system.endpoint.settings import read_settings

Make = Callable[..., EndpointJudge]


@pytest.fixture
def make(server: ChatServer) -> Make:
    """`make(**changes)`: a judge that asks the server as model "test" and waits milliseconds before it tries again."""

    def judge(**changes: Any) -> EndpointJudge:
        return EndpointJudge(replace(read_settings(f"test@{server.url}"), **{"backoff": 0.001} | changes))

    return judge


def picture(shade: int = 0) -> Image.Image:
    return Image.new("RGB", (8, 6), (shade, 0, 200))


def pictures(count: int) -> list[Image.Image]:
    return [picture(shade) for shade in range(count)]


def failing(*answers: Answer) -> Callable[[Asked, int], Answer]:
    """Each question gets these answers first, then a good one."""
    return lambda asked, tries: answers[tries - 1] if tries <= len(answers) else Answer("No")


def test_each_question_goes_with_its_own_image_and_gets_its_own_answer(server, make):
    server.answer = lambda asked, tries: Answer("**Yes**" if asked.image.getpixel((0, 0))[0] % 2 else "no, none")
    images = [image for image in pictures(10) for _ in range(2)]
    questions = [f"question {number}" for number in range(20)]
    assert make().answer(images, questions) == ["no", "no", "yes", "yes"] * 5
    assert sorted(server.questions) == sorted(questions)
    first = next(asked for asked in server.asked if asked.question == "question 2")
    assert (first.image.size, pixel_sha256(first.image)) == ((8, 6), pixel_sha256(picture(1)))
    assert (first.payload["temperature"], first.model) == (0.0, "test")
    assert 0 < first.payload["max_tokens"] <= 32


def test_an_answer_that_is_neither_is_given_as_it_is_and_counted(server, make):
    server.answer = lambda asked, tries: Answer("I cannot tell." if asked.question == "b" else "Yes")
    judge = make()
    assert judge.answer([picture()] * 2, ["a", "b"]) == ["yes", "I cannot tell"]
    assert "neither yes nor no: 1" in judge.usage()


BAD = {
    "429": Answer(status=429),
    "500": Answer(status=500, body="oh"),
    "503": Answer(status=503, body='{"error": {"message": "loading"}}'),
    "408": Answer(status=408),
    "torn JSON": Answer(body="{garbage"),
    "HTML": Answer(body="<html>", headers={"Content-Type": "text/html"}),
    "no choices": Answer(body='{"choices": []}'),
    "an error as a reply": Answer(body='{"error": {"message": "upstream"}}'),
    "a list": Answer(body="[1, 2]"),
    "null": Answer(body="null"),
    "empty": Answer(text=""),
    "a full stop": Answer(text=" \n."),
    "no content": Answer(text=None),
    "content that is no text": Answer(text=["yes"]),
    "nothing": Answer(close=True),
    "too late": Answer(seconds=1.0),
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
class TestFailures:
    def test_it_tries_again(self, server, make, answer):
        server.answer = failing(answer, answer)
        assert make(timeout=0.5 if answer.seconds else 60.0).answer([picture()], ["q"]) == ["no"]
        assert len(server.asked) == 3

    def test_after_all_tries_the_question_has_an_error_and_no_answer(self, server, make, answer):
        server.answer = lambda asked, tries: answer if asked.question == "bad" else Answer()
        judge = make(timeout=0.5 if answer.seconds else 60.0, retries=1)
        with pytest.raises(JudgeError, match=r"^openai:test at 127\.0\.0\.1:\d+: .* after 2 tries"):
            judge.answer([picture()] * 3, ["a", "bad", "b"])
        assert sorted(server.questions) == ["a", "b", "bad", "bad"]
        assert judge.answer([picture()] * 2, ["a", "b"]) == ["yes", "yes"]
        assert len(server.asked) == 4


def test_the_error_names_the_status_and_what_the_server_said(server, make):
    server.answer = lambda asked, tries: Answer(status=500, body='{"error": {"message": "out of\\ncoffee"}}')
    with pytest.raises(JudgeError, match=r"HTTP 500 .*coffee") as error:
        make(retries=0).answer([picture()], ["q"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("header", ["0.3", pytest.param(None, id="date")])
def test_it_waits_as_long_as_the_server_says(server, make, header):
    after = header or formatdate(time.time() + 2, usegmt=True)
    server.answer = failing(Answer(status=429, headers={"Retry-After": after}))
    assert make().answer([picture()], ["q"]) == ["no"]
    assert server.asked[1].at - server.asked[0].at >= (0.3 if header else 0.9)


def test_waits_grow_from_try_to_try(server, make):
    server.answer = failing(*[Answer(status=500)] * 3)
    make(backoff=0.05).answer([picture()], ["q"])
    waits = [after.at - before.at for before, after in pairwise(server.asked)]
    assert [wait >= least for wait, least in zip(waits, (0.05, 0.1, 0.2), strict=True)] == [True] * 3


def test_a_reply_that_is_all_reasoning_is_not_asked_for_again(server, make):
    """At temperature 0 it would end at the same limit every time."""
    body = completion("").replace('"finish_reason": "stop"', '"finish_reason": "length"')
    server.answer = lambda asked, tries: Answer(body=body)
    with pytest.raises(JudgeError, match="its reasoning takes all tokens that a reply has"):
        make().answer([picture()], ["q"])
    assert len(server.asked) == 1


def test_a_refused_question_is_asked_once(server, make):
    server.answer = lambda asked, tries: Answer(status=400, body='{"error": {"message": "unsafe image"}}')
    with pytest.raises(JudgeError, match=r"HTTP 400 .*unsafe image"):
        make().answer([picture()], ["q"])
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "says"), [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "the model's name and the address")]
)
def test_what_no_retry_helps_stops_at_once(server, make, status, says):
    server.answer = lambda asked, tries: Answer(status=status, body='{"error": {"message": "no"}}')
    with pytest.raises(HermesError, match=f"HTTP {status}.*{says}") as error:
        make(concurrency=2).answer(pictures(50), ["q"] * 50)
    assert not isinstance(error.value, JudgeError)
    assert len(server.asked) <= 4


def test_nobody_at_the_address_stops_at_once(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        begin = time.monotonic()
        with pytest.raises(HermesError, match=f"no server answers at {address}") as error:
            EndpointJudge(read_settings(f"test@{address}")).answer(pictures(20), ["q"] * 20)
    assert not isinstance(error.value, JudgeError)
    assert time.monotonic() - begin < 3


def test_a_server_that_goes_away_is_not_taken_for_a_wrong_address(server, make):
    server.answer = lambda asked, tries: Answer(headers={"Connection": "close"})
    judge = make(retries=1)
    assert judge.answer([picture()], ["a"]) == ["yes"]
    server.stop()
    with pytest.raises(JudgeError, match="connection error"):
        judge.answer([picture()], ["b"])


def test_eight_failures_in_a_row_stop_the_command(server, make):
    server.answer = lambda asked, tries: Answer(status=500)
    with pytest.raises(HermesError, match=r"8 questions in a row.*the same command again, which continues") as error:
        make(concurrency=1, retries=0).answer(pictures(50), ["q"] * 50)
    assert not isinstance(error.value, JudgeError)
    assert len(server.asked) == 8


def test_failures_between_answers_are_not_in_a_row(server, make):
    server.answer = lambda asked, tries: Answer(status=500) if int(asked.question) % 5 else Answer()
    judge = make(concurrency=1, retries=0)
    with pytest.raises(JudgeError, match="HTTP 500"):
        judge.answer(pictures(40), [str(number) for number in range(40)])
    assert len(server.asked) == 40


def test_an_image_that_is_refused_with_all_its_questions_does_not_stop_the_command(server, make):
    server.answer = lambda asked, tries: Answer(status=400)
    with pytest.raises(JudgeError, match="HTTP 400"):
        make().answer([picture()] * 30, [str(number) for number in range(30)])
    with pytest.raises(HermesError, match="8 questions in a row"):
        make().answer(pictures(30), ["q"] * 30)


def test_the_same_question_about_the_same_pixels_is_asked_once(server, make):
    assert make().answer([picture(), picture(), picture(1)], ["q"] * 3) == ["yes"] * 3
    assert len(server.asked) == 2


class TestBounds:
    @pytest.mark.parametrize("headers_too", [True, False])
    def test_a_reply_that_drips_is_given_up_after_its_time(self, server, make, headers_too):
        server.answer = lambda asked, tries: Answer(drip=0.05, headers_too=headers_too)
        begin = time.monotonic()
        with pytest.raises(JudgeError, match=r"no whole reply within 0\.3 seconds after 2 tries"):
            make(timeout=0.3, retries=1, backoff=0.01).answer([picture()], ["Red?"])
        assert time.monotonic() - begin < 3

    @pytest.mark.parametrize("status", [200, 500])
    def test_a_reply_without_end_is_given_up_after_its_share_of_bytes(self, server, make, status):
        server.answer = lambda asked, tries: Answer(status=status, endless=True)
        with pytest.raises(JudgeError, match=r"a reply of more than 4 MiB$"):
            make(timeout=30).answer([picture()], ["Red?"])


class TestStored:
    def test_another_judge_pays_nothing_for_what_is_stored(self, server, make):
        make().answer(pictures(3), ["q"] * 3)
        server.answer = lambda asked, tries: Answer("no")
        judge = make()
        assert judge.answer(pictures(4), ["q"] * 4) == ["yes", "yes", "yes", "no"]
        assert len(server.asked) == 4
        assert "judge openai:test: requests: 1; tokens: 100 in, 2 out; stored replies used: 3" in judge.usage()

    @pytest.mark.parametrize("change", [{"model": "other"}, {"address": True}])
    def test_another_model_or_address_is_asked_anew(self, server, make, change):
        make().answer([picture()], ["q"])
        address = server.url.replace("127.0.0.1", "localhost")
        make(**{key: address if value is True else value for key, value in change.items()}).answer([picture()], ["q"])
        assert len(server.asked) == 2

    def test_each_reply_is_stored_when_it_comes(self, server, make, tmp_path):
        """The second question is still unanswered while the first reply lies in the file."""
        released = threading.Event()

        def answer(asked: Asked, tries: int) -> Answer:
            if asked.question == "late":
                released.wait(10)
            return Answer()

        server.answer = answer
        judge = make()
        work = threading.Thread(target=judge.answer, args=([picture()] * 2, ["early", "late"]))
        work.start()
        path = tmp_path / "cache" / "judges" / "test.jsonl"
        deadline = time.monotonic() + 10
        while '"early"' not in path.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        text = path.read_text()
        released.set()
        work.join()
        assert '"early"' in text
        assert '"late"' not in text

    def test_a_torn_line_costs_one_question(self, server, make, tmp_path):
        make(concurrency=1).answer(pictures(3), ["q"] * 3)
        path = tmp_path / "cache" / "judges" / "test.jsonl"
        path.write_bytes(path.read_bytes()[:-20])
        assert make().answer(pictures(3), ["q"] * 3) == ["yes"] * 3
        assert len(server.asked) == 4
        make().answer(pictures(3), ["q"] * 3)
        assert len(server.asked) == 4

    def test_a_flipped_byte_costs_one_question(self, server, make, tmp_path):
        make(concurrency=1).answer(pictures(3), ["q"] * 3)
        path = tmp_path / "cache" / "judges" / "test.jsonl"
        first, rest = path.read_bytes().split(b"\n", 1)
        assert b'"reply": "Yes."' in first
        path.write_bytes(first.replace(b'"reply": "Yes."', b'"reply": "No.."') + b"\n" + rest)
        assert make().answer(pictures(3), ["q"] * 3) == ["yes"] * 3
        assert len(server.asked) == 4

    def test_replies_from_before_there_were_checksums_are_not_paid_for_again(self, server, make, tmp_path):
        make(concurrency=1).answer(pictures(2), ["q"] * 2)
        path = tmp_path / "cache" / "judges" / "test.jsonl"
        old = [json.loads(line) for line in path.read_text().splitlines()]
        assert [len(line.pop("crc32")) for line in old] == [8, 8]
        path.write_text("".join(json.dumps(line) + "\n" for line in old))
        assert make().answer(pictures(2), ["q"] * 2) == ["yes"] * 2
        assert len(server.asked) == 2

    def test_foreign_lines_are_no_replies(self, server, make, tmp_path):
        path = tmp_path / "cache" / "judges" / "test.jsonl"
        path.parent.mkdir(parents=True)
        path.write_bytes(b'\xff\n[1]\n{"key": 1, "reply": "no"}\n{"key": "k"}\n\n')
        assert make().answer([picture()], ["q"]) == ["yes"]

    def test_a_cache_that_cannot_be_written_is_one_line(self, make, server, tmp_path):
        (tmp_path / "cache").write_text("a file")
        with pytest.raises(HermesError, match="set HERMES_CACHE"):
            make()


def test_several_questions_are_in_flight_but_no_more_than_allowed(server, make):
    server.answer = lambda asked, tries: Answer(seconds=0.05)
    make(concurrency=4).answer(pictures(16), ["q"] * 16)
    assert 2 <= server.busiest <= 4


def test_the_rate_is_kept(server, make):
    begin = time.monotonic()
    make(requests_a_minute=1200.0).answer(pictures(9), ["q"] * 9)
    assert time.monotonic() - begin >= 8 * 60 / 1200


def test_tokens_and_dollars_are_added_up(server, make):
    server.answer = failing(Answer(text=""))
    judge = make(price=(2.5, 10.0), concurrency=1)
    judge.answer(pictures(2), ["a", "b"])
    assert judge.usage() == (
        "judge openai:test: requests: 4; tokens: 400 in, 8 out; cost: $0.0011; stored replies used: 0; "
        "neither yes nor no: 0"
    )


def test_the_key_reaches_the_server_and_nothing_else(server, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", " sk-123\n")
    judge = EndpointJudge(read_settings(f"test@{server.url}"))
    judge.answer([picture()], ["q"])
    assert server.asked[0].key == "Bearer sk-123"
    assert judge.identity == f"openai-test@{server.url[7:-3]}-prompt1-reader1"
    stored = (tmp_path / "cache" / "judges" / "test.jsonl").read_text()
    assert "sk-123" not in stored + repr(judge.settings) + judge.usage()


def test_without_its_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"hermes-bench\[api\]"):
        registry.load_class("judges", "openai:test")


def test_it_detects_nothing(make):
    with pytest.raises(HermesError, match="cannot detect"):
        make().detect([picture()], [()])


def test_first_tokens_are_asked_for_as_they_stand_and_paid_for_once(server, make):
    listed = {"Yes": math.log(0.5), "No": math.log(0.25), " Yes": -9999.0}
    server.answer = lambda asked, tries: Answer(body=completion("Yes", listed))
    for _ in range(2):
        (found,) = make().weigh([picture()], ["Red? One word."], [("Yes", " Yes")])
        assert found["tokens"] == pytest.approx({"Yes": 0.5, "No": 0.25, " Yes": 0.0})
        assert (found["rest"], found["pieces"]) == (pytest.approx(0.25), None)
    (asked,) = server.asked
    wanted = {"logprobs": True, "top_logprobs": 20, "max_tokens": 1, "temperature": 0.0}
    assert wanted.items() <= asked.payload.items()
    assert asked.payload["messages"][-1]["content"][1] == {"type": "text", "text": "Red? One word."}
    make().answer([picture()], ["Red? One word."])
    assert len(server.asked) == 2


def test_an_endpoint_that_lists_no_tokens_ends_the_command(server, make):
    with pytest.raises(HermesError, match="lists no probabilities of tokens") as caught:
        make().weigh(pictures(3), ["Red?"] * 3, [("Yes",)] * 3)
    assert not isinstance(caught.value, JudgeError)


def test_a_text_is_sent_before_its_image_after_the_system_prompt_and_each_attempt_is_its_own(server, make):
    server.answer = lambda asked, tries: Answer(f"Score: {tries}")
    for attempt, reply in ((0, "Score: 1"), (0, "Score: 1"), (1, "Score: 2")):
        assert make().write([picture()], ["Rate it."], "Be strict.", 500, attempt) == [reply]
    system, user = server.asked[0].payload["messages"]
    assert system == {"role": "system", "content": "Be strict."}
    assert [part["type"] for part in user["content"]] == ["text", "image_url"]
    assert (user["content"][0]["text"], server.asked[0].payload["max_tokens"]) == ("Rate it.", 500)
