"""What a reader must know of a result beside its score: what was cut, reasoned, all alike or failed, and why."""

from collections.abc import Iterator

from hermes.harness.records.types import Result
from hermes.harness.run.failing import told

ALWAYS = 0.9
"""From this share on a model is said to answer nearly always with yes, where that is right less often."""


def remarks(result: Result) -> Iterator[str]:
    """One clause each, without the name of the benchmark."""
    written = "plans" if result.ability == "generation" else "answers"
    for what, clause in (
        ("truncated", f"{{}} of {{}} {written} were cut off at the limit of new tokens"),
        ("prompt_cut", "{} of {} prompts were cut before the model read them"),
    ):
        if count := result.counts.get(what):
            yield clause.format(count, _answered(result))
    if count := result.counts.get("reasoned"):
        yield f"{count} of {_answered(result)} answers hold reasoning, {_treatment(result)}"
    yield from result.notes
    yield from _yes_man(result)


def reasons(result: Result) -> Iterator[str]:
    """Why answers failed, one clause for each of the commonest reasons."""
    yield from told(result.failures, result.counts.get("error", 0))


def _answered(result: Result) -> int:
    return sum(result.counts.get(status, 0) for status in ("scored", "unparsed", "error"))


def _treatment(result: Result) -> str:
    if result.evaluator.startswith("lmms:"):
        return "which lmms-eval takes away before it scores"
    reasoned, stripped = result.counts["reasoned"], result.counts.get("stripped", 0)
    if stripped == reasoned:
        return "which was taken away before they were scored"
    if stripped:
        return f"which was taken away from {stripped} before they were scored; the others never end it"
    return f"which the {result.protocol} protocol scores as part of the answer"


def _yes_man(result: Result) -> Iterator[str]:
    gold, said = (result.metrics.get(name) for name in ("yes_gold", "yes_said"))
    if gold is None or said is None:
        return
    whole = 1.0 if result.unit == "0..1" else 100.0
    right, given = gold.value / whole, said.value / whole
    if given >= ALWAYS > right:
        yield f"{given:.0%} of the yes/no questions were answered with yes, which is right for {right:.0%}"
