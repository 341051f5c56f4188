"""HPSv2: which picture people prefer for a prompt, by a CLIP ViT-H-14 of open_clip tuned on their choices.

Paper: arXiv 2306.09341. The score is the cosine of the embeddings of picture and prompt; papers print 100 times it. A
picture is shown whole: its longer side is brought to 224 pixels, and black fills the rest, as the authors' copy of
open_clip does. There the model runs under float16 autocast on a GPU; here it is float32.
"""

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hermes.harness.contracts.judge import Rated
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.system import hub
from hermes.harness.system.cache import file_sha256
from hermes.harness.system.errors import HermesError, MissingExtra

if TYPE_CHECKING:
    from PIL import Image

ARCHITECTURE, HUB, FILE = "ViT-H-14", "xswu/HPSv2", "HPS_v2.1_compressed.pt"
BATCH = 32


class HPSv2Judge:
    """Version 2.1 from the hub, or the file of any version; its hash is in the identity."""

    description: ClassVar[str] = f"HPSv2.1 by {HUB}, or hpsv2:FILE with the weights of any version"
    extra: ClassVar[str | None] = "scores"
    abilities: ClassVar[tuple[str, ...]] = ("hpsv2",)
    needs_model: ClassVar[bool] = False

    def __init__(self, model: Any, transform: Any, tokenizer: Any, identity: str, device: str = "cpu") -> None:
        self._model = model.to(device).eval()
        self._transform = transform
        self._tokenizer = tokenizer
        self._device = device
        self.identity = identity

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for a missing package or file."""
        if find_spec("open_clip") is None:
            raise MissingExtra("judge 'hpsv2'", "scores")
        if argument is not None and not Path(argument).expanduser().is_file():
            raise HermesError(f"judge hpsv2: {argument} does not exist; give hpsv2:FILE, such as {FILE} of {HUB}")

    @classmethod
    def load(cls, argument: str | None, device: str) -> "HPSv2Judge":
        """The model on ``device``. Raises HermesError for weights that are not available or not those of a ViT-H-14."""
        import open_clip

        path = _released() if argument is None else Path(argument).expanduser()
        disabled = logging.root.manager.disable
        logging.disable(logging.ERROR)  # open_clip logs what it raises; the error that follows says it once
        try:
            model, _, transform = open_clip.create_model_and_transforms(
                ARCHITECTURE, pretrained=str(path), precision="fp32", device="cpu", image_resize_mode="longest"
            )
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise HermesError(f"{path}: not the weights of HPSv2's {ARCHITECTURE} ({reason}); give {FILE}") from None
        finally:
            logging.disable(disabled)
        tokenizer = open_clip.get_tokenizer(ARCHITECTURE)
        return cls(model, transform, tokenizer, f"hpsv2-{file_sha256(path)[:12]}", device)

    def rate(self, images: "Sequence[Image.Image]", prompts: Sequence[str]) -> list[Rated]:
        """The cosine of each image with its prompt, and whether the prompt was cut."""
        import torch

        rated: list[Rated] = []
        with torch.inference_mode(), full_float32(self._device):
            for begin in range(0, len(images), BATCH):
                texts = list(prompts[begin : begin + BATCH])
                pixels = torch.stack([self._transform(image) for image in images[begin : begin + BATCH]])
                seen = self._model.encode_image(pixels.to(self._device), normalize=True)
                read = self._model.encode_text(self._tokenizer(texts).to(self._device), normalize=True)
                found = (seen * read).sum(dim=-1).tolist()
                rated += [{"score": score, "cut": self._cut(text)} for score, text in zip(found, texts, strict=True)]
        return rated

    def _cut(self, text: str) -> bool:
        """Whether the text and its two marks are more tokens than are read."""
        return len(self._tokenizer.encode(text)) + 2 > int(self._tokenizer.context_length)


def _released() -> Path:
    """The released weights, from the hub or its cache."""
    from huggingface_hub import hf_hub_download

    hub.unreachable()
    try:
        return Path(hf_hub_download(HUB, FILE))
    except Exception as error:  # the hub's client raises many kinds
        raise HermesError(
            f"{HUB}: {FILE} is not available from the hub ({hub.missing(error)}); download it and give hpsv2:FILE"
        ) from None
