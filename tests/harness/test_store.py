"""The run folder survives whatever stops a command: torn lines, half files, two commands at once."""

import json
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hermes.harness.errors import HermesError
from hermes.harness.store import (
    Journal,
    ResponseStore,
    locked,
    read_json,
    write_atomic,
    write_json,
    write_jsonl,
)
from hermes.harness.types import Judgement, Metric, Response


def response(name: str, text: str | None = "yes", index: int = 0, **more: Any) -> Response:
    return Response(sample_id=name, index=index, seed=1, prompt_sha256="0", text=text, **more)


def failed(name: str) -> Response:
    return response(name, None, status="error", error="boom")


def journal(folder: Path, rank: int = 0) -> Journal[Response]:
    return Journal(folder, "responses", Response, rank)


def texts(folder: Path) -> dict[str, str | None]:
    return {key[0]: item.text for key, item in journal(folder).read().items()}


@given(st.lists(st.tuples(st.text(), st.integers(0, 3), st.text())))
def test_what_is_appended_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    for name, index, text in said:
        journal(folder).append([response(name, text, index)])
    assert {key: item.text for key, item in journal(folder).read().items()} == {(n, i): t for n, i, t in said}


def test_a_folder_without_a_journal_holds_nothing(tmp_path: Path) -> None:
    assert journal(tmp_path / "nowhere").read() == {}


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


@pytest.mark.parametrize("line", ["{oops", '{"sample_id": "x"}', "", '{"sample_id": "x", "colour": 1}'])
def test_a_broken_line_in_the_middle_is_named_with_file_and_number(tmp_path: Path, line: str) -> None:
    good = response("a").model_dump_json()
    journal(tmp_path).path.write_text(f"{good}\n{line}\n{good}\n")
    with pytest.raises(HermesError, match=r"responses\.0\.jsonl: line 2 is not a Response"):
        journal(tmp_path).read()


def test_the_later_line_wins(tmp_path: Path) -> None:
    journal(tmp_path).append([response("a", "first"), response("b", "other")])
    journal(tmp_path).append([response("a", "second")])
    assert texts(tmp_path) == {"a": "second", "b": "other"}


def test_an_answer_replaces_an_error_whichever_process_wrote_it(tmp_path: Path) -> None:
    journal(tmp_path, rank=1).append([failed("a"), failed("b")])
    journal(tmp_path, rank=0).append([response("a", "answered later")])
    journal(tmp_path, rank=2).append([response("b", "answered later")])
    found = journal(tmp_path).read()
    assert {item.status for item in found.values()} == {"ok"}


def test_indices_of_one_sample_are_kept_apart(tmp_path: Path) -> None:
    journal(tmp_path).append([response("a", "zero", 0), response("a", "one", 1)])
    assert {key: item.text for key, item in journal(tmp_path).read().items()} == {("a", 0): "zero", ("a", 1): "one"}


def test_processes_write_their_own_files_and_read_all(tmp_path: Path) -> None:
    for rank in range(11):
        journal(tmp_path, rank).append([response(str(rank))])
    assert len(list(tmp_path.glob("responses.*.jsonl"))) == 11
    assert set(texts(tmp_path)) == {str(rank) for rank in range(11)}


def test_journals_of_two_kinds_share_a_folder(tmp_path: Path) -> None:
    judgements = Journal(tmp_path, "judgements", Judgement)
    judgements.append([Judgement(sample_id="a", index=0, judge="j", data={"color": "red"})])
    journal(tmp_path).append([response("a")])
    assert judgements.read()["a", 0].data == {"color": "red"}
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


def test_images_are_stored_once_and_come_back(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path / "task", tmp_path / "media")
    red, also_red, blue = (Image.new("RGB", (4, 4), color) for color in ("red", "red", "blue"))
    names = [store.keep_image(image) for image in (red, also_red, blue)]
    assert names[0] == names[1] != names[2]
    assert {path.name for path in (tmp_path / "media").iterdir()} == {f"{name}.png" for name in names}
    stamp = (tmp_path / "media" / f"{names[0]}.png").stat().st_mtime_ns
    store.keep_image(red)
    assert (tmp_path / "media" / f"{names[0]}.png").stat().st_mtime_ns == stamp
    again = store.image(response("a", None, image=names[2]))
    assert again.open().getpixel((0, 0)) == (0, 0, 255)


def test_a_lost_image_is_named(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path / "task", tmp_path / "media")
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


def test_a_file_where_the_run_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HermesError, match="cannot be written to"), locked(tmp_path / "file"):
        pass
