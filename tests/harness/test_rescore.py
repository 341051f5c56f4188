"""Stored answers are scored again, under any protocol, without their model."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import hermes
from hermes.harness import registry
from hermes.harness.errors import HermesError
from hermes.harness.runner import evaluate, rescore
from hermes.harness.settings import EvalSettings
from hermes.harness.store import ResponseStore
from hermes.harness.types import Score

pytestmark = pytest.mark.usefixtures("plugins")


def crash() -> None:
    raise RuntimeError("out of memory\nin two lines")


def settings(out: Path, *tasks: str, **more: Any) -> EvalSettings:
    return EvalSettings(model="theirs", tasks=tasks or ("theirs", "theirs-drawing"), out=out, device="cpu", **more)


def results(folder: Path) -> bytes:
    return (folder / "results.json").read_bytes()


def scores(folder: Path, task: str) -> list[Score]:
    return [Score.model_validate_json(line) for line in (folder / task / "scores.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("named", [None, "theirs-judge"])
def test_stored_judgements_are_scored_again_without_the_judge(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    before = evaluate(settings(tmp_path, judge=named), model=model)["results"]["theirs-drawing"]
    judge = registry.load_class("judges", "theirs-judge")
    monkeypatch.setattr(judge, "extra", "theirs")
    monkeypatch.setattr(judge, "packages", ("no_such_package",), raising=False)
    monkeypatch.setattr(judge, "check", classmethod(lambda cls, argument: pytest.fail("the judge was looked for")))
    assert rescore(tmp_path, "official")["results"]["theirs-drawing"] == before
    with pytest.raises(HermesError, match="needs an extra"):
        evaluate(settings(tmp_path / "new", judge=named), model=model)


def test_stored_answers_are_scored_again_without_the_model(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(settings(tmp_path), model=model)
    official = results(tmp_path)
    monkeypatch.setattr(registry, "model_class", lambda reference: pytest.fail("the model was loaded"))
    strict = hermes.score(str(tmp_path), "strict")
    assert (strict["protocol"], strict["results"]["theirs"].protocol) == ("strict", "strict")
    assert strict["results"]["theirs-drawing"].protocol == "official"
    texts = {key[0]: item.text for key, item in ResponseStore(tmp_path / "theirs", tmp_path).read().items()}
    assert {score.sample_id: score.prediction for score in scores(tmp_path, "theirs")} == texts
    assert (
        strict["results"]["theirs"].counts["unparsed"] > json.loads(official)["results"]["theirs"]["counts"]["unparsed"]
    )
    assert json.loads(results(tmp_path))["protocol"] == "strict"
    rescore(tmp_path, "official")
    assert results(tmp_path) == official


def test_scoring_again_keeps_limit_seed_variants_and_errors(model: Any, tmp_path: Path) -> None:
    model.fail({("3", 0)}, crash)
    tasks = ("theirs", "theirs-drawing@num_images=3,seed=4")
    evaluate(settings(tmp_path, *tasks, limit=4, seed=2), model=model)
    before = results(tmp_path)
    rescore(tmp_path, "official")
    assert results(tmp_path) == before
    assert json.loads(before)["results"]["theirs"]["counts"]["error"] == 1


def test_an_unknown_protocol_is_refused_and_leaves_the_results(model: Any, tmp_path: Path) -> None:
    evaluate(settings(tmp_path), model=model)
    before = results(tmp_path)
    with pytest.raises(HermesError, match="no task has a protocol 'lenient'"):
        rescore(tmp_path, "lenient")
    assert results(tmp_path) == before


def test_changed_data_cannot_be_scored_again(model: Any, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "red.png")
    row = {"id": 0, "item": 0, "question": "Is it red?", "answer": "yes", "image": "red.png"}
    (tmp_path / "theirs.jsonl").write_text(json.dumps(row))
    run = tmp_path / "run"
    evaluate(settings(run, "theirs", data=str(tmp_path)), model=model)
    before = results(run)
    rescore(run, "official")
    assert results(run) == before
    (tmp_path / "theirs.jsonl").write_text(json.dumps({**row, "answer": "no"}))
    with pytest.raises(HermesError, match="the data of theirs has changed since the run"):
        rescore(run, "official")


@pytest.mark.parametrize("name", ["spec.json", "results.json", "environment.json"])
@pytest.mark.parametrize("content", [None, "{", "{}", "[]", "null"])
def test_a_folder_without_a_finished_run_is_refused(model: Any, tmp_path: Path, name: str, content: str | None) -> None:
    evaluate(settings(tmp_path, "theirs"), model=model)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(HermesError, match=tmp_path.name):
        rescore(tmp_path, "official")


def test_only_a_folder_that_exists_can_be_scored(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="nowhere"):
        rescore(tmp_path / "nowhere", "official")
    assert not (tmp_path / "nowhere").exists()
