"""The one sanitiser between text that Hermes did not write and whatever shows it, and the ways to stdout and stderr.

Everything that Hermes prints goes through `say`, `put` or the `Screen` of screen.py, and pages through `plain`.
"""

import sys
import unicodedata

DOTS = "..."
# Controls, format characters (such as bidirectional overrides and zero widths), halves of surrogate pairs, separators.
UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")

_quiet = False


def plain(text: str, *, lines: bool = False, longest: int | None = None) -> str:
    """The text without anything that a terminal obeys, that moves other text, or that nobody can see.

    Such characters become their JSON escapes, so that JSON stays the same JSON; half of a surrogate pair becomes "?".
    Line breaks and tabs stay with ``lines``; without it all white space between two words becomes one space. Beyond
    ``longest`` characters the middle is left out.
    """
    parts = text.replace("\r\n", "\n").split("\n") if lines else [" ".join(text.split())]
    text = "\n".join(map(_line, parts))
    if longest is not None and len(text) > longest:
        kept = max(longest - len(DOTS), 2)
        text = text[: kept - kept // 2] + DOTS + text[-(kept // 2) :]
    return text


def say(text: str, longest: int | None = None) -> None:
    """Lines on stderr."""
    sys.stderr.write(plain(text, lines=True, longest=longest) + "\n")


def remark(text: str) -> None:
    """Lines on stderr that nobody needs, such as what a judge has cost; none once the command was told to be quiet."""
    if not _quiet:
        say(text)


def be_quiet(quiet: bool) -> None:
    """Whether remarks are left out from here on."""
    global _quiet
    _quiet = quiet


def put(text: str) -> None:
    """Lines on stdout."""
    sys.stdout.write(plain(text, lines=True))


def _line(text: str) -> str:
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(char: str) -> str:
    if char.isprintable() or char == "\t" or unicodedata.category(char) not in UNSAFE:
        return char
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:
        return "?"
    if code > 0xFFFF:  # two halves in JSON
        return f"\\u{0xD7C0 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
