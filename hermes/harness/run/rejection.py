"""Who is at fault where a model rejects its own picture, the drawing or the judging; from scores alone.

A model's verdict on each picture of its own (self-rejection) is held against that of the judge who scored the same
picture (homologous-g; for non-unification that of GenEval): wrong where the judge finds anything wrong.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hermes.harness.records.stats import mean_metric
from hermes.harness.records.types import Metric, Result, Score

REJECTED = "rejected"
JUDGED = {"self-rejection": ("homologous-g", "accuracy"), "non-unification": ("geneval", "correct")}
"""Each benchmark of self-rejection with the one whose pictures it looks at, and the value that is 1 for a right one."""


def self_rejections(
    results: Mapping[str, Result], scores: Callable[[str], Iterable[Score]]
) -> dict[str, dict[str, Any]]:
    """``{"self_rejection": {task: table}}`` for the tasks whose pictures are judged in the same run, {} without any."""
    found = {}
    for name in results:
        task, at, overrides = name.partition("@")
        if task in JUDGED:
            other, value = JUDGED[task]
            if (judged := f"{other}{at}{overrides}") in results:
                found[name] = rejection_table(scores(name), scores(judged), value) | {"judge": results[judged].judge}
    tables = {name: table for name, table in found.items() if table["pictures"]}
    return {"self_rejection": tables} if tables else {}


def rejection_table(own: Iterable[Score], judged: Iterable[Score], value: str) -> dict[str, Any]:
    """The 2 x 2 of pictures by whether the model rejects them and whether the judge finds them wrong.

    ``confirmed`` is the share of rejections that the judge shares, the drawing's fault; the others are the judging's.
    ``missed`` is the share of what the judge finds wrong that the model accepts. Both with an interval clustered by
    item, None where there is nothing to take a share of. Pictures without a verdict of either are in none of the four
    counts, and counted in ``dropped``.
    """
    verdicts = {(score.sample_id, score.index): score.values.get(REJECTED) for score in own}
    wrong = {
        (score.sample_id, score.index): (float(score.values[value] < 1), score.group_id)
        for score in judged
        if score.status != "error"
    }
    both = [(rejects, *wrong[key]) for key, rejects in verdicts.items() if rejects is not None and key in wrong]
    rejections = [(bad, group) for rejects, bad, group in both if rejects]
    faults = [(1 - rejects, group) for rejects, bad, group in both if bad]
    return {
        "pictures": len(both),
        "dropped": len(verdicts) - len(both),
        "rejected_wrong": sum(bool(rejects and bad) for rejects, bad, _ in both),
        "rejected_right": sum(bool(rejects and not bad) for rejects, bad, _ in both),
        "accepted_wrong": sum(bool(not rejects and bad) for rejects, bad, _ in both),
        "accepted_right": sum(bool(not rejects and not bad) for rejects, bad, _ in both),
        "confirmed": _share(rejections),
        "missed": _share(faults),
    }


def _share(found: Sequence[tuple[float, str]]) -> Metric | None:
    return mean_metric([value for value, _ in found], [group for _, group in found]) if found else None
