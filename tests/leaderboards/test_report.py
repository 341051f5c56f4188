"""The reports of one evaluation and of one self-play."""

import json
from pathlib import Path

import pytest
from made import gap, history, model, result, run

from hermes.harness.system.disk import write_json
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.report import report_html, report_markdown


def test_report_of_an_evaluation_shows_scores_counts_gap_and_provenance(tmp_path: Path) -> None:
    counts = {"scored": 90, "unparsed": 7, "error": 3}
    variant = "homologous-g@guidance_scale=1.5"
    results = {
        "pope": result("pope", 81.25, n=97, counts=counts),
        "homologous-u": result("homologous-u", 0.6),
        "homologous-g": result("homologous-g", 0.4),
    }
    gaps = gap(0.6, 0.4) | {"variants": {variant: gap(0.6, 0.5)["homologous"]}}
    gaps["benchmarks"] = {**gap(0.7, 0.6)["homologous"], "understanding": ["pope"], "generation": ["geneval"]}
    run(tmp_path, "my <model>", results, gap=gaps, limit=97)
    write_json(tmp_path / "environment.json", {"python": "3.11", "packages": {"torch": "2.9"}, "argv": ["x"]})
    text = report_markdown(tmp_path)
    assert text.startswith(r"# my \<model\> (partial run)")
    assert "| POPE (partial) | accuracy, % | official | - | 81.2 [80.2, 82.2] | 97 | 100 | 90 | 7 | 3 |" in text
    assert "| G | accuracy, 0..1 | official | oracle 1 | 0.400 [0.380, 0.420] |" in text
    assert "| homologous items | 0.600 [0.580, 0.620] | 0.400 [0.380, 0.420] | 0.200 [0.180, 0.220] | 50 |" in text
    assert "| homologous items, G (guidance scale 1.5) | 0.600" in text
    assert "| benchmarks, each brought to 0..1 | 0.700" in text
    assert "fingerprint pope-a, 97 of 100 samples" in text
    assert "| packages torch | 2.9 |" in text
    assert "<h1>my &lt;model&gt; (partial run)</h1>" in report_html(tmp_path)


def test_report_of_a_self_play_shows_rounds_and_drops(tmp_path: Path) -> None:
    history(tmp_path, "pair-dpo", 0, [(0.6, 0.4), (0.61, 0.5)])
    text = report_markdown(tmp_path)
    assert "| 1 | 0.610 [0.590, 0.630] | 0.500 [0.480, 0.520] | 0.110 [0.090, 0.130] |" in text
    assert "| 40 | 0.500 | 0.400 | 0.610 | 15 |" in text
    assert "| 1 | gen: tie | 3 | images: best and worst score alike, or are the same |" in text
    assert "| 1 | 32 | 1.386 | 0.90 | 0.80 | 0.75 | 1.50 | -2.50 | 0.25 | -0.50 | 7.92 |" in text
    assert "Replay loss" not in text
    assert "| Held |" not in text
    assert "| Round | Training | Evaluation |" in text
    assert "| 1 | 12.5 | 2.5 |" in text
    assert "tiny, round 1 (pair-dpo01, judge oracle 1)" in text
    assert "difference from tiny, round 0" in text
    assert "| **+0.100 [+0.072, +0.128]** |" in text
    assert "<h2>Rounds</h2>" in report_html(tmp_path)


def test_a_report_shows_what_was_held(tmp_path: Path) -> None:
    history(tmp_path, "pair-dpo", 0, [(0.6, 0.4), (0.61, 0.5)])
    path = tmp_path / "history.json"
    path.write_text(path.read_text().replace('"mask_noise": 7.92', '"mask_noise": 7.92, "held": 0.125'))
    text = report_markdown(tmp_path)
    assert "| Mask noise | Held |" in text
    assert "| 7.92 | 0.125 |" in text


def test_a_report_needs_a_finished_run(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match=r"holds neither results\.json nor history\.json"):
        report_markdown(tmp_path)


def test_a_report_lists_what_runs_beside_it_made_of_the_same_answers(tmp_path: Path) -> None:
    mine = run(tmp_path / "a", "a", {"pope": result("pope", 80.0), "geneval": result("geneval", 0.5)}, run_id="mine")
    lmms = result("pope", 82.0, protocol="lmms-eval")
    run(tmp_path / "b", "b", {"pope": lmms, "geneval": result("geneval", 0.5)}, run_id="lmms")
    run(tmp_path / "c", "c", {"geneval": result("geneval", 0.6, judge="vlm 2")}, run_id="vlm", schema=1)
    run(tmp_path / "seed", "a", {"pope": lmms}, run_id="seed", seed=1)
    run(tmp_path / "data", "a", {"pope": result("pope", 1.0, protocol="llava", data="b")}, run_id="data")
    run(tmp_path / "model", "a", {"pope": lmms}, run_id="model", model=model("other"))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "results.json").write_text("{")
    text = report_markdown(mine)
    assert text.split("### Also scored")[1].split("###")[0].split("\n")[4:6] == [
        "| POPE | lmms-eval | - | 82.0 [81.0, 83.0] | 100 | lmms |",
        "| GenEval | official | vlm 2 | 0.600 [0.580, 0.620] | 100 | vlm |",
    ]
    assert "Also scored" not in report_markdown(tmp_path / "seed")


def test_provenance_has_the_last_start_and_what_changed_between_starts(tmp_path: Path) -> None:
    run(tmp_path, "a", {"pope": result("pope", 80.0)})
    write_json(tmp_path / "environment.json", {"python": "3.9"})
    starts = [{"python": "3.11", "packages": {"torch": torch}, "crc32": "x"} for torch in ("2.6", "2.7")]
    ends = [{"end": True, "asked": 50, "reused": 3, "seconds": {"load": 1.5}}] * 2
    lines = [json.dumps(entry) for pair in zip(starts, ends, strict=True) for entry in pair]
    (tmp_path / "environment.jsonl").write_text("\n".join(lines))
    text = report_markdown(tmp_path)
    for row in (
        "starts | 2",
        "python | 3.11",
        "packages torch | 2.7",
        "asked | 50",
        "reused | 3",
        "seconds load | 1.5",
    ):
        assert f"| {row} |" in text
    assert "torch changed from 2.6 to 2.7 between starts; answers of both are in this run." in text
    assert not any(word in text for word in ("3.9", "crc32", "| end |"))


def test_the_report_of_a_self_play_names_what_its_rounds_ran_on(tmp_path: Path) -> None:
    history(tmp_path, "pair-dpo", 0, [(0.6, 0.4), (0.61, 0.5)])
    for number, torch in enumerate(("2.6", "2.7")):
        start = {"start": True, "python": "3.11", "packages": {"torch": torch}, "settings": {"limit": 3}}
        path = tmp_path / f"round-{number}" / "evaluation" / "environment.jsonl"
        path.write_text(json.dumps(start) + "\n" + json.dumps({"end": True, "asked": 5, "changes": []}) + "\n")
    text = report_markdown(tmp_path).split("### Provenance")[1]
    assert "| python | 3.11 |" in text
    assert "| packages torch | 2.7 |" in text
    assert "torch changed from 2.6 to 2.7 between starts" in text
    assert not any(word in text for word in ("starts |", "| asked |", "settings limit", "| start |"))
