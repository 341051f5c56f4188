"""The colour of a detected object, as GenEval asks CLIP for it.

Read in evaluation/evaluate_images.py of djghosh13/geneval (commit 16f1681), whose environment pins open_clip 2.20.0 and
clip-benchmark 1.4.0: ViT-L-14 with "openai" weights (which need QuickGELU); ten colours; three templates a colour,
whose text embeddings are normalised, averaged and normalised again; the image keeps its pixels inside the instance's
mask, is #999 outside, and is cropped to the box; open_clip's evaluation transform; the largest cosine wins. There CLIP
runs under float16 autocast on a GPU; here it is float32, so colours that tie to three digits may change places.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from hermes.harness.contracts.published import GENEVAL_COLORS
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    from torch import Tensor

TEMPLATES = ("a photo of a {color} {name}", "a photo of a {color}-colored {name}", "a photo of a {color} object")
BACKGROUND = "#999"
BATCH = 64


@dataclass(frozen=True)
class Crop:
    """One object of the class ``name``, cut out of its image."""

    image: Image.Image
    name: str


class ColorClassifier(Protocol):
    """``identity`` enters the judge's."""

    identity: str

    def classify(self, crops: Sequence[Crop]) -> list[str]:
        """One of GENEVAL_COLORS for each crop."""
        ...


class ClipColors:
    """The zero-shot classifier over one open_clip model, its evaluation transform and its tokenizer."""

    identity = "clip-vit-l-14-openai"

    def __init__(self, model: Any, transform: Any, tokenizer: Any, device: str = "cpu") -> None:
        self._model = model.to(device).eval()
        self._transform = transform
        self._tokenizer = tokenizer
        self._device = device
        self._classifiers: dict[str, Tensor] = {}

    @classmethod
    def load(cls, device: str) -> "ClipColors":
        """ViT-L-14 with OpenAI's weights, from open_clip's cache or downloaded. Raises HermesError without either."""
        import open_clip

        # open_clip logs what it raises; the error that follows says it once.
        disabled = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            model, _, transform = open_clip.create_model_and_transforms(
                "ViT-L-14", pretrained="openai", precision="fp32", device="cpu", force_quick_gelu=True
            )
            tokenizer = open_clip.get_tokenizer("ViT-L-14")
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise HermesError(
                f"GenEval's colour classifier cannot be loaded ({reason}); download open_clip's ViT-L-14 'openai' "
                "once where there is a network, and copy the Hugging Face cache here"
            ) from None
        finally:
            logging.disable(disabled)
        return cls(model, transform, tokenizer, device)

    def classify(self, crops: Sequence[Crop]) -> list[str]:
        """One of GENEVAL_COLORS for each crop, in batches over all of them."""
        import torch
        from torch.nn.functional import normalize

        colors: list[str] = []
        with torch.inference_mode(), full_float32(self._device):
            for begin in range(0, len(crops), BATCH):
                batch = crops[begin : begin + BATCH]
                pixels = torch.stack([self._transform(crop.image) for crop in batch])
                features = normalize(self._model.encode_image(pixels.to(self._device)), dim=-1)
                classifiers = torch.stack([self._classifier(crop.name) for crop in batch])
                best = torch.einsum("nd,ncd->nc", features, classifiers).argmax(dim=1)
                colors += [GENEVAL_COLORS[number] for number in best.tolist()]
        return colors

    def _classifier(self, name: str) -> "Tensor":
        """One unit vector a colour, (10, D), for objects of a class."""
        from torch.nn.functional import normalize

        if name not in self._classifiers:
            texts = [template.format(color=color, name=name) for color in GENEVAL_COLORS for template in TEMPLATES]
            tokens = self._tokenizer(texts).to(self._device)
            embedded = normalize(self._model.encode_text(tokens), dim=-1)
            self._classifiers[name] = normalize(
                embedded.reshape(len(GENEVAL_COLORS), len(TEMPLATES), -1).mean(1), dim=-1
            )
        return self._classifiers[name]


def cut_out(image: Image.Image, mask: np.ndarray[Any, np.dtype[np.bool_]], box: Sequence[float], name: str) -> Crop:
    """The object inside ``mask`` (H, W) on grey, cropped to ``box`` (x0, y0, x1, y1 in pixels)."""
    grey = Image.new("RGB", image.size, color=BACKGROUND)
    picture = Image.composite(image.convert("RGB"), grey, Image.fromarray(mask.astype(np.uint8) * 255))
    return Crop(picture.crop(tuple(round(side) for side in box)), name)  # type: ignore[arg-type]
