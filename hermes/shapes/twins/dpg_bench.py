"""The twin of DPG-Bench: sixty dense captions with the propositions of their scenes."""

import random
from functools import partial
from itertools import islice

from hermes.harness.contracts.benchmark import Row, Twin
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes.captions import dense
from hermes.shapes.questions import propositions
from hermes.shapes.scene import scenes

ITEMS = 60


def twin(name: str) -> Twin:
    """The twin of DPG-Bench."""
    return Twin(partial(rows, name), ITEMS, judge="oracle")


def rows(name: str, split: Split, seed: int) -> list[Row]:
    """One row a proposition, after one without text, which is no item: the official script skips the first row."""
    found: list[Row] = []
    for number, scene in enumerate(islice(scenes(split, seed, name), ITEMS)):
        caption = dense(scene, random.Random(derive_seed(seed, split, name, number)))
        for place, claim in enumerate(propositions(scene), 1):
            found.append(
                {
                    "item_id": f"shapes_{number:03d}",
                    "text": caption,
                    "keywords": ", ".join(sorted({obj.name for obj in scene.objects})),
                    "proposition_id": place,
                    "dependency": ",".join(map(str, claim.dependencies)) or "0",
                    "category_broad": claim.category,
                    "category_detailed": claim.tuple_text.partition(" - ")[2].partition(" (")[0],
                    "tuple": claim.tuple_text,
                    "question_natural_language": claim.question,
                }
            )
    return [dict.fromkeys(found[0], "") | {"proposition_id": 1, "dependency": "0"}, *found]
