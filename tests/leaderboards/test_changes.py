"""Changes of U, G and the gap over rounds and between arms, against values worked by hand for two items, two seeds."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import edit
from played import benchmark, chose, guided, play, questions, score, scores

from hermes.harness.records.stats import Z95
from hermes.harness.records.types import Metric
from hermes.harness.system.disk import read_json, write_json
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import latex, markdown, tables_of
from hermes.leaderboards.changes import (
    Change,
    against,
    against_table,
    changes,
    changes_table,
    steps_table,
)
from hermes.leaderboards.paired import closed, closed_more
from hermes.leaderboards.plays import named_arm, read_plays
from hermes.leaderboards.tables import Table

RIGHT, HALF = (1, 1), (1, 0)


@pytest.fixture
def arms(tmp_path: Path) -> list[Path]:
    """Gaps of `sum`: seed 0 a .5 .25 .25, b .25 0 .25; seed 1 a .5 0 .5, b 1 .25 .25. `coupled`: seeds 1 and 2."""
    first = play(
        tmp_path / "sum-0",
        "sum",
        0,
        [
            {"a": (RIGHT, 0.5), "b": (HALF, 0.25)},
            {"a": (RIGHT, 0.75), "b": (HALF, 0.5)},
            {"a": (RIGHT, 0.75), "b": (RIGHT, 0.75)},
        ],
    )
    second = play(
        tmp_path / "sum-1",
        "sum",
        1,
        [
            {"a": (RIGHT, 0.5), "b": (RIGHT, 0.0)},
            {"a": (HALF, 0.5), "b": (RIGHT, 0.75)},
            {"a": (RIGHT, 0.5), "b": (RIGHT, 0.75)},
        ],
    )
    base = {"a": (RIGHT, 0.5), "b": (RIGHT, 0.0)}
    third = play(tmp_path / "coupled-1", "coupled", 1, [base, {"a": (RIGHT, 0.75), "b": (RIGHT, 1.0)}])
    fourth = play(tmp_path / "coupled-2", "coupled", 2, [base, {"a": (HALF, 0.0), "b": (HALF, 0.0)}])
    return [first, second, third, fourth]


def of(found: list[Change], arm: str, number: int) -> Change:
    (one,) = (change for change in found if (change.arm, change.round) == (arm, number))
    return one


def rows(content: Table) -> list[list[str]]:
    lines = [line for line in markdown.table(content, intervals=True).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in [lines[0], *lines[2:]]]


def wilson(p: float, n: float) -> tuple[float, ...]:
    half = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    return tuple((p + Z95**2 / (2 * n) + side) / (1 + Z95**2 / n) for side in (-half, half))


def of_two_items(mean: float, moved: int = 2) -> tuple[float, ...]:
    """Wilson's interval on the scale of -1..1 for two answers: two items say no more, however alike they are.

    Where one has not moved they are worth as much more as its variance can be less than that of a coin.
    """
    p = (mean + 1) / 2
    most = min(p * (1 - p), 0.25 * wilson(moved / 2, 2)[1])
    return tuple(2 * bound - 1 for bound in wilson(p, 2 * p * (1 - p) / most))


def interval(metric: Metric) -> tuple[float, float]:
    assert metric.low is not None
    assert metric.high is not None
    return metric.low, metric.high


def test_changes_since_round_0(arms: list[Path]) -> None:
    found = changes(arms, named_arm)
    assert [(one.arm, one.round) for one in found] == [("sum", 1), ("sum", 2), ("coupled", 1)]
    first = of(found, "sum", 1)
    assert (first.seeds, first.runs) == ((0, 1), ("sum-0", "sum-1"))
    assert first.since_base.u.value == (0 + 0 - 0.5 + 0) / 4
    assert first.since_base.g.value == (0.25 + 0.25 + 0 + 0.75) / 4
    assert first.since_base.gap.value == -(0.25 + 0.25 + 0.5 + 0.75) / 4
    assert (first.since_base.gap.n, first.since_base.gap.groups) == (4, 2)
    assert first.since_base.guided is None
    assert interval(first.since_base.gap) == pytest.approx(of_two_items(-0.4375))
    assert of(found, "sum", 2).since_base.gap.value == -(0.25 + 0 + 0 + 0.75) / 4


def test_the_share_of_the_gap_that_was_closed(arms: list[Path]) -> None:
    share = of(changes(arms), "sum", 1).closed
    assert share.value == pytest.approx((0.25 + 0.25 + 0.5 + 0.75) / (0.5 + 0.25 + 0.5 + 1))
    # Resamples are a a, a b or b b, each with both seeds: 0.75 / 1, 1.75 / 2.25, 1 / 1.25.
    assert (share.low, share.high) == (pytest.approx(0.75), pytest.approx(0.8))


def test_changes_from_round_to_round(arms: list[Path]) -> None:
    found = changes(arms)
    assert of(found, "sum", 1).step == of(found, "sum", 1).since_base
    second = of(found, "sum", 2).step
    assert second.u.value == (0 + 0.5 + 0.5 + 0) / 4
    assert second.g.value == (0 + 0.25 + 0 + 0) / 4
    assert second.gap.value == (0 + 0.25 + 0.5 + 0) / 4
    assert [row[-1] for row in rows(steps_table(found))] == ["Gap is", "unclear", "unclear", "unclear"]


def test_many_items_tell_whether_the_gap_moved(tmp_path: Path) -> None:
    """Of forty items G is right for 10, then for 30, for 10 again, and for 11."""
    right = [range(10), range(30), range(10), range(11)]
    rounds = [{f"{k:02}": (RIGHT, float(k in found)) for k in range(40)} for found in right]
    found = changes([play(tmp_path / "many", "many", 0, rounds)])
    assert [row[-1] for row in rows(steps_table(found))] == ["Gap is", "smaller", "larger", "unclear"]


def test_difference_between_arms_over_common_seeds(arms: list[Path]) -> None:
    (found,) = against(arms, named_arm, "sum")
    assert (found.arm, found.base, found.round, found.seeds) == ("coupled", "sum", 1, (1,))
    assert found.runs == ("sum-1", "coupled-1")
    assert found.delta.u.value == (0.5 + 0) / 2
    assert found.delta.g.value == (0.25 + 0.25) / 2
    assert interval(found.delta.g)[1] == pytest.approx(0.25 + (1 - 0.25) * Z95**2 / (2 + Z95**2))  # both are alike
    assert found.delta.gap.value == (0.25 - 0.25) / 2
    assert interval(found.delta.gap) == pytest.approx(of_two_items(0))
    (turned,) = against(arms, named_arm, "coupled")
    assert (turned.arm, turned.delta.u.value) == ("sum", -0.25)


def test_arms_without_a_common_seed_have_empty_cells(arms: list[Path]) -> None:
    (found,) = against([arms[0], arms[3]], named_arm, "sum")
    assert math.isnan(found.delta.gap.value)
    assert rows(against_table([found]))[1] == ["coupled", "1", "0", "-", "-", "-", "unclear"]


def test_g_at_the_guidance_that_each_round_says(arms: list[Path]) -> None:
    """Seed 0 took 2 and then 1, seed 1 both times 1, though 5 is better on what is reported."""
    values: dict[tuple[int, int, str], dict[str, float]] = {
        (0, 0, "1"): {"a": 1.0, "b": 1.0},
        (0, 0, "2"): {"a": 0.9, "b": 0.7},
        (1, 0, "1"): {"a": 0.8, "b": 0.6},
        (0, 1, "1"): {"a": 1.0, "b": 0.8},
        (1, 1, "1"): {"a": 0.9, "b": 0.9},
        **{(seed, number, "5"): {"a": 1.0, "b": 1.0} for seed in (0, 1) for number in (0, 1)},
    }
    for (seed, number, scale), items in values.items():
        guided(arms[seed], number, scale, items)
    chose(arms[0], (2, 1, 1))
    chose(arms[1], (1, 1, 1))
    found = changes(arms[:2])
    assert found[0].since_base.guidance == ((2.0, 1.0), (1.0, 1.0))
    assert found[0].since_base.guided is not None
    assert found[0].since_base.guided.value == pytest.approx((0.1 + 0.1 + 0.1 + 0.3) / 4)
    head, first, *_ = rows(changes_table(found))
    assert head[6:8] == ["G (best guidance)", "Guidance"]
    assert (first[6].split()[0], first[7]) == ("+0.150", "1 (base 1, 2)")
    assert found[1].since_base.guided is None
    assert "at its best scale of 0, 1, 2 on validation scenes." in changes_table(found).caption
    chose(arms[0], (2, 1, 1), split="validation")
    assert "2 on these very scenes, which are validation scenes." in changes_table(changes(arms[:1])).caption


def test_no_guidance_is_plain_g_where_it_was_chosen(arms: list[Path]) -> None:
    guided(arms[0], 1, "1", {"a": 1.0, "b": 1.0})
    chose(arms[0], (0, 1, 0))
    first, second = (one.since_base for one in changes(arms[:1]))
    assert (first.guidance, second.guidance) == (((0.0,), (1.0,)), ((0.0,), (0.0,)))
    assert first.guided is not None
    assert first.guided.value == (0.5 + 0.75) / 2
    assert second.guided == second.g


def test_rounds_at_different_scales_are_held_against_each_other_item_by_item(tmp_path: Path) -> None:
    names = [f"{k:02}" for k in range(40)]
    folder = play(tmp_path / "0", "sum", 0, [dict.fromkeys(names, (RIGHT, 0.0))] * 2)
    found = [score(f"{name}/{k}", name, float(k < 30), "accuracy") for k, name in enumerate(names)]
    benchmark(folder, 1, "homologous-g@guidance_scale=1.5", found, 0.75)
    chose(folder, (0, 1.5), among=(0, 1.5))
    levels, moved = tables_of([folder], deltas=True)
    assert "G (best guidance)" in [column.title for column in levels.columns]
    place = [column.title for column in moved.columns].index("G (best guidance)")
    assert moved.rows[0][place].value == pytest.approx(0.75)
    assert not any("G (best guidance)" in source for source in moved.sources)  # none of it is unpaired


def test_older_files_say_their_one_task(arms: list[Path]) -> None:
    """Neither another scale that was evaluated beside it nor one that nothing names counts."""
    for number in range(2):
        guided(arms[0], number, "1.5", {"a": 0.5 + 0.25 * number, "b": 0.5})
        guided(arms[0], number, "2", {"a": 1.0, "b": 1.0})
    found = changes(arms[:1])
    assert found[0].since_base.guidance == ((1.5,), (1.5,))
    assert found[0].since_base.guided is not None
    assert found[0].since_base.guided.value == 0.125
    assert rows(changes_table(found))[0][6:8] == ["G (guidance scale 1.5)", "Guidance"]
    assert "validation" not in changes_table(found).caption
    edit(arms[0] / "history.json", guided="")
    assert changes(arms[:1])[0].since_base.guided is None


def test_a_scale_of_all_rounds_may_be_0_which_is_not_plain_g(arms: list[Path]) -> None:
    rounds = read_json(arms[0] / "history.json")["rounds"]
    told = [entry | {"guidance": 0.0} for entry in rounds]
    edit(arms[0] / "history.json", guided="homologous-g@guidance_scale=0", rounds=told)
    for number in range(2):
        guided(arms[0], number, "0", {"a": 0.25, "b": 0.25})
    found = changes(arms[:1])[0].since_base
    assert found.guided is not None
    assert (found.guidance, found.guided.value) == (((0.0,), (0.0,)), 0.0)


def test_the_change_of_j_is_paired_by_question(tmp_path: Path) -> None:
    """Of a's two questions one more is right on both sides; of b's one, which was right, none is."""
    both, real, drawn = (1, 1), (1, 0), (0, 1)
    folder = play(tmp_path / "0", "sum", 0, [{"a": (HALF, 0.5), "b": ((1,), 0.5)}] * 2)
    assert changes([folder])[0].since_base.joint is None
    questions(folder, 0, {"a": [real, drawn], "b": [both]})
    assert changes([folder])[0].since_base.joint is None  # one side alone tells
    questions(folder, 1, {"a": [real, both], "b": [drawn]})
    found = changes([folder])[0].since_base.joint
    assert found is not None
    assert (found.value, found.n, found.groups) == (pytest.approx((0 + 1 - 1) / 3), 3, 2)
    again = play(tmp_path / "1", "sum", 1, [{"a": (HALF, 0.5), "b": ((1,), 0.5)}] * 2)
    questions(again, 0, {"a": [real, real], "b": [both]})
    questions(again, 1, {"a": [both, both], "b": [both]})
    joined = changes([folder, again])[0].since_base.joint
    assert joined is not None
    # Each question's change is the mean over the seeds, so there are no more questions than before.
    assert (joined.value, joined.n) == (pytest.approx((0.5 + 1 - 0.5) / 3), 3)
    path = folder / "round-1" / "evaluation" / "results.json"
    homologous = read_json(path)["gap"]["homologous"]
    edit(path, gap={"homologous": homologous | {"counts": homologous["counts"] | {"p11": 7}}})
    assert changes([folder])[0].since_base.joint is None  # the scores do not make what the run tells


def test_the_table_of_changes(arms: list[Path]) -> None:
    head, first, *_ = rows(changes_table(changes(arms)))
    assert head == ["Arm", "Round", "Seeds", "U", "G", "Gap (U - G)", "Gap closed (%)"]
    assert first[:4] == ["sum", "1", "2", "-0.125 [-0.842, +0.752]"]
    assert first[5:] == ["-0.438 [-0.934, +0.634]", "78 [75, 80]"]
    assert "over 2 items" in changes_table(changes(arms)).caption
    assert "measured (sum-0, sum-1)" in {cell.source for cell in changes_table(changes(arms)).rows[0]}
    for content in (changes_table([]), steps_table([]), against_table([])):
        assert latex.table(content)
        assert not content.rows


def test_an_error_leaves_its_item_out_of_every_number(arms: list[Path]) -> None:
    scores(arms[0], 1, "homologous-g", [("a", {"accuracy": 0.75}), ("b", {})])
    change = changes([arms[0]])[0].since_base
    assert (change.u.n, change.g.n, change.gap.n) == (1, 1, 1)
    assert change.gap.value == -0.25
    assert change.gap.low is None


def test_a_round_counts_the_seeds_that_played_it(arms: list[Path], tmp_path: Path) -> None:
    short = play(tmp_path / "short", "sum", 7, [{"a": (RIGHT, 0.0)}, {"a": (RIGHT, 0.5)}])
    found = changes([arms[0], short])
    assert [one.seeds for one in found] == [(0, 7), (0,)]


def test_the_order_of_lines_and_folders_changes_no_number(arms: list[Path]) -> None:
    expected = changes(arms[:2])
    path = arms[0] / "round-1" / "evaluation" / "homologous-u" / "scores.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    assert changes([arms[1], arms[0]]) == expected


def test_arms_may_be_named_by_the_caller(arms: list[Path]) -> None:
    assert list(read_plays(arms, lambda folder: folder.name)) == ["sum-0", "sum-1", "coupled-1", "coupled-2"]
    assert {one.seeds for one in changes(arms, lambda folder: folder.name)} == {(0,), (1,), (2,)}


def test_closed_is_the_ratio_that_the_plain_bootstrap_gives() -> None:
    rng = np.random.default_rng(3)
    names = [f"{k:03}" for k in range(300)]
    before = rng.normal(0.3, 0.4, (2, 300))
    after = before - rng.normal(0.1, 0.3, (2, 300))
    share = closed(
        [
            (dict(zip(names, b, strict=True)), dict(zip(names, a, strict=True)))
            for b, a in zip(before, after, strict=True)
        ]
    )
    drawn = [rng.integers(0, 300, 300) for _ in range(2000)]
    plain = [(before - after)[:, k].sum() / before[:, k].sum() for k in drawn]
    assert share.value == pytest.approx((before - after).sum() / before.sum())
    assert interval(share) == pytest.approx(np.percentile(plain, (2.5, 97.5)), abs=0.02)
    assert share.high - share.low > 0.1
    assert share.groups == 300


def test_how_much_more_is_closed_draws_the_same_items_for_both() -> None:
    rng = np.random.default_rng(4)
    names = [f"{k:03}" for k in range(200)]
    before = rng.normal(0.3, 0.2, 200)
    first, second = before - rng.normal(0.05, 0.2, 200), before - rng.normal(0.15, 0.2, 200)

    def pairs(after: Any) -> list[tuple[dict[str, float], dict[str, float]]]:
        return [(dict(zip(names, before, strict=True)), dict(zip(names, after, strict=True)))]

    found = closed_more(pairs(first), pairs(second))
    drawn = [rng.integers(0, 200, 200) for _ in range(2000)]
    plain = [(first - second)[k].sum() / before[k].sum() for k in drawn]
    assert found.value == pytest.approx((first - second).sum() / before.sum())
    assert interval(found) == pytest.approx(np.percentile(plain, (2.5, 97.5)), abs=0.02)
    assert closed_more(pairs(first), pairs(first)).value == 0.0
    # Items that one of the four lacks count for none.
    assert closed_more([({"a": 1.0, "b": 1.0}, {"a": 0.5, "b": 0.0})], [({"a": 1.0}, {"a": 0.25})]).value == 0.25


@pytest.mark.parametrize("gaps", [{"a": 0.25, "b": -0.25}, {"a": 0.0, "b": 0.0}, {}])
def test_without_a_gap_nothing_can_be_closed(gaps: dict[str, float]) -> None:
    assert math.isnan(closed([(gaps, dict.fromkeys(gaps, 0.0))]).value)


def test_no_interval_where_all_resamples_close_the_same_share() -> None:
    share = closed([(dict.fromkeys("abcde", 0.5), dict.fromkeys("abcde", 0.25))])
    assert (share.value, share.low, share.high) == (0.5, None, None)


def test_no_interval_where_a_resample_has_no_gap() -> None:
    before = dict.fromkeys("abcdefghi", 1.0) | {"j": -1.0}  # none is left where five of ten are j
    share = closed([(before, before | {"a": 0.0})])
    assert (share.value, share.low, share.high) == (0.125, None, None)


def test_no_share_of_a_gap_that_is_within_its_interval() -> None:
    before = dict.fromkeys("abcde", 1.0) | {"f": -1.0}  # none is left where three of six are f: six resamples of 100
    share = closed([(before, before | {"a": 0.0})])
    assert math.isnan(share.value)
    assert (share.n, share.low, share.high) == (6, None, None)


def test_scores_are_found_where_the_run_says(arms: list[Path], tmp_path: Path) -> None:
    guided(arms[0], 0, "1.5", {"a": 0.5, "b": 0.5})
    guided(arms[0], 1, "1.5", {"a": 0.75, "b": 0.75})
    expected = changes(arms[:2])
    assert expected[0].since_base.guided is None
    expected = changes(arms[:1])
    assert expected[0].since_base.guided is not None
    for number in range(3):
        folder = arms[0] / f"round-{number}" / "evaluation"
        tasks = {}
        for path in folder.glob("*/scores.jsonl"):
            place = f"stores/{number}-{path.parent.name.partition('@')[2]}/{path.parent.name[:12]}.jsonl"
            tasks[path.parent.name] = {"scores": place, "n": 2}
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_text().splitlines()
            (tmp_path / place).write_text("".join(f'{line[:-1]},"crc32":"0badcafe"}}\n' for line in lines))
            path.unlink()
        write_json(folder / "run.json", {"root": "../../..", "tasks": {**tasks, "pope": {}}})
    assert changes(arms[:1]) == expected


@pytest.mark.parametrize("content", ["[]", "{", '{"root": ".."}', '{"root": 1, "tasks": {"x": {"scores": "y"}}}'])
def test_an_odd_run_file_is_named(arms: list[Path], content: str) -> None:
    (arms[0] / "round-1" / "evaluation" / "run.json").write_text(content)
    with pytest.raises(HermesError, match=r"round-1/evaluation/run\.json "):
        changes(arms)


def _second(arms: list[Path]) -> Any:
    return changes([arms[0], play(arms[0].parent / "again", "sum", 0, [{}])])


def _torn(arms: list[Path]) -> Any:
    path = arms[0] / "round-1" / "evaluation" / "homologous-g" / "scores.jsonl"
    path.write_text(path.read_text()[:-20])
    return changes(arms)


def _missing(arms: list[Path]) -> Any:
    (arms[0] / "round-1" / "evaluation" / "homologous-g" / "scores.jsonl").unlink()
    return changes(arms)


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (_second, "again is the second self-play of arm 'sum' with seed 0"),
        (_torn, r"round-1/evaluation/homologous-g/scores\.jsonl holds a line that is no score"),
        (_missing, "round-1/evaluation holds no scores of homologous-g; evaluate the round again"),
        (lambda arms: against(arms, named_arm, "joint"), "no self-play is of arm 'joint'; the arms are sum, coupled"),
        (lambda arms: changes([arms[0] / "nowhere"]), "nowhere does not exist"),
    ],
)
def test_errors_name_the_place(arms: list[Path], do: Any, words: str) -> None:
    with pytest.raises(HermesError, match=words):
        do(arms)


def test_what_align_writes_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "align")
    from align_fake import FakeModel

    from hermes.align.play.selfplay import align
    from hermes.align.settings import AlignSettings
    from hermes.harness.system import registry

    offer = registry.Offer("models", "fake", FakeModel, "align_fake.py")
    monkeypatch.setitem(registry._of_files, ("models", "fake"), offer)
    small = {"model": "fake", "objective": "sum", "rounds": 1, "items": 6, "n": 3, "similarity": "facts"}
    short = {"critic": "oracle", "threshold": 0.2, "epochs": 1, "eval_limit": 4, "eval_guidance": 1.5, "device": "cpu"}
    short |= {"eval_tasks": ("mme", "geneval")}
    histories = [
        align(AlignSettings.model_validate({**small, **short, "seed": seed, "out": tmp_path / f"run-{seed}"}))
        for seed in (0, 1)
    ]
    (found,) = changes([tmp_path])
    assert (found.arm, found.round, found.seeds) == ("sum", 1, (0, 1))
    for side, metric in (("u", found.since_base.u), ("g", found.since_base.g), ("gap", found.since_base.gap)):
        moved = [one["rounds"][1][side]["value"] - one["rounds"][0][side]["value"] for one in histories]
        assert metric.value == pytest.approx(sum(moved) / 2)
        assert metric.groups == 4
    assert list(found.since_base.benchmarks) == ["mme", "geneval"]
    for task, shift in found.since_base.benchmarks.items():
        before, after = ([one["rounds"][number]["results"][task]["value"] for one in histories] for number in (0, 1))
        assert shift.metric.value == pytest.approx((sum(after) - sum(before)) / 2)
        assert shift.metric.n > 0
    assert found.since_base.guidance == ((1.5, 1.5), (1.5, 1.5))
    assert found.since_base.joint is not None
    moved = [one["rounds"][1]["joint"]["value"] - one["rounds"][0]["joint"]["value"] for one in histories]
    assert found.since_base.joint.value == pytest.approx(sum(moved) / 2)
