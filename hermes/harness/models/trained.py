"""Where a training left a checkpoint: ``unwrapped_model/``, the newest ``checkpoint-N/``, or the folder itself."""

import re
from collections.abc import Collection
from pathlib import Path

SETTINGS_FILES = ("config.json", "model_index.json")
UNWRAPPED = "unwrapped_model"
NUMBERED = re.compile(r"checkpoint[-_](\d+)")
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
BESIDE_WEIGHTS = re.compile(
    r"(optimizer|scheduler|scaler|sampler|random_states|rng_state|training_args|trainer_state|adapter_model|"
    r"pytorch_lora_weights|zero_pp_rank|bf16_zero|fp16_zero)",
    re.IGNORECASE,
)


def checkpoint_folder(folder: Path, settings: Collection[str] = SETTINGS_FILES) -> Path:
    """The folder of the weights that ``folder`` stands for.

    That is the folder itself where it holds one of the ``settings`` files, and weights beside config.json. Else it is
    what lies in ``unwrapped_model/`` (accelerate's name) or in the ``checkpoint-N/`` with the largest number.
    """
    if _is_checkpoint(folder, settings):
        return folder
    if (folder / UNWRAPPED).is_dir():
        return checkpoint_folder(folder / UNWRAPPED, settings)
    if steps := numbered(folder):
        return checkpoint_folder(steps[-1], settings)
    return folder


def numbered(folder: Path) -> list[Path]:
    """The folders ``checkpoint-N`` of a training's output, by number."""
    found = [path for path in folder.iterdir() if is_step(path) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name[len("checkpoint-") :]))


def is_step(folder: Path) -> bool:
    """Whether the folder's name is that of a training's step."""
    return bool(NUMBERED.fullmatch(folder.name))


def around(folder: Path) -> list[Path]:
    """Where what belongs to a checkpoint may lie: its folder, those that a training put around it, and one more."""
    places = [folder.absolute()]
    while places[-1].name == UNWRAPPED or is_step(places[-1]):
        places.append(places[-1].parent)
    return [*places, places[-1].parent]


def title(folder: Path) -> str:
    """What a checkpoint is called: its folder's name; that of a step bears the name of its training."""
    named = folder.resolve()
    if named.name == UNWRAPPED:
        named = named.parent
    return f"{named.parent.name}-{named.name}" if is_step(named) else named.name


def is_weights(path: Path) -> bool:
    """Whether a file's name is one of weights, and not of an optimizer's, a scheduler's or an adapter's state."""
    return path.suffix in WEIGHTS and not BESIDE_WEIGHTS.match(path.name)


def said_of(chosen: Path, given: Path) -> str:
    """Words on which of several steps was chosen in the folder that was given; "" where there was no choice."""
    for place in (chosen, *chosen.parents):
        if place == given:
            return ""
        if is_step(place) and (count := len(numbered(place.parent))) > 1:
            return f"{place.name}, the newest of {count} in {place.parent}"
    return ""


def without_settings(folder: Path, settings: str) -> str:
    """Why a folder is no checkpoint: a sentence to follow its name, with what to do."""
    held = [path.name for path in sorted(folder.iterdir()) if path.is_file()]
    if "adapter_config.json" in held and settings != "adapter_config.json":
        return "holds an adapter; give the model that it was trained on, and this folder as --adapter"
    weights = [name for name in held if is_weights(Path(name))]
    if weights and settings == "config.json":
        return f"holds no {settings} beside {weights[0]}; copy that of the model that was trained there"
    return f"holds no {settings}; give the folder of a checkpoint"


def _is_checkpoint(folder: Path, settings: Collection[str]) -> bool:
    held = [name for name in settings if (folder / name).is_file()]
    inner = (folder / UNWRAPPED).is_dir() or bool(numbered(folder))
    return bool(held) and (held != ["config.json"] or not inner or any(is_weights(path) for path in folder.iterdir()))
