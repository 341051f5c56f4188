"""A model without weights, of any number of layers: what a plan measures instead of the model itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hermes.harness.models.source import Source
from hermes.harness.system import hub

if TYPE_CHECKING:
    from torch import nn

Side = Literal["text", "image", "again"]
"""Texts, pictures, and pictures that are drawn again, behind what is seen of them, of a model that `reconstructs`."""


@dataclass(frozen=True)
class Blank:
    """What training sees of a model, with weights that may have shapes alone.

    ``batch(side, pairs, tokens)`` is what ``module`` reads of so many pairs, a winner and a loser each, whose texts
    have so many tokens. None in place of ``recompute_activations``: the model keeps activations always.
    """

    module: "nn.Module"
    network: "nn.Module"
    batch: Callable[[Side, int, int], Any]
    recompute_activations: Callable[[bool], None] | None = None


@dataclass(frozen=True)
class Outline:
    """A model from its settings files alone. ``build(n)`` makes a `Blank` of n of its ``layers`` alike layers.

    ``codes``: tokens of a picture. ``steps``: forward passes over all of them that one takes; 0: one code at a time.
    """

    layers: int
    build: Callable[[int], Blank]
    codes: int
    steps: int = 0


def settings_file(source: Source, name: str = "config.json") -> Path | None:
    """A checkpoint's settings file, without its weights; None where the hub does not give it."""
    if source.local:
        path = Path(source.name).expanduser() / name
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download

    hub.unreachable()
    try:
        return Path(hf_hub_download(source.name, name, revision=source.revision))
    except Exception:  # the hub's client raises many kinds; loading says what is wrong
        return None
