"""Hermes models as lmms-eval's: registered, asked with the runner's seeds and settings, ended at stop strings."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import hermes
from hermes.evaluators.lmms.requests import cut
from hermes.evaluators.lmms.tasks import as_lmms_eval
from hermes.harness.data.tables import load_data
from hermes.harness.run.plan import Task, requests_of, resolved_config
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError

if find_spec("lmms_eval") is None:
    pytest.skip("lmms-eval is not installed", allow_module_level=True)

from lmms_folder import write_tasks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("lmms_model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMMS_EVAL_DATASETS_CACHE", str(home / "cache"))
        yield write_tasks(home / "tasks", 8)


def loaded(**arguments: Any) -> Any:
    with as_lmms_eval():
        from lmms_eval.models import get_model

        return get_model("hermes")(device="cpu", **arguments)


def built(folder: Path, name: str, lm: Any) -> tuple[Any, list[Any]]:
    """A task as lmms-eval builds it, and its requests: each document once for each repeat."""
    evaluator = registry.evaluator(f"lmms:{folder}:{name}")
    evaluator.task.build_all_requests()
    lm.task_dict[name] = evaluator.task.dataset
    return evaluator, [each for each in evaluator.task.instances for _ in range(each.repeats)]


@pytest.mark.parametrize(("name", "seed"), [("shapes_pope", 0), ("shapes_words", 0), ("shapes_words", 3)])
def test_the_model_is_asked_what_the_runner_asks(folder: Path, name: str, seed: int) -> None:
    lm = loaded(pretrained="hermes-tiny", batch_size=3, seed=seed)
    evaluator, instances = built(folder, name, lm)
    task = Task(name, evaluator, {}, load_data(evaluator, "hub", "test"), None)
    model = hermes.load_model("hermes-tiny", "cpu")
    requests = list(requests_of(task, resolved_config(task, model.info, seed)))
    kwargs = evaluator.task.config.generation_kwargs
    assert lm.generate_until(instances) == [cut(text, kwargs) for text in model.understand(requests)]


def test_every_picture_is_shown_and_every_answer_cached(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = loaded(pretrained="null", batch_size="auto")
    _, instances = built(folder, "shapes_pairs", lm)
    shown: list[Any] = []
    monkeypatch.setattr(
        lm.model, "understand", lambda requests: shown.extend(requests) or ["yes and no"] * len(requests)
    )
    cached: list[Any] = []
    lm.cache_hook.add_partial = lambda *entry: cached.append(entry)
    assert lm.generate_until(instances) == ["yes"] * 16
    assert [len(request.images) for request in shown] == [2] * 16
    assert [(request.sample_id, request.index) for request in shown[:4]] == [("0", 0), ("0", 1), ("1", 0), ("1", 1)]
    assert shown[0].images[0].open().rotate(90).tobytes() == shown[0].images[1].open().tobytes()
    context, kwargs = instances[0].args[:2]
    assert cached[0] == ("generate_until", (context, kwargs), "yes")


def test_what_it_cannot_do_is_said() -> None:
    lm = loaded(pretrained="null")
    assert (lm.is_simple, lm.rank, lm.world_size, str(lm.device)) == (True, 0, 1, "cpu")
    with pytest.raises(NotImplementedError, match="generate_until"):
        lm.loglikelihood([])
    with pytest.raises(NotImplementedError, match="one round"):
        lm.generate_until_multi_round([])
    with pytest.raises(HermesError, match="unknown model 'nobody'"):
        loaded(pretrained="nobody")
