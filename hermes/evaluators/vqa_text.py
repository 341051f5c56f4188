"""VQAv2's normaliser: white space, punctuation, number words, articles and contractions, as vqaEval.py has them."""

import re
from functools import lru_cache

PUNCTUATION = ';/[]"{}()=+\\_->' + "<@`,?!"
PERIOD = re.compile(r"\.(?!\d)")
MOST_PERIODS = 32
COMMA = {"official": re.compile(r"\d,\d"), "lmms-eval": re.compile(r"\d,+\d")}
NUMBERS = {"none": "0"} | {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
ARTICLES = ("a", "an", "the")
CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock
oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
CONTRACTIONS = {
    word[:at] + word[at + 1 :]: word for word in CONTRACTED.split() for at, letter in enumerate(word) if letter == "'"
} | {"somebody'd": "somebodyd"}


def clean(reply: str) -> str:
    """White space only: newlines and tabs become spaces, the ends are stripped."""
    return reply.replace("\n", " ").replace("\t", " ").strip()


@lru_cache(maxsize=1 << 17)
def normalise(reply: str, protocol: str = "official") -> str:
    """Punctuation, case, number words, articles and contractions, in the original's order."""
    joined = COMMA[protocol].search(reply) is not None
    out = reply
    for mark in PUNCTUATION:
        if mark in reply:
            drop = joined or f"{mark} " in reply or f" {mark}" in reply
            out = out.replace(mark, "" if drop else " ")
    out = PERIOD.sub("", out, count=MOST_PERIODS)
    words = [NUMBERS.get(word, word) for word in out.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)
