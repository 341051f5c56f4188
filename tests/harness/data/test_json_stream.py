"""JSON in every loose form, read one value at a time: as if the text had been read at once, wherever it is cut."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hermes.harness.data import json_stream
from hermes.harness.data.files import file_rows
from hermes.harness.data.json_stream import holds_table, json_elements, json_members, json_values
from hermes.harness.system.errors import HermesError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
PARTS = st.sampled_from(
    [*'{}[]",:\\ \n1x', "\r\n", ",\n", "null", "-Infinity", '"a"', '{"a": 1}', "1.5e-30", "\\u00e9"]
)
CHUNKS = st.sampled_from([1, 2, 3, 7, 64])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json") / "x.json"


def at_once(path: Path, text: str) -> list[Any]:
    """The values of a text that is in memory as a whole. Raises HermesError as the reader of streams must."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    start = len(text) - len(text.lstrip())
    bracket = text.startswith("[", start)
    between = re.compile(r"[\s,]*")
    values: list[Any] = []
    position = between.match(text, start + bracket).end()  # type: ignore[union-attr]
    while position < len(text) and text[position] != "]":
        try:
            value, position = json.JSONDecoder().raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise broken(path, text, error.pos, error.msg) from None
        values.append(value)
        position = between.match(text, position).end()  # type: ignore[union-attr]
    rest = text[position:]
    if rest.strip() != ("]" if bracket else ""):
        raise broken(
            path, text, position, "the list has no end" if bracket else f"{rest[:20].strip()!r} follows the last"
        )
    return values


def broken(path: Path, text: str, position: int, reason: str) -> HermesError:
    line = text.count("\n", 0, position) + 1
    return HermesError(f"{path}: line {line} is not valid JSON ({reason}); fix it")


def said(read: Callable[[], Iterable[Any]]) -> str:
    """The values, or the error."""
    try:
        return repr(list(read()))
    except HermesError as error:
        return str(error)


@given(st.lists(VALUES, max_size=5), st.sampled_from([",", " ,\n", "\n"]), st.sampled_from([None, 0, 4]), CHUNKS)
def test_values_are_the_same_wherever_the_text_is_cut(path, values, between, indent, chunk):
    body = between.join(json.dumps(value, indent=indent, ensure_ascii=chunk % 2 == 0) for value in values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", chunk)
        bare = [] if body.startswith("[") else [f"{body}\n"]  # There the bracket would be the list's.
        for text in (*bare, f"[{body}]", f" [\n{body},\n]\n", f"\N{BYTE ORDER MARK}[{body}]"):
            path.write_text(text, encoding="utf-8")
            assert list(json_values(path)) == values


@given(st.lists(PARTS, max_size=12).map("".join), CHUNKS)
@example("[1.5e-30", 1)
@example('{"a": 1} x', 2)
@example("[[1]] ]", 3)
@example('["\\ud83d\\ude00"]', 7)
@example('"' + "long" * 20, 2)
def test_whatever_is_wrong_is_said_with_its_line_wherever_the_text_is_cut(path, text, chunk):
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", chunk)
        assert said(lambda: json_values(path)) == said(lambda: at_once(path, text))


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.sampled_from([None, 4]), CHUNKS)
def test_the_members_of_a_table_come_one_by_one(path, table, indent, chunk):
    body = json.dumps(table, indent=indent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", chunk)
        for text in (body, f" [{body}]", f"{body},\n"):
            path.write_text(text)
            assert dict(json_members(path)) == table
            assert holds_table(path, {"caption"}) == ("caption" not in table)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ('{"a": {"caption": "c"}}', True),
        ('{"a": 1, "caption": "c"}', False),
        ('{"a": 1}\n{"a": 2}', False),
        ('[{"a": 1}, {"a": 2}]', False),
        ("[]", False),
        ("{}", True),
        ('{"a": ', False),
        ("", False),
    ],
)
def test_one_object_without_the_names_of_a_row_is_a_table(path, text, table):
    path.write_text(text)
    assert holds_table(path, {"caption"}) == table


def test_a_large_table_is_known_by_its_beginning(path, monkeypatch):
    monkeypatch.setattr(json_stream, "CHUNK", 64)
    monkeypatch.setattr(json_stream, "LOOK", 256)
    entries = {str(number): {"text": "x" * 40} for number in range(50)}
    path.write_text(json.dumps(entries | {"caption": "an id like any other"}))
    assert holds_table(path, {"caption"})
    assert list(json_members(path))[-1] == ("caption", "an id like any other")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1 "b": 2}', r"line 1 is not valid JSON \(Expecting ',' delimiter\)"),
        ('{"a"\n1}', r"line 2 is not valid JSON \(Expecting ':' delimiter\)"),
        ("{1: 2}", "Expecting property name enclosed in double quotes"),
        ('{"a": }', "Expecting value"),
        ('{"a": 1}\n]', r"line 2 is not valid JSON \('\]' follows the last\)"),
        ('[{"a": 1}', "the list has no end"),
    ],
)
def test_a_broken_table_names_its_line(path, text, said):
    path.write_text(text)
    with pytest.raises(HermesError, match=said):
        list(json_members(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": 1}', "is not a JSON list of objects"),
        ("", "is not a JSON list of objects"),
        ('[{"id": 1},]', "a comma follows the last value"),
        ('[{"id": 1} {"id": 2}]', "expected one comma between two values"),
        ('[{"id": 1},, {"id": 2}]', "expected one comma between two values"),
        ('[,{"id": 1}]', "expected one comma between two values"),
        ('[{"id": 1}', "the list has no end"),
        ('[{"id": 1}] x', "the list has no end"),
        ('[{"id": "\\ud800"}]', "half of a character"),
        ("[" * 100_000, "line 1 is not valid JSON"),
        ("[1]", "row 1 is not a JSON object"),
        (b'[{"id": "\xff"}]', "cannot be read"),
    ],
)
def test_rows_of_json_are_a_strict_list(path, text, said):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(HermesError, match=said) as error:
        list(file_rows(path))
    assert "\n" not in str(error.value)


@given(st.lists(VALUES, max_size=4), st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3), CHUNKS, st.booleans())
def test_the_elements_of_a_list_are_streamed(path, elements, others, chunk, last):
    whole = {**others, "list": elements} if last else {"list": elements, **others}
    path.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", chunk)
        assert list(json_elements(path, ("list",))) == [("list", element) for element in elements]


@pytest.mark.parametrize("text", ['[{"list": [1]}]', "7", "", '{"list": 1}', '{"other": [1]}'])
def test_without_such_a_list_there_are_no_elements(path, text):
    path.write_text(text)
    assert list(json_elements(path, ("list",))) == []


@pytest.mark.parametrize("text", ['{"list": [1, 2', '{"list": [1 2]}', '{"list": [1]'])
def test_a_list_that_breaks_off_is_told(path, text):
    path.write_text(text)
    with pytest.raises(HermesError, match="line 1 is not valid JSON"):
        list(json_elements(path, ("list",)))


def test_rows_of_json(path):
    path.write_text('\N{BYTE ORDER MARK} [{"id": "\\ud83d\\ude00"},\n {"id": 2}]\n', encoding="utf-8")
    assert list(file_rows(path)) == [{"id": "😀"}, {"id": 2}]
