"""What a person reads: tables that name everything, paths that can be copied, no bars where nobody watches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hermes.harness.system import registry
from hermes.harness.system.errors import MissingExtra

Command = Callable[..., Any]
EVAL = ("eval", "--model", "theirs", "--tasks", "theirs,theirs-drawing", "--device", "cpu")


def test_an_eval_prints_scores_counts_and_gap(command: Command) -> None:
    code, out, err = command(*EVAL, "--out", "run", "-q")
    assert (code, err) == (0, "")
    assert all(word in out for word in ("theirs-drawing", "accuracy, %", "unparsed", "errors", "U - G"))
    assert out.splitlines()[-2:] == ["results: run/results.json", "report: run/report.html"]


def test_a_partial_run_says_so(command: Command) -> None:
    out = command(*EVAL, "--limit", 4, "--out", "run").out
    assert "8 of 24" in out
    assert "partial: only some answers of theirs, theirs-drawing" in out.splitlines()


def test_a_long_path_is_printed_in_one_piece(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / ("[bold]" + "x" * 150) / "run"
    assert command(*EVAL, "--out", folder).out.splitlines()[-1] == f"report: {folder}/report.html"


@pytest.mark.parametrize("label", ["[ours] +1", "[/red]"])
def test_a_label_is_printed_as_it_is(command: Command, label: str) -> None:
    assert label in command(*EVAL, "--label", label, "--out", "run").out


def test_the_profile_names_every_stage(command: Command) -> None:
    out = command(*EVAL, "--profile").out
    assert all(stage in out for stage in ("plan", "load", "draw theirs", "judge theirs-drawing", "score theirs"))


def test_stored_answers_are_scored_again_on_the_screen(command: Command) -> None:
    command(*EVAL, "--out", "run")
    code, out, err = command("score", "run", "--protocol", "strict", "-q")
    assert (code, err) == (0, "")
    assert "theirs-drawing" in out


@pytest.mark.parametrize("kind", ["models", "evaluators", "judges"])
def test_what_cannot_be_loaded_is_listed_with_its_remedy(
    command: Command, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise MissingExtra("it", "geneval")

    monkeypatch.setattr(registry, "load_class", missing)
    code, out, _ = command("list", kind)
    assert code == 0
    assert "hermes-bench[geneval]" in "".join(out.split()).replace("│", "")
