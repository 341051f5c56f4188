"""Where the parts of a Show-o2 checkpoint lie: LLM settings and tokenizer, SigLIP's settings, the Wan autoencoder."""

from pathlib import Path
from typing import Any

from hermes.harness.models.source import Source, folder_of, is_hub_id, source_of
from hermes.harness.models.trained import around
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

NAME = "showo2"
WHO = f"model {NAME}"
PUBLISHED = "showlab/show-o2-1.5B"
WAN, WAN_FILES = "Wan-AI/Wan2.1-T2V-14B", ("Wan2.1_VAE.pth", "Wan2.1_VAE.safetensors")
LLM, SIGLIP = "llm", "siglip"
SIGLIPS: dict[str, dict[str, Any]] = {"siglip-so400m-patch14-384": {"num_attention_heads": 16}}
"""What is not in a checkpoint's tensors of the SigLIP that the published ones name."""


def find(reference: str) -> Source:
    """The checkpoint's source. Raises HermesError for what cannot be one."""
    return source_of(reference, NAME, PUBLISHED)


def llm_folder(folder: Path, path: str) -> Path:
    """The folder of the LLM's config.json and tokenizer: ``path`` as config.json names it, or ``llm``, beside the
    weights or a folder further out; else the hub's repository of that name, without its weights.
    """
    for name in (path, Path(path).name, LLM):
        for place in around(folder):
            if name and (place / name / "config.json").is_file():
                return place / name
    if not (path.count("/") == 1 and is_hub_id(path)):
        raise HermesError(
            f"{WHO}: {folder} names the language model {path!r}, which is neither a folder there nor of the hub; put "
            f"its config.json and tokenizer into {folder / LLM}"
        )
    try:
        return folder_of(Source(path, None, local=False, only=("*.json", "*.txt")))
    except HermesError as error:
        raise HermesError(f"{WHO}: {error} the name {folder / LLM}") from None


def siglip_settings(folder: Path, path: str) -> dict[str, Any]:
    """The vision settings of the SigLIP that config.json names, from a folder of that name or ``siglip``."""
    for name in (path, Path(path).name, SIGLIP):
        for place in around(folder):
            if name and (place / name / "config.json").is_file():
                found = settings_of(place / name / "config.json")
                vision = found.get("vision_config", found)
                if not isinstance(vision, dict):
                    raise HermesError(f"{WHO}: {place / name} has no vision_config; give the config.json of {path!r}")
                return dict(vision)
    if Path(path).name in SIGLIPS:
        return dict(SIGLIPS[Path(path).name])
    raise HermesError(
        f"{WHO}: {folder} names the SigLIP {path!r}, whose settings are not known (known: {', '.join(SIGLIPS)}); put "
        f"its config.json into {folder / SIGLIP}"
    )


def wan_file(folder: Path) -> Path:
    """The autoencoder's file: beside the weights, in ``vae``, or a folder further out; else the published one."""
    for place in around(folder):
        for near in (place, place / "vae"):
            for name in WAN_FILES:
                if (near / name).is_file():
                    return near / name
    try:
        return folder_of(Source(WAN, None, local=False, only=WAN_FILES[:1])) / WAN_FILES[0]
    except HermesError as error:
        raise HermesError(f"{WHO}: {error} the file {folder / WAN_FILES[0]}") from None


def settings_of(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        found = json_file(path)
    except (OSError, ValueError) as error:
        raise HermesError(f"{WHO}: {path} cannot be read ({error}); download the checkpoint again") from None
    if not isinstance(found, dict):
        raise HermesError(f"{WHO}: {path} does not hold an object; download the checkpoint again")
    return found
