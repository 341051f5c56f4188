"""Drawings within a page: where their points are, and what they say to those who cannot see them."""

import math
import re
from xml.etree import ElementTree

import pytest

from hermes.harness.records.types import Metric
from hermes.leaderboards.plots import Gap, Series, bar, gap_line, gap_range, panel

NAN = Metric(value=math.nan)


def metric(value: float, half: float | None = 0.05) -> Metric:
    return Metric(value=value, low=None if half is None else value - half, high=None if half is None else value + half)


GAP = Gap(metric(0.9), metric(0.6), metric(0.3))


def test_the_gap_is_two_dots_on_a_line_with_its_interval() -> None:
    assert gap_line(GAP, (0.5, 1.0)) == (
        '<svg class="plot line" role="img" aria-label="U 0.900 [0.850, 0.950], G 0.600 [0.550, 0.650], '
        'gap +0.300 [+0.250, +0.350]" >'
        '<line class="ground" x1="0" x2="100%" y1="50%" y2="50%"/>'
        '<line class="between" x1="20.000%" x2="80.000%" y1="50%" y2="50%"/>'
        '<line class="whisker" x1="10.000%" x2="30.000%" y1="50%" y2="50%"/>'
        '<line class="whisker" x1="10.000%" x2="10.000%" y1="30%" y2="70%"/>'
        '<line class="whisker" x1="30.000%" x2="30.000%" y1="30%" y2="70%"/>'
        '<svg x="20.000%" y="50%" overflow="visible"><path class="point g" d="M0 -6L6 0L0 6L-6 0z"></path></svg>'
        '<svg x="80.000%" y="50%" overflow="visible">'
        '<path class="point u" d="M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0"></path></svg></svg>'
    )


def test_all_gaps_of_a_page_share_a_range() -> None:
    assert gap_range([]) == (0.9, 1.0)
    assert gap_range([GAP, Gap(metric(0.95), metric(0.93), metric(0.02))]) == (0.5, 1.0)
    assert gap_range([Gap(metric(0.2), metric(-0.1), metric(0.3))])[0] == pytest.approx(-0.2)


def test_what_could_not_be_computed_is_not_drawn() -> None:
    assert gap_line(Gap(NAN, metric(0.5), NAN), (0.5, 1.0)) == ""
    assert bar(NAN, 1.0, "understanding") == ""
    assert "nan" not in panel("Gap", [0, 1], [Series("gap", "U - G", [metric(0.1), NAN])]).split("aria-label")[0]
    assert "Nothing was measured" in panel("Gap", [0], [Series("gap", "U - G", [NAN])])


def test_a_bar_ends_where_the_best_score_is_and_shows_chance() -> None:
    drawn = bar(metric(75.0, 5.0), 100.0, "generation", 50.0)
    assert '<rect class="fill generation" width="75.000%"' in drawn
    assert '<line class="chance" x1="50.000%" x2="50.000%"' in drawn
    assert '<line class="whisker" x1="70.000%" x2="80.000%"' in drawn
    assert "chance" not in bar(metric(75.0), 100.0, "generation")
    assert "whisker" not in bar(metric(75.0, None), 100.0, "generation")
    assert 'width="0.000%"' in bar(metric(-3.0), 100.0, "generation")


def test_curves_have_every_round_and_labels_apart() -> None:
    both = [Series("u", "U", [metric(0.9), metric(0.9)]), Series("g", "<G>", [metric(0.5), metric(0.89)])]
    figure = ElementTree.fromstring(panel("Accuracy", [0, 1], both))
    texts = [one.text for one in figure.iter("text") if one.get("class") == "middle"]
    assert texts == ["base", "1"]
    ends = [one for one in figure.iter("text") if "last" in str(one.get("class"))]
    assert [one.text for one in ends] == ["0.900", "0.890"]
    assert abs(float(ends[0].get("y", 0)) - float(ends[1].get("y", 0))) >= 13.9
    assert len([one for one in figure.iter("path") if "interval" in str(one.get("class"))]) == 4
    titles = [one.text for one in figure.iter("title")]
    assert titles[2:] == ["<G>, round 0: 0.500 [0.450, 0.550]", "<G>, round 1: 0.890 [0.840, 0.940]"]


@pytest.mark.parametrize("other", [0.3, 0.1 + 0.2, 0.30001])
def test_numbers_that_are_nearly_alike_are_drawn(other: float) -> None:
    both = [Series("u", "U", [metric(0.3, None)]), Series("g", "G", [metric(other, None)])]
    drawn = panel("Accuracy", [0], both)
    assert re.findall(r'class="end"[^>]*>([^<]*)<', drawn) == ["0.300", "0.305"]


def test_zero_is_on_the_panel_where_it_matters() -> None:
    gap = [Series("gap", "U - G", [metric(0.3), metric(0.2)])]
    assert 'class="zero"' in panel("Gap", [0, 1], gap, zero=True)
    assert 'class="zero"' not in panel("Gap", [0, 1], gap)
    assert 'class="zero"' in panel("Gap", [0, 1], [Series("gap", "U - G", [metric(-0.3), metric(-0.2)])], zero=True)
    assert re.findall(r'class="end"[^>]*>([^<]*)<', panel("Gap", [0, 1], gap, zero=True)) == [
        "0.0",
        "0.1",
        "0.2",
        "0.3",
        "0.4",
    ]
