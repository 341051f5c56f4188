"""Which errors are the machine's (no room, no permission, too many files), in one line each that says what to do."""

import errno
import gc
import re
import sys
from pathlib import Path

from hermes.harness.system.errors import HermesError

KEPT = "and run the same command again: all answers so far are kept"
OUTPUT = "the output"
# What failed, {} being the file or folder, and what to do about it.
CAUSES = {
    errno.ENOSPC: ("no space left on the disk that holds {}", "free some"),
    errno.EDQUOT: ("no quota left on the disk that holds {}", "free some space"),
    errno.EFBIG: ("{} would become larger than the system allows", "raise the limit (ulimit -f)"),
    errno.EACCES: ("no permission to read or write {}", "change its permissions or give another path"),
    errno.EPERM: ("the system does not permit to read or write {}", "change its permissions or give another path"),
    errno.EROFS: ("the file system that holds {} is read-only", "give another path"),
    errno.EMFILE: ("too many open files", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("too many open files on this machine", "close some programs"),
    errno.EIO: ("the disk that holds {} failed", "check it"),
    errno.ESTALE: ("the network file system that holds {} has lost it", "check it"),
    errno.ENOMEM: ("out of memory on this machine", "close some programs"),
}
THREADS = ("too many processes and threads", "raise the limit (ulimit -u)")
MEMORY = "lower --batch-size, or take --dtype bfloat16 or a smaller model,"
LESS = "--dtype bfloat16, a smaller model or --device cpu needs"
# How torch says it in a plain RuntimeError: on the CPU, in cuBLAS, on Apple's GPUs, and from threads of its own.
SHORT = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "MPS backend out of memory", "CUDA out of memory")
RUST = re.compile(r"\(os error (\d+)\)")  # how safetensors and tokenizers, which raise classes of their own, say it


def machine_failure(error: BaseException, alone: bool = False, where: Path | None = None) -> str | None:
    """One line that says what the machine lacks and that answers are kept; None for an error of another kind.

    ``alone``: the error came from a single request. A batch that is out of memory may only be too large, so there that
    is no failure of the machine. ``where`` is named where the error itself names no file.
    """
    found = _cause(error, alone, where)
    return f"{found[0]}; {found[1]} {KEPT}" if found else None


def file_error(path: Path, error: OSError, remedy: str, wanted: str = "read") -> HermesError:
    """What to raise where a file cannot be read or written to: the machine's line, or the reason and the remedy."""
    reason = f"{path} cannot be {wanted} ({error.strerror or error}); {remedy}"
    return HermesError(machine_failure(error, where=path) or reason)


def _cause(error: BaseException, alone: bool, where: Path | None) -> tuple[str, str] | None:
    text = str(error)
    if is_out_of_memory(error):
        return (f"out of memory on {place_of(error)}", MEMORY) if alone else None
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (told := RUST.search(text)):
        number = int(told[1])
    if number in CAUSES:
        named = getattr(error, "filename2", None) or getattr(error, "filename", None)  # of a renaming where it leads to
        what, remedy = CAUSES[number]
        return what.format(named if isinstance(named, str | Path) else where or OUTPUT), remedy
    if not isinstance(error, RuntimeError):
        return None
    if "can't start new thread" in text:
        return THREADS
    if text.startswith(("CUDA error", "HIP error")):  # after which nothing on the device works in this process
        return f"the GPU failed ({text.splitlines()[0]})", "check it"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, a GPU's or the machine's, was too small; torch is not imported to find out."""
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in SHORT)


def out_of_memory(error: BaseException) -> str:
    """Why something that cannot be made smaller failed, and what needs less."""
    return f"out of memory on {place_of(error)} with nothing beside it; {LESS} less"


def free_memory() -> None:
    """Give back what a failed batch has left: the cycles that held it, and what torch keeps of the GPU's memory."""
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def place_of(error: BaseException) -> str:
    """The device whose memory was too small, as torch's message names it."""
    text = str(error)
    if found := re.search(r"\bGPU (\d+)", text):
        return f"cuda:{found[1]}"
    return "the GPU" if "CU" in text or "MPS" in text else "this machine"
