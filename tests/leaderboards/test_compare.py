"""Runs held against each other: paired differences, reasons why not, flipped samples, formats, and the command."""

import json
import re
import sys
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from golden_runs import rounds, write
from made import edit, key, model, result, run, write_places
from PIL import Image
from played import score

from hermes.harness.records.store import Store
from hermes.harness.records.stored_samples import StoredSample
from hermes.harness.records.types import Response, Score
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import compare, comparison

ASKED = (("x", 0), ("x", 1), ("y", 0))  # Items and their questions.
PICTURE = Image.new("RGB", (8, 8), "red")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("compare"))


@pytest.fixture
def stored(tmp_path: Path) -> list[Path]:
    """Two runs whose stores hold answers; only the first holds what was asked, too."""
    return [stored_run(tmp_path, "a", (1, 0, 1), asked=True), stored_run(tmp_path, "b", (1, 1, 0), asked=False)]


def stored_run(root: Path, name: str, right: tuple[int, ...], asked: bool) -> Path:
    store = Store(root / "answers" / name)
    store.folder.mkdir(parents=True)
    (digest,) = store.keep_images([PICTURE])
    found = []
    for number, value in enumerate(right):
        text = f"{name} says <b>{value}</b>"
        found.append(score(f"q{number}", f"q{number}", float(value)).model_copy(update={"prediction": "read"}))
        fields = {
            "sample_id": f"q{number}",
            "index": 0,
            "seed": 0,
            "prompt_sha256": "",
            "key": key("mmmu", f"q{number}"),
        }
        shown = {"image": digest} if number == 2 else {"text": text}
        store.responses.append([Response(**fields, **shown)])
    scores = store.folder / "scores.jsonl"
    scores.write_text("".join(one.model_dump_json() + "\n" for one in found))
    if asked:
        (store.folder / "samples").mkdir()
        known = {"ability": "understanding", "asked": "", "whole": "", "target": "yes"}
        samples = [StoredSample(id=f"q{k}", group_id="", prompt=f"Is it {k}?", **known) for k in range(len(right))]
        lines = (sample.model_dump_json() for sample in samples)
        (store.folder / "samples" / "mmmu-a.jsonl").write_text("\n".join(lines))
    measured = {"mmmu": result("mmmu", 100 * sum(right) / len(right))}
    folder = run(root / name, name, measured, model=model(name))
    place = {"answers": f"answers/{name}", "scores": f"answers/{name}/scores.jsonl"}
    write_places(folder, root, {"mmmu": place})
    return folder


def test_differences_are_paired_by_benchmark_and_category(played: Path) -> None:
    found = compare(rounds(played)).differences.set_index(["task", "category"])
    gap = found.loc[("gap", "")]
    assert (gap.base, gap.value) == (pytest.approx(0.175), pytest.approx(-0.2))
    assert gap.difference == pytest.approx(-0.375)
    assert gap.low < gap.difference < gap.high < 0
    assert bool(gap.paired)
    assert gap.groups == 40
    art = found.loc[("mmmu", "Art")]
    assert (art.base, art.value, art.difference, art.groups) == (40.0, 80.0, pytest.approx(40.0), 20)
    assert bool(art.paired)


def test_what_cannot_be_compared_says_why_and_what_is_alone_is_named(tmp_path: Path) -> None:
    first = run(tmp_path / "a", "a", {"pope": result("pope", 80.0), "gqa": result("gqa", 50.0)})
    changed = {"pope": result("pope", 90.0, judge="self"), "mme": result("mme", 900.0)}
    second = run(tmp_path / "b", "b", changed | {"gqa": result("gqa", 55.0)})
    found = compare([first, second])
    pope = found.differences.set_index("task").loc["pope"]
    assert pope.why_not == "judge self, not none"
    assert pope.isna()["difference"]
    text = comparison(found)
    assert "| POPE, accuracy | 80.0 | 90.0 | n/c |" in text
    assert "POPE: judge self, not none." in text
    assert "Only B has MME." in text
    # Without scores the intervals of both numbers are all that is known.
    assert "| GQA, accuracy | 50.0 | 55.0 | **+5.0 [+3.6, +6.4]** |" in text
    assert "Where no items are given: held against each other by their own intervals" in text


def test_flips_hold_prompt_and_both_answers(stored: list[Path]) -> None:
    found = compare(stored).flipped
    assert list(found["sample"]) == ["q1", "q2"]
    gained, lost = (row for _, row in found.iterrows())
    assert (gained.prompt, gained.target) == ("Is it 1?", "yes")
    assert (gained.base_worth, gained.run_worth) == (0, 1)
    assert (gained.base_answer, gained.run_answer) == ("a says <b>0</b>", "b says <b>1</b>")
    assert Path(lost.base_picture).is_file()
    assert lost.base_answer == "read"


def test_the_answer_to_a_picture_that_was_replaced_since_is_not_shown(stored: list[Path]) -> None:
    store = Store(stored[0].parent / "answers" / "a")
    later = {"sample_id": "q1", "index": 0, "seed": 0, "prompt_sha256": "", "text": "of another picture"}
    store.responses.append([Response(key=key("mmmu", "q1", asked="00"), **later)])
    assert compare(stored).flips[0].before.text == "a says <b>0</b>"


def test_a_damaged_answer_and_a_missing_picture_do_not_stop_a_comparison(stored: list[Path]) -> None:
    for store in (stored[0].parent / "answers").iterdir():
        (picture,) = (store / "media").iterdir()
        picture.unlink()
        path = store / "responses.0.jsonl"
        path.write_bytes(path.read_bytes().replace(b"says", b"sayz"))
    found = compare(stored)
    assert [flip.before.text for flip in found.flips] == ["read", "read"]
    assert "picture not found" in comparison(found, "html")


def test_the_page_shows_pictures_and_runs_nothing(stored: list[Path]) -> None:
    page = comparison(compare(stored), "html")
    assert "data:image/png;base64," in page
    assert "a says &lt;b&gt;0&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "1 better in B, 1 better in A." in page


PROPOSITIONS = [{"id": number, "question": f"Is there {what}?"} for number, what in ((4, "a dog"), (7, "a cat"))]
QUESTIONS = [
    {"question": "How many dogs?", "answer": "2"},
    {"question": "What color is it?", "answer": "red"},
    {"question": "Where is it?", "answer": "left"},
]


@pytest.mark.parametrize(
    ("task", "asked", "replies", "target", "texts"),
    [
        (
            "homologous-g",
            {"target": QUESTIONS},
            (["1", "red", ""], ["2", "red", "left"]),
            "How many dogs? 2; Where is it? left",
            ("1; -", "2; left"),
        ),
        (
            "dpg_bench",
            {"metadata": {"propositions": PROPOSITIONS}},
            ({"4": "yes", "7": "no"}, {"4": "yes", "7": "yes"}),
            "Is there a cat? yes",
            ("no", "yes"),
        ),
    ],
)
def test_of_a_picture_the_questions_are_shown_to_which_the_replies_differ(
    tmp_path: Path, task: str, asked: dict[str, Any], replies: tuple[Any, Any], target: str, texts: tuple[str, str]
) -> None:
    folders = []
    for name, value, said in zip("ab", (0.0, 1.0), replies, strict=True):
        store = Store(tmp_path / "answers" / name)
        (store.folder / "samples").mkdir(parents=True)
        (digest,) = store.keep_images([PICTURE])
        response = {"sample_id": "s", "index": 0, "seed": 0, "prompt_sha256": "", "key": key(task, "s")}
        store.responses.append([Response(**response, image=digest)])
        worth = score("s", "s", value, "accuracy").model_copy(update={"prediction": said, "reason": "why"})
        (store.folder / "scores.jsonl").write_text(worth.model_dump_json() + "\n")
        known = {"ability": "generation", "asked": "", "whole": "", "group_id": "s", "prompt": "two dogs"}
        one = result(task, value)
        samples = store.folder / "samples" / f"{one.data.fingerprint}.jsonl"
        samples.write_text(StoredSample(id="s", **known, **asked).model_dump_json() + "\n")
        folders.append(run(tmp_path / name, name, {task: one}))
        place = {"answers": f"answers/{name}", "scores": f"answers/{name}/scores.jsonl"}
        write_places(folders[-1], tmp_path, {task: place})
    found = compare(folders)
    (flip,) = (row for _, row in found.flipped.iterrows())
    assert (flip.target, flip.base_answer, flip.run_answer) == (target, *texts)
    text = comparison(found)
    assert f"| s | two dogs | {target} | wrong: {texts[0]} (why) | right: {texts[1]} (why) |" in text
    assert "Of a picture those questions are shown to which the replies differ" in text
    page = comparison(found, "html").split('class="flip"')[1]
    rows = re.findall("<tr>(.*?)</tr>", page)[1:]
    assert [" ".join(re.findall(r">([^<]+)<", row)[:2]) for row in rows] == target.split("; ")
    assert "right answer" not in page


def test_json_holds_differences_and_flips(stored: list[Path]) -> None:
    found = json.loads(comparison(compare(stored), "json"))
    assert (found["base"], found["runs"]) == ("a", ["b"])
    assert [one["task"] for one in found["differences"]] == ["mmmu"]
    assert [one["sample"] for one in found["flipped"]] == ["q1", "q2"]


def test_several_runs_are_held_against_the_first(played: Path) -> None:
    first, last = rounds(played)
    found = compare([first, last, last.parent.parent / "round-1" / "evaluation"])
    assert len(found.runs) == 2
    text = comparison(found)
    assert "### B less A" in text
    assert "### C less A" in text


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [run(tmp_path / name, "tiny", {"pope": result("pope", 80.0)}, run_id=name) for name in "xy"]
    found = compare(folders)
    assert (found.base, found.runs) == ("tiny (x)", ("tiny (y)",))
    assert "A: tiny (x). B: tiny (y). " in comparison(found)
    folders[1] = run(tmp_path / "z", "other", {"pope": result("pope", 80.0)}, run_id="z")
    assert "A: tiny (x). B: other (z). " in comparison(compare(folders))


def test_a_run_is_meant_where_others_were_scored_from_its_answers(tmp_path: Path) -> None:
    first, second = (run(tmp_path / name, name, {"pope": result("pope", 80.0)}) for name in "ab")
    run(first / "scored" / "lmms", "scored", {"pope": result("pope", 81.0)})
    assert compare([first, second]).base == "a"
    assert compare([first / "scored" / "lmms", second]).base == "scored"


def test_bad_paths_are_one_clear_line(played: Path, tmp_path: Path) -> None:
    first, last = rounds(played)
    with pytest.raises(HermesError, match="compare takes two runs or more"):
        compare([first])
    with pytest.raises(HermesError, match=r"holds 3 runs; give one of them: .*round-0/evaluation"):
        compare([first.parent.parent, last])
    with pytest.raises(HermesError, match="holds no finished run"):
        compare([tmp_path, first])
    other = run(tmp_path / "a", "a", {"pope": result("pope", 80.0)})
    with pytest.raises(HermesError, match="has no task in common with a"):
        compare([first, other])
    with pytest.raises(HermesError, match="format 'pdf' is unknown"):
        comparison(compare([first, last]), "pdf")


def test_the_command_writes_what_the_file_is_called(
    command: Callable[..., Any], stored: list[Path], tmp_path: Path
) -> None:
    assert command("compare", *stored).out.startswith("# Comparison")
    for name, start in (("c.html", "<!doctype html>"), ("c.tex", "% Comparison"), ("c.csv", "run,"), ("c.json", "{")):
        assert command("compare", *stored, "--out", name).code == 0
        assert (tmp_path / name).read_text().startswith(start)
    assert "flipped" not in command("compare", *stored, "--samples", 0).out


def test_a_terminal_gets_a_table(
    command: Callable[..., Any], played: Path, stored: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout.__class__, "isatty", lambda _: True)
    for arguments in (
        ("compare", *stored),
        ("leaderboard", played, "--deltas"),
        ("leaderboard", played, "--table", "paper-gap"),
    ):
        out = command(*arguments).out
        assert "─────" in out
        assert "| --" not in out
        assert max(len(line) for line in _plain(out).splitlines()) <= 80
    assert command("leaderboard", played, "--format", "md").out.startswith("# Leaderboard")


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def scored(folder: Path, task: str, found: Sequence[Score], metrics: Mapping[str, float]) -> Path:
    """A run of these scores, with these metrics."""
    one = result(task, 0.0)
    made = {key: one.metrics[one.headline].model_copy(update={"value": value}) for key, value in metrics.items()}
    run(folder, folder.name, {task: one.model_copy(update={"metrics": made})})
    (folder / task).mkdir()
    (folder / task / "scores.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in found))
    return folder


def test_a_category_over_answers_is_paired_where_one_side_has_all_right(tmp_path: Path) -> None:
    folders = []
    for name, wrong in (("a", ()), ("b", ("x/0",))):
        found = [score(f"{item}/{k}", item, float(f"{item}/{k}" not in wrong), kind="color") for item, k in ASKED]
        right = [score.values["correct"] for score in found]
        metrics = {"accuracy": (1 + right[0] / 2 + 0.5) / 2, "kind/color": sum(right) / len(right)}
        folders.append(scored(tmp_path / name, "homologous-u", found, metrics))
    color = compare(folders).differences.set_index("category").loc["kind/color"]
    assert bool(color.paired)
    assert color.difference == pytest.approx(-1 / 3)


def test_a_pictures_questions_of_one_kind_are_paired(tmp_path: Path) -> None:
    """The colors of x fall from 1 to 0.5, those of y stay 0; z has no colors."""
    folders = []
    for name, value in (("a", 1.0), ("b", 0.5)):
        found = [score(item, item, 1.0, "accuracy") for item in "xyz"]
        for one, color in zip(found, (value, 0.0), strict=False):
            one.values["kind/color"] = color
        folders.append(scored(tmp_path / name, "homologous-g", found, {"accuracy": 1.0, "kind/color": value / 2}))
    color = compare(folders).differences.set_index("category").loc["kind/color"]
    assert (bool(color.paired), color.difference, color.groups) == (True, -0.25, 2)


def test_categories_are_shown_that_differ_by_more_than_their_interval(tmp_path: Path) -> None:
    """Art rises from 10 to 20 of 20, Physics from 10 to 11."""
    folders = []
    for name, art, physics in (("a", 10, 10), ("b", 20, 11)):
        found = [
            score(f"{subject}{k}", f"{subject}{k}", float(k < right), subject=subject)
            for subject, right in (("Art", art), ("Physics", physics))
            for k in range(20)
        ]
        metrics = {"accuracy": 2.5 * (art + physics), "Art": 5.0 * art, "Physics": 5.0 * physics}
        folders.append(scored(tmp_path / name, "mmmu", found, metrics))
    found = compare(folders)
    few, all_of_them = (comparison(found, every=every) for every in (False, True))
    assert "| MMMU: Art | 50.0 | 100.0 | **+50.0 [" in few
    assert "MMMU: Physics" not in few
    assert "1 of 2 categories differ by more than their interval" in few
    assert "| MMMU: Physics | 50.0 | 55.0 | +5.0 [" in all_of_them


def test_little_is_held_of_each_answer(tmp_path: Path) -> None:
    folders = []
    for name in "ab":
        found = [score(f"q{k}", f"q{k}", float(k % 2), subject=f"s{k % 3}", field=f"f{k % 3}") for k in range(2000)]
        metrics = {"accuracy": 50.0} | {f"{kind}{k}": 50.0 for kind in "sf" for k in range(3)}
        folders.append(scored(tmp_path / name, "mmmu", found, metrics))
    compare(folders)  # Whatever is loaded once.
    tracemalloc.start()
    assert len(compare(folders).moved) == 7
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 900 * 4000


def test_fractions_are_shown_in_percent(tmp_path: Path) -> None:
    folders = [
        run(tmp_path / name, name, {"homologous-u": result("homologous-u", u)}) for name, u in (("a", 0.6), ("b", 0.7))
    ]
    assert "| U, accuracy | 60.0 | 70.0 | **+10.0 [+7.2, +12.8]** |" in comparison(compare(folders))


def test_of_what_cannot_be_compared_nothing_is_said_to_have_flipped(stored: list[Path]) -> None:
    edit(stored[1] / "results.json", results={"mmmu": result("mmmu", 66.7, judge="self").model_dump(mode="json")})
    found = compare(stored)
    assert found.flips == ()
    assert found.differences.why_not.tolist() == ["judge self, not none"]
