"""The machine's failures are told from a model's, and each is one line that says what to do."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hermes.harness.models.vlm.ask import Ask, Unanswered
from hermes.harness.models.vlm.model import VLM
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import ImageError
from hermes.harness.system.failures import CAUSES, KEPT, file_error, is_out_of_memory, machine_failure


@pytest.mark.parametrize("number", CAUSES)
def test_every_cause_is_one_line_that_says_that_answers_are_kept(number: int) -> None:
    line = machine_failure(OSError(number, os.strerror(number), "some/file"))
    assert line is not None
    assert line.endswith(KEPT)
    assert "\n" not in line
    assert "{" not in line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "", "a/b"), "no space left on the disk that holds a/b; free some"),
        (OSError(errno.ENOSPC, ""), "no space left on the disk that holds the output;"),
        (OSError(errno.EACCES, "", ".part", None, "file"), "no permission to read or write file;"),
        (OSError(errno.EMFILE, ""), "too many open files; raise the limit"),
        (RuntimeError("can't start new thread"), "too many processes and threads;"),
        (RuntimeError("CUDA error: an illegal memory access\nhints"), "the GPU failed (CUDA error: an illegal memory"),
    ],
)
def test_what_is_said(error: Exception, said: str) -> None:
    assert str(machine_failure(error)).startswith(said)


def test_the_folder_is_named_where_the_error_names_none() -> None:
    assert "holds runs/x;" in str(machine_failure(OSError(errno.ENOSPC, ""), where=Path("runs/x")))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        RuntimeError("shapes do not fit"),
        FileNotFoundError(errno.ENOENT, "No such file", "x"),
        IsADirectoryError(errno.EISDIR, "Is a directory", "x"),
        OSError("image file is truncated"),
    ],
)
def test_other_errors_are_not_the_machines(error: Exception) -> None:
    assert machine_failure(error, alone=True) is None


@pytest.mark.parametrize(
    ("error", "device"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 1 has"), "cuda:1"),
        (torch.OutOfMemoryError("CUDA out of memory"), "the GPU"),
        (MemoryError(), "this machine"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "this machine"),
    ],
)
def test_memory_is_the_machines_where_one_request_alone_lacks_it(error: Exception, device: str) -> None:
    assert is_out_of_memory(error)
    assert machine_failure(error) is None
    assert str(machine_failure(error, alone=True)).startswith(f"out of memory on {device}; lower --batch-size")


def test_a_full_disk_is_seen_through_safetensors(python: Callable[..., Any]) -> None:
    code = """
import resource, sys, torch
from safetensors.torch import save_file
from hermes.harness.system.failures import machine_failure
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    save_file({"x": torch.zeros(900)}, "weights.safetensors")
except Exception as error:
    sys.exit(machine_failure(error))
"""
    assert "would become larger than the system allows; raise the limit" in python("-c", code).stderr


def test_a_file_that_is_not_there_keeps_its_remedy() -> None:
    wrong = FileNotFoundError(errno.ENOENT, "No such file or directory", "x.json")
    assert str(file_error(Path("x.json"), wrong, "give one")) == (
        "x.json cannot be read (No such file or directory); give one"
    )
    denied = PermissionError(errno.EACCES, "Permission denied", "x.json")
    assert "no permission to read or write x.json" in str(file_error(Path("x.json"), denied, "give one"))


def raising(error: Exception) -> ImageHandle:
    def source() -> bytes:
        raise error

    return ImageHandle(source, where="row 1")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM])
def test_an_image_is_not_blamed_for_the_machine(number: int) -> None:
    with pytest.raises(OSError, match="busy"):
        raising(OSError(number, "busy")).open()
    with pytest.raises(OSError, match="busy"):
        raising(OSError(number, "busy")).sha256()


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENAMETOOLONG])
def test_an_image_that_cannot_be_read_is_named(number: int) -> None:
    with pytest.raises(ImageError, match="row 1: the image does not decode"):
        raising(OSError(number, "no")).open()


class Failing(VLM):
    """Fails on every batch with the given error."""

    def __init__(self, error: Exception) -> None:
        super().__init__(None, SimpleNamespace(tokenizer=None), lambda prompt, images: prompt, False, "it")
        self.error = error

    def _reply(self, asks: object) -> list[str]:
        raise self.error


def test_a_prompt_is_not_blamed_for_the_machine() -> None:
    with pytest.raises(OSError, match="busy"):
        Failing(OSError(errno.EMFILE, "busy")).replies([Ask("Is it red?", (), 8)])
    with pytest.raises(Unanswered, match="Is it red"):
        Failing(ValueError("odd")).replies([Ask("Is it red?", (), 8)])
