"""What a task asked is in its store afterwards, with pictures that can be opened again from where they lie."""

import base64
import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import content, place

from hermes.evaluators.vqav2 import VQAv2
from hermes.harness.data.cells import is_changed, picture
from hermes.harness.data.tables import load_data
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.stored_samples import Lines, Reference, StoredSample, read_samples
from hermes.harness.records.types import Sample
from hermes.harness.run.rescoring import rescore
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings

N = 5


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (number * 40, 10, 20)).save(buffer, "PNG")
    return buffer.getvalue()


Shade = Callable[[int], bytes]  # The picture of each row.


def row(number: int, image: Any) -> dict[str, Any]:
    people = [{"answer": "yes", "answer_id": k} for k in range(10)]
    kind = {"question_type": "is it", "answer_type": "yes/no", "answers": people}
    return {"question_id": number, "image_id": number, "question": f"Is it {number}?", "image": image, **kind}


def paths(folder: Path, shade: Shade = png) -> Path:
    for number in range(N):
        (folder / f"{number}.png").write_bytes(shade(number))
    return lines(folder, lambda number: f"{number}.png")


def inline(folder: Path, shade: Shade = png) -> Path:
    return lines(folder, lambda number: base64.b64encode(shade(number)).decode())


def lines(folder: Path, image: Callable[[int], str]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row(number, image(number))) + "\n" for number in range(N)))
    return path


def parquet(folder: Path, shade: Shade = png) -> Path:
    import pyarrow
    from pyarrow import parquet

    rows = [row(number, {"bytes": shade(number), "path": None}) for number in range(N)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "rows.parquet", row_group_size=2)
    return folder / "rows.parquet"


def text(folder: Path, shade: Shade = png) -> Path:
    path = folder / "rows.tsv"
    with path.open("w", newline="") as file:
        rows = [row(number, base64.b64encode(shade(number)).decode()) for number in range(N)]
        writer = csv.DictWriter(file, rows[0], delimiter="\t")
        writer.writeheader()
        for one in rows:
            writer.writerow(one | {"answers": json.dumps(one["answers"])})
    return path


def saved(folder: Path, shade: Shade = png) -> Path:
    import datasets

    table = datasets.Dataset.from_list([row(number, {"bytes": shade(number), "path": None}) for number in range(N)])
    table = table.cast_column("image", datasets.Image())
    table.save_to_disk(str(folder / "vqav2"), num_shards=2)
    return folder


SOURCES = {"paths": paths, "inline": inline, "parquet": parquet, "text": text, "saved": saved}
KINDS = {"paths": "path", "inline": "part", "parquet": "cell", "text": "cell", "saved": "cell"}


def asked(run: Path) -> tuple[Path, list[StoredSample]]:
    (path,) = (place(run, "vqav2") / "samples").glob("*.jsonl")
    return path, list(read_samples(path))


def evaluated(data: Path, out: Path, **more: Any) -> Path:
    evaluate(EvalSettings(model="null", tasks=("vqav2",), data=str(data), out=out, **more))
    return out


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_samples_and_their_pictures_are_there_afterwards(kind: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = SOURCES[kind](tmp_path / "data")
    path, found = asked(evaluated(data, tmp_path / "run"))
    samples = list(load_data(VQAv2(), str(data), "test").samples)
    assert [one.id for one in found] == [sample.id for sample in samples]
    for number, (one, sample) in enumerate(zip(found, samples, strict=True)):
        assert (one.prompt, one.group_id, one.choices) == (sample.prompt, sample.group_id, sample.choices)
        assert one.target["answers"] == list(sample.target["answers"])
        (reference,) = one.pictures
        assert list(reference.model_dump(exclude_none=True)) == [KINDS[kind]]
        assert picture(reference, path).open().tobytes() == Image.open(io.BytesIO(png(number))).tobytes()


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_a_table_in_another_order_is_not_what_was_asked(kind: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path, found = asked(evaluated(SOURCES[kind](tmp_path / "data"), tmp_path / "run"))
    assert not any(is_changed(one, path, by_content=True) for one in found)
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "data").mkdir()
    SOURCES[kind](tmp_path / "data", shade=lambda number: png(N - 1 - number))
    copied = kind == "inline"
    assert [is_changed(one, path, by_content=True) for one in found] == [not copied and k != 2 for k in range(N)]
    assert not any(is_changed(one, path, by_content=False) for one in found)


def test_a_finished_run_writes_them_once(tmp_path: Path) -> None:
    data = paths(tmp_path)
    run = evaluated(data, tmp_path / "run")
    path, _ = asked(run)
    written, results = path.stat().st_ino, content(run)
    evaluated(data, run)
    other = rescore(run, "lmms-eval")["folder"]
    assert (asked(other)[0].resolve(), path.stat().st_ino) == (path, written)
    path.unlink()  # as a run of an older version has it
    evaluated(data, run)
    assert len(asked(run)[1]) == N
    assert content(run) == results


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_a_run_over_data_that_were_moved_finds_their_pictures(kind: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = SOURCES[kind](tmp_path / "data")
    run = evaluated(data, tmp_path / "run")
    path, _ = asked(run)
    written, results = path.stat().st_ino, content(run)
    assert asked(evaluated(data, run))[0].stat().st_ino == written
    (tmp_path / "data").rename(tmp_path / "moved")
    evaluated(tmp_path / "moved" / data.relative_to(tmp_path / "data"), run)
    path, found = asked(run)
    for number, one in enumerate(found):
        assert picture(one.pictures[0], path).open().tobytes() == Image.open(io.BytesIO(png(number))).tobytes()
    assert (path.stat().st_ino == written) == (kind == "inline")
    assert content(run) == results


def test_several_pictures_are_kept_once_for_neighbours() -> None:
    kept: list[bytes] = []
    shown = ImageHandle(Image.new("RGB", (4, 4)))
    lines_ = Lines(kept.append)
    for number in range(3):
        sample = Sample(id=f"{number}", group_id="g", ability="understanding", prompt="?", images=(shown, shown))
        one = StoredSample.model_validate_json(lines_.line(sample, b"", b""))
        assert one.pictures == (Reference(part=(0, len(kept[0]))),) * 2
    assert len(kept) == 1


def test_a_picture_that_is_gone_or_never_was_says_so(tmp_path: Path) -> None:
    sample = Sample(id="a", group_id="a", ability="understanding", prompt="\ud800?", images=(ImageHandle(b""),))
    one = StoredSample.model_validate_json(Lines(bytes).line(sample, b"", b""))
    assert one.prompt == "??"
    assert one.pictures[0].missing
    data = parquet(tmp_path)
    path, found = asked(evaluated(data, tmp_path / "run"))
    data.unlink()
    with pytest.raises(Exception, match=r"rows\.parquet is no longer there"):
        picture(found[0].pictures[0], path).open()
