"""The model that answers what is stored: it gives a run's results again, and says what it does not have."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import content, place

import hermes
from hermes.harness.models.replay import NotStored, ReplayModel
from hermes.harness.records.images import pixel_sha256
from hermes.harness.records.keys import digest
from hermes.harness.records.store import Store
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.run import drawing
from hermes.harness.run.view import write_places
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError

TASKS = ("pope", "mme", "homologous-u", "homologous-g", "geneval")


pytestmark = pytest.mark.usefixtures("plugins")


def evaluated(model: str, out: Path, tasks: Sequence[str] = TASKS) -> dict[str, Any]:
    return hermes.evaluate(model=model, tasks=tuple(tasks), data="shapes", limit=2, device="cpu", out=out)


@pytest.fixture(scope="module")
def run(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the third-party model, whose answers follow from image, prompt and seed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        registry._points.cache_clear()
        folder = tmp_path_factory.mktemp("replay") / "run"
        evaluated("theirs", folder)
    registry._points.cache_clear()
    return folder


def request(prompt: str = "a?", seed: int = 0, sample: str = "s", index: int = 0) -> Request:
    key = digest(prompt, str(seed), sample, str(index)).hex()
    return Request(key=key, sample_id=sample, index=index, prompt=prompt, config=GenerationConfig(), seed=seed)


def draw(model: Any, asked: Sequence[Request], folder: Path, ability: Any = "understanding") -> list[Any]:
    """The stored answers to the requests."""
    store = Store(folder)
    drawing.draw(model, asked, len(asked), store, ability=ability)
    return store.responses.index().get([request.key for request in asked])


def run_of(folder: Path, *tasks: str) -> Path:
    """A run folder whose stores lie in folders named after the tasks."""
    write_places(
        folder, folder, {name: {"answers": folder / name, "scores": folder / name / "x.jsonl"} for name in tasks}
    )
    return folder


def lines(path: Path, *entries: object) -> str:
    """A file of these lines, as a model reference."""
    path.write_text("".join((entry if isinstance(entry, str) else json.dumps(entry)) + "\n" for entry in entries))
    return f"replay:{path}"


def load(reference: str) -> ReplayModel:
    return ReplayModel.load(reference, "cpu")


def test_a_run_of_several_tasks_gives_the_same_results_again(run, tmp_path):
    before = content(run)
    again = evaluated(f"replay:{run}", tmp_path / "again")
    assert content(tmp_path / "again")["results"] == before["results"]
    assert repr(again["gap"]) == repr(hermes.score(run)["gap"])  # a phi that is not defined equals nothing
    assert again["model"].name == "replay"
    for task in ("homologous-g", "geneval"):
        pictures = [
            {path.name for path in (place(folder, task) / "media").iterdir()} for folder in (run, tmp_path / "again")
        ]
        assert pictures[0] == pictures[1] != set()


@pytest.mark.parametrize("task", ["pope", "geneval"])
@pytest.mark.parametrize("inner", [(), ("responses.0.jsonl",)], ids=["folder", "file"])
def test_the_folder_or_the_file_of_one_task_is_enough(run, tmp_path, task, inner):
    evaluated(f"replay:{place(run, task).joinpath(*inner)}", tmp_path / "again", [task])
    assert content(tmp_path / "again")["results"][task] == content(run)["results"][task]


def test_answers_that_lie_elsewhere_than_the_run_are_found(plugins, tmp_path):
    found = hermes.evaluate(
        "theirs", tasks=("pope",), limit=2, device="cpu", runs=tmp_path / "runs", out=tmp_path / "a"
    )
    again = evaluated(f"replay:{tmp_path / 'a'}", tmp_path / "again", ["pope"])
    assert again["results"] == found["results"]


def test_a_damaged_answer_is_an_error_of_its_request(run, tmp_path):
    copy = tmp_path / "responses.0.jsonl"
    whole = (place(run, "pope") / copy.name).read_bytes()
    copy.write_bytes(whole.replace(b'"index":0', b'"index":1', 1))
    counts = evaluated(f"replay:{tmp_path}", tmp_path / "again", ["pope"])["results"]["pope"].counts
    assert (counts["error"], sum(counts.values())) == (1, 12)


def test_abilities_are_those_of_the_answers(run):
    assert load(f"replay:{run}").info.abilities == ("understanding", "generation")
    assert load(f"replay:{place(run, 'pope')}").info.abilities == ("understanding",)
    assert load(f"replay:{place(run, 'geneval')}").info.abilities == ("generation",)


def test_one_sample_id_in_two_tasks_is_told_apart_by_prompt_and_by_seed(model, tmp_path):
    tasks = {
        "one": [request("a?", seed, index=index) for index, seed in enumerate(range(8))],
        "two": [request("b?", seed, index=index) for index, seed in enumerate(range(8))],
        "three": [request("a?", seed, index=index) for index, seed in enumerate(range(100, 108))],
    }
    said = {}
    for name, asked in tasks.items():
        said[name] = [answer.text for answer in draw(model, asked, tmp_path / "run" / name)]
    assert len({tuple(answers) for answers in said.values()}) == 3
    replay = load(f"replay:{run_of(tmp_path / 'run', *tasks)}")
    assert {name: replay.understand(asked) for name, asked in tasks.items()} == said


def test_what_cannot_be_told_apart_stops_the_command(model, tmp_path):
    for name, say in (("one", "yes"), ("two", "no")):
        model.fail({("s", 0)}, lambda say=say: say)
        draw(model, [request()], tmp_path / "run" / name)
    with pytest.raises(HermesError, match="answered in several ways"):
        load(f"replay:{run_of(tmp_path / 'run', 'one', 'two')}").understand([request()])
    assert load(f"replay:{tmp_path / 'run' / 'two'}").understand([request()]) == ["no"]


def test_lines_of_answers_made_elsewhere_fit_every_prompt(tmp_path):
    Image.new("RGB", (3, 2), (1, 2, 3)).save(tmp_path / "drawn.png")
    replay = load(
        lines(
            tmp_path / "responses.jsonl",
            {"id": "a", "index": 0, "response": "yes"},
            {"sample_id": "b", "text": "no"},
            {"id": 7, "index": 1, "image": "drawn.png"},
        )
    )
    assert replay.understand([request("x", sample="b"), request("y", 3, sample="a")]) == ["no", "yes"]
    (drawn,) = replay.generate([request(sample="7", index=1)])
    assert pixel_sha256(drawn.image) == pixel_sha256(Image.new("RGB", (3, 2), (1, 2, 3)))
    assert load(f"replay:{tmp_path}").info == replay.info


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (request(sample="b"), "no answer is stored for b, index 0"),
        (request(index=1), "no answer is stored for s, index 1"),
        (request("another?"), "is to another prompt"),
    ],
)
def test_an_answer_that_is_not_there_is_not_made_up(model, tmp_path, asked, says):
    draw(model, [request()], tmp_path / "task")
    replay = load(f"replay:{tmp_path / 'task'}")
    with pytest.raises(NotStored, match=says):
        replay.understand([request(), asked])
    with pytest.raises(NotStored, match="is text, not image: "):
        replay.generate([request()])


def test_missing_failed_and_broken_answers_are_errors_of_their_requests(model, tmp_path):
    asked = [request(seed=2 * number, sample=name) for number, name in enumerate("abcd")]
    model.fail({("b", 0)}, lambda: 1)
    drawn = draw(model, asked[:3], tmp_path / "first", "generation")
    assert drawn[0].image != drawn[2].image
    (tmp_path / "first" / "media" / f"{drawn[2].image}.png").write_bytes(b"torn")
    answers = draw(load(f"replay:{tmp_path / 'first'}"), asked, tmp_path / "again", "generation")
    assert [answer.status for answer in answers] == ["ok", "error", "error", "error"]
    assert answers[0].image == drawn[0].image
    assert "instead of a Image" in str(answers[1].error)
    assert "does not decode" in str(answers[2].error)
    assert "no answer is stored for d" in str(answers[3].error)


def test_the_fingerprint_is_that_of_the_answers(tmp_path):
    one, two = {"id": "a", "response": "yes"}, {"id": "b", "index": 1, "response": "no"}
    first = load(lines(tmp_path / "x.jsonl", one, two)).info.fingerprint
    assert load(lines(tmp_path / "y.jsonl", two, one)).info.fingerprint == first
    changes = [one | {"response": "no"}, one | {"index": 1}, one | {"id": "c"}]
    others = {load(lines(tmp_path / "z.jsonl", change, two)).info.fingerprint for change in changes}
    assert len({first, *others}) == 4


def test_the_fingerprint_of_images_is_that_of_their_files(tmp_path):
    prints = []
    for color in ((0, 0, 0), (0, 0, 1)):
        Image.new("RGB", (2, 2), color).save(tmp_path / "drawn.png")
        prints.append(load(lines(tmp_path / "x.jsonl", {"id": "a", "image": "drawn.png"})).info.fingerprint)
    assert prints[0] != prints[1]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{", "line 2 is not valid JSON"),
        ([1], "line 2 is not an object"),
        ({}, "line 2 holds nothing"),
        ({"id": "a"}, "line 2 holds id; expected"),
        ({"id": "a", "sample_id": "a", "text": "yes"}, "line 2 holds id, sample_id, text"),
        ({"id": "a", "response": "yes", "image": "a.png"}, "line 2 holds"),
        ({"id": "a", "response": 1}, "line 2 holds"),
        ({"id": "a", "index": -1, "response": "yes"}, "index must be"),
        ({"id": "a", "index": True, "response": "yes"}, "index must be"),
        ({"id": [], "response": "yes"}, "id must be"),
        ({"sample_id": "a", "prompt_sha256": "0", "text": "yes"}, "line 2 is not a response of a run"),
    ],
)
def test_a_line_that_is_no_answer_is_named(tmp_path, entry, says):
    reference = lines(tmp_path / "x.jsonl", {"id": "z", "response": "yes"}, entry)
    with pytest.raises(HermesError, match=says) as error:
        load(reference)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["replay", "replay:", "replay:/no/such/folder", "replay:{empty}"])
def test_where_there_are_no_answers_the_command_says_so(command, tmp_path, name):
    (tmp_path / "empty").mkdir()
    said = command("eval", "--model", name.format(empty=tmp_path / "empty"), "--tasks", "pope", "--data", "shapes")
    assert said.code == 2
    assert "replay:" in said.err
    assert "Traceback" not in said.err
