"""mmdet 3.x itself as the detector, for those who have it installed with the mmcv it needs."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from hermes.harness.judges.mask2former.checkpoint import read, released_file
from hermes.harness.judges.mask2former.colors import ClipColors, ColorClassifier
from hermes.harness.judges.mask2former.instance_judge import InstanceJudge
from hermes.harness.judges.mask2former.judge import check_packages
from hermes.harness.judges.mask2former.mmdet_model import (
    INSTALL,
    build,
    check_classes,
    check_installed,
    fill,
    own_config,
    settings_hash,
)
from hermes.harness.judges.mask2former.postprocess import Instances
from hermes.harness.judges.mask2former.preprocess import prepare
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.system.cache import file_sha256
from hermes.harness.system.errors import HermesError, ImageError


class MMDetJudge(InstanceJudge):
    """An instance detector of mmdet 3.x that knows COCO's 80 classes, in float32 without TensorFloat-32.

    The argument is a .pth file for mmdet's own Mask2Former Swin-S configuration; without one it is GenEval's
    checkpoint. Pictures are then prepared as by mmdet 2.x, with which GenEval is defined; mmdet 3.x resizes and pads
    otherwise. Or it is a folder with one configuration (.py) and one checkpoint (.pth), as `mim download` leaves it,
    of any such detector; pictures are then prepared as that configuration says.
    """

    description: ClassVar[str] = "mmdet's own detector, and CLIP ViT-L/14 for colours"
    extra: ClassVar[str | None] = "mmdet"

    def __init__(
        self, ask: Callable[[Image.Image], Any], colors: ColorClassifier, identity: str, device: str = "cpu"
    ) -> None:
        super().__init__(colors, identity)
        self._ask = ask
        self._device = device

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for a missing package, checkpoint or configuration."""
        lacking = [package for package in ("mmdet", "mmengine", "mmcv") if find_spec(package) is None]
        if lacking:
            raise HermesError(f"judge 'mmdet' needs {', '.join(lacking)}; {INSTALL}")
        check_packages("mmdet", ("cv2", "open_clip"), "geneval")
        if argument is None:
            own_config()
        else:
            _files(argument)

    @classmethod
    def load(cls, argument: str | None, device: str) -> "MMDetJudge":
        """mmdet's detector and the colour classifier on ``device``.

        Raises HermesError where mmdet cannot build the detector, or the checkpoint is not all of it.
        """
        version = check_installed(device)
        config, checkpoint = (None, released_file()) if argument is None else _files(argument)
        content = read(checkpoint)
        model = build(config or own_config(), device)
        check_classes(model, content, checkpoint)
        fill(model, content, checkpoint)
        steps = settings_hash(model) if config else "genevals-steps"
        ask = partial(_as_configured if config else _as_in_geneval, model)
        return cls(ask, ClipColors.load(device), f"mmdet-{version}-{file_sha256(checkpoint)[:12]}-{steps}", device)

    def find(self, images: Sequence[Image.Image]) -> Iterator[tuple[int, Instances]]:
        """The number of each image with its instances, one image at a time, as mmdet itself works.

        Raises ImageError for an image that is too narrow.
        """
        for number, image in enumerate(images):
            # torch warns of a function that mmdet calls in an old way.
            with full_float32(self._device), warnings.catch_warnings(action="ignore"):
                result = self._ask(image)
            yield number, read_result(result)


def read_result(result: Any) -> Instances:
    """What mmdet says of one image: ``pred_instances`` with labels (N,), scores (N,), bboxes (N, 4), masks (N, H, W).

    Raises HermesError for a detector without masks.
    """
    found = result.pred_instances
    if "masks" not in found:
        raise HermesError("mmdet's detector gives no masks; give an instance segmentation checkpoint")
    labels, scores, boxes, masks = (found[key].cpu() for key in ("labels", "scores", "bboxes", "masks"))
    return Instances(labels.long(), scores.float(), boxes.float(), masks.bool())


def _as_in_geneval(model: Any, image: Image.Image) -> Any:
    """mmdet's answer for an image that was prepared as by mmdet 2.x, up to normalising, which is the model's own."""
    import torch
    from mmdet.structures import DetDataSample

    item = prepare(image)
    pixels = torch.from_numpy(_bgr(item.pixels)).permute(2, 0, 1)
    sample = DetDataSample(metainfo={"ori_shape": item.original, "img_shape": item.resized})
    with torch.inference_mode():
        return model.test_step({"inputs": [pixels], "data_samples": [sample]})[0]


def _as_configured(model: Any, image: Image.Image) -> Any:
    """mmdet's answer for an image by the steps of the configuration."""
    import cv2
    from mmdet.apis import inference_detector

    try:
        return inference_detector(model, _bgr(np.asarray(image.convert("RGB"))))
    except cv2.error:
        raise ImageError(
            f"an image of {image.width} x {image.height} px is too narrow for the detector; remove it"
        ) from None


def _bgr(pixels: Any) -> Any:
    """RGB pixels (H, W, 3) as mmdet takes them."""
    return np.ascontiguousarray(pixels[..., ::-1])


def _files(argument: str) -> tuple[Path | None, Path]:
    """The configuration, or None for mmdet's own, and the checkpoint that the argument names."""
    path = Path(argument).expanduser()
    if argument and path.is_file():
        own_config()
        return None, path
    if argument and path.is_dir():
        configs, checkpoints = sorted(path.glob("*.py")), sorted(path.glob("*.pth"))
        if len(configs) == len(checkpoints) == 1:
            return configs[0], checkpoints[0]
        raise HermesError(f"{path}: holds {len(configs)} .py and {len(checkpoints)} .pth files; leave one of each")
    raise HermesError(f"{argument or 'no path'!r}: no such file or folder; give mmdet's .pth file, or a folder of both")
