"""The one reader of free replies: yes or no, one of given choices, or the words. The same for models and for judges.

A reply is read without reasoning before it (`reasoning`) and without an announcement ("The answer is", "Answer:").
- Yes or no: the first word is yes or no, whatever stands around and behind it ("**No**", "Yes, it is."). A reply that
  names both ("yes and no"), begins with an idiom ("no doubt", "no idea") or with another word cannot be read.
- One of given choices: the choice's text, its letter, or both ("blue", "B", "(b)", "B. blue"). A letter with the text
  of another choice, and a text that is no choice, cannot be read.
- Any other reply is its words: lower case, without punctuation and articles, number words up to ten as digits.
"""

import re
from collections.abc import Sequence
from string import ascii_uppercase

from hermes.harness.contracts.reasoning import without_reasoning

READER = "reader1"
"""Names the rules above; changes whenever a reply would be read differently."""

ARTICLES = {"a", "an", "the"}
DIGITS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
_ANNOUNCED = re.compile(
    r"[\W_]*(?:(?:so|thus|hence|therefore)\W+)?(?:(?:the|my)\s+)?(?:(?:final|short|right|correct)\s+)?"
    r"answer[*_\s]*(?:[:=]|is\b|would be\b)",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(
    r"[\W_]*"
    r"(?P<word>yes|no)"
    r"(?![^\W_]|[-'’][^\W_])"  # "nobody", "no-one": another word
    r"(?!(?:\W*(?:and|or)\W+|\s*[/|&]\W*)(?:yes|no)\b(?!\s*[^\W_]))"  # "yes and no", "yes/no": neither
    r"(?!\s+(?:doubts?|questions?|problems?|ideas?|clues?|matter|wonder|way to)\b)",  # "no doubt", "no idea": neither
    re.IGNORECASE,
)
_LETTER = re.compile(
    r"[\W_]*(?:(?:option|choice)\s+)?(?P<letter>[a-z])(?![\w'’])[\W_]*(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)


def said(reply: str) -> str:
    """The reply without reasoning and announcement; lone surrogates, which cannot be written to a file, become "?"."""
    text = without_reasoning(reply.encode(errors="replace").decode())
    return text[found.end() :] if (found := _ANNOUNCED.match(text)) else text


def words(text: str) -> str:
    """Lower case, words and numbers only, number words as digits, without articles unless there is nothing else."""
    found = re.findall(r"\w+", text.lower())
    return " ".join(DIGITS.get(word, word) for word in found if word not in ARTICLES) or " ".join(found)


def yes_or_no(reply: str) -> str:
    """ "yes" or "no", "" where the reply is neither."""
    found = _YES_OR_NO.match(said(reply))
    return "" if found is None else "yes" if found["word"][0] in "yY" else "no"


def is_yes_or_no(answer: str) -> bool:
    """Whether a right answer makes its question one of yes or no."""
    return words(answer) in ("yes", "no")


def choice_of(reply: str, choices: Sequence[str]) -> int | None:
    """The place of the choice that the reply names, None where it names none."""
    text = said(reply)
    if text in choices:
        return choices.index(text)
    named = [words(choice) for choice in choices]
    for form in (words(text), yes_or_no(text)):
        if form and form in named:
            return named.index(form)
    place, rest = _lettered(text, len(choices))
    return place if place is not None and words(rest) in ("", named[place]) else None


def gold_choice(gold: str, choices: Sequence[str]) -> int | None:
    """The place of the choice that a right answer means: its very text, or else its text in any case or its letter.

    None where it means none, or may mean several, as "b" does where another choice reads "B".
    """
    if gold in choices:
        return choices.index(gold)
    alike = [place for place, choice in enumerate(choices) if _folded(choice) == _folded(gold)]
    place, rest = _lettered(gold, len(choices))
    if place is not None and _folded(rest) in ("", _folded(choices[place])):
        alike.append(place)
    return alike[0] if len(set(alike)) == 1 else None


def read(reply: str, gold: str, choices: Sequence[str] = ()) -> str:
    """What the reply to a question with this right answer says, as `words`; "" where it cannot be read."""
    if is_yes_or_no(gold):
        return yes_or_no(reply)
    if not choices:
        return words(said(reply))
    place = choice_of(reply, choices)
    return "" if place is None else words(choices[place])


def _lettered(text: str, count: int) -> tuple[int | None, str]:
    """The place that a letter at the beginning names among ``count`` choices, and what stands behind it."""
    found = _LETTER.fullmatch(text)
    place = ascii_uppercase.index(found["letter"].upper()) if found else count
    return (place, found["rest"]) if found and place < count else (None, "")


def _folded(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()
