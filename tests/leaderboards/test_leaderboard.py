"""What a leaderboard shows: columns, best, deltas, partial and mixed runs, worlds, quoted rows, errors."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import edit, gap, history, result, run
from played import benchmark, play, score

from hermes.harness.records.types import Metric
from hermes.harness.system.errors import HermesError
from hermes.leaderboards import FORMATS, frame, leaderboard
from hermes.leaderboards.origins import Difference
from hermes.leaderboards.ranking import podium, ranked
from hermes.leaderboards.read import BULK, read_all
from hermes.leaderboards.tables import Better, Cell, Column, Table, text_column


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the Markdown table under a heading, its head first."""
    block = text.split(f"### {heading}")[1].split("\n### ")[0]
    lines = [line for line in block.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in [lines[0], *lines[2:]]]


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Two full runs and a partial one with the highest numbers."""
    for name, pope, mme, u, g in (("a", 80.0, 1200.0, 0.6, 0.4), ("b", 82.5, 1100.0, 0.62, 0.55)):
        run(
            tmp_path / name,
            name,
            {
                "homologous-g": result("homologous-g", g),
                "homologous-u": result("homologous-u", u),
                "homologous-g@guidance_scale=1.5": result("homologous-g@guidance_scale=1.5", g + 0.1),
                "mme": result("mme", mme),
                "pope": result("pope", pope),
            },
            gap=gap(u, g),
        )
    run(tmp_path / "c", "c", {"pope": result("pope", 99.0, n=10), "mme": result("mme", 1999.0, n=10)}, limit=10)
    return tmp_path


def test_models_in_rows_the_gap_first_then_benchmarks_best_in_bold_where_it_is_certain(three: Path) -> None:
    text = leaderboard([three])
    head, a, b, c = rows(text, "Shapes world")
    assert head == ["Model", "Gap (U - G)", "U", "G", "G (guidance scale 1.5)", "POPE", "MME", "Params"]
    assert a == ["a", "0.200", "0.600", "0.400", "0.500", "80.0", "**1200.0**", "1.3M"]
    # U is 0.60 and 0.62, each plus or minus 0.02.
    assert b == ["b", "**0.070**", "0.620", "**0.550**", "**0.650**", "**82.5**", "1100.0", "1.3M"]
    assert c == ["c", "-", "-", "-", "-", "99.0 (partial)", "1999.0 (partial)", "1.3M"]
    assert "Measured: a (ida, judge oracle 1); b (idb, judge oracle 1); c (idc)." in text
    assert "as if independent, since answers are missing or tell no means: Gap (U - G), G, G (guidance" in text


def test_second_is_underlined_where_a_third_is_beyond_it(tmp_path: Path) -> None:
    for name, pope, mme in (("a", 80.0, 1000.0), ("b", 84.0, 1004.0), ("c", 88.0, 1004.5)):
        run(tmp_path / name, name, {"pope": result("pope", pope), "mme": result("mme", mme)})
    text = leaderboard([tmp_path], "latex")
    assert r"b & \underline{84.0} & 1004.0" in text
    assert r"c & \textbf{88.0} & 1004.5" in text, "second and best are alike, so neither is marked"


@given(st.lists(st.integers(0, 5).map(float), max_size=6), st.integers(0, 3))
def test_the_podium_is_of_those_beyond_all_others(values: list[float], margin: int) -> None:
    best, second = podium(values, lambda mine, other: abs(values[mine] - values[other]) > margin)
    assert best is None or all(values[best] > value + margin for k, value in enumerate(values) if k != best)
    assert second is None or (best is not None and values[second] == sorted(values)[-2])
    assert best is not None or len(values) < 2 or sorted(values)[-1] - sorted(values)[-2] <= margin


def test_caption_and_notes_name_samples_and_what_is_missing(three: Path) -> None:
    text = leaderboard([three])
    assert "POPE: accuracy, % (n = 10 to 100)" in text
    assert "c (idc), partial and not ranked: POPE 10 of 100, MME 10 of 100." in text


def test_deltas_and_intervals(three: Path) -> None:
    text = leaderboard([three], deltas=True)
    head, b, c = rows(text, "Shapes world (built in), split test: difference from a")
    assert head == ["Model", "Gap (U - G)", "U", "G", "G (guidance scale 1.5)", "POPE", "MME"]
    assert (b[1], b[2], b[5]) == (
        "**-0.130 [-0.158, -0.102]**",
        "+0.020 [-0.008, +0.048]",
        "**+2.5 [+1.1, +3.9]**",
    )
    assert c == ["c", "-", "-", "-", "-", "n/c", "n/c"]
    assert "n/c, not comparable: POPE, MME of c, a partial number." in text
    _, a, _ = rows(leaderboard([three], base="idb"), "Shapes world (built in), split test: difference from b")
    assert a[5] == "**-2.5 [-3.9, -1.1]**"
    _, a, _, _ = rows(leaderboard([three], intervals=True), "Shapes world")
    assert a[5] == "80.0 [79.0, 81.0]"
    with pytest.raises(HermesError, match="no row is called 'x'; --base is one of: a, b, c"):
        leaderboard([three], base="x")


def test_worlds_and_splits_never_share_a_table(tmp_path: Path) -> None:
    run(tmp_path / "a", "a", {"pope": result("pope", 80.0)})
    run(tmp_path / "b", "b", {"pope": result("pope", 90.0, "real")}, world="real")
    run(tmp_path / "c", "c", {"pope": result("pope", 70.0)}, split="validation")
    run(tmp_path / "d", "d", {"pope": result("pope", 60.0), "mme": result("mme", 900.0, "real")}, world="mixed")
    text = leaderboard([tmp_path])
    assert [row[0] for row in rows(text, "Shapes world (built in), split test")[1:]] == ["a", "d"]
    assert [row[0] for row in rows(text, "Real data")[1:]] == ["b", "d"]
    assert [row[0] for row in rows(text, "Shapes world (built in), split validation")[1:]] == ["c"]
    assert "**90.0**" not in text


@pytest.mark.parametrize(
    ("change", "word", "reason"),
    [
        ({"data": "other"}, "data", "other data"),
        ({"protocol": "lmms-eval"}, "protocol", "protocol lmms-eval, not official"),
        ({"judge": "self"}, "judge", "judge self, not none"),
        ({"version": "2"}, "version", "version 2, not 1"),
    ],
)
def test_numbers_on_other_terms_are_not_ranked_and_it_says_why(
    tmp_path: Path, change: dict[str, Any], word: str, reason: str
) -> None:
    run(tmp_path / "a", "a", {"pope": result("pope", 80.0), "mme": result("mme", 1000.0)})
    run(tmp_path / "b", "b", {"pope": result("pope", 90.0, **change), "mme": result("mme", 1100.0)})
    text = leaderboard([tmp_path], deltas=True)
    _, a, b = rows(text, "Shapes world")
    assert (a[1], b[1], b[2]) == ("80.0", "90.0", "**1100.0**")
    assert f"POPE: the rows differ in {word}, so none is best." in text
    assert rows(text, "Shapes world (built in), split test: difference")[1][1:] == ["n/c", "**+100.0 [+98.6, +101.4]**"]
    assert f"n/c, not comparable: POPE of b, {reason}." in text


def test_unparsed_and_errors_are_counted(tmp_path: Path) -> None:
    counts = {"scored": 90, "unparsed": 7, "error": 3}
    run(tmp_path / "a", "a", {"pope": result("pope", 80.0, counts=counts)})
    text = leaderboard([tmp_path])
    assert "a (ida), unparsed: POPE 7." in text
    assert "a (ida), errors: POPE 3." in text


def test_equal_labels_are_told_apart_and_copies_count_once(tmp_path: Path) -> None:
    for seed in (0, 1):
        run(tmp_path / str(seed), "tiny", {"pope": result("pope", 80.0)}, seed=seed, run_id=f"id{seed}")
    run(tmp_path / "copy", "tiny", {"pope": result("pope", 80.0)}, seed=1, run_id="id1")
    found = rows(leaderboard([tmp_path, tmp_path]), "Shapes world")[1:]
    assert [row[0] for row in found] == ["tiny (seed 0)", "tiny (seed 1)"]
    assert [row[1] for row in found] == ["80.0", "80.0"], "of equal numbers none is best"


def test_a_metric_that_could_not_be_computed_is_a_dash(tmp_path: Path) -> None:
    run(tmp_path / "a", "a", {"pope": result("pope", float("nan"))})
    run(tmp_path / "b", "b", {"pope": result("pope", 60.0)})
    run(tmp_path / "c", "c", {"pope": result("pope", float("nan")), "mme": result("mme", float("nan"))})
    head, a, b, _ = rows(leaderboard([tmp_path], deltas=True), "Shapes world")
    assert head == ["Model", "POPE", "Params"], "a column without a number is not shown"
    assert (a[1], b[1]) == ("-", "60.0")


def test_published_rows_stand_apart_and_are_marked(three: Path) -> None:
    text = leaderboard([three], published=True)
    assert rows(text, "Quoted, real data: gap score")[-1] == ["HermesFlow", "1.3B", "0.533", "0.497", "0.036"]
    assert text.count("Quoted from HermesFlow, NeurIPS 2025") == text.count("### Quoted") == 5
    assert "uoted" not in text.split("### Quoted")[0]
    assert "arXiv:2502.12148" in text
    assert "**" not in text.split("### Quoted", 1)[1]
    assert "Quoted" not in leaderboard([three])


def test_nothing_is_held_against_a_quoted_row(tmp_path: Path) -> None:
    for name, pope in (("a", 80.0), ("b", 84.0)):
        run(tmp_path / name, name, {"pope": result("pope", pope, "real")}, world="real")
    options: dict[str, Any] = {"table": "paper-understanding", "published": True, "columns": ("pope",)}
    text = leaderboard([tmp_path], deltas=True, **options)
    found = rows(text, "Multimodal understanding, real data: difference from a")
    assert found == [["Model", "POPE"], ["b", "**+4.0 [+2.6, +5.4]**"]]
    for chosen in (options, options | {"table": None}):
        with pytest.raises(HermesError, match=r"no row is called 'HermesFlow.*'; --base is one of: a, b"):
            leaderboard([tmp_path], base="HermesFlow" + " †" * bool(chosen["table"]), **chosen)


def test_ablation_averages_seeds(tmp_path: Path) -> None:
    history(tmp_path / "p0", "pair-dpo", 0, [(0.6, 0.4), (0.6, 0.5)])
    history(tmp_path / "p1", "pair-dpo", 1, [(0.6, 0.4), (0.62, 0.6)])
    history(tmp_path / "u0", "dpo-u", 0, [(0.6, 0.4), (0.7, 0.4)])
    found = rows(leaderboard([tmp_path]), "Self-play of tiny, shapes world")
    head, u_base, u_first, p_base, p_first = found
    assert head == ["Objective", "Round", "Gap (U - G)", "U", "G", "G (guidance scale 1.5)", "Pairs"]
    assert u_first == ["dpo-u", "1", "0.300", "0.700", "0.400", "0.500", "40"]
    assert p_first[2:] == ["0.060 ± 0.057", "0.610 ± 0.014", "0.550 ± 0.071", "0.650 ± 0.071", "40"]
    assert "Measured: dpo-u (dpo-u-0; 1 seed); pair-dpo (pair-dpo-0, pair-dpo-1; 2 seeds)." in leaderboard([tmp_path])
    assert (u_base[1], p_base[-1]) == ("0 (base)", "-")


def test_means_over_other_seeds_are_neither_ranked_nor_compared(tmp_path: Path) -> None:
    """The mean of a is above that of b, and yet a is below b in the seed that both have played."""
    for arm, seed, right in (("a", 0, 100), ("a", 1, 30), ("b", 1, 60)):
        home = play(tmp_path / f"{arm}{seed}", arm, seed, [{"x": ([0.0], 0.0)}])
        benchmark(home, 0, "mmmu", [score(f"q{k}", f"q{k}", float(k < right)) for k in range(100)], float(right))
    text = leaderboard([tmp_path], base="a")
    found = {row[0]: row[2] for row in rows(text, "Benchmarks in self-play of tiny, shapes world")[1:]}
    assert found == {"a": "65.0 ± 49.5", "b": "60.0"}
    assert "MMMU: the rows differ in seeds, so none is best." in text
    assert [
        row[2] for row in rows(text, "Benchmarks in self-play of tiny, shapes world (built in): difference")[1:]
    ] == ["n/c"]
    assert "n/c, not comparable: MMMU of b, 0 (base), seeds 1, not 0 and 1." in text


def test_a_round_that_one_seed_alone_has_played_says_so(tmp_path: Path) -> None:
    history(tmp_path / "p0", "pair-dpo", 0, [(0.6, 0.4), (0.6, 0.5)])
    history(tmp_path / "p1", "pair-dpo", 1, [(0.6, 0.4)])
    text = leaderboard([tmp_path])
    assert "pair-dpo, round 1: of pair-dpo-0 alone." in text
    assert "pair-dpo, round 0" not in text


@dataclass
class Answered:
    """A number, and how far it is from any other over what both have answered."""

    ahead: float
    partial: bool = False

    def why_not(self, base: Any) -> str:
        return ""

    def minus(self, base: Any) -> Difference:
        return Difference(Metric(value=self.ahead, low=self.ahead - 1, high=self.ahead + 1), paired=True)


@pytest.mark.parametrize(
    ("better", "ahead", "is_best"), [("higher", 5, True), ("higher", -5, False), ("nearest", 5, False)]
)
def test_a_number_that_is_worse_over_what_both_have_answered_is_not_best(
    better: Better, ahead: float, is_best: bool
) -> None:
    first, other = (2.0, 1.0) if better == "higher" else (1.0, 2.0)
    found = [(Cell(text="x"), Cell(value, origin=Answered(ahead))) for value in (first, other)]
    table = ranked(Table("t", (text_column("Model"), Column("POPE", better=better)), tuple(found)))
    assert table.rows[0][1].best is is_best


@pytest.mark.parametrize("seeds", [(0, 0), (0, 1)])
def test_ablation_does_not_average_other_settings(tmp_path: Path, seeds: tuple[int, int]) -> None:
    for name, seed in zip("xy", seeds, strict=True):
        history(tmp_path / name, "pair-dpo", seed, [(0.6, 0.4), (0.6, 0.5)], align_id=name, settings=f"s{name}")
    text = leaderboard([tmp_path])
    found = rows(text, "Self-play of tiny")[1:]
    assert [row[0] for row in found] == ["pair-dpo (settings sx)"] * 2 + ["pair-dpo (settings sy)"] * 2
    assert not any("±" in cell for row in found for cell in row)
    assert "averaged as seeds of one arm" in text


def test_self_plays_that_do_not_say_their_settings_are_not_averaged(tmp_path: Path) -> None:
    for seed in (0, 1):
        history(tmp_path / str(seed), "pair-dpo", seed, [(0.6, 0.4)], settings="")
    found = rows(leaderboard([tmp_path]), "Self-play of tiny")[1:]
    assert [row[0] for row in found] == ["pair-dpo (settings pair-dpo-0)", "pair-dpo (settings pair-dpo-1)"]


def test_ablation_does_not_average_other_judges(tmp_path: Path) -> None:
    for seed, judge in enumerate(("oracle 1", "vlm 2")):
        history(tmp_path / judge, "pair-dpo", seed, [(0.6, 0.4)])
        path = tmp_path / judge / "round-0" / "evaluation" / "results.json"
        path.write_text(path.read_text().replace("oracle 1", judge))
    found = rows(leaderboard([tmp_path]), "Self-play of tiny")[1:]
    assert [row[0] for row in found] == ["pair-dpo (judge oracle 1)", "pair-dpo (judge vlm 2)"]


def test_a_partial_self_play_is_no_seed_and_never_best(tmp_path: Path) -> None:
    history(tmp_path / "a", "pair-dpo", 0, [(0.6, 0.4), (0.6, 0.5)])
    history(tmp_path / "b", "pair-dpo", 1, [(0.8, 0.9), (0.8, 0.8)])
    history(tmp_path / "c", "gen", 1, [(0.5, 0.2), (0.5, 0.1)])
    path = tmp_path / "b" / "round-1" / "evaluation" / "results.json"
    path.write_text(path.read_text().replace('"partial": false', '"partial": true'))
    text = leaderboard([tmp_path])
    found = {(row[0], row[1]): row[2:] for row in rows(text, "Self-play of tiny")[1:]}
    assert found["pair-dpo", "1"][:3] == ["**0.100**", "0.600", "**0.500**"]
    assert found["pair-dpo (partial)", "0 (base)"][1:3] == ["0.800 (partial)", "0.900 (partial)"]
    assert "never best: pair-dpo-1" in text


def test_partial_self_plays_alone_have_no_best(tmp_path: Path) -> None:
    history(tmp_path / "a", "pair-dpo", 0, [(0.6, 0.4), (0.7, 0.5)])
    for path in tmp_path.glob("a/*/*/results.json"):
        path.write_text(path.read_text().replace('"partial": false', '"partial": true'))
    assert "**" not in leaderboard([tmp_path]).split("Self-play of tiny")[1]


def test_copies_of_a_self_play_count_once(tmp_path: Path) -> None:
    for name, rounds in (("a", 1), ("b", 2)):
        history(tmp_path / name, "pair-dpo", 0, [(0.6, 0.4)] * rounds)
    assert [row[:2] for row in rows(leaderboard([tmp_path]), "Self-play of tiny")[1:]] == [
        ["pair-dpo", "0 (base)"],
        ["pair-dpo", "1"],
    ]


def test_each_guidance_has_a_column_of_its_own(tmp_path: Path) -> None:
    history(tmp_path / "a", "pair-dpo", 0, [(0.6, 0.4)])
    history(tmp_path / "b", "gen", 0, [(0.6, 0.4)], guided="homologous-g@guidance_scale=4")
    head, gen, both = rows(leaderboard([tmp_path]), "Self-play of tiny")
    assert head[5:7] == ["G (guidance scale 1.5)", "G (guidance scale 4)"]
    assert (gen[5:7], both[5:7]) == (["-", "0.500"], ["0.500", "-"])


def test_rounds_stand_in_a_table_of_their_own_alone(tmp_path: Path) -> None:
    folder = history(tmp_path / "p0", "pair-dpo", 0, [(0.6, 0.4), (0.6, 0.5)])
    assert "### Shapes world" not in leaderboard([tmp_path])
    run(tmp_path / "a", "a", {"pope": result("pope", 80.0)})
    assert [row[0] for row in rows(leaderboard([tmp_path]), "Shapes world")[1:]] == ["a"]
    # A round that is given itself is a run like any other.
    given = leaderboard([tmp_path / "a", folder / "round-1" / "evaluation"])
    assert [row[0] for row in rows(given, "Shapes world")[1:]] == ["a", "tiny, round 1"]


def test_what_cannot_be_read_is_named(three: Path) -> None:
    path = three / "a" / "results.json"
    good = path.read_text()
    for text, message in (
        ("{", "not valid JSON"),
        ("[]", "holds no object"),
        ('{"schema": 7}', "schema 7, this version reads 1 and 2"),
        (good.replace('"accuracy"', '"accuracy", "headlin": 1', 1), "headlin"),
        (good.replace('"seed": 0,\n  "limit"', '"seed": "x",\n  "limit"'), "seed"),
    ):
        path.write_text(text)
        with pytest.raises(HermesError, match=message) as caught:
            leaderboard([three])
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_nothing_to_show_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="no finished run under"):
        leaderboard([tmp_path])
    with pytest.raises(HermesError, match="does not exist"):
        leaderboard([tmp_path / "missing"])
    with pytest.raises(HermesError, match="format 'pdf' is unknown; use one of md, latex, html, csv, json"):
        leaderboard([tmp_path], "pdf")


@pytest.mark.parametrize("format", FORMATS[:3])
def test_every_format_shows_every_run(three: Path, format: str) -> None:
    text = leaderboard([three], format, deltas=True, intervals=True, published=True)
    for part in ("ida", "idb", "idc", "82.5", "(partial)", "HermesFlow", "difference from a"):
        assert part in text


def test_a_later_version_may_write_more(three: Path) -> None:
    before = leaderboard([three])
    edit(three / "a" / "results.json", novelty={"x": 1})
    assert leaderboard([three]) == before


def test_the_gaps_stand_first_and_lower_is_better(tmp_path: Path) -> None:
    for name, g in (("a", 0.4), ("b", 0.5)):
        results = {task: result(task, value) for task, value in (("pope", 80.0), ("geneval", g))}
        results |= {"homologous-u": result("homologous-u", 0.6), "homologous-g": result("homologous-g", g)}
        across = {**gap(0.6, g)["homologous"], "understanding": ["pope"], "generation": ["geneval"]}
        run(tmp_path / name, name, results, gap=gap(0.6, g) | {"benchmarks": across})
    head, a, b = rows(leaderboard([tmp_path]), "Shapes world")
    assert head[1:5] == ["Gap (U - G)", "U", "G", "Benchmark gap"]
    assert (a[1], a[4], b[1], b[4]) == ("0.200", "0.200", "**0.100**", "**0.100**")


def test_a_column_of_real_data_says_what_papers_print_and_names_another_protocol(tmp_path: Path) -> None:
    real = {"gqa": result("gqa", 60.0, world="real"), "mme": result("mme", 1200.0, world="real")}
    text = leaderboard([run(tmp_path / "a", "a", real)])
    assert "GQA: accuracy" in text
    assert "GQA: papers print LLaVA's rule" in text
    assert "Scored here: official protocol." in text
    drawn = leaderboard([run(tmp_path / "b", "b", {"gqa": result("gqa", 60.0)})])
    assert "papers print" not in drawn


def test_stores_are_not_walked_and_a_round_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history(tmp_path / "align" / "p0", "pair-dpo", 0, [(0.6, 0.4), (0.6, 0.5)])
    for bulk in BULK:
        run(tmp_path / bulk / "model" / "task", "hidden", {"pope": result("pope", 80.0)})
    (tmp_path / "m" / "copy").mkdir(parents=True)
    same = (tmp_path / "align" / "p0" / "round-1" / "evaluation" / "results.json").read_text()
    (tmp_path / "m" / "copy" / "results.json").write_text(same)
    read: list[Path] = []

    def load(path: Path) -> dict[str, Any]:
        read.append(path)
        content: dict[str, Any] = json.loads(path.read_text())
        return content

    monkeypatch.setattr("hermes.leaderboards.read._load", load)
    runs, histories = read_all([tmp_path, tmp_path / "align"])
    assert [one.name for one in runs] == ["tiny, round 0", "tiny, round 1"]
    assert len(histories) == 1
    assert len(read) == 4, "each of three results.json and one history.json is read once"


@pytest.mark.parametrize("place", ["answers", "checkpoint/0123456789ab"])
def test_a_run_folder_or_a_model_may_be_called_like_a_store(place: str, tmp_path: Path) -> None:
    run(tmp_path / place, "a", {"pope": result("pope", 80.0)})
    assert [one.name for one in read_all([tmp_path])[0]] == ["a"]


def test_the_validations_of_patience_are_no_rows(tmp_path: Path) -> None:
    """Nor does that of the base, which has its fingerprint, take the place of the base."""
    home = tmp_path / "p0"
    history(home, "sum", 0, [(0.6, 0.4), (0.6, 0.5)])
    for number in (0, 1):
        path = home / f"round-{number}" / "evaluation" / "results.json"
        own = json.loads(path.read_text())
        own["model"]["fingerprint"] = f"m{number}"
        path.write_text(json.dumps(own))
        other = home / f"round-{number}" / "validation" / "results.json"
        other.parent.mkdir()
        other.write_text(json.dumps(own | {"run_id": f"v{number}"}))
    assert sorted(set(frame([tmp_path], "paper-gap").run)) == ["sum00", "sum01"]
