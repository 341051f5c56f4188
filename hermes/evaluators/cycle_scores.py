"""Scores of cycles: what of a text or a picture is left after k generations of describing and drawing.

Telephone game (arXiv 2509.04438, mollahsabbir/Semantic-Drift-in-Unified-Models at 4f1d253): the similarity of
generation k to generation 0 in four directions (text or picture first, text or picture compared).
- MCD of a direction is the mean over generations of the mean similarity over items; MCD is the mean of the four. It is
  a similarity, so higher is better, in spite of its name (mean cumulative drift).
- SDR fits a exp(-b k) + c to each curve; the mean of a, b and c over the four is printed. A flat, straight or rising
  curve does not determine the three.

`drift` is ours: similarities joined by item, in each direction on its own, relative to the first generation.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hermes.harness.system.errors import HermesError, MissingExtra

Vector = Sequence[float] | NDArray[np.floating[Any]]
Curves = Mapping[str, Mapping[int, float]]
START = (1.0, 0.1, 0.0)
EVALUATIONS = 5000


def cosine(a: Vector, b: Vector) -> float:
    """The cosine of two vectors, in float32 as the program has it."""
    x, y = (np.asarray(one, dtype=np.float32) for one in (a, b))
    return float(((x / np.sqrt((x * x).sum())) * (y / np.sqrt((y * y).sum()))).sum())


def generation_means(curves: Curves) -> tuple[list[int], list[float]]:
    """The generations that items have a similarity for, and the mean over the items at each."""
    generations = sorted({k for curve in curves.values() for k in curve})
    at = [[curve[k] for curve in curves.values() if k in curve] for k in generations]
    return generations, [sum(values) / len(values) for values in at]


def mean_cumulative_drift(means: Sequence[float]) -> float:
    """MCD of one direction: the mean over generations."""
    return float(np.mean(means))


def decay(generations: Sequence[float], means: Sequence[float]) -> tuple[float, float, float]:
    """a, b and c of a exp(-b k) + c by least squares.

    Raises HermesError where the search for them does not end, and where scipy is not installed.
    """
    try:
        from scipy.optimize import OptimizeWarning, curve_fit
    except ImportError:
        raise MissingExtra("the rate of decline", "cycles") from None

    def curve(x: NDArray[np.float64], a: float, b: float, c: float) -> NDArray[np.float64]:
        return a * np.exp(-b * x) + c

    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("ignore", OptimizeWarning)
        try:
            found, _ = curve_fit(curve, np.asarray(generations), np.asarray(means), START, maxfev=EVALUATIONS)
        except RuntimeError:
            raise HermesError(
                f"no decay fits the curve within {EVALUATIONS} evaluations; give its slope alone"
            ) from None
    a, b, c = found.tolist()
    return a, b, c


def decay_rate(fits: Sequence[Sequence[float]]) -> list[float]:
    """SDR: the means of a, b and c over the directions' fits."""
    return [float(one) for one in np.mean(np.asarray(fits), axis=0)]


def drift(curves: Curves, baseline: float) -> dict[str, Any]:
    """How one direction declines, item by item.

    ``baseline`` is the mean similarity of items that do not belong together. ``kept`` is, at each generation, the share
    of the first generation's distance from it that is left, over the items that have both; ``slope`` is the mean over
    items of the least squares slope per generation; ``chains`` counts the items at each generation, so a chain that
    ended is seen. Items with one generation alone have no slope.
    """
    first = min((k for curve in curves.values() for k in curve), default=0)
    kept, chains = {}, {}
    for k in sorted({k for curve in curves.values() for k in curve}):
        pairs = [
            (curve[first] - baseline, curve[k] - baseline) for curve in curves.values() if {first, k} <= curve.keys()
        ]
        begun = sum(a for a, _ in pairs)
        chains[k] = len(pairs)
        kept[k] = sum(b for _, b in pairs) / begun if begun > 0 else None
    slopes = [float(np.polyfit(list(curve), list(curve.values()), 1)[0]) for curve in curves.values() if len(curve) > 1]
    return {"kept": kept, "slope": float(np.mean(slopes)) if slopes else None, "chains": chains}
