"""Reading what lmms-eval wrote with --log_samples."""

import json
from pathlib import Path
from typing import Any

import pytest

from hermes.harness.data.lmms_samples import read_samples
from hermes.harness.system.errors import HermesError


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "20260101_samples_pope.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def read(folder: Path, *lines: Any) -> list[tuple[int, int, str]]:
    return [(int(answer.id), answer.index, str(answer.text)) for answer in read_samples(written(folder, *lines))]


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ({"filtered_resps": "yes"}, ["yes"]),
        ({"resps": "yes ", "filtered_resps": "yes"}, ["yes "]),
        ({"resps": ["It is B"], "filtered_resps": "B"}, ["It is B"]),
        ({"resps": [["It is B"]], "filtered_resps": ["B"]}, ["It is B"]),
        ({"resps": [["a", "b"]], "filtered_resps": ["a"]}, ["a", "b"]),
        ({"filtered_resps": ["a", "b", "a"]}, ["a", "b", "a"]),
        ({"filtered_resps": ""}, [""]),
    ],
)
def test_answers_come_out_of_their_lists(line: dict[str, Any], texts: list[str], tmp_path: Path) -> None:
    assert read(tmp_path, {"doc_id": 3, **line}) == [(3, index, text) for index, text in enumerate(texts)]


def test_documents_keep_their_order_and_filters_are_one(tmp_path: Path) -> None:
    lines = [{"doc_id": 1, "filtered_resps": "a"}, {"doc_id": 0, "resps": [["b"]], "filtered_resps": "B"}]
    again = [{"doc_id": 1, "filtered_resps": ["a", "c"]}, {"doc_id": 0, "resps": [["b"]], "filtered_resps": "[no]"}]
    assert read(tmp_path, *lines, *again) == [(1, 0, "a"), (1, 1, "c"), (0, 0, "b")]


@pytest.mark.parametrize("again", ["[invalid]", ["maybe"], ["no", "b"]])
def test_a_document_that_is_answered_in_two_ways_is_refused(again: Any, tmp_path: Path) -> None:
    lines = [{"doc_id": 0, "resps": [["b"]], "filtered_resps": "x"}, {"doc_id": 1, "filtered_resps": "a"}]
    with pytest.raises(HermesError, match=r"row 3 answers doc_id 0 otherwise than row 1; keep the lines of one run"):
        read(tmp_path, *lines, {"doc_id": 0, "filtered_resps": again})


@pytest.mark.parametrize(
    "more",
    [{"input": "Is there?\nAnswer the question using a single word or phrase."}, {"doc": {"question": "Is there?"}}],
)
def test_the_question_is_passed_on(more: dict[str, Any], tmp_path: Path) -> None:
    (answer,) = read_samples(written(tmp_path, {"doc_id": 0, "filtered_resps": "yes", **more}))
    assert answer.asked == "Is there?"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"filtered_resps": "yes"}, "row 2 has no doc_id"),
        ({"doc_id": "1", "filtered_resps": "yes"}, "row 2 has no doc_id"),
        ({"doc_id": 1, "resps": [["-1.5", "True"], ["-2", "False"]]}, "row 2 holds no text answers"),
        ({"doc_id": 1, "resps": [], "filtered_resps": []}, "row 2 holds no text answers"),
        ({"doc_id": 1}, "row 2 holds no text answers"),
        ("not json", "row 2 is not valid JSON"),
    ],
)
def test_bad_lines_are_named(line: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(HermesError, match=said):
        read(tmp_path, {"doc_id": 0, "filtered_resps": "yes"}, line)


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="no samples file"):
        list(read_samples(tmp_path / "results.json"))
