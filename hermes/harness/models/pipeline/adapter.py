"""Any text-to-image pipeline of diffusers as a model that generates: a folder, or a pipeline of the hub."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from hermes.harness.contracts.model import Drew
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.adapters import OF_PIPELINES, main_file, version_with
from hermes.harness.models.source import Source, source_of
from hermes.harness.records.types import Ability, ModelInfo, Request
from hermes.harness.system.errors import HermesError
from hermes.harness.system.fitting import Fitting
from hermes.harness.system.text import say

if TYPE_CHECKING:
    from PIL import Image

    from hermes.harness.models.pipeline.drawing import Drawing
    from hermes.harness.models.pipeline.load import Loaded

NAME = "diffusers"
WHO = f"model {NAME}"
CHUNK = 8


class DiffusersModel:
    """Images of the class that model_index.json names, called with a prompt and a seed alone.

    Guidance and steps are the defaults of that class's call where a request names none, the size is the checkpoint's.
    Safety checker and watermark are off: an image that they change is not the model's. In float16 on CUDA, in bfloat16
    where the denoiser is a transformer, in float32 elsewhere. Requests of one prompt are drawn together and decoded one
    by one; what then is left of companions is the rounding of matrix products of another shape (in float32 at most one
    level of 255 on the tests' small pipelines), and with a batch size of 1 nothing.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("generation",)
    parameters: ClassVar[str] = "any"
    description: ClassVar[str] = (
        "any text-to-image pipeline of diffusers: diffusers:FOLDER or diffusers:HUB_ID[@REVISION]"
    )
    extra: ClassVar[str | None] = "diffusers"
    packages: ClassVar[tuple[str, ...]] = ("diffusers",)
    alignable: ClassVar[bool] = False
    options: ClassVar[tuple[str, ...]] = ("dtype", "device_map", "adapter")

    def __init__(self, name: str, loaded: "Loaded", adapter: str | None = None) -> None:
        from hermes.harness.models.pipeline.drawing import own_defaults, own_side
        from hermes.harness.models.precision import dtype_name

        self._pipe = loaded.pipe
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
