"""The tidy table: every number of every run with all that it depends on, in pandas, CSV and JSON lines."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from made import gap, history, model, result, run

from hermes.harness.records.types import Metric
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import frame, leaderboard


@pytest.fixture
def two(tmp_path: Path) -> Path:
    counts = {"scored": 7, "unparsed": 2, "error": 1}
    pope = result("pope", 80.0, n=9, counts=counts)
    pope = pope.model_copy(update={"metrics": {**pope.metrics, "yes": Metric(value=float("nan"))}})
    gaps = gap(0.6, 0.4) | {"variants": {"homologous-g@guidance_scale=1.5": gap(0.6, 0.5)["homologous"]}}
    gaps["benchmarks"] = {**gap(0.6, 0.5)["homologous"], "understanding": ["pope"], "generation": ["geneval"]}
    results = {
        "pope": pope,
        "geneval": result("geneval", 0.5),
        "homologous-u": result("homologous-u", 0.6),
        "homologous-g": result("homologous-g", 0.4, judge="vlm 2"),
        "homologous-g@guidance_scale=1.5": result("homologous-g@guidance_scale=1.5", 0.5, judge="vlm 2"),
    }
    run(tmp_path / "a", "first", results, gap=gaps, limit=10)
    run(tmp_path / "b", 'second, "quoted"\nline', {"pope": result("pope", 82.0)}, model=model("b"), seed=3)
    return tmp_path


def test_one_row_for_each_run_task_and_metric(two: Path) -> None:
    found = frame([two])
    assert not found.duplicated(["run", "task", "metric"]).any()
    assert list(found[found.run == "idfirst"].task.unique()) == [
        "pope",
        "geneval",
        "homologous-u",
        "homologous-g",
        "homologous-g@guidance_scale=1.5",
        "homologous-gap",
        "homologous-gap@guidance_scale=1.5",
        "benchmark-gap",
    ]
    row = found[(found.run == "idfirst") & (found.task == "pope") & (found.metric == "accuracy")].iloc[0]
    assert (row.label, row.model, row.weights, row["dtype"]) == ("first", "tiny", "w-tiny", "float32")
    assert row.parameters == 1_300_000
    assert (row.value, row.low, row.high, row.n, row.groups, row.unit) == (80.0, 79.0, 81.0, 100, 50, "%")
    assert (row.protocol, row.data, row.data_fingerprint, row.world) == ("official", "shapes", "pope-a", "shapes")
    assert (row.split, row.seed, row.limit, row.partial) == ("test", 0, 10, True)
    assert (row.answers, row.expected, row.scored, row.unparsed, row.errors) == (9, 100, 7, 2, 1)
    assert bool(row.headline)
    assert row.judge is pd.NA
    side = found[(found.run == "idfirst") & (found.metric == "yes")].iloc[0]
    assert not side.headline
    assert pd.isna(side.value)
    assert side.unit is pd.NA


def test_gaps_are_tasks_of_their_own(two: Path) -> None:
    found = frame([two]).set_index(["task", "metric"])
    assert found.loc[("homologous-gap", "gap"), "value"] == pytest.approx(0.2)
    assert found.loc[("homologous-gap", "u"), "headline"] == False  # noqa: E712
    assert found.loc[("homologous-gap", "gap"), "judge"] == "vlm 2"
    assert found.loc[("homologous-gap@guidance_scale=1.5", "g"), "value"] == 0.5
    assert bool(found.loc[("benchmark-gap", "gap"), "partial"])
    assert not found.loc[("homologous-gap", "gap"), "partial"]


def test_headlines_pivot_to_a_table_of_models(two: Path) -> None:
    found = frame([two])
    wide = found[found.headline].pivot(index="label", columns="task", values="value")
    assert wide.loc["first", "pope"] == 80.0
    assert wide["pope"].max() == 82.0


def test_csv_and_json_hold_the_same(two: Path) -> None:
    expected = frame([two])
    read = pd.read_csv(io.StringIO(leaderboard([two], "csv")), dtype=expected.dtypes.to_dict())
    pd.testing.assert_frame_equal(read, expected)
    lines = json.loads(leaderboard([two], "json"))
    assert len(lines) == len(expected)
    assert lines[0]["value"] == 80.0
    assert lines[0]["judge"] is None


def test_options_of_the_tables_do_not_apply_to_csv(two: Path) -> None:
    with pytest.raises(HermesError, match="csv holds all numbers as they are; leave out deltas"):
        leaderboard([two], "csv", deltas=True)


@pytest.mark.parametrize(
    ("columns", "tasks"),
    [
        (("gap",), ["homologous-gap"]),
        (("Gap (U - G)", "POPE"), ["pope", "homologous-gap"]),
        (("Benchmark gap",), ["benchmark-gap"]),
        (("gap over benchmarks", "homologous-gap"), ["homologous-gap", "benchmark-gap"]),
        (("G (guidance scale 1.5)",), ["homologous-g@guidance_scale=1.5"]),
    ],
)
def test_columns_are_called_as_in_tables(two: Path, columns: tuple[str, ...], tasks: list[str]) -> None:
    found = frame([two], columns=columns)
    assert list(found.task.unique()) == tasks
    assert (found.task == "pope").sum() in (0, 3)  # all metrics of both runs


def test_metrics_are_called_as_in_the_tables_of_the_paper(tmp_path: Path) -> None:
    one = result("geneval", 0.5)
    one = one.model_copy(update={"metrics": {**one.metrics, "counting": Metric(value=0.25)}})
    run(tmp_path / "a", "a", {"geneval": one})
    for name in ("Counting", "geneval/counting"):
        assert frame([tmp_path], "paper-geneval", (name,)).value.tolist() == [0.25]
    assert frame([tmp_path], "paper-geneval", ("overall",)).value.tolist() == [0.5]
    with pytest.raises(HermesError, match="no column is called 'Counting'; --columns takes geneval"):
        frame([tmp_path], columns=("Counting",))


def test_a_table_of_the_paper_holds_the_runs_of_that_table(two: Path) -> None:
    for name in ("csv", "json", "md"):
        with pytest.raises(HermesError, match="paper-ablation: no self-play was measured under these paths"):
            leaderboard([two], name, table="paper-ablation")
    history(two / "play", "sum", 0, [(0.6, 0.4), (0.6, 0.5), (0.6, 0.6)])
    assert frame([two], "paper-ablation").run.unique().tolist() == ["sum00", "sum01", "sum02"]
    assert frame([two], "paper-gap").run.unique().tolist() == ["idfirst", "sum02"]


def test_a_frame_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="no finished run under"):
        frame([tmp_path])


def test_pandas_is_loaded_for_frames_alone(two: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hermes.leaderboards import leaderboard, frame\n"
        f"leaderboard([Path({str(two)!r})]); print('pandas' in sys.modules)\n"
        f"frame([Path({str(two)!r})]); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
