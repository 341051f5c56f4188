"""Any text-to-image pipeline of diffusers as a model that generates: a folder, or a pipeline of the hub."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hermes.harness.contracts.model import Drew, LikelihoodItem
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.adapters import OF_PIPELINES, main_file, version_with
from hermes.harness.models.source import Source, source_of
from hermes.harness.records.types import Ability, ModelInfo, Request
from hermes.harness.system.errors import HermesError
from hermes.harness.system.fitting import Fitting
from hermes.harness.system.text import say

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from hermes.harness.models.pipeline.drawing import Drawing
    from hermes.harness.models.pipeline.likelihood import Denoising, LikelihoodBatch, Prepared
    from hermes.harness.models.pipeline.load import Loaded
    from hermes.harness.models.pipeline.process import Diffusion, Flow

NAME = "diffusers"
WHO = f"model {NAME}"
CHUNK = 8
DRAWS = 4


class DiffusersModel:
    """Images of the class that model_index.json names, called with a prompt and a seed alone.

    Guidance and steps are the defaults of that class's call where a request names none, the size is the checkpoint's.
    Safety checker and watermark are off: an image that they change is not the model's. In float16 on CUDA, in bfloat16
    where the denoiser is a transformer, in float32 elsewhere. Requests of one prompt are drawn together and decoded one
    by one; what then is left of companions is the rounding of matrix products of another shape (in float32 at most one
    level of 255 on the tests' small pipelines), and with a batch size of 1 nothing.

    Those of `trainable.PIPELINES` can be trained by preferences: the denoiser, with all else frozen.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("generation",)
    parameters: ClassVar[str] = "any"
    description: ClassVar[str] = (
        "any text-to-image pipeline of diffusers: diffusers:FOLDER or diffusers:HUB_ID[@REVISION]"
    )
    extra: ClassVar[str | None] = "diffusers"
    packages: ClassVar[tuple[str, ...]] = ("diffusers",)
    alignable: ClassVar[bool] = True
    likelihoods: ClassVar[tuple[str, ...]] = ("image",)
    options: ClassVar[tuple[str, ...]] = ("dtype", "device_map", "adapter")

    def __init__(self, name: str, loaded: "Loaded", adapter: str | None = None) -> None:
        from hermes.harness.models.pipeline.drawing import own_defaults, own_side
        from hermes.harness.models.precision import dtype_name

        self._pipe = loaded.pipe
        self.masks = DRAWS
        self.fitting = Fitting(CHUNK, WHO, say)
        networks = [part for part in loaded.pipe.components.values() if hasattr(part, "parameters")]
        self.info = ModelInfo(
            name=name,
            revision=loaded.commit,
            fingerprint=version_with(loaded.version, adapter, main_file(adapter, OF_PIPELINES) if adapter else ""),
            abilities=self.abilities,
            parameters=sum(weight.numel() for weight in {w for part in networks for w in part.parameters()}),
            resolution=own_side(loaded.pipe),
            dtype=dtype_name(loaded.dtype),
            defaults=own_defaults(loaded.pipe),
        )

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The pipeline that ``load`` reads."""
        return [source_of(reference, NAME, settings="model_index.json")]

    @classmethod
    def load(cls, reference: str, device: str = "cpu", options: LoadOptions = PLAIN) -> "DiffusersModel":
        """A folder with a model_index.json, or "diffusers:<folder or hub id>". Raises HermesError for others."""
        (source,) = cls.sources(reference)
        from hermes.harness.models.pipeline.load import load_pipeline

        return cls(source.title, load_pipeline(source, device, options, WHO), options.adapter)

    @classmethod
    def refuse_untrainable(cls, reference: str) -> None:
        """Raise HermesError for a pipeline that cannot be trained by preferences; reads its settings alone."""
        from hermes.harness.models.pipeline.trainable import refuse_untrainable

        (source,) = cls.sources(reference)
        refuse_untrainable(source, WHO)

    def save(self, folder: Path) -> None:
        """Write the pipeline in the layout in which pipelines are published."""
        from hermes.harness.models.quiet import quiet

        with quiet():
            self._pipe.save_pretrained(folder)

    @cached_property
    def module(self) -> "Denoising":
        """The denoiser as a likelihood of pictures; text encoders and autoencoder do not move."""
        from hermes.harness.models.pipeline.likelihood import Denoising, denoiser_of

        for part in self._pipe.components.values():
            if hasattr(part, "requires_grad_"):
                part.requires_grad_(False)
        return Denoising(denoiser_of(self._pipe).requires_grad_(True)).eval()

    @property
    def network(self) -> "torch.nn.Module":
        """What a LoRA adapter sits on."""
        denoiser: torch.nn.Module = self.module.denoiser
        return denoiser

    def recompute_activations(self, on: bool) -> None:
        """diffusers' gradient checkpointing."""
        network: Any = self.network
        network.enable_gradient_checkpointing() if on else network.disable_gradient_checkpointing()

    def prepare(self, items: Sequence[LikelihoodItem]) -> "list[Prepared]":
        """Pictures as latents, prompts as what the denoiser is told of them. Raises HermesError for a text item."""
        from hermes.harness.models.pipeline.likelihood import prepare_items

        if any(item.kind == "text" for item in items):
            raise HermesError(f"the model {NAME!r} writes no texts, so they have no likelihood; train on images alone")
        return prepare_items(self._pipe, items, self.info.resolution)

    def with_seed(self, prepared: "Prepared", seed: int) -> "Prepared":
        """The same item under the times and the noise of another seed."""
        return replace(prepared, seed=seed)

    def collate(self, prepared: "Sequence[Prepared]") -> "LikelihoodBatch":
        """A batch for ``module``, each item under ``masks`` draws of time and noise."""
        from hermes.harness.models.pipeline.likelihood import collate_items

        return collate_items(prepared, self._process, self.masks, self.network)

    @cached_property
    def _process(self) -> "Diffusion | Flow":
        from hermes.harness.models.pipeline.process import process_of

        return process_of(self._pipe.scheduler)

    def understand(self, requests: Sequence[Request]) -> list[str]:
        raise HermesError(f"the model {NAME!r} answers no questions; choose tasks that ask for images")

    def generate(self, requests: Sequence[Request]) -> "list[Image.Image | Drew]":
        """One image for each request."""
        from hermes.harness.models.pipeline.drawing import cuts, drawing_of

        groups: dict[tuple[str, Drawing], list[int]] = defaultdict(list)
        for number, request in enumerate(requests):
            groups[request.prompt, drawing_of(request.config, self.info.defaults, self._pipe, WHO)].append(number)
        pictures: dict[int, Image.Image | Drew] = {}
        for (prompt, drawing), members in groups.items():
            cut, left = cuts(self._pipe, prompt), members
            while left:
                drawn = self.fitting.run(
                    partial(self._first, prompt, [requests[number].seed for number in left], drawing)
                )
                for number, picture in zip(left, drawn, strict=False):
                    pictures[number] = Drew(picture, prompt_cut=True) if cut else picture
                left = left[len(drawn) :]
        return [pictures[number] for number in range(len(requests))]

    def _first(self, prompt: str, seeds: Sequence[int], drawing: "Drawing") -> "list[Image.Image]":
        """The pictures of the first seeds, as many as go into a call."""
        from hermes.harness.models.pipeline.drawing import draw

        return draw(self._pipe, prompt, seeds[: self.fitting.size], drawing, WHO)
