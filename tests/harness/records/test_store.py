"""A store survives whatever stops a command: torn and damaged lines, half files, lost pictures, two at once."""

import json
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from stored import records

from hermes.harness.records.journal import Journal, sealed
from hermes.harness.records.keys import digest
from hermes.harness.records.store import Store
from hermes.harness.records.types import Judgement, Metric, Response
from hermes.harness.system.disk import locked, new_lines, read_json, write_atomic, write_json, write_jsonl
from hermes.harness.system.errors import HermesError


def key(name: str, index: int = 0) -> str:
    return digest(name, str(index)).hex()


def response(name: str, text: str | None = "yes", index: int = 0, **more: Any) -> Response:
    whole = {"key": key(name, index), "seed": 1, "prompt_sha256": "0"} | more
    return Response(sample_id=name, index=index, text=text, **whole)


def failed(name: str) -> Response:
    return response(name, None, status="error", error="boom")


def journal(folder: Path, rank: int = 0) -> Journal[Response]:
    return Journal(folder, "responses", Response, rank)


def texts(folder: Path) -> dict[str, str | None]:
    return {item.sample_id: item.text for item in records(journal(folder)).values()}


@given(st.lists(st.tuples(st.text(), st.integers(0, 3), st.text())))
def test_what_is_appended_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    for name, index, text in said:
        journal(folder).append([response(name, text, index)])
    found = {(item.sample_id, item.index): item.text for item in records(journal(folder)).values()}
    assert found == {(n, i): t for n, i, t in said}
    index = journal(folder).index()
    assert (len(index), index.damaged, index.complaint()) == (len(found), [], None)


def test_a_folder_without_a_journal_holds_nothing(tmp_path: Path) -> None:
    index = journal(tmp_path / "nowhere").index()
    assert (len(index), index.get([key("a")]), index.get_by_content([key("a")])) == (0, [None], [None])
    assert list(index.answered([key("a")])) == [False]
    assert not (tmp_path / "nowhere").exists()


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    journal(tmp_path).append([response("a"), failed("b"), response("c")])
    index, asked = journal(tmp_path).index(), [key(name) for name in "cxab"]
    assert [item and item.sample_id for item in index.get(asked)] == ["c", None, "a", "b"]
    assert list(index.answered(asked)) == [True, False, True, False]


def test_keys_that_begin_alike_are_told_apart_when_the_record_is_read(tmp_path: Path) -> None:
    journal(tmp_path).append([response("a")])
    assert journal(tmp_path).index().get([key("a")[:16] + "0" * 16]) == [None]


def test_an_answer_is_found_by_its_content_and_an_error_is_not(tmp_path: Path) -> None:
    images = [digest(name).hex() for name in ("one", "two", "three")]
    journal(tmp_path).append(
        [
            response("at one commit", None, status="error", error="boom", content=images[0]),
            response("at another", "yes", content=images[0]),
            response("alone", None, status="error", error="boom", content=images[1]),
            response("from files", "no", key=images[2]),
        ]
    )
    found = journal(tmp_path).index().get_by_content([*images, digest("four").hex()])
    assert [item and item.sample_id for item in found] == ["at another", None, "from files", None]


@pytest.mark.parametrize("cut", [1, 2, 10])
def test_a_torn_last_line_is_dropped(tmp_path: Path, cut: int) -> None:
    journal(tmp_path).append([response("a"), response("b", "żółć 🟥")])
    whole = journal(tmp_path).path.read_bytes()
    journal(tmp_path).path.write_bytes(whole[:-cut])
    assert texts(tmp_path) == {"a": "yes"}


def test_a_line_torn_inside_a_character_is_dropped(tmp_path: Path) -> None:
    journal(tmp_path).append([response("a"), response("b", "żółć")])
    whole = journal(tmp_path).path.read_bytes()
    journal(tmp_path).path.write_bytes(whole[: whole.index("ż".encode()) + 1])
    assert texts(tmp_path) == {"a": "yes"}


@given(cut=st.integers(0, 400))
def test_appending_after_any_torn_tail_loses_only_the_torn_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    journal(folder).append([response("a", "ä"), response("b", "ß")])
    path = journal(folder).path
    kept = path.read_bytes()[:cut]
    path.write_bytes(kept)
    journal(folder).append([response("c")])
    whole = kept.count(b"\n")
    assert list(texts(folder)) == [*"ab"[:whole], "c"]
    assert len(path.read_bytes().splitlines()) == whole + 1


@pytest.mark.parametrize("line", [b"{oops", b'{"sample_id": "x"}', b"", b"\0" * 700, b'{"key": 1,"crc32":"00000000"}'])
def test_a_broken_line_in_the_middle_is_passed_over_and_named(tmp_path: Path, line: bytes) -> None:
    good = [sealed(response(name).model_dump_json()) for name in "ab"]
    journal(tmp_path).path.write_bytes(good[0] + line + b"\n" + good[1])
    assert texts(tmp_path) == {"a": "yes", "b": "yes"}
    index = journal(tmp_path).index()
    assert index.damaged == [f"{journal(tmp_path).path} line 2"]
    assert (index.complaint() or "").endswith("responses.0.jsonl line 2")


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    journal(tmp_path).append([response(name) for name in "abc"])
    path = journal(tmp_path).path
    whole = path.read_bytes()
    first, second = whole.index(b"\n") + 1, whole.index(b"\n", whole.index(b"\n") + 1)
    for place in range(first, second):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert texts(tmp_path) == {"a": "yes", "c": "yes"}
        assert journal(tmp_path).index().damaged == [f"{path} line 2"]


def test_many_damaged_lines_are_one_sentence(tmp_path: Path) -> None:
    journal(tmp_path).path.write_bytes(b"{}\n" * 9)
    said = journal(tmp_path).index().complaint() or ""
    assert "responses.0.jsonl line 1 and 8 more" in said
    assert "\n" not in said


def test_after_a_write_that_failed_the_next_one_begins_a_new_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = journal(tmp_path)
    mine.append([response("a")])

    def full(file: int) -> None:
        os.ftruncate(file, os.fstat(file).st_size - 9)  # all but the end of the batch
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            mine.append([response("b")])
    assert not mine.path.read_bytes().endswith(b"\n")
    mine.append([response("c")])
    assert texts(tmp_path) == {"a": "yes", "c": "yes"}
    assert mine.index().damaged == []


def test_the_later_line_wins(tmp_path: Path) -> None:
    journal(tmp_path).append([response("a", "first"), response("b", "other")])
    journal(tmp_path).append([response("a", "second")])
    assert texts(tmp_path) == {"a": "second", "b": "other"}


def test_an_answer_replaces_an_error_whichever_process_wrote_it(tmp_path: Path) -> None:
    journal(tmp_path, rank=1).append([failed("a"), failed("b")])
    journal(tmp_path, rank=0).append([response("a", "answered later")])
    journal(tmp_path, rank=2).append([response("b", "answered later")])
    assert texts(tmp_path) == {"a": "answered later", "b": "answered later"}


def test_an_error_never_replaces_an_answer_whichever_process_wrote_it(tmp_path: Path) -> None:
    journal(tmp_path, rank=0).append([response("a"), response("b"), failed("b")])
    journal(tmp_path, rank=1).append([failed("a"), failed("c"), failed("c")])
    assert texts(tmp_path) == {"a": "yes", "b": "yes", "c": None}
    assert list(journal(tmp_path).index().answered([key(name) for name in "abc"])) == [True, True, False]


def test_indices_of_one_sample_are_kept_apart(tmp_path: Path) -> None:
    journal(tmp_path).append([response("a", "zero", 0), response("a", "one", 1)])
    found = journal(tmp_path).index().get([key("a", 1), key("a", 0)])
    assert [item and item.text for item in found] == ["one", "zero"]


def test_processes_write_their_own_files_and_read_all(tmp_path: Path) -> None:
    for rank in range(11):
        journal(tmp_path, rank).append([response(str(rank))])
    assert len(list(tmp_path.glob("responses.*.jsonl"))) == 11
    assert set(texts(tmp_path)) == {str(rank) for rank in range(11)}


def test_journals_of_two_kinds_share_a_folder(tmp_path: Path) -> None:
    judgements = Journal(tmp_path, "judgements", Judgement)
    judgements.append([Judgement(key=key("a"), sample_id="a", index=0, judge="j", data={"color": "red"})])
    journal(tmp_path).append([response("a")])
    assert records(judgements)[key("a")].data == {"color": "red"}
    assert texts(tmp_path) == {"a": "yes"}


def test_writing_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "results.json"
    write_atomic(path, "old")

    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", broken)
        with pytest.raises(OSError, match="gone"):
            write_atomic(path, "new")
    assert path.read_text() == "old"
    write_atomic(path, b"new")
    assert path.read_text() == "new"


def test_json_is_readable_by_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"metric": Metric(value=float("nan")), "list": [float("inf"), (1, 2)], "text": "é"})
    content = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert content["metric"]["value"] is None
    assert content["list"] == [None, [1, 2]]
    assert read_json(path) == content


@pytest.mark.parametrize("content", [None, "{", "[]", "null", b"\xff\xfe"])
def test_unreadable_json_is_named(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "spec.json"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(HermesError, match=r"spec\.json"):
        read_json(path)


def test_lines_of_records(tmp_path: Path) -> None:
    items: Sequence[Response] = [response("a"), response("b")]
    write_jsonl(tmp_path / "x.jsonl", items)
    lines = (tmp_path / "x.jsonl").read_text().splitlines()
    assert [Response.model_validate_json(line) for line in lines] == items


def test_lines_that_come_one_by_one_are_all_there_or_none(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"

    def write(*lines: str) -> None:
        with new_lines(path) as add:
            for line in lines:
                add(line)
                assert line != "stop"

    write("old")
    with pytest.raises(AssertionError):
        write("new", "stop")
    assert [(item.name, item.read_text()) for item in tmp_path.iterdir()] == [("x.jsonl", "old\n")]
    write("new", "newer")
    assert path.read_text() == "new\nnewer\n"


COLORS = ("red", "red", "blue")


def pictures() -> list[Image.Image]:
    return [Image.new("RGB", (4, 4), color) for color in COLORS]


def test_images_are_stored_once_and_come_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = store.keep_images(pictures())
    assert names[0] == names[1] != names[2]
    assert {path.name for path in (tmp_path / "media").iterdir()} == {f"{name}.png" for name in names}
    stamp = (tmp_path / "media" / f"{names[0]}.png").stat().st_mtime_ns
    store.keep_images(pictures())
    assert (tmp_path / "media" / f"{names[0]}.png").stat().st_mtime_ns == stamp
    again = store.image(response("a", None, image=names[2]))
    assert again.open().getpixel((0, 0)) == (0, 0, 255)


@pytest.mark.parametrize("damage", ["", "no picture", "half", "another one"])
def test_a_picture_that_is_not_what_was_drawn_is_removed_and_written_again(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    red, _, blue = store.keep_images(pictures())
    drawn, path = response("a", None, image=red), tmp_path / "media" / f"{red}.png"
    whole, other = path.read_bytes(), (tmp_path / "media" / f"{blue}.png").read_bytes()
    assert store.verified(drawn)
    path.write_bytes({"half": whole[: len(whole) // 2], "another one": other}.get(damage, damage.encode()))
    assert not store.verified(drawn)
    assert not path.exists()
    assert not store.verified(drawn)
    assert store.verified(response("b", None, image=blue))
    assert store.keep_images(pictures())[0] == red
    assert path.read_bytes() == whole


def test_a_damaged_picture_is_replaced_when_it_is_drawn_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    red = store.keep_images(pictures())[0]
    (tmp_path / "media" / f"{red}.png").write_bytes(b"torn")
    store.keep_images(pictures())
    assert store.verified(response("a", None, image=red))


def test_an_answer_whose_picture_is_gone_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    red, _, blue = store.keep_images(pictures())
    store.responses.append([response("a", None, image=red), response("b", None, image=blue), failed("c")])
    (tmp_path / "media" / f"{red}.png").unlink()
    (tmp_path / "media" / "notes.png").write_bytes(b"")
    index, keys = store.responses.index(), [key(name) for name in "abcd"]
    assert store.answered(index, keys, store.pictures()) == [False, True, False, False]
    assert store.answered(index, keys, None) == [True, True, False, False]


def test_what_killed_processes_left_half_written_goes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep_images(pictures())
    (tmp_path / "scores").mkdir()
    ours = [tmp_path / ".spec.json.77.part", tmp_path / "media/.abc.png.1.part", tmp_path / "scores/.x.jsonl.12.part"]
    theirs = [tmp_path / "film.part", tmp_path / ".film.part", tmp_path / "media" / "x.77.part"]
    for path in (*ours, *theirs):
        path.write_bytes(b"half")
    store.tidy()
    assert [path.exists() for path in ours] == [False] * 3
    assert [path.exists() for path in theirs] == [True] * 3


def test_a_lost_image_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(HermesError, match=r"abc\.png \(a, image 0\)"):
        store.image(response("a", None, image="abc")).open()
    with pytest.raises(ValueError, match="holds no image"):
        store.image(failed("a"))


def _hold(folder: Path, ready: Any, leave: Any) -> None:
    with locked(folder):
        ready.set()
        leave.wait(30)


def test_one_command_at_a_time_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, leave))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(HermesError, match="another hermes command"), locked(tmp_path):
        pass
    holder.kill()
    holder.join(30)
    with locked(tmp_path):
        pass


def test_a_locked_store_is_waited_for_and_that_is_said_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, leave))
    holder.start()
    assert ready.wait(30)
    said: list[bool] = []

    def wait() -> None:
        said.append(holder.is_alive())
        leave.set()

    with locked(tmp_path, wait):
        holder.join(30)
        assert said == [True]
    with locked(tmp_path, wait):
        assert said == [True]


def test_a_file_where_the_run_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HermesError, match="cannot be written to"), locked(tmp_path / "file"):
        pass
