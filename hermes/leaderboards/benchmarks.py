"""The benchmarks that a self-play evaluates beside the gap: which there are, and how their tables show them."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from hermes.harness.records.types import Result
from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.leaderboards.read import History
from hermes.leaderboards.titles import place, title

OF_THE_GAP = re.compile(rf"{UNDERSTANDING}|{GENERATION}(@guidance_scale=[^,]*)?")


def beside_the_gap(results: Mapping[str, Result]) -> list[str]:
    """The tasks whose headline is on neither side of the gap, in the order of tables."""
    return sorted(
        (name for name, one in results.items() if not OF_THE_GAP.fullmatch(name) and one.headline in one.metrics),
        key=place,
    )


def measured(histories: Sequence[History]) -> dict[str, list[Result]]:
    """The benchmarks beside the gap, in the order of tables, each with its results in all rounds."""
    found: dict[str, list[Result]] = defaultdict(list)
    for results in (run.results for history in histories for run in history.evaluations.values()):
        for name in beside_the_gap(results):
            found[name].append(results[name])
    return {name: found[name] for name in sorted(found, key=place)}


def described(results: Mapping[str, Sequence[Result]]) -> str:
    """What the headlines are, in a sentence."""
    said = (f"{title(name)}: {one.headline}, {one.unit}" for name, (one, *_) in results.items())
    return "; ".join(said) + "."
