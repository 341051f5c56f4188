"""Our prompts are lmms-eval's, letter by letter: its own doc_to_text functions are asked about the same documents."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from asked import PICTURE, scored

from hermes.evaluators.flickr30k import Flickr30k
from hermes.evaluators.gqa import GQA
from hermes.evaluators.lmms.tasks import as_lmms_eval
from hermes.evaluators.mme import MME
from hermes.evaluators.mmmu import MMMU
from hermes.evaluators.pope import POPE
from hermes.evaluators.vqav2 import VQAv2

if find_spec("lmms_eval") is None:
    pytest.skip("lmms-eval is not installed", allow_module_level=True)

pytestmark = pytest.mark.slow

YAML = {
    "pope": "pope/pope.yaml",
    "mme": "mme/mme.yaml",
    "vqav2": "vqav2/vqav2_val.yaml",
    "gqa": "gqa/gqa.yaml",
    "mmmu": "mmmu/mmmu_val.yaml",
    "flickr30k": "flickr30k/flickr30k_test.yaml",
}
QUESTIONS = ("Is there a cat?", "  What is\n\nthis?  ", "Où est-il? <image 1>")
POPE_ROW = {"question_id": "1", "answer": "yes", "image_source": "a", "category": "random"}
VQA_ROW = {
    "question_id": 1,
    "image_id": 1,
    "question_type": "what",
    "answer_type": "other",
    "multiple_choice_answer": "cat",
    "answers": [{"answer": "cat", "answer_confidence": "yes", "answer_id": k} for k in range(1, 11)],
}
GQA_ROW = {"imageId": "1", "answer": "cat", "fullAnswer": "A cat.", "isBalanced": True}
MMMU_ROW = {"answer": "A", "topic_difficulty": "Easy", "subfield": "Art", "img_type": "['Photo']", "explanation": ""}
FLICKR_ROW = {"caption": ["a cat"] * 5, "sentids": list("12345"), "img_id": "1", "filename": "1.jpg"}
PAGES = {f"image_{k}": PICTURE if k == 1 else None for k in range(1, 8)}


def template(name: str) -> Any:
    """lmms-eval's configuration of a task, its functions imported."""
    tasks = Path(find_spec("lmms_eval").origin).parent / "tasks"  # type: ignore[union-attr,arg-type]
    with as_lmms_eval():
        return import_module("lmms_eval.utils").load_yaml_config(str(tasks / YAML[name]), mode="full")


def theirs(name: str, doc: dict[str, Any]) -> str:
    config = template(name)
    kwargs = config.get("lmms_eval_specific_kwargs")
    prompt: str = config["doc_to_text"](doc, kwargs["default"]) if kwargs else config["doc_to_text"](doc)
    return prompt


CASES: list[tuple[str, Any, dict[str, Any]]] = [
    *(("pope", POPE, {"id": "1", "question": text, **POPE_ROW}) for text in QUESTIONS),
    *(
        ("mme", MME, {"question_id": "a/1.png", "question": text, "answer": "Yes", "category": "OCR"})
        for text in (*QUESTIONS, "Is this a cat? Please answer yes or no.")
    ),
    *(("vqav2", VQAv2, {"question": text, **VQA_ROW}) for text in QUESTIONS),
    *(("gqa", GQA, {"id": "1", "question": text, **GQA_ROW}) for text in QUESTIONS),
    *(
        ("mmmu", MMMU, {"id": "validation_Art_1", "question": text, "options": options, **kind, **MMMU_ROW})
        for text in QUESTIONS
        for options, kind in (
            ("['a cat', '<image 2>', 'None']", {"question_type": "multiple-choice"}),
            ("[]", {"question_type": "open"}),
        )
    ),
    ("flickr30k", Flickr30k, FLICKR_ROW),
]


@pytest.mark.parametrize(("name", "evaluator", "row"), CASES)
def test_prompts_are_theirs(name: str, evaluator: Any, row: dict[str, Any]) -> None:
    (sample,) = evaluator().samples([{**row, "image": PICTURE, **(PAGES if name == "mmmu" else {})}])
    assert sample.prompt == theirs(name, row)


@pytest.mark.parametrize("name", ["pope", "mme", "vqav2", "gqa", "mmmu", "flickr30k"])
def test_lengths_and_temperature_are_theirs(name: str) -> None:
    from hermes.evaluators.lmms.requests import generation_config
    from hermes.harness.system import registry

    own = registry.load_class("evaluators", name).config
    asked = generation_config(template(name)["generation_kwargs"])
    assert (own.max_new_tokens, own.temperature) == (asked.max_new_tokens, asked.temperature)


REPLIES = ("yes", "Yes", " NO\n", "Yes.", "no, it is not", "No", "maybe", "", "yes, there is", "NO", "not")
DISAGREE = {
    ("Yes.", "yes"),
    ("no, it is not", "no"),
    ("maybe", "yes"),
    ("", "yes"),
    ("yes, there is", "yes"),
    ("not", "no"),
    *((reply, label) for reply in (" NO\n", "NO") for label in ("yes", "no")),
}


def test_pope_differs_from_lmms_eval_only_where_it_says_so() -> None:
    """Under lmms-eval's protocol nothing differs. The official script reads sentences where lmms-eval wants the bare
    word, takes what names neither word for a yes, and knows no 'NO'."""
    with as_lmms_eval():
        functions = import_module("lmms_eval.tasks.pope.utils")
    rows = [
        {**POPE_ROW, "id": str(k), "question_id": str(k), "question": "?", "answer": label, "image": PICTURE}
        for k, (_, label) in enumerate((reply, label) for reply in REPLIES for label in ("yes", "no"))
    ]
    replies = [reply for reply in REPLIES for _ in range(2)]
    said = [functions.pope_process_results(row, [text.strip()]) for row, text in zip(rows, replies, strict=True)]
    theirs = [item["pope_accuracy"]["score"] for item in said]
    ours, metrics = scored(POPE(), rows, replies, "lmms-eval")
    assert [score.values["correct"] for score in ours] == theirs
    for name in ("accuracy", "precision", "recall", "f1_score", "yes_ratio"):
        expected = getattr(functions, f"pope_aggregate_{name}")([item[f"pope_{name}"] for item in said])
        assert metrics[name.removesuffix("_score")] == pytest.approx(100 * expected)
    official, _ = scored(POPE(), rows, replies, "official")
    found = {
        (reply, row["answer"])
        for reply, row, score, right in zip(replies, rows, official, theirs, strict=True)
        if score.values["correct"] != right
    }
    assert found == DISAGREE
