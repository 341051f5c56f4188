"""Memory does not grow with the number of samples: rows, requests, answers, judgements and scores are streams."""

import gc
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.harness.records.types import Judgement, Request, Response, Sample, Score
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system import registry

FEW, MANY = 1_000, 40_000
MOST = 30.0  # MiB between the two: 150 for 200,000
QUIET = ("--device", "cpu", "-q")
HELD = (Sample, Request, Response, Judgement, Score)
PEAK = """
import atexit, re, sys
peak = lambda: re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]
atexit.register(lambda: sys.stderr.write("peak: " + peak()))
sys.argv = ["hermes", *{arguments!r}]
from hermes.cli import main
main()
"""
Peak = Callable[..., float]


def questions(folder: Path, n: int) -> Path:
    """VQAv2's columns, with ten answers a row, over one small picture."""
    Image.new("RGB", (4, 4), "red").save(folder / "red.png")
    path = folder / f"questions-{n}.jsonl"
    with path.open("w") as file:
        for number in range(n):
            people = [{"answer": str((number + k) % 7), "answer_confidence": "yes", "answer_id": k} for k in range(10)]
            row = {"question_id": number, "image_id": number // 3, "question": f"How many of {number}?"}
            row |= {"question_type": "how many", "answer_type": "number", "answers": people, "image": "red.png"}
            file.write(json.dumps(row) + "\n")
    return path


def prompts(folder: Path, n: int) -> Path:
    path = folder / f"prompts-{n}.jsonl"
    path.write_text("".join(f'{{"id": {number}, "color": "red"}}\n' for number in range(n)))
    return path


@pytest.fixture
def peak(environment: dict[str, str], tmp_path: Path) -> Peak:
    """`peak(*arguments)`: the most memory that the command held, in MiB, measured from outside its own records."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the peak of one process is read from /proc")

    def run(*arguments: object) -> float:
        code = PEAK.format(arguments=tuple(map(str, arguments)))
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, done.stderr
        return int(done.stderr.split("peak: ")[1]) / 1024

    return run


@pytest.mark.slow
def test_questions_answers_and_scores(peak: Peak, tmp_path: Path) -> None:
    def ask(n: int) -> float:
        data = questions(tmp_path, n)
        return peak("eval", "--model", "null", "--tasks", "vqav2", "--data", data, "--out", f"run-{n}", *QUIET)

    few, many = ask(FEW), ask(MANY)
    found = json.loads((tmp_path / f"run-{MANY}" / "results.json").read_text())["results"]["vqav2"]
    assert (found["n"], found["counts"]["error"]) == (MANY, 0)
    assert many - few <= MOST * MANY / 40_000
    assert ask(MANY) - few <= MOST * MANY / 40_000  # all is there


@pytest.mark.slow
def test_pictures_and_judgements(peak: Peak, tmp_path: Path) -> None:
    def draw(n: int) -> float:
        arguments = ("eval", "--model", "null", "--tasks", "theirs-drawing", "--data", prompts(tmp_path, n))
        return peak(*arguments, "--out", f"run-{n}", *QUIET)

    many = MANY // 4  # two pictures each
    few = draw(FEW)
    assert draw(many) - few <= MOST * 2 * many / 40_000
    found = json.loads((tmp_path / f"run-{many}" / "results.json").read_text())["results"]["theirs-drawing"]
    assert found["n"] == 2 * many


@pytest.fixture
def only_what_comes() -> Iterator[None]:
    """The garbage collector tells what comes from now on, and not all that the suite has loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def alive(kinds: tuple[type, ...]) -> int:
    return sum(isinstance(thing, kinds) for thing in gc.get_objects())


@pytest.mark.usefixtures("only_what_comes")
@pytest.mark.parametrize("task", ["theirs", "theirs-drawing"])
def test_no_more_records_are_held_than_a_few_chunks(
    plugins: None, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    """Counted while the model is asked, while the judge is, and while scores are aggregated."""
    n = 3_000
    if task == "theirs":
        Image.new("RGB", (4, 4), "red").save(tmp_path / "red.png")
        row = {"question": "How many?", "answer": "1", "image": "red.png"}
        data = tmp_path / "rows.jsonl"
        data.write_text("".join(json.dumps({"id": k, "item": k, **row}) + "\n" for k in range(n)))
    else:
        data = prompts(tmp_path, n)
    most: dict[str, int] = {}
    calls: Counter[str] = Counter()

    def count(where: str) -> None:
        calls[where] += 1
        if calls[where] % 10 == 1 or where == "aggregate":  # counting takes long
            most[where] = max(most.get(where, 0), alive(HELD))

    def watched(batch: Sequence[Request]) -> list[Any]:
        count("model")
        kind: list[Any] = ["1"] if task == "theirs" else [Image.new("RGB", (8, 8), (255, 0, 0))]
        return kind * len(batch)

    model.understand = model.generate = watched
    judge = registry.load_class("judges", "theirs-judge")
    monkeypatch.setattr(judge, "answer", lambda self, images, _: count("judge") or ["red"] * len(images))
    evaluator = registry.load_class("evaluators", task)
    aggregate = evaluator.aggregate

    def counted(self: Any, scored: Any, protocol: str) -> Any:
        def stream() -> Any:
            for number, one in enumerate(scored):
                if number % 1000 == 999:
                    count("aggregate")
                yield one

        return aggregate(self, stream(), protocol)

    monkeypatch.setattr(evaluator, "aggregate", counted)
    before = alive(HELD)
    settings = EvalSettings(model="theirs", tasks=(task,), data=str(data), device="cpu", batch_size=256)
    found = evaluate(settings.model_copy(update={"out": tmp_path / "out"}), model=model)
    assert sum(found["results"][task].counts.values()) == n * (1 if task == "theirs" else 2)
    assert {*most} == {"model", "aggregate"} | ({"judge"} if task == "theirs-drawing" else set())
    assert max(most.values()) - before < n // 2
