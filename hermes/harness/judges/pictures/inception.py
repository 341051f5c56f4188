"""Features of pictures for FID, by torch-fidelity, and which real pictures they are held against.

The network is the InceptionV3 of the original FID in torch-fidelity's conversion, 2,048 features a picture. The real
pictures are those of a folder, at any depth, as they are: what a paper makes of them (COCO: the middle square, 256
pixels) is to be made beforehand. Their statistics are made once for the same files and weights, and kept in the cache
folder.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from hermes.harness.judges.pictures.statistics import keep, statistics_file
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.cache import file_sha256
from hermes.harness.system.disk import locked
from hermes.harness.system.errors import HermesError, MissingExtra

if TYPE_CHECKING:
    from torch import Tensor

WHO, LAYER = "judge inception", "2048"
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
BATCH = 32
FILE = "weights-inception-2015-12-05-6726825d.pth"


class InceptionJudge:
    """Features by torch-fidelity's extractor, and the ``reference`` that names the statistics of the real pictures."""

    description: ClassVar[str] = "for FID: inception:FOLDER of real pictures, or inception:FOLDER@WEIGHTS"
    extra: ClassVar[str | None] = "scores"
    packages: ClassVar[tuple[str, ...]] = ("torch_fidelity", "torchvision")
    abilities: ClassVar[tuple[str, ...]] = ("compare",)
    needs_model: ClassVar[bool] = False

    def __init__(self, extractor: Any, version: str, folder: Path, device: str = "cpu") -> None:
        self._extractor = extractor.to(device)
        self._device = device
        self.reference = self._compared(folder, version)
        self.identity = f"inception-{version}-to-{self.reference[:12]}"

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for a missing package, folder or file of weights."""
        if find_spec("torch_fidelity") is None:
            raise MissingExtra(WHO, "scores")
        folder, weights = _parts(argument)
        if not folder.is_dir():
            raise HermesError(f"{WHO}: {folder} is no folder; give inception:FOLDER with the real pictures")
        if next(_pictures(folder), None) is None:
            raise HermesError(f"{WHO}: {folder} holds no pictures ({', '.join(sorted(PICTURES))}); give one that does")
        if weights is not None and not weights.is_file():
            raise HermesError(f"{WHO}: {weights} does not exist; give inception:FOLDER@WEIGHTS with {FILE}")

    @classmethod
    def load(cls, argument: str | None, device: str) -> "InceptionJudge":
        """The extractor on ``device``; looks at the real pictures where their statistics are not known yet."""
        folder, given = _parts(argument)
        weights = given or _released()
        return cls(load_extractor(weights), file_sha256(weights)[:12], folder, device)

    def features(self, images: Sequence[Image.Image]) -> list[list[float]]:
        """The features (2048,) of each image; those of one size are looked at together."""
        places: dict[tuple[int, int], list[int]] = defaultdict(list)
        for place, image in enumerate(images):
            places[image.size].append(place)
        found: list[list[float]] = [[] for _ in images]
        for alike in places.values():
            for begin in range(0, len(alike), BATCH):
                part = alike[begin : begin + BATCH]
                for place, row in zip(part, self._look([images[place] for place in part]).tolist(), strict=True):
                    found[place] = row
        return found

    def _look(self, images: Sequence[Image.Image]) -> "Tensor":
        """The features (n, width) of pictures of one size."""
        import torch
        from torchvision.transforms.functional import pil_to_tensor

        pixels = torch.stack([pil_to_tensor(image.convert("RGB")) for image in images]).to(self._device)
        with torch.inference_mode(), full_float32(self._device):
            features: Tensor = self._extractor(pixels)[0]
        return features.cpu()

    def _compared(self, folder: Path, version: str) -> str:
        """The name of the folder's statistics, which are in the cache then."""
        paths = sorted(_pictures(folder))
        digest = hashlib.sha256(version.encode())
        for path in paths:
            digest.update(f"{path.relative_to(folder).as_posix()}\0{file_sha256(path)}\0".encode())
        name = digest.hexdigest()[:32]
        with locked(statistics_file(name).parent, wait=lambda: None):  # other processes find what the first has made
            if not statistics_file(name).is_file():
                parts = (paths[begin : begin + BATCH] for begin in range(0, len(paths), BATCH))
                keep(name, [row for part in parts for row in self.features([ImageHandle(str(p)).open() for p in part])])
        return name


def load_extractor(weights: Path) -> Any:
    """torch-fidelity's InceptionV3. Raises HermesError for a file that holds something else."""
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        torch.load(weights, map_location="cpu", weights_only=True)  # torch-fidelity would run code that is in the file
        return FeatureExtractorInceptionV3("inception-v3-compat", [LAYER], feature_extractor_weights_path=str(weights))
    except Exception as error:  # torch raises many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HermesError(f"{weights}: not the weights of FID's InceptionV3 ({reason}); give {FILE}") from None


def _released() -> Path:
    """torch-fidelity's own file, from torch's cache or downloaded there."""
    from torch import hub
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    path = Path(hub.get_dir()) / "checkpoints" / FILE
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            hub.download_url_to_file(URL_INCEPTION_V3, str(path), progress=False)
        except Exception as error:  # urllib raises many kinds
            raise HermesError(
                f"{URL_INCEPTION_V3} cannot be downloaded ({str(error).splitlines()[0]}); download it elsewhere and "
                "give inception:FOLDER@WEIGHTS"
            ) from None
    return path


def _pictures(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())


def _parts(argument: str | None) -> tuple[Path, Path | None]:
    """The folder of real pictures, and the weights where they are named."""
    if not argument:
        raise HermesError(f"{WHO}: no real pictures are named; give inception:FOLDER")
    if Path(argument).expanduser().is_dir():
        return Path(argument).expanduser(), None
    folder, at, weights = argument.rpartition("@")
    return (Path(folder).expanduser(), Path(weights).expanduser()) if at else (Path(weights).expanduser(), None)
