"""What SECURITY.md promises: code and pickled objects that data or checkpoints bring are never run."""

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hermes.harness.judges.similarity import similarity
from hermes.harness.questions.checkpoints import load_text_model
from hermes.harness.system.errors import HermesError

HERMES = Path(__file__).parents[1] / "hermes"
CODE = """
from pathlib import Path
from transformers import PretrainedConfig

Path({marker!r}).touch()

class Theirs(PretrainedConfig):
    model_type = "theirs"
"""


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """(what is called, as it is written; the call; its place) of all of Hermes."""
    for path in sorted(HERMES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node, f"{path.relative_to(HERMES.parent)}:{node.lineno}"


def test_pickles_are_read_as_tensors_only() -> None:
    found = [
        (where, [ast.unparse(k.value) for k in call.keywords if k.arg == "weights_only"])
        for name, call, where in calls()
        if name == "torch.load"
    ]
    assert found
    assert [where for where, said in found if said != ["True"]] == []


def test_nothing_is_unpickled_evaluated_or_trusted() -> None:
    refused = ("eval", "exec", "pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load", "os.system")
    found = {where.partition(":")[0] for name, _, where in calls() if name in refused}
    named_by_the_user, own_index = "hermes/harness/contracts/plugins.py", "hermes/harness/data/homologous/joined.py"
    own_shelf = "hermes/align/losses/shelf.py"
    assert found == {named_by_the_user, own_index, own_shelf}  # the last two: temporary files of the same launch
    trusting = [
        where
        for _, call, where in calls()
        for key in call.keywords
        if key.arg in ("trust_remote_code", "allow_pickle", "shell") and ast.unparse(key.value) != "False"
    ]
    assert trusting == []


@pytest.mark.parametrize(
    "load",
    [
        lambda folder: load_text_model("AutoModelForCausalLM", folder, "cpu"),
        lambda folder: similarity(f"mpnet:{folder}")(["a"], ["b"]),
    ],
    ids=["questions", "similarity"],
)
def test_a_text_checkpoint_with_code_is_refused_without_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[[str], Any]
) -> None:
    marker, folder = tmp_path / "was-run", tmp_path / "theirs"
    folder.mkdir()
    (folder / "configuration_theirs.py").write_text(CODE.format(marker=str(marker)))
    settings = {"model_type": "theirs", "auto_map": {"AutoConfig": "configuration_theirs.Theirs"}}
    (folder / "config.json").write_text(json.dumps(settings))
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # a person who would say yes to anything
    with pytest.raises(HermesError, match="cannot be loaded"):
        load(str(folder))
    assert not marker.exists()
