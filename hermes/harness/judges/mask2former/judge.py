"""The judges that detect COCO's objects with Mask2Former and name their colours with CLIP."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

from PIL import Image

from hermes.harness.judges.mask2former.checkpoint import checked_path, load_checkpoint, released_file
from hermes.harness.judges.mask2former.classes import CLASSES
from hermes.harness.judges.mask2former.colors import ClipColors, ColorClassifier
from hermes.harness.judges.mask2former.convert import build
from hermes.harness.judges.mask2former.detector import Detector
from hermes.harness.judges.mask2former.instance_judge import InstanceJudge
from hermes.harness.judges.mask2former.postprocess import Instances
from hermes.harness.judges.mask2former.pretrained import check_reference, load_pretrained, local_folder, weight_file
from hermes.harness.system.cache import file_sha256
from hermes.harness.system.errors import HermesError, MissingExtra

COCO_HUB = "facebook/mask2former-swin-small-coco-instance"


class Mask2FormerJudge(InstanceJudge):
    """GenEval's detector, mmdet's Mask2Former Swin-S, run by transformers in float32 without TensorFloat-32.

    The argument is a .pth or .safetensors file with the names of mmdet 2.x or 3.x, or a folder of converted weights;
    without one it is GenEval's own checkpoint, from the cache folder or from OpenMMLab's model zoo.
    """

    description: ClassVar[str] = "GenEval's detector and colours: Mask2Former Swin-S (mmdet's weights), CLIP ViT-L/14"
    extra: ClassVar[str | None] = "geneval"

    def __init__(self, detector: Detector, colors: ColorClassifier, identity: str) -> None:
        super().__init__(colors, identity)
        self._detector = detector

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for a missing package or checkpoint."""
        check_packages("mask2former", ("cv2", "open_clip"), "geneval")
        if argument is not None:
            checked_path(argument)

    @classmethod
    def load(cls, argument: str | None, device: str) -> "Mask2FormerJudge":
        """Detector and colour classifier on ``device``. Raises HermesError for weights that are not the detector's."""
        path = released_file() if argument is None else checked_path(argument)
        checkpoint = load_checkpoint(path)
        model = build(checkpoint.config, checkpoint.weights, str(path))
        check_classes(model, str(path))
        identity = f"mask2former-{checkpoint.sha256[:12]}"
        return cls(Detector(model, device), ClipColors.load(device), identity)

    def find(self, images: Sequence[Image.Image]) -> Iterator[tuple[int, Instances]]:
        """The number of each image with its instances, in any order."""
        return self._detector.find(images)


class CocoMask2FormerJudge(Mask2FormerJudge):
    """The authors' own COCO instance checkpoint, in transformers' layout; the argument is its folder or hub id.

    Pre- and post-processing are those of GenEval's detector, not those of transformers' image processor.
    """

    description: ClassVar[str] = f"as mask2former, with the weights {COCO_HUB}"

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for a missing package or checkpoint."""
        check_packages("mask2former-coco", ("cv2", "open_clip"), "geneval")
        if argument is not None:
            check_reference(argument)

    @classmethod
    def load(cls, argument: str | None, device: str) -> "CocoMask2FormerJudge":
        """Detector and colour classifier on ``device``. Raises HermesError for a checkpoint of something else."""
        folder = local_folder(COCO_HUB if argument is None else argument)
        model = load_pretrained(folder)
        check_classes(model, str(folder))
        identity = f"mask2former-coco-{file_sha256(weight_file(folder))[:12]}"
        return cls(Detector(model, device), ClipColors.load(device), identity)


def check_packages(judge: str, packages: Sequence[str], extra: str) -> None:
    """Raise MissingExtra unless all packages are installed."""
    if any(find_spec(package) is None for package in packages):
        raise MissingExtra(f"judge {judge!r}", extra)


def check_classes(model: Any, where: str) -> None:
    """Raise HermesError unless the detector knows as many classes as COCO has things."""
    found = model.config.num_labels
    if found != len(CLASSES):
        raise HermesError(f"{where}: detects {found} classes, not COCO's {len(CLASSES)}; give a COCO instance model")
