"""`import hermes`: keywords are the settings, results are records that serialise and show themselves."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import hermes
from hermes.align.settings import AlignSettings
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.run.outside.score import ScoreSettings
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError

BOTH = {"tasks": ("theirs", "theirs-drawing"), "device": "cpu", "progress": False}
PLAY: dict[str, Any] = {"items": 4, "n": 2, "rounds": 1, "steps": 1, "eval_limit": 2, "device": "cpu", "replay": 0}


@pytest.fixture
def here(plugins: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def evaluation(here: Path) -> Any:
    return hermes.evaluate("theirs", **BOTH, label="<b>mine</b>")


@pytest.mark.parametrize(
    ("function", "model", "others"),
    [
        (hermes.evaluate, EvalSettings, {"progress"}),
        (hermes.align, AlignSettings, {"progress"}),
        (hermes.score, ScoreSettings, {"progress", "run"}),
        (hermes.load_model, LoadOptions, {"reference", "device"}),
    ],
    ids=["evaluate", "align", "score", "load_model"],
)
def test_every_setting_is_a_keyword_with_its_default(
    function: Callable[..., Any], model: type[BaseModel], others: set[str]
) -> None:
    parameters = inspect.signature(function).parameters
    assert set(parameters) - others == set(model.model_fields)
    for name, field in model.model_fields.items():
        assert parameters[name].default in (None, field.default), name
        assert parameters[name].annotation is not inspect.Parameter.empty
    assert parameters[next(reversed(parameters))].kind is inspect.Parameter.KEYWORD_ONLY


def test_one_name_is_a_list_of_one(here: Path) -> None:
    assert list(hermes.evaluate("theirs", tasks="theirs", device="cpu", progress=False).results) == ["theirs"]


def test_a_loaded_model_is_taken_as_it_is(model: Any, here: Path, evaluation: Any) -> None:
    again = hermes.evaluate(model, **BOTH, runs="others", label="<b>mine</b>")
    assert sum(map(len, model.asked)) == again.asked == evaluation.asked
    assert again.results == evaluation.results


def test_an_evaluation_is_what_its_file_holds(evaluation: Any) -> None:
    stored = json.loads((evaluation.folder / "results.json").read_text())
    said = json.loads(evaluation.to_json())
    assert {name: said[name] for name in ("run_id", "results", "seed", "partial", "world")} == {
        name: stored[name] for name in ("run_id", "results", "seed", "partial", "world")
    }
    assert said["folder"] == str(evaluation.folder)
    assert evaluation["results"]["theirs"] is evaluation.results["theirs"]
    assert type(evaluation).model_validate_json(evaluation.model_dump_json()) == evaluation
    with pytest.raises(KeyError):
        evaluation["to_json"]
    with pytest.raises(ValidationError, match="frozen"):
        evaluation.seed = 3


def test_an_evaluation_is_a_table_of_pandas(evaluation: Any) -> None:
    table = evaluation.to_pandas()
    value = table[(table.task == "theirs") & table.headline].value.item()
    result = evaluation.results["theirs"]
    assert value == result.metrics[result.headline].value


def test_an_evaluation_shows_itself(evaluation: Any) -> None:
    shown = evaluation._repr_html_()
    assert "theirs-drawing" in shown
    assert "&lt;b&gt;mine" in shown
    assert "<b>" not in shown
    assert evaluation.run_id in repr(evaluation)
    assert len(repr(evaluation)) < 200


def test_progress_is_lines_where_there_is_no_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hermes.evaluate("theirs", tasks="theirs", device="cpu")
    out, err = capsys.readouterr()
    assert out == ""
    assert "eval begins: 24 steps in 1 stages" in err
    hermes.evaluate("theirs", tasks="theirs", device="cpu", progress=False)
    assert capsys.readouterr() == ("", "")


def test_answers_are_scored_again(evaluation: Any) -> None:
    strict = hermes.score(evaluation.folder, "strict", progress=False)
    assert strict.results["theirs"].protocol == "strict"
    assert (strict.asked, strict.reused) == (0, 0)


@pytest.mark.slow
def test_a_self_play_of_a_loaded_model_leaves_it_as_it_is(here: Path) -> None:
    model = hermes.load_model("hermes-tiny", "cpu")
    before = {name: value.clone() for name, value in model.module.state_dict().items()}  # type: ignore[attr-defined]
    played = hermes.align(model, **PLAY, confidence=False, progress=False)
    after = model.module.state_dict()  # type: ignore[attr-defined]
    assert all(value.equal(after[name]) for name, value in before.items())
    assert [one.round for one in played.rounds] == [0, 1]
    assert played["rounds"][1]["gap"]["value"] == played.rounds[1].gap.value
    assert played.rounds[1].gap == played.evaluations[1].gap.homologous.gap  # type: ignore[union-attr]
    assert list(played.to_pandas()["round"]) == [0, 1]
    assert json.loads(played.to_json())["align_id"] == played.align_id
    assert "Gap (U - G)" in played._repr_html_()
    assert played.partial
    assert "(partial)" in played._repr_html_()


def test_a_model_that_cannot_be_trained_is_refused(model: Any, here: Path) -> None:
    with pytest.raises(HermesError, match="cannot be trained by preferences"):
        hermes.align(model, progress=False)
    with pytest.raises(TypeError, match="itmes"):
        hermes.align(itmes=3)  # type: ignore[call-arg]
