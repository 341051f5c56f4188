"""Where the published mPLUG directory lies, and which of its files hold what."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from hermes.harness.system.cache import cache_folder
from hermes.harness.system.errors import HermesError

MODEL_ID = "damo/mplug_visual-question-answering_coco_large_en"
VOCABULARY_FILE = "vocab.txt"
WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")


def find_checkpoint(argument: str | None) -> Path | None:
    """The folder that is named, else that in the cache; None where modelscope is installed and can download it.

    Raises HermesError that says what to download and how to pass it.
    """
    if argument is not None:
        if not Path(argument).is_dir():
            raise HermesError(
                f"judge mplug: {argument!r} is not a folder; give the directory of {MODEL_ID} as mplug:FOLDER"
            )
        return Path(argument)
    folder = cache_folder() / MODEL_ID.split("/")[1]
    if folder.is_dir():
        return folder
    if find_spec("modelscope") is None:
        raise HermesError(
            f"judge mplug needs its checkpoint: download {MODEL_ID} from ModelScope to {folder}, "
            "or pass its folder as mplug:FOLDER, or install modelscope, which downloads it"
        )
    return None


def download_checkpoint() -> Path:
    """The folder to which modelscope downloaded the checkpoint. Raises HermesError where it could not."""
    try:
        return Path(import_module("modelscope").snapshot_download(MODEL_ID, cache_dir=str(cache_folder())))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HermesError(
            f"judge mplug: {MODEL_ID} cannot be downloaded from ModelScope ({reason}); pass its folder as mplug:FOLDER"
        ) from None


def weights_file(folder: Path) -> Path:
    """The file with the weights. Raises HermesError where there is none."""
    for name in WEIGHTS_FILES:
        if (folder / name).is_file():
            return folder / name
    raise HermesError(f"{folder} holds no {' or '.join(WEIGHTS_FILES)}; download {MODEL_ID} completely")
