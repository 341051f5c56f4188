"""What every chat-like judge is asked, and how its reply is read."""

import re

from hermes.harness.contracts.prompts import SHORT_ANSWER

PROMPT_VERSION = "prompt1"
"""Names the wording of `asked` and the reading of `plain_reply`; part of the identity of every judge that uses them."""

_FIRST_WORD = re.compile(
    r"[\W_]*"
    r"(?P<word>yes|no)"
    r"(?![^\W_]|[-'’][^\W_])"  # "nobody", "no-one": another word
    r"(?!(?:\W*(?:and|or)\W+|\s*[/|&]\W*)(?:yes|no)\b(?!\s*[^\W_]))",  # "yes and no", "yes/no": neither
    re.IGNORECASE,
)


def asked(question: str) -> str:
    """The prompt of a question: yes/no questions need no words of their own."""
    return question + SHORT_ANSWER


def plain_reply(text: str) -> str:
    """ "yes" or "no" where that is the first word, else the reply without space around it and full stops behind it.

    Case, markdown, quotes and punctuation around the first word do not count: "**No**", "Yes, it is.". A reply that
    names both ("yes and no", "yes/no") is neither. What holds no answer gives "". Lone surrogates, which cannot be
    written to a file, become "?".
    """
    text = text.encode(errors="replace").decode()
    if found := _FIRST_WORD.match(text):
        return "yes" if found["word"][0] in "yY" else "no"
    return re.sub(r"[\s.]+$", "", text).strip()


def is_plain(reply: str) -> bool:
    """Whether a plain reply is one of the two that yes/no questions have."""
    return reply in ("yes", "no")
