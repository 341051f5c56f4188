"""Show-o and HermesFlow as the harness sees them: load, understand, generate, and log-probabilities for align."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from hermes.harness.errors import HermesError
from hermes.harness.images import ImageHandle
from hermes.harness.models.base import LikelihoodItem
from hermes.harness.models.showo.config import ShowoConfig, read_config
from hermes.harness.models.showo.images import Drawing, draw_image, empty_image
from hermes.harness.models.showo.likelihood import Likelihood, LikelihoodBatch, Prepared, collate_items
from hermes.harness.models.showo.load import (
    checkpoint_folder,
    image_folder,
    read_network,
    text_folder,
    write_network,
)
from hermes.harness.models.showo.phi import Phi
from hermes.harness.models.showo.prompting import QUESTION, Layout
from hermes.harness.models.showo.text import Ask, write
from hermes.harness.models.showo.tokenizer import TextTokenizer
from hermes.harness.types import Ability, GenerationConfig, ModelInfo, Request

NAME = "showo"
PUBLISHED = "showlab/show-o-512x512"
DEFAULTS = GenerationConfig(max_new_tokens=100, guidance_scale=5.0, steps=50)
IMAGE_TEMPERATURE = 1.0
CHUNK = 16


class ImageTokenizer(Protocol):
    """MAGVITv2: pixels (B, 3, R, R) in [-1, 1] to codes (B, N), and back."""

    def encode(self, pixels: Tensor) -> Tensor: ...

    def decode(self, codes: Tensor) -> Tensor: ...


class ShowO:
    """Show-o, or HermesFlow, which has the same architecture.

    Text is greedy and images are drawn at temperature 1 where a request names no temperature, as in the published
    scripts; guidance and steps are those of Show-o's README.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation")
    parameters: ClassVar[str] = "1.4 B"
    description: ClassVar[str] = "Show-o and HermesFlow, from their published checkpoints (showo:FOLDER or OWNER/NAME)"
    extra: ClassVar[str | None] = None
    alignable: ClassVar[bool] = True

    def __init__(
        self, config: ShowoConfig, text: TextTokenizer, images: ImageTokenizer, transformer: Phi, images_at: Path
    ) -> None:
        self.config = config
        self.text = text
        self.images = images
        self.transformer = transformer.eval()
        self.module: nn.Module = Likelihood(transformer)
        self.layout = Layout(config.vocabulary(text.end), config.max_text)
        self.images_at = images_at
        self._fingerprint: tuple[tuple[int, ...], str] | None = None

    @classmethod
    def available(cls) -> bool:
        """Whether the text tokenizer's package is there."""
        return find_spec("tokenizers") is not None

    @classmethod
    def load(cls, reference: str = NAME, device: str = "cpu") -> "ShowO":
        """``showo``, ``showo:FOLDER``, ``showo:OWNER/NAME`` of the hub, or a folder written by ``save``."""
        from hermes.harness.models.showo.magvit import load_magvit

        name = PUBLISHED if reference == NAME else reference.removeprefix(f"{NAME}:")
        folder = checkpoint_folder(name)
        config = read_config(folder / "config.json")
        text = TextTokenizer.load(text_folder(folder, config.llm_model_path))
        if len(text) > config.llm_vocab_size:
            raise HermesError(f"{folder}: the tokenizer has {len(text)} tokens, the model {config.llm_vocab_size}")
        transformer = read_network(folder, config.llm_model_path).to(device)
        if transformer.shape.vocab != config.as_json()["vocab_size"]:
            raise HermesError(
                f"{folder}: the weights have {transformer.shape.vocab} tokens, config.json another number"
            )
        images_at = image_folder(folder)
        return cls(config, text, load_magvit(images_at, device), transformer, images_at)

    def save(self, folder: Path) -> None:
        """Write the published layout, with tokenizer/, magvitv2/ and the Phi settings beside the weights."""
        config = replace(self.config, llm_model_path="phi_config")
        write_network(self.transformer, {"model_type": NAME, **config.as_json()}, folder)
        self.text.save(folder / "tokenizer")
        if self.images_at.resolve() != (folder / "magvitv2").resolve():
            shutil.copytree(self.images_at, folder / "magvitv2", dirs_exist_ok=True)

    @property
    def info(self) -> ModelInfo:
        """What the model is; the fingerprint is that of the transformer's weights as they are now, and the image's."""
        images = self.images.parameters() if isinstance(self.images, nn.Module) else ()
        return ModelInfo(
            name=NAME,
            fingerprint=self._identity(),
            abilities=self.abilities,
            parameters=sum(p.numel() for p in (*self.transformer.parameters(), *images)),
            resolution=self.config.resolution,
            defaults=DEFAULTS.model_copy(update={"image_size": self.config.resolution}),
        )

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, which must have exactly one image."""
        answers: list[str] = []
        for start in range(0, len(requests), CHUNK):
            part = requests[start : start + CHUNK]
            ids, which = self._encode([_only_image(request) for request in part])
            asks = [
                Ask(
                    image=image,
                    prompt=self._question(request.prompt),
                    seed=request.seed,
                    max_new_tokens=request.config.max_new_tokens or DEFAULTS.max_new_tokens or 1,
                    temperature=request.config.temperature or 0.0,
                    top_k=request.config.top_k or 0,
                )
                for request, image in zip(part, which, strict=True)
            ]
            written = write(self.transformer, self.layout, ids, asks, self.text.end)
            answers += [self.text.decode(tokens).strip() for tokens in written]
        return answers

    def generate(self, requests: Sequence[Request]) -> list[Image.Image]:
        """One image for each request; it is the one that the reference draws alone with a generator of its seed."""
        pictures: dict[int, Image.Image] = {}
        groups: dict[Drawing, list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(self._drawing(request), []).append(index)
        for drawing, members in groups.items():
            for start in range(0, len(members), CHUNK):
                part = members[start : start + CHUNK]
                texts = [self.text.encode(requests[index].prompt) for index in part]
                generators = [torch.Generator().manual_seed(requests[index].seed) for index in part]
                blank = empty_image(self.layout, len(part), self.config.num_vq_tokens, self._device)
                ids = draw_image(self.transformer, self.layout, texts, blank, generators, drawing)
                pictures |= {index: self._picture(row) for index, row in zip(part, ids, strict=True)}
        return [pictures[index] for index in range(len(requests))]

    def prepare(self, items: Sequence[LikelihoodItem]) -> list[Prepared]:
        """Tokenised items; picklable. Texts stand behind the prompt that ``understand`` uses."""
        ids, which = self._encode([item.image for item in items])
        images = ids.cpu().numpy()
        return [
            Prepared(tuple(self._question(item.prompt)), images[image], self._answer(item.text), item.seed)
            if item.kind == "text"
            else Prepared(tuple(self.text.encode(item.prompt)), images[image], None, item.seed)
            for item, image in zip(items, which, strict=True)
        ]

    def with_seed(self, prepared: Prepared, seed: int) -> Prepared:
        """The same item with the mask of another seed; texts come back as they are."""
        return prepared.with_seed(seed)

    def collate(self, prepared: Sequence[Prepared]) -> LikelihoodBatch:
        """A batch for ``module``, on the model's device."""
        return collate_items(self.layout, prepared).to(self._device)

    @property
    def _device(self) -> torch.device:
        return self.transformer.lm_head.weight.device

    def _question(self, prompt: str) -> list[int]:
        return [self.text.end, *self.text.encode(QUESTION.format(prompt))]

    def _answer(self, text: str) -> tuple[int, ...]:
        return (*self.text.encode(f" {text.strip()}"), self.text.end)

    def _drawing(self, request: Request) -> Drawing:
        """Steps, guidance and temperature, checked."""
        config, tokens = request.config, self.config.num_vq_tokens
        steps = DEFAULTS.steps if config.steps is None else config.steps
        guidance = DEFAULTS.guidance_scale if config.guidance_scale is None else config.guidance_scale
        temperature = IMAGE_TEMPERATURE if config.temperature is None else config.temperature
        if config.image_size not in (None, self.config.resolution):
            size = self.config.resolution
            raise HermesError(f"image_size: this checkpoint draws {size} x {size} px only; leave image_size out")
        if steps is None or steps < 1:
            raise HermesError(f"steps: Show-o draws {tokens} tokens in 1 or more steps, not {steps}")
        if temperature < 0 or guidance is None or guidance < 0:
            raise HermesError("temperature and guidance_scale must not be negative")
        return Drawing(steps, guidance, temperature)

    @torch.inference_mode()
    def _picture(self, ids: Tensor) -> Image.Image:
        """One image from its token ids (N,); one at a time, so that companions cannot change a pixel."""
        from hermes.harness.models.showo.image_preprocess import pictures_of

        return pictures_of(self.images.decode(ids[None] - self.layout.vocabulary.first_code))[0]

    @torch.inference_mode()
    def _encode(self, handles: Sequence[ImageHandle]) -> tuple[Tensor, list[int]]:
        """Token ids (D, N) of the D distinct pictures, and which of them each handle is."""
        from hermes.harness.models.showo.image_preprocess import pixels_of

        numbers: dict[bytes, int] = {}
        ids: list[Tensor] = []
        which: list[int] = []
        for handle in handles:
            picture = handle.open()
            key = repr(picture.size).encode() + picture.tobytes()
            if key not in numbers:
                numbers[key] = len(ids)
                codes = self.images.encode(pixels_of([picture], self.config.resolution).to(self._device))[0]
                ids.append(codes + self.layout.vocabulary.first_code)
            which.append(numbers[key])
        return torch.stack(ids) if ids else torch.empty(0, self.config.num_vq_tokens, dtype=torch.long), which

    def _identity(self) -> str:
        """A hash of all weights; hashed anew only where a weight has been written to since."""
        modules = [module for module in (self.transformer, self.images) if isinstance(module, nn.Module)]
        state = [item for module in modules for item in sorted(module.state_dict().items())]
        versions = tuple(tensor._version for _, tensor in state)
        if self._fingerprint is None or self._fingerprint[0] != versions:
            digest = hashlib.blake2b(repr((self.config, self.text.tokenizer.to_str())).encode(), digest_size=8)
            for name, tensor in state:
                digest.update(name.encode())
                digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
            self._fingerprint = (versions, digest.hexdigest())
        return self._fingerprint[1]


def _only_image(request: Request) -> ImageHandle:
    if len(request.images) != 1:
        raise HermesError(
            f"{request.sample_id}: Show-o looks at exactly one image, this request has {len(request.images)}; "
            "leave the sample out or choose another model"
        )
    return request.images[0]
