"""Answers from files and runs over the same rows rank together, as far as it is known that the data is the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made import result, run

from hermes.evaluators.pope import POPE
from hermes.harness.data.tables import load_data
from hermes.leaderboards import compare, leaderboard

NOT_RANKED = "POPE: the rows differ in data"


def on(fingerprint: str, value: float, rows: str = "r") -> dict[str, Any]:
    """A result of POPE on the data with this hash; answers from files have the hash of the rows."""
    found = result("pope", value)
    data = found.data.model_copy(update={"fingerprint": fingerprint, "rows": rows})
    return {"pope": found.model_copy(update={"data": data})}


def test_files_and_a_run_over_the_same_rows_are_ranked(command: Callable[..., Any], tmp_path: Path) -> None:
    samples = load_data(POPE(), "shapes", "test").samples
    lines = [json.dumps({"id": sample.id, "response": str(sample.target)}) for sample in samples]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines))
    score = ("score", "--task", "pope", "--data", "shapes", "--responses", "answers.jsonl")
    for arguments in (
        (*score, "--label", "files", "--out", "runs/files"),
        ("eval", "--model", "null", "--tasks", "pope", "--data", "shapes"),
    ):
        said = command(*arguments)
        assert said.code == 0, said.err
    text = leaderboard([tmp_path / "runs"])
    assert "| **100.0** |" in text
    assert NOT_RANKED not in text


def test_files_and_a_run_over_the_same_rows_are_compared(tmp_path: Path) -> None:
    folders = [run(tmp_path / "a", "a", on("pictures", 80.0)), run(tmp_path / "b", "b", on("r", 90.0))]
    (pope,) = compare(folders).moved
    assert pope.why_not == ""
    assert pope.difference
    assert pope.difference.metric.value == 10.0


def test_files_over_other_rows_are_not_ranked(tmp_path: Path) -> None:
    run(tmp_path / "a", "a", on("with pictures", 80.0))
    run(tmp_path / "b", "b", on("other", 90.0, rows="other"))
    assert NOT_RANKED in leaderboard([tmp_path])


def test_the_same_rows_with_other_pictures_are_not_ranked(tmp_path: Path) -> None:
    """Nor are answers from files then, as nobody knows which pictures they are about."""
    run(tmp_path / "a", "a", on("pictures", 80.0))
    run(tmp_path / "b", "b", on("other pictures", 90.0))
    assert NOT_RANKED in leaderboard([tmp_path])
    run(tmp_path / "c", "c", on("r", 95.0))
    assert NOT_RANKED in leaderboard([tmp_path])


def test_files_without_any_run_are_ranked_among_themselves(tmp_path: Path) -> None:
    run(tmp_path / "a", "a", on("r", 80.0))
    run(tmp_path / "b", "b", on("r", 90.0))
    assert "**90.0**" in leaderboard([tmp_path])


def test_runs_of_an_older_version_keep_to_their_data(tmp_path: Path) -> None:
    run(tmp_path / "a", "a", on("old", 80.0, rows=""))
    run(tmp_path / "b", "b", on("r", 90.0))
    assert NOT_RANKED in leaderboard([tmp_path])
