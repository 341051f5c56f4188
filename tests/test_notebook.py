"""The notebook of examples/: its cells run one after the other, and what they show can be shown."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from hermes.outcomes import Evaluation, SelfPlay

NOTEBOOK = Path(__file__).parents[1] / "examples" / "hermes.ipynb"


def shown(source: str, names: dict[str, Any]) -> Any:
    """What a cell shows: the value of its last expression, as in a notebook."""
    body = ast.parse(source).body
    *before, last = body
    if not isinstance(last, ast.Expr):
        before, last = body, ast.Expr(ast.Constant(None))
    exec(compile(ast.Module(before, []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


@pytest.mark.slow
def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    values = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    found = [shown(source, names) for source in values]
    out, err = capsys.readouterr()
    assert found[0] == ("hermes-tiny", names["model"].info.parameters)
    records = [value for value in found if isinstance(value, Evaluation | SelfPlay)]
    assert all("<table>" in record._repr_html_() for record in records)
    assert len(records) == 2
    assert "U - G" in records[0]._repr_html_()
    assert "accuracy: " in out
    assert "| hermes-tiny" in out
    assert "eval begins: " in err
    assert "Traceback" not in err


def test_the_notebook_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [cell["outputs"] for cell in cells if cell["cell_type"] == "code" and cell["outputs"]] == []
