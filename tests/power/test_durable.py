"""What a function has written cannot be lost once it has returned, whatever a killed process has left before it."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from disk_image import Tree, after_cut, lost, read_tree
from disk_layer import Recording
from PIL import Image
from transformers import Mask2FormerConfig

from hermes.harness.judges.endpoint.store import ReplyStore
from hermes.harness.judges.mask2former import checkpoint
from hermes.harness.questions.making import make_questions
from hermes.harness.records.journal import Journal
from hermes.harness.records.store import Store, fetch
from hermes.harness.records.types import Response
from hermes.harness.system.disk import append_line, new_lines, sync_folder, write_atomic, write_jsonl
from hermes.harness.system.errors import HermesError

CAPTION = '{"id": 1, "caption": "a photo of a red apple"}\n'
RED, BLUE = (Image.new("RGB", (2, 2), color) for color in ("red", "blue"))


def one_file(home: Path) -> None:
    write_atomic(home / "a" / "b" / "spec.json", "{}")


def lines(home: Path) -> None:
    with new_lines(home / "a" / "lines.jsonl") as add:
        add("one")
        add("two")


def appended(home: Path) -> None:
    append_line(home / "a" / "b" / "environment.jsonl", "{}")


def pictures(home: Path) -> None:
    Store(home / "answers" / "store").keep_images([RED, BLUE])


def half_a_batch(home: Path) -> None:
    """The second picture of a batch cannot be stored, so the first one is stored again, alone."""
    store = Store(home / "store")
    with pytest.raises(OSError, match="cannot write mode"):
        store.keep_images([RED, Image.new("F", (2, 2))])
    store.keep_images([RED])


def answers(home: Path) -> None:
    answer = Response(key="0" * 32, sample_id="1", index=0, seed=0, prompt_sha256="", text="yes")
    journal = Journal(home / "answers" / "store", "responses", Response)
    journal.append([answer])
    journal.append([answer])


def read_before(home: Path) -> None:
    """Whoever has tidied a store may build on every line that it reads, also on those of a killed process."""
    store = Store(home / "answers" / "store")
    store.tidy()
    if not len(store.responses.index()):
        answers(home)


def fetched(home: Path) -> None:
    store = Store(home / "store")
    fetch(store.keep_images([RED, BLUE]), store, home / "own" / "media", "draw them again")


def replies(home: Path) -> None:
    store = ReplyStore(home / "cache" / "judges" / "test.jsonl")
    if "key" not in store:
        store.put("key", "yes", asked="is it?")


def conversion(home: Path) -> None:
    whole = checkpoint.Checkpoint({"weight": torch.arange(6.0)}, Mask2FormerConfig(), "0" * 64)
    checkpoint._keep(whole, home / "cache" / "model.safetensors")


def questions(home: Path) -> None:
    captions = home.parent / "captions.jsonl"
    captions.write_text(CAPTION)
    make_questions(captions, "rules", home / "out" / "made.jsonl")


WRITERS = (
    *(one_file, lines, appended, pictures, half_a_batch, answers, read_before, fetched),
    *(replies, conversion, questions),
)


@pytest.mark.parametrize("write", WRITERS)
def test_nothing_is_lost(write: Callable[[Path], None], tmp_path: Path) -> None:
    first = recorded(write, tmp_path / "first")
    assert first.image.tree() == read_tree(first.root)
    assert kept(first) == read_tree(first.root)
    for point in range(len(first.ops)):  # The first process is killed here, and a second one begins anew.
        second = recorded(write, tmp_path / str(point), first, point)
        assert kept(second) == finished(read_tree(second.root)), point
        assert finished(read_tree(second.root)).keys() == kept(first).keys(), point


def recorded(write: Callable[[Path], None], home: Path, before: Recording | None = None, until: int = 0) -> Recording:
    home.mkdir()
    with Recording(home, before, until) as recording:
        write(recording.root)
    return recording


def kept(recording: Recording) -> Tree:
    """What a power cut leaves at the end, whatever the disk does."""
    return finished(after_cut(recording.ops, recording.kinds, lost).tree())


def finished(tree: Tree) -> Tree:
    """Without what is only on its way."""
    return {path: data for path, data in tree.items() if ".part" not in path and "/tmp" not in path}


def test_a_torn_line_swallows_no_other(tmp_path: Path) -> None:
    path = tmp_path / "environment.jsonl"
    path.write_text('{"start": tr')
    append_line(path, "{}")
    append_line(path, "[]")
    assert path.read_text() == '{"start": tr\n{}\n[]\n'


@pytest.mark.parametrize("write", [lambda path: write_atomic(path, "{}"), lambda path: write_jsonl(path, [])])
def test_what_is_no_file_is_not_replaced(write: Callable[[Path], None], tmp_path: Path) -> None:
    pipe, link, dangling = (tmp_path / name for name in ("pipe", "link", "dangling"))
    os.mkfifo(pipe)
    link.symlink_to(os.devnull)
    dangling.symlink_to("nothing")
    for path in (tmp_path, pipe, link):
        with pytest.raises(HermesError, match="is not a file and is not replaced; give another path"):
            write(path)
    write(dangling)
    assert dangling.is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "link", "dangling"}
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems sync files alone, and some folders may be written to but not read."""

    def refusing(number: int) -> Callable[[int], None]:
        def refuse(file: int) -> None:
            if stat.S_ISDIR(os.fstat(file).st_mode):
                raise OSError(number, os.strerror(number))

        return refuse

    monkeypatch.setattr(os, "fsync", refusing(errno.EINVAL))
    one_file(tmp_path)
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        one_file(tmp_path)

    def denied(path: object, *_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    sync_folder(tmp_path)
