"""The twins' gold answers are those of the drawn scenes, as an independent reader of the pictures finds them."""

import ast
from string import ascii_uppercase

import pytest
from asked import twin_rows

from hermes.evaluators.gqa import GQA
from hermes.evaluators.mme import MME
from hermes.evaluators.mmmu import MMMU
from hermes.evaluators.pope import POPE
from hermes.evaluators.vqav2 import VQAv2
from hermes.harness.contracts.published import MME_SUFFIX
from hermes.shapes.parse import parse
from hermes.shapes.questions import answer


def gold(name, row):
    if name == "vqav2":
        return row["multiple_choice_answer"]
    if name == "mmmu" and row["question_type"] == "multiple-choice":
        return ast.literal_eval(row["options"])[ascii_uppercase.index(row["answer"])]
    return row["answer"].lower()


@pytest.mark.parametrize("benchmark", [POPE, MME, VQAv2, GQA, MMMU], ids=lambda one: one.name)
def test_the_pictures_give_the_gold_answers(benchmark):
    rows = twin_rows(benchmark)[::5]
    right = 0
    for row in rows:
        picture = row.get("image", row.get("image_1"))
        said = answer(row["question"].removesuffix(MME_SUFFIX), parse(picture).objects)
        right += said == gold(benchmark.name, row)
    assert right >= 0.97 * len(rows)
