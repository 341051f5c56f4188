"""Tasks of lmms-eval on Hermes' runner: the same answers and numbers as its own command."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from asked import PICTURE, aggregated

import hermes
from hermes.evaluators.lmms.requests import cut
from hermes.evaluators.lmms.tasks import as_lmms_eval
from hermes.harness.contracts.benchmark import Answer, Evaluator
from hermes.harness.data.lmms_samples import read_samples
from hermes.harness.data.tables import load_data
from hermes.harness.records.types import Response
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError, MissingExtra
from hermes.listing import names
from hermes.shapes.twins import twin_of

if find_spec("lmms_eval") is None:
    pytest.skip("lmms-eval is not installed", allow_module_level=True)

from lmms_folder import METRICS, ROWS, UNTIL, write_tasks

pytestmark = pytest.mark.slow
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
REPEATS = 2
POPE_LIKE, WORDS = "shapes_pope", "shapes_words"


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of tasks, and data sets' caches that are thrown away."""
    folder = tmp_path_factory.mktemp("lmms")
    with pytest.MonkeyPatch.context() as patch:
        for key, value in {**OFFLINE, "LMMS_EVAL_DATASETS_CACHE": str(folder / "cache")}.items():
            patch.setenv(key, value)
        yield write_tasks(folder / "tasks")


@pytest.fixture(scope="module")
def theirs(tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lmms-eval's own command writes when it runs hermes-tiny on two of the tasks."""
    out = tmp_path_factory.mktemp("cli")
    options = {
        "model": "hermes",
        "model_args": "pretrained=hermes-tiny",
        "tasks": f"{POPE_LIKE},{WORDS}",
        "include_path": tasks,
        "output_path": out,
        "batch_size": 7,
        "device": "cpu",
    }
    arguments = [str(part) for key, value in options.items() for part in (f"--{key}", value)]
    done = subprocess.run(
        [sys.executable, "-m", "lmms_eval", *arguments, "--log_samples"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=out,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (results,) = out.glob("*/*_results.json")
    return results


@pytest.fixture
def run(tasks: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`run(task, model, ...)`: evaluate in a fresh folder, or go on in it; the results, and the folder of the task."""

    def evaluate(task: str, model: str = "hermes-tiny", **settings: Any) -> dict[str, Any]:
        out = tmp_path / f"{model}-{task}"
        content = hermes.evaluate(model, tasks=(f"lmms:{tasks}:{task}",), out=out, device="cpu", **settings)
        (result,) = content["results"].values()
        (folder,) = out.glob("answers/*/lmms*")
        return {"content": content, "result": result, "folder": folder}

    return evaluate


def make(tasks: Path, task: str) -> Evaluator:
    evaluator: Evaluator = registry.evaluator(f"lmms:{tasks}:{task}")
    return evaluator


def stored(folder: Path) -> dict[tuple[str, int], dict[str, Any]]:
    lines = map(json.loads, (folder / "responses.0.jsonl").read_text().splitlines())
    return {(line["sample_id"], line["index"]): line for line in lines}


def replied(evaluator: Evaluator, texts: list[list[str]]) -> list[Answer]:
    """Answers to the first documents, some for each."""
    samples = load_data(evaluator, "hub", "test", len(texts)).samples
    return [
        Answer(sample, Response(sample_id=sample.id, index=index, seed=0, prompt_sha256="", text=text))
        for sample, several in zip(samples, texts, strict=True)
        for index, text in enumerate(several)
    ]


@pytest.mark.parametrize(("task", "answers"), [(POPE_LIKE, ROWS), (WORDS, ROWS * REPEATS)])
def test_both_ways_give_the_same_answers(task: str, answers: int, theirs: Path, run: Callable[..., Any]) -> None:
    """Their file has what is left before ``until``; Hermes keeps the whole answer."""
    (path,) = theirs.parent.glob(f"*_samples_{task}.jsonl")
    said = {(answer.id, answer.index): answer.text for answer in read_samples(path)}
    ours = {key: line["text"] for key, line in stored(run(task)["folder"]).items()}
    assert len(said) == answers
    assert said == {key: cut(text, {"until": UNTIL if task == WORDS else []}) for key, text in ours.items()}
    if task == WORDS:
        assert said != ours
        assert any(said[key] != said[key[0], 1 - key[1]] for key in said)


@pytest.mark.parametrize("task", [POPE_LIKE, WORDS])
def test_both_ways_give_the_same_numbers(task: str, theirs: Path, run: Callable[..., Any]) -> None:
    numbers = json.loads(theirs.read_text())["results"][task]
    metrics = run(task)["result"].metrics
    names = [f"{metric},none" for metric in METRICS] if task == POPE_LIKE else ["length,first", "length,both"]
    assert {name: metrics[name.removesuffix(",none")].value for name in names} == {
        name: numbers[name] for name in names
    }
    if task == WORDS:
        error = numbers["length_stderr,first"]
        half = metrics["length,first"].high - metrics["length,first"].value
        assert half == pytest.approx(2.0687 * error, rel=1e-3)  # Student's t of 23 degrees of freedom


def test_a_run_says_what_it_is_and_goes_on_where_it_ended(run: Callable[..., Any]) -> None:
    first = run(POPE_LIKE, "null")
    result, journal = first["result"], first["folder"] / "responses.0.jsonl"
    assert (result.evaluator, result.protocol, result.headline) == ("lmms:shapes_pope", "lmms-eval", "pope_accuracy")
    assert result.version == "lmms-eval 0.7.3, task 0.5"
    assert (result.n, result.n_expected, result.partial, result.metrics["pope_accuracy"].value) == (
        ROWS,
        ROWS,
        False,
        0.5,
    )
    assert first["content"]["gap"]["benchmarks"] is None
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:-5]) + "\n")
    again = run(POPE_LIKE, "null")
    assert [json.loads(line)["sample_id"] for line in journal.read_text().splitlines()] == [str(k) for k in range(ROWS)]
    assert again["result"] == result


def test_stored_answers_are_scored_again_without_a_model(run: Callable[..., Any]) -> None:
    first = run(WORDS)
    again = hermes.score(first["content"]["folder"], "lmms-eval")
    assert list(again["results"].values()) == [first["result"]]


def test_a_limit_reads_no_further(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = make(tasks, POPE_LIKE)
    rows = iter(list(evaluator.own_rows() or []))
    monkeypatch.setattr(evaluator, "own_rows", lambda: rows)
    data = load_data(evaluator, "hub", "test", 3)
    assert [sample.id for sample in data.samples] == ["0", "1", "2"]
    assert next(rows)["doc_id"] == 3
    assert (data.info.n, data.info.n_expected, data.info.world) == (3, ROWS, "real")


def test_the_data_decides_the_fingerprint(tasks: Path, tmp_path: Path) -> None:
    prints = {
        load_data(make(folder, POPE_LIKE), "shapes", "test").info.fingerprint
        for folder in (tasks, write_tasks(tmp_path / "same"), write_tasks(tmp_path / "fewer", ROWS - 1))
    }
    assert len(prints) == 2


def test_pictures_are_made_when_they_are_opened(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = make(tasks, "shapes_pairs")
    (sample,) = load_data(evaluator, "hub", "test", 1).samples
    upright, turned = sample.images
    assert upright.open().rotate(90).tobytes() == turned.open().tobytes()
    assert upright.sha256() != turned.sha256()
    monkeypatch.setattr(evaluator, "_visuals", lambda number: [PICTURE, PICTURE])
    assert upright.open().size == PICTURE.size


def test_a_picture_that_does_not_decode_is_one_error(run: Callable[..., Any], tasks: Path, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    folder = write_tasks(tmp_path / "broken")
    table = parquet.read_table(folder / "rows.parquet")
    cells = table.column("image").to_pylist()
    cells[1] = {"bytes": b"no picture", "path": None}
    column = pyarrow.array(cells, table.schema.field("image").type)
    parquet.write_table(
        table.set_column(table.schema.get_field_index("image"), "image", column), folder / "rows.parquet"
    )
    content = hermes.evaluate(
        "hermes-tiny", tasks=(f"lmms:{folder}:{POPE_LIKE}",), out=tmp_path / "run", device="cpu", limit=6
    )
    (result,) = content["results"].values()
    assert result.counts == {"scored": 5, "unparsed": 0, "error": 1}
    (folder,) = (tmp_path / "run").glob("answers/*/lmms*")
    (line,) = [line for line in stored(folder).values() if line["status"] == "error"]
    assert line["sample_id"] == "1"
    assert "lmms:shapes_pope 1" in line["error"]


def test_an_answer_that_the_task_cannot_read_is_an_error_in_no_mean(tasks: Path) -> None:
    evaluator = make(tasks, WORDS)
    answers = replied(evaluator, [["abc", "abcdef"], ["unreadable", "b"], ["a"]])
    scores = list(evaluator.scores(answers, "lmms-eval"))
    assert [score.status for score in scores] == ["scored", "scored", "error", "error", "error"]
    assert "this answer cannot be read" in scores[2].reason
    assert "not all 2 answers" in scores[4].reason
    assert scores[0].values == {"length,first": 3, "length,both": 3}
    pairs = [(answer.sample, score) for answer, score in zip(answers, scores, strict=True)]
    metrics = aggregated(evaluator, pairs, "lmms-eval")
    assert (metrics["length,first"].value, metrics["length,first"].n) == (3, 1)


def test_metrics_are_what_the_aggregation_gives(tasks: Path) -> None:
    evaluator = make(tasks, WORDS)
    answers = replied(evaluator, [["abc. de", "abc"], ["a<think>x</think>", "b"]])
    scores = evaluator.scores(answers, "lmms-eval")
    pairs = [(answer.sample, score) for answer, score in zip(answers, scores, strict=True)]
    state = random.getstate()
    metrics = aggregated(evaluator, pairs, "lmms-eval")
    assert random.getstate() == state
    assert set(metrics) == {
        f"{name},{filtered}{part}"
        for filtered in ("first", "both")
        for name, part in (("length", ""), ("drawn", ""), ("kinds", "/yes"), ("kinds", "/no"))
    }
    assert metrics["length,first"].value == 2
    assert metrics["length,first"].low is not None
    assert metrics["kinds,both/no"].model_dump() == {"value": 0.5, "low": None, "high": None, "n": 2, "groups": 2}
    assert metrics["drawn,first"] == aggregated(evaluator, pairs, "lmms-eval")["drawn,first"]
    assert evaluator.submission(iter(pairs)) == {"submissions/answers.json": [["abc", "abc"], ["a", "b"]]}
    assert '"both":{"length":3' in pairs[0][1].model_dump_json()


DRAWING = ("WISE", "ueval", "imgedit", "kris_bench", "gedit_bench", "structeditbench", "babyvision_gen")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("lmms", "lmms:NAME"),
        ("lmms:", "lmms:NAME"),
        ("lmms:{tasks}:nothing", "defines shapes_choice, shapes_group"),
        ("lmms:{tasks}/nowhere:shapes_pope", "there is no folder"),
        ("lmms:{tasks}:shapes_group", "give them one by one: lmms:{tasks}:shapes_pope, lmms:{tasks}:shapes_words"),
        ("lmms:{tasks}:shapes_choice", "of the kind multiple_choice"),
        ("lmms:{tasks}:shapes_video", "shows videos"),
        ("lmms:{tasks}:shapes_lost", "Couldn't reach 'no/such' on the Hub"),
        ("lmms:{tasks}:shapes_sound", "shows a video or sound"),
        ("lmms:popes", "no task 'popes'; did you mean pope"),
        ("lmms:pope_full", "give them one by one: lmms:pope_adv, lmms:pope_pop, lmms:pope_random"),
        ("lmms:mvbench_action_count", "shows videos"),
        *(
            (f"lmms:{name}", "scores pictures that the model draws")
            for name in ("WISE", "ueval", "imgedit", "kris_bench")
        ),
        *((f"lmms:{name}", "scores pictures that the model draws") for name in DRAWING),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(
    reference: str, said: str, tasks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    with pytest.raises(HermesError) as raised:
        hermes.evaluate("null", tasks=(reference.format(tasks=tasks),), out=tasks / "never")
    assert said.format(tasks=tasks) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capsys.readouterr().out == ""


def test_it_is_listed_and_has_no_twin(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = registry.load_class("evaluators", "lmms")
    assert not cls.standard
    assert "lmms" in names("evaluators")
    assert twin_of(make(tasks, POPE_LIKE)) is None
    monkeypatch.setattr(cls, "packages", ("no_such_package",))
    with pytest.raises(MissingExtra, match="lmms"):
        registry.load_class("evaluators", "lmms")


def test_running_their_code_leaves_no_trace() -> None:
    from PIL import ImageFile

    random.seed(5)
    expected = random.random()
    random.seed(5)
    with as_lmms_eval():
        assert ImageFile.LOAD_TRUNCATED_IMAGES
        drawn = random.random()
    assert drawn == random.Random(0).random()
    assert random.random() == expected
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
