"""MMaDA as the harness sees it: load, understand, generate, and log-probabilities for align."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from hermes.harness.contracts.model import Drew, LikelihoodItem, Said
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.fingerprint import WeightsFingerprint
from hermes.harness.models.magvit.pictures import pictures_of, pixels_of, squashed_pixels_of
from hermes.harness.models.maskgit import Drawing, drawing_of, empty_image
from hermes.harness.models.mmada.config import NAME, PUBLISHED
from hermes.harness.models.mmada.images import draw_steps
from hermes.harness.models.mmada.likelihood import Likelihood, LikelihoodBatch, Prepared, collate_items, with_seed
from hermes.harness.models.mmada.prompting import Layout, encoded, question_ids
from hermes.harness.models.mmada.text import BLOCK, Writing, write
from hermes.harness.models.pictures import Once, only_image
from hermes.harness.models.precision import dtype_name
from hermes.harness.models.recompute import recompute
from hermes.harness.models.released import named, versioned
from hermes.harness.models.row_noise import noise_of, row_generator
from hermes.harness.models.seeded import draw_of, max_new_tokens_of
from hermes.harness.models.source import Source, source_of
from hermes.harness.records.images import Cell, ImageHandle
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    from hermes.harness.models.mmada.load import Loaded

# Images as the README draws them. Texts as long as the understanding script's, and as there two tokens a step in blocks
# of 128 where a request names neither; shorter answers are what a benchmark asks for.
DEFAULTS = GenerationConfig(max_new_tokens=512, guidance_scale=3.5, steps=15)
CHUNK = 8
# What the authors' script looks for in the name of a picture's file, to squash the picture instead of cropping it.
SQUASHED = ("ai2d", "clevr", "docvqa", "geo", "llava")


class MMaDA:
    """MMaDA (Yang et al., 2025): one transformer that unmasks texts and image tokens alike.

    Text is greedy and images are drawn at temperature 1 where a request names no temperature. Texts end at the first
    token that ends one. ``--as-released``: the benchmarks' misspelt prompt, pictures squashed by their file's name,
    texts that go on behind their end, and likelihoods of images as the authors train them.
    """

    version: str = "1"
    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation")
    parameters: ClassVar[str] = "8 B"
    description: ClassVar[str] = "MMaDA, from its published checkpoints (mmada:FOLDER or HUB_ID[@REVISION])"
    extra: ClassVar[str | None] = None
    alignable: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("dtype", "device_map", "adapter", "as_released")
    decoding: ClassVar[tuple[str, ...]] = ("order", "choice_temperature", "top_p", "text_steps", "block_length")

    def __init__(self, name: str, loaded: "Loaded", options: LoadOptions = PLAIN) -> None:
        self.name, self.commit = named(name, options), loaded.commit
        self.version = versioned(type(self).version, options)
        self.as_released = options.as_released
        self.masks = 1
        self.config, self.tokenizer, self.images = loaded.config, loaded.tokenizer, loaded.images
        self.network, self.images_at = loaded.network, loaded.images_at
        self.layout = Layout(loaded.vocabulary, loaded.config.max_text)
        self.module: nn.Module = Likelihood(self.network, self.layout)
        settings = repr((sorted(self.config.raw.items()), self.tokenizer.backend_tokenizer.to_str()))
        self._fingerprint = WeightsFingerprint(self._state, settings)

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads, without MAGVITv2, which is small."""
        return [source_of(reference, NAME, PUBLISHED)]

    @classmethod
    def load(cls, reference: str = NAME, device: str = "cpu", options: LoadOptions = PLAIN) -> "MMaDA":
        """``mmada``, ``mmada:FOLDER``, ``mmada:OWNER/NAME[@REVISION]`` of the hub, or a folder written by ``save``."""
        (source,) = cls.sources(reference)
        from hermes.harness.models.mmada.load import load_checkpoint

        return cls(source.title, load_checkpoint(source, device, options), options)

    def save(self, folder: Path) -> None:
        """Write the published layout: config, weights and tokenizer, with magvitv2/ beside them."""
        from hermes.harness.models.mmada.load import write_network

        write_network(self.network, self.config, folder)
        self.tokenizer.save_pretrained(folder)
        if self.images_at.resolve() != (folder / "magvitv2").resolve():
            shutil.copytree(self.images_at, folder / "magvitv2", dirs_exist_ok=True)

    def recompute_activations(self, on: bool) -> None:
        """transformers' gradient checkpointing."""
        recompute(self.network, on)

    @property
    def info(self) -> ModelInfo:
        """What the model is; the fingerprint is that of the weights as they are now."""
        weights = (*self.network.parameters(), *self.images.parameters())
        return ModelInfo(
            name=self.name,
            revision=self.commit,
            fingerprint=self._fingerprint(),
            dtype=dtype_name(self.network.dtype),
            abilities=self.abilities,
            parameters=sum(part.numel() for part in weights),
            resolution=self.config.resolution,
            noise=noise_of(self._device),
            defaults=DEFAULTS.model_copy(update={"image_size": self.config.resolution}),
        )

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, which has one image or none."""
        answers: dict[int, Said] = {}
        groups: dict[tuple[Writing, int], list[int]] = {}  # a row without a picture is a tenth of one with it
        for index, request in enumerate(requests):
            groups.setdefault((self._writing(request), len(request.images)), []).append(index)
        codes, squashed = Once(self._codes), Once(self._squashed_codes)
        for (writing, _), members in groups.items():
            for start in range(0, len(members), CHUNK):
                part = members[start : start + CHUNK]
                asked = [requests[index] for index in part]
                prompts = [self._prompt(request, squashed if self._squashes(request) else codes) for request in asked]
                draws = [draw_of(request, DEFAULTS, temperature=0.0) for request in asked]
                ends = () if self.as_released else self.layout.vocabulary.ends
                written = write(self.network, self.layout.vocabulary.mask, prompts, draws, writing, ends)
                for index, tokens in zip(part, written, strict=True):
                    cut = bool(ends) and len(tokens) == writing.tokens
                    answers[index] = Said(self._text(tokens), truncated=cut)
        return [answers[index] for index in range(len(requests))]

    def generate(self, requests: Sequence[Request]) -> list[Image.Image | Drew]:
        """One square image for each request."""
        pictures: dict[int, Image.Image | Drew] = {}
        groups: dict[tuple[Drawing, int], list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault((drawing_of(request.config, DEFAULTS, "MMaDA"), self._side(request)), []).append(index)
        for (drawing, side), members in groups.items():
            for start in range(0, len(members), CHUNK):
                part = members[start : start + CHUNK]
                texts = [encoded(self.tokenizer, requests[index].prompt) for index in part]
                generators = [row_generator(requests[index].seed, self._device) for index in part]
                blank = empty_image(len(part), (side // self._stride) ** 2, self.layout.vocabulary.mask, self._device)
                *_, last = draw_steps(self.network, self.layout, texts, blank, generators, drawing)
                for index, row, text in zip(part, last.chosen, texts, strict=True):
                    picture = self._picture(row)
                    pictures[index] = Drew(picture, prompt_cut=True) if self.layout.cuts(text) else picture
        return [pictures[index] for index in range(len(requests))]

    def prepare(self, items: Sequence[LikelihoodItem]) -> list[Prepared]:
        """Tokenised items; picklable. Texts stand behind the prompt that ``understand`` uses."""
        codes = Once(lambda picture: self._codes(picture).cpu().numpy())
        prepared = []
        for item in items:
            if item.kind == "image":
                prompt, text = encoded(self.tokenizer, item.prompt), None
            else:
                prompt = question_ids(self.tokenizer, item.prompt, misspelt=self.as_released)
                text = (*encoded(self.tokenizer, item.text.strip()), self.layout.vocabulary.eos)
            prepared.append(Prepared(tuple(prompt), codes(item.image), text, item.seed))
        return prepared

    def with_seed(self, prepared: Prepared, seed: int) -> Prepared:
        """The same item with the masks of another seed."""
        return with_seed(prepared, seed)

    def collate(self, prepared: Sequence[Prepared]) -> LikelihoodBatch:
        """A batch for ``module``, on the model's device."""
        return collate_items(self.layout, prepared, self.masks, self.as_released).to(self._device)

    @property
    def _device(self) -> torch.device:
        device: torch.device = self.network.get_output_embeddings().weight.device
        return device

    @property
    def _stride(self) -> int:
        return self.images.config.stride

    def _writing(self, request: Request) -> Writing:
        """How the request's answer is written, checked."""
        config = request.config
        block = BLOCK if config.block_length is None else config.block_length
        if config.order == "halton":
            raise HermesError("order: a text has no halton order; give confidence or random, or leave order out")
        writing = Writing(
            max_new_tokens_of(request, DEFAULTS), config.text_steps, block, at_random=config.order == "random"
        )
        writing.plan()
        return writing

    def _prompt(self, request: Request, codes: Once[Tensor]) -> list[int]:
        """The ids before the answer."""
        if not request.images:
            return question_ids(self.tokenizer, request.prompt)
        image = codes(only_image(request, "MMaDA")).tolist()
        return [
            *self.layout.seen_image(image),
            *question_ids(self.tokenizer, request.prompt, misspelt=self.as_released),
        ]

    def _text(self, tokens: Sequence[int]) -> str:
        """The text of the tokens; image codes and special tokens say nothing."""
        words = [token for token in tokens if token < self.layout.vocabulary.first_code]
        return str(self.tokenizer.decode(words, skip_special_tokens=True)).strip()

    def _side(self, request: Request) -> int:
        """The wanted width and height in pixels, checked."""
        side, most = request.config.image_size or self.config.resolution, self.config.longest
        if side % self._stride or not 0 < (side // self._stride) ** 2 <= most - self.config.max_text - 3:
            raise HermesError(
                f"image_size: this checkpoint draws multiples of {self._stride} px, up to a row of {most:,} tokens, "
                f"and {self.config.resolution} px is what it was trained for; leave image_size out"
            )
        return side

    def _squashes(self, request: Request) -> bool:
        """Whether the authors' script would squash the request's picture: by the name of its file."""
        return self.as_released and any(word in _file_name(handle) for handle in request.images for word in SQUASHED)

    @torch.inference_mode()
    def _picture(self, ids: Tensor) -> Image.Image:
        """One image from its token ids (N,); one at a time, so that companions cannot change a pixel."""
        return pictures_of(self.images.decode(ids[None] - self.layout.vocabulary.first_code))[0]

    def _codes(self, picture: Image.Image) -> Tensor:
        """The token ids (N,) of one picture; one at a time, so that companions cannot change one."""
        return self._encoded(pixels_of([picture], self.config.resolution))

    def _squashed_codes(self, picture: Image.Image) -> Tensor:
        return self._encoded(squashed_pixels_of(picture, self.config.resolution))

    @torch.inference_mode()
    def _encoded(self, pixels: Tensor) -> Tensor:
        return self.images.encode(pixels)[0] + self.layout.vocabulary.first_code

    def _state(self) -> dict[str, Tensor]:
        """All weights by name."""
        images = {f"magvitv2.{name}": tensor for name, tensor in self.images.state_dict().items()}
        return dict(self.network.state_dict()) | images


def _file_name(handle: ImageHandle) -> str:
    """The name of the picture's file, "" where it has none."""
    return "" if handle.name is None or isinstance(handle.source, Cell) else Path(handle.name).name
