"""Any vision-language model of transformers as a model that understands: a folder, or a model of the hub."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.adapters import version_with
from hermes.harness.models.recompute import recompute
from hermes.harness.models.source import Source, source_of
from hermes.harness.models.vlm.ask import Ask
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from hermes.harness.models.vlm.likelihood import Likelihood, LikelihoodBatch, Prepared
    from hermes.harness.models.vlm.model import VLM

MAX_NEW_TOKENS = 256
DEFAULTS = GenerationConfig(max_new_tokens=MAX_NEW_TOKENS, temperature=0.0)


class HFModel:
    """Answers of one checkpoint through its chat template, images first; greedy where a request has no temperature.

    A subclass serves one family: its ``name``, its published ``checkpoint``, and the ``model_type`` that it takes.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding",)
    parameters: ClassVar[str] = "any"
    description: ClassVar[str] = "any transformers VLM: hf:FOLDER, hf:HUB_ID or hf:HUB_ID@REVISION"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torchvision",)  # without it transformers prepares images with other pixels
    alignable: ClassVar[bool] = True
    likelihoods: ClassVar[tuple[str, ...]] = ("text",)
    options: ClassVar[tuple[str, ...]] = ("dtype", "device_map", "adapter")
    name: ClassVar[str] = "hf"
    checkpoint: ClassVar[str | None] = None
    model_type: ClassVar[str | None] = None

    def __init__(self, model: "VLM", source: Source, commit: str | None, adapter: str | None = None) -> None:
        from hermes.harness.models.precision import dtype_name

        self._model = model
        module = model.module
        self.info = ModelInfo(
            name=source.title,
            revision=commit,
            fingerprint=version_with(source.version(commit), adapter),
            abilities=self.abilities,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
            resolution=_side(module.config),
            dtype=dtype_name(module.dtype),
            defaults=DEFAULTS,
        )

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads."""
        return [source_of(reference, cls.name, cls.checkpoint)]

    @classmethod
    def load(cls, reference: str, device: str, options: LoadOptions = PLAIN) -> "HFModel":
        """The model "name:<folder or hub id>", in bfloat16 on CUDA and in float32 elsewhere unless options say more.

        Raises HermesError for what is missing, torn, of another kind, without chat template, or brings its own code.
        """
        (source,) = cls.sources(reference)
        from hermes.harness.models.vlm.load import load_vlm

        model, commit = load_vlm(source, device, f"model {cls.name}", options=options, model_type=cls.model_type)
        return cls(model, source, commit, options.adapter)

    @classmethod
    def refuse_untrainable(cls, reference: str) -> None:
        """Raise HermesError for a model that cannot be trained by preferences; reads its config.json alone."""
        from hermes.harness.models.vlm.load import refuse_untrainable

        (source,) = cls.sources(reference)
        refuse_untrainable(source, f"model {cls.name}", cls.model_type)

    def save(self, folder: Path) -> None:
        """Write network and processor in the layout in which transformers reads them."""
        from hermes.harness.models.quiet import quiet

        with quiet():
            self._model.module.save_pretrained(folder)
            self._model.processor.save_pretrained(folder)

    @cached_property
    def module(self) -> "Likelihood":
        """The network as a likelihood of texts; its language model is trained."""
        from hermes.harness.models.vlm.likelihood import Likelihood

        return Likelihood(self._model.module).eval()

    @property
    def network(self) -> "torch.nn.Module":
        """What a LoRA adapter sits on."""
        network: torch.nn.Module = self.module.network
        return network

    def recompute_activations(self, on: bool) -> None:
        """transformers' gradient checkpointing."""
        recompute(self._model.module, on)

    def prepare(self, items: Sequence[LikelihoodItem]) -> "list[Prepared]":
        """Tokenised items; picklable. Raises HermesError for an image item."""
        from hermes.harness.models.vlm.likelihood import prepare_items

        if any(item.kind == "image" for item in items):
            raise HermesError(
                f"the model {self.name!r} draws no images, so they have no likelihood; train on texts alone"
            )
        return prepare_items(self._model, items)

    def with_seed(self, prepared: "Prepared", seed: int) -> "Prepared":
        """The item as it is: an autoregressive likelihood has no masks."""
        return prepared

    def collate(self, prepared: "Sequence[Prepared]") -> "LikelihoodBatch":
        """A batch for ``module``."""
        from hermes.harness.models.vlm.likelihood import collate_items

        return collate_items(self._model, prepared)

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, with none, one or several images."""
        return list(self._model.replies([_ask(request, self.name) for request in requests]))

    def generate(self, requests: Sequence[Request]) -> "list[Image.Image]":
        raise HermesError(f"the model {self.name!r} draws no images; choose tasks that ask questions")


def _side(config: Any) -> int:
    """The side in pixels of what the vision part looks at, 0 where it has no fixed one."""
    for part, key in (("vision_config", "image_size"), ("vq_config", "resolution")):
        side = getattr(getattr(config, part, None), key, None)
        if isinstance(side, int):
            return side
    return 0


def _ask(request: Request, name: str) -> Ask:
    config = request.config
    temperature, top_k = config.temperature or 0.0, config.top_k or 0
    tokens = MAX_NEW_TOKENS if config.max_new_tokens is None else config.max_new_tokens
    if tokens < 1 or temperature < 0 or top_k < 0:
        raise HermesError(
            f"model {name}: max_new_tokens must be 1 or more, temperature and top_k not negative, "
            f"not {tokens}, {temperature} and {top_k}"
        )
    images = tuple(handle.open() for handle in request.images)
    return Ask(request.prompt, images, tokens, temperature, top_k, request.seed)
