"""The pages of reports: what is on them, that their links lead somewhere, and that nothing runs on them."""

import re
from pathlib import Path

import pytest
from drawing_runs import drawing, playing
from made import edit, gap, metric, result

from hermes.harness.records.types import Metric, Result
from hermes.harness.system.disk import read_json, write_json
from hermes.leaderboards.report import report_html, write_reports
from hermes.leaderboards.runs_index import MARK, index_html, runs_folder, update_index

WORTHS = {f"s{k}": (k / 10,) for k in range(8)}


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def with_categories() -> Result:
    found = result("mme", 1200.0)
    parts = {"existence": metric(190.0), "count": metric(100.0), "OCR": Metric(value=float("nan"))}
    return found.model_copy(update={"metrics": found.metrics | parts})


def evaluated(root: Path) -> Path:
    """A run that drew, with a benchmark of several categories and a remark beside."""
    folder = drawing(root, "a", {"geneval": WORTHS, "homologous-g": WORTHS})
    content = read_json(folder / "results.json")
    partial = result("pope", 80.0, n=97, counts={"scored": 97, "unparsed": 0, "error": 0, "truncated": 3})
    more = {"mme": with_categories().model_dump(mode="json"), "pope": partial.model_dump(mode="json")}
    write_json(folder / "results.json", content | {"results": content["results"] | more})
    return folder


@pytest.mark.parametrize("make", [evaluated, lambda root: playing(root, [WORTHS, {"s1": (0.9,), "s2": (0.1,)}])])
def test_every_link_of_the_index_leads_to_a_section(tmp_path: Path, make: "type[Path]") -> None:
    page = report_html(make(tmp_path))
    links = re.findall(r'href="#([^"]+)"', page)
    assert len(links) == len(set(links)) == len(headings(page)) > 3
    assert set(links) == set(re.findall(r' id="([^"]+)"', page))


def test_an_evaluation_shows_gap_scores_pictures_and_folded_categories(tmp_path: Path) -> None:
    page = report_html(evaluated(tmp_path))
    assert headings(page) == [
        *("Gap between understanding (U) and generation (G)", "Scores", "What it drew", "By category"),
        *("Counts, protocols and judges", "Provenance"),
    ]
    assert 'aria-label="U 0.750 [0.730, 0.770], G 0.500 [0.480, 0.520], gap +0.250 [+0.230, +0.270]"' in page
    scores = page.split('id="scores"')[1].split("</section>")[0]
    assert re.findall(r'<td class="text">(.*?)<', scores) == ["U", "G", "POPE", "MME", "GenEval"]
    assert "97 of 100, partial" in scores
    assert "POPE: 3 of 97 answers were cut off at the limit of new tokens." in scores
    folded = page.split('id="categories"')[1].split("</section>")[0]
    assert folded.count("<details") == 1  # no other benchmark here has more than its headline
    assert 'width="100.000%"' in folded  # points are drawn to the largest of them
    assert '<td class="drawing"></td><td class="number">-</td>' in folded
    assert page.count("data:image/png;base64,") == 16
    assert page.count("planned: plan of s7") == 2


def test_a_run_that_drew_nothing_has_no_section_of_pictures(tmp_path: Path) -> None:
    page = report_html(drawing(tmp_path, "a", {}))
    assert "What it drew" not in headings(page)
    assert "By category" not in headings(page)


def test_a_picture_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    folder = evaluated(tmp_path)
    next(tmp_path.glob("answers/geneval*/media/*.png")).unlink()
    assert report_html(folder).count("picture not found") == 1


def test_a_self_play_shows_curves_both_pictures_and_links_to_pages_that_are_there(tmp_path: Path) -> None:
    last = {name: (1.0 if name == "s1" else value,) for name, (value,) in WORTHS.items()}
    folder = playing(tmp_path, [WORTHS, last])
    page = report_html(folder)
    assert headings(page)[:3] == ["Curves", "Rounds", "Before and after"]
    assert page.count('class="curve ') == 3
    assert "No item fell." in page
    assert "base <b>0.10</b>" in page
    assert "round 1 <b>1.00</b>" in page
    links = re.findall(r'href="(round-[^"]+)"', page)
    assert len(links) == 4
    assert all((folder / link).is_file() for link in links)
    (folder / "round-1" / "pairs.html").unlink()
    assert "round-1/pairs.html" not in report_html(folder)


def test_nothing_of_a_model_is_markup(tmp_path: Path) -> None:
    for page in (report_html(evaluated(tmp_path / "a")), report_html(playing(tmp_path / "b", [WORTHS, WORTHS]))):
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert "&lt;b&gt;why&lt;/b&gt;" in page


def test_reports_keep_an_index_of_their_folder_of_runs(tmp_path: Path) -> None:
    for folder in (evaluated(tmp_path), playing(tmp_path, [WORTHS, WORTHS])):
        write_reports(folder)
    page = (tmp_path / "index.html").read_text()
    assert sorted(re.findall(r'href="(.*?)"', page)) == ["tiny/a/report.html", "tiny/align-1/report.html"]
    assert "+0.250" in page
    assert "from +0.250 to" in page
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", page)


def test_the_index_says_which_gap_and_what_is_partial(tmp_path: Path) -> None:
    numbers = gap(0.7, 0.6)["homologous"]
    for name, gaps in (("whole", gap(0.8, 0.5)), ("across", {"homologous": None, "benchmarks": numbers})):
        folder = drawing(tmp_path, name, {})
        write_json(folder / "results.json", read_json(folder / "results.json") | {"gap": gaps})
        write_reports(folder)
    folder = playing(tmp_path, [WORTHS, WORTHS])
    for number in range(2):
        edit(folder / f"round-{number}" / "evaluation" / "results.json", partial=True)
    write_reports(folder)
    assert "<h1>Self-play of tiny (partial)</h1>" in (folder / "report.html").read_text()
    rows = re.findall("<tr>.*?</tr>", (tmp_path / "index.html").read_text(), re.DOTALL)[1:]
    across, play, whole = sorted(rows, key=lambda row: re.findall(r"tiny/(\w+)", row))
    assert "over benchmarks" in across
    assert "over benchmarks" not in whole + play
    assert "self-play, sum, 1 round, partial, 1<" in play
    assert "1 benchmark, shapes, test split, whole<" in whole


def test_the_index_has_runs_in_folders_called_like_rounds(tmp_path: Path) -> None:
    write_reports(playing(tmp_path, [WORTHS]))
    for name in ("round-2/evaluation", "round-2/id1"):
        write_reports(drawing(tmp_path, name, {}))
    found = sorted(re.findall(r'href="(.*?)"', index_html(tmp_path)))
    assert found == [f"tiny/{name}/report.html" for name in ("align-1", "round-2/evaluation", "round-2/id1")]


def test_the_index_passes_over_what_cannot_be_read_or_has_no_report(tmp_path: Path) -> None:
    folder = evaluated(tmp_path)
    write_reports(folder)
    drawing(tmp_path, "no-report", {})
    torn = tmp_path / "tiny" / "torn"
    torn.mkdir()
    (torn / "results.json").write_text("{")
    (torn / "report.html").write_text("a report")
    assert re.findall(r'href="(.*?)"', index_html(tmp_path)) == ["tiny/a/report.html"]


def test_a_page_of_somebody_else_stays(tmp_path: Path) -> None:
    folder = evaluated(tmp_path)
    write_reports(folder)
    (tmp_path / "index.html").write_text("my home page")
    update_index(folder)
    assert (tmp_path / "index.html").read_text() == "my home page"
    (tmp_path / "index.html").write_text(MARK)
    update_index(folder)
    assert "tiny/a/report.html" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("root", [".", "..", "../../nowhere", "../../..", None])
def test_only_a_folder_above_that_is_no_run_is_a_folder_of_runs(tmp_path: Path, root: str | None) -> None:
    home = tmp_path / "runs"
    folder = drawing(home, "a", {})
    assert runs_folder(folder) == home
    (home / "tiny" / "spec.json").write_text("{}")
    write_json(folder / "run.json", {"root": root} if root else {})
    assert runs_folder(folder) == (tmp_path if root == "../../.." else None)
