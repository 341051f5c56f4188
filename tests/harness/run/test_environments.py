"""What a run ran on, start by start, and what is said where versions changed between starts."""

import json
from pathlib import Path
from typing import Any

import pytest

from hermes.harness.run.environments import changed, environments


def start(torch: str | None = "2.6", **more: Any) -> dict[str, Any]:
    return {"packages": {"torch": torch, "numpy": "2.0"} if torch else {"numpy": "2.0"}, "device": "cuda"} | more


def write(folder: Path, *entries: Any) -> None:
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    (folder / "environment.jsonl").write_text("\n".join(lines))


def test_each_start_is_one_entry_with_what_its_end_adds(tmp_path: Path) -> None:
    end = {"end": True, "asked": 5, "reused": 1}
    write(tmp_path, start(), start("2.7"), end, start("2.8"))
    assert environments(tmp_path) == [start(), start("2.7") | end, start("2.8")]


def test_torn_lines_and_missing_files_are_no_error(tmp_path: Path) -> None:
    assert environments(tmp_path) == []
    write(tmp_path, start(), "[1]", "", '{"packages": {"to')
    assert environments(tmp_path) == [start()]


def test_an_older_run_has_one_environment(tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    path.write_text(json.dumps(start("2.5"), indent=2))
    assert environments(tmp_path) == [start("2.5")]
    write(tmp_path, start("2.6"))
    assert environments(tmp_path) == [start("2.6")]
    (tmp_path / "environment.jsonl").unlink()
    path.write_text("{")
    assert environments(tmp_path) == []


@pytest.mark.parametrize(
    ("starts", "lines"),
    [
        ([], []),
        ([start()] * 2, []),
        (
            [start(), start("2.7")],
            ["torch changed from 2.6 to 2.7 between starts; answers of both are in this run"],
        ),
        (
            [start(), start(), start("2.7"), start("2.8")],
            ["torch changed from 2.6 to 2.7 to 2.8 between starts; answers of all are in this run"],
        ),
        (
            [start(), start("2.7"), start()],
            ["torch changed from 2.6 to 2.7 to 2.6 between starts; answers of both are in this run"],
        ),
        ([start(), start("2.7", asked=0)], []),
        ([start(asked=3), start("2.7", asked=0), start(asked=2)], []),
        (
            [start(None), start(device="cpu", adapter="b"), start(device="cpu", adapter="b")],
            [
                "torch changed from none to 2.6 between starts; answers of both are in this run",
                "adapter changed from none to b between starts; answers of both are in this run",
                "device changed from cuda to cpu between starts; answers of both are in this run",
            ],
        ),
        ([start(packages="odd"), start(packages={"numpy": "2.1"})], []),
    ],
)
def test_what_changed_between_starts_that_asked_is_said(starts: list[dict[str, Any]], lines: list[str]) -> None:
    assert changed(starts) == lines
