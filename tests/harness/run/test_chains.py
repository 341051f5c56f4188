"""Chains: each step asks about the stored answer before it, once, whatever stops the run and whoever shares it."""

import sys
from pathlib import Path
from typing import Any

import pytest
from forked import on_processes
from stored import answers, results, scores, store

from hermes.harness.contracts.prompts import ONE_SENTENCE
from hermes.harness.models.detect import model_class
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.run.plan import plan_tasks
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError

pytestmark = pytest.mark.usefixtures("plugins")
TASK = "cycle-image:4"


def run(model: Any, folder: Path, task: str = TASK, **more: Any) -> dict[str, Any]:
    settings = EvalSettings(model="theirs", tasks=(task,), limit=4, device="cpu", out=folder, **more)
    content = evaluate(settings, model=model)
    return content["results"][task].model_dump() | {"drawn": content["drawn"][task]}


def asked(model: Any) -> list[tuple[str, int]]:
    return [key for batch in model.asked for key in batch]


def test_a_step_asks_about_the_stored_answer_before_it(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[tuple[str, int], Request] = {}
    watch = type(model)._watch

    def keeping(self: Any, requests: Any, given: Any) -> Any:
        shown.update({(one.sample_id, one.index): one for one in requests})
        return watch(self, requests, given)

    monkeypatch.setattr(type(model), "_watch", keeping)
    result = run(model, tmp_path)
    assert result["counts"]["error"] == 0
    found, kept = answers(tmp_path, TASK), store(tmp_path, TASK)
    assert len(found) == 16
    for (name, index), request in shown.items():
        before = found.get((name, index - 1))
        if index % 2:
            assert (request.prompt, request.images) == (before.text, ())
            assert request.config == GenerationConfig(num_images=4)
        else:
            assert request.prompt == ONE_SENTENCE
            assert (request.config.max_new_tokens, request.config.temperature) == (256, 0.0)
            if before:
                (picture,) = request.images
                assert picture.open().tobytes() == kept.image(before).open().tobytes()


def test_what_is_stored_is_not_asked_again_and_more_generations_ask_for_the_new_ones(
    model: Any, tmp_path: Path
) -> None:
    assert run(model, tmp_path / "a", runs=tmp_path)["drawn"].asked == 16
    before = results(tmp_path / "a")
    model.asked.clear()
    assert run(model, tmp_path / "a", runs=tmp_path)["drawn"].asked == 0
    assert results(tmp_path / "a") == before
    drift = run(model, tmp_path / "b", "drift-image:4", runs=tmp_path)
    assert (drift["drawn"].asked, drift["drawn"].reused) == (0, 16)
    assert asked(model) == []
    run(model, tmp_path / "c", "cycle-image:6", runs=tmp_path)
    assert {index for _, index in asked(model)} == {4, 5}


def test_a_failed_step_ends_its_chain_and_is_asked_again(model: Any, tmp_path: Path) -> None:
    def crash() -> str:
        return 7  # type: ignore[return-value]

    name = "0001"
    model.fail({(name, 1)}, crash)
    result = run(model, tmp_path)
    assert result["counts"]["error"] == 3
    assert [key for key in asked(model) if key[0] == name and key[1] > 1] == []
    ended = [one.reason for one in scores(tmp_path, TASK) if one.sample_id == name]
    assert "int instead of a Image" in ended[1]
    assert ended[2:] == [f"the chain ended at generation 2: {ended[1]}"] * 2
    lines = [path.read_bytes() for path in store(tmp_path, TASK).responses.files()]
    run(model, tmp_path)
    again = [path.read_bytes() for path in store(tmp_path, TASK).responses.files()]
    assert sum(map(len, again)) < sum(map(len, lines)) + 1000  # the step alone has failed again
    model.fail(set(), str)
    model.asked.clear()
    assert run(model, tmp_path)["counts"]["error"] == 0
    assert asked(model) == [(name, 1), (name, 2), (name, 3)]


def test_a_description_without_words_ends_the_chain(model: Any, tmp_path: Path) -> None:
    model.fail({("0002", 2)}, lambda: " ")
    result = run(model, tmp_path)
    assert result["failures"] == {"the chain ended at generation 3: the description is empty": 1}
    assert (result["counts"]["error"], result["n"]) == (1, 15)


class Killed(BaseException):
    """Ends the run as a signal would."""


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_killed_run_goes_on_and_asks_nothing_twice(model: Any, tmp_path: Path, step: int) -> None:
    run(model, tmp_path / "whole", batch_size=2)
    model.asked.clear()

    def kill() -> None:
        raise Killed

    model.fail({("0003", step)}, kill)
    with pytest.raises(Killed):
        run(model, tmp_path / "stopped", batch_size=2)
    unstored = set(model.asked[-1])
    model.fail(set(), str)
    run(model, tmp_path / "stopped", batch_size=2)
    every = asked(model)
    assert {key for key in every if every.count(key) > 1} == unstored
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_two_processes_share_every_generation(model: Any, tmp_path: Path) -> None:
    run(model, tmp_path / "one")
    on_processes(2, lambda: run(model, tmp_path / "two", batch_size=1))
    assert results(tmp_path / "two") == results(tmp_path / "one")
    stored = store(tmp_path / "two", TASK).responses.files()
    assert len(stored) == 2
    assert sum(path.read_bytes().count(b"\n") for path in stored) == 16


def test_a_lost_picture_is_drawn_again_and_what_was_said_of_it_stands(model: Any, tmp_path: Path) -> None:
    run(model, tmp_path)
    before, kept = results(tmp_path), store(tmp_path, TASK)
    picture = answers(tmp_path, TASK)["0000", 1].image
    (kept.media / f"{picture}.png").unlink()
    model.asked.clear()
    run(model, tmp_path)
    assert {index for _, index in asked(model)} <= {1, 3}
    assert results(tmp_path) == before


def test_a_damaged_picture_is_drawn_again_before_it_is_described(model: Any, tmp_path: Path) -> None:
    def kill() -> None:
        raise Killed

    model.fail({("0000", 2)}, kill)
    with pytest.raises(Killed):
        run(model, tmp_path)
    (folder,) = tmp_path.glob("answers/*/*/media")
    for picture in folder.glob("*.png"):
        picture.write_bytes(b"torn")
    model.fail(set(), str)
    assert run(model, tmp_path)["counts"]["error"] == 0
    run(model, tmp_path / "whole")
    assert results(tmp_path) == results(tmp_path / "whole")


def test_another_picture_in_its_place_is_described_anew(model: Any, tmp_path: Path) -> None:
    run(model, tmp_path)
    kept = store(tmp_path, TASK)
    old = answers(tmp_path, TASK)["0000", 1]
    other = next(one for one in answers(tmp_path, TASK).values() if one.image and one.image != old.image)
    kept.responses.append([old.model_copy(update={"image": other.image})])
    model.asked.clear()
    run(model, tmp_path)
    assert ("0000", 2) in asked(model)
    assert ("0000", 1) not in asked(model)


def test_prompts_that_the_model_writes_itself_are_not_rewritten(model: Any, tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="draws from what the model says itself"):
        run(model, tmp_path, rewrite="column:caption")


def test_a_model_of_one_side_is_refused() -> None:
    class Mute(model_class("theirs")):  # type: ignore[misc]
        abilities = ("generation",)

    with pytest.raises(HermesError, match="needs understanding, which model"):
        plan_tasks(EvalSettings(model="theirs", tasks=(TASK,)), Mute)


@pytest.mark.parametrize("task", ["cycle-image:1", "cycle-image:x", "drift-text:101"])
def test_a_number_of_generations_that_cannot_be_is_refused(task: str) -> None:
    with pytest.raises(HermesError, match="give a number of generations from 2"):
        plan_tasks(EvalSettings(model="theirs", tasks=(task,)), model_class("theirs"))
