"""What a person waits for before anything happens: no torch for help, lists and the package itself."""

import subprocess
from collections.abc import Callable

import pytest

Python = Callable[..., "subprocess.CompletedProcess[str]"]
HEAVY = ("torch", "transformers", "accelerate", "datasets", "pandas", "peft", "pyarrow", "scipy")
REPORT = """
import atexit, sys
atexit.register(lambda: sys.stderr.write("loaded: " + " ".join(sys.modules)))
"""
COMMAND = REPORT + "sys.argv = ['hermes', {arguments}]\nfrom hermes.cli import main\nmain()"


def loaded(done: "subprocess.CompletedProcess[str]") -> set[str]:
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split("loaded: ")[1].split())


def run(python: Python, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return python("-c", COMMAND.format(arguments=", ".join(map(repr, arguments))))


def test_importing_the_package_loads_nothing_heavy(python: Python) -> None:
    modules = loaded(python("-c", REPORT + "import hermes"))
    assert "hermes" in modules
    assert modules.isdisjoint((*HEAVY, "numpy", "pydantic", "PIL", "typer", "hermes.harness"))


def test_help_loads_nothing_heavy(python: Python) -> None:
    done = run(python, "--help")
    assert "eval" in done.stdout
    assert loaded(done).isdisjoint((*HEAVY, "numpy", "pydantic", "PIL"))


@pytest.mark.parametrize("command", ["eval", "align", "score", "leaderboard", "push", "list"])
def test_help_of_a_command_loads_nothing_heavy(python: Python, command: str) -> None:
    assert loaded(run(python, command, "--help")).isdisjoint(HEAVY)


@pytest.mark.parametrize("kind", ["evaluators", "judges"])
def test_listing_loads_nothing_heavy(python: Python, kind: str) -> None:
    done = run(python, "list", kind)
    assert {"evaluators": "pope", "judges": "oracle"}[kind] in done.stdout
    assert loaded(done).isdisjoint(HEAVY)


def test_the_names_of_models_load_none_of_them(python: Python) -> None:
    modules = loaded(python("-c", REPORT + "from hermes.harness.system import registry\nregistry.names('models')"))
    assert "hermes.harness.system.registry" in modules
    assert modules.isdisjoint((*HEAVY, "hermes.harness.models.null"))


def test_evaluating_a_model_without_weights_loads_no_torch(python: Python) -> None:
    done = run(python, "eval", "--model", "theirs", "--tasks", "theirs", "--device", "cpu", "--out", "run")
    assert "torch" not in loaded(done)
