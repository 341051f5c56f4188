"""The oracle judges the drawn world, and whatever asks for its shapes; anything else is refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Command = Callable[..., Any]
CIRCLE = {"tag": "single_object", "include": [{"class": "circle", "count": 1}], "prompt": "a photo of a circle"}
DOG = {"tag": "single_object", "include": [{"class": "dog", "count": 1}], "prompt": "a photo of a dog"}
NO_DOG = CIRCLE | {"exclude": [{"class": "dog", "count": 1}]}
QUESTION = {"question": "Is there a dog?", "answer": "yes", "kind": "exists"}
ITEM = {"id": "a", "caption": "a dog", "questions": [QUESTION]}


def write(name: str, *rows: dict[str, Any]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("task", "row", "strange"),
    [
        ("geneval", DOG, "'dog' (geneval 00000)"),
        ("geneval", NO_DOG, "'dog' (geneval 00000)"),
        ("homologous-g", ITEM, "'Is there a dog?' (homologous-g a)"),
        ("tifa", {**ITEM, "questions": [{**QUESTION, "choices": ["yes", "no"]}]}, "'Is there a dog?' (tifa a)"),
    ],
)
def test_other_worlds_are_refused_before_anything_is_drawn(
    task: str, row: dict[str, Any], strange: str, command: Command
) -> None:
    write("rows.jsonl", row)
    said = command("eval", "--model", "null", "--tasks", task, "--data", "rows.jsonl", "--judge", "oracle")
    assert said.code == 2
    assert said.err == (
        f"hermes: judge 'oracle' knows nothing of {strange}; choose another --judge, `hermes list judges` shows all\n"
    )
    assert not Path("runs").exists()


def test_images_of_other_worlds_are_refused(command: Command) -> None:
    write("rows.jsonl", {"id": "x", **DOG})
    Path("images").mkdir()
    Image.new("RGB", (8, 8)).save("images/x.png")
    score = ("score", "--task", "geneval", "--data", "rows.jsonl", "--responses", "images", "--judge", "oracle")
    said = command(*score, "--pic-num", "1")
    assert said.code == 2
    assert "judge 'oracle' knows nothing of 'dog'" in said.err


def test_files_about_its_shapes_are_judged(command: Command) -> None:
    write("rows.jsonl", CIRCLE)
    run = ("eval", "--model", "null", "--tasks", "geneval", "--data", "rows.jsonl", "--judge", "oracle", "--quiet")
    assert command(*run).code == 0


def test_a_critic_is_refused_before_the_model_is_loaded(command: Command) -> None:
    for k in range(20):
        Image.new("RGB", (8, 8), (9 * k, 0, 0)).save(f"{k}.png")
    write("items.jsonl", *({**ITEM, "id": str(k), "image": f"{k}.png"} for k in range(20)))
    said = command("align", "--model", "hermes-tiny", "--data", "items.jsonl", "--items", 4, "--critic", "oracle")
    assert said.code == 2
    assert "judge 'oracle' knows nothing of 'Is there a dog?'" in said.err
