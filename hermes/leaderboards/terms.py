"""What two numbers must have in common to be held against each other, and in what they differ where they have not."""

import math
from dataclasses import dataclass, fields

from hermes.harness.records.types import Metric, Result


def headline(result: Result) -> Metric:
    return result.metrics.get(result.headline, Metric(value=math.nan))


def terms(result: Result) -> tuple[str, ...]:
    """What two results must have in common to be compared item by item, over the items that both have."""
    return result.evaluator, result.version, result.protocol, result.judge or "", result.headline


@dataclass(frozen=True)
class Terms:
    """The terms of one number of a result."""

    benchmark: str
    version: str
    protocol: str
    judge: str
    data: str
    metric: str

    @classmethod
    def of(cls, result: Result, metric: str = "") -> "Terms":
        """Those of the headline, or of another metric."""
        return cls(
            result.evaluator,
            result.version,
            result.protocol,
            result.judge or "",
            result.data.fingerprint,
            metric or result.headline,
        )

    def unlike(self, other: "Terms") -> list[str]:
        """In which terms they differ, in words: ``judge vlm 2, not oracle 1``; data are known by a hash alone."""
        found = []
        for name in (field.name for field in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                found.append("other data" if name == "data" else f"{name} {mine or 'none'}, not {theirs or 'none'}")
        return found


def why_unlike(mine: tuple[Terms, ...], theirs: tuple[Terms, ...]) -> str:
    """Why numbers on these terms cannot be compared; "" where they can."""
    if len(mine) != len(theirs):
        return "other benchmarks"
    return "; ".join(dict.fromkeys(text for a, b in zip(mine, theirs, strict=True) for text in a.unlike(b)))
