"""POPE at 3,000 rows, whole commands: `hermes eval` with the null model against lmms-eval with its dummy model.

    python benchmarks/pope_against_lmms_eval.py [--rows 3000] [--repeats 3]

Both read the same parquet file of 640 x 480 JPEGs, ask every question once, score it and write what was answered to
disk. lmms-eval runs its own POPE functions (the task file only points to the local rows). Needs the extra "lmms".
"""

import argparse
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lmms_eval
import pyarrow
from PIL import Image
from pyarrow import parquet

THINGS = ("dog", "cat", "car", "tree", "chair", "person", "boat", "horse")
SAMPLINGS = ("random", "popular", "adversarial")
TASK = """
task: pope_local
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: {rows}
test_split: test
output_type: generate_until
doc_to_visual: !function utils.pope_doc_to_visual
doc_to_text: !function utils.pope_doc_to_text
doc_to_target: answer
generation_kwargs: {{max_new_tokens: 128, temperature: 0, do_sample: false}}
process_results: !function utils.pope_process_results
metric_list:
  - {{metric: pope_accuracy, aggregation: !function utils.pope_aggregate_accuracy, higher_is_better: true}}
  - {{metric: pope_precision, aggregation: !function utils.pope_aggregate_precision, higher_is_better: true}}
  - {{metric: pope_recall, aggregation: !function utils.pope_aggregate_recall, higher_is_better: true}}
  - {{metric: pope_f1_score, aggregation: !function utils.pope_aggregate_f1_score, higher_is_better: true}}
  - {{metric: pope_yes_ratio, aggregation: !function utils.pope_aggregate_yes_ratio, higher_is_better: true}}
lmms_eval_specific_kwargs:
  default:
    pre_prompt: ""
    post_prompt: "\\nAnswer the question using a single word or phrase."
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--repeats", type=int, default=3)
    settings = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        write(folder, settings.rows)
        rounds = [(hermes(folder, number), lmms(folder, number)) for number in range(settings.repeats)]
    finally:
        shutil.rmtree(folder)
    ours, theirs = (statistics.median(side) for side in zip(*((a[0], b[0]) for a, b in rounds), strict=True))
    accuracies = {round(value, 9) for a, b in rounds for value in (a[1], b[1])}
    print(f"{settings.rows} rows, medians of {settings.repeats} runs in turn; accuracy of both: {accuracies}")
    print(
        f"hermes eval, null model: {ours:.1f} s   lmms-eval, dummy model: {theirs:.1f} s   ratio {theirs / ours:.1f}x"
    )


def write(folder: Path, rows: int) -> None:
    rng = random.Random(0)
    pictures = [picture(rng) for _ in range(50)]
    table = pyarrow.Table.from_pylist(
        [
            {
                "id": str(k),
                "question_id": str(k),
                "question": f"Is there a {rng.choice(THINGS)} in the image?",
                "answer": rng.choice(("yes", "no")),
                "image_source": f"picture_{k // 6}",
                "image": {"bytes": pictures[k // 6 % len(pictures)], "path": None},
                "category": SAMPLINGS[k % len(SAMPLINGS)],
            }
            for k in range(rows)
        ]
    )
    table = table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": {**PLAIN, "image": {"_type": "Image"}}}})}
    )
    parquet.write_table(table, folder / "pope.parquet", row_group_size=100)
    task = folder / "task"
    task.mkdir()
    (task / "pope_local.yaml").write_text(TASK.format(rows=folder / "pope.parquet"))
    shutil.copy(Path(lmms_eval.__file__).parent / "tasks/pope/utils.py", task)


PLAIN = {
    column: {"dtype": "string", "_type": "Value"}
    for column in ("id", "question_id", "question", "answer", "image_source", "category")
}


def picture(rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    small = Image.frombytes("RGB", (40, 30), rng.randbytes(40 * 30 * 3))
    small.resize((640, 480)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def timed(command: list[str]) -> float:
    begin = time.perf_counter()
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    subprocess.run(command, check=True, capture_output=True, env=os.environ | offline)
    return time.perf_counter() - begin


def hermes(folder: Path, number: int) -> tuple[float, float]:
    """(seconds, accuracy)."""
    out = folder / f"hermes-{number}"
    seconds = timed(
        [
            *(sys.executable, "-m", "hermes", "eval", "--model", "null", "--tasks", "pope", "--protocol", "lmms-eval"),
            *("--data", str(folder), "--out", str(out), "--quiet"),
        ]
    )
    results = json.loads((out / "results.json").read_text())
    return seconds, results["results"]["pope"]["metrics"]["accuracy"]["value"] / 100


def lmms(folder: Path, number: int) -> tuple[float, float]:
    """(seconds, accuracy)."""
    out = folder / f"lmms-{number}"
    seconds = timed(
        [
            *(sys.executable, "-m", "lmms_eval", "--model", "dummy", "--model_args", "response=yes"),
            *("--tasks", "pope_local", "--include_path", str(folder / "task"), "--batch_size", "64"),
            *("--output_path", str(out), "--log_samples"),
        ]
    )
    [results] = out.rglob("*_results.json")
    return seconds, json.loads(results.read_text())["results"]["pope_local"]["pope_accuracy,none"]


if __name__ == "__main__":
    main()
