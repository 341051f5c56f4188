"""POPE's five figures: accuracy, precision, recall, F1 and the yes ratio, with intervals from resampling images."""

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hermes.harness.contracts.columns import Columns
from hermes.harness.records.stats import bootstrap_metrics
from hermes.harness.records.types import Metric

VALUES = ("correct", "yes", "no", "positive")
FIGURES = ("accuracy", "precision", "recall", "f1", "yes_ratio")
Table = NDArray[np.float64]


def spread(scores: Columns, tag: str | None, pooled: bool) -> dict[str, Metric]:
    """The figures that are defined, as means over the values of the tag, or of all scores without one."""
    if not len(scores):
        return {}
    images, image = np.unique(scores.groups, return_inverse=True)
    parts, part = np.unique(scores.tags[tag] if tag else np.zeros(len(scores)), return_inverse=True)
    correct, yes, no, positive = (scores.values[name] for name in VALUES)
    counts = np.zeros((len(images), len(parts), 6))
    asked = np.ones(len(scores))
    for place, column in enumerate((asked, correct, yes, yes * positive, no * positive, positive)):
        np.add.at(counts[..., place], (image, part), column)
    found = bootstrap_metrics(partial(figures, pooled, counts), images, scale=100)
    return {
        name: metric.model_copy(update={"n": len(scores)})
        for name, metric in zip(FIGURES, found, strict=True)
        if math.isfinite(metric.value)
    }


def figures(pooled: bool, counts: Table, images: NDArray[np.intp] | slice = slice(None)) -> list[float]:
    """The figures of the chosen images, in the order of FIGURES: each the mean over the samplings.

    ``counts``, shape (images, samplings, 6): how many questions, right ones, 'yes', true 'yes', denied positives,
    positives. ``pooled``: as lmms-eval has it, undefined ratios 0 and the yes ratio that of the labels.
    """
    asked, right, yes, hits, denied, positives = counts[images].sum(axis=0).T

    def ratio(part: Table, whole: Table) -> Table:
        values = np.full(part.shape, 0.0 if pooled else np.nan)
        np.divide(part, whole, out=values, where=whole > 0)
        return values

    precision, recall = ratio(hits, yes), ratio(hits, hits + denied)
    f1 = ratio(2 * precision * recall, precision + recall)
    values = (ratio(right, asked), precision, recall, f1, ratio(positives if pooled else yes, asked))
    return [float(value.mean()) for value in values]
