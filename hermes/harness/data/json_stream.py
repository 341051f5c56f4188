"""JSON as annotation files really are, one value after the other: a list, lines, appended objects, a table by id."""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TextIO

from hermes.harness.system.errors import HermesError

CHUNK = 1 << 18  # Characters read at a time.
LOOK = 1 << 20  # Characters of an object in which names that make it a row are looked for.
SHOWN = 20
TOKEN = 16  # So near to the end of the window, a word, a number or an escape may go on.

_BETWEEN = re.compile(r"[\s,]*")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_decode = json.JSONDecoder().raw_decode


def json_values(path: Path, strict: bool = False) -> Iterator[Any]:
    """The values of a file: the elements of a list, the lines, or the one object.

    Commas after the last element and between appended objects are allowed, with or without brackets around them
    (HermesFlow's scripts write neither bracket); where ``strict``, nothing but a JSON list is. Raises HermesError that
    names the line where it is none of these.
    """
    with _opened(path) as file:
        window = _Window(path, file)
        bracket = window.takes("[")
        if strict and not bracket:
            raise HermesError(f"{path} is not a JSON list of objects; write one object for each row")
        commas, first = window.skip(), True
        while (letter := window.letter()) and letter != "]":
            if strict and commas != (not first):
                raise window.broken("expected one comma between two values")
            yield window.value(strict)
            commas, first = window.skip(), False
        if strict and commas:
            raise window.broken("a comma follows the last value")
        window.end(bracket)


def json_members(path: Path) -> Iterator[tuple[str, Any]]:
    """The names and values of the one object that a file holds, with or without brackets around it."""
    with _opened(path) as file:
        window = _Window(path, file)
        bracket = window.takes("[")
        window.skip()
        yield from window.members()
        window.skip()
        window.end(bracket)


def json_elements(path: Path, names: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The elements of each list that is a member of the file's one object under one of the names, after that name.

    Other members are passed over. Nothing comes from a file that begins otherwise, nor where no such list begins within
    the first million characters.
    """
    with _opened(path) as file:
        window = _Window(path, file)
        if not window.takes("{"):
            return
        more = not window.takes("}")
        some = False
        while more and (some or window.passed <= LOOK):
            name = window.name()
            if name in names and window.takes("["):
                some = True
                yield from ((name, element) for element in window.elements())
            else:
                window.value()
            more = window.continues("}")


def holds_table(path: Path, row_names: Collection[str]) -> bool:
    """Whether a file is one object that is no row: none of ``row_names`` is among its names, as far as it is read."""
    with _opened(path) as file:
        window = _Window(path, file)
        window.takes("[")
        window.skip()
        if window.letter() != "{":
            return False
        try:
            for name, _ in window.members():
                if name in row_names:
                    return False
                if window.passed > LOOK:
                    return True
            window.skip()
        except HermesError:
            return False  # Whoever reads the values says what is wrong.
        return window.letter() in ("", "]")


def _opened(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig")
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> HermesError:
    return HermesError(f"{path} cannot be read ({error}); give a file of JSON text")


class _Window:
    """The part of the text around the place that is read."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path, self.file = path, file
        self.text, self.at = "", 0
        self.passed, self.lines = 0, 0  # Characters and line ends before the window.

    def more(self) -> bool:
        """Read on, and let go what was passed; False at the end of the file."""
        try:
            read = self.file.read(max(CHUNK, len(self.text) - self.at))
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(self.path, error) from None
        if read:
            self.passed += self.at
            self.lines += self.text.count("\n", 0, self.at)
            self.text, self.at = self.text[self.at :] + read, 0
        return bool(read)

    def letter(self) -> str:
        """The next character; nothing at the end of the file."""
        return self.text[self.at] if self.at < len(self.text) or self.more() else ""

    def skip(self) -> int:
        """Go past spaces and commas; returns how many commas."""
        commas = 0
        while True:
            found = _BETWEEN.match(self.text, self.at)
            end = found.end() if found else self.at
            commas += self.text.count(",", self.at, end)
            self.at = end
            if end < len(self.text) or not self.more():
                return commas

    def takes(self, letter: str) -> bool:
        """Go past spaces, and past the character if it is the next one; "" is the end of the file."""
        while self.letter().isspace():
            self.at += 1
        found = self.letter() == letter
        self.at += len(letter) if found else 0
        return found

    def value(self, strict: bool = False) -> Any:
        """The value that begins here."""
        while True:
            try:
                value, end = _decode(self.text, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos + TOKEN > len(self.text)
                if not (cut and self.more()):
                    raise self.broken(error.msg, error.pos) from None
            except RecursionError as error:
                raise self.broken(str(error)) from None
            else:
                if end + TOKEN <= len(self.text) or not self.more():
                    if strict and _HALF.search(self.text, self.at, end):
                        self.refuse_halves(value)
                    self.at = end
                    return value

    def members(self) -> Iterator[tuple[str, Any]]:
        """The names and values of the object that begins here."""
        more = self.takes("{") and not self.takes("}")
        while more:
            yield self.name(), self.value()
            more = self.continues("}")

    def name(self) -> str:
        """The name of the member that begins here; its value is next."""
        self.takes("")
        if self.letter() != '"':
            raise self.broken("Expecting property name enclosed in double quotes")
        name: str = self.value()
        if not self.takes(":"):
            raise self.broken("Expecting ':' delimiter")
        self.takes("")
        return name

    def elements(self) -> Iterator[Any]:
        """The elements of the list whose bracket was just passed."""
        more = not self.takes("]")
        while more:
            self.takes("")
            yield self.value(strict=True)
            more = self.continues("]")

    def continues(self, bracket: str) -> bool:
        """Go past the comma or the closing bracket after a value; whether it was the comma."""
        more = self.takes(",")
        if not more and not self.takes(bracket):
            raise self.broken("Expecting ',' delimiter")
        return more

    def end(self, bracket: bool) -> None:
        """Raise HermesError unless nothing is left but spaces, after the list's closing bracket where it has one."""
        while len(self.text) - self.at < SHOWN and self.more():
            pass
        rest = self.text[self.at : self.at + SHOWN].strip()
        error = self.broken("the list has no end" if bracket else f"{rest!r} follows the last")
        if self.takes("]") != bracket or not self.takes(""):
            raise error

    def refuse_halves(self, value: Any) -> None:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise self.broken("half of a character") from None

    def broken(self, reason: str, position: int | None = None) -> HermesError:
        line = self.lines + self.text.count("\n", 0, self.at if position is None else position) + 1
        return HermesError(f"{self.path}: line {line} is not valid JSON ({reason}); fix it")
