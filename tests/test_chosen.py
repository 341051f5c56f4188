"""--ids, --category and --sample through the command line: what is asked, what the run says, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hermes.harness.data.tables import load_data
from hermes.harness.system import registry
from hermes.leaderboards.read import score_files

Command = Callable[..., Any]


@pytest.fixture
def evaluate(command: Command) -> Command:
    """`evaluate(*arguments)`: an evaluation of the third-party model; its results.json with "folder" and "answers"."""

    def run(*arguments: object) -> Any:
        code, out, err = command("eval", "-q", "--model", "theirs", "--device", "cpu", *arguments)
        if code:
            return err
        path = Path(out.partition("results: ")[2].partition("\n")[0])
        answers = out.partition("answers: ")[2].partition("\n")[0]
        return json.loads(path.read_text()) | {"folder": path.parent, "answers": answers}

    return run


def asked(results: dict[str, Any], task: str) -> list[str]:
    """The ids of the samples of a run, in order."""
    return [json.loads(line)["sample_id"] for line in score_files(results["folder"])[task].read_text().splitlines()]


def numbers(results: dict[str, Any], task: str) -> tuple[int, int, bool]:
    result = results["results"][task]
    return result["n"], result["n_expected"], result["partial"]


def test_a_category_is_a_part_of_the_benchmark(evaluate: Command) -> None:
    part = evaluate("--tasks", "pope", "--category", "popular")
    assert numbers(part, "pope") == (300, 900, True)
    assert {name.partition("/")[0] for name in asked(part, "pope")} == {"popular"}
    assert (part["chosen"], part["partial"]) == ("category popular", True)
    assert "chosen" in (part["folder"] / "report.md").read_text()
    both = evaluate("--tasks", "pope", "--category", "popular,random")
    assert (numbers(both, "pope"), both["answers"]) == ((600, 900, True), "300 asked, 300 reused")
    assert both["run_id"] != part["run_id"]
    every = evaluate("--tasks", "pope", "--category", "popular,random,adversarial")
    assert (numbers(every, "pope"), every["partial"]) == ((900, 900, False), False)


def test_a_sample_takes_whole_items_and_a_larger_one_holds_it(evaluate: Command, command: Command) -> None:
    few = evaluate("--tasks", "mme", "--sample", 3)
    assert numbers(few, "mme") == (6, 560, True)
    some = evaluate("--tasks", "mme", "--sample", 5)
    assert some["answers"] == "4 asked, 6 reused"
    assert set(asked(few, "mme")) < set(asked(some, "mme"))
    other = evaluate("--tasks", "mme", "--sample", 3, "--seed", 1)
    assert set(asked(other, "mme")) != set(asked(few, "mme"))
    first = evaluate("--tasks", "mme", "--sample", 5, "--limit", 2)
    assert asked(first, "mme") == asked(some, "mme")[:4]
    assert evaluate("--tasks", "mme", "--sample", 3)["answers"] == "0 asked, 6 reused"
    again = command("score", few["folder"], "-q")
    assert (again.code, "6 of 560" in again.out) == (0, True)


def test_ids_name_samples_or_items(evaluate: Command, tmp_path: Path) -> None:
    every = asked(evaluate("--tasks", "homologous-u", "--limit", 3), "homologous-u")
    items = list(dict.fromkeys(name.partition("/")[0] for name in every))
    (tmp_path / "ids.txt").write_text(f"\n{every[-1]}\n {items[0]} \n")
    part = evaluate("--tasks", "homologous-u", "--ids", "ids.txt")
    wanted = [name for name in every if name.startswith(f"{items[0]}/")] + [every[-1]]
    assert asked(part, "homologous-u") == wanted
    assert (part["chosen"], part["partial"]) == ("2 ids", True)
    (tmp_path / "ids.txt").write_text("\n".join(every))
    same = evaluate("--tasks", "homologous-u", "--ids", "ids.txt")
    assert same["run_id"] == evaluate("--tasks", "homologous-u", "--limit", 3)["run_id"]


@pytest.mark.parametrize(
    ("task", "categories"),
    [
        ("geneval", {"colors", "counting", "two_object"}),
        ("gqa", {"verify", "query", "attr"}),
        ("homologous-u", {"color", "count", "relation"}),
        ("mmmu", {"Accounting", "Art and Design"}),
        ("vqav2", {"yes/no", "number", "what color"}),
        ("tifa", set()),
    ],
)
def test_the_categories_of_a_benchmark_are_those_of_its_metrics(task: str, categories: set[str]) -> None:
    evaluator = registry.evaluator(task)
    samples = load_data(evaluator, "shapes", "test").samples
    found = {name for sample in samples for name in evaluator.categories(sample)}
    assert (categories <= found, bool(found)) == (True, bool(categories))


def test_files_are_chosen_from_as_they_stream(evaluate: Command, tmp_path: Path) -> None:
    questions = [{"question": "Is it?", "answer": "yes", "kind": "k"}]
    rows = [{"id": f"i{number}", "caption": f"dog {number}", "questions": questions} for number in range(9)]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "ids.txt").write_text("i7\ni2\ni5\n")
    found = evaluate(
        "--tasks", "homologous-g", "--data", "items.jsonl", "--judge", "theirs-judge", "--ids", "ids.txt", "--sample", 2
    )
    assert numbers(found, "homologous-g") == (2, 9, True)
    assert set(asked(found, "homologous-g")) < {"i2", "i5", "i7"}
    assert found["chosen"] == "3 ids; 2 items at random"


@pytest.mark.parametrize(
    ("arguments", "ids", "said"),
    [
        (
            ["--tasks", "pope", "--category", "easy,hard"],
            "",
            "pope: it has no category easy, hard; there are adversarial, popular, random",
        ),
        (
            ["--tasks", "pope", "--category", "popular,hard"],
            "",
            "--category names hard, which no task has; there are adversarial, popular, random",
        ),
        (
            ["--tasks", "homologous-g", "--category", "popular"],
            "",
            "homologous-g: it has no categories; leave out --category, or the task",
        ),
        (
            ["--tasks", "pope", "--ids", "ids.txt"],
            "none\nother",
            "pope: none of the 2 ids of --ids is there; its ids are such as random/",
        ),
        (
            ["--tasks", "mme,theirs", "--ids", "ids.txt"],
            "{mme}\n{theirs}\nzebra",
            "--ids names zebra, which no task has; the ids of mme are such as ",
        ),
        (
            ["--tasks", "pope", "--ids", "ids.txt", "--category", "popular"],
            "{pope}",
            "pope: no item has one of the ids of --ids and one of the categories",
        ),
        (["--tasks", "pope", "--ids", "no.txt"], "", "no.txt does not exist; give --ids a file with one id a line"),
        (["--tasks", "pope", "--ids", "ids.txt"], " \n", "ids.txt holds no ids; write one a line"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(
    evaluate: Command, tmp_path: Path, arguments: list[str], ids: str, said: str
) -> None:
    tasks = {
        task: asked(evaluate("--tasks", task, "--limit", 1), task)[0]
        for task in ("mme", "theirs", "pope")
        if f"{{{task}}}" in ids
    }
    (tmp_path / "ids.txt").write_text(ids.format(**tasks))
    error = evaluate(*arguments)
    assert error.startswith(f"hermes: {said}")
    assert error.count("\n") == 1
