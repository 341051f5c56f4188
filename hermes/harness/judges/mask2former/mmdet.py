"""mmdet itself as the detector, for those who have it installed: 2.x' lists of arrays and 3.x' data samples."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from hermes.harness.judges.mask2former.checkpoint import released_file
from hermes.harness.judges.mask2former.classes import CLASSES
from hermes.harness.judges.mask2former.colors import ClipColors, ColorClassifier
from hermes.harness.judges.mask2former.instance_judge import InstanceJudge
from hermes.harness.judges.mask2former.judge import check_packages
from hermes.harness.judges.mask2former.postprocess import Instances
from hermes.harness.system.cache import file_sha256
from hermes.harness.system.errors import HermesError, MissingExtra

if TYPE_CHECKING:
    from torch import Tensor

# mmdet 2.x' name, which GenEval gives, and 3.x'.
CONFIGS = (
    "mask2former_swin-s-p4-w7-224_lsj_8x2_50e_coco.py",
    "mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco.py",
)


class MMDetJudge(InstanceJudge):
    """Any instance detector of mmdet that knows COCO's 80 classes.

    The argument is a folder with one configuration (.py) and one checkpoint (.pth), as `mim download` leaves it, or a
    .pth file alone for mmdet's own Mask2Former Swin-S configuration; without one it is GenEval's checkpoint.
    """

    description: ClassVar[str] = "mmdet's own detector, and CLIP ViT-L/14 for colours"
    extra: ClassVar[str | None] = "mmdet"

    def __init__(self, model: Any, colors: ColorClassifier, identity: str) -> None:
        super().__init__(colors, identity)
        self._model = model

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for a missing package, checkpoint or configuration."""
        check_packages("mmdet", ("mmdet",), "mmdet")
        check_packages("mmdet", ("open_clip",), "geneval")
        if argument is not None:
            _files(argument)

    @classmethod
    def load(cls, argument: str | None, device: str) -> "MMDetJudge":
        """mmdet's detector and the colour classifier on ``device``. Raises HermesError where mmdet cannot build it."""
        try:
            import mmdet
            from mmdet.apis import init_detector
        except ImportError:
            raise MissingExtra("judge 'mmdet'", "mmdet") from None

        config, checkpoint = (_own_config(), released_file()) if argument is None else _files(argument)
        try:
            model = init_detector(str(config), str(checkpoint), device=device)
        except Exception as error:
            raise HermesError(
                f"mmdet {mmdet.__version__} cannot load {checkpoint} with {config} ({_reason(error)}); "
                "give a checkpoint of the same major version"
            ) from None
        identity = f"mmdet-{mmdet.__version__}-{file_sha256(checkpoint)[:12]}"
        return cls(model, ClipColors.load(device), identity)

    def find(self, images: Sequence[Image.Image]) -> Iterator[tuple[int, Instances]]:
        """The number of each image with its instances, one image at a time, given to mmdet as 8-bit BGR."""
        from mmdet.apis import inference_detector

        for number, image in enumerate(images):
            pixels = np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])
            yield number, read_result(inference_detector(self._model, pixels), pixels.shape[:2])


def read_result(result: Any, size: tuple[int, int]) -> Instances:
    """What mmdet says of one image of ``size`` (height, width), in either major version's form.

    2.x: a list with for each class (n, 5) x0, y0, x1, y1, score, and a list with for each class n masks (H, W).
    3.x: a data sample whose ``pred_instances`` has labels (N,), scores (N,), bboxes (N, 4) and masks (N, H, W).
    Raises HermesError for a detector without masks or with other classes than COCO's 80.
    """
    if hasattr(result, "pred_instances"):
        found = result.pred_instances
        if getattr(found, "masks", None) is None:
            raise HermesError("mmdet's detector gives no masks; give an instance segmentation checkpoint")
        labels, scores, boxes, masks = (_tensor(getattr(found, key)) for key in ("labels", "scores", "bboxes", "masks"))
        if labels.numel() and int(labels.max()) >= len(CLASSES):
            raise HermesError(f"mmdet's detector knows more than COCO's {len(CLASSES)} classes; give a COCO checkpoint")
        return Instances(labels.long(), scores.float(), boxes.float(), masks.bool())
    if not isinstance(result, tuple) or len(result) < 2 or result[1] is None:
        raise HermesError("mmdet's detector gives no masks; give an instance segmentation checkpoint")
    return _from_lists(result[0], result[1], size)


def _from_lists(boxes: Sequence[Any], masks: Sequence[Sequence[Any]], size: tuple[int, int]) -> Instances:
    import torch

    if len(boxes) != len(CLASSES):
        raise HermesError(
            f"mmdet's detector knows {len(boxes)} classes, not COCO's {len(CLASSES)}; give a COCO checkpoint"
        )
    rows = np.concatenate([np.asarray(some, dtype=np.float32).reshape(-1, 5) for some in boxes])
    shapes = [np.asarray(mask, dtype=bool) for some in masks for mask in some]
    return Instances(
        labels=torch.arange(len(CLASSES)).repeat_interleave(torch.tensor([len(some) for some in boxes])),
        scores=torch.from_numpy(rows[:, 4].copy()),
        boxes=torch.from_numpy(rows[:, :4].copy()),
        masks=torch.from_numpy(np.stack(shapes) if shapes else np.zeros((0, *size), dtype=bool)),
    )


def _tensor(value: Any) -> "Tensor":
    import torch

    return value.detach().cpu() if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value))


def _files(argument: str) -> tuple[Path, Path]:
    """Configuration and checkpoint that the argument names."""
    path = Path(argument).expanduser()
    if argument and path.is_file():
        return _own_config(), path
    if argument and path.is_dir():
        configs, checkpoints = sorted(path.glob("*.py")), sorted(path.glob("*.pth"))
        if len(configs) == len(checkpoints) == 1:
            return configs[0], checkpoints[0]
        raise HermesError(f"{path}: holds {len(configs)} .py and {len(checkpoints)} .pth files; leave one of each")
    raise HermesError(f"{argument or 'no path'!r}: no such file or folder; give mmdet's .pth file, or a folder of both")


def _own_config() -> Path:
    """mmdet's own configuration of GenEval's detector: beside a source checkout, or in what pip installed."""
    import mmdet

    package = Path(os.fspath(mmdet.__file__)).parent
    for folder in (package.parent / "configs", package / ".mim" / "configs"):
        for name in CONFIGS:
            if (folder / "mask2former" / name).is_file():
                return folder / "mask2former" / name
    raise HermesError(
        f"mmdet's configuration {CONFIGS[0]} is not beside {package}; give a folder with a .py and a .pth file"
    )


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
