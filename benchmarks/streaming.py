"""Memory and time of whole commands by the number of samples: what streams stays level, what is stored is not redone.

    python benchmarks/streaming.py [--sizes 1000 20000 200000] [--repeats 3] [--against FOLDER] [--parquet]

Made-up VQAv2 rows with ten answers each, the null model, and three commands, each in a process of its own:
`hermes eval`, the same again, and `hermes score --protocol lmms-eval`. Beside them the reference: a plain loop that
reads the files of the run once, rows, answers and scores, and parses every line with json. The rows are JSON lines with
pictures by path; with ``--parquet`` a file as the hub has it, with a picture of some 30 KB in every row.

Microseconds are user CPU time, the least of the repeats, of the samples beyond the smallest size, so that start-up is
not in them. ``--against`` runs another checkout of Hermes in turn with this one and prints the ratios.
"""

import argparse
import io
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from PIL import Image

HERE = Path(__file__).resolve().parents[1]
PICTURES = 200
COMMON = (
    "yes",
    "no",
    "2",
    "1",
    "white",
    "red",
    "blue",
    "3",
    "green",
    "man",
    "tennis",
    "frisbee",
    "dog",
    "on the table",
)
KINDS = ("what color is the", "is the", "how many", "what is the", "are there", "where is")
GROUP = 1_000
READ = """
import json, sys
for path in sys.argv[1:]:
    if path.endswith(".parquet"):
        from pyarrow import parquet
        for batch in parquet.ParquetFile(path).iter_batches(1024):
            batch.to_pylist()
        continue
    with open(path, "rb") as file:
        for line in file:
            json.loads(line)
"""
STEPS = ("eval", "rerun", "score", "read")


class Cost(NamedTuple):
    """What one process took: seconds of user CPU time, and its peak resident memory in MB."""

    seconds: float
    memory: float

    def least(self, other: "Cost") -> "Cost":
        return Cost(min(self.seconds, other.seconds), min(self.memory, other.memory))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 20_000, 200_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parquet", action="store_true", help="rows in parquet instead of JSON lines")
    parser.add_argument("--against", type=Path, help="another checkout of Hermes")
    settings = parser.parse_args()
    versions = {"this": HERE} | ({"other": settings.against.resolve()} if settings.against else {})
    sizes = sorted(settings.sizes)
    costs: dict[tuple[str, str, int], Cost] = {}
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as other:
        for size in sizes:
            # Written in another process: the peak of a child counts from its parent's, which stays small so.
            data = other.submit(write_rows, Path(folder) / str(size), size, settings.parquet).result()
            for _ in range(settings.repeats):
                for version, checkout in versions.items():
                    for step, cost in measured(checkout, data):
                        key = (version, step, size)
                        costs[key] = cost.least(costs.get(key, cost))
    for version in versions:
        print(table(costs, version, sizes))
    if settings.against:
        print(ratios(costs, sizes))


def measured(checkout: Path, data: Path) -> Iterator[tuple[str, Cost]]:
    """The steps of one version over one file of rows, in a run folder that is removed afterwards."""
    run = data.parent.parent / "run"
    asked = ("-m", "hermes", "eval", "--model", "null", "--tasks", "vqav2", "--data", str(data.parent))
    for step in ("eval", "rerun"):
        yield step, cost_of(checkout, *asked, "--out", str(run), "--quiet")
    yield "read", cost_of(checkout, "-c", READ, str(data), *map(str, sorted(run.rglob("*.jsonl"))))
    yield "score", cost_of(checkout, "-m", "hermes", "score", str(run), "--protocol", "lmms-eval", "--quiet")
    shutil.rmtree(run)


def cost_of(checkout: Path, *arguments: str) -> Cost:
    """What a Python process with this checkout takes; its output is shown where it fails."""
    paths = os.pathsep.join(filter(None, (str(checkout), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as output:
        streams = [(os.POSIX_SPAWN_DUP2, output.fileno(), number) for number in (1, 2)]
        child = os.posix_spawn(sys.executable, [sys.executable, *arguments], environment, file_actions=streams)
        _, status, usage = os.wait4(child, 0)
        if status:
            output.seek(0)
            raise SystemExit(f"{' '.join(arguments)} fails: {output.read().decode(errors='replace')}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return Cost(usage.ru_utime, usage.ru_maxrss * unit / 1e6)


def table(costs: dict[tuple[str, str, int], Cost], version: str, sizes: Sequence[int]) -> str:
    """Peak memory by size, and microseconds a sample beyond the smallest size."""
    first, last = sizes[0], sizes[-1]
    lines = [f"{version:14}" + "".join(f"{f'{size:,} samples':>18}" for size in sizes) + f"{'us a sample':>14}"]
    for step in STEPS:
        found = [costs[version, step, size] for size in sizes]
        row = "".join(f"{f'{cost.seconds:.2f} s {cost.memory:4.0f} MB':>18}" for cost in found)
        lines.append(f"{step:14}{row}{each(costs, version, step, first, last):14.1f}")
    grown = max(costs[version, step, last].memory - costs[version, step, first].memory for step in STEPS[:3])
    again = each(costs, version, "rerun", first, last) / each(costs, version, "read", first, last)
    lines += [
        f"memory grows by at most {grown:.0f} MB; a rerun takes {again:.2f} times as long as reading the files",
        "",
    ]
    return "\n".join(lines)


def ratios(costs: dict[tuple[str, str, int], Cost], sizes: Sequence[int]) -> str:
    """This version's time a sample and growth of memory as parts of the other's."""
    first, last = sizes[0], sizes[-1]
    lines = [f"{'this / other':14}{'time a sample':>18}{'growth of memory':>18}"]
    for step in STEPS[:3]:
        time = each(costs, "this", step, first, last) / each(costs, "other", step, first, last)
        grown = [costs[one, step, last].memory - costs[one, step, first].memory for one in ("this", "other")]
        lines.append(f"{step:14}{time:18.2f}{grown[0] / grown[1]:18.3f}")
    return "\n".join(lines)


def each(costs: dict[tuple[str, str, int], Cost], version: str, step: str, first: int, last: int) -> float:
    """Microseconds of user time of each sample between two sizes."""
    return (costs[version, step, last].seconds - costs[version, step, first].seconds) / (last - first) * 1e6


def write_rows(folder: Path, size: int, parquet: bool) -> Path:
    """A folder ``rows`` with one file of rows, and with the pictures where the rows do not hold them; the file."""
    rng = random.Random(0)
    home = folder / "rows"
    home.mkdir(parents=True)
    pictures = [_jpeg(rng) for _ in range(PICTURES)]
    rows = (_row(number, rng) for number in range(size))
    if parquet:
        return _write_parquet(home / "vqav2.parquet", rows, pictures)
    for number, picture in enumerate(pictures):
        (home / f"{number}.jpg").write_bytes(picture)
    path = home / "vqav2.jsonl"
    with path.open("w") as file:
        for number, row in enumerate(rows):
            file.write(json.dumps({**row, "image": f"{number % PICTURES}.jpg"}) + "\n")
    return path


def _write_parquet(path: Path, rows: Iterator[dict[str, object]], pictures: Sequence[bytes]) -> Path:
    import pyarrow
    from pyarrow import parquet

    cells = (
        {**row, "image": {"bytes": pictures[number % PICTURES], "path": f"{number}.jpg"}}
        for number, row in enumerate(rows)
    )
    group = pyarrow.Table.from_pylist(list(islice(cells, GROUP)))
    with parquet.ParquetWriter(path, group.schema) as writer:
        while len(group):
            writer.write_table(group)
            group = pyarrow.Table.from_pylist(list(islice(cells, GROUP)), group.schema)
    return path


def _jpeg(rng: random.Random) -> bytes:
    """A noisy picture of about 30 KB."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (160, 120), rng.randbytes(160 * 120 * 3)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _row(number: int, rng: random.Random) -> dict[str, object]:
    agreed = rng.choice(COMMON)
    people = [agreed if rng.random() < 0.7 else rng.choice(COMMON) for _ in range(10)]
    return {
        "question_id": number,
        "image_id": number // 5,
        "question": f"What is thing {number}?",
        "question_type": rng.choice(KINDS),
        "answer_type": rng.choice(("yes/no", "number", "other")),
        "answers": [{"answer": one, "answer_confidence": "yes", "answer_id": k} for k, one in enumerate(people, 1)],
    }


if __name__ == "__main__":
    main()
