"""SEED-X as the harness sees it: load, understand, generate, and log-probabilities of texts for align."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hermes.harness.contracts.model import LikelihoodItem, Said
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.pictures import Once
from hermes.harness.models.recompute import recompute
from hermes.harness.models.released import named, versioned
from hermes.harness.models.seeded import draw_of, max_new_tokens_of
from hermes.harness.models.seedx.places import NAME, beside, find, title_of
from hermes.harness.models.source import Source
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

    from hermes.harness.models.seedx.anyres import View
    from hermes.harness.models.seedx.conditions import Conditions
    from hermes.harness.models.seedx.drawing import Drawing
    from hermes.harness.models.seedx.likelihood import LikelihoodBatch, Prepared
    from hermes.harness.models.seedx.load import Loaded
    from hermes.harness.models.seedx.prompting import Row

# What the authors' scripts set: 512 new tokens in src/inference/eval_img2text_*.py and for editing, 120 with those of a
# picture in eval_text2img_*.py; guidance and steps in all of them.
DEFAULTS = GenerationConfig(max_new_tokens=512, guidance_scale=7.5, steps=50)
WITH_A_PICTURE, WITH_AN_EDIT = 120, 512
CHUNK = 8


class SeedX:
    """SEED-X, SEED-X-I and SEED-X-Edit (Ge et al., 2024; arXiv:2404.14396).

    Text is greedy where a request names no temperature. A picture is the LLM's regressed features through SDXL's
    denoiser; ``guidance_scale`` and ``steps`` are the denoiser's, and a scale of at most 1 means no guidance. Pictures
    are changed by SEED-X-Edit alone, which has the second stage. With ``as_released`` query tokens outside of a picture
    have the score 0 instead of none, everything in angle brackets is cut out of texts, and a prompt for which the model
    begins no picture, or more than one, is an error.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation", "editing")
    parameters: ClassVar[str] = "17 B"
    description: ClassVar[str] = "SEED-X: a checkpoint folder, seedx:FOLDER or seedx:OWNER/NAME[/VARIANT][@REVISION]"
    extra: ClassVar[str | None] = "models,diffusers"
    packages: ClassVar[tuple[str, ...]] = ("sentencepiece", "diffusers")
    alignable: ClassVar[bool] = True
    likelihoods: ClassVar[tuple[str, ...]] = ("text",)
    options: ClassVar[tuple[str, ...]] = ("dtype", "device_map", "adapter", "as_released")
    decoding: ClassVar[tuple[str, ...]] = ("top_p",)

    def __init__(self, name: str, loaded: "Loaded", options: LoadOptions = PLAIN) -> None:
        from hermes.harness.models.fingerprint import WeightsFingerprint
        from hermes.harness.models.seedx.likelihood import Eyes, Likelihood

        self.name, self.loaded = named(name, options), loaded
        self.version = versioned("1", options)
        self.as_released = options.as_released
        self.words, self.llm, self.agent = loaded.words, loaded.llm, loaded.agent
        self.style = loaded.settings.style
        self.eyes = Eyes(loaded.vision, loaded.agent)
        loaded.agent.output_resampler.requires_grad_(False)  # it has no part in texts
        self.module: torch.nn.Module = Likelihood(loaded.llm, self.eyes)
        self._fingerprint = WeightsFingerprint(self._state, repr(loaded.settings))

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads, and the folders of its parts that lie beside it."""
        source = find(reference)
        return [source, *beside(source)]

    @classmethod
    def load(cls, reference: str = NAME, device: str = "cpu", options: LoadOptions = PLAIN) -> "SeedX":
        """A folder, "seedx:<folder or hub id>", or "seedx", the hub's SEED-X-I. Raises HermesError for others."""
        source = find(reference)
        from hermes.harness.models.seedx.load import load_checkpoint

        return cls(title_of(source), load_checkpoint(source, device, options), options)

    def save(self, folder: Path) -> None:
        """Write the published layout, with the vision encoder, the detokeniser and SDXL's parts beside the LLM."""
        from hermes.harness.models.seedx.load import write_checkpoint

        write_checkpoint(self.loaded, folder)

    @property
    def network(self) -> "torch.nn.Module":
        """What a LoRA adapter sits on."""
        network: torch.nn.Module = self.llm
        return network

    def recompute_activations(self, on: bool) -> None:
        """transformers' gradient checkpointing."""
        recompute(self.llm, on)

    @property
    def info(self) -> ModelInfo:
        """What the model is; the fingerprint is that of the weights as they are now."""
        from hermes.harness.models.precision import dtype_name

        side = self.loaded.artist.side
        return ModelInfo(
            name=self.name,
            revision=self.loaded.commit,
            fingerprint=self._fingerprint(),
            abilities=self.abilities if self.loaded.editor else ("understanding", "generation"),
            parameters=sum(tensor.numel() for tensor in self._state().values()),
            dtype=dtype_name(self.llm.dtype),
            resolution=side,
            defaults=DEFAULTS.model_copy(update={"image_size": side}),
        )

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, with none, one or several images."""
        parts = [requests[start : start + CHUNK] for start in range(0, len(requests), CHUNK)]
        return [text for part in parts for text in self._answers(part)]

    def generate(self, requests: Sequence[Request]) -> "list[Image.Image]":
        """One square picture for each request; with an image in it the image is changed as the prompt says."""
        drawings = [self._drawing(request) for request in requests]
        pictures: list[Image.Image] = []
        for start in range(0, len(requests), CHUNK):
            part = requests[start : start + CHUNK]
            views = [self._views(request) for request in part]
            seen = [self._embeddings(each) for each in views]
            begun = self._begun(part, views, seen)
            pictures += map(self._picture, part, drawings[start : start + CHUNK], begun, seen)
        return pictures

    def prepare(self, items: Sequence[LikelihoodItem]) -> "list[Prepared]":
        """Tokenised items; picklable. Raises HermesError for an image item, which has no likelihood."""
        from hermes.harness.models.seedx.likelihood import Prepared
        from hermes.harness.models.seedx.prompting import question, row

        if any(item.kind == "image" for item in items):
            raise HermesError(
                f"{self.name} draws pictures from regressed features, so a picture has no likelihood; "
                "train on texts alone, as with --objective und"
            )
        views = Once(self._view)
        prepared = []
        for item in items:
            seen = views(item.image)
            prompt = row(self.words, question(self.style, item.prompt, [len(seen.entries)]))
            prepared.append(Prepared(prompt, (*self.words.encode(item.text), self.words.end), seen))
        return prepared

    def with_seed(self, prepared: "Prepared", seed: int) -> "Prepared":
        """The item as it is: an autoregressive likelihood has no masks."""
        return prepared

    def collate(self, prepared: "Sequence[Prepared]") -> "LikelihoodBatch":
        """A batch for ``module``, on the model's device."""
        from hermes.harness.models.seedx.likelihood import collate_items

        return collate_items(prepared, self.words.pad, self.loaded.settings.side).to(self._device)

    @property
    def _device(self) -> "torch.device":
        device: torch.device = self.agent.patch_pos_embed.device
        return device

    def _answers(self, requests: Sequence[Request]) -> list[Said]:
        from hermes.harness.models.seedx.prompting import question, row
        from hermes.harness.models.seedx.tokenizer import without_tags
        from hermes.harness.models.seedx.writing import write

        draws = [draw_of(request, DEFAULTS, temperature=0.0) for request in requests]
        lengths = [max_new_tokens_of(request, DEFAULTS) for request in requests]
        views = [self._views(request) for request in requests]
        rows = [
            row(self.words, question(self.style, request.prompt, [len(view.entries) for view in seen]))
            for request, seen in zip(requests, views, strict=True)
        ]
        pictures = self._embeddings([view for seen in views for view in seen])
        end = self.words.end
        written = write(self.llm, self.words, rows, pictures, draws, max(lengths), [end], self.as_released)
        answers = []
        for ids, length in zip(written, lengths, strict=True):
            kept = ids[:length]
            text = without_tags(self.words.decode(kept)) if self.as_released else self.words.spoken(kept)
            answers.append(Said(text, truncated=len(ids) >= length and end not in kept))
        return answers

    def _begun(
        self, requests: Sequence[Request], views: "Sequence[Sequence[View]]", pictures: "Sequence[Tensor]"
    ) -> "list[Row]":
        """The row of each request up to and with the ``<img>`` that its picture begins with.

        ``views`` are what it shows, and ``pictures`` (entries, queries, width) what is seen of that.
        """
        import torch

        from hermes.harness.models.seedx.prompting import request as asked
        from hermes.harness.models.seedx.prompting import row
        from hermes.harness.models.seedx.writing import begun, begun_as_released, write

        words = self.words
        behind = words.image if self.style == "base" else None
        rows = [
            row(words, asked(self.style, request.prompt, [len(view.entries) for view in seen]), behind)
            for request, seen in zip(requests, views, strict=True)
        ]
        if self.style == "base" and not self.as_released:
            return rows
        draws = [draw_of(request, DEFAULTS, temperature=0.0) for request in requests]
        ends = [words.end] if self.as_released else [words.end, words.image]
        given = 0 if self.as_released else len(words.queries) + 1
        rooms = [max((WITH_AN_EDIT if one.images else WITH_A_PICTURE) - given, 1) for one in requests]
        written = write(self.llm, words, rows, torch.cat([*pictures]), draws, max(rooms), ends, self.as_released)
        ready = begun_as_released if self.as_released else begun
        return [ready(one, ids[:room], words) for one, ids, room in zip(rows, written, rooms, strict=True)]

    def _picture(self, request: Request, drawing: "Drawing", row: "Row", seen: "Tensor") -> "Image.Image":
        """The picture behind a row that ends with ``<img>``; ``seen`` (entries, queries, width) of what it shows."""
        import torch

        from hermes.harness.models.seedx.writing import query_states

        artist, source = self.loaded.artist, None
        if request.images and self.loaded.editor:
            artist = self.loaded.editor
            source = artist.encode(request.images[0].open(), drawing)
        with torch.inference_mode():
            hidden = query_states(self.llm, self.words, row, seen)
            wanted = artist.stage.resampler(self.agent.regress(hidden))
        noise = artist.noise(torch.Generator().manual_seed(request.seed), drawing)
        *_, last = artist.steps(wanted, self._unwanted[artist is self.loaded.editor], noise, drawing, source)
        return artist.decode(last.latents)

    def _drawing(self, request: Request) -> "Drawing":
        """Steps, guidance and size, checked."""
        from hermes.harness.models.seedx.drawing import Drawing

        artist = self.loaded.artist
        draw = draw_of(request, DEFAULTS, temperature=0.0)
        steps = DEFAULTS.steps if request.config.steps is None else request.config.steps
        side = request.config.image_size or artist.side
        most = artist.scheduler.config.num_train_timesteps
        if steps is None or not 1 <= steps <= most:
            raise HermesError(f"steps: {self.name} draws in 1 to {most:,} steps, not {steps}")
        if side < artist.scale or side % artist.scale:
            raise HermesError(f"image_size: {self.name} draws multiples of {artist.scale} px, not {side}")
        return Drawing(steps, draw.guidance, side, side)

    @cached_property
    def _unwanted(self) -> "tuple[Conditions, Conditions]":
        """What both stages are led away from: a picture of the mean colour, as it is seen."""
        import torch

        from hermes.harness.models.seedx.vit import pooled

        side = self.loaded.settings.side
        with torch.inference_mode():
            seen = self.eyes.vision(torch.zeros(1, 3, side, side, device=self._device))
            features = pooled(seen, len(self.words.queries))
            stages = [artist.stage for artist in (self.loaded.artist, self.loaded.editor or self.loaded.artist)]
            first, second = (stage.resampler(features) for stage in stages)
        return first, second

    def _view(self, picture: "Image.Image") -> "View":
        from hermes.harness.models.seedx.anyres import view

        settings = self.loaded.settings
        return view(picture, settings.side, settings.seen_grids)

    def _views(self, request: Request) -> "list[View]":
        return [self._view(handle.open()) for handle in request.images]

    def _embeddings(self, views: "Sequence[View]") -> "Tensor":
        """(N, queries, width) of all entries in order; equal images are seen once."""
        import torch

        from hermes.harness.models.seedx.likelihood import gathered

        if not views:
            return torch.empty(0, len(self.words.queries), self.llm.config.hidden_size, device=self._device)
        with torch.inference_mode():
            found: Tensor = self.eyes(gathered(views, self.loaded.settings.side).to(self._device))
        return found

    def _state(self) -> "dict[str, Tensor]":
        """All weights by name."""
        loaded = self.loaded
        parts = {"llm": loaded.llm, "agent": loaded.agent, "vision": loaded.vision, "vae": loaded.artist.vae}
        for name, artist in (("first", loaded.artist), ("second", loaded.editor)):
            if artist:
                parts |= {f"{name}.unet": artist.stage.unet, f"{name}.resampler": artist.stage.resampler}
        return {f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.state_dict().items()}
