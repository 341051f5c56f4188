"""Reasoning that a model writes before its answer, between tags: found, counted, and taken away as lmms-eval does."""

import json

from hermes.harness.system.errors import HermesError

Tags = tuple[tuple[str, str], ...]
THINK: Tags = (("<think>", "</think>"), ("<analysis>", "</analysis>"))
"""The pairs that lmms-eval 0.7.3's command line takes away unless it is told others."""


def has_reasoning(text: str, tags: Tags = THINK) -> bool:
    """Whether one of the tags stands in the text; chat templates often write the opening one themselves."""
    return any(tag in text for pair in tags for tag in pair)


def without_reasoning(text: str, tags: Tags = THINK) -> str:
    """The text without what stands between tags, and without outer white space.

    As in lmms-eval 0.7.3 (api/reasoning.py): case counts, a closing tag without an opening one ends the reasoning, and
    an opening one that is never closed stays.
    """
    for opening, closing in tags:
        while (begin := text.find(opening)) >= 0 and (end := text.find(closing, begin)) >= 0:
            text = text[:begin] + text[end + len(closing) :]
        if opening not in text:
            text = text.rpartition(closing)[2]
    return text.strip()


def read_tags(option: str | None) -> Tags:
    """The pairs of --reasoning-tags: JSON as lmms-eval's option takes it, or "none"; THINK where nothing is given."""
    if option is None:
        return THINK
    if option.strip().lower() == "none":
        return ()
    try:
        pairs = json.loads(option)
        if all(len(pair) == 2 and all(isinstance(tag, str) and tag for tag in pair) for pair in pairs):
            return tuple((opening, closing) for opening, closing in pairs)
    except (ValueError, TypeError):
        pass
    raise HermesError(
        f"--reasoning-tags must be pairs of tags as JSON, such as {json.dumps([THINK[0]])}, or none; not {option!r}"
    )
