"""Answers to numbers through a task's own filters, process_results and aggregation, as lmms-eval 0.7.3 calls them."""

import inspect
import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import field_serializer

from hermes.evaluators.lmms.requests import cut
from hermes.evaluators.lmms.tasks import reason
from hermes.evaluators.lmms.watching import Heard
from hermes.harness.contracts.reasoning import THINK, Tags
from hermes.harness.records.types import Record
from hermes.harness.system.errors import HermesError


class Outcome(Record):
    """What was made of one document: its answer as the first filter left it, and by filter what the task said of it.

    In files ``said`` is plain data; in memory it holds the task's own objects, which its aggregation needs.
    """

    answer: Any
    said: dict[str, dict[str, Any]]

    @field_serializer("answer", "said")
    def _as_data(self, value: Any) -> Any:
        return plain(value)


def plain(value: Any) -> Any:
    """JSON-ready data; numpy's numbers and arrays become plain ones, what else JSON does not know its text."""

    def simple(item: Any) -> Any:
        if hasattr(item, "tolist"):
            return item.tolist()
        return sorted(item, key=str) if isinstance(item, set | frozenset) else str(item)

    return json.loads(json.dumps(value, default=simple, skipkeys=True))


def outcomes(
    task: Any,
    documents: Sequence[int],
    replies: Sequence[Sequence[str]],
    heard: Heard,
    reasoning: Tags = THINK,
    drawn: bool = False,
) -> list[Outcome | str]:
    """What the task says of each document's replies, or why it could say nothing.

    Each reply ends at the task's stop strings; then filters, reasoning tags and process_results come in lmms-eval's
    order, where ``reasoning`` is its --reasoning_tags. process_results is tried once and not five times. ``heard`` is
    that of the `watched` block around the call; a judge that the task asked in vain is a reason, too. ``drawn``:
    replies are JSON that names pictures, so they end nowhere, and documents come with their own pictures
    (--process_with_media).
    """
    from lmms_eval.api.instance import Instance
    from lmms_eval.api.reasoning import parse_reasoning_tags_config, strip_reasoning_tags

    config, kwargs = task.config, task.config.generation_kwargs or {}
    meta = {"task": config.task, "repeats": config.repeats}
    instances = [
        Instance(
            "generate_until",
            ("", kwargs),
            0,
            metadata={**meta, "doc_id": number},
            resps=[reply if drawn else cut(reply, kwargs) for reply in said],
        )
        for number, said in zip(documents, replies, strict=True)
    ]
    tags = parse_reasoning_tags_config(
        cli_value=json.dumps(reasoning) if reasoning else None, task_value=config.reasoning_tags
    )
    try:
        for ensemble in _filters(task, tags):
            ensemble.apply(instances, task.eval_docs_no_media.select(documents))
    except Exception as error:
        raise HermesError(f"lmms:{config.task}: a filter of the task failed ({reason(error)}); fix the task") from None
    docs = task.eval_docs if drawn else task.eval_docs_no_media
    process = inspect.unwrap(type(task).process_results)

    def stripped(reply: Any) -> Any:
        if isinstance(reply, list):
            return [stripped(one) for one in reply]
        return strip_reasoning_tags(reply, tags) if tags and isinstance(reply, str) else reply

    def outcome(instance: Any) -> Outcome | str:
        filtered = {name: stripped(reply) for name, reply in instance.filtered_resps.items()}
        heard.forget()
        try:
            said = {name: process(task, docs[instance.doc_id], [reply]) for name, reply in filtered.items()}
        except Exception as error:
            return f"process_results failed ({reason(error)})"
        if heard.failed:
            return f"the task's judge failed: {heard.failed}"
        return Outcome(answer=next(iter(filtered.values())), said=said)

    return [outcome(instance) for instance in instances]


def _filters(task: Any, tags: Any) -> list[Any]:
    """The task's filters; a task with auto_strip_thinking and no reasoning tags has its answers stripped first."""
    if tags is not None or not task.config.auto_strip_thinking:
        return list(task._filters)
    from lmms_eval.api.filter import FilterEnsemble
    from lmms_eval.filters.transformation import StripThinkingFilter

    return [FilterEnsemble(each.name, [StripThinkingFilter(), *each.filters]) for each in task._filters]


def metric_key(task: Any, name: str, ensemble: str) -> str:
    """The metric's name; with the filter's, as lmms-eval writes it, where the task has several."""
    return name if len(task._filters) < 2 else f"{name},{ensemble}"


def collected(task: Any, found: Sequence[Outcome]) -> dict[str, tuple[str, list[Any]]]:
    """{key: (metric, what was said of each document)} of all that the task can aggregate."""
    known = task.aggregation()
    items: dict[str, tuple[str, list[Any]]] = {}
    for outcome in found:
        for ensemble, said in outcome.said.items():
            for name, value in said.items():
                if name in known:
                    items.setdefault(metric_key(task, name, ensemble), (name, []))[1].append(value)
    return items


def numbers(task: Any, outcome: Outcome) -> dict[str, float]:
    """The plain numbers among what the task says of one document, by the keys of its metrics."""
    said = {key: values[0] for key, (_, values) in collected(task, [outcome]).items()}
    return {key: float(value) for key, value in said.items() if isinstance(value, Real) and isfinite(value)}


def aggregated(task: Any, items: Mapping[str, tuple[str, list[Any]]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """{key: what the task's aggregation gave}, and {file name: content} of the submission files that it wrote.

    Raises HermesError where it fails: the answers are stored, so that `hermes score` can try again.
    """
    values: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        args = Namespace(output_path=folder, tasks=task.config.task, model="hermes", model_args="", limit=None)
        for key, (name, said) in items.items():
            aggregate = task.aggregation()[name]
            extra = {"args": args} if "args" in inspect.signature(aggregate).parameters else {}
            try:
                values[key] = aggregate(said, **extra)
            except Exception as error:
                raise HermesError(
                    f"lmms:{task.config.task}: the aggregation of {name} failed ({reason(error)}); "
                    "the answers are stored, fix the cause and run the same command again"
                ) from None
        files = {
            str(path.relative_to(folder)): _content(path) for path in sorted(Path(folder).rglob("*")) if path.is_file()
        }
    return values, files


def _content(path: Path) -> Any:
    """JSON as data, other text as it is."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return f"{path.stat().st_size} bytes that are no text; run the task with lmms-eval itself for this file"
    try:
        return json.loads(text)
    except ValueError:
        return text
