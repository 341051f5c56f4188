"""The sanitiser: nothing that a terminal obeys or a person cannot see passes, and all else stays as it is."""

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from hermes.harness.system.log import Log
from hermes.harness.system.screen import Screen
from hermes.harness.system.text import UNSAFE, plain

UNSAFE_TEXT = st.text(st.characters(categories=UNSAFE))
NASTY = "\x1b]0;pwned\x07\x1b[31m\u202eA\x9bB"


def unsafe(text: str, allowed: str = "\n\t") -> set[str]:
    return {char for char in text if char not in allowed and unicodedata.category(char) in UNSAFE}


@given(st.text() | UNSAFE_TEXT)
def test_nothing_unsafe_passes(text: str) -> None:
    assert not unsafe(plain(text), "")
    assert not unsafe(plain(text, lines=True))


@given(st.text(st.characters(exclude_categories=(*UNSAFE, "Zs"))))
def test_all_that_can_be_seen_stays(text: str) -> None:
    assert plain(text) == plain(text, lines=True) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\u001b[31m"),
        ("a\x07\x7f\x9b", r"a\u0007\u007f\u009b"),
        ("\u202eabc\u2066\u200b", r"\u202eabc\u2066\u200b"),
        ("half \ud83d", "half ?"),
        ("\U000e0041", r"\udb40\udc41"),
        ("one\r\ntwo\tthree\u2028four", "one two three four"),
    ],
)
def test_what_is_unsafe_is_spelled_out(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_lines_stay_where_they_are_wanted() -> None:
    assert plain("a\r\nb\n\tc\rd\u2028e", lines=True) == "a\nb\n\tc\\u000dd\\u2028e"


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_json_stays_the_same_json(text: str) -> None:
    written = json.dumps({"key": text}, ensure_ascii=False, indent=2)
    assert json.loads(plain(written, lines=True)) == {"key": text}


@given(st.text(min_size=1), st.integers(5, 40))
def test_long_text_loses_its_middle(text: str, longest: int) -> None:
    whole, cut = plain(text), plain(text, longest=longest)
    assert cut == whole if len(whole) <= longest else len(cut) == longest
    assert whole.startswith(cut[:1])
    assert whole.endswith(cut[-1:])


def shown_by(part: object, **settings: object) -> str:
    out = io.StringIO()
    Screen(file=out, width=200, force_terminal=True, color_system=None, **settings).print(part)
    return out.getvalue()


def test_no_text_reaches_the_screen_as_anything_but_text() -> None:
    table = Table(NASTY, title=NASTY, caption=NASTY)
    table.add_row(f"[bold]{NASTY}[/nothing] :smile:")
    table.add_row(Text(NASTY))
    for part in (table, NASTY, Text(NASTY)):
        found = shown_by(part)
        assert r"\u001b[31m\u202eA\u009bB" in found
        assert not unsafe(found)
    assert "[bold]" in shown_by(table)
    assert "[/nothing] :smile:" in shown_by(table)


def test_no_text_said_to_a_log_is_anything_but_text(capsys: pytest.CaptureFixture[str]) -> None:
    Log("eval").say(f"model: {NASTY}\nand a second line")
    assert capsys.readouterr().err == "model: \\u001b]0;pwned\\u0007\\u001b[31m\\u202eA\\u009bB\nand a second line\n"
