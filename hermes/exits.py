"""How a command ends: its exit code, and one line on stderr for whatever went wrong, below one for each refused row."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from hermes.harness.system.errors import HermesError, RowsError
from hermes.harness.system.failures import machine_failure
from hermes.harness.system.processes import part
from hermes.harness.system.text import plain, put, say

FAILED, REFUSED, STOPPED = 1, 2, 130
TRACEBACK = "HERMES_TRACEBACK"
LONGEST = 1000


def leave(command: Callable[[], Any], environment: Mapping[str, str] = os.environ) -> NoReturn:
    """Run a command to its end and exit; no error passes as anything but one line.

    The code is 2 where input or machine are at fault, 1 for an error of Hermes itself and where nobody reads on, 130
    for Ctrl-C, else the command's own.
    """
    # What the terminal's encoding lacks is spelled out rather than raised.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _refuse_bytes(sys.argv)
        code = command()
        sys.stdout.flush()
        part()
    except SystemExit as error:
        _flush()
        raise error
    except KeyboardInterrupt:
        stop()
    except BaseException as error:
        if isinstance(error, BrokenPipeError) and not _flush():
            raise SystemExit(FAILED) from None
        if _is(error, "NoArgsIsHelpError"):  # a group of commands was called without one
            put(f"{error.format_message()}\n")  # type: ignore[attr-defined]
            raise SystemExit(REFUSED) from None
        line, code = describe(error)
        if environment.get(TRACEBACK):
            say(traceback.format_exc())
        _flush()
        for each in error.each if isinstance(error, RowsError) else ():
            say(plain(each, longest=LONGEST))
        say(f"hermes: {plain(line, longest=LONGEST)}")
    raise SystemExit(code if isinstance(code, int) else 0) from None


def stop(*_: object) -> NoReturn:
    """Ctrl-C: one line and 130."""
    say("\nhermes: stopped; the same command goes on where it was")
    raise SystemExit(STOPPED)


def describe(error: BaseException) -> tuple[str, int]:
    """The line that an error ends in, and the exit code."""
    if isinstance(error, HermesError):
        return error.total if isinstance(error, RowsError) else str(error), REFUSED
    if _is(error, "Abort") and error.__cause__:  # what typer makes of an EOFError
        error = error.__cause__
    if _is(error, "ClickException"):  # click's, or the one that typer brings
        message = error.format_message().replace("Value error, ", "")  # type: ignore[attr-defined]
        return f"{message} (see --help)", REFUSED
    if lacking := machine_failure(error, alone=True):
        return lacking, REFUSED
    if found := _of_input(error):
        return found, REFUSED
    text = plain(f"{type(error).__name__}: {error}", longest=LONGEST // 2)
    return f"unexpected error: {text}; set {TRACEBACK}=1 to see where, and please report it", FAILED


def _of_input(error: BaseException) -> str | None:
    """What is wrong with a file or a path, for errors that only a file or a path can cause."""
    if isinstance(error, OSError) and error.errno is not None:
        name = error.filename2 or error.filename
        name = f"{name}: " if name else ""
        return f"{name}{(error.strerror or str(error)).lower()}; give another path"
    if isinstance(error, EOFError):
        return "a file ends too early; get it again"
    if isinstance(error, UnicodeError):
        return f"a text cannot be read or written ({error}); save the file as UTF-8"
    if isinstance(error, RecursionError):
        return "a file or an expression is nested too deeply to be read; flatten it"
    if isinstance(error, json.JSONDecodeError):
        return f"a file is not valid JSON ({error}); fix it or write it again"
    if _is(error, "SafetensorError"):
        return f"a file of weights cannot be read or written ({error}); download or save it again"
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "a path holds a NUL character; give another path"
    return None


def _refuse_bytes(arguments: Sequence[str]) -> None:
    """Raise HermesError for an argument that no file of results could hold."""
    for argument in arguments:
        if any("\ud800" <= char <= "\udfff" for char in argument):
            raise HermesError(f"the argument {argument!r} is not UTF-8 text; give it in UTF-8")


def _is(error: BaseException, name: str) -> bool:
    return any(kind.__name__ == name for kind in type(error).__mro__)


def _flush() -> bool:
    """Whether stdout took what was left; one that cannot is closed, or Python would complain about it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
