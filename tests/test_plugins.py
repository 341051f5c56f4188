"""Benchmarks, models and judges of one's own: the examples run, and what is broken is named and stops nothing else."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

import hermes
from hermes.align.play.ablate import Ablation, _played, jobs
from hermes.harness.contracts import plugins
from hermes.harness.contracts.plugins import load_plugins
from hermes.harness.models.detect import model_class
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.listed import short
from hermes.listing import facts

Command = Callable[..., Any]
Install = Callable[..., None]
Write = Callable[..., Path]
KINDS = ("evaluators", "models", "judges")
EXAMPLES = Path(__file__).parents[1] / "examples"
BENCHMARK, MODEL = EXAMPLES / "benchmark.py", EXAMPLES / "model.py"
QUIZ = """
from hermes.harness.contracts.exact_match import ExactMatch

class Quiz(ExactMatch):
    name = "quiz"
    def rows(self):
        return [{"question": "Yes?", "answer": "yes"}, {"question": "No?", "answer": "no"}]
    def prompt(self, row):
        return row["question"]
    def gold(self, row):
        return row["answer"]
"""
JUDGE = """
class Loud:
    identity = "loud-1"
    abilities = ("answer",)
    description = "says yes, loudly"
    needs_model = False
    @classmethod
    def load(cls, argument, device):
        return cls()
    def answer(self, images, questions):
        return ["YES"] * len(questions)
"""
HALF = """
from hermes.harness.contracts.benchmark import DataSpec, Evaluator
from hermes.harness.records.types import GenerationConfig

class Half(Evaluator):
    name, version, title, ability = "half", "1", "Half", "understanding"
    data, config = DataSpec("", "test", 0, ()), GenerationConfig()
    chance, best = 0.0, 1.0
    def samples(self, rows): ...
    def score(self, answer, protocol): ...
"""
# A broken file or module, and what is said of it.
BROKEN = {
    "missing_package": ("import no_such_package", "No module named 'no_such_package'"),
    "syntax": ("class Quiz(:\n", "SyntaxError"),
    "raises": ("first = 1\nraise RuntimeError('not\\ntoday')", "RuntimeError: not today"),
    "exits": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "nul": ("x = 1\0", "null bytes"),
    "divides": ("x = 1\n\ny = x / 0\n", "line 3"),
}
HALF_WRITTEN = {
    "half": (HALF.replace("chance, best = 0.0, 1.0", "chance = 0.0"), "lacks headline, unit, best, aggregate"),
    "no_gold": (QUIZ.replace("def gold", "def golden"), "lacks gold"),
    "no_name": (QUIZ.replace('    name = "quiz"\n', ""), "Quiz lacks name"),
    "odd_ability": (QUIZ + '    ability = "understand"\n', "has ability = 'understand'"),
    "odd_chance": (QUIZ + '    chance = "0"\n', "has chance = '0'"),
    "odd_columns": (QUIZ + '    columns = "question"\n', "has data.columns = 'question'"),
    "odd_name": (QUIZ.replace('"quiz"', '"my/quiz"'), "'my/quiz' (Quiz): a name is made of letters"),
    "mute": (
        "from hermes.harness.contracts.model import Model\nclass Mute(Model): ...",
        "lacks understand or generate",
    ),
    "plain_model": (
        "class Plain:\n abilities = ('understanding', 'generation')\n def understand(self, requests): ...",
        "lacks parameters, description, alignable, load, generate",
    ),
    "judge": (JUDGE.replace("    description", "    described"), "judge 'loud' (Loud) lacks description"),
    "seer": (JUDGE.replace('("answer",)', '("answer", "detect")'), "judge 'loud' (Loud) lacks detect"),
    "nothing": ("x = 1", "offers nothing"),
    "only_imports": ("from hermes.harness.contracts.exact_match import ExactMatch", "offers nothing"),
}


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plugin file of another test is known."""
    monkeypatch.setattr(registry, "_of_files", {})
    monkeypatch.setattr(plugins, "_digests", {})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(text, name)`: a plugin file."""

    def write(text: str, name: str = "plugin.py") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`install(kind, name="module text")`: entry points of these names beside those of null, oracle and pope alone."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    points = [point for kind in KINDS for point in entry_points(group=f"hermes.{kind}")]
    points = [point for point in points if point.name in ("null", "oracle", "pope")]
    monkeypatch.setattr(registry, "entry_points", lambda group: [point for point in points if point.group == group])

    def install(kind: str, **modules: str) -> None:
        for name, text in modules.items():
            (tmp_path / "site" / f"broken_{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, f"broken_{name}", raising=False)
            (*_, offered) = ("Missing", *re.findall(r"class (\w+)", text))
            points.append(EntryPoint(name, f"broken_{name}:{offered}", f"hermes.{kind}"))
        registry._points.cache_clear()

    yield install
    registry._points.cache_clear()


def one_line(said: Any, *words: str) -> None:
    """The command ended with one line on stderr that has the words, and with exit code 2."""
    assert (said.code, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("hermes: ")
    for word in words:
        assert word in said.err


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())["results"]
    return found


# The examples.


@pytest.mark.parametrize("file", [BENCHMARK, MODEL])
def test_an_example_is_a_file_of_at_most_30_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 30


@pytest.mark.parametrize(("model", "least"), [("hermes-tiny", 90.0), ("pixels", 100.0)])
def test_the_examples_are_evaluated(command: Command, tmp_path: Path, model: str, least: float) -> None:
    both = ("--plugin", MODEL, "--plugin", BENCHMARK)
    said = command("eval", "--model", model, *both, "--tasks", "squares", "--out", "run", "-q")
    assert said.code == 0, said.err
    found = results(tmp_path / "run")["squares"]
    assert found["metrics"]["accuracy"]["value"] >= least
    assert (found["n"], found["counts"]["error"]) == (100, 0)


def test_the_example_model_draws(command: Command, tmp_path: Path) -> None:
    rest = ("--tasks", "geneval", "--data", "shapes", "--limit", 4, "--out", "run", "-q")
    said = command("eval", "--model", "pixels", "--plugin", MODEL, *rest)
    assert said.code == 0, said.err
    counts = results(tmp_path / "run")["geneval"]["counts"]
    assert counts["error"] == 0
    assert counts["scored"] > 0


def test_the_examples_are_listed_and_the_data_checked(command: Command) -> None:
    assert "squares" in command("list", "evaluators", "--plugin", BENCHMARK).out
    assert "pixels" in command("list", "models", "--plugin", MODEL).out
    assert "Counts squares" in command("list", "models", "pixels", "--plugin", MODEL).out
    said = command("data", "check", "squares", "--data", "shapes", "--plugin", BENCHMARK, "-q")
    assert said.code == 0, said.err
    assert "100 decoded" in said.out  # each, though every picture is gone before the next one is drawn


def test_answers_from_a_file_are_scored_by_a_plugin(write: Write, tmp_path: Path) -> None:
    file = write(QUIZ.replace("rows(self)", "unused(self)"))
    write('{"id": "a", "question": "?", "answer": "yes"}\n', "rows.jsonl")
    write('{"id": "a", "response": "Yes."}\n', "answers.jsonl")
    answers, rows = tmp_path / "answers.jsonl", str(tmp_path / "rows.jsonl")
    content = hermes.score(task="quiz", data=rows, responses=answers, plugin=(file,))
    assert content["results"]["quiz"].metrics["accuracy"].value == 100.0


def test_answers_to_rows_that_a_plugin_brings_are_scored_without_data(write: Write, tmp_path: Path) -> None:
    answers = write('{"id": "1", "response": "Yes."}\n{"id": "2", "response": "yes"}\n', "answers.jsonl")
    content = hermes.score(task="quiz", responses=answers, plugin=(write(QUIZ),))
    assert content["results"]["quiz"].metrics["accuracy"].value == 50.0
    with pytest.raises(HermesError, match="needs its rows; give --data"):
        hermes.score(task="quiz", responses=answers, plugin=(write(QUIZ.replace("rows(self)", "unused(self)")),))


# What a file may hold.


def test_a_judge_of_a_file_is_found(write: Write) -> None:
    load_plugins([write(JUDGE)])
    assert registry.load_class("judges", "loud:anything").identity.startswith("loud-1+")


def test_a_file_offers_whatever_it_defines_and_no_bases(write: Write) -> None:
    more = "class Second(Quiz):\n    name = 'second'\n\nclass Base(ExactMatch):\n    prompt = Quiz.prompt\n"
    last = "\nclass Third(Base):\n    name = 'third'\n    gold = Quiz.gold\n"
    load_plugins([write(QUIZ + more + last + JUDGE)])
    assert {name for kind, name in registry._of_files if kind == "evaluators"} == {"quiz", "second", "third"}
    assert "loud" in registry.names("judges")
    versions = {registry.load_class("evaluators", name).version for name in ("quiz", "second", "third")}
    assert len(versions) == 1  # the file's hash once, and not once for each base


def test_an_unchanged_file_is_imported_once(write: Write) -> None:
    file = write(QUIZ)
    load_plugins([file])
    first = registry.load_class("evaluators", "quiz")
    load_plugins([file, str(file)])
    assert registry.load_class("evaluators", "quiz") is first


def test_an_edited_file_is_another_version(write: Write) -> None:
    versions = []
    for text in (QUIZ, QUIZ.replace('row["answer"]', '"no!"'), QUIZ):  # of the same length and in the same second
        load_plugins([write(text)])
        quiz = registry.evaluator("quiz")
        versions.append((quiz.version, quiz.gold({"answer": "yes"})))
    assert versions[0] == versions[2]
    assert (versions[0][1], versions[1][1]) == ("yes", "no!")
    assert versions[0][0] != versions[1][0]
    assert all(version.startswith("1+") for version, _ in versions)


def test_an_edited_model_is_another_model(write: Write) -> None:
    seen = set()
    for text in (MODEL.read_text(), MODEL.read_text() + "\n"):
        load_plugins([write(text)])
        model = model_class("pixels").load("pixels", "cpu")
        seen.add((model.version, model.info.fingerprint))
    assert len({version for version, _ in seen}) == len({fingerprint for _, fingerprint in seen}) == 2


def test_what_an_edited_file_no_longer_offers_is_gone(write: Write) -> None:
    load_plugins([write(QUIZ + JUDGE)])
    load_plugins([write(QUIZ)])
    assert "quiz" in registry.names("evaluators")
    assert "loud" not in registry.names("judges")


def test_an_edited_benchmark_never_shows_old_scores(command: Command, write: Write, tmp_path: Path) -> None:
    values = []
    for text in (QUIZ, QUIZ.replace('row["answer"]', '"yes"')):
        run = ("eval", "--model", "null", "--plugin", write(text), "--tasks", "quiz", "-q")
        assert command(*run).code == 0
        (newest,) = sorted(tmp_path.rglob("results.json"), key=lambda path: path.stat().st_mtime_ns)[-1:]
        values.append(results(newest.parent)["quiz"]["metrics"]["accuracy"]["value"])
    assert values == [50.0, 100.0]


def test_the_workers_of_an_ablation_load_plugins(write: Write, tmp_path: Path) -> None:
    common = {"model": "pixels", "plugin": [str(MODEL)]}
    wanted = jobs(Ablation(common=common, arms={"a": {}, "b": {}}), tmp_path)
    assert "plugin" not in wanted[0].settings.identity()  # a critic's or a benchmark's version says which file it was
    reasons = [why for _, why in _played(wanted, 2)]
    assert len(reasons) == 2
    assert all("model 'pixels' cannot be trained by preferences" in str(why) for why in reasons)


# What is broken, in a file.


@pytest.mark.parametrize("name", [*BROKEN, *HALF_WRITTEN])
def test_a_broken_file_is_named_in_one_line(command: Command, write: Write, name: str) -> None:
    text, why = (BROKEN | HALF_WRITTEN)[name]
    for arguments in (["list", "models"], ["eval", "--model", "null", "--tasks", "quiz"]):
        one_line(command(*arguments, "--plugin", write(text)), "plugin.py", why)


def test_a_file_that_is_not_there_is_named(command: Command, tmp_path: Path) -> None:
    one_line(command("list", "models", "--plugin", "nowhere.py"), "nowhere.py", "No such file")
    one_line(command("list", "models", "--plugin", tmp_path), str(tmp_path), "Is a directory")


def test_a_file_that_fails_registers_nothing(write: Write) -> None:
    with pytest.raises(HermesError, match="lacks gold"):
        load_plugins([write(JUDGE + HALF_WRITTEN["no_gold"][0])])
    assert "loud" not in registry.names("judges")


def test_a_name_that_is_taken_is_refused(command: Command, write: Write) -> None:
    taken = write(QUIZ.replace('"quiz"', '"pope"'))
    one_line(command("list", "evaluators", "--plugin", taken), "'pope' (Quiz)", "hermes.evaluators.pope:POPE")
    one, two = write(QUIZ, "one.py"), write(QUIZ, "two.py")
    one_line(command("list", "evaluators", "--plugin", one, "--plugin", two), "two.py", "'quiz'", "one.py")
    twice = QUIZ.replace('"quiz"', '"twice"')
    both = write(twice + twice.replace("class Quiz", "class Other"))
    one_line(command("list", "evaluators", "--plugin", both), "plugin.py", "'twice' (Other)", "plugin.py:Quiz")


# What is broken, in an installed package.


@pytest.mark.parametrize("name", [*BROKEN, "half", "no_gold", "odd_ability", "odd_chance", "nothing"])
def test_a_broken_package_is_listed_and_left_out(command: Command, install: Install, name: str, tmp_path: Path) -> None:
    text, why = (BROKEN | HALF_WRITTEN)[name]
    why = "has no attribute 'Missing'" if name == "nothing" else why
    install("evaluators", **{name: text})
    said = command("list", "evaluators")
    assert said.code == 0, said.err
    assert "pope" in said.out
    assert name in said.out
    classes, broken = registry.load_all("evaluators")
    assert (list(classes), list(broken)) == (["pope"], [name])
    with pytest.raises(HermesError, match=f"evaluator '{name}' \\(broken_{name}:") as raised:
        registry.evaluator(name)
    assert why in " ".join(str(raised.value).split())


def test_a_broken_package_stops_no_run_that_names_no_task(command: Command, install: Install, tmp_path: Path) -> None:
    install("evaluators", raises=BROKEN["raises"][0], half=HALF)
    run = ("eval", "--model", "null", "--limit", 3, "--out", "run")
    said = command(*run)
    assert said.code == 0, said.err
    skipped = [line.partition(":")[0] for line in said.err.splitlines() if line.startswith("skipped")]
    assert skipped == ["skipped half", "skipped raises"]
    assert set(results(tmp_path / "run")) == {"pope"}
    one_line(command(*run, "--tasks", "half"), "evaluator 'half' (broken_half:Half) lacks headline, unit")


@pytest.mark.parametrize(("kind", "name"), [("models", "mute"), ("models", "plain_model"), ("judges", "seer")])
def test_a_broken_model_or_judge_is_listed(command: Command, install: Install, kind: str, name: str) -> None:
    text, _ = HALF_WRITTEN[name]
    install(kind, **{name: text, "raises": BROKEN["raises"][0]})
    said = command("list", kind)
    assert said.code == 0, said.err
    assert {"models": "null", "judges": "reads shapes"}[kind] in said.out
    assert name in said.out
    assert said.out.count("lacks") == 1
    with pytest.raises(HermesError, match="lacks"):
        registry.load_class(kind, name)  # type: ignore[arg-type]


def test_a_class_that_cannot_be_shown_or_made_is_named(command: Command, install: Install) -> None:
    odd = QUIZ.replace('name = "quiz"', 'name = "quiz"\n    twin = 3')
    odd += "    def __init__(self):\n        self.answers = {}[0]\n"
    install("evaluators", odd=odd)
    said = command("list", "evaluators")
    assert (said.code, "pope" in said.out, "AttributeError" in said.out) == (0, True, True)
    with pytest.raises(HermesError, match=r"evaluator 'odd' cannot be made: KeyError: 0 .*line"):
        registry.evaluator("odd")


def test_two_packages_with_one_name_take_only_that_name_away(command: Command, install: Install) -> None:
    install("evaluators", pope=QUIZ, half=QUIZ)
    said = command("list", "evaluators")
    assert said.code == 0
    assert "two packages" in " ".join(said.out.split())
    assert registry.load_class("evaluators", "half").title == "quiz"
    assert list(registry.load_all("evaluators")[1]) == ["pope"]


def test_the_reason_is_red(install: Install) -> None:
    install("models", raises=BROKEN["raises"][0])
    table, reason, _ = short("models", facts("models")).renderables
    assert list(table.columns[0].cells) == ["null"]  # type: ignore[union-attr]
    assert isinstance(reason, Text)
    assert reason.plain.startswith("raises: model 'raises' (broken_raises:Missing) cannot be imported: RuntimeError: ")
    assert reason.style == "red"
