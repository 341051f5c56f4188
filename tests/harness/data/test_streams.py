"""Large data is never held: memory, passes, limits and doubled ids of samples that are read anew each time."""

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from hermes.evaluators.homologous import Generation, Understanding
from hermes.evaluators.pope import POPE
from hermes.harness.data.doubles import Doubles, Known
from hermes.harness.data.files import file_rows
from hermes.harness.data.fingerprint import DIGEST, fingerprint
from hermes.harness.data.homologous.formats import homologous_rows, read_items
from hermes.harness.data.tables import Data, Samples, load_data
from hermes.harness.records.images import Cell, ImageHandle
from hermes.harness.records.keys import SIZE
from hermes.harness.records.types import DataInfo, Sample
from hermes.harness.system.errors import HermesError

MANY = 6_000
MOST = 8  # Megabytes; the samples alone, were they held, take 16, and those of POPE 31.
ASKED = {"What is it?": "cat", "What color is it?": "red"}


def journeydb(number: int) -> dict[str, Any]:
    entries = [
        {"Question": question, "Options": {"A": "dog", "B": answer}, "Answer": "B"}
        for question, answer in ASKED.items()
    ]
    return {
        "img_path": f"./000/{number:08d}.png",
        "prompt": "a cat --v 5",
        "Task2": {"Caption": f"Cat number {number}."},
        "Task3": {"Content Relevant Questions and Answers": entries},
    }


def lines(path: Path, rows: Iterable[Any], end: str = "\n", indent: int | None = None) -> Path:
    with path.open("w") as file:
        for row in rows:
            file.write(json.dumps(row, indent=indent) + end)
    return path


def a_file_of_lines(folder: Path, count: int) -> Path:
    return lines(folder / "train_anno.jsonl", map(journeydb, range(count)))


def a_list(folder: Path, count: int) -> Path:
    path = folder / "train_anno.json"
    with path.open("w") as file:
        for number in range(count):
            file.write(("[" if number == 0 else ",\n") + json.dumps(journeydb(number)))
        file.write("]")
    return path


def a_table_by_id(folder: Path, count: int) -> Path:
    path = folder / "train_anno.json"
    with path.open("w") as file:
        for number in range(count):
            file.write(("{" if number == 0 else ",\n") + f'"{number:08d}": {json.dumps(journeydb(number))}')
        file.write("}")
    return path


def two_files(folder: Path, count: int) -> Path:
    """As HermesFlow's scripts leave them, the questions in another order than the captions."""
    captions = ({"id": n, "img_path": f"{n}.png", "caption": f"Cat number {n}."} for n in range(count))
    asked = (
        {"id": n, "question": question, "choices": ["dog", answer], "answer": answer, "element_type": "animal"}
        for n in reversed(range(count))
        for question, answer in ASKED.items()
    )
    lines(folder / "initial_data.json", captions, ",\n", 4)
    lines(folder / "vqa_data.json", asked, ",\n", 4)
    return folder


FORMS = [a_file_of_lines, a_list, a_table_by_id, two_files]
Form = Callable[[Path, int], Path]


def growth(evaluator: str, sources: Iterable[Path], count: int) -> int:
    """Megabytes by which a process grows that loads each source and goes through its ``count`` samples.

    Not by ru_maxrss, which a new process takes over from the one that started it.
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process is read from /proc")
    code = """
import sys
from hermes.harness.data.tables import load_data
from hermes.harness.system import registry
evaluator = registry.evaluator(sys.argv[1])
def peak():
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
load_data(evaluator, sys.argv[2], "test", limit=50)
before = peak()
for source in sys.argv[2:]:
    data = load_data(evaluator, source, "test")
    print(peak() - before, sum(1 for _ in data.samples))
"""
    done = subprocess.run([sys.executable, "-c", code, evaluator, *map(str, sources)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    grown, counts = zip(*(map(int, line.split()) for line in done.stdout.splitlines()), strict=True)
    assert set(counts) == {count}
    return max(grown)


def test_homologous_items_are_never_held(tmp_path: Path) -> None:
    sources = []
    for form in FORMS:
        (folder := tmp_path / form.__name__).mkdir()
        sources.append(form(folder, MANY))
    assert growth("homologous-g", sources, MANY) < MOST


def test_rows_of_a_benchmark_are_never_held(tmp_path: Path) -> None:
    pope(tmp_path, 3 * MANY)
    assert growth("pope", [tmp_path], 3 * MANY) < MOST


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_items_in_the_same_order(tmp_path: Path, form: Form) -> None:
    rows = list(homologous_rows(form(tmp_path, 40), "homologous-g", "test"))
    assert [row["caption"] for row in rows] == [f"Cat number {number}." for number in range(40)]
    assert [{qa["question"]: qa["answer"] for qa in row["questions"]} for row in rows] == [ASKED] * 40


def pope(folder: Path, count: int) -> None:
    Image.new("RGB", (4, 4), "red").save(folder / "a.png")
    row = {"question": "Is there a cat?", "answer": "yes", "image_source": "a", "image": "a.png", "category": "random"}
    lines(folder / "pope.jsonl", ({**row, "id": str(n), "question_id": str(n)} for n in range(count)))


def test_a_limit_reads_one_item_more_of_a_file_of_whole_items(tmp_path: Path) -> None:
    source = a_file_of_lines(tmp_path, 30)
    with source.open("a") as file:
        file.write("{ broken")
    (tmp_path / "000").mkdir()
    for number in range(3):
        Image.new("RGB", (4, 4)).save(tmp_path / "000" / f"{number:08d}.png")
    g, u = (load_data(side, str(source), "test", limit=3) for side in (Generation(), Understanding()))
    assert [sample.id for sample in g.samples] == ["00000000", "00000001", "00000002"]
    assert (g.info.n, g.info.n_expected) == (3, 4)
    assert (u.info.n, u.info.n_expected) == (6, 8)
    with pytest.raises(HermesError, match="line 31 is not valid JSON"):
        load_data(Generation(), str(source), "test", limit=30)


def test_a_limit_of_joined_files_knows_how_many_there_are(tmp_path: Path) -> None:
    info = load_data(Generation(), str(two_files(tmp_path, 30)), "test", limit=3).info
    assert (info.n, info.n_expected) == (3, 30)


def test_a_doubled_id_of_a_stream_is_named(tmp_path: Path) -> None:
    rows = [journeydb(number) for number in (0, 1, 2, 1, 0)]
    source = lines(tmp_path / "rows.jsonl", rows)
    with pytest.raises(HermesError, match=r"rows\.jsonl: the id '00000001' stands in two rows"):
        load_data(Generation(), str(source), "test")
    with pytest.raises(HermesError, match=r"rows\.jsonl: the id '00000001' stands in two rows"):
        list(read_items([source]))


def test_rows_with_one_question_do_not_follow_whole_items(tmp_path: Path) -> None:
    asked = {"id": 1, "caption": "c", "question": "q?", "answer": "yes"}
    source = lines(tmp_path / "rows.jsonl", [journeydb(0), asked])
    with pytest.raises(HermesError, match=r"item '1' asks one question, .* in files of their own"):
        list(homologous_rows(source, "homologous-g", "test"))


def test_questions_of_two_files_must_be_the_same(tmp_path: Path) -> None:
    asked = {"id": 1, "caption": "c", "question": "q?", "answer": "yes"}
    files = [lines(tmp_path / f"{name}.jsonl", [asked]) for name in "ab"]
    assert [len(item.questions or ()) for item in read_items(files)] == [1]
    lines(files[1], [{**asked, "answer": "no"}])
    with pytest.raises(HermesError, match=r"b\.jsonl: item '1' has other questions than a row or file before"):
        list(read_items(files))


def test_joined_files_are_joined_once_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "temporary"
    home.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(home))
    source = two_files(tmp_path, 5)
    sides = [load_data(Generation(), str(source), "test") for _ in range(2)]
    assert [sum(1 for _ in side.samples) for side in sides] == [5, 5]
    assert len(list(home.iterdir())) == 1
    lines(source / "initial_data.json", [{"id": n, "caption": f"Dog number {n}."} for n in range(5)])
    assert next(iter(load_data(Generation(), str(source), "test").samples)).prompt == "Dog number 0."
    assert next(iter(sides[0].samples)).prompt == "Cat number 0."
    del sides
    gc.collect()
    assert list(home.iterdir()) == []


def test_samples_can_be_gone_through_again_until_the_rows_change(tmp_path: Path) -> None:
    pope(tmp_path, 5)
    data = load_data(POPE(), str(tmp_path), "test")
    assert isinstance(data.samples, Samples)
    assert [sample.id for sample in data.samples] == [sample.id for sample in data.samples]
    assert len(data) == data.info.n == 5
    assert data.info.fingerprint == fingerprint(data.samples)
    pope(tmp_path, 4)
    with pytest.raises(HermesError, match="the rows changed while they were in use"):
        list(data.samples)


def sample(**changes: Any) -> Sample:
    picture = ImageHandle(Image.new("RGB", (2, 3), "red"))
    values = {
        "id": "a",
        "group_id": "g",
        "ability": "understanding",
        "prompt": "p",
        "images": (picture,),
        "target": "t",
    }
    return Sample(**{**values, **changes})


def halves(one: Sample) -> tuple[bytes, bytes]:
    info = DataInfo(source="x", fingerprint="", n=1, n_expected=1, world="real")
    digests = Data.of((one,), info).digests
    assert len(digests) == DIGEST
    return digests[:SIZE], digests[SIZE:]


@pytest.mark.parametrize(
    ("changes", "asked", "whole"),
    [
        ({}, True, True),
        ({"images": (ImageHandle(Image.new("RGB", (2, 3), "red"), "elsewhere"),)}, True, True),
        ({"target": "u"}, True, False),
        ({"id": "b"}, True, False),
        ({"metadata": {"kind": "x"}}, True, False),
        ({"prompt": "q"}, False, False),
        ({"images": ()}, False, False),
        ({"images": (ImageHandle(Image.new("RGB", (2, 3), "blue")),)}, False, False),
        ({"images": (ImageHandle(Image.new("RGB", (2, 3), "red")),) * 2}, False, False),
    ],
)
def test_digests_tell_what_is_asked_from_what_is_scored(changes: dict[str, Any], asked: bool, whole: bool) -> None:
    ours, theirs = halves(sample()), halves(sample(**changes))
    assert (ours[0] == theirs[0], ours[1] == theirs[1]) == (asked, whole)


def test_a_cell_of_a_pinned_table_is_known_by_its_place() -> None:
    def read() -> bytes:
        raise AssertionError("the image was read")

    first, again, other = (ImageHandle(Cell(read, name)) for name in ("t/0/image", "t/0/image", "t/1/image"))
    assert first.identity("set@1") == again.identity("set@1") != other.identity("set@1")
    assert first.identity("set@1") != first.identity("set@2")
    assert ImageHandle(b"no image").identity("set@1") != ImageHandle(b"another").identity("set@1")


def test_an_image_of_many_samples_is_hashed_once_a_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pope(tmp_path, 50)
    hashed: list[str | None] = []
    plain = ImageHandle.sha256
    monkeypatch.setattr(ImageHandle, "sha256", lambda self: (hashed.append(self.name), plain(self))[1])
    load_data(POPE(), str(tmp_path), "test")
    assert hashed == [str(tmp_path / "a.png")]


def test_ids_that_stand_twice() -> None:
    names = ["a", "b", "c", "b", "d", "a", "b"]
    ids = Doubles()
    for name in names:
        ids.add(name)
    assert list(ids.every(lambda: names)) == ["b", "a", "b"]
    with pytest.raises(HermesError, match="here: the id 'b' stands in two rows"):
        ids.refuse(lambda: names, "here")
    unlike = Doubles()
    unlike.add("a")
    unlike.refuse(refused, "here")


def refused() -> Iterator[str]:
    raise AssertionError("asked again without need")


def test_known_ids() -> None:
    known = Known(iter(["b", "a", "b"]))
    assert (len(known), "a" in known, "b" in known, "c" in known) == (2, True, True, False)
    assert "a" not in Known([])


def test_fingerprints_are_those_of_earlier_versions() -> None:
    red, blue = (ImageHandle(Image.new("RGB", (2, 3), color)) for color in ("red", "blue"))
    odd = {"prompt": "p\ud800é", "target": ["t", 1.5, None], "choices": ("x",), "metadata": {"b": 1, "a": {"é": 2}}}
    samples = [sample(id=str(k), images=(red, blue)[:k], **odd) for k in range(3)]
    assert (fingerprint(samples), fingerprint(samples, "set@1")) == ("8b210b8cb2b97748", "a78bbb8a0232b13c")


@pytest.mark.parametrize("kept", [1, 1 << 20], ids=["in batches", "whole"])
def test_images_of_parquet_are_read_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    cells = [{"bytes": bytes([number]) * 50, "path": None} for number in range(40)]
    rows = [{"id": number, "image": cell if number % 7 else None} for number, cell in enumerate(cells)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "x.parquet", row_group_size=25)
    monkeypatch.setattr("hermes.harness.data.parquet.KEPT", kept)
    found = {row["id"]: row["image"] for row in file_rows(tmp_path / "x.parquet") if row["image"]}
    assert set(found) == {number for number in range(40) if number % 7}
    for number in (1, 2, 39, 30, 3, 24, 26, 1):
        assert found[number]()["bytes"] == cells[number]["bytes"]
