"""Checkpoints of families that have no adapter, or are laid out as their authors have it: named, with what to do."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

ANSWERS = "make its answers with its authors' code, and score them with hermes score or --model replay:FILE"
LLAVA = "LLaVA in its authors' layout; give the same weights in transformers' layout, such as llava-hf/llava-1.5-7b-hf"
TYPES = {
    "multi_modality": (
        "Janus in its authors' layout; give the same weights in transformers' layout, such as "
        "deepseek-community/Janus-Pro-1B or deepseek-community/Janus-Pro-7B"
    ),
    "Emu3": (
        "Emu3 in its authors' layout; give the same weights in transformers' layout, BAAI/Emu3-Chat-hf or "
        "BAAI/Emu3-Gen-hf"
    ),
    "llada": "LLaDA, which knows no pictures; give MMaDA, which was made of it, as Gen-Verse/MMaDA-8B-MixCoT",
    "llava_llama": LLAVA,
    "llava_mistral": LLAVA,
    "llava_qwen": f"{LLAVA}; or BLIP3-o, for which there is no adapter",
}
AUTHORS_LLAVA = ("LlavaLlamaForCausalLM", "LlavaMistralForCausalLM")


def other_family(settings: dict[str, Any]) -> str | None:
    """What a config.json is of where no adapter reads it, to follow "is "; None where one may."""
    name, kind = settings.get("_class_name"), settings.get("model_type")
    architectures = settings.get("architectures")
    if name == "MAGVITv2":
        return "Show-o's image tokeniser, not a model; give the folder of a Show-o checkpoint"
    if "vision_gen_dec_config" in settings:
        return f"JanusFlow, for which there is no adapter; {ANSWERS}"
    if isinstance(architectures, list) and any(one in AUTHORS_LLAVA for one in architectures):
        return LLAVA
    return TYPES.get(kind) if isinstance(kind, str) else None


def refuse_other_family(settings: dict[str, Any], where: str) -> None:
    """Raise HermesError, which begins with ``where``, for a config.json that no adapter reads."""
    if other := other_family(settings):
        raise HermesError(f"{where} is {other}")


def refuse_other_folder(folder: Path) -> None:
    """Raise HermesError for a folder that no adapter reads, by its config.json or its other files."""
    with suppress(OSError, ValueError):
        settings = json_file(folder / "config.json")
        if isinstance(settings, dict):
            refuse_other_family(settings, str(folder))
