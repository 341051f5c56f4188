"""Peak memory and time of a whole VQAv2 run (214,354 questions in parquet shards) with a model that opens every image.

    python benchmarks/vqav2_memory.py [--rows 214354] [--folder DIR]

The questions and pictures are made up, the columns and the file format are those of the hub: one copy of the picture in
every row, 1,000 rows a row group. The model does nothing but decode, so what is measured is the harness.
"""

import argparse
import io
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow
from PIL import Image
from pyarrow import parquet

from hermes.harness.models.null import NullModel
from hermes.harness.runner import evaluate
from hermes.harness.settings import EvalSettings
from hermes.harness.types import Request

ANSWERS = ("yes", "no", "2", "red", "a dog", "frisbee", "on the table", "1", "white", "tennis")
SHARD = 20_000


class OpeningModel(NullModel):
    """Decodes every image it is asked about and answers "yes"."""

    def understand(self, requests: Sequence[Request]) -> list[str]:
        return ["yes" if request.images[0].open().width else "no" for request in requests]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=214_354)
    parser.add_argument("--folder", type=Path, help="keep the data here")
    settings = parser.parse_args()
    folder = settings.folder or Path(tempfile.mkdtemp())
    try:
        size = write(folder / "vqav2", settings.rows)
        begin = time.perf_counter()
        content = evaluate(
            EvalSettings(model="null", tasks=("vqav2",), data=str(folder), batch_size=256, out=folder / "run"),
            model=OpeningModel(),
        )
        seconds = time.perf_counter() - begin
        print(f"{settings.rows} questions, {size / 2**30:.2f} GiB of parquet")
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB, {seconds:.0f} s")
        print({stage: round(taken, 1) for stage, taken in content["seconds"].items()})
    finally:
        if settings.folder is None:
            shutil.rmtree(folder)


def write(folder: Path, rows: int) -> int:
    """The shards; returns their size in bytes."""
    rng = random.Random(0)
    pictures = [_jpeg(rng) for _ in range(200)]
    folder.mkdir(parents=True, exist_ok=True)
    for begin in range(0, rows, SHARD):
        path = folder / f"validation-{begin // SHARD:05d}-of-{-(-rows // SHARD):05d}.parquet"
        if not path.exists():
            table = pyarrow.Table.from_pylist([_row(k, rng, pictures) for k in range(begin, min(begin + SHARD, rows))])
            parquet.write_table(table, path, row_group_size=1000)
    return sum(path.stat().st_size for path in folder.iterdir())


def _row(number: int, rng: random.Random, pictures: Sequence[bytes]) -> dict[str, object]:
    people = [rng.choice(ANSWERS) for _ in range(10)]
    return {
        "question_type": "what is",
        "multiple_choice_answer": people[0],
        "answers": [
            {"answer": answer, "answer_confidence": rng.choice(("yes", "maybe", "no")), "answer_id": k + 1}
            for k, answer in enumerate(people)
        ],
        "image_id": number // 5,
        "answer_type": rng.choice(("yes/no", "number", "other")),
        "question_id": number,
        "question": f"What is thing {number}?",
        "image": {"bytes": rng.choice(pictures), "path": None},
    }


def _jpeg(rng: random.Random) -> bytes:
    """A noisy picture of about 30 KB."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (160, 120), rng.randbytes(160 * 120 * 3)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
