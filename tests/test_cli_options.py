"""Options come from the settings: each field is one, explained with its default, and only what is typed overrides."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from hermes import commands
from hermes.align.play import selfplay
from hermes.align.play.chosen import settings_for
from hermes.align.settings import AlignSettings
from hermes.harness.contracts.options import Panel
from hermes.harness.run.outside.score import ScoreSettings
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError
from hermes.options import split_tasks

Command = Callable[..., Any]
MODELS: dict[str, type[BaseModel]] = {"eval": EvalSettings, "align": AlignSettings, "score": ScoreSettings}
BARE: dict[str, Callable[[dict[str, Any]], Any]] = {"eval": lambda given: EvalSettings(**given), "align": settings_for}
"""What commands end in that are given no more than this; `hermes align` has the recipe of its model below it."""
FIELDS = [(name, field) for name, model in MODELS.items() for field in model.model_fields]


def flag(field: str) -> str:
    return "-n" if field == "n" else "--" + field.replace("_", "-")


@pytest.fixture
def built(command: Command, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`built(*arguments)`: the settings that a command line ends in; nothing is run."""
    found: list[Any] = []

    def stop(settings: Any, *_: object) -> None:
        found.append(settings)
        raise HermesError("enough")

    monkeypatch.setattr(commands, "evaluate", stop)
    monkeypatch.setattr(commands, "score_files", stop)
    monkeypatch.setattr(selfplay, "align", stop)

    def run(*arguments: object) -> Any:
        assert command(*arguments) == (2, "", "hermes: enough\n")
        return found.pop()

    return run


@pytest.fixture
def entries(command: Command, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, str]]:
    """`entries(command)`: each option of its help, without line breaks."""
    monkeypatch.setenv("COLUMNS", "140")

    def read(name: str) -> dict[str, str]:
        code, out, err = command(name, "--help")
        assert (code, err) == (0, "")
        options = re.split(r"\n  (?=-)", out)[1:]
        texts = [" ".join(re.split(r"\n(?=\S|\n)", option)[0].split()) for option in options]
        return {str(re.match(r"(?:-\w, )?(\S+)", text).group(1)): text for text in texts}  # type: ignore[union-attr]

    return read


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_every_setting_is_described(name: str, field: str) -> None:
    description = MODELS[name].model_fields[field].description
    assert description
    assert description.endswith(".")
    assert len(description) < 200


@pytest.mark.parametrize("name", MODELS)
def test_every_setting_is_an_option_that_shows_its_default(entries: Callable[[str], dict[str, str]], name: str) -> None:
    found = entries(name)
    for key, field in MODELS[name].model_fields.items():
        text = found.pop(flag(key))
        if field.is_required():
            assert "Default" not in text
        elif field.default is None or field.default == ():
            assert re.search(r" Default: \S", text)
        else:
            words = {"True": "yes", "False": "no"}.get(str(field.default), str(field.default).rstrip("."))
            assert f" Default: {words}." in text.replace("- ", "-"), key
    own = {"--config", "--profile", "--quiet", "--verbose", "--json", "--dry-run", "--per-sample", "--help"}
    assert set(found) <= own


@pytest.mark.parametrize("name", MODELS)
def test_a_default_is_said_once(name: str) -> None:
    said = [
        key
        for key, field in MODELS[name].model_fields.items()
        if "Default" in (field.description or "") and field.default not in (None, ())
    ]
    assert said == []


def test_choices_and_bounds_are_shown(entries: Callable[[str], dict[str, str]]) -> None:
    found = entries("align")
    assert "<fresh|paper|released>" in found["--rule"]
    assert "[x>=2]" in found["-n"]
    assert "[0<=x<=1]" in found["--threshold"]
    assert "--confidence / --no-confidence" in found["--confidence"]
    assert "-m, --model" in entries("eval")["--model"]
    assert "--fresh / --resume" in entries("eval")["--fresh"]


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("name", MODELS)
def test_help_fits_the_terminal(command: Command, monkeypatch: pytest.MonkeyPatch, name: str, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = command(name, "--help").out.splitlines()
    assert max(map(len, lines)) <= columns
    panels = [line[:-1] for line in lines if re.fullmatch(r"\S.*:", line)]
    order = [panel.value for panel in Panel if panel.value in panels]
    assert [panel for panel in panels if panel not in ("Arguments", "General")] == order
    assert panels[-1] == "General"


def test_without_options_the_defaults_stand(built: Callable[..., Any]) -> None:
    assert built("eval") == EvalSettings()
    assert built("align") == settings_for({"recipe": "hermes-tiny"})
    assert built("score", "--task", "pope", "--responses", "a.jsonl") == ScoreSettings(
        task="pope", responses=Path("a.jsonl")
    )


@pytest.mark.parametrize(
    ("name", "key", "line", "filed", "typed", "given"),
    [
        ("eval", "batch_size", "7", 7, ["--batch-size", "64"], 64),
        ("eval", "seed", "7", 7, ["--seed", "0"], 0),
        ("eval", "limit", "7", 7, ["--limit", "9"], 9),
        ("eval", "model", "'null'", "null", ["-m", "hermes-tiny"], "hermes-tiny"),
        ("eval", "split", "'train'", "train", ["--split", "test"], "test"),
        ("eval", "dtype", "'float16'", "float16", ["--dtype", "auto"], "auto"),
        ("eval", "tasks", "['a', 'b']", ("a", "b"), ["--tasks", "c@x=1,y=2,d"], ("c@x=1,y=2", "d")),
        ("eval", "runs", "'there'", Path("there"), ["--runs", "runs"], Path("runs")),
        ("eval", "out", "'there'", Path("there"), ["--out", "here"], Path("here")),
        ("eval", "plugin", "['a.py']", (Path("a.py"),), ["--plugin", "b", "--plugin", "c"], (Path("b"), Path("c"))),
        ("eval", "task_file", "['a.csv']", (Path("a.csv"),), ["--task-file", "b:judge"], (Path("b:judge"),)),
        ("eval", "category", "['a b']", ("a b",), ["--category", "c d,e"], ("c d", "e")),
        ("eval", "sample", "7", 7, ["--sample", "3"], 3),
        ("eval", "compile", "true", True, ["--no-compile"], False),
        ("eval", "compile", "false", False, ["--compile"], True),
        ("eval", "fresh", "true", True, ["--resume"], False),
        ("eval", "fresh", "false", False, ["--fresh"], True),
        ("align", "confidence", "false", False, ["--confidence"], True),
        ("align", "confidence", "true", True, ["--no-confidence"], False),
        ("align", "bf16", "true", True, ["--no-bf16"], False),
        ("align", "lr", "0.5", 0.5, ["--lr", "2e-4"], 2e-4),
        ("align", "n", "4", 4, ["-n", "10"], 10),
        ("align", "trackers", "['wandb']", ("wandb",), ["--trackers", "tensorboard, wandb"], ("tensorboard", "wandb")),
        ("align", "eval_tasks", "['a']", ("a",), ["--eval-tasks", "b"], ("b",)),
        ("align", "guidances", "[0, 1.5]", (0.0, 1.5), ["--guidances", "2,0, 1"], (0.0, 1.0, 2.0)),
        ("align", "objective", "'ipo'", "ipo", ["--objective", "sum"], "sum"),
    ],
)
def test_the_command_line_wins_over_the_file_and_the_file_over_the_default(
    built: Callable[..., Any],
    tmp_path: Path,
    name: str,
    key: str,
    line: str,
    filed: object,
    typed: list[str],
    given: object,
) -> None:
    (tmp_path / "it.toml").write_text(f"{key} = {line}\n")
    ends = BARE[name]
    assert built(name, "--config", "it.toml") == ends({key: filed})
    assert built(name, "--config", "it.toml", *typed) == ends({key: given})
    assert built(name, *typed) == ends({key: given})
    assert getattr(ends({key: given}), key) == given


def test_score_takes_its_options(built: Callable[..., Any]) -> None:
    typed = ("--task", "pope", "--responses", "a", "--pic-num", 4, "--protocol", "official", "--fresh", "--runs", "r")
    assert built("score", *typed) == ScoreSettings(
        task="pope", responses=Path("a"), pic_num=4, protocol="official", fresh=True, runs=Path("r")
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("eval", "--limt", 3), ["--limt", "--limit"]),
        (("eval", "--limit", -1), ["'--limit'", "greater than or equal to 1"]),
        (("eval", "--limit", "many"), ["'--limit'", "integer"]),
        (("eval", "--split", "training"), ["'--split': 'training'", "'train', 'validation', 'test'"]),
        (("eval", "--device"), ["'--device' requires an argument"]),
        (("eval", "pope"), ["extra argument", "pope"]),
        (("align", "--threshold", 1.5), ["'--threshold'", "less than or equal to 1"]),
        (("align", "--lr", -1), ["settings: lr = -1.0", "greater than 0"]),
        (("align", "--warmup", 1), ["settings: warmup = 1.0", "less than 1"]),
        (("align", "--rule", "paper", "--fresh-items"), ["settings: rule 'paper'", "fresh_items must be false"]),
        (("align", "--lora-rank", 4, "--average", 0.5), ["settings: average mixes whole weights"]),
        (("score", "--pic-num", "x"), ["'--pic-num'"]),
        (("evaluate",), ["No such command 'evaluate'"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_wrong_option_is_one_line(command: Command, arguments: tuple[object, ...], said: list[str]) -> None:
    code, out, err = command(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("hermes: ")
    assert [text for text in said if text not in err] == []


def test_the_file_is_not_blamed_for_what_was_typed(command: Command, tmp_path: Path) -> None:
    (tmp_path / "it.toml").write_text("lr = -2.0\n")
    assert command("align", "--config", "it.toml").err.startswith("hermes: it.toml: lr = -2.0")
    assert command("align", "--config", "it.toml", "--lr", -1).err.startswith("hermes: settings: lr = -1.0")


@pytest.mark.parametrize("arguments", [(), ("data",)])
def test_a_group_without_a_command_shows_its_help(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = command(*arguments)
    assert (code, err) == (2, "")
    listed = out.split("Commands:")[1]
    assert "..." not in listed  # each fits its line


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        ("", ()),
        ("pope", ("pope",)),
        ("a, b ,,c", ("a", "b", "c")),
        ("a,b@x=1,y=2,c", ("a", "b@x=1,y=2", "c")),
        ("a@x=1,b@y=2,z=3", ("a@x=1", "b@y=2,z=3")),
        ("a,x=1", ("a", "x=1")),
    ],
)
def test_tasks_are_split_at_commas_that_belong_to_no_override(text: str, tasks: tuple[str, ...]) -> None:
    assert split_tasks(text) == tasks
