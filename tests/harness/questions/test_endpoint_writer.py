"""Questions by an endpoint: the strict reading of replies, and a server on 127.0.0.1 that answers well or badly."""

import json
from dataclasses import replace

import pytest
from caption_server import caption_server
from hypothesis import given
from hypothesis import strategies as st

from hermes.harness.data.homologous.records import Item, Written
from hermes.harness.questions.endpoint_writer import INSTRUCTION, UNREADABLE, EndpointWriter, read
from hermes.harness.system.errors import HermesError

ENTRY = {"question": "Is it a cat?", "choices": ["yes", "no"], "answer": "yes", "element": "cat", "type": "animal"}


def reply(*entries):
    return json.dumps({"questions": list(entries)})


def test_a_good_reply_is_read_bare_and_fenced():
    (question,) = read(reply(ENTRY)).questions
    assert (question.question, question.answer, question.kind) == ("Is it a cat?", "yes", "animal/human")
    assert (question.choices, question.element) == (("yes", "no"), "cat")
    for fence in ("```json\n{}\n```", "\n```\n{}\n```\n", " {} "):
        assert read(fence.format(reply(ENTRY))) == read(reply(ENTRY))


@pytest.mark.parametrize(
    "text", ["", "Sure! " + reply(ENTRY), "[]", "{}", '{"questions": {}}', "{", "null", "[" * 9999]
)
def test_other_replies_are_not_read(text):
    assert read(text) == Written(reason=UNREADABLE)


@pytest.mark.parametrize(
    "change",
    [
        {"question": " "},
        {"question": None},
        {"choices": ["yes"]},
        {"choices": ["yes", "yes"]},
        {"choices": "yes, no"},
        {"choices": ["yes", 1]},
        {"answer": "maybe"},
        {"answer": ["yes"]},
        {"type": "mood"},
        {"type": 3},
    ],
)
def test_malformed_questions_are_counted(change):
    written = read(reply(ENTRY, ENTRY | change, "text"))
    assert (len(written.questions), written.malformed, written.reason) == (1, 2, "")
    assert read(reply(ENTRY | change)) == Written(reason=UNREADABLE, malformed=1)


JSON = st.none() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())
FIELDS = st.fixed_dictionaries({}, optional={name: JSON | st.just(value) for name, value in ENTRY.items()})


@given(st.lists(FIELDS))
def test_any_json_is_read_or_counted(entries):
    written = read(reply(*entries))
    assert len(written.questions) + written.malformed == len(entries)
    for question in written.questions:
        assert question.answer in question.choices
        assert len(set(question.choices)) == len(question.choices) >= 2


@pytest.fixture
def server(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HERMES_JUDGE_RPM", "HERMES_JUDGE_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    with caption_server() as server:
        yield server


@pytest.fixture
def writer(server):
    pytest.importorskip("openai")
    from hermes.harness.judges.endpoint.client import ChatClient
    from hermes.harness.system.endpoint.settings import read_settings

    return EndpointWriter(ChatClient(replace(read_settings(f"m@{server.address}"), retries=1, backoff=0.01)))


def items(*captions):
    return [Item(caption, caption) for caption in captions]


def test_captions_are_asked_and_answered_in_order(server, writer):
    server.replies = {"a": reply(ENTRY), "b": "Hello.", "c": reply(ENTRY, ENTRY), "d": 400}
    written = writer.write(items("a", "b", "c", "d"))
    assert [len(one.questions) for one in written] == [1, 0, 2, 0]
    assert [one.reason for one in written] == ["", UNREADABLE, "", ""]
    assert [bool(one.error) for one in written] == [False, False, False, True]
    assert "400" in written[3].error
    assert sorted(server.asked) == ["a", "b", "c", "d"]
    assert writer.identity.startswith("openai:m@127.0.0.1:")


def test_a_server_error_is_tried_again_and_then_told(server, writer):
    (one,) = writer.write(items("never"))
    assert "500" in one.error
    assert server.asked == ["never", "never"]


def test_eight_failures_in_a_row_stop_the_command(server, writer):
    writer.write(items(*"abcdef"))
    with pytest.raises(HermesError, match="8 captions in a row"):
        writer.write(items("g", "h"))


@pytest.mark.parametrize(("status", "hint"), [(401, "OPENAI_API_KEY"), (404, "model's name")])
def test_what_no_retry_helps_stops_at_once(server, writer, status, hint):
    server.replies = {"a": status}
    with pytest.raises(HermesError, match=hint):
        writer.write(items("a"))


def test_the_prompt_says_which_types_there_are():
    assert "counting, color" in INSTRUCTION
    assert INSTRUCTION.endswith("Caption: ")
