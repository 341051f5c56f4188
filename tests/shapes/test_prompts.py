"""GenEval prompts in the shapes world: the metadata's format, and scenes that meet it."""

import json
import random
from pathlib import Path

import pytest

from hermes.harness.records.types import Split
from hermes.harness.system.errors import HermesError
from hermes.shapes.captions import photo
from hermes.shapes.prompts import TAGS, geneval_prompt, geneval_scene
from hermes.shapes.scene import SHAPES, Scene, split_of

REAL = Path(__file__).parents[3] / "shared/realdata/geneval/evaluation_metadata.jsonl"


def center(shape: str, scene: Scene) -> tuple[float, float]:
    return next((obj.x, obj.y) for obj in scene.objects if obj.shape == shape)


@pytest.mark.parametrize("tag", TAGS)
def test_scenes_meet_the_metadata_with_nothing_left_over(tag: str) -> None:
    rng = random.Random(1)
    for _ in range(300):
        wanted = geneval_prompt(tag, rng)
        scene = geneval_scene(wanted, rng)
        assert len(scene.objects) == sum(entry["count"] for entry in wanted["include"])
        for entry in wanted["include"]:
            found = [obj for obj in scene.objects if obj.shape == entry["class"]]
            assert len(found) == entry["count"]
            assert "color" not in entry or found[0].color == entry["color"]
        for entry in wanted.get("exclude", []):
            assert sum(obj.shape == entry["class"] for obj in scene.objects) < entry["count"]


def test_positions_are_clear() -> None:
    rng = random.Random(2)
    for _ in range(300):
        wanted = geneval_prompt("position", rng)
        scene = geneval_scene(wanted, rng)
        anchor, target = wanted["include"]
        relation, index = target["position"]
        assert index == 0
        (ax, ay), (tx, ty) = center(anchor["class"], scene), center(target["class"], scene)
        along, across = (tx - ax, ty - ay) if relation in ("left of", "right of") else (ty - ay, tx - ax)
        assert along * (-1 if relation in ("left of", "above") else 1) > 10
        assert abs(along) > abs(across) - 7


@pytest.mark.parametrize("tag", TAGS)
def test_a_true_scene_has_the_prompt_among_its_templates(tag: str) -> None:
    rng = random.Random(3)
    for _ in range(20):
        wanted = geneval_prompt(tag, rng)
        scene = geneval_scene(wanted, rng)
        if tag != "position":
            assert wanted["prompt"] in {photo(scene, rng) for _ in range(200)}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_color_attr_prompts_are_compositions_of_the_split(split: Split) -> None:
    rng = random.Random(4)
    for _ in range(200):
        first, second = geneval_prompt("color_attr", rng, split)["include"]
        assert first["class"] != second["class"]
        names = sorted(f"{entry['color']} {entry['class']}" for entry in (first, second))
        assert split_of(" + ".join(names)) == split


def test_an_unknown_task_names_the_tasks() -> None:
    with pytest.raises(HermesError, match="single_object"):
        geneval_prompt("size", random.Random(0))


@pytest.mark.skipif(not REAL.exists(), reason="the real metadata is not here")
@pytest.mark.parametrize("tag", TAGS)
def test_the_metadata_has_the_form_of_the_real_one(tag: str) -> None:
    real = next(row for row in map(json.loads, REAL.read_text().splitlines()) if row["tag"] == tag)
    ours = geneval_prompt(tag, random.Random(5))
    assert set(ours) == set(real)
    assert [set(entry) for entry in ours["include"]] == [set(entry) for entry in real["include"]]
    assert json.loads(json.dumps(ours)) == ours
    assert all(entry["class"] in SHAPES for entry in ours["include"])
