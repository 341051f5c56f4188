"""Show-o and HermesFlow as the harness sees them: load, understand, generate, and log-probabilities for align."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from hermes.harness.contracts.model import Drew, LikelihoodItem, Said
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.models.fingerprint import WeightsFingerprint
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.maskgit import Drawing, drawing_of, empty_image
from hermes.harness.models.outline import Outline, settings_file
from hermes.harness.models.pictures import Once, only_image
from hermes.harness.models.precision import dtype_name, torch_dtype
from hermes.harness.models.row_noise import noise_of, row_generator
from hermes.harness.models.showo.clip import ClipVision, projector_state, read_clip, take_projector
from hermes.harness.models.showo.config import ShowoConfig, read_config
from hermes.harness.models.showo.images import draw_image
from hermes.harness.models.showo.likelihood import Likelihood, LikelihoodBatch, Prepared, collate_items
from hermes.harness.models.showo.load import (
    clip_folder,
    read_network,
    read_state,
    text_folder,
    write_network,
)
from hermes.harness.models.showo.phi import Cache, Phi
from hermes.harness.models.showo.prompting import CONVERSATION, QUESTION, SYSTEM, Layout
from hermes.harness.models.showo.text import Ask, see_codes, see_features, write_behind
from hermes.harness.models.showo.tokenizer import TextTokenizer
from hermes.harness.models.source import Source, folder_of, source_of
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError

NAME = "showo"
PUBLISHED = "showlab/show-o-512x512"
DEFAULTS = GenerationConfig(max_new_tokens=100, guidance_scale=5.0, steps=50)
CHUNK = 16
NO_CODES = np.empty(0, np.int64)


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
    description: ClassVar[str] = (
        "Show-o and HermesFlow, from their published checkpoints (showo:FOLDER or HUB_ID[@REVISION])"
    )
    extra: ClassVar[str | None] = None
    alignable: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("dtype", "adapter", "compile")
    decoding: ClassVar[tuple[str, ...]] = ("order", "choice_temperature")

    def __init__(
        self,
        name: str,
        config: ShowoConfig,
        text: TextTokenizer,
        images: ImageTokenizer,
        transformer: Phi,
        images_at: Path,
        commit: str | None = None,
        clip: ClipVision | None = None,
    ) -> None:
        self.name, self.commit = name, commit
        self.masks = 1
        self.config = config
        self.text = text
        self.images = images
        self.transformer = transformer.eval()
        self.clip = clip
        self.module: nn.Module = Likelihood(transformer, clip.projector if clip else None)
        system = tuple(text.encode(SYSTEM)) if clip else ()
        self.layout = Layout(config.vocabulary(text.end), config.max_text, system)
        self.images_at = images_at
        settings = repr((replace(config, llm_model_path=""), text.tokenizer.to_str()))
        self._fingerprint = WeightsFingerprint(self._state, settings)

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads, without MAGVITv2 and the tokenizer, which are small."""
        return [source_of(reference, NAME, PUBLISHED)]

    @classmethod
    def load(cls, reference: str = NAME, device: str = "cpu", options: LoadOptions = PLAIN) -> "ShowO":
        """``showo``, ``showo:FOLDER``, ``showo:OWNER/NAME[@REVISION]`` of the hub, or a folder written by ``save``."""
        from hermes.harness.models.magvit.tokeniser import load_magvit, magvit_folder

        (source,) = cls.sources(reference)
        folder = folder_of(source)
        config = read_config(folder / "config.json")
        text = TextTokenizer.load(text_folder(folder, config.llm_model_path))
        if len(text) > config.llm_vocab_size:
            raise HermesError(f"{folder}: the tokenizer has {len(text)} tokens, the model {config.llm_vocab_size}")
        state = read_state(folder)
        projector = take_projector(state, config.clip, folder)
        transformer = read_network(folder, config.llm_model_path, state)
        if transformer.shape.vocab != config.as_json()["vocab_size"]:
            raise HermesError(
                f"{folder}: the weights have {transformer.shape.vocab} tokens, config.json says another number"
            )
        if options.adapter:
            transformer = merge_adapter(transformer, options.adapter, "model showo")
        transformer = transformer.to(device, torch_dtype(options.dtype, device))
        refuse_not_finite(transformer.state_dict(), f"{folder}")
        if options.compile:
            transformer.compile(dynamic=True)
        clip = None
        if projector is not None:
            refuse_not_finite(projector_state(projector), f"{folder}")
            clip = read_clip(clip_folder(folder), projector.to(device, torch_dtype(options.dtype, device)), device)
        images_at = magvit_folder(folder)
        commit = None if source.local else folder.name
        return cls(source.title, config, text, load_magvit(images_at, device), transformer, images_at, commit, clip)

    @classmethod
    def outline(cls, reference: str) -> Outline | None:
        """Its sizes without its weights."""
        path = settings_file(cls.sources(reference)[0])
        if path is None:
            return None
        from hermes.harness.models.showo.outline import outline_of

        return outline_of(path, DEFAULTS.steps or 1)

    def save(self, folder: Path) -> None:
        """Write the published layout, with tokenizer/, magvitv2/, clip/ and the Phi settings beside the weights."""
        config = replace(self.config, llm_model_path="phi_config")
        projector = self.clip.projector if self.clip else None
        write_network(self.transformer, {"model_type": NAME, **config.as_json()}, folder, projector)
        if self.clip:
            self.clip.save(folder / "clip")
        self.text.save(folder / "tokenizer")
        if self.images_at.resolve() != (folder / "magvitv2").resolve():
            shutil.copytree(self.images_at, folder / "magvitv2", dirs_exist_ok=True)

    @property
    def network(self) -> nn.Module:
        """What a LoRA adapter sits on."""
        return self.transformer

    def recompute_activations(self, on: bool) -> None:
        """Keep each layer's input alone for the backward pass, and compute the rest again."""
        self.transformer.recompute = on

    @property
    def info(self) -> ModelInfo:
        """What the model is; the fingerprint is that of the transformer's weights as they are now, and the image's."""
        images = self.images.parameters() if isinstance(self.images, nn.Module) else ()
        clip = self.clip.parameters() if self.clip else ()
        return ModelInfo(
            name=self.name,
            revision=self.commit,
            fingerprint=self._fingerprint(),
            dtype=dtype_name(self.transformer.lm_head.weight.dtype),
            abilities=self.abilities,
            parameters=sum(p.numel() for p in (*self.transformer.parameters(), *images, *clip)),
            resolution=self.config.resolution,
            noise=noise_of(self._device),
            defaults=DEFAULTS.model_copy(update={"image_size": self.config.resolution}),
        )

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, which must have exactly one image."""
        answers: list[str] = []
        for start in range(0, len(requests), CHUNK):
            part = requests[start : start + CHUNK]
            seen, which = self._see([only_image(request, "Show-o") for request in part])
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
            written = write_behind(self.transformer, self.layout, seen, asks, self.text.end)
            for ask, tokens in zip(asks, written, strict=True):
                answers.append(Said(self.text.decode(tokens).strip(), truncated=len(tokens) >= ask.max_new_tokens))
        return answers

    def generate(self, requests: Sequence[Request]) -> list[Image.Image | Drew]:
        """One image for each request; it is the one that the reference draws alone with a generator of its seed."""
        pictures: dict[int, Image.Image | Drew] = {}
        groups: dict[Drawing, list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(self._drawing(request), []).append(index)
        for drawing, members in groups.items():
            for start in range(0, len(members), CHUNK):
                part = members[start : start + CHUNK]
                texts = [self.text.encode(requests[index].prompt) for index in part]
                generators = [row_generator(requests[index].seed, self._device) for index in part]
                blank = empty_image(len(part), self.config.num_vq_tokens, self.layout.vocabulary.mask, self._device)
                ids = draw_image(self.transformer, self.layout, texts, blank, generators, drawing)
                for index, row, text in zip(part, ids, texts, strict=True):
                    picture = self._picture(row)
                    pictures[index] = Drew(picture, prompt_cut=True) if self.layout.cuts(text) else picture
        return [pictures[index] for index in range(len(requests))]

    def prepare(self, items: Sequence[LikelihoodItem]) -> list[Prepared]:
        """Tokenised items; picklable. Texts stand behind the prompt that ``understand`` uses."""
        codes = Once(lambda picture: self._codes(picture).cpu().numpy())
        pixels = Once(self.clip.pixels) if self.clip else None
        prepared = []
        for item in items:
            if item.kind == "image":
                prompt = tuple(self.text.encode(item.prompt))
                prepared.append(Prepared(prompt, codes(item.image), None, item.seed))
                continue
            question, answer = tuple(self._question(item.prompt)), self._answer(item.text)
            if pixels is None:
                prepared.append(Prepared(question, codes(item.image), answer, item.seed))
            else:
                prepared.append(Prepared(question, NO_CODES, answer, item.seed, pixels(item.image)))
        return prepared

    def with_seed(self, prepared: Prepared, seed: int) -> Prepared:
        """The same item with the mask of another seed; texts come back as they are."""
        return prepared.with_seed(seed)

    def collate(self, prepared: Sequence[Prepared]) -> LikelihoodBatch:
        """A batch for ``module``, on the model's device."""
        return collate_items(self.layout, prepared, self.clip, self.masks).to(self._device)

    @property
    def _device(self) -> torch.device:
        return self.transformer.lm_head.weight.device

    def _question(self, prompt: str) -> list[int]:
        if self.clip:
            return self.text.encode(CONVERSATION.format(prompt))
        return [self.text.end, *self.text.encode(QUESTION.format(prompt))]

    def _answer(self, text: str) -> tuple[int, ...]:
        return (*self.text.encode(f" {text.strip()}"), self.text.end)

    def _drawing(self, request: Request) -> Drawing:
        """Steps, guidance and temperature, checked."""
        config = request.config
        if config.image_size not in (None, self.config.resolution):
            size = self.config.resolution
            raise HermesError(f"image_size: this checkpoint draws {size} x {size} px only; leave image_size out")
        return drawing_of(config, DEFAULTS, "Show-o")

    @torch.inference_mode()
    def _picture(self, ids: Tensor) -> Image.Image:
        """One image from its token ids (N,); one at a time, so that companions cannot change a pixel."""
        from hermes.harness.models.magvit.pictures import pictures_of

        return pictures_of(self.images.decode(ids[None] - self.layout.vocabulary.first_code))[0]

    @torch.inference_mode()
    def _codes(self, picture: Image.Image) -> Tensor:
        """The token ids (N,) of one picture; one at a time, so that companions cannot change one."""
        from hermes.harness.models.magvit.pictures import pixels_of

        pixels = pixels_of([picture], self.config.resolution).to(self._device)
        return self.images.encode(pixels)[0] + self.layout.vocabulary.first_code

    @torch.inference_mode()
    def _see(self, handles: Sequence[ImageHandle]) -> tuple[Cache, list[int]]:
        """The cache of the distinct pictures, and which of them each handle is."""
        clip = self.clip
        if clip is None:
            codes = Once(self._codes)
            which = [codes.number(handle) for handle in handles]
            return see_codes(self.transformer, self.layout, torch.stack(codes.made)), which
        pixels = Once(clip.pixels)
        which = [pixels.number(handle) for handle in handles]
        return see_features(self.transformer, self.layout, clip.projector(clip.see(pixels.made))), which

    def _state(self) -> dict[str, Tensor]:
        """All weights by name."""
        state = self.transformer.state_dict()
        if isinstance(self.images, nn.Module):
            state |= {f"magvitv2.{name}": tensor for name, tensor in self.images.state_dict().items()}
        return state | (self.clip.state() if self.clip else {})
