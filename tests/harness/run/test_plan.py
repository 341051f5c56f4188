"""The plan: tasks with overrides, seeds, and a run id of all that changes an answer and of nothing else."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.harness.models.detect import model_class
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import GenerationConfig, ModelInfo
from hermes.harness.run.asked import ParsedTask, parse_task
from hermes.harness.run.plan import (
    Sources,
    Task,
    differences,
    plan_tasks,
    requests_of,
    resolved_config,
    run_id,
    run_spec,
)
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError, MissingExtra

pytestmark = pytest.mark.usefixtures("plugins")
INFO = ModelInfo(name="theirs", fingerprint="f", abilities=("understanding", "generation"))
JUDGES = {"theirs-judge": "theirs-judge-1"}


def plan(*tasks: str, **settings: Any) -> list[Task]:
    wanted = EvalSettings(model="theirs", tasks=tasks or ("theirs", "theirs-drawing"), **settings)
    return plan_tasks(wanted, model_class("theirs"))


def spec(
    seed: int = 0, info: ModelInfo = INFO, judges: dict[str, str] = JUDGES, code: str = "1", **settings: Any
) -> dict[str, Any]:
    tasks = plan(*settings.pop("tasks", ()), **settings)
    return run_spec(tasks, info, code, judges, seed, settings.get("protocol", "official"))


def identity(**settings: Any) -> str:
    return run_id(spec(**settings))


def test_overrides_are_parsed_into_the_types_of_the_settings() -> None:
    assert parse_task("geneval") == ParsedTask("geneval", "geneval", {})
    text = "geneval@guidance_scale=1.5,steps=4"
    assert parse_task(text) == ParsedTask("geneval", text, {"guidance_scale": 1.5, "steps": 4})


def test_the_revision_of_the_data_is_no_part_of_the_tasks_name() -> None:
    assert parse_task("pope@revision=abc") == ParsedTask("pope", "pope", {}, "abc")
    parsed = parse_task("geneval@steps=4,revision=v1.0,seed=2")
    assert parsed == ParsedTask("geneval", "geneval@steps=4,seed=2", {"steps": 4, "seed": 2}, "v1.0")


@pytest.mark.parametrize("text", ["x@steps", "x@step=4", "x@steps=four", "x@num_images=0", "x@=4"])
def test_bad_overrides_are_named(text: str) -> None:
    with pytest.raises(HermesError, match=f"task '{text}'"):
        parse_task(text)


@given(st.dictionaries(st.sampled_from(["steps", "seed", "top_k", "image_size"]), st.integers(0, 10**6)))
def test_written_overrides_are_read_back(overrides: dict[str, int]) -> None:
    parsed = parse_task("x@" + ",".join(f"{key}={value}" for key, value in overrides.items()))
    assert (parsed.reference, parsed.overrides, parsed.revision) == ("x", overrides, None)


@given(st.text())
def test_any_text_is_a_task_or_a_clear_error(text: str) -> None:
    with suppress(HermesError):
        parsed = parse_task(text)
        assert text.startswith(parsed.reference)
        assert set(parsed.overrides) <= set(GenerationConfig.model_fields)


def test_the_model_gives_defaults_the_evaluator_settings_and_the_task_overrides() -> None:
    defaults = GenerationConfig(guidance_scale=5.0, steps=18, temperature=1.0, max_new_tokens=99)
    info = INFO.model_copy(update={"defaults": defaults})
    plain, changed, drawing = plan("theirs", "theirs@max_new_tokens=3,guidance_scale=1", "theirs-drawing")
    assert resolved_config(plain, info, 7) == GenerationConfig(
        max_new_tokens=8, temperature=0.0, guidance_scale=5.0, steps=18, seed=7
    )
    assert resolved_config(changed, info, 7).max_new_tokens == 3
    assert resolved_config(changed, info, 7).guidance_scale == 1.0
    assert resolved_config(drawing, info, 7).num_images == 2
    assert resolved_config(plan("theirs@seed=3")[0], info, 7).seed == 3


def test_requests_stand_in_sample_order_with_seeds_of_their_own() -> None:
    (task,) = plan("theirs-drawing", limit=4)
    requests = list(requests_of(task, resolved_config(task, INFO, 7)))
    assert [(item.sample_id, item.index) for item in requests] == [
        (f"drawing-{k}", index) for k in range(4) for index in (0, 1)
    ]
    assert len({item.seed for item in requests}) == len(requests)
    assert requests[3].seed == derive_seed(7, "theirs-drawing", "drawing-1", 1, "draw")
    assert len({item.key for item in requests}) == len(requests)


def test_a_limit_and_the_other_tasks_leave_a_sample_its_seed() -> None:
    (short,), (_, long) = plan("theirs-drawing", limit=2), plan("theirs", "theirs-drawing")
    few, all_ = (list(requests_of(task, resolved_config(task, INFO, 0))) for task in (short, long))
    assert few == all_[:4]


def test_the_number_of_images_leaves_an_image_its_key() -> None:
    two, three = plan("theirs-drawing", "theirs-drawing@num_images=3")
    keys = [{item.key for item in requests_of(task, resolved_config(task, INFO, 0))} for task in (two, three)]
    assert keys[0] < keys[1]


def test_variants_of_a_task_draw_with_the_same_seeds_so_that_they_can_be_compared() -> None:
    plain, changed = plan("theirs-drawing", "theirs-drawing@steps=4")
    seeds = [[item.seed for item in requests_of(task, resolved_config(task, INFO, 0))] for task in (plain, changed)]
    assert seeds[0] == seeds[1]
    assert plain.data is changed.data


def test_the_default_is_every_task_that_fits_the_model() -> None:
    class Reader:
        abilities = ("understanding",)
        world = "shapes"

    registered = {"theirs": "understanding", "theirs-drawing": "generation"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "names", lambda kind: sorted(registered))
        names = [task.name for task in plan_tasks(EvalSettings(), Reader)]
    assert names == ["theirs"]


def test_a_missing_extra_stops_the_task_that_needs_it_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.load_class("evaluators", "lmms"), "packages", ("no_such_package",))
    assert plan_tasks(EvalSettings(model="null", limit=1), model_class("null"))
    with pytest.raises(MissingExtra, match=r"hermes-bench\[lmms\]"):
        plan("lmms:pope")


def test_a_task_given_twice_runs_once() -> None:
    assert [task.name for task in plan("theirs", "theirs-drawing", "theirs")] == ["theirs", "theirs-drawing"]
    with pytest.raises(HermesError, match="task 'theirs' is asked for with two revisions"):
        plan("theirs", "theirs@revision=abc")


SOURCES = [
    (None, {}, "shapes"),
    ("hub", {}, "hub"),
    ("hub:owner/name@v1=2", {}, "hub:owner/name@v1=2"),
    ("pope=hub", {"pope": "hub"}, "shapes"),
    (
        "pope=hub,geneval=folder/,mme=file.parquet",
        {"pope": "hub", "geneval": "folder/", "mme": "file.parquet"},
        "shapes",
    ),
    ("hub,geneval=folder/", {"geneval": "folder/"}, "hub"),
    ("geneval=folder/, pope = hub", {"geneval": "folder/", "pope": "hub"}, "shapes"),
    ("geneval=a,b/c=d,pope=x=y.jsonl", {"geneval": "a,b/c=d", "pope": "x=y.jsonl"}, "shapes"),
    ("a,b/c=d,pope=hub", {"pope": "hub"}, "a,b/c=d"),
    ("some/path=1/rows.jsonl", {}, "some/path=1/rows.jsonl"),
    ("lmms:mmstar=hub:o/n@abc,hub", {"lmms:mmstar": "hub:o/n@abc,hub"}, "shapes"),
]


@pytest.mark.parametrize(("text", "each", "others"), SOURCES, ids=[str(text) for text, *_ in SOURCES])
def test_data_is_one_source_for_all_or_one_for_each_task(text: str | None, each: dict[str, str], others: str) -> None:
    sources = Sources.of(text, "shapes")
    assert (sources.each, sources.others) == (each, others)
    assert {name: sources.for_task(name) for name in (*each, "gqa")} == {**each, "gqa": others}


@pytest.mark.parametrize("name", ["pope=hub", "pope=a,geneval=b", "odd=name", "a,b"])
def test_a_path_that_exists_is_a_path_whatever_it_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    assert Sources.of(name, "shapes") == Sources({}, name)


def test_data_of_a_benchmark_is_that_of_its_tasks_and_of_those_that_judge_its_answers() -> None:
    sources = Sources.of("geneval=prompts/,mgg=others/,tifa:facts=facts/", "shapes")
    assert sources.for_task("mgg:3") == "others/"
    assert sources.for_task("tifa:facts") == "facts/"
    assert sources.for_task("tifa") == "shapes"
    assert sources.for_task("clipscore:geneval", "geneval") == "prompts/"


def test_data_for_a_task_that_is_not_run_or_is_none_is_said() -> None:
    with pytest.raises(HermesError, match="--data names 'pope', which is none of the tasks theirs"):
        plan("theirs", data="pope=shapes")
    with pytest.raises(HermesError, match="--data names 'poep', which is no task"):
        plan("theirs", data="poep=hub,theirs=shapes")


def test_tasks_of_one_run_may_have_sources_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a,b=c.jsonl"
    path.write_text('{"id": 3, "color": "red"}\n')
    asked, drawn = plan(data=f"theirs-drawing={path}")
    assert (asked.data.info.source, drawn.data.info.source) == ("shapes", "folder")
    assert [sample.id for sample in drawn.data.samples] == ["drawing-3"]
    assert [task.data.info.source for task in plan(data=f"{path},theirs=shapes")] == ["shapes", "folder"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tasks": ("thiers",)}, "unknown evaluator 'thiers'"),
        ({"protocol": "lenient"}, "no task has a protocol 'lenient'; choose from official, strict"),
        ({"judge": "nobody"}, "unknown judge 'nobody'"),
        ({"data": "no/such/folder"}, "no/such/folder does not exist"),
    ],
)
def test_what_would_fail_later_is_said_at_once(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(HermesError, match=said):
        plan(*settings.pop("tasks", ()), **settings)


def test_an_ability_that_the_model_has_not_is_said() -> None:
    class Painter:
        abilities = ("generation",)

    with pytest.raises(HermesError, match="task 'theirs' needs understanding, which model 'theirs' does not support"):
        plan_tasks(EvalSettings(model="theirs", tasks=("theirs",)), Painter)


def test_a_protocol_that_only_some_tasks_know_is_welcome() -> None:
    assert len(plan(protocol="strict")) == 2


def test_the_judge_asked_for_stands_in_only_where_one_is_needed_and_able() -> None:
    asked, drawn = plan()
    assert (asked.judge, drawn.judge) == (None, "theirs-judge")

    class Detector:
        abilities = ("detect",)
        extra = None

    load = registry.load_class
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "load_class", lambda kind, name, **_: Detector if name == "eyes" else load(kind, name))
        assert [task.judge for task in plan(judge="eyes")] == [None, "theirs-judge"]
        Detector.abilities = ("answer",)
        assert [task.judge for task in plan(judge="eyes")] == [None, "eyes"]


CHANGES: dict[str, dict[str, Any]] = {
    "seed": {"seed": 1},
    "weights": {"info": INFO.model_copy(update={"fingerprint": "g"})},
    "model": {"info": INFO.model_copy(update={"name": "other"})},
    "revision": {"info": INFO.model_copy(update={"revision": "main"})},
    "model defaults": {"info": INFO.model_copy(update={"defaults": GenerationConfig(steps=3)})},
    "judge": {"judges": {"theirs-judge": "theirs-judge-2"}},
    "limit": {"limit": 3},
    "split": {"split": "validation"},
    "tasks": {"tasks": ("theirs",)},
    "overrides": {"tasks": ("theirs", "theirs-drawing@steps=4")},
    "protocol": {"protocol": "strict"},
    "precision": {"info": INFO.model_copy(update={"dtype": "bfloat16"})},
    "the adapter's code": {"code": "2"},
}
SAME: dict[str, dict[str, Any]] = {
    "batch size": {"batch_size": 1},
    "device": {"device": "cuda"},
    "folder": {"out": "elsewhere"},
    "runs": {"runs": "elsewhere"},
    "fresh": {"fresh": True},
    "label": {"label": "ours"},
    "order of tasks": {"tasks": ("theirs-drawing", "theirs")},
    "parameters": {"info": INFO.model_copy(update={"parameters": 3})},
    "a limit beyond the end": {"limit": 10_000},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_run_id_changes_with(change: dict[str, Any]) -> None:
    assert identity(**change) != identity()


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_the_run_id_does_not_change_with(change: dict[str, Any]) -> None:
    assert identity(**change) == identity()


@pytest.mark.parametrize(
    "change",
    [lambda patch, cls: patch.setattr(cls, "version", "2"), lambda patch, cls: _ask_otherwise(patch, cls)],
    ids=["the evaluator's version", "a prompt"],
)
def test_the_run_id_changes_with_the_evaluator(
    change: Callable[[pytest.MonkeyPatch, Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identity()
    change(monkeypatch, registry.load_class("evaluators", "theirs"))
    assert identity() != before


def _ask_otherwise(patch: pytest.MonkeyPatch, cls: Any) -> None:
    samples = cls.samples

    def polite(self: Any, rows: Any) -> Any:
        return (item.model_copy(update={"prompt": f"Please: {item.prompt}"}) for item in samples(self, rows))

    patch.setattr(cls, "samples", polite)


def test_a_spec_is_plain_json_and_reads_back_as_itself() -> None:
    mine = spec()
    assert json.loads(json.dumps(mine)) == mine
    assert list(differences(json.loads(json.dumps(mine)), mine)) == []


def test_differences_name_the_keys() -> None:
    old, new = (spec(tasks=("theirs",), limit=limit) for limit in (2, 3))
    found = list(differences(old, new))
    assert [line.split(" ")[0] for line in found] == ["tasks.theirs.data", "tasks.theirs.n"]
    assert found[1] == "tasks.theirs.n 4 there, 6 here"
    assert list(differences({"a": 1}, {"b": 2})) == ["a 1 there, None here", "b None there, 2 here"]
