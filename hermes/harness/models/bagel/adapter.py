"""BAGEL as the harness sees it: load, understand, generate, and log-probabilities for align."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hermes.harness.contracts.model import LikelihoodItem, Said
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.bagel.places import find
from hermes.harness.models.pictures import Once
from hermes.harness.models.released import named, versioned
from hermes.harness.models.seeded import Draw, draw_of, max_new_tokens_of
from hermes.harness.models.source import Source
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

    from hermes.harness.models.bagel.drawing import Sampling
    from hermes.harness.models.bagel.likelihood import LikelihoodBatch, Prepared
    from hermes.harness.models.bagel.load import Loaded
    from hermes.harness.models.bagel.painting import Wish

# Texts as long as the authors' inferencer writes them; pictures with guidance and times of their GenEval script.
DEFAULTS = GenerationConfig(max_new_tokens=1000, guidance_scale=4.0, steps=50)
CHUNK, DRAWN = 8, 4


class BAGEL:
    """BAGEL (Deng et al., 2025; arXiv:2505.14683), and checkpoints of its layout, such as RecA's and SRUM's.

    Text is greedy where a request names no temperature. ``steps`` is how many times a flow has, as the authors count,
    so one more than the network is asked; ``guidance_scale`` that of the text, and at most 1 is none. Pictures are
    drawn as in the authors' GenEval script, or changed as in their GEdit script where a request shows some. With
    ``as_released`` pictures that are asked about are seen as in the authors' demo, a text loses the last of its tokens,
    sources of a change are drawn, and one norm holds for all pictures of a batch, so that they depend on each other.
    """

    version: str = "1"
    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation", "editing")
    parameters: ClassVar[str] = "14.7 B"
    description: ClassVar[str] = "BAGEL, from its published checkpoints (bagel:FOLDER or HUB_ID[@REVISION])"
    extra: ClassVar[str | None] = "diffusers"
    packages: ClassVar[tuple[str, ...]] = ("diffusers",)
    alignable: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("dtype", "adapter", "as_released")
    decoding: ClassVar[tuple[str, ...]] = ("top_p",)

    def __init__(self, name: str, loaded: "Loaded", options: LoadOptions = PLAIN) -> None:
        from hermes.harness.models.bagel.likelihood import Likelihood
        from hermes.harness.models.bagel.looking import Eyes
        from hermes.harness.models.fingerprint import WeightsFingerprint

        self.name, self.loaded = named(name, options), loaded
        self.version = versioned(type(self).version, options)
        self.as_released = options.as_released
        self.masks = 1
        self.words, self.eyes = loaded.words, Eyes(loaded, options.as_released)
        self.module: torch.nn.Module = Likelihood(loaded.network)
        self._fingerprint = WeightsFingerprint(
            self._state, f"{loaded.settings!r}{loaded.words.backend_tokenizer.to_str()}"
        )

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads."""
        return [find(reference)]

    @classmethod
    def load(cls, reference: str = "bagel", device: str = "cpu", options: LoadOptions = PLAIN) -> "BAGEL":
        """``bagel``, ``bagel:FOLDER``, ``bagel:OWNER/NAME[@REVISION]`` of the hub, or a folder written by ``save``."""
        source = find(reference)
        from hermes.harness.models.bagel.load import load_checkpoint

        return cls(source.title, load_checkpoint(source, device, options), options)

    def save(self, folder: Path) -> None:
        """Write the published layout: settings, ema.safetensors, ae.safetensors and the tokenizer."""
        from hermes.harness.models.bagel.load import write_checkpoint

        write_checkpoint(self.loaded, folder)

    @property
    def network(self) -> "torch.nn.Module":
        """What a LoRA adapter sits on: both experts."""
        return self.loaded.network.language_model

    def recompute_activations(self, on: bool) -> None:
        """Keep each layer's input alone for the backward pass, and compute the rest again."""
        self.loaded.network.language_model.recompute = on

    @property
    def info(self) -> ModelInfo:
        """What the model is; the fingerprint is that of the weights as they are now."""
        from hermes.harness.models.precision import dtype_name

        return ModelInfo(
            name=self.name,
            revision=self.loaded.commit,
            fingerprint=self._fingerprint(),
            abilities=self.abilities,
            parameters=sum(tensor.numel() for tensor in self._state().values()),
            dtype=dtype_name(self.loaded.network.dtype),
            resolution=self._longest,
            defaults=DEFAULTS.model_copy(update={"image_size": self._longest}),
        )

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, with none, one or several images, which the model sees before the prompt."""
        parts = [requests[start : start + CHUNK] for start in range(0, len(requests), CHUNK)]
        return [text for part in parts for text in self._answers(part)]

    def generate(self, requests: Sequence[Request]) -> "list[Image.Image]":
        """One square picture for each request; with images in it, the last is changed, and gives the size."""
        from hermes.harness.models.bagel.painting import paint

        pictures: dict[int, Image.Image] = {}
        groups: dict[tuple[Sampling, bool], list[int]] = {}
        draws = [draw_of(request, DEFAULTS, temperature=0.0) for request in requests]
        for index, (request, draw) in enumerate(zip(requests, draws, strict=True)):
            groups.setdefault((self._sampling(request), draw.guidance > 1), []).append(index)
        sides = [self._side(request) for request in requests]
        for (sampling, _), members in groups.items():
            for start in range(0, len(members), DRAWN):
                part = members[start : start + DRAWN]
                wishes = [self._wish(requests[index], draws[index], sides[index]) for index in part]
                pictures |= dict(zip(part, paint(self.loaded, wishes, sampling), strict=True))
        return [pictures[index] for index in range(len(requests))]

    def prepare(self, items: Sequence[LikelihoodItem]) -> "list[Prepared]":
        """Tokenised items; picklable. Texts stand behind a picture as ``understand`` sees it, and their prompt; a
        picture that is drawn again stands behind a small copy of itself.
        """
        from hermes.harness.models.bagel.likelihood import Prepared
        from hermes.harness.models.bagel.pixels import levels_of

        seen = Once(lambda picture: levels_of(self.eyes.asked_about(picture)))
        small = Once(lambda picture: levels_of(self.eyes.glanced_at(picture)))
        clean = Once(lambda picture: self.eyes.read(self.eyes.drawn(picture)))
        prepared = []
        for item in items:
            prompt = tuple(self._ids(item.prompt))
            if item.kind == "text":
                prepared.append(Prepared(prompt, tuple(self._ids(item.text)), seen(item.image)))
            else:
                told = clean(item.image)
                drawn = Prepared(prompt, None, tokens=told.tokens.numpy(), grid=told.grid, seed=item.seed)
                prepared.append(replace(drawn, seen=small(item.image)) if item.again else drawn)
        return prepared

    def with_seed(self, prepared: "Prepared", seed: int) -> "Prepared":
        """The same item under the times and noise of another seed; texts come back as they are."""
        return prepared.with_seed(seed)

    def collate(self, prepared: "Sequence[Prepared]") -> "LikelihoodBatch":
        """A batch for ``module``, on the model's device."""
        from hermes.harness.models.bagel.likelihood import collate_items

        loaded, network = self.loaded, self.loaded.network
        batch = collate_items(prepared, loaded.marks, loaded.settings, network.sides, network.channels, self.masks)
        return batch.to(network.device)

    @property
    def _longest(self) -> int:
        """The longest side in pixels that can be drawn, and that the model draws where none is named."""
        return self.loaded.network.sides[1] * self.eyes.stride

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.words.encode(text, add_special_tokens=False)
        return ids

    def _answers(self, requests: Sequence[Request]) -> list[Said]:
        import torch

        from hermes.harness.models.bagel.rows import Row
        from hermes.harness.models.bagel.writing import remember, write

        draws = [draw_of(request, DEFAULTS, temperature=0.0) for request in requests]
        limits = [max_new_tokens_of(request, DEFAULTS) - self.as_released for request in requests]
        looked = Once(lambda picture: self.eyes.see(self.eyes.asked_about(picture)))
        rows, features = [], [self.loaded.network.vit_model.empty()]
        for request in requests:
            row = Row(self.loaded.marks)
            for handle in request.images:
                seen = looked(handle)
                features.append(seen.features)
                row = row.seen(seen.grid)
            rows.append(row.text(self._ids(request.prompt)))
        cache = remember(self.loaded.network, rows, torch.cat(features), more=max(limits) + 1)
        written = write(self.loaded.network, rows, cache, draws, limits, len(self.words))
        return [self._said(ids, limit) for ids, limit in zip(written, limits, strict=True)]

    def _said(self, ids: Sequence[int], limit: int) -> Said:
        """The text up to its end, or up to where another begins, as the authors' code cuts it."""
        marks = self.loaded.marks
        ended = marks.end in ids
        kept = [*ids[: ids.index(marks.end)]] if ended else [*ids]
        if marks.begin in kept:
            kept = kept[: kept.index(marks.begin)]
        return Said(self.words.decode(kept), truncated=len(ids) >= limit and not ended)

    def _sampling(self, request: Request) -> "Sampling":
        """How the request's picture is drawn, checked."""
        from hermes.harness.models.bagel.drawing import CHANGED, PAINTED

        count = DEFAULTS.steps if request.config.steps is None else request.config.steps
        if count is None or count < 2:
            raise HermesError(f"steps: {self.name} draws with 2 times or more, the first and the last, not {count}")
        return replace(CHANGED if request.images else PAINTED, count=count, together=self.as_released)

    def _side(self, request: Request) -> int:
        """Width and height in pixels of what is drawn from words alone, checked."""
        stride, longest = self.eyes.stride, self._longest
        side = request.config.image_size or longest
        if side % stride or not stride <= side <= longest:
            raise HermesError(f"image_size: {self.name} draws multiples of {stride} px up to {longest}, not {side}")
        return side

    def _wish(self, request: Request, draw: Draw, side: int) -> "Wish":
        from hermes.harness.models.bagel.painting import wish

        sources = [handle.open() for handle in request.images]
        return wish(self.eyes, self._ids(request.prompt), sources, side, request.seed, draw.guidance)

    def _state(self) -> "dict[str, Tensor]":
        """All weights by name."""
        vae = {f"vae.{name}": tensor for name, tensor in self.loaded.autoencoder.vae.state_dict().items()}
        return self.loaded.network.state_dict() | vae
