"""Prompts that another model, or a column, has written anew: shown to the model that draws, stored, and told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import hermes
from hermes.harness.contracts import plugins
from hermes.harness.records.stored_samples import read_samples
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import leaderboard

PLUGIN = '''
"""A model that paints what a prompt names and notes what it was shown, and rewriters."""

from pathlib import Path

from PIL import Image

from hermes.harness.contracts.model import Model
from hermes.harness.system.errors import HermesError

HOME = Path(__file__).parent


def note(name, requests):
    with (HOME / name).open("a") as file:
        file.writelines(request.prompt.replace(chr(10), " ") + chr(10) for request in requests)


class Painter(Model):
    uses_torch = False

    def understand(self, requests):
        return ["yes" for _ in requests]

    def generate(self, requests):
        note("shown", requests)
        return [Image.new("RGB", (48, 48), "red" if "red" in request.prompt else "white") for request in requests]


class Writer(Model):
    """Answers with the prompt in capitals, and fails at what the file "fails" names."""

    uses_torch = False

    def understand(self, requests):
        note("asked", requests)
        fails = (HOME / "fails").read_text() if (HOME / "fails").exists() else None
        answers = []
        for request in requests:
            prompt = request.prompt.rpartition("Prompt: ")[2]
            if fails and fails in prompt:
                raise RuntimeError("no idea")
            answers.append(f"<think>hm</think> {prompt.upper()}, in red light")
        return answers

    def generate(self, requests):
        raise NotImplementedError


class Blind(Model):
    """Answers nothing without a picture."""

    uses_torch = False

    def understand(self, requests):
        raise HermesError("blind looks at one image, this request has 0")


class Loud:
    """A judge that says yes, and notes the questions."""

    identity = "loud-1"
    abilities = ("answer", "detect")
    description = "says yes"
    needs_model = False

    @classmethod
    def load(cls, argument, device):
        return cls()

    def answer(self, images, questions):
        return ["yes"] * len(questions)

    def detect(self, images, colored):
        return [{} for _ in images]
'''
THINGS = ("bench", "cow", "clock")
Evaluate = Callable[..., Any]


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plugin file of another test is known."""
    monkeypatch.setattr(registry, "_of_files", {})
    monkeypatch.setattr(plugins, "_digests", {})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(PLUGIN)
    Image.new("RGB", (48, 48)).save(tmp_path / "real.png")
    rows = (
        {
            "id": thing,
            "image": "real.png",
            "caption": f"a {thing}",
            "questions": [{"question": f"Is there a {thing}?", "answer": "yes"}],
        }
        for thing in THINGS
    )
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompts = (
        {
            "tag": "single_object",
            "prompt": f"a {thing}",
            "include": [{"class": thing, "count": 1}],
            "long": f"red {thing}",
        }
        for thing in THINGS
    )
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    return tmp_path


@pytest.fixture
def evaluate(home: Path) -> Evaluate:
    def run(**more: Any) -> Any:
        given = {
            **{"tasks": ["homologous-g", "homologous-u"], "data": str(home / "items.jsonl"), "judge": "loud"},
            **{"plugin": [home / "own.py"], "runs": home / "runs", "progress": False},
        }
        return hermes.evaluate("painter", **given | more)

    return run


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_the_model_sees_what_the_rewriter_wrote_and_is_asked_once(home: Path, evaluate: Evaluate) -> None:
    first = evaluate(rewrite="writer", label="rewritten")
    wanted = [f"A {thing.upper()}, in red light" for thing in THINGS]
    assert lines(home / "shown") == wanted
    assert len(lines(home / "asked")) == 3
    again = evaluate(rewrite="writer", label="rewritten")
    assert again.run_id == first.run_id
    assert len(lines(home / "asked")) == len(lines(home / "shown")) == 3
    (stored,) = (home / "runs").glob("answers/painter-*/homologous-g-*/samples/*.jsonl")
    kept = [(sample.prompt, sample.metadata["rewritten"]) for sample in read_samples(stored)]
    assert kept == list(zip((f"a {thing}" for thing in THINGS), wanted, strict=True))


def test_rows_are_marked_and_never_ranked_with_others(home: Path, evaluate: Evaluate) -> None:
    runs = [evaluate(label="plain"), evaluate(rewrite="writer", label="rewritten")]
    assert runs[0].run_id != runs[1].run_id
    text = leaderboard([home / "runs"])
    assert f"rewritten ({runs[1].run_id}), G: prompts rewritten by writer." in text
    assert text.count("prompts rewritten") == 1


def test_a_column_of_the_rows_is_shown_in_place_of_the_prompts(home: Path, evaluate: Evaluate) -> None:
    evaluate(rewrite="column:long", tasks=["geneval@num_images=1"], data=str(home / "prompts.jsonl"))
    assert lines(home / "shown") == [f"red {thing}" for thing in THINGS]
    assert "GenEval (num images 1): prompts rewritten, as in the rows' column long" in leaderboard([home / "runs"])


def test_another_instruction_is_another_run(home: Path, evaluate: Evaluate) -> None:
    (home / "how.txt").write_text("Say it shorter. Prompt: {prompt}")
    ours, theirs = (evaluate(rewrite="writer", rewrite_instruction=file) for file in (None, home / "how.txt"))
    assert ours.run_id != theirs.run_id
    assert lines(home / "asked")[3] == "Say it shorter. Prompt: a bench"


def test_it_is_scored_again_without_the_rewriter(home: Path, evaluate: Evaluate) -> None:
    run = evaluate(rewrite="writer")
    before = (run.folder / "results.json").read_text()
    hermes.score(run.folder, progress=False)
    assert (run.folder / "results.json").read_text() == before
    assert len(lines(home / "asked")) == 3


def test_a_prompt_that_is_not_rewritten_stops_before_anything_is_drawn(home: Path, evaluate: Evaluate) -> None:
    (home / "fails").write_text("cow")
    with pytest.raises(HermesError, match=r"the prompt of cow was not rewritten .*no idea.*; run the command again"):
        evaluate(rewrite="writer")
    assert not (home / "shown").exists()
    (home / "fails").unlink()
    evaluate(rewrite="writer")
    assert [line.rpartition("Prompt: ")[2] for line in lines(home / "asked")][-1] == "a cow"
    assert len(lines(home / "shown")) == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rewrite": "column:longer", "tasks": ["geneval"]}, "row 1 has no column 'longer'"),
        ({"rewrite": "column:"}, "names no column; give column:NAME"),
        ({"rewrite": "nobody"}, "nobody"),
        ({"rewrite": "blind"}, "^--rewrite blind cannot write prompts anew: .*looks at one image"),
        ({"rewrite": "writer", "tasks": ["homologous-u"]}, "--rewrite is for tasks that draw"),
        ({"rewrite": "column:long", "tasks": ["homologous-u"]}, "--rewrite is for tasks that draw"),
    ],
)
def test_what_cannot_be_is_one_line(home: Path, evaluate: Evaluate, given: dict[str, Any], said: str) -> None:
    if given.get("tasks") == ["geneval"]:
        given = {**given, "data": str(home / "prompts.jsonl")}
    with pytest.raises(HermesError, match=said):
        evaluate(**given)


def test_an_instruction_without_a_place_for_the_prompt_is_refused(home: Path, evaluate: Evaluate) -> None:
    (home / "how.txt").write_text("Say it shorter.")
    with pytest.raises(HermesError, match=r"has no \{prompt\}, the place of the prompt; add it"):
        evaluate(rewrite="writer", rewrite_instruction=home / "how.txt")
