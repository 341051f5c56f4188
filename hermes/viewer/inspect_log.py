"""Answers as logs of inspect_ai, one a task, written by its own library: `inspect view --log-dir FOLDER` opens them.

The library writes a log whole, so the samples of one task are in memory meanwhile; pictures go into the log as long as
there are not too many of them.
"""

import base64
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hermes.harness.data.cells import asked_pictures
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.keys import slug_with_hash
from hermes.harness.system.disk import make_folder
from hermes.harness.system.errors import MissingExtra
from hermes.harness.system.progress import Progress
from hermes.viewer.entries import TaskRows, entry
from hermes.viewer.found import FoundRun
from hermes.viewer.pictures import Pictures

if TYPE_CHECKING:
    from inspect_ai.log import EvalSample

MOST = 2000  # Pictures in a log.
TABLE = ("group", "category", "plan", "prediction", "status", "tags", "judge", "judgement", "truncated", "prompt_cut")


def write_logs(tasks: Iterable[TaskRows], folder: Path, progress: Progress) -> int:
    """Write a log for each task; returns how many answers there are. Raises MissingExtra without inspect_ai."""
    try:
        from inspect_ai.log import write_eval_log
    except ImportError:
        raise MissingExtra("writing logs of inspect_ai", "inspect") from None
    count = 0
    for one in tasks:
        make_folder(folder)
        name = slug_with_hash(f"{_run_id(one.run)}_{one.task}")
        write_eval_log(_log(one, progress), folder / f"{name}.eval", format="eval")
        count += len(one.rows)
    return count


def _log(one: TaskRows, progress: Progress) -> Any:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalMetric, EvalResults, EvalScore, EvalSpec, EvalStats

    result = one.run.run.results.get(one.task) if one.run.run else None
    name = one.run.run.name if one.run.run else str(one.run.spec["model"]["name"])
    when = datetime.fromtimestamp(one.rows.files.store.stat().st_mtime, UTC).isoformat(timespec="seconds")
    pictures = _Embedded()
    samples = []
    for row in one.rows:
        samples.append(_sample(entry(one, row), row, one, name, pictures))
        progress.advance()
    metrics = {
        key: EvalMetric(name=key, value=metric.value, metadata={"low": metric.low, "high": metric.high, "n": metric.n})
        for key, metric in (result.metrics.items() if result else ())
        if metric.value == metric.value
    }
    scorer = f"{result.protocol}{f' ({result.judge})' if result.judge else ''}" if result else "not scored yet"
    return EvalLog(
        status="success" if result else "started",
        eval=EvalSpec(
            created=when,
            task=one.task,
            task_id=slug_with_hash(one.task),
            run_id=_run_id(one.run),
            task_version=result.version if result else 0,
            dataset=EvalDataset(name=result.data.source if result else None, samples=len(samples)),
            model=f"hermes/{name}",
            config=EvalConfig(epochs=one.rows.files.config.num_images),
            metadata={"seed": one.run.spec.get("seed"), "split": one.run.run.split if one.run.run else None},
        ),
        results=EvalResults(
            total_samples=len(samples),
            completed_samples=len(samples),
            scores=[EvalScore(name=one.rows.headline or "answers", scorer=scorer, metrics=metrics)],
        ),
        stats=EvalStats(started_at=when, completed_at=when),
        samples=samples,
    )


def _sample(found: dict[str, Any], row: Any, one: TaskRows, model: str, pictures: "_Embedded") -> "EvalSample":
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ContentText, ModelOutput
    from inspect_ai.scorer import Score

    files = one.rows.files
    asked = asked_pictures(row.sample, files.samples, files.by_content) if row.sample else []
    drawn = [ImageHandle(Path(found["drawn"]), where=found["drawn"])] if found["drawn"] else []
    prompt = [*pictures.contents(asked), ContentText(text=found["prompt"] or "")]
    answer = [*pictures.contents(drawn), ContentText(text=found["answer"] or "")]
    error = found["error"]
    scores = {
        name: Score(value=value, answer=found["prediction"], explanation=found["reason"] or None)
        for name, value in (row.score.values.items() if row.score else ())
    }
    return EvalSample(
        id=found["id"],
        epoch=found["index"] + 1,
        input=[ChatMessageUser(content=prompt)],
        choices=found["choices"] or None,
        target=found["gold"] or "",
        messages=[ChatMessageUser(content=prompt), ChatMessageAssistant(content=answer)],
        output=ModelOutput.from_content(model, answer, "max_tokens" if found["truncated"] else "stop"),
        scores=scores or None,
        metadata={name: found[name] for name in TABLE if found[name] not in (None, "")},
        total_time=found["seconds"],
        error=EvalError(message=error, traceback=error, traceback_ansi=error) if error else None,
    )


def _run_id(run: FoundRun) -> str:
    return run.run.run_id if run.run else run.folder.name


class _Embedded:
    """Pictures as data of a log, until there are too many; then only where they are."""

    def __init__(self) -> None:
        self._count = 0

    def contents(self, handles: Sequence[ImageHandle]) -> list[Any]:
        from inspect_ai.model import ContentImage, ContentText

        found: list[Any] = []
        for handle in handles:
            shown = Pictures()
            told = shown.shown(handle)
            data = shown.file(told["src"].removeprefix("media/")) if "src" in told and self._count < MOST else None
            if data is None:
                found.append(ContentText(text=f"[picture: {told.get('missing', handle.where)}]"))
                continue
            self._count += 1
            found.append(ContentImage(image=f"data:{data[1]};base64,{base64.b64encode(data[0]).decode()}"))
        return found
