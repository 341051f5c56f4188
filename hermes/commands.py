"""What each command does, below the command line and the Python functions: the work, then the reports of its folder."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.processes import current

if TYPE_CHECKING:
    from hermes.harness.contracts.model import UnifiedModel
    from hermes.harness.run.outside.score import Scored, ScoreSettings
    from hermes.harness.system.progress import Progress


def evaluate(
    settings: EvalSettings, progress: "Progress | None" = None, model: "UnifiedModel | None" = None
) -> dict[str, Any]:
    """Run benchmarks, on a model that is loaded already if one is given, and tell trackers; see
    `hermes.harness.run.runner.evaluate`."""
    from hermes.harness.run.runner import evaluate as run
    from hermes.harness.system.trackers import check_trackers

    check_trackers(settings.trackers)
    content = run(settings, progress, model)
    _report(content["folder"])
    if settings.trackers:
        from hermes.harness.run.tracked import track_results

        track_results(settings, content)
    return content


def rescore(folder: Path, protocol: str, progress: "Progress | None" = None) -> dict[str, Any]:
    """Score a run's stored answers under a protocol; see `hermes.harness.run.rescoring.rescore`."""
    from hermes.harness.run.rescoring import rescore as run

    content = run(folder, protocol, progress)
    for each in dict.fromkeys((content["folder"], folder)):  # each shows what the other was scored under
        _report(each)
    return content


def score_files(settings: "ScoreSettings", progress: "Progress | None" = None) -> "Scored":
    """Score answers that were made anywhere; see `hermes.harness.run.outside.score.score_files`."""
    from hermes.harness.run.outside.score import score_files as run

    scored = run(settings, progress)
    if scored.content["folder"] is not None:
        _report(scored.content["folder"])
    return scored


def document(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a command returns as JSON can hold it: the content of its file, where it is, and what was asked."""
    folder = content["folder"]
    drawn = {name: asdict(one) for name, one in content.get("drawn", {}).items()}
    where = {"folder": str(folder), "report": str(folder / "report.html")}
    return {**content, **({"drawn": drawn} if drawn else {}), **where}


def _report(folder: Path) -> None:
    if current().main:
        from hermes.leaderboards.report import write_reports

        write_reports(folder)
