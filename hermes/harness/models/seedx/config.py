"""What a SEED-X checkpoint's tensors do not tell: heads, sizes of pictures, grids, how its prompts are laid out.

The authors keep these in YAML files of their repository (AILab-CVC/SEED-X commit 420d347, configs/), which give the
defaults here; a config.json beside the weights has the same names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from hermes.harness.models.seedx.places import NAME
from hermes.harness.models.seedx.prompting import Style
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

GRIDS = ((1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (1, 4), (4, 1), (2, 2))
WHOLE = ((1, 1),)


@dataclass(frozen=True)
class Settings:
    """``side``: pixels of a tile; ``grids``: (columns, rows) of tiles; heads of the vision encoder, of both resamplers
    and of the detokeniser's.
    """

    style: Style
    side: int = 448
    grids: tuple[tuple[int, int], ...] = GRIDS
    vision_heads: int = 16
    input_heads: int = 32
    output_heads: int = 32
    condition_heads: int = 16

    @property
    def seen_grids(self) -> tuple[tuple[int, int], ...]:
        """The grids that pictures are seen in: the editing model sees them whole."""
        return WHOLE if self.style == "edit" else self.grids

    def as_json(self) -> dict[str, Any]:
        """What ``read_settings`` reads."""
        return {
            "model_type": NAME,
            "style": self.style,
            "base_resolution": self.side,
            "resolution_grids": [f"{columns}x{rows}" for columns, rows in self.grids],
            "visual_encoder": {"heads": self.vision_heads},
            "input_resampler": {"num_heads": self.input_heads},
            "output_resampler": {"num_heads": self.output_heads},
            "detokenizer": {"resampler": {"heads": self.condition_heads, "normalize": False}},
        }


def read_settings(folder: Path, style: Style) -> Settings:
    """Those of the folder's config.json where it has one; ``style`` is what its name tells.

    Raises HermesError where the file says what cannot be.
    """
    path = folder / "config.json"
    if not path.is_file():
        return Settings(style)
    try:
        told = json_file(path)
        conditions = _inner(_inner(told, "detokenizer"), "resampler")
        grids = [tuple(map(int, grid.split("x"))) for grid in told.get("resolution_grids", ())]
        settings = Settings(
            style=told.get("style", style),
            side=int(told.get("base_resolution", _inner(told, "visual_encoder").get("image_size", Settings.side))),
            grids=tuple((columns, rows) for columns, rows in grids) or GRIDS,
            vision_heads=int(_inner(told, "visual_encoder").get("heads", Settings.vision_heads)),
            input_heads=int(_inner(told, "input_resampler").get("num_heads", Settings.input_heads)),
            output_heads=int(_inner(told, "output_resampler").get("num_heads", Settings.output_heads)),
            condition_heads=int(conditions.get("heads", Settings.condition_heads)),
        )
        heads = (settings.vision_heads, settings.input_heads, settings.output_heads, settings.condition_heads)
        if min(settings.side, *heads, *(side for grid in settings.grids for side in grid)) < 1:
            raise ValueError("sizes and heads must be 1 or more")
        if settings.style not in get_args(Style):
            raise ValueError(f"style {settings.style!r} is none of {', '.join(get_args(Style))}")
        if conditions.get("normalize"):
            raise ValueError("a detokeniser that normalises its features is not one that was published")
    except (OSError, ValueError, OverflowError, TypeError, AttributeError) as error:
        raise HermesError(f"{path}: not the config of a SEED-X checkpoint ({error}); fix the file") from None
    return settings


def _inner(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = told.get(name, {})
    found.get("")  # an AttributeError where it is no object
    return found
