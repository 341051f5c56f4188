"""Each answer, judgement and score is made once, and runs share them: what is asked, what is reused, and the results.

Whatever was shared, results.json holds the same bytes as that of a run of its own in an empty root.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import content, environments, place, records, results, store

from hermes.harness.run.drawing import Drawn
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError

pytestmark = pytest.mark.usefixtures("plugins")
POPE, VQAV2, DRAWN = 36, 24, 30
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(model: Any, tmp_path: Path) -> Run:
    """`run(tasks)`: one command under one root; with ``root`` under another one."""

    def go(*tasks: str, root: str = "runs", **more: Any) -> dict[str, Any]:
        model.asked.clear()
        settings = EvalSettings(model="theirs", tasks=tasks, runs=tmp_path / root, device="cpu", **more)
        return evaluate(settings, model=model)

    return go


@pytest.fixture
def asked(model: Any) -> Callable[[], int]:
    """How many requests the model got in the last command."""
    return lambda: sum(map(len, model.asked))


def same_as_alone(run: Run, found: dict[str, Any], *tasks: str, **more: Any) -> None:
    """The results are those of an undisturbed run in a fresh root, to the byte."""
    alone = run(*tasks, root="alone", **more)
    assert results(found["folder"]) == results(alone["folder"])
    assert found["folder"].relative_to(found["folder"].parents[1]) == alone["folder"].relative_to(
        alone["folder"].parents[1]
    )


def counted(found: dict[str, Any], task: str) -> tuple[int, int]:
    drawn: Drawn = found["drawn"][task]
    return drawn.asked, drawn.reused


def test_a_benchmark_more_asks_for_that_alone(run: Run, asked: Callable[[], int], model: Any) -> None:
    first = run("pope", limit=6)
    before = results(first["folder"])
    assert asked() == POPE
    both = run("pope", "vqav2", limit=6)
    assert (counted(both, "pope"), counted(both, "vqav2")) == ((0, POPE), (asked(), 0))
    assert asked() == both["results"]["vqav2"].n > 0
    assert results(first["folder"]) == before
    assert both["folder"] != first["folder"]
    assert both["results"]["pope"] == first["results"]["pope"]
    same_as_alone(run, both, "pope", "vqav2", limit=6)


def test_two_runs_that_share_stores_are_one_run(run: Run, asked: Callable[[], int]) -> None:
    run("theirs")
    run("theirs-drawing")
    both = run("theirs", "theirs-drawing")
    assert asked() == 0
    same_as_alone(run, both, "theirs", "theirs-drawing")


def test_no_limit_reuses_what_a_limit_has_asked(run: Run, asked: Callable[[], int]) -> None:
    short = run("theirs", "theirs-drawing", limit=4)
    assert asked() == 8 + 8
    before = results(short["folder"])
    whole = run("theirs", "theirs-drawing")
    assert (asked(), counted(whole, "theirs"), counted(whole, "theirs-drawing")) == (16 + 22, (16, 8), (22, 8))
    assert results(short["folder"]) == before
    same_as_alone(run, whole, "theirs", "theirs-drawing")
    assert asked() == 24 + 30
    again = run("theirs", "theirs-drawing", limit=4)
    assert asked() == 0
    assert (again["folder"], results(again["folder"])) == (short["folder"], before)
    shorter = run("theirs", "theirs-drawing", limit=2)
    assert (asked(), shorter["results"]["theirs"].n) == (0, 4)


def test_another_protocol_scores_what_is_stored(run: Run, asked: Callable[[], int], tmp_path: Path) -> None:
    official = run("theirs", "theirs-drawing")
    strict = run("theirs", "theirs-drawing", protocol="strict")
    assert asked() == 0
    assert strict["results"]["theirs"].counts["unparsed"] > official["results"]["theirs"].counts["unparsed"]
    assert {path.parent.name for path in (tmp_path / "runs" / "theirs").glob("*/results.json")} == {
        official["run_id"],
        strict["run_id"],
    }
    same_as_alone(run, strict, "theirs", "theirs-drawing", protocol="strict")


def test_another_judge_looks_at_the_stored_pictures(
    run: Run, asked: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, seen = registry.load_class("judges", "theirs-judge"), []
    first = run("theirs-drawing")
    monkeypatch.setattr(judge, "identity", "theirs-judge-2")
    monkeypatch.setattr(judge, "answer", lambda self, images, _: seen.extend(images) or ["red"] * len(images))
    second = run("theirs-drawing")
    assert (asked(), len(seen)) == (0, DRAWN)
    assert first["results"]["theirs-drawing"].judge == "theirs-judge-1"
    assert second["results"]["theirs-drawing"].judge == "theirs-judge-2"
    places = [place(found["folder"], "theirs-drawing", "judgements") for found in (first, second)]
    assert places[0].resolve() != places[1].resolve()
    for path, judged in zip(places, ("theirs-judge-1", "theirs-judge-2"), strict=True):
        said = records(store(first["folder"], "theirs-drawing").judgements(judged)).values()
        assert len(list(path.iterdir())) == 1
        assert ([one.judge for one in said], len(said)) == ([judged] * DRAWN, DRAWN)
    monkeypatch.setattr(judge, "answer", lambda *_: pytest.fail("judged once more"))
    run("theirs-drawing")
    monkeypatch.setattr(judge, "identity", "theirs-judge-1")
    assert results(run("theirs-drawing")["folder"]) == results(first["folder"])


def test_more_images_a_prompt_are_drawn_beside_those_that_are_there(run: Run, asked: Callable[[], int]) -> None:
    run("theirs-drawing")
    more = run("theirs-drawing@num_images=3")
    assert (asked(), counted(more, "theirs-drawing@num_images=3")) == (15, (15, 30))
    same_as_alone(run, more, "theirs-drawing@num_images=3")
    fewer = run("theirs-drawing@num_images=1")
    assert (asked(), fewer["results"]["theirs-drawing@num_images=1"].n) == (0, 15)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"split": "validation"}, {"tasks": ("theirs@max_new_tokens=3",)}, {"tasks": ("theirs@seed=1",)}],
    ids=str,
)
def test_what_changes_an_answer_asks_for_all(run: Run, asked: Callable[[], int], change: dict[str, Any]) -> None:
    run("theirs")
    other = dict(change)
    run(*other.pop("tasks", ("theirs",)), **other)
    assert asked() == 24


@pytest.mark.parametrize("field", ["fingerprint", "dtype"])
def test_another_model_has_a_store_of_its_own(
    run: Run, asked: Callable[[], int], model: Any, tmp_path: Path, field: str
) -> None:
    run("theirs")
    model.info = model.info.model_copy(update={field: "other"})
    run("theirs")
    assert asked() == 24
    assert len(list((tmp_path / "runs" / "answers").iterdir())) == 2


def test_other_code_of_the_adapter_answers_anew(
    run: Run, asked: Callable[[], int], model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("theirs")
    monkeypatch.setattr(type(model), "version", "2", raising=False)
    run("theirs")
    assert asked() == 24


def test_the_name_of_a_model_changes_no_answer(run: Run, asked: Callable[[], int], model: Any, tmp_path: Path) -> None:
    first = run("theirs")
    model.info = model.info.model_copy(update={"name": "copy of theirs", "revision": "main"})
    second = run("theirs")
    assert asked() == 0
    assert place(first["folder"], "theirs").resolve() == place(second["folder"], "theirs").resolve()
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"answers", "theirs", "copy-of-theirs"}
    assert second["results"] == first["results"]


def test_other_prompts_and_versions_of_a_benchmark_are_asked_anew(
    run: Run, asked: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = registry.load_class("evaluators", "theirs")
    run("theirs")
    with monkeypatch.context() as patch:
        patch.setattr(cls, "version", "2")
        run("theirs")
        assert asked() == 24
    samples = cls.samples
    monkeypatch.setattr(
        cls,
        "samples",
        lambda self, rows: (
            one if one.id != "7" else one.model_copy(update={"prompt": "Well?"}) for one in samples(self, rows)
        ),
    )
    run("theirs")
    assert asked() == 1


def rows(folder: Path, *changed: int) -> Iterable[dict[str, Any]]:
    """Six questions about six pictures; a ``changed`` one is about another picture."""
    for number in range(6):
        name = f"{number}{'-changed' if number in changed else ''}.png"
        Image.new("RGB", (4 + number, 4), "red" if number in changed else "blue").save(folder / name)
        yield {"id": number, "item": number, "question": "How many?", "answer": "1", "image": name}


def write(path: Path, entries: Iterable[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return str(path)


def test_changed_rows_of_a_file_are_asked_for_alone(
    run: Run, asked: Callable[[], int], model: Any, tmp_path: Path
) -> None:
    data = write(tmp_path / "rows.jsonl", rows(tmp_path))
    first = run("theirs", data=data)
    before = results(first["folder"])
    assert asked() == 6
    entries = list(rows(tmp_path, 4))
    entries[1]["question"] = "How many are there?"
    entries[2]["answer"] = "2"
    entries = [entries[5], *entries[:3], *entries[4:5], {**entries[0], "id": 9}]
    write(tmp_path / "rows.jsonl", entries)
    second = run("theirs", data=data)
    assert sorted(key for batch in model.asked for key in batch) == [("1", 0), ("4", 0), ("9", 0)]
    assert counted(second, "theirs") == (3, 3)
    assert results(first["folder"]) == before
    assert second["folder"] != first["folder"]
    same_as_alone(run, second, "theirs", data=data)
    moved = write(tmp_path / "copy.jsonl", entries)
    assert content(run("theirs", data=moved)["folder"])["results"] == content(second["folder"])["results"]
    assert asked() == 0


def test_another_file_behind_the_same_path_is_another_picture(
    run: Run, asked: Callable[[], int], model: Any, tmp_path: Path
) -> None:
    data = write(tmp_path / "rows.jsonl", rows(tmp_path))
    run("theirs", data=data)
    Image.new("RGB", (4, 4), "green").save(tmp_path / "3.png")
    run("theirs", data=data)
    assert model.asked == [[("3", 0)]]


def test_each_task_reads_its_own_data(run: Run, tmp_path: Path) -> None:
    questions = write(tmp_path / "q=1,2.jsonl", rows(tmp_path))
    prompts = write(tmp_path / "prompts.jsonl", [{"id": k, "color": "red"} for k in range(3)])
    found = run("theirs", "theirs-drawing", "pope", data=f"theirs={questions},theirs-drawing={prompts}", limit=2)
    sources = {name: (result.data.source, result.data.n) for name, result in found["results"].items()}
    assert sources == {"theirs": ("folder", 2), "theirs-drawing": ("folder", 2), "pope": ("shapes", 12)}
    assert (found["world"], content(found["folder"])["world"]) == ("mixed", "mixed")
    with pytest.raises(HermesError, match="--data names 'gqa'"):
        run("theirs", data=f"gqa={questions}")


def test_an_out_folder_has_answers_of_its_own_unless_a_root_is_given(model: Any, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    common = {"model": "theirs", "tasks": ("theirs",), "device": "cpu"}
    shared = evaluate(EvalSettings(**common, runs=root), model=model)
    own = evaluate(EvalSettings(**common, out=tmp_path / "own"), model=model)
    assert own["drawn"]["theirs"] == Drawn(24, 0)
    placed = evaluate(EvalSettings(**common, out=tmp_path / "a" / "b", runs=root), model=model)
    assert placed["drawn"]["theirs"] == Drawn(0, 24)
    assert not (tmp_path / "a" / "b" / "answers").exists()
    assert results(shared["folder"]) == results(own["folder"]) == results(placed["folder"])
    assert place(placed["folder"], "theirs").samefile(place(shared["folder"], "theirs"))


def test_the_number_of_answers_is_printed_and_recorded(command: Any, tmp_path: Path) -> None:
    ask = ("eval", "--model", "theirs", "--device", "cpu", "--runs", "runs", "--tasks")
    assert "answers: 24 asked, 0 reused" in command(*ask, "theirs").out.splitlines()
    said = command(*ask, "theirs,theirs-drawing")
    assert "answers: 30 asked, 24 reused" in said.out.splitlines()
    folder = tmp_path / said.out.splitlines()[-2].removeprefix("results: ").removesuffix("/results.json")
    assert [(entry["asked"], entry["reused"]) for entry in environments(folder) if entry.get("end")] == [(30, 24)]
    assert "answers: 0 asked, 54 reused" in command(*ask, "theirs,theirs-drawing").out.splitlines()
    assert [(entry["asked"], entry["reused"]) for entry in environments(folder) if entry.get("end")] == [
        (30, 24),
        (0, 54),
    ]


def test_a_store_that_says_it_is_another_is_refused(run: Run, asked: Callable[[], int]) -> None:
    folder = run("theirs")["folder"]
    spec = place(folder, "theirs") / "spec.json"
    whole = spec.read_text()
    spec.write_text(whole.replace('"theirs-1"', '"theirs-2"'))
    with pytest.raises(HermesError, match=r"spec\.json is not that of the answers asked for"):
        run("theirs")
    for damage in ("", "{", "[]"):
        spec.write_text(damage)
        run("theirs")
        assert (asked(), spec.read_text()) == (0, whole)
