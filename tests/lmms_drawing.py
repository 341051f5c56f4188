"""A folder of lmms-eval's own drawing tasks over a few rows of our own: same YAML, same functions, same columns."""

from pathlib import Path

from hermes.evaluators.pope import POPE
from hermes.shapes.twins import twin_of

WISE = (
    """
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: wise.parquet
task: few_of_wise
test_split: test
output_type: generate_until
doc_to_visual: !function {functions}.wise_doc_to_visual
doc_to_text: !function {functions}.wise_doc_to_text
doc_to_target: !function {functions}.wise_doc_to_target
generation_kwargs:
  max_new_tokens: 64
  temperature: 0
process_results: !function {functions}.wise_process_results
metric_list:
""".replace("{functions}", "lmms_eval.tasks.WISE.utils")
    + "".join(
        f"""
  - metric: WISE_{name}
    aggregation: !function lmms_eval.tasks.WISE.utils.wise_aggregate_{name.removesuffix("_score")}
    higher_is_better: true
"""
        for name in ("culture_score", "time_score", "space_score", "overall_wiscore")
    )
)
IMGEDIT = """
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: imgedit.parquet
task: few_of_imgedit
test_split: test
output_type: generate_until
doc_to_visual: !function {functions}.imgedit_doc_to_visual
doc_to_text: !function {functions}.imgedit_doc_to_text
doc_to_target: prompt
process_results: !function {functions}.imgedit_process_results
metric_list:
  - metric: imgedit_score1
    aggregation: !function {functions}.imgedit_aggregate_score
    higher_is_better: true
  - metric: imgedit_avg_score
    aggregation: !function {functions}.imgedit_aggregate_avg_score
    higher_is_better: true
""".replace("{functions}", "lmms_eval.tasks.imgedit.utils")
BOTH = """
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: wise.parquet
task: few_of_both
test_split: test
output_type: generate_until
doc_to_visual: !function both.visual
doc_to_text: !function both.text
doc_to_target: Explanation
process_results: !function both.process
metric_list:
  - metric: length
    aggregation: mean
    higher_is_better: true
  - metric: side
    aggregation: mean
    higher_is_better: true
"""
BOTH_FUNCTIONS = """
import json

from PIL import Image


def visual(doc):
    return []


def text(doc):
    return doc["Prompt"]


def process(doc, results):
    pred = json.loads(results[0])
    model_text = pred.get("text", "")
    model_images = pred.get("images", [])
    return {"length": len(model_text), "side": Image.open(model_images[0]).width}
"""
WORDS = """
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: imgedit.parquet
task: few_words
test_split: test
output_type: generate_until
doc_to_visual: !function lmms_eval.tasks.imgedit.utils.imgedit_doc_to_visual
doc_to_text: prompt
doc_to_target: prompt
process_results: !function words.process
metric_list:
  - metric: liked
    aggregation: mean
    higher_is_better: true
"""
WORDS_FUNCTIONS = """
import os

import requests


def process(doc, results):
    try:
        reply = requests.post(os.environ["WORDS_URL"] + "/chat/completions", json={"said": results[0]}, timeout=5)
        reply.raise_for_status()
        return {"liked": float(reply.json()["choices"][0]["message"]["content"])}
    except Exception:
        return {"liked": 0.0}
"""
PROMPTS = (
    (1, "a red circle", "CULTURE"),
    (2, "a blue square and a white cross", "CULTURE"),
    (3, "a green diamond left of a pink circle", "CULTURE"),
    (401, "two black triangles", "TIME"),
)


def write_drawing_tasks(folder: Path) -> Path:
    """The folder with parquet files, YAML files and functions."""
    import datasets

    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "Prompt": [prompt for _, prompt, _ in PROMPTS],
        "Explanation": [f"the picture shows {prompt}" for _, prompt, _ in PROMPTS],
        "Category": [category for _, _, category in PROMPTS],
        "Subcategory": ["shapes"] * len(PROMPTS),
        "prompt_id": [number for number, _, _ in PROMPTS],
    }
    datasets.Dataset.from_dict(columns).to_parquet(folder / "wise.parquet")
    twin = twin_of(POPE)
    assert twin is not None
    edits = {
        "image": [row["image"] for row in twin.rows("test", 0)[:60:59]],
        "prompt": ["make the circle blue", "make the square red"],
        "key": ["a", "b"],
        "edit_type": ["adjust", "replace"],
    }
    table = datasets.Dataset.from_dict(edits).cast_column("image", datasets.Image())
    table.to_parquet(folder / "imgedit.parquet")
    for name, text in {"wise": WISE, "imgedit": IMGEDIT, "both": BOTH, "words": WORDS}.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "both.py").write_text(BOTH_FUNCTIONS)
    (folder / "words.py").write_text(WORDS_FUNCTIONS)
    return folder
