"""CLIPScore and PickScore: how well a picture fits its prompt, under a CLIP of transformers.

CLIPScore (arXiv 2104.08718) is max(cos, 0) of the embeddings of picture and prompt. PickScore (arXiv 2305.01569) is
their cosine times the model's own scale, under a CLIP-H that was tuned on what people chose. Of a prompt of more than
77 tokens both see the first 76 and the end token, and say so.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hermes.harness.contracts.judge import Rated
from hermes.harness.models.full_float32 import full_float32
from hermes.harness.models.quiet import quiet
from hermes.harness.models.source import Source, folder_of, parse_source
from hermes.harness.system import hub
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

BATCH = 32
CLIP_L = "openai/clip-vit-large-patch14"
PROCESSORS = ("processor_config.json", "preprocessor_config.json")
SETTINGS = ("*.json", "*.txt")
"""What a processor is made of; beside weights in other formats, a repository holds model.safetensors."""


class ClipScoreJudge:
    """A CLIP checkpoint in transformers' layout, in float32 without TensorFloat-32; 100 cos is what papers print."""

    name: ClassVar[str] = "clipscore"
    default: ClassVar[str] = CLIP_L
    processor: ClassVar[str] = CLIP_L
    description: ClassVar[str] = f"CLIPScore by {CLIP_L}, or clipscore:FOLDER, clipscore:HUB_ID"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torchvision",)  # without it transformers prepares images with other pixels
    abilities: ClassVar[tuple[str, ...]] = ("clipscore",)
    needs_model: ClassVar[bool] = False

    def __init__(self, model: Any, processor: Any, identity: str, device: str = "cpu") -> None:
        self._model = model.to(device)
        self._processor = processor
        self._device = device
        self.identity = identity

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for what is neither a checkpoint folder nor in the form of a hub id; asks no hub."""
        _source(cls.name, argument or cls.default)

    @classmethod
    def load(cls, argument: str | None, device: str) -> "ClipScoreJudge":
        """The checkpoint on ``device``. Raises HermesError where it is not available or is no CLIP."""
        source = _source(cls.name, argument or cls.default)
        model, processor, version = load_clip(source, cls.processor)
        return cls(model, processor, f"{cls.name}-{source.title}-{version}", device)

    def rate(self, images: "Sequence[Image.Image]", prompts: Sequence[str]) -> list[Rated]:
        """The score of each image with its prompt, and whether the prompt was cut."""
        import torch

        rated: list[Rated] = []
        with torch.inference_mode(), full_float32(self._device):
            for begin in range(0, len(images), BATCH):
                texts = list(prompts[begin : begin + BATCH])
                found = self._similarities(list(images[begin : begin + BATCH]), texts)
                rated += [
                    {"score": score, "cut": cut} for score, cut in zip(found.tolist(), self._cut(texts), strict=True)
                ]
        return rated

    def _similarities(self, images: "list[Image.Image]", texts: list[str]) -> "Tensor":
        """The scores (n,) of n images, each with its text."""
        return self._cosines(images, texts).clamp(min=0)

    def _cosines(self, images: "list[Image.Image]", texts: list[str]) -> "Tensor":
        most = self._processor.tokenizer.model_max_length
        asked = self._processor(
            text=texts, images=images, padding=True, truncation=True, max_length=most, return_tensors="pt"
        ).to(self._device)
        found = self._model(**asked)
        cosines: Tensor = (found.image_embeds * found.text_embeds).sum(dim=-1)
        return cosines

    def _cut(self, texts: list[str]) -> list[bool]:
        tokenizer = self._processor.tokenizer
        ids = tokenizer(texts, truncation=False, verbose=False)["input_ids"]
        return [len(one) > tokenizer.model_max_length for one in ids]


class PickScoreJudge(ClipScoreJudge):
    """PickScore's checkpoint, or one made like it."""

    name: ClassVar[str] = "pickscore"
    default: ClassVar[str] = "yuvalkirstain/PickScore_v1"
    processor: ClassVar[str] = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
    description: ClassVar[str] = f"PickScore by {default}, or pickscore:FOLDER, pickscore:HUB_ID"
    abilities: ClassVar[tuple[str, ...]] = ("pickscore",)

    def _similarities(self, images: "list[Image.Image]", texts: list[str]) -> "Tensor":
        scale: Tensor = self._model.logit_scale.exp()
        return scale * self._cosines(images, texts)


def load_clip(source: Source, processor: str) -> tuple[Any, Any, str]:
    """A CLIP of transformers in float32, its processor, and twelve digits that tell its weights.

    ``processor`` is the hub id of the processor where the checkpoint has none of its own. Raises HermesError where the
    checkpoint is not available, or is none.
    """
    import torch
    from transformers import CLIPModel, CLIPProcessor

    cls: Any = CLIPModel
    folder = _folder(source, (*SETTINGS, "model.safetensors"))
    brings = any((folder / name).is_file() for name in PROCESSORS)
    prepared = folder if brings else _folder(parse_source(processor, "processor"), SETTINGS)
    try:
        with quiet():
            model, account = cls.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
            asks = CLIPProcessor.from_pretrained(prepared, local_files_only=True)
    except Exception as error:  # transformers raises many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HermesError(f"{source.name}: not a CLIP checkpoint of transformers ({reason}); give another") from None
    if missing := sorted(account["missing_keys"]):
        raise HermesError(f"{source.name}: lacks {len(missing)} weights, such as {missing[0]}; give a CLIP checkpoint")
    return model.eval().requires_grad_(False), asks, source.version(None if source.local else Path(folder).name)


def _folder(source: Source, files: tuple[str, ...]) -> Path:
    """The source's folder; of a hub repository these files alone."""
    if not source.local:
        hub.unreachable()
    return folder_of(source._replace(only=files))


def _source(name: str, where: str) -> Source:
    return parse_source(where, f"judge {name}", name)
