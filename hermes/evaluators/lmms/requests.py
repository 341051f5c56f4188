"""What a request of lmms-eval means in Hermes: settings, stop strings and pictures; the same in both directions."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from hermes.harness.records.types import GenerationConfig
from hermes.harness.system.errors import HermesError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def generation_config(kwargs: Mapping[str, Any], repeats: int = 1) -> GenerationConfig:
    """A task's ``generation_kwargs`` as settings; ``repeats`` answers are drawn for each document.

    As lmms-eval's own models do, a task that names no temperature, or ``do_sample: false``, is answered greedily.
    ``num_beams`` and ``top_p`` have no counterpart here and change nothing.
    """
    temperature, sampling = kwargs.get("temperature"), kwargs.get("do_sample")
    if sampling is False or (temperature is None and not sampling):
        temperature = 0.0
    return GenerationConfig(
        max_new_tokens=kwargs.get("max_new_tokens"),
        temperature=temperature,
        top_k=kwargs.get("top_k") or None,
        num_images=repeats,
    )


def cut(text: str, kwargs: Mapping[str, Any]) -> str:
    """The text before the first of the task's ``until`` strings.

    Where a task names none, lmms-eval itself puts a blank line there (api/task.py), and it is kept to.
    """
    until = kwargs.get("until") or ()
    for stop in [until] if isinstance(until, str) else until:
        if stop:
            text = text.split(stop)[0]
    return text


def pictures(visuals: Iterable[Any] | None, where: str) -> list[Any]:
    """What a task's ``doc_to_visual`` gave, as sources of images: PIL images and paths of image files.

    Raises HermesError for a video, a sound or anything else that a Hermes model cannot look at.
    """
    found: list[Any] = []
    for visual in visuals or ():
        if isinstance(visual, str) and visual.lower().endswith(PICTURES):
            found.append(Path(visual))
        elif isinstance(visual, Image.Image):
            found.append(visual)
        else:
            kind = "video or sound" if isinstance(visual, str | dict) else type(visual).__name__
            raise HermesError(f"{where}: this task shows a {kind}; Hermes models look at images, choose another task")
    return found
