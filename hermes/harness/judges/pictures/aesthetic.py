"""LAION's aesthetic score: how well people would like a picture, 1 to 10, whatever it was drawn for.

christophschuhmann/improved-aesthetic-predictor (code and weights Apache-2.0): five linear layers without activations
over the normalised image embedding of CLIP ViT-L/14. No library keeps them, and they are a file of that repository
alone (sac+logos+ava1-l14-linearMSE.pth is the one that papers use), so the user names it; the CLIP is transformers'.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hermes.harness.contracts.judge import Rated
from hermes.harness.judges.pictures.clip import BATCH, CLIP_L, load_clip
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.models.source import parse_source
from hermes.harness.system.cache import file_sha256
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    from PIL import Image

WHO, FILE = "judge aesthetic", "sac+logos+ava1-l14-linearMSE.pth"
WIDTHS = (1024, 128, 64, 16, 1)
PLACES = (0, 2, 4, 6, 7)
"""Of the linear layers among all; the others drop features in training alone."""


class AestheticJudge:
    """The layers of a file over a CLIP of transformers, in float32."""

    description: ClassVar[str] = f"LAION's aesthetic score: aesthetic:FILE ({FILE}), or aesthetic:FILE@CLIP"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torchvision",)
    abilities: ClassVar[tuple[str, ...]] = ("aesthetic",)
    needs_model: ClassVar[bool] = False

    def __init__(self, model: Any, processor: Any, head: Any, identity: str, device: str = "cpu") -> None:
        self._model = model.to(device)
        self._head = head.to(device)
        self._processor = processor
        self._device = device
        self.identity = identity

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for a file that is not there, and for a CLIP that can be none."""
        file, clip = _parts(argument)
        if not file.is_file():
            raise HermesError(f"{WHO}: {file} does not exist; give aesthetic:FILE with {FILE}")
        parse_source(clip, WHO, "aesthetic:FILE@")

    @classmethod
    def load(cls, argument: str | None, device: str) -> "AestheticJudge":
        """Layers and CLIP on ``device``. Raises HermesError where they are not available or do not fit."""
        file, clip = _parts(argument)
        source = parse_source(clip, WHO, "aesthetic:FILE@")
        model, processor, version = load_clip(source, CLIP_L)
        head = load_head(file, model.config.projection_dim)
        return cls(model, processor, head, f"aesthetic-{file_sha256(file)[:12]}-{source.title}-{version}", device)

    def rate(self, images: "Sequence[Image.Image]", prompts: Sequence[str]) -> list[Rated]:
        """The score of each image; the prompts are not looked at."""
        import torch
        from torch.nn.functional import normalize

        rated: list[Rated] = []
        with torch.inference_mode(), full_float32(self._device):
            for begin in range(0, len(images), BATCH):
                batch = list(images[begin : begin + BATCH])
                pixels = self._processor.image_processor(batch, return_tensors="pt").to(self._device)
                seen = self._model.get_image_features(**pixels).pooler_output
                found = self._head(normalize(seen, dim=-1)).squeeze(-1).tolist()
                rated += [{"score": score, "cut": False} for score in found]
        return rated


def load_head(path: Path, width: int) -> Any:
    """The layers over embeddings of this width. Raises HermesError for a file of something else."""
    import torch
    from torch import nn

    layers: list[nn.Module] = [nn.Identity() for _ in range(PLACES[-1] + 1)]
    for place, size in zip(PLACES, WIDTHS, strict=True):
        layers[place] = nn.Linear(width, size)
        width = size
    head = nn.Sequential(*layers)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        head.load_state_dict({name.removeprefix("layers."): weight for name, weight in found.items()})
    except Exception as error:  # torch raises many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HermesError(f"{path}: not the layers of the aesthetic score ({reason}); give {FILE}") from None
    return head.float().eval().requires_grad_(False)


def _parts(argument: str | None) -> tuple[Path, str]:
    """The file, and the CLIP under it."""
    if not argument:
        raise HermesError(f"{WHO}: no weights are named; give aesthetic:FILE with {FILE}")
    file, at, clip = argument.partition("@")
    return Path(file).expanduser(), clip if at else CLIP_L
