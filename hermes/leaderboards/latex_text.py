"""Any text as LaTeX that every engine compiles: what pdfTeX's fonts have not is spelled by its commands."""

import unicodedata

from hermes.harness.system.text import plain

SPECIAL = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"},
    **{"†": r"$\dagger$", "‡": r"$\ddagger$", "§": r"\S{}", "¶": r"\P{}", "©": r"\copyright{}", "£": r"\pounds{}"},
    **{"–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\dots{}", "•": r"$\bullet$"},
    **{
        "×": r"$\times$",
        "±": r"$\pm$",
        "−": "$-$",
        "÷": r"$\div$",
        "·": r"$\cdot$",
        "°": r"$^\circ$",
        "∞": r"$\infty$",
    },
    **{
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "≠": r"$\neq$",
        "≈": r"$\approx$",
        "∼": r"$\sim$",
        "¬": r"$\neg$",
        "∈": r"$\in$",
    },
    **{
        "→": r"$\rightarrow$",
        "←": r"$\leftarrow$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "↔": r"$\leftrightarrow$",
    },
    **{"★": r"$\star$", "☆": r"$\star$", "∇": r"$\nabla$", "∂": r"$\partial$", "∑": r"$\sum$", "∏": r"$\prod$"},
    **{"√": r"$\surd$", "✓": r"$\surd$", "♠": r"$\spadesuit$", "♥": r"$\heartsuit$", "♦": r"$\diamondsuit$"},
    **{"♣": r"$\clubsuit$", "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}"},
    **{"Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "µ": r"$\mu$"},
}
# Combining marks that every encoding has as a command.
ACCENTS = {
    **{"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": "."},
    **{"\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d", "\u0327": "c", "\u0331": "b"},
}
# Greek letters that look like Latin ones have no command of their own, nor has the second sigma.
LATIN = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧοΥ", "ABEZHIKMNOPTXoY", strict=True))
GREEK = {"lamda": "lambda", "final sigma": "varsigma"}
LETTERS = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"),
    *("nu", "xi", "pi", "rho", "sigma", "varsigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
FALLBACK = r"\providecommand{\otherglyph}[2]{\ifdefined\Umathchar#1\else\texttt{#2}\fi}"
"""Shows the character with engines that may have it, and its number with pdfTeX; a paper may define it otherwise."""


def escape(text: str) -> str:
    """Plain text in which no character is a command and none is missing."""
    return "".join(map(_char, plain(text)))


def needs_fallback(text: str) -> bool:
    return r"\otherglyph{" in text


def _char(char: str) -> str:
    if char in SPECIAL:
        return SPECIAL[char]
    if char.isascii():
        return char
    return _greek(char) or _accented(char) or _subscript(char) or f"\\otherglyph{{{char}}}{{U+{ord(char):04X}}}"


def _greek(char: str) -> str:
    if char in LATIN:
        return LATIN[char]
    words = unicodedata.name(char, "").lower().split(" ")
    if words[:1] != ["greek"] or words[2:3] != ["letter"]:
        return ""
    name = " ".join(words[3:])
    name = GREEK.get(name, name)
    if not name.isalpha() or name not in LETTERS:
        return ""
    return f"$\\{name.capitalize() if words[1] == 'capital' else name}$"


def _accented(char: str) -> str:
    """A letter with one or several marks, from the inside out."""
    base, *marks = list(unicodedata.normalize("NFD", char))
    if not marks or not base.isascii() or not base.isalpha() or not all(mark in ACCENTS for mark in marks):
        return ""
    for mark in marks:
        base = f"\\{ACCENTS[mark]}{{{base}}}"
    return base


def _subscript(char: str) -> str:
    """Raised and lowered digits, fractions and letters of other widths, as the plain characters that they stand for."""
    kind, _, plain_form = unicodedata.decomposition(char).partition("> ")
    letters = "".join(chr(int(code, 16)) for code in plain_form.split()) if kind.startswith("<") else ""
    if not letters or not all(letter.isascii() and letter.isalnum() for letter in letters):
        return ""
    raised = {"<super": "^", "<sub": "_"}.get(kind)
    return f"$_{{{letters}}}$".replace("_", raised, 1) if raised else letters
