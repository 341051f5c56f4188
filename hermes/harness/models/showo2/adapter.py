"""Show-o2 as the harness sees it: load, understand, generate, and log-probabilities for align."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hermes.harness.contracts.model import Drew, LikelihoodItem, Said
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.pictures import Once, only_image
from hermes.harness.models.released import named, versioned
from hermes.harness.models.seeded import draw_of, max_new_tokens_of
from hermes.harness.models.showo2.places import NAME, find
from hermes.harness.models.source import Source, folder_of
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

    from hermes.harness.models.showo2.likelihood import LikelihoodBatch, Prepared
    from hermes.harness.models.showo2.load import Loaded
    from hermes.harness.models.showo2.prompting import Question

# The commands of the authors' README (showlab/Show-o, commit 45a5a2d, show-o2); their answers have 300 new tokens.
DEFAULTS = GenerationConfig(max_new_tokens=300, guidance_scale=7.5, steps=50)
CHUNK, DRAWN = 16, 8
"""Questions, and pictures, that are worked on together."""
DRAWS = 4
"""Times and noises of a picture's likelihood: with one, a pair's margin is mostly its time's; see docs/models.md."""


class Showo2:
    """Show-o2 (Xie et al., 2025) from its published files; pictures in, as of now, not films.

    Text is greedy where a request names no temperature. ``steps`` are the authors': points of the time grid, between
    which lies one Euler step less. ``guidance_scale`` is theirs, too: v_u + scale (v_c - v_u), and 0 and 1 mean none.
    A picture that is read is its posterior's mean. As released, questions have the demo's form and box of attention,
    pictures lose what a square does not hold, and noise of the request's seed lies on their latents.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation")
    parameters: ClassVar[str] = "2.8 B, 8.9 B"
    description: ClassVar[str] = "Show-o2: a checkpoint folder, showo2:FOLDER or showo2:HUB_ID[@REVISION]"
    extra: ClassVar[str | None] = "diffusers"
    packages: ClassVar[tuple[str, ...]] = ("diffusers",)
    alignable: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("dtype", "device_map", "adapter", "as_released")
    decoding: ClassVar[tuple[str, ...]] = ("top_p",)

    def __init__(self, name: str, loaded: "Loaded", commit: str | None = None, options: LoadOptions = PLAIN) -> None:
        from hermes.harness.models.fingerprint import WeightsFingerprint
        from hermes.harness.models.showo2.likelihood import Likelihood

        self.name, self.version = named(name, options), versioned("1", options)
        self.commit, self.loaded, self.released = commit, loaded, options.as_released
        self.network, self.words, self.wan, self.config = loaded.network, loaded.words, loaded.wan, loaded.config
        self.masks = DRAWS
        self.module: torch.nn.Module = Likelihood(self.network)
        self._fingerprint = WeightsFingerprint(self._state, repr((self.config.grid, self.config.patch)))

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads, without the autoencoder and the tokenizer, which are small."""
        return [find(reference)]

    @classmethod
    def load(cls, reference: str = NAME, device: str = "cpu", options: LoadOptions = PLAIN) -> "Showo2":
        """A folder, "showo2:<folder or hub id>", or "showo2", the published 1.5B. Raises HermesError for others."""
        source = find(reference)
        from hermes.harness.models.showo2.load import load_checkpoint

        folder = folder_of(source)
        commit = None if source.local else folder.name
        return cls(source.title, load_checkpoint(folder, device, options), commit, options)

    def save(self, folder: Path) -> None:
        """Write the published layout, with llm/, siglip/ and the autoencoder's file beside the weights."""
        from hermes.harness.models.showo2.load import write_checkpoint

        write_checkpoint(self.loaded, folder)

    def recompute_activations(self, on: bool) -> None:
        """Gradient checkpointing of the language model, the semantic layers and the flow head."""
        self.network.recompute_activations(on)

    @property
    def info(self) -> ModelInfo:
        """What the model is; the fingerprint is that of the weights as they are now, and of the autoencoder."""
        from hermes.harness.models.precision import dtype_name

        parts = (*self.network.parameters(), *self.wan.network.parameters())
        return ModelInfo(
            name=self.name,
            revision=self.commit,
            fingerprint=self._fingerprint(),
            abilities=self.abilities,
            parameters=sum(parameter.numel() for parameter in parts),
            dtype=dtype_name(self.network.dtype),
            resolution=self.config.side,
            defaults=DEFAULTS.model_copy(update={"image_size": self.config.side}),
        )

    def understand(self, requests: Sequence[Request]) -> list[Said]:
        """One answer for each request, with one image or none."""
        found: dict[int, Said] = {}
        for pictured in (True, False):
            members = [number for number, request in enumerate(requests) if bool(request.images) == pictured]
            for start in range(0, len(members), CHUNK):
                part = members[start : start + CHUNK]
                found |= dict(zip(part, self._answers([requests[number] for number in part], pictured), strict=True))
        return [found[number] for number in range(len(requests))]

    def generate(self, requests: Sequence[Request]) -> "list[Image.Image | Drew]":
        """One image for each request."""
        groups: dict[tuple[tuple[int, int], int], list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(self._drawing(request), []).append(number)
        found: dict[int, Image.Image | Drew] = {}
        for (grid, points), members in groups.items():
            for start in range(0, len(members), DRAWN):
                part = members[start : start + DRAWN]
                drawn = self._pictures([requests[number] for number in part], grid, points)
                found |= dict(zip(part, drawn, strict=True))
        return [found[number] for number in range(len(requests))]

    def prepare(self, items: Sequence[LikelihoodItem]) -> "list[Prepared]":
        """Tokenised items; picklable. Texts stand behind the prompt that ``understand`` uses."""
        from hermes.harness.models.showo2.config import max_text
        from hermes.harness.models.showo2.images import cropped
        from hermes.harness.models.showo2.likelihood import Prepared
        from hermes.harness.models.showo2.prompting import answer, drawing

        seen = Once(lambda picture: self._posterior(picture)[0].cpu())
        drawn = Once(lambda picture: self.wan.posterior(cropped(picture, self.config.side))[0].cpu())
        prepared = []
        for item in items:
            if item.kind == "image":
                before, _ = drawing(self.words, item.prompt, max_text(self.config.grid))
                prepared.append(Prepared(before, (), None, drawn(item.image).clone(), item.seed))
            else:
                asked, said = self._question(item.prompt, pictured=True), answer(self.words, item.text)
                latents = seen(item.image).clone()
                prepared.append(Prepared(asked.before, (*asked.after, *said), len(said), latents))
        return prepared

    def with_seed(self, prepared: "Prepared", seed: int) -> "Prepared":
        """The same picture under the times and noises of another seed; texts come back as they are."""
        return prepared if prepared.said is not None else replace(prepared, seed=seed)

    def collate(self, prepared: "Sequence[Prepared]") -> "LikelihoodBatch":
        """A batch for ``module``, on the model's device."""
        from hermes.harness.models.showo2.likelihood import collate_items

        batch = collate_items(prepared, self.words.pad, self.config.patch, self.masks, self.released)
        return batch.to(self.network.device)

    def _answers(self, requests: Sequence[Request], pictured: bool) -> list[Said]:
        import torch

        from hermes.harness.models.ended import said
        from hermes.harness.models.noising import noise_of
        from hermes.harness.models.showo2.answering import see, write
        from hermes.harness.models.showo2.wan import sampled

        questions = [self._question(request.prompt, pictured) for request in requests]
        latents, which = None, [0] * len(requests)
        if pictured:
            read = Once(self._posterior)
            which = [read.number(only_image(request, self.name)) for request in requests]
            latents = torch.stack([mean for mean, _ in read.made])
            if self.released:
                noises = [noise_of(request.seed, 1, latents.shape[1:])[0].to(latents) for request in requests]
                pairs = zip(which, noises, strict=True)
                latents = torch.stack([sampled(*read.made[number], noise) for number, noise in pairs])
                which = list(range(len(requests)))
        cache = see(self.network, questions[0].before, latents, self.words.end, self.released)
        # <|vision_end|> was read with the picture, for it is in the demo's box.
        asked = [question.after[1 if pictured else 0 :] for question in questions]
        draws = [draw_of(request, DEFAULTS, temperature=0.0) for request in requests]
        lengths = [max_new_tokens_of(request, DEFAULTS) for request in requests]
        written = write(self.network, cache, which, asked, draws, lengths, self.words.eos)
        return [
            said(self.words.decode(row).strip(), row, length, {self.words.eos})
            for row, length in zip(written, lengths, strict=True)
        ]

    def _pictures(self, requests: Sequence[Request], grid: tuple[int, int], points: int) -> "list[Image.Image | Drew]":
        import torch

        from hermes.harness.models.showo2.config import max_text
        from hermes.harness.models.showo2.drawing import draw_latents
        from hermes.harness.models.showo2.images import picture_of
        from hermes.harness.models.showo2.prompting import drawing

        most, patch = max_text(grid), self.config.patch
        prompts = [drawing(self.words, request.prompt, most) for request in requests]
        shape = (self.config.latents, grid[0] * patch, grid[1] * patch)
        noise = torch.stack(
            [torch.randn(shape, generator=torch.Generator().manual_seed(request.seed)) for request in requests]
        )
        if self.released:
            noise = noise.bfloat16().float()
        guidance = [draw_of(request, DEFAULTS, temperature=0.0).guidance for request in requests]
        empty, _ = drawing(self.words, "", most)
        latents = draw_latents(self.network, [ids for ids, _ in prompts], empty, noise, guidance, points)
        pictures = [picture_of(self.wan.decode(row)) for row in latents]
        return [
            Drew(picture, prompt_cut=True) if cut else picture
            for picture, (_, cut) in zip(pictures, prompts, strict=True)
        ]

    def _question(self, prompt: str, pictured: bool) -> "Question":
        from hermes.harness.models.showo2.prompting import question

        return question(self.words, prompt, pictured, self.released)

    def _posterior(self, picture: "Image.Image") -> "tuple[Tensor, Tensor]":
        """Mean and log-variance of a picture that is read."""
        from hermes.harness.models.showo2.images import cropped, padded

        return self.wan.posterior((cropped if self.released else padded)(picture, self.config.side))

    def _drawing(self, request: Request) -> tuple[tuple[int, int], int]:
        """Rows and columns of image tokens, and points of the time grid, checked."""
        size, points = request.config.image_size, request.config.steps or DEFAULTS.steps or 0
        if points < 2 or request.config.steps == 0:
            raise HermesError(f"steps: {self.name} needs 2 points of time or more, between which it steps; give them")
        if request.config.temperature is not None or request.config.top_k is not None:
            raise HermesError(
                f"temperature, top_k: {self.name} draws pictures by a flow, which has none; leave them out"
            )
        if size is None:
            return self.config.grid, points
        if size < 1 or size % self.config.unit:
            raise HermesError(f"image_size: {self.name} draws multiples of {self.config.unit} px, not {size}")
        return (size // self.config.unit,) * 2, points

    def _state(self) -> "dict[str, Tensor]":
        """All weights by name."""
        images = {f"wan.{name}": tensor for name, tensor in self.wan.network.state_dict().items()}
        return dict(self.network.state_dict()) | images
