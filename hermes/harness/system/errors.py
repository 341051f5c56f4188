"""The one error a user is meant to read: what is wrong, where, and what to do, in one line."""

from collections.abc import Iterable


class HermesError(Exception):
    """A mistake in the input or the environment. The command line prints its text alone and exits with 2."""


class RowsError(HermesError):
    """Rows that cannot be used: ``each`` has a line for every one of them, ``total`` sums up; the text is both."""

    def __init__(self, total: str, each: Iterable[str]) -> None:
        self.total, self.each = total, tuple(each)
        super().__init__("\n".join((*self.each, total)))


class ImageError(HermesError):
    """One image that cannot be decoded. A run counts it as an error of its request and goes on."""


class JudgeError(HermesError):
    """A judge that failed on one image or question. A run counts it as an error of that image and goes on."""


class AskError(HermesError):
    """A question to a server without a reply. A run counts it as an error of that question and goes on.

    ``refused``: the server works, but not for this question; ``detail`` is all that it says of a bad one. ``again``:
    another try may help, after ``wait`` seconds at least.
    """

    def __init__(
        self, reason: str, *, refused: bool = False, again: bool = True, wait: float = 0.0, detail: str = ""
    ) -> None:
        super().__init__(reason)
        self.refused, self.again, self.wait, self.detail = refused, again, wait, detail


class MissingExtra(HermesError):
    """A package that an optional part of Hermes needs is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra: pip install 'hermes-bench[{extra}]'")
