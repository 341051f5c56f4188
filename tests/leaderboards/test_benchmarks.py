"""Benchmarks beside the gap: levels by round, and changes paired by item, against values worked by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from played import benchmark, play, score
from test_changes import RIGHT, interval, of_two_items, rows
from test_leaderboard import rows as rows_under

from hermes.harness.records.types import Metric, Score
from hermes.leaderboards import leaderboard
from hermes.leaderboards.arms import write_report
from hermes.leaderboards.changes import (
    against,
    benchmark_against_table,
    benchmark_changes_table,
    benchmark_steps_table,
    changes,
)
from hermes.leaderboards.plays import named_arm
from hermes.leaderboards.report import report_html, report_markdown

ITEMS = {"a": (RIGHT, 0.5), "b": (RIGHT, 0.5)}


def played(folder: Path, arm: str = "sum", seed: int = 0, rounds: int = 2) -> Path:
    return play(folder / f"{arm}-{seed}", arm, seed, [ITEMS] * rounds)


def answers(*right: float | None) -> list[Score]:
    """MMMU: every question is a group of its own."""
    return [score(f"q{k}", f"q{k}", value) for k, value in enumerate(right)]


def mmmu(folder: Path, *rounds: Sequence[float | None]) -> None:
    for number, right in enumerate(rounds):
        known = [value for value in right if value is not None]
        benchmark(folder, number, "mmmu", answers(*right), 100 * sum(known) / len(known))


def since_base(folder: Path, number: int = 1) -> Mapping[str, Metric]:
    (found,) = (one for one in changes([folder]) if one.round == number)
    return {name: one.metric for name, one in found.since_base.benchmarks.items()}


def test_a_mean_of_questions(tmp_path: Path) -> None:
    folder = played(tmp_path)
    mmmu(folder, (0, 1), (1, 1))
    found = since_base(folder)["mmmu"]
    assert (found.value, found.n, found.groups) == (50, 2, 2)
    assert interval(found) == pytest.approx([100 * bound for bound in of_two_items(0.5)])


def test_a_mean_of_samplings_that_share_images(tmp_path: Path) -> None:
    """POPE: in each of two samplings the question about image a is right now, that about b as before."""
    folder = played(tmp_path)
    samplings = [(sampling, image) for sampling in ("random", "popular") for image in "ab"]
    for number in (0, 1):
        found = [score(f"{one}/{image}", image, number * (image == "a"), category=one) for one, image in samplings]
        benchmark(folder, number, "pope", found, 50.0 * number)
    found = since_base(folder)["pope"]
    assert (found.value, found.n, found.groups) == (50, 4, 2)
    assert interval(found) == pytest.approx([100 * bound for bound in of_two_items(0.5)])


def test_a_sum_of_tasks_over_images_with_both_questions(tmp_path: Path) -> None:
    """MME: image a has both questions right in both rounds, b one, then both: 1.5 / 2 more, for each of ten tasks."""
    folder = played(tmp_path)
    for number, right in enumerate([(1, 1, 1, 0), (1, 1, 1, 1)]):
        asked = zip(("a/1", "a/2", "b/1", "b/2"), "aabb", right, strict=True)
        found = [score(name, image, value, category="color") for name, image, value in asked]
        benchmark(folder, number, "mme", [*found, score("c/1", "c", number, category="color")], (1250, 2000)[number])
    found = since_base(folder)["mme"]
    assert (found.value, found.n, found.groups) == (750, 2, 2)
    assert interval(found) == pytest.approx([2000 * bound for bound in of_two_items(0.375)])


def test_a_mean_of_task_means(tmp_path: Path) -> None:
    """GenEval: of one task's two prompts one is met in one more of two images, of another's none: 1/4 over two."""
    folder = played(tmp_path)
    for number in (0, 1):
        prompts = [("a", "single"), ("b", "single"), ("c", "counting"), ("d", "counting")]
        found = [
            score(name, name, number if (name, index) == ("a", 1) else 0, index=index, tag=tag)
            for name, tag in prompts
            for index in (0, 1)
        ]
        benchmark(folder, number, "geneval", found, 0.125 * number)
    found = since_base(folder)["geneval"]
    assert (found.value, found.n, found.groups) == (0.125, 8, 4)
    low, high = interval(found)
    assert -1 < low < 0.125 < high < 1


def test_a_mean_of_items_means(tmp_path: Path) -> None:
    """DPG-Bench: a has two images, b one; the official protocol gives c no score."""
    folder = played(tmp_path)
    for number, points in enumerate([(0.5, 0.25, 1.0), (1.0, 0.75, 0.5)]):
        found = [score("a", "a", points[0], "score"), score("a", "a", points[1], "score", index=1)]
        found += [score("b", "b", points[2], "score"), Score(sample_id="c", index=0, group_id="c")]
        benchmark(folder, number, "dpg_bench", found, (68.75, 68.75)[number])
    found = since_base(folder)["dpg_bench"]
    assert (found.value, found.groups) == (0, 2)
    assert interval(found) == pytest.approx([100 * bound for bound in of_two_items(0)])


def test_an_answer_with_an_error_in_one_round_counts_in_none(tmp_path: Path) -> None:
    folder = played(tmp_path)
    mmmu(folder, (0, 1, 1), (1, 1, None))
    assert (since_base(folder)["mmmu"].value, since_base(folder)["mmmu"].n) == (50, 2)


def test_seeds_are_averaged_answer_by_answer(tmp_path: Path) -> None:
    """One seed gains the first of two questions, the other none; a third, which one of them lacks, is left out."""
    first, second = played(tmp_path, seed=0), played(tmp_path, seed=1)
    mmmu(first, (0, 1, 0), (1, 1, 1))
    mmmu(second, (1, 0, 1), (1, 0, None))
    found = since_base(tmp_path)["mmmu"]
    assert (found.value, found.n, found.groups) == (25, 2, 2)
    assert interval(found) == pytest.approx([100 * bound for bound in of_two_items(0.25, moved=1)])


def test_steps_and_differences_between_arms(tmp_path: Path) -> None:
    mine, other = played(tmp_path, rounds=3), played(tmp_path, "gen")
    mmmu(mine, (0, 0), (1, 0), (1, 1))
    mmmu(other, (0, 0), (1, 1))
    steps = rows(benchmark_steps_table(changes([mine])))
    assert steps[0] == ["Arm", "Round", "Seeds", "MMMU"]
    assert [[*row[:3], row[3].split(" ")[0]] for row in steps[1:]] == [
        ["sum", "1", "1", "+50.0"],
        ["sum", "2", "1", "+50.0"],
    ]
    assert rows(benchmark_changes_table(changes([mine])))[2][3].startswith("+100.0 [")
    (difference,) = against([mine, other], named_arm, "sum")
    assert difference.delta.benchmarks["mmmu"].metric.value == 50
    content = benchmark_against_table([difference])
    assert content.title == "Benchmarks: difference from sum at the same round"
    assert rows(content)[1][:3] == ["gen", "1", "1"]
    assert "Paired by item (2 of MMMU)" in content.caption


def test_a_benchmark_of_an_unknown_plugin_has_no_interval(tmp_path: Path) -> None:
    folder = played(tmp_path)
    for number in (0, 1):
        benchmark(folder, number, "mine", answers(number, 1), 4.5 + number)
    assert since_base(folder)["mine"] == Metric(value=1)
    content = benchmark_changes_table(changes([folder]))
    assert rows(content)[1] == ["sum", "1", "1", "+1.0"]
    assert content.notes == ("Differences of the headlines as they are, which have no interval: mine.",)


def test_scores_that_do_not_make_the_stored_headline_are_not_paired(tmp_path: Path) -> None:
    """GQA counts balanced questions alone; scores of before these were marked would bring in all."""
    folder = played(tmp_path)
    for number in (0, 1):
        asked = [score("a", "a", 1), score("b", "b", number), score("c", "c", 0)]
        benchmark(folder, number, "gqa", asked, 50 * (1 + number))  # without the third, which is not balanced
    found = since_base(folder)["gqa"]
    assert (found.value, found.low) == (50, None)


def test_answers_whose_groups_have_changed_are_not_paired(tmp_path: Path) -> None:
    folder = played(tmp_path)
    mmmu(folder, (0, 1))
    benchmark(folder, 1, "mmmu", [score("q0", "x", 1), score("q1", "x", 1)], 100)
    assert since_base(folder)["mmmu"] == Metric(value=50)


@pytest.mark.parametrize("changed", [{"version": "2"}, {"protocol": "lmms-eval"}, {"judge": "vlm 1"}])
def test_other_terms_are_not_compared(tmp_path: Path, changed: dict[str, str]) -> None:
    folder = played(tmp_path, rounds=3)
    for number, more in enumerate([{}, {}, changed]):
        benchmark(folder, number, "mmmu", answers(number > 0, 1), 100 if number else 50, **more)
    found = rows(benchmark_changes_table(changes([folder])))
    assert [row[3].split(" ")[0] for row in found[1:]] == ["+50.0", "-"]


def test_a_plain_difference_needs_the_same_data(tmp_path: Path) -> None:
    folder = played(tmp_path)
    for number in (0, 1):
        benchmark(folder, number, "mine", answers(1), 4.5, data=str(number))
    assert not benchmark_changes_table(changes([folder])).rows


def test_without_benchmarks_there_are_no_tables(tmp_path: Path) -> None:
    folder = played(tmp_path)
    assert not benchmark_changes_table(changes([folder])).rows
    write_report(tmp_path / "report", {"sum": folder}, "sum", {})
    said = [(tmp_path / "report" / "report.md").read_text(), leaderboard([folder]), report_markdown(folder)]
    assert not any("Benchmarks" in text for text in said)


def levels(folder: Path, *rounds: dict[str, float], **changed: Any) -> None:
    for number, values in enumerate(rounds):
        for task, value in values.items():
            benchmark(folder, number, task, [], value, **changed)


def test_levels_by_round_over_seeds(tmp_path: Path) -> None:
    first, second = played(tmp_path), played(tmp_path, seed=1)
    levels(first, {"geneval": 0.5, "pope": 80, "mme": 1200}, {"geneval": 0.625, "pope": 79, "mme": 1190})
    levels(second, {"geneval": 0.5, "pope": 80, "mme": 1200}, {"geneval": 0.75, "pope": 81, "mme": 1200})
    text = leaderboard([tmp_path])
    head, base, last = rows_under(text, "Benchmarks in self-play of tiny, shapes world")
    assert head == ["Objective", "Round", "POPE", "MME", "GenEval"]
    assert base == ["sum", "0 (base)", "80.0 ± 0.0", "1200.0 ± 0.0", "0.500 ± 0.000"]
    assert last[2:] == ["80.0 ± 1.4", "1195.0 ± 7.1", "0.688 ± 0.088"]
    assert "Measured: sum (sum-0, sum-1; 2 seeds)." in text
    assert "POPE: accuracy, %; MME: perception, points; GenEval: overall, 0..1." in text
    assert text.index("### Self-play of tiny") < text.index("### Benchmarks in self-play")


def test_levels_on_different_terms_and_of_a_part_are_not_ranked(tmp_path: Path) -> None:
    first, second = played(tmp_path), played(tmp_path, "gen")
    levels(first, {"pope": 80, "mmmu": 40}, {"pope": 81, "mmmu": 41})
    levels(second, {"pope": 80}, protocol="lmms-eval")
    benchmark(second, 0, "mmmu", [], 90, n=50)
    text = leaderboard([tmp_path])
    found = {(row[0], row[1][:1]): row[2:] for row in rows_under(text, "Benchmarks in self-play")}
    assert found["gen", "0"] == ["80.0", "90.0 (partial)"]
    assert found["gen", "1"] == ["-", "-"]
    assert found["sum", "1"] == ["81.0", "41.0"]
    assert "POPE: the rows differ in protocol, so none is best." in text


def test_the_report_of_one_self_play_has_them_with_intervals(tmp_path: Path) -> None:
    folder = played(tmp_path)
    levels(folder, {"geneval": 0.5, "pope": 80}, {"geneval": 0.625})
    head, base, last = rows_under(report_markdown(folder), "Benchmarks")
    assert head == ["Round", "POPE", "GenEval"]
    assert base == ["0 (base)", "80.0 [79.0, 81.0]", "0.500 [0.480, 0.520]"]
    assert last == ["1", "-", "0.625 [0.605, 0.645]"]
    assert "<h2>Benchmarks</h2>" in report_html(folder)


def test_the_report_of_arms_has_them_below_the_gap(tmp_path: Path) -> None:
    mine, other = played(tmp_path), played(tmp_path, "gen")
    mmmu(mine, (0, 1), (1, 1))
    mmmu(other, (0, 1), (0, 1))
    write_report(tmp_path / "report", {"sum": mine, "gen": other}, "sum", {})
    text = (tmp_path / "report" / "report.md").read_text()
    assert [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")] == [
        "What each arm reaches",
        "Difference from sum",
        "Self-play of tiny, shapes world (built in)",
        "Benchmarks in self-play of tiny, shapes world (built in)",
        "Change since the round before",
        "Difference from sum at the same round",
    ]


def test_what_is_of_the_gap_is_no_benchmark(tmp_path: Path) -> None:
    folder = played(tmp_path)
    for task in ("homologous-g@guidance_scale=1.5", "homologous-g@guidance_scale=1.5,steps=8"):
        benchmark(folder, 0, task, [], 0.5)
    assert rows_under(report_markdown(folder), "Benchmarks")[0] == ["Round", "G (guidance scale 1.5,steps 8)"]
