"""Any vision-language model of transformers as a model that understands: a folder, or a model of the hub."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from hermes.harness.errors import HermesError
from hermes.harness.models.vlm.ask import Ask
from hermes.harness.models.vlm.source import Source, parse_source
from hermes.harness.registry import split_reference
from hermes.harness.types import Ability, GenerationConfig, ModelInfo, Request

if TYPE_CHECKING:
    from PIL import Image

    from hermes.harness.models.vlm.model import VLM

WHO = "model hf"
MAX_NEW_TOKENS = 256
DEFAULTS = GenerationConfig(max_new_tokens=MAX_NEW_TOKENS, temperature=0.0)


class HFModel:
    """Answers of one checkpoint through its chat template, images first; greedy where a request has no temperature."""

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding",)
    parameters: ClassVar[str] = "any"
    description: ClassVar[str] = "any transformers VLM: hf:FOLDER, hf:HUB_ID or hf:HUB_ID@REVISION"
    extra: ClassVar[str | None] = None
    alignable: ClassVar[bool] = False

    def __init__(self, model: "VLM", source: Source, commit: str | None) -> None:
        self._model = model
        module = model.module
        side = getattr(getattr(module.config, "vision_config", None), "image_size", None)
        self.info = ModelInfo(
            name=source.title,
            revision=commit,
            fingerprint=source.version(commit),
            abilities=self.abilities,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
            resolution=side if isinstance(side, int) else 0,
            defaults=DEFAULTS,
        )

    @classmethod
    def load(cls, reference: str, device: str) -> "HFModel":
        """The model "hf:<folder or hub id>", in bfloat16 on CUDA and in float32 elsewhere.

        Raises HermesError for what is missing, torn, of another kind, without chat template, or brings its own code.
        """
        source = parse_source(split_reference(reference)[1], WHO)
        from hermes.harness.models.vlm.load import load_vlm

        model, commit = load_vlm(source, device, WHO)
        return cls(model, source, commit)

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, with none, one or several images."""
        return [text.strip() for text in self._model.replies([_ask(request) for request in requests])]

    def generate(self, requests: Sequence[Request]) -> "list[Image.Image]":
        raise HermesError("the model 'hf' draws no images; choose tasks that ask questions")


def _ask(request: Request) -> Ask:
    config = request.config
    temperature, top_k = config.temperature or 0.0, config.top_k or 0
    tokens = MAX_NEW_TOKENS if config.max_new_tokens is None else config.max_new_tokens
    if tokens < 1 or temperature < 0 or top_k < 0:
        raise HermesError(
            f"{WHO}: max_new_tokens must be 1 or more, temperature and top_k not negative, "
            f"not {tokens}, {temperature} and {top_k}"
        )
    images = tuple(handle.open() for handle in request.images)
    return Ask(request.prompt, images, tokens, temperature, top_k, request.seed)
