"""Cells in the forms in which others write them."""

import pytest

from hermes.harness.contracts.fields import flag, label, nested, people, spelled, texts, tidied


@pytest.mark.parametrize(
    ("tidy", "cell", "found"),
    [
        (nested, "{'structural': 'verify', 'x': None}", {"structural": "verify", "x": None}),
        (nested, '{"a": [1, true, null]}', {"a": [1, True, None]}),
        (nested, "['a', 'b']", ["a", "b"]),
        (nested, "[red] is no list", "[red] is no list"),
        (nested, "['a b' \"it's\"\n 'c']", ["a b", "it's", "c"]),
        (nested, "[{'a': 'x  y'}\n {'a': 'z'}]", [{"a": "x  y"}, {"a": "z"}]),
        (nested, "['a' 'b", "['a' 'b"),
        (nested, "['a\"  \"b']", ['a"  "b']),
        (nested, "text", "text"),
        (nested, {"a": 1}, {"a": 1}),
        (flag, "True", True),
        (flag, " false ", False),
        (flag, 1, True),
        (flag, "0", False),
        (flag, "1.0", True),
        (flag, "maybe", "maybe"),
        (label, " Yes", "yes"),
        (label, "NO", "no"),
        (label, "Perhaps", "Perhaps"),
        (label, None, None),
        (label, True, "yes"),
        (label, False, "no"),
        (spelled, 3, "3"),
        (spelled, True, True),
        (texts, "[1, 2]", ["1", "2"]),
        (texts, ["a", 2.5], ["a", "2.5"]),
        (people, ["red", "blue"], [{"answer": "red", "answer_id": 1}, {"answer": "blue", "answer_id": 2}]),
        (people, '["red"]', [{"answer": "red", "answer_id": 1}]),
        (people, [{"answer": "red"}], [{"answer": "red"}]),
        (people, [], []),
        (people, "['red' 'blue']", [{"answer": "red", "answer_id": 1}, {"answer": "blue", "answer_id": 2}]),
    ],
)
def test_cells(tidy, cell, found):
    assert tidy(cell) == found
    assert type(tidy(cell)) is type(found)


def test_only_the_named_cells_change_and_absent_ones_stay_absent():
    row = {"a": "True", "b": "True", "c": None}
    assert tidied(row, {"a": flag, "c": flag, "d": flag}) == {"a": True, "b": "True", "c": None}
    assert row["a"] == "True"
