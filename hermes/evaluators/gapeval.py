"""GapEval: does an item succeed both ways, answered in words and drawn? Verdicts that were made elsewhere are scored.

Paper: arXiv 2602.02140. Licence: none is stated, so no data and no judge's prompts come with Hermes. Most of its items
edit a picture, so nothing is asked here: `hermes score --task gapeval --responses FILE` takes what was found of each
item's two sides, in the forms of harness/data/official/gapeval.py, each verdict in one of gapeval_replies.py.

The counts p11, p10, p01, p00 say of how many items both sides are right, the text alone, the picture alone, neither.
An item of which a side failed is left out and counted as an error; what cannot be read is not right, and is counted.

Protocol ``official`` (evaluate.py at 006dd75): the published fit over all categories together (harness/run/gapeval.py),
whose gap depends on rounding and on which categories there are, and has no interval. Protocol ``corrected``: the closed
form (harness/records/agreement.py), each category on its own and all items pooled, with 95 % intervals: the percentiles
of draws of as many items with replacement. Shares without items count as a thousand, as in the program, and have no
intervals.

Metrics, of all items and ``<metric>/<category>`` of each category: ``gap``, lower is better, of which the official one
is the mean over categories; ``gap_raw``, before its reward and penalty, for each category alone where official; the
paper's columns ``joint`` (Succ), ``understanding`` (Und) and ``generation`` (Gen), with ``difference``, the two's; and
``phi``, where it is defined. ``p11`` ... ``p00`` and ``unreadable``, the verdicts that could not be read, are counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hermes.evaluators.gapeval_replies import FAILED, RIGHT, UNREADABLE, verdict
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.data.official.gapeval import CATEGORY, LINE, SHARES, SIDES, verdict_rows
from hermes.harness.records.agreement import CELLS, closed_form, phi, phi_metric
from hermes.harness.records.stats import DIFFERENCE, Floats, mean_metric
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score, Split
from hermes.harness.run.gapeval import ITEMS, published, shares_of
from hermes.harness.system.errors import HermesError

DRAWS = 2000
COLUMNS = {
    "joint": (1.0, 0.0, 0.0, 0.0),
    "understanding": (1.0, 1.0, 0.0, 0.0),
    "generation": (1.0, 0.0, 1.0, 0.0),
    "difference": (0.0, 1.0, -1.0, 0.0),
}
"""What each of the paper's columns gives an item of each cell."""


@dataclass
class Counted:
    """The counts of one category: of items in each cell, and of verdicts that could not be read."""

    cells: Floats = field(default_factory=lambda: np.zeros(len(CELLS)))
    unreadable: int = 0
    items: bool = True

    @property
    def n(self) -> int:
        """How many items there are, or count as such."""
        return round(float(self.cells.sum()))

    def gaps(self) -> dict[str, Metric]:
        """The closed form; draws of as many items with replacement give the interval."""
        found = closed_form(*self.cells.tolist())
        if not self.items:
            return {"gap": Metric(value=found.gap, n=self.n), "gap_raw": Metric(value=found.raw, n=self.n)}
        drawn = np.random.default_rng(0).multinomial(self.n, self.cells / self.cells.sum(), DRAWS)
        every = np.array([closed_form(*cells.tolist()) for cells in drawn])
        low, high = np.percentile(every, (2.5, 97.5), axis=0)
        return {
            name: Metric(value=getattr(found, key), low=low[place], high=high[place], n=self.n, groups=self.n)
            for place, (key, name) in enumerate((("raw", "gap_raw"), ("gap", "gap")))
        }

    def beside(self) -> dict[str, Metric]:
        """What both protocols show: the columns, phi and the counts."""
        metrics = {name: self._mean(np.array(worth)) for name, worth in COLUMNS.items()}
        value = float(phi(self.cells))
        if np.isfinite(value):
            metrics["phi"] = phi_metric([_by_item(self.cells)]) if self.items else Metric(value=value, n=self.n)
        counts = {**dict(zip(CELLS, self.cells.tolist(), strict=True)), UNREADABLE: float(self.unreadable)}
        return metrics | {name: Metric(value=count, n=self.n) for name, count in counts.items()}

    def _mean(self, worth: Floats) -> Metric:
        if not self.items:
            return Metric(value=float(self.cells @ worth / self.cells.sum()), n=self.n)
        values = np.repeat(worth, self.cells.astype(int))
        return mean_metric(values, np.arange(self.n), bounds=(0.0, 1.0) if worth.min() == 0 else DIFFERENCE)


class GapEval(Evaluator):
    """Scores stored verdicts, or shares of them; asks nothing."""

    name = "gapeval"
    version = "1"
    title = "GapEval"
    ability = "generation"
    data = DataSpec(hub="", split="test", n=0, columns=("id", CATEGORY))
    config = GenerationConfig(num_images=1)
    headline = "gap"
    unit = "0..1"
    chance = 0.0
    best = 0.0  # nobody knows what chance has, so it is in no mean over benchmarks
    lower = True
    protocols = ("official", "corrected")
    judge_needs = "answer"
    standard = False

    def own_rows(self) -> Iterable[Row] | None:
        """None. Raises HermesError where a model is to be asked."""
        if self.shown:
            raise HermesError(
                "most items of gapeval edit a picture, so no model is asked here; score verdicts that were made "
                f"elsewhere: `hermes score --task gapeval --responses FILE`, a line an item: {LINE}"
            )
        return None

    def local_rows(self, source: Path, split: Split) -> Iterable[Row] | None:
        return verdict_rows(source)

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            name, tags = str(row["id"]), {CATEGORY: row[CATEGORY]}
            yield Sample(id=name, group_id=name, ability=self.ability, prompt="", metadata=tags)

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        if SHARES in data:
            shares_of(data[SHARES], "the shares")
        elif all(side in data for side in SIDES):
            [verdict(data[side]) for side in SIDES]
        else:
            raise HermesError(f"expected {LINE}")
        return dict(data)

    def score(self, answer: Answer, protocol: str) -> Score:
        data, sample = answer.judgement or {}, answer.sample
        told = {
            "sample_id": sample.id,
            "index": answer.response.index,
            "group_id": sample.group_id,
            "tags": {CATEGORY: sample.metadata[CATEGORY]},
        }
        if SHARES in data:
            shares = shares_of(data[SHARES], "the shares")
            return Score(**told, values=dict(zip(CELLS, shares, strict=True)), prediction=data[SHARES])
        found = {side: verdict(data[side]) for side in SIDES}
        if lost := [side for side in SIDES if found[side] == FAILED]:
            return Score(**told, prediction=found, reason=f"{' and '.join(lost)} failed", status="error")
        u, g = (found[side] == RIGHT for side in SIDES)
        values = dict(zip(CELLS, map(float, (u and g, u and not g, g and not u, not (u or g))), strict=True))
        unread = [side for side in SIDES if found[side] == UNREADABLE]
        return Score(
            **told,
            values=values,
            prediction=found,
            reason=f"the verdict on {' and '.join(unread)} cannot be read" if unread else "",
            status="unparsed" if unread else "scored",
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        categories: defaultdict[str, Counted] = defaultdict(Counted)
        shares: dict[str, Any] = {}
        whole = Counted()
        for sample, score in scored:
            category, cells = score.tags[CATEGORY], np.array([score.values[cell] for cell in CELLS])
            if isinstance(score.prediction, Mapping):
                unread = sum(said == UNREADABLE for said in score.prediction.values())
            else:
                shares[sample.id] = score.prediction
                cells, unread = cells * ITEMS, 0
            for one in (categories[category], whole):
                one.cells += cells
                one.unreadable += unread
                one.items = not shares
        if protocol == "corrected":
            metrics = whole.gaps()
            metrics |= {f"{name}/{key}": gap for key, one in categories.items() for name, gap in one.gaps().items()}
        else:
            rows = list(shares.values()) or [(one.cells / one.cells.sum()).tolist() for one in categories.values()]
            fit = published(rows)
            metrics = {"gap": Metric(value=fit.mean, n=whole.n)}
            for key, gap, raw in zip(categories, fit.gaps, fit.raw, strict=True):
                n = categories[key].n
                metrics |= {f"gap/{key}": Metric(value=gap, n=n), f"gap_raw/{key}": Metric(value=raw, n=n)}
        metrics |= whole.beside()
        for key, one in categories.items():
            metrics |= {f"{name}/{key}": found for name, found in one.beside().items()}
        return metrics

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> None:
        """The gap is no sum of means."""


def _by_item(cells: Floats) -> Floats:
    """The counts (4,) as items (n, 4), each in one cell."""
    return np.repeat(np.eye(len(CELLS)), cells.astype(int), axis=0)
