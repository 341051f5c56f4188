"""Stored answers are scored again, under any protocol, without their model."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import answers, content, environments, place, results, scores

import hermes
from hermes.harness.run import scoring
from hermes.harness.run.rescoring import rescore
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError

pytestmark = pytest.mark.usefixtures("plugins")


def crash() -> None:
    raise RuntimeError("out of memory\nin two lines")


def settings(out: Path, *tasks: str, **more: Any) -> EvalSettings:
    return EvalSettings(model="theirs", tasks=tasks or ("theirs", "theirs-drawing"), out=out, device="cpu", **more)


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
    for loads in ("load_model", "model_class"):
        monkeypatch.setattr(f"hermes.harness.run.runner.{loads}", lambda *_: pytest.fail("the model was loaded"))
    strict = hermes.score(str(tmp_path), "strict")
    folder = strict["folder"]
    assert (results(tmp_path), folder.parent) == (official, tmp_path / "scored")
    assert (strict["protocol"], strict["results"]["theirs"].protocol) == ("strict", "strict")
    assert strict["results"]["theirs-drawing"].protocol == "official"
    texts = {key[0]: item.text for key, item in answers(tmp_path, "theirs").items()}
    assert {score.sample_id: score.prediction for score in scores(folder, "theirs")} == texts
    assert (
        strict["results"]["theirs"].counts["unparsed"] > json.loads(official)["results"]["theirs"]["counts"]["unparsed"]
    )
    assert content(folder)["protocol"] == "strict"
    assert place(folder, "theirs").samefile(place(tmp_path, "theirs"))
    rescore(tmp_path, "official")
    assert results(tmp_path) == official
    assert [path.name for path in tmp_path.glob("scored/*")] == [folder.name]


def test_a_run_scored_again_is_the_run_that_eval_would_have_made(model: Any, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shared = EvalSettings(model="theirs", tasks=("theirs", "theirs-drawing"), runs=root, device="cpu")
    first = evaluate(shared, model=model)["folder"]
    scored = rescore(first, "strict")["folder"]
    assert scored.parent == first.parent
    assert not (first / "scored").exists()
    again = rescore(scored, "official")["folder"]
    assert again == first
    model.asked.clear()
    evaluated = evaluate(shared.model_copy(update={"protocol": "strict", "runs": tmp_path / "other"}), model=model)
    assert results(evaluated["folder"]) == results(scored)
    model.asked.clear()
    assert evaluate(shared.model_copy(update={"protocol": "strict"}), model=model)["folder"] == scored
    assert model.asked == []


def test_a_run_elsewhere_than_its_answers_is_scored_beside_it(model: Any, tmp_path: Path) -> None:
    root, out = tmp_path / "deep" / "runs", tmp_path / "out" / "one"
    evaluate(settings(out, runs=root), model=model)
    assert place(out, "theirs").resolve().is_relative_to(root)
    scored = rescore(out, "strict")["folder"]
    assert scored.parent == out.parent
    assert place(scored, "theirs", "scores").is_file()
    assert rescore(scored, "strict")["results"] == rescore(out, "strict")["results"]


def test_answers_that_are_gone_are_not_scored_as_none(model: Any, tmp_path: Path) -> None:
    evaluate(settings(tmp_path / "out", runs=tmp_path / "runs"), model=model)
    store = place(tmp_path / "out", "theirs")
    store.rename(store.with_name("elsewhere"))
    with pytest.raises(HermesError, match="the answers are no longer in"):
        rescore(tmp_path / "out", "strict")
    assert not store.exists()


def test_scores_are_computed_once(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(settings(tmp_path), model=model)
    rescore(tmp_path, "strict")
    before = results(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("hermes.harness.run.scoring.summarise", lambda *_: pytest.fail("scored once more"))
        rescore(tmp_path, "official")
        rescore(tmp_path, "strict")
    assert results(tmp_path) == before


@pytest.mark.parametrize("what", ["an answer more", "the code", "the scores are gone", "the result is torn"])
def test_scores_are_computed_anew_where(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    model.fail({("3", 0)}, crash)
    evaluate(settings(tmp_path, "theirs"), model=model)
    model.fail(set(), crash)
    before, path = results(tmp_path), place(tmp_path, "theirs", "scores")
    if what == "the scores are gone":
        path.unlink()
    elif what == "the result is torn":
        path.with_suffix(".json").write_text("{")
    elif what == "the code":
        monkeypatch.setattr("hermes.harness.run.scoring._code_mark", lambda evaluator: "another")
    else:
        evaluate(settings(tmp_path, "theirs"), model=model)
        assert results(tmp_path) != before
        assert {score.status for score in scores(tmp_path, "theirs")} == {"scored", "unparsed"}
        return
    seen: list[str] = []
    summarise = scoring.summarise
    monkeypatch.setattr(scoring, "summarise", lambda *given: seen.append(given[3]) or summarise(*given))
    rescore(tmp_path, "official")
    assert seen == ["official"]
    assert (results(tmp_path), path.is_file()) == (before, True)


def test_a_damaged_score_file_is_named(model: Any, tmp_path: Path) -> None:
    evaluate(settings(tmp_path, "theirs"), model=model)
    path = place(tmp_path, "theirs", "scores")
    path.write_text(path.read_text().replace("status", "state", 1))
    with pytest.raises(HermesError, match="line 1 is damaged; remove the file"):
        list(scoring.read_scores(path))


def test_each_way_of_scoring_has_its_own_file(model: Any, tmp_path: Path) -> None:
    """Another number of images included, which the same store serves."""
    root = tmp_path / "runs"
    for tasks in (("theirs-drawing",), ("theirs-drawing@num_images=3",), ("theirs-drawing",)):
        evaluate(EvalSettings(model="theirs", tasks=tasks, runs=root, device="cpu"), model=model)
    folders = [path.parent for path in root.glob("theirs/*/results.json")]
    stores = set()
    for folder in folders:
        ((task, result),) = content(folder)["results"].items()
        assert len(scores(folder, task)) == result["n"]
        stores.add(place(folder, task).resolve())
    assert (len(folders), len(stores)) == (2, 1)


def test_the_environment_of_scoring_is_noted_and_none_is_lost(model: Any, tmp_path: Path) -> None:
    evaluate(settings(tmp_path, "theirs"), model=model)
    before = environments(tmp_path)
    rescore(tmp_path, "official")
    assert environments(tmp_path)[:-1] == before
    assert environments(tmp_path)[-1]["scored"] == tmp_path.name


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


@pytest.mark.parametrize("name", ["spec.json", "run.json", "results.json", "environment.jsonl"])
@pytest.mark.parametrize("text", [None, "{", "{}", "[]", "null"])
def test_a_folder_without_a_finished_run_is_refused(model: Any, tmp_path: Path, name: str, text: str | None) -> None:
    evaluate(settings(tmp_path, "theirs"), model=model)
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(HermesError, match=tmp_path.name):
        rescore(tmp_path, "official")


def test_only_a_folder_that_exists_can_be_scored(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="nowhere"):
        rescore(tmp_path / "nowhere", "official")
    assert not (tmp_path / "nowhere").exists()
