"""POPE's five figures: accuracy, precision, recall, F1 and the yes ratio, with intervals from leaving out images."""

import math

import numpy as np
from numpy.typing import NDArray

from hermes.harness.contracts.columns import Columns
from hermes.harness.records.stats import jackknife_metrics
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
    total = counts.sum(axis=0)
    whole, without = figures(pooled, total).tolist(), figures(pooled, total - counts)
    found = jackknife_metrics(whole, without, _divisors(counts), len(scores), scale=100)
    return {name: metric for name, metric in zip(FIGURES, found, strict=True) if math.isfinite(metric.value)}


def figures(pooled: bool, counts: Table) -> Table:
    """The figures of summed counts, in the order of FIGURES along the last axis: each the mean over the samplings.

    ``counts``, shape (..., samplings, 6): how many questions, right ones, 'yes', true 'yes', denied positives,
    positives. ``pooled``: as lmms-eval has it, undefined ratios 0 and the yes ratio that of the labels.
    """
    asked, right, yes, hits, denied, positives = np.moveaxis(counts, -1, 0)

    def ratio(part: Table, whole: Table) -> Table:
        values = np.full(part.shape, 0.0 if pooled else np.nan)
        np.divide(part, whole, out=values, where=whole > 0)
        return values

    precision, recall = ratio(hits, yes), ratio(hits, hits + denied)
    f1 = ratio(2 * precision * recall, precision + recall)
    values = (ratio(right, asked), precision, recall, f1, ratio(positives if pooled else yes, asked))
    return np.stack([value.mean(axis=-1) for value in values], axis=-1)


def _divisors(counts: Table) -> Table:
    """How much of what each figure divides by every image holds, shape (images, figures)."""
    asked, _, yes, hits, denied, _ = np.moveaxis(counts.sum(axis=1), -1, 0)
    return np.stack([asked, yes, hits + denied, yes + denied, asked], axis=-1)
