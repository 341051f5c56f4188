"""What a verdict of GapEval says: one of four words, the judge's score, or the judge's reply that holds it.

The reply is read as the published script reads it (llm_judge_pipeline_gpt5pro_shard.py at 006dd75): all of it as JSON,
else from the first "{" to the last "}"; the value of "score", where that is missing or null of "judge_result", else of
"judeg_result". True, 1 and the texts 1, true and yes are right. A reply without a value is unreadable, any other value
is wrong, "raw" (the picture came back as it was) included.
"""

import json
from typing import Any, NamedTuple

from hermes.harness.system.errors import HermesError

RIGHT, WRONG, FAILED, UNREADABLE = WORDS = ("right", "wrong", "failed", "unreadable")
KEYS = ("score", "judge_result", "judeg_result")
YES = {"1", "true", "yes"}


class Reply(NamedTuple):
    """Whether a reply holds JSON, the score in it, if any, and whether that is a right answer's."""

    parsed: bool
    value: Any
    positive: bool


def read_reply(text: str) -> Reply:
    """What GapEval's script reads in a judge's reply."""
    begin, end = text.find("{"), text.rfind("}")
    for part in (text, text[begin : end + 1] if 0 <= begin < end else ""):
        try:
            found = json.loads(part)
        except (ValueError, RecursionError):
            continue
        if found is None:
            continue
        values = [found.get(key) for key in KEYS] if isinstance(found, dict) else []
        value = next((one for one in values if one is not None), None)
        return Reply(True, value, is_positive(value))
    return Reply(False, None, False)


def is_positive(value: Any) -> bool:
    """Whether a score is that of a right answer."""
    if isinstance(value, str):
        return value.strip().lower() in YES
    return isinstance(value, bool | int | float) and value == 1


def verdict(said: Any) -> str:
    """One of the four words; None is a failed side. Raises HermesError for what is neither word, score nor reply."""
    if said is None:
        return FAILED
    if isinstance(said, bool | int | float):
        return RIGHT if is_positive(said) else WRONG
    if not isinstance(said, str):
        raise HermesError(f"a verdict is {', '.join(WORDS)}, or the judge's score or reply, not {type(said).__name__}")
    if said in WORDS:
        return said
    reply = read_reply(said)
    return UNREADABLE if reply.value is None else RIGHT if reply.positive else WRONG
