"""Settings, stop strings and pictures of lmms-eval's requests."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermes.evaluators.lmms.requests import cut, generation_config, pictures
from hermes.harness.system.errors import HermesError

GREY = Image.new("RGB", (4, 4))


@pytest.mark.parametrize(
    ("kwargs", "temperature"),
    [
        ({}, 0),
        ({"temperature": 0.7}, 0.7),
        ({"temperature": 0}, 0),
        ({"temperature": 0.7, "do_sample": True}, 0.7),
        ({"temperature": 0.7, "do_sample": False}, 0),
        ({"do_sample": True}, None),
        ({"do_sample": False, "until": ["\n\n"]}, 0),
    ],
)
def test_a_task_is_answered_greedily_unless_it_asks_for_sampling(
    kwargs: dict[str, Any], temperature: float | None
) -> None:
    assert generation_config(kwargs).temperature == temperature


def test_the_other_settings() -> None:
    config = generation_config({"max_new_tokens": 16, "top_k": 5, "top_p": 1.0, "num_beams": 1}, repeats=3)
    assert (config.max_new_tokens, config.top_k, config.num_images) == (16, 5, 3)
    assert generation_config({"top_k": 0}).model_dump(exclude_none=True) == {
        "temperature": 0,
        "num_images": 1,
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("until", "left"),
    [
        (["\n\n"], "Yes. A: no\nB"),
        ("A", "Yes. "),
        (["B", "A", ""], "Yes. "),
        (["Yes"], ""),
        ([], "Yes. A: no\nB\n\nYes"),
        (None, "Yes. A: no\nB\n\nYes"),
    ],
)
def test_an_answer_ends_at_the_first_stop_string(until: Any, left: str) -> None:
    assert cut("Yes. A: no\nB\n\nYes", {"until": until}) == left


def test_pictures_are_images_and_image_files() -> None:
    assert pictures([GREY, "photos/a.JPG"], "here") == [GREY, Path("photos/a.JPG")]
    assert pictures(None, "here") == []


@pytest.mark.parametrize(
    ("visual", "kind"),
    [("clip.mp4", "video or sound"), ({"array": [], "sampling_rate": 1}, "video or sound"), (b"...", "bytes")],
)
def test_what_is_no_picture_is_named(visual: Any, kind: str) -> None:
    with pytest.raises(HermesError, match=f"task 7: this task shows a {kind}"):
        pictures([GREY, visual], "task 7")
