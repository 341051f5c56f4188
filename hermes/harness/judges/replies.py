"""What every chat-like judge is asked, and how its reply is read."""

import re

from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.harness.contracts.reader import READER, yes_or_no
from hermes.harness.contracts.reasoning import without_reasoning

WORDING = "prompt1"
"""Names the wording of `asked`."""

PROMPT_VERSION = f"{WORDING}-{READER}"
"""Names the wording and the reading of `plain_reply`; part of the identity of every judge that uses them."""


def asked(question: str) -> str:
    """The prompt of a question: yes/no questions need no words of their own."""
    return question + SHORT_ANSWER


def plain_reply(text: str) -> str:
    """ "yes" or "no" where the reader finds one, else the reply without reasoning, outer space and final full stops.

    What holds no answer gives "". Lone surrogates, which cannot be written to a file, become "?".
    """
    return yes_or_no(text) or re.sub(r"[\s.]+$", "", without_reasoning(writable(text))).strip()


def writable(text: str) -> str:
    """The text as it can be written to a file: lone surrogates become "?"."""
    return text.encode(errors="replace").decode()


def is_plain(reply: str) -> bool:
    """Whether a plain reply is one of the two that yes/no questions have."""
    return reply in ("yes", "no")
