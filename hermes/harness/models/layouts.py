"""Checkpoints whose adapter their model_type does not tell: known by what lies beside or in their weights."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from hermes.harness.models.anole import places as anole
from hermes.harness.models.liquid import places as liquid


def of_folder(settings: dict[str, Any], folder: Path) -> str | None:
    """Liquid is a Gemma with Chameleon's VQGAN, and Anole a Chameleon with the VQGAN's decoder; None for others."""
    if liquid.is_liquid(settings, folder):
        return liquid.NAME
    return anole.NAME if anole.draws(settings, folder) else None


def of_hub(settings: dict[str, Any], repository: str, revision: str | None) -> str | None:
    """The same of a hub repository, of whose weights the index is read."""
    from huggingface_hub import hf_hub_download

    if liquid.is_liquid(settings, None):
        return liquid.NAME
    if settings.get("model_type") == "chameleon":
        with suppress(Exception):  # the hub's client raises many kinds; without an index nothing is known
            index = Path(hf_hub_download(repository, anole.INDEX, revision=revision))
            return anole.NAME if anole.index_draws(index) else None
    return None
