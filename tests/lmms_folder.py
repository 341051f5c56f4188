"""A folder of lmms-eval tasks over pictures of the shapes world: POPE's own functions, and a task of our own."""

from pathlib import Path

from hermes.evaluators.pope import POPE
from hermes.shapes.twins import twin_of

ROWS = 24
UNTIL = [" and", "."]
POPE_FUNCTIONS = "lmms_eval.tasks.pope.utils"
METRICS = {
    "pope_accuracy": "accuracy",
    "pope_precision": "precision",
    "pope_recall": "recall",
    "pope_f1_score": "f1_score",
    "pope_yes_ratio": "yes_ratio",
}
POPE_LIKE = f"""
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: rows.parquet
task: shapes_pope
test_split: test
output_type: generate_until
doc_to_visual: !function {POPE_FUNCTIONS}.pope_doc_to_visual
doc_to_text: !function {POPE_FUNCTIONS}.pope_doc_to_text
doc_to_target: answer
generation_kwargs:
  max_new_tokens: 8
  temperature: 0
  do_sample: false
process_results: !function {POPE_FUNCTIONS}.pope_process_results
metric_list:
""" + "".join(
    f"""
  - metric: {metric}
    aggregation: !function {POPE_FUNCTIONS}.pope_aggregate_{function}
    higher_is_better: true
"""
    for metric, function in METRICS.items()
)
POPE_LIKE += """
lmms_eval_specific_kwargs:
  default:
    pre_prompt: ""
    post_prompt: "\\nAnswer the question using a single word or phrase."
metadata:
  version: 0.5
"""
WORDS = f"""
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: rows.parquet
task: shapes_words
test_split: test
output_type: generate_until
doc_to_visual: !function utils.picture
doc_to_text: Provide a one-sentence caption for the provided image.
doc_to_target: answer
repeats: 2
generation_kwargs:
  max_new_tokens: 16
  temperature: 1.5
  do_sample: true
  until: {UNTIL!r}
filter_list:
  - name: first
    filter:
      - function: take_first
  - name: both
    filter:
      - function: take_first_k
        k: 2
process_results: !function utils.process
metric_list:
  - metric: length
    aggregation: mean
    higher_is_better: true
  - metric: drawn
    aggregation: !function utils.draw
    higher_is_better: true
  - metric: kinds
    aggregation: !function utils.kinds
    higher_is_better: true
  - metric: submission
    aggregation: !function utils.submit
    higher_is_better: true
"""
UTILS = """
import json
import os
import random


def picture(doc):
    print("a task that prints")
    return [doc["image"]]


def two_pictures(doc):
    return [doc["image"], doc["image"].rotate(90)]


def sound(doc):
    return [{"array": [0.0], "sampling_rate": 16000}]


def process(doc, results):
    if "unreadable" in results:
        raise ValueError("this answer cannot be read")
    said = {"id": doc["question_id"], "text": results}
    return {"length": len(results[0]), "drawn": said, "kinds": said, "submission": said, "unknown": 1}


def draw(items):
    return random.random()


def kinds(items):
    return {"yes": 0.25, "no": 0.5, "name": "no number"}


def submit(items, args):
    folder = os.path.join(args.output_path, "submissions")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "answers.json"), "w") as file:
        json.dump([item["text"] for item in items], file)
"""
PAIRS = """
include: words.yaml
task: shapes_pairs
doc_to_visual: !function utils.two_pictures
"""
SOUND = PAIRS.replace("shapes_pairs", "shapes_sound").replace("two_pictures", "sound")
GROUP = """
group: shapes_group
task:
  - shapes_pope
  - shapes_words
"""
LIKELIHOOD = POPE_LIKE.replace("task: shapes_pope", "task: shapes_choice").replace("generate_until", "multiple_choice")
VIDEO = POPE_LIKE.replace("task: shapes_pope", "task: shapes_video").replace(
    "dataset_kwargs:", "dataset_kwargs:\n  video: true\n  cache_dir: videos"
)
LOST = WORDS.replace("task: shapes_words", "task: shapes_lost").replace(
    "dataset_path: parquet", "dataset_path: no/such"
)
LOST = LOST.replace("dataset_kwargs:\n  data_files:\n    test: rows.parquet\n", "")


def write_tasks(folder: Path, rows: int = ROWS) -> Path:
    """The folder with its parquet file, YAML files and functions."""
    import datasets

    made = [
        {key: row[key] for key in ("question_id", "question", "answer", "image", "category", "image_source")}
        for row in twin_of(POPE).rows("test", 0)[:rows]
    ]
    columns = {key: [row[key] for row in made] for key in made[0]}
    table = datasets.Dataset.from_dict(columns)
    folder.mkdir(parents=True, exist_ok=True)
    table.cast_column("image", datasets.Image()).to_parquet(folder / "rows.parquet")
    files = {
        "pope": POPE_LIKE,
        "words": WORDS,
        "pairs": PAIRS,
        "group": GROUP,
        "choice": LIKELIHOOD,
        "video": VIDEO,
        "sound": SOUND,
        "lost": LOST,
    }
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "utils.py").write_text(UTILS)
    return folder
