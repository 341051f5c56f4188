"""Where the detector's weights come from: a file, the cache, or OpenMMLab's model zoo; converted once, then cached."""

import json
import pickle
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hermes.harness.judges.mask2former.convert import config_of, convert, state_dict
from hermes.harness.system.cache import cache_folder, file_sha256
from hermes.harness.system.disk import make_folder, put_in_place
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Mask2FormerConfig

SHA256_PREFIX = "743b7d99"
FILE = f"mask2former_swin-s-p4-w7-224_lsj_8x2_50e_coco_20220504_001756-{SHA256_PREFIX}.pth"
URL = (
    "https://download.openmmlab.com/mmdetection/v2.0/mask2former/mask2former_swin-s-p4-w7-224_lsj_8x2_50e_coco/" + FILE
)
# Raised whenever converting the same file would give other weights.
CONVERSION = "1"


@dataclass(frozen=True)
class Checkpoint:
    """A detector's weights under transformers' names; ``sha256`` is that of the file they were converted from."""

    weights: "Mapping[str, Tensor]"
    config: "Mask2FormerConfig"
    sha256: str


def checked_path(argument: str) -> Path:
    """The file, or the folder of converted weights, that a judge's argument names. HermesError if it is not one."""
    path = Path(argument).expanduser()
    if argument and path.is_file():
        return path
    if argument and path.is_dir():
        if not (path / "model.safetensors").is_file():
            raise HermesError(f"{path}: holds no model.safetensors; give a .pth file or a folder of converted weights")
        return path / "model.safetensors"
    raise HermesError(f"{argument or 'no path'!r}: no such checkpoint; give the detector's .pth or .safetensors file")


def released_file() -> Path:
    """GenEval's own checkpoint, from the cache folder or downloaded to it. Raises HermesError where neither works."""
    path = cache_folder() / FILE
    if path.is_file():
        return path
    import torch

    try:
        make_folder(path.parent)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / FILE
            torch.hub.download_url_to_file(URL, str(part), hash_prefix=SHA256_PREFIX)
            put_in_place(part, path)
    except Exception as error:
        raise HermesError(
            f"GenEval's detector cannot be downloaded ({_reason(error)}); "
            f"put {URL} into {path.parent}, or give --judge mask2former:PATH"
        ) from None
    return path


def load_checkpoint(path: Path, config: "Mask2FormerConfig | None" = None) -> Checkpoint:
    """The weights of a checkpoint of mmdet 2.x or 3.x, or of a file that was converted before.

    ``config`` is inferred from the shapes where it is None. The conversion is kept in the cache folder under the
    file's sha256, and read from there the next time. Raises HermesError for a torn file, or one of something else.
    """
    converted = _converted(path)
    if converted is not None:
        return converted
    sha256 = file_sha256(path)
    cached = cache_folder() / "mask2former" / sha256 / "model.safetensors"
    if config is None and cached.is_file():
        try:
            converted = _converted(cached)
        except HermesError:
            converted = None
        if converted is not None and converted.sha256 == sha256:
            return converted
    weights = state_dict(read(path), str(path))
    checkpoint = Checkpoint(convert(weights, str(path)), config or config_of(weights, str(path)), sha256)
    if config is None:
        _keep(checkpoint, cached)
    return checkpoint


def read(path: Path) -> Any:
    """What a checkpoint file holds; of pickles only weights, plain data and numpy's numbers are unpickled.

    Raises HermesError for a torn file, or one that holds more than that.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except Exception as error:
            raise _broken(path, error) from None
    import torch

    try:
        with torch.serialization.safe_globals(_numpy_globals()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused is None:
            raise _broken(path, error) from None
        raise HermesError(
            f"{path}: contains a {refused[1]}, which is not a weight and is not loaded; save its state_dict alone"
        ) from None
    except Exception as error:
        raise _broken(path, error) from None


def _numpy_globals() -> list[Any]:
    """What pickles of numpy's scalars and arrays name, under numpy 1's and numpy 2's module names."""
    import numpy as np

    scalar, rebuild = np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]
    named = [
        (function, f"{module}.multiarray.{name}")
        for module in ("numpy.core", "numpy._core")
        for function, name in ((scalar, "scalar"), (rebuild, "_reconstruct"))
    ]
    kinds = {type(np.dtype(code)) for code in np.typecodes["All"] if code not in "OV"}
    return [*named, np.ndarray, np.dtype, *kinds]


def _converted(path: Path) -> Checkpoint | None:
    """The checkpoint that ``_keep`` wrote; None where the file is not one of ours."""
    if path.suffix != ".safetensors":
        return None
    from safetensors import safe_open
    from transformers import Mask2FormerConfig

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("hermes_mask2former") != CONVERSION:
                return None
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config = Mask2FormerConfig.from_dict(json.loads(metadata["config"]))
        return Checkpoint(weights, config, metadata["source_sha256"])
    except Exception as error:
        raise _broken(path, error) from None


def _keep(checkpoint: Checkpoint, path: Path) -> None:
    """Write the converted weights in one step. A cache that cannot be written is no reason to stop."""
    from safetensors.torch import save_file

    metadata = {
        "hermes_mask2former": CONVERSION,
        "source_sha256": checkpoint.sha256,
        "config": json.dumps(checkpoint.config.to_dict()),
    }
    try:
        make_folder(path.parent)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            save_file(dict(checkpoint.weights), part, metadata=metadata)
            put_in_place(part, path)
    except OSError:
        return


def _broken(path: Path, error: Exception) -> HermesError:
    return HermesError(f"{path}: cannot be read as a checkpoint ({_reason(error)}); copy or download it again")


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
