"""A hub data set stays at the commit of its first run; another commit asks only for what changed in it.

The hub is a folder for each commit, read by `datasets` as it reads downloads.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image
from stored import answers, content, results

from hermes.harness.run.rescoring import rescore
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError

pytestmark = pytest.mark.usefixtures("plugins")
THEIRS, POPE = "theirs/benchmark", "lmms-lab/POPE"
Run = Callable[..., dict[str, Any]]


def png(color: str) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


COLORS = ["red", "lime", "blue", "red"]


class Hub:
    """Data sets with commits; ``push`` adds one, which is the newest then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commits: dict[str, dict[str, Path]] = {}
        self.read: list[tuple[str, str | None]] = []
        self._load = datasets.load_dataset

    def push(self, name: str, columns: dict[str, list[Any]], config: str = "default", split: str = "test") -> str:
        """A new commit with one table; returns what it is called."""
        number = sum(map(len, self.commits.values()))  # of two folders with files of the same names one is read
        home, files = self.folder / name / str(number), f"{config}-{number}"
        table = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
        (home / files).mkdir(parents=True)
        table.to_parquet(home / files / f"{split}-00000-of-00001.parquet")
        lines = ["---", "configs:", f"- config_name: {config}", "  data_files:", f"  - split: {split}"]
        (home / "README.md").write_text("\n".join([*lines, f"    path: {files}/{split}-*", "---", ""]))
        loaded = self._load(str(home), config, split=split)
        commit = Path(loaded.cache_files[0]["filename"]).parent.name
        assert commit not in self.commits.get(name, {})
        self.commits.setdefault(name, {})[commit] = home
        return commit

    def load(self, name: str, config: str | None, split: str, revision: str | None) -> Any:
        self.read.append((name, revision))
        commits = self.commits[name]
        return self._load(str(commits[revision or list(commits)[-1]]), config or "default", split=split)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    made = Hub(tmp_path / "hub")
    monkeypatch.setattr(datasets, "load_dataset", made.load)
    return made


def theirs(**changed: list[Any]) -> dict[str, list[Any]]:
    whole: dict[str, list[Any]] = {
        "id": [0, 1, 2, 3],
        "item": [0, 1, 2, 3],
        "question": ["Is it red?", "Is it red?", "Is it red?", "How many?"],
        "answer": ["yes", "no", "no", "1"],
        "image": [png(color) for color in COLORS],
    }
    return whole | changed


@pytest.fixture
def run(model: Any, tmp_path: Path) -> Run:
    def go(*tasks: str, root: str = "runs", **more: Any) -> dict[str, Any]:
        model.asked.clear()
        wanted = {"runs": tmp_path / root, "data": "hub"} | more
        settings = EvalSettings(model="theirs", tasks=tasks or ("theirs",), device="cpu", **wanted)
        return evaluate(settings, model=model)

    return go


def revision(found: dict[str, Any], task: str = "theirs") -> str:
    return str(content(found["folder"])["results"][task]["data"]["revision"])


def asked(model: Any) -> list[str]:
    return sorted(name for batch in model.asked for name, _ in batch)


def test_the_commit_of_the_first_run_is_read_until_a_newer_one_is_asked_for(hub: Hub, run: Run, model: Any) -> None:
    first = hub.push(THEIRS, theirs())
    one = run()
    before = results(one["folder"])
    assert revision(one) == first
    second = hub.push(THEIRS, theirs(answer=["no"] * 4))
    again = run()
    assert (revision(again), again["folder"], results(again["folder"])) == (first, one["folder"], before)
    longer = run("theirs", "theirs-drawing", data="theirs=hub")
    assert revision(longer) == first
    moved = run(update_data=True)
    assert (revision(moved), moved["folder"] != one["folder"]) == (second, True)
    assert revision(run()) == second
    hub.push(THEIRS, theirs(answer=["1"] * 4))
    assert revision(run()) == second
    assert results(one["folder"]) == before


def test_another_commit_asks_only_for_what_changed(hub: Hub, run: Run, model: Any) -> None:
    """Rows are told apart by what is in them, wherever they stand: the second picture and the third question."""
    hub.push(THEIRS, theirs())
    run()
    assert asked(model) == ["0", "1", "2", "3"]
    changed = theirs(
        image=[png(color) for color in ("red", "purple", "blue", "red")],
        question=["Is it red?", "Is it red?", "Is it blue?", "How many?"],
        answer=["yes", "no", "yes", "1"],
    )
    order = [3, 1, 0, 2]
    hub.push(THEIRS, {name: [cells[place] for place in order] for name, cells in changed.items()})
    moved = run(update_data=True)
    assert asked(model) == ["1", "2"]
    assert (moved["drawn"]["theirs"].asked, moved["drawn"]["theirs"].reused) == (2, 2)
    assert results(run(root="alone")["folder"]) == results(moved["folder"])
    run()
    assert asked(model) == []


def test_a_commit_that_changed_nothing_that_is_asked_asks_for_nothing(hub: Hub, run: Run, model: Any) -> None:
    hub.push(THEIRS, theirs())
    one = run()
    said = [str(answer.text) for answer in answers(one["folder"], "theirs").values()]
    hub.push(THEIRS, theirs(answer=[text.lower().strip(".") for text in said], more=[1, 2, 3, 4]))
    moved = run(update_data=True)
    assert asked(model) == []
    assert moved["results"]["theirs"].metrics["accuracy"].value == 100
    assert one["results"]["theirs"].metrics["accuracy"].value < 100


def test_the_hub_and_a_folder_with_the_same_rows_share_answers(hub: Hub, run: Run, model: Any, tmp_path: Path) -> None:
    columns = theirs()
    lines = []
    for number, image in enumerate(columns["image"]):
        (tmp_path / f"{number}.png").write_bytes(image["bytes"])
        row = {name: cells[number] for name, cells in columns.items() if name != "image"}
        lines.append(json.dumps({**row, "image": f"{number}.png"}) + "\n")
    (tmp_path / "theirs.jsonl").write_text("".join(lines))
    hub.push(THEIRS, columns)
    run(data=str(tmp_path / "theirs.jsonl"))
    run()
    assert asked(model) == []
    other = run(data="hub", root="other")
    assert asked(model) == ["0", "1", "2", "3"]
    run(data=str(tmp_path / "theirs.jsonl"), root="other")
    assert asked(model) == []
    assert len(answers(other["folder"], "theirs")) == 4


def test_a_revision_may_be_asked_for_by_task(hub: Hub, run: Run, tmp_path: Path) -> None:
    first = hub.push(THEIRS, theirs())
    second = hub.push(THEIRS, theirs(answer=["no"] * 4))
    assert revision(run()) == second
    old = run(f"theirs@revision={first}")
    assert revision(old) == first
    assert list(content(old["folder"])["results"]) == ["theirs"]
    assert revision(run()) == second
    assert json.loads((tmp_path / "runs" / "data.json").read_text()) == {THEIRS: second}
    both = run(f"theirs@max_new_tokens=3,revision={first}", "theirs")
    assert (revision(both, "theirs@max_new_tokens=3"), revision(both)) == (first, second)
    assert revision(run(data=f"hub:{THEIRS}@{first}")) == first


def test_scoring_anew_reads_the_first_commit(hub: Hub, run: Run, tmp_path: Path) -> None:
    first = hub.push(THEIRS, theirs())
    one = run()
    before = results(one["folder"])
    hub.push(THEIRS, theirs(answer=["no"] * 4))
    run(update_data=True)
    hub.read.clear()
    strict = rescore(one["folder"], "strict")
    assert (revision(strict), hub.read) == (first, [(THEIRS, first)])
    rescore(strict["folder"], "official")
    assert results(one["folder"]) == before
    variant = run(f"theirs@max_new_tokens=3,revision={first}", "theirs")
    again = rescore(variant["folder"], "strict")
    assert (revision(again, "theirs@max_new_tokens=3"), revision(again) != first) == (first, True)


def test_a_stopped_run_goes_on_with_the_commit_that_it_began_with(hub: Hub, run: Run, model: Any) -> None:
    first = hub.push(THEIRS, theirs())

    def stop() -> None:
        raise KeyboardInterrupt

    model.fail({("2", 0)}, stop)
    with pytest.raises(KeyboardInterrupt):
        run(batch_size=1)
    model.fail(set(), stop)
    hub.push(THEIRS, theirs(question=["What?"] * 4))
    found = run()
    assert (revision(found), asked(model)) == (first, ["2", "3"])
    assert results(found["folder"]) == results(run(f"theirs@revision={first}", root="alone")["folder"])


@pytest.mark.parametrize("fresh", [False, True])
def test_a_self_contained_folder_has_its_own_commit(hub: Hub, run: Run, tmp_path: Path, fresh: bool) -> None:
    first = hub.push(THEIRS, theirs())
    out = {"out": tmp_path / "out"}
    settings = EvalSettings(model="theirs", tasks=("theirs",), data="hub", device="cpu", **out)
    assert revision(evaluate(settings)) == first
    second = hub.push(THEIRS, theirs(answer=["no"] * 4))
    assert revision(evaluate(settings.model_copy(update={"fresh": fresh}))) == first
    assert revision(evaluate(settings)) == first
    newer = settings.model_copy(update={"update_data": True})
    with pytest.raises(HermesError, match=r"holds another run \(tasks\.theirs\.data"):
        evaluate(newer)
    assert revision(evaluate(settings)) == first
    assert revision(evaluate(newer.model_copy(update={"fresh": True}))) == second
    assert revision(evaluate(settings)) == second


def test_each_data_set_has_its_own_commit(hub: Hub, run: Run, tmp_path: Path) -> None:
    columns = {
        "id": ["1", "2"],
        "question_id": [1, 2],
        "question": ["Is there a dog?", "Is there a cat?"],
        "answer": ["yes", "no"],
        "category": ["random", "random"],
        "image_source": ["a", "b"],
        "image": [png("red"), png("blue")],
    }
    pins = {THEIRS: hub.push(THEIRS, theirs()), POPE: hub.push(POPE, columns)}
    found = run("theirs", "pope", "theirs-drawing", data="theirs=hub,pope=hub")
    assert {name: result.data.source for name, result in found["results"].items()} == {
        "theirs": f"hub:{THEIRS}",
        "pope": f"hub:{POPE}",
        "theirs-drawing": "shapes",
    }
    assert json.loads((tmp_path / "runs" / "data.json").read_text()) == pins


def test_a_run_that_does_not_begin_pins_nothing(hub: Hub, run: Run, tmp_path: Path) -> None:
    hub.push(THEIRS, theirs())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(HermesError, match="is not empty"):
        run(out=tmp_path / "out")
    assert not (tmp_path / "runs" / "data.json").exists()
    with pytest.raises(HermesError, match="no task has a protocol"):
        run(protocol="lenient")
    assert not (tmp_path / "runs").exists()


def test_a_damaged_file_of_commits_is_named(hub: Hub, run: Run, tmp_path: Path) -> None:
    hub.push(THEIRS, theirs())
    run()
    (tmp_path / "runs" / "data.json").write_text("{")
    with pytest.raises(HermesError, match=r"data\.json is damaged; remove it"):
        run()
