"""Answers from files and runs over the same rows stand on the same data: the files' answers just bring no pictures."""

from collections import defaultdict
from collections.abc import Sequence

from hermes.harness.records.types import Result
from hermes.leaderboards.read import Run


def on_common_data(runs: Sequence[Run]) -> list[Run]:
    """The runs; results whose pictures are unknown get the data of the runs that showed pictures beside their rows.

    Where runs showed different pictures beside the same rows, nobody knows which the answers are about: they stand on
    data of their own.
    """
    shown: dict[tuple[str, str], set[str]] = defaultdict(set)
    for run in runs:
        for result in run.results.values():
            if not _is_without_pictures(result):
                shown[result.evaluator, result.data.rows].add(result.data.fingerprint)

    def placed(result: Result) -> Result:
        found = shown.get((result.evaluator, result.data.rows), set()) if _is_without_pictures(result) else set()
        if len(found) != 1:
            return result
        return result.model_copy(update={"data": result.data.model_copy(update={"fingerprint": min(found)})})

    return [
        run.model_copy(update={"results": {name: placed(result) for name, result in run.results.items()}})
        for run in runs
    ]


def _is_without_pictures(result: Result) -> bool:
    return result.data.fingerprint == result.data.rows
