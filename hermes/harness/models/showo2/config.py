"""What a Show-o2 checkpoint's config.json says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes.harness.models.families import refuse_other_family
from hermes.harness.models.showo2.places import WHO, settings_of
from hermes.harness.system.errors import HermesError

CLASS = "Showo2Qwen2_5"
STRIDE = 8
"""Pixels of a side in one latent."""
TEXTS = {730: 290}
"""Text tokens that fit before a picture of so many placeholders; the published settings have 251 for all others."""
TEXT = 251


@dataclass(frozen=True)
class Config:
    """``grid``: rows and columns of image tokens; ``latents``: channels of a latent. ``told`` is the file's content."""

    grid: tuple[int, int]
    latents: int
    patch: int
    llm: str
    siglip: str
    told: dict[str, Any]

    @property
    def side(self) -> int:
        """Pixels of the shorter side of the grid."""
        return min(self.grid) * self.unit

    @property
    def unit(self) -> int:
        """Pixels of a side in one image token."""
        return self.patch * STRIDE


def max_text(grid: tuple[int, int]) -> int:
    """How many text tokens a picture's prompt may have: max_seq_length of the published settings less the rest."""
    return TEXTS.get(grid[0] * grid[1] + 1, TEXT)


def read_config(folder: Path) -> Config:
    """Raises HermesError for a config.json that is another family's or not whole."""
    path = folder / "config.json"
    told = settings_of(path)
    refuse_other_family(told, f"{WHO}: {folder}")
    if told.get("_class_name") != CLASS:
        named = told.get("_class_name") or told.get("model_type")
        raise HermesError(f"{WHO}: {folder} is a {named!r} model; give a checkpoint of Show-o2")
    try:
        config = Config(
            grid=(int(told["image_latent_height"]), int(told["image_latent_width"])),
            latents=int(told["image_latent_dim"]),
            patch=int(told["patch_size"]),
            llm=str(told["llm_model_path"]),
            siglip=str(told["clip_pretrained_model_path"]),
            told=told,
        )
        if min(*config.grid, config.latents, config.patch) < 1:
            raise ValueError("sizes must be 1 or more")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise HermesError(f"{WHO}: {path} is not whole ({error!r}); download the checkpoint again") from None
    if told.get("add_time_embeds") is False:
        raise HermesError(f"{WHO}: {path} has no time tokens, and no published model lacks them; give a published one")
    return config
