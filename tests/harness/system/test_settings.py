"""Settings: defaults, then the file, then the command line, and nothing unknown."""

from pathlib import Path

import pytest

from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError
from hermes.harness.system.settings import build


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "eval.toml"
    path.write_text('model = "null"\ntasks = ["pope", "gqa"]\nlimit = 8\nlabel = "żółć"\n', encoding="utf-8")
    return path


def test_defaults() -> None:
    assert build(EvalSettings) == EvalSettings()


def test_the_file_wins_over_defaults_and_the_command_line_over_the_file(file: Path) -> None:
    found = build(EvalSettings, file, {"limit": 2, "model": None, "out": "x"})
    assert found == EvalSettings(model="null", tasks=("pope", "gqa"), limit=2, label="żółć", out=Path("x"))


def test_an_unknown_key_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "eval.toml"
    path.write_text("batchsize = 3\n")
    with pytest.raises(HermesError) as error:
        build(EvalSettings, path)
    assert str(path) in str(error.value)
    assert "'batchsize'" in str(error.value)
    assert all(key in str(error.value) for key in EvalSettings.model_fields)
    with pytest.raises(HermesError, match="settings: unknown key 'sed'"):
        build(EvalSettings, overrides={"sed": 1})


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('limit = "many"', "limit"),
        ("limit = 0", "limit"),
        ("batch_size = 0", "batch_size"),
        ('split = "train-and-test"', "split"),
        ("tasks = 3", "tasks"),
    ],
)
def test_a_bad_value_is_named_with_file_and_key(tmp_path: Path, line: str, key: str) -> None:
    path = tmp_path / "eval.toml"
    path.write_text(line)
    with pytest.raises(HermesError, match=rf"eval\.toml: {key} = .* is not valid"):
        build(EvalSettings, path)


@pytest.mark.parametrize("content", [b"limit = ", b"\xff\xfe", None])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "eval.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HermesError, match=r"eval\.toml"):
        build(EvalSettings, path)
