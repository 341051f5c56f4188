"""A detector of mmdet 3.x from a configuration and a checkpoint: all of it, or an error."""

import json
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hermes.harness.judges.mask2former.classes import CLASSES
from hermes.harness.judges.mask2former.convert import state_dict
from hermes.harness.system.errors import HermesError

CONFIG = "mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco.py"
INSTALL = "docs/benchmarks.md (GenEval) says how to install mmdet 3 with mmcv 2.1"


def check_installed(device: str) -> str:
    """The version of the mmdet that is installed. Raises HermesError where it, or its mmcv, cannot be used."""
    try:
        import mmdet
        import mmdet.apis  # which needs mmcv's compiled operators
        from mmcv.ops import get_compiling_cuda_version
    except (ImportError, AssertionError) as error:  # mmdet asserts the versions of mmcv and mmengine
        raise HermesError(f"mmdet cannot be imported ({_reason(error)}); {INSTALL}") from None
    version = str(mmdet.__version__)
    if int(version.split(".")[0]) < 3:
        raise HermesError(f"judge 'mmdet' cannot use mmdet {version}; {INSTALL}")
    if device.startswith("cuda") and get_compiling_cuda_version() == "not available":
        raise HermesError("mmcv was built without CUDA; build it again with FORCE_CUDA=1, or give --device cpu")
    return version


def own_config() -> Path:
    """mmdet's own configuration of GenEval's detector: in what pip installed, or beside a source checkout."""
    spec = find_spec("mmdet")
    package = Path(str(spec.origin)).parent if spec else Path("mmdet")
    for folder in (package / ".mim" / "configs", package.parent / "configs"):
        if (folder / "mask2former" / CONFIG).is_file():
            return folder / "mask2former" / CONFIG
    raise HermesError(f"mmdet's configuration {CONFIG} is not in {package}; give a folder with a .py and a .pth file")


def build(config: Path, device: str) -> Any:
    """The configuration's detector with random weights. Raises HermesError where mmdet cannot build it."""
    import torch
    from mmdet.apis import init_detector

    # mmdet warns that it was given no checkpoint, whatever the filters say: it sets them first.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(record=True):
        try:
            return init_detector(str(config), device=device)
        except Exception as error:
            raise HermesError(
                f"mmdet cannot build a detector from {config} ({_reason(error)}); give a configuration of mmdet 3"
            ) from None


def check_classes(model: Any, content: Any, checkpoint: Path) -> None:
    """Raise HermesError unless labels mean COCO's 80 classes: by the checkpoint, or else by the configuration."""
    from mmdet.datasets import CocoDataset
    from mmdet.registry import DATASETS

    told = content.get("meta") if isinstance(content, Mapping) else None
    told = told if isinstance(told, Mapping) else {}
    named = {str(key).lower(): value for key, value in (told.get("dataset_meta") or told).items()}.get("classes")
    if named is None:
        named = DATASETS.build({**model.cfg.test_dataloader.dataset, "lazy_init": True}).metainfo["classes"]
    if tuple(named) != tuple(CocoDataset.METAINFO["classes"]):
        raise HermesError(
            f"{checkpoint}: detects {len(named)} classes, not COCO's {len(CLASSES)} in their order; "
            "give a COCO instance model"
        )


def fill(model: Any, content: Any, checkpoint: Path) -> None:
    """Put what a checkpoint holds into the model. mmdet itself would leave what does not fit at random values.

    The weights of a Mask2Former may have the names of mmdet 2.x, as GenEval's do. Raises HermesError unless each weight
    finds its place and no place stays empty.
    """
    weights: Any = OrderedDict(state_dict(content, str(checkpoint)))
    # By the versions noted here, some layers of mmdet know weights that were saved under an older name.
    weights._metadata = getattr(content.get("state_dict", content), "_metadata", None)
    try:
        lacking, left_over = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # a shape; the first line names the model, those that follow each a weight
        raise _misfit(checkpoint, str(error).splitlines()[-1].strip().rstrip(".")) from None
    for names, problem in ((lacking, "lacks"), (left_over, "has too many:")):
        if names:
            raise _misfit(checkpoint, f"it {problem} {len(names)} weights, for instance {names[0]}")


def settings_hash(model: Any) -> str:
    """Of the whole configuration: the steps before and after the network, which change what it detects, stand there."""
    return sha256(json.dumps(model.cfg.to_dict(), sort_keys=True, default=str).encode()).hexdigest()[:12]


def _misfit(checkpoint: Path, reason: str) -> HermesError:
    return HermesError(f"{checkpoint}: does not fit the configuration ({reason}); give the two that belong together")


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
