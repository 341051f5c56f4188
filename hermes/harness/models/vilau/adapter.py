"""VILA-U as the harness sees it: load, understand, generate, and log-probabilities for align."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hermes.harness.contracts.model import LikelihoodItem, Said
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.pictures import Once
from hermes.harness.models.recompute import recompute
from hermes.harness.models.released import named, versioned
from hermes.harness.models.seeded import Draw, draw_of, max_new_tokens_of
from hermes.harness.models.source import Source, folder_of
from hermes.harness.models.vilau.places import NAME, entered, find
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

    from hermes.harness.models.vilau.likelihood import LikelihoodBatch, Prepared
    from hermes.harness.models.vilau.load import Loaded
    from hermes.harness.models.vilau.sampling import Choose

# The authors' fixed constants of drawing (mit-han-lab/vila-u, commit 096623c), of which guidance alone is an argument
# there. They do not go into the defaults of all requests, because a text that is drawn has others.
IMAGES = GenerationConfig(guidance_scale=3.0, temperature=1.0, top_k=900, top_p=0.96)
TEXTS = GenerationConfig(max_new_tokens=1024)
# As released: transformers' own top-k where the checkpoint's generation settings name none.
CHUNK = 16


class VilaU:
    """VILA-U (Wu et al., 2024) from its published files.

    Text is greedy where a request names no temperature. ``guidance_scale`` is the authors': guided logits are
    u + scale (c - u), and a scale of at most 1 means no guidance. As released, pictures are quantised and decoded in
    bfloat16, texts without a temperature are drawn with the checkpoint's generation settings, and the drawing loop has
    its text tokens (see ``released.py``).
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation")
    parameters: ClassVar[str] = "7 B"
    description: ClassVar[str] = "VILA-U: a checkpoint folder, vilau:FOLDER or vilau:HUB_ID[@REVISION]"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("sentencepiece",)
    alignable: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("dtype", "device_map", "adapter", "as_released")
    decoding: ClassVar[tuple[str, ...]] = ("top_p",)

    def __init__(self, name: str, loaded: "Loaded", commit: str | None = None, options: LoadOptions = PLAIN) -> None:
        from hermes.harness.models.fingerprint import WeightsFingerprint
        from hermes.harness.models.vilau.likelihood import Likelihood

        self.name, self.version = named(name, options), versioned("1", options)
        self.commit, self.loaded, self.released = commit, loaded, options.as_released
        self.network, self.words = loaded.network, loaded.words
        self.side, self.drawn = loaded.sizes.side, loaded.sizes.drawn
        self.module: torch.nn.Module = Likelihood(self.network)
        self._fingerprint = WeightsFingerprint(self.network.state_dict)

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads."""
        return [find(reference)[1]]

    @classmethod
    def load(cls, reference: str = NAME, device: str = "cpu", options: LoadOptions = PLAIN) -> "VilaU":
        """A folder, "vilau:<folder or hub id>", or "vilau", the published one. Raises HermesError for others."""
        name, source = find(reference)
        from hermes.harness.models.vilau.load import load_checkpoint

        folder = folder_of(source)
        commit = None if source.local else folder.name
        return cls(name, load_checkpoint(entered(folder), device, options), commit, options)

    def save(self, folder: Path) -> None:
        """Write the published layout, with SigLIP's folder where the checkpoint had one."""
        from hermes.harness.models.vilau.load import write_checkpoint

        write_checkpoint(self.loaded, folder)

    def recompute_activations(self, on: bool) -> None:
        """Gradient checkpointing of the language model and the depth transformer."""
        recompute(self.network.llm, on)
        self.network.rqtransformer.recompute = on

    @property
    def info(self) -> ModelInfo:
        """What the model is; the fingerprint is that of the weights as they are now."""
        from hermes.harness.models.precision import dtype_name

        return ModelInfo(
            name=self.name,
            revision=self.commit,
            fingerprint=self._fingerprint(),
            abilities=self.abilities,
            parameters=sum(parameter.numel() for parameter in self.network.parameters()),
            dtype=dtype_name(self.network.dtype),
            resolution=self.drawn,
            defaults=TEXTS.model_copy(update={"guidance_scale": IMAGES.guidance_scale, "image_size": self.drawn}),
        )

    def understand(self, requests: Sequence[Request]) -> list[Said]:
        """One answer for each request, with none, one or several images."""
        parts = [requests[start : start + CHUNK] for start in range(0, len(requests), CHUNK)]
        return [text for part in parts for text in self._answers(part)]

    def generate(self, requests: Sequence[Request]) -> "list[Image.Image]":
        """One square image for each request."""
        parts = [requests[start : start + CHUNK] for start in range(0, len(requests), CHUNK)]
        return [picture for part in parts for picture in self._pictures(part)]

    def prepare(self, items: Sequence[LikelihoodItem]) -> "list[Prepared]":
        """Tokenised items; picklable. Texts stand behind the prompt that ``understand`` uses."""
        from hermes.harness.models.vilau.images import learnt, seen
        from hermes.harness.models.vilau.likelihood import image_item, text_item
        from hermes.harness.models.vilau.prompting import answer, drawing, question

        read = Once(lambda picture: self._quantised(seen(picture, self.side))[1].cpu())
        drawn = Once(lambda picture: self._quantised(learnt(picture, self.side))[0].cpu())
        prepared = []
        for item in items:
            if item.kind == "image":
                prepared.append(image_item(self._ids([drawing(item.prompt)]), drawn(item.image)))
            else:
                said = answer(self.words, item.text)
                prepared.append(text_item(self._ids(question(item.prompt, 1)), said, read(item.image)))
        return prepared

    def with_seed(self, prepared: "Prepared", seed: int) -> "Prepared":
        """The item as it is: an autoregressive likelihood has no masks."""
        return prepared

    def collate(self, prepared: "Sequence[Prepared]") -> "LikelihoodBatch":
        """A batch for ``module``, on the model's device."""
        from hermes.harness.models.vilau.likelihood import collate_items

        return collate_items(prepared, self.words.pad, self.network).to(self.network.device)

    def _answers(self, requests: Sequence[Request]) -> list[Said]:
        from hermes.harness.models.ended import said
        from hermes.harness.models.vilau.answering import write
        from hermes.harness.models.vilau.images import seen
        from hermes.harness.models.vilau.prompting import question

        draws = [self._text_draw(request) for request in requests]
        lengths = [max_new_tokens_of(request, TEXTS) for request in requests]
        features = Once(lambda picture: self._quantised(seen(picture, self.side))[1])
        prompts = [self._ids(question(request.prompt, len(request.images))) for request in requests]
        pictures = [features(handle) for request in requests for handle in request.images]
        written = write(self.network, self.words.pad, prompts, pictures, draws, lengths)
        ends = {self.words.eos, self.words.pad}
        return [
            said(self.words.decode(row[:count]).strip(), row, count, ends)
            for row, count in zip(written, lengths, strict=True)
        ]

    def _pictures(self, requests: Sequence[Request]) -> "list[Image.Image]":
        from hermes.harness.models.vilau.drawing import draw_codes
        from hermes.harness.models.vilau.prompting import drawing
        from hermes.harness.models.vilau.released import TextTokens
        from hermes.harness.models.vilau.sampling import Uniforms

        self._check_drawing(requests)
        draws = [draw_of(request, IMAGES, temperature=1.0) for request in requests]
        tower, device = self.network.tower, self.network.device
        choose: Choose = Uniforms([draw.seed for draw in draws], tower.positions, tower.depth, device)
        text = TextTokens(self.network, self.words, draws, self._released_draw(0)) if self.released else None
        prompts = [self._ids([drawing(request.prompt)]) for request in requests]
        codes = draw_codes(self.network, prompts, self._ids([drawing("")]), draws, choose, text)
        return [self._decoded(row) for row in codes]

    def _ids(self, parts: Sequence[str]) -> list[int]:
        return self.words.prompt(parts, self.network.tower.positions)

    def _text_draw(self, request: Request) -> Draw:
        """Greedy where the request names no temperature, but as released."""
        if self.released and request.config.temperature != 0:
            own = self._released_draw(request.seed)
            defaults = GenerationConfig(top_k=own.top_k, top_p=own.top_p)
            return draw_of(request, defaults, own.temperature)
        return draw_of(request, TEXTS, temperature=0.0)

    def _released_draw(self, seed: int) -> Draw:
        """How the checkpoint's generation settings draw text."""
        return replace(self.loaded.said, seed=seed)

    def _quantised(self, pixels: "Tensor") -> "tuple[Tensor, Tensor]":
        """Codes (N, D) and features (N, C) of one picture; one at a time, so that companions cannot change a code."""
        import torch

        from hermes.harness.models.full_float32 import full_float32

        device = self.network.device
        with torch.inference_mode(), full_float32(str(device)):
            codes, features = self.network.tower(pixels[None].to(device))
        return codes[0].clone(), features[0].clone()

    def _decoded(self, codes: "Tensor") -> "Image.Image":
        """One image from its codes (N, D); one at a time, so that companions cannot change a pixel."""
        import torch

        from hermes.harness.models.full_float32 import full_float32
        from hermes.harness.models.vilau.images import picture_of

        tower = self.network.tower
        with torch.inference_mode(), full_float32(str(codes.device)):
            return picture_of(tower.decode(tower.sums(codes[None])[:, :, -1])[0])

    def _check_drawing(self, requests: Sequence[Request]) -> None:
        positions = self.network.tower.positions
        for request in requests:
            if request.config.image_size not in (None, self.drawn):
                raise HermesError(f"image_size: {self.name} draws {self.drawn} x {self.drawn} px only; leave it out")
            if request.config.steps not in (None, positions):
                raise HermesError(f"steps: {self.name} draws its {positions} positions one by one; leave steps out")
