"""The Hugging Face hub: whether it answers, which is found out once, and why something could not be had from it.

Its client repeats a request for half a minute. Where the hub does not answer at all, the client is told to be offline:
what its cache holds is read at once, and what is missing there is missed at once.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

SECONDS = 5.0
"""How long the hub has to answer anything at all."""
LONGEST = 300
NO_BARS = "HF_HUB_DISABLE_PROGRESS_BARS"
"""The client reads it once, when it is imported."""


@cache
def unreachable() -> str:
    """Why nothing can be downloaded, "" where the hub answers. The first call of a process asks it.

    The environment says the rest: HF_ENDPOINT where the hub is, HF_HUB_OFFLINE that it is not to be asked, HF_HOME
    where its cache is, HF_TOKEN as whom it is asked, HTTPS_PROXY the way to it.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)
    except Exception as error:  # of whichever client it uses
        constants.HF_HUB_OFFLINE = True
        os.environ["HF_HUB_OFFLINE"] = "1"  # for libraries and processes that look later
        if (datasets := sys.modules.get("datasets")) is not None:
            datasets.config.HF_HUB_OFFLINE = True
        return f"{constants.ENDPOINT} does not answer ({_first_line(error)})"
    return ""


@contextmanager
def without_bars() -> Iterator[None]:
    """The hub's client shows no bars, whether it is imported already or not; what the user's environment says stays."""
    if NO_BARS in os.environ:
        yield
        return
    with ExitStack() as ends:
        os.environ[NO_BARS] = "1"
        ends.callback(os.environ.pop, NO_BARS, None)
        if "huggingface_hub" in sys.modules:
            from huggingface_hub.utils.tqdm import (
                are_progress_bars_disabled,
                disable_progress_bars,
                enable_progress_bars,
            )

            if not are_progress_bars_disabled():
                disable_progress_bars()
                ends.callback(enable_progress_bars)
        yield


def missing(error: BaseException) -> str:
    """Why something of the hub could not be had, and what to do about that, as a clause."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if why := unreachable():
        return f"{why}, and the cache {constants.HF_HUB_CACHE} does not hold it"
    if _is(error, GatedRepoError):
        return "it is gated: accept its terms on its page, and set HF_TOKEN"
    if _is(error, RepositoryNotFoundError):
        return "the hub has none of this name, or it is private: set HF_TOKEN"
    return _first_line(error)


def _is(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether the error, or one that it came from, is of the kind."""
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _first_line(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return said[0][:LONGEST] if said else type(error).__name__
