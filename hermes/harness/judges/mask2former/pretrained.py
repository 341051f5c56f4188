"""A Mask2Former in transformers' own layout, from a folder or the hub."""

import re
from pathlib import Path
from typing import Any

from hermes.harness.judges.mask2former.names import UNUSED
from hermes.harness.system import hub
from hermes.harness.system.errors import HermesError

FILES = ("model.safetensors", "pytorch_model.bin")


def check_reference(name: str) -> None:
    """Raise HermesError unless ``name`` is a folder with weights or could be a hub id."""
    if Path(name).expanduser().is_dir():
        weight_file(Path(name).expanduser())
    elif not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise HermesError(f"{name!r}: neither a folder nor a hub id; give a Mask2Former checkpoint of transformers")


def weight_file(folder: Path) -> Path:
    """The file with the weights. Raises HermesError where there is none."""
    for name in FILES:
        if (folder / name).is_file():
            return folder / name
    raise HermesError(f"{folder}: holds no {FILES[0]}; give a Mask2Former checkpoint folder of transformers")


def local_folder(name: str) -> Path:
    """The checkpoint's folder; a hub id is downloaded first. Raises HermesError where it is not available."""
    check_reference(name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    hub.unreachable()
    try:
        return Path(snapshot_download(name, allow_patterns=["config.json", FILES[0]]))
    except Exception as error:
        raise HermesError(
            f"{name}: not available from the hub ({hub.missing(error)}); give a folder that has it"
        ) from None


def load_pretrained(folder: Path) -> Any:
    """The model, float32, in evaluation mode. Raises HermesError for another model, or for one that lacks weights."""
    import torch
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

    weight_file(folder)
    cls: Any = Mask2FormerForUniversalSegmentation
    try:
        kind = Mask2FormerConfig.get_config_dict(folder)[0].get("model_type")
        if kind != Mask2FormerConfig.model_type:
            raise ValueError(f"its model_type is {kind!r}")
        with torch.random.fork_rng(devices=[]):
            model, account = cls.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HermesError(f"{folder}: not a Mask2Former checkpoint of transformers ({reason}); give another") from None
    missing = sorted(set(account["missing_keys"]) - UNUSED)
    if missing:
        raise HermesError(f"{folder}: lacks {len(missing)} weights, for instance {missing[0]}; give a whole checkpoint")
    return model.eval().requires_grad_(False)
