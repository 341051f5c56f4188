"""Janus as the harness sees it: load, understand, generate, and log-probabilities for align."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hermes.harness.contracts.model import LikelihoodItem, Said
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.outline import Outline, settings_file
from hermes.harness.models.recompute import recompute
from hermes.harness.models.seeded import draw_of, max_new_tokens_of
from hermes.harness.models.source import Source, source_of
from hermes.harness.records.images import pixel_sha256
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from hermes.harness.models.janus.likelihood import LikelihoodBatch, Prepared
    from hermes.harness.models.janus.load import Loaded

NAME = "janus"
CHECKPOINT = "deepseek-community/Janus-Pro-1B"
DEFAULTS = GenerationConfig(max_new_tokens=512, guidance_scale=5.0)
IMAGE_TEMPERATURE = 1.0
CHUNK = 16


class Janus:
    """Janus and Janus-Pro (Chen et al., 2025) through transformers' own generate.

    Text is greedy and images are drawn at temperature 1 where a request names no temperature. ``guidance_scale`` is
    transformers': guided logits are u + scale (c - u), and a scale of at most 1 means no guidance.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation")
    parameters: ClassVar[str] = "1 B, 7 B"
    description: ClassVar[str] = "Janus and Janus-Pro: a checkpoint folder, janus:FOLDER or janus:HUB_ID[@REVISION]"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torchvision",)  # without it transformers prepares images with other pixels
    alignable: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("dtype", "device_map", "adapter")
    decoding: ClassVar[tuple[str, ...]] = ("top_p",)

    def __init__(self, name: str, loaded: "Loaded") -> None:
        from hermes.harness.models.fingerprint import WeightsFingerprint
        from hermes.harness.models.janus.images import side
        from hermes.harness.models.janus.likelihood import Likelihood

        self.name, self.commit = name, loaded.commit
        self.network, self.processor = loaded.network, loaded.processor
        self.side = side(self.network)
        for frozen in (self.network.model.vision_model, self.network.model.vqmodel):
            frozen.requires_grad_(False)
        self.module: torch.nn.Module = Likelihood(self.network)
        self._fingerprint = WeightsFingerprint(self.network.state_dict)

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads."""
        return [source_of(reference, NAME, CHECKPOINT)]

    @classmethod
    def load(cls, reference: str = NAME, device: str = "cpu", options: LoadOptions = PLAIN) -> "Janus":
        """A folder, "janus:<folder or hub id>", or "janus", the hub's Janus-Pro-1B. Raises HermesError for others."""
        (source,) = cls.sources(reference)
        from hermes.harness.models.janus.load import load_checkpoint

        return cls(source.title, load_checkpoint(source, device, options))

    @classmethod
    def outline(cls, reference: str) -> Outline | None:
        """Its sizes without its weights."""
        path = settings_file(cls.sources(reference)[0])
        if path is None:
            return None
        from hermes.harness.models.janus.outline import outline_of

        return outline_of(path)

    def save(self, folder: Path) -> None:
        """Write config, weights, tokenizer and processor in transformers' layout."""
        self.network.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    def recompute_activations(self, on: bool) -> None:
        """transformers' gradient checkpointing."""
        recompute(self.network, on)

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
            resolution=self.side,
            defaults=DEFAULTS.model_copy(update={"image_size": self.side}),
        )

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, with none, one or several images."""
        parts = [requests[start : start + CHUNK] for start in range(0, len(requests), CHUNK)]
        return [text for part in parts for text in self._answers(part)]

    def generate(self, requests: Sequence[Request]) -> "list[Image.Image]":
        """One square image for each request."""
        parts = [requests[start : start + CHUNK] for start in range(0, len(requests), CHUNK)]
        return [picture for part in parts for picture in self._pictures(part)]

    def prepare(self, items: Sequence[LikelihoodItem]) -> "list[Prepared]":
        """Tokenised items; picklable. Texts about one picture share its pixels."""
        seen: dict[str, torch.Tensor] = {}
        return [self._prepared(item, seen) for item in items]

    def with_seed(self, prepared: "Prepared", seed: int) -> "Prepared":
        """The item as it is: an autoregressive likelihood has no masks."""
        return prepared

    def collate(self, prepared: "Sequence[Prepared]") -> "LikelihoodBatch":
        """A batch for ``module``, on the model's device."""
        from hermes.harness.models.janus.likelihood import collate_items

        return collate_items(prepared, self.processor.tokenizer.pad_token_id, self.side).to(self.network.device)

    def _answers(self, requests: Sequence[Request]) -> list[Said]:
        from transformers import GenerationMixin, LogitsProcessorList

        from hermes.harness.models.ended import end_tokens, said
        from hermes.harness.models.janus.prompting import question, understanding_inputs
        from hermes.harness.models.seeded_draws import SeededDraws

        draws = [draw_of(request, DEFAULTS, temperature=0.0) for request in requests]
        tokens = [max_new_tokens_of(request, DEFAULTS) for request in requests]
        texts = [question(self.processor, request.prompt, len(request.images)) for request in requests]
        images = [handle.open() for request in requests for handle in request.images]
        inputs = understanding_inputs(self.processor, texts, images).to(self.network.device, self.network.dtype)
        # Janus's own generate ends in this very call in its text mode, but drops the processors on the way.
        ids = GenerationMixin.generate(
            self.network,
            **inputs,
            logits_processor=LogitsProcessorList([SeededDraws(draws)]),
            max_new_tokens=max(tokens),
            do_sample=False,
            guidance_scale=None,
        )
        written = ids[:, inputs["input_ids"].shape[1] :].tolist()
        words = self.processor.tokenizer
        ends = end_tokens(self.network, words)
        return [
            said(str(words.decode(row[:count], skip_special_tokens=True)).strip(), row, count, ends)
            for row, count in zip(written, tokens, strict=True)
        ]

    def _pictures(self, requests: Sequence[Request]) -> "list[Image.Image]":
        from transformers import LogitsProcessorList

        from hermes.harness.models.janus.images import decode
        from hermes.harness.models.janus.prompting import generation_inputs
        from hermes.harness.models.seeded_draws import SeededDraws

        self._check_drawing(requests)
        draws = [draw_of(request, DEFAULTS, IMAGE_TEMPERATURE) for request in requests]
        inputs = generation_inputs(self.processor, [request.prompt for request in requests]).to(self.network.device)
        codes = self.network.generate(
            **inputs,
            generation_mode="image",
            logits_processor=LogitsProcessorList([SeededDraws(draws)]),
            do_sample=False,
            guidance_scale=1.0,
        )
        return [decode(self.network, self.processor, row) for row in codes]

    def _prepared(self, item: LikelihoodItem, seen: "dict[str, torch.Tensor]") -> "Prepared":
        from hermes.harness.models.janus.images import encode
        from hermes.harness.models.janus.likelihood import Prepared
        from hermes.harness.models.janus.prompting import answer, generation_inputs, question, understanding_inputs
        from hermes.harness.models.pictures import centre_square

        picture = item.image.open()
        if item.kind == "image":
            # A square of it, as the model draws: the processor would pad to one, and the grey would be learnt.
            drawing = centre_square(picture, self.side)
            pixels = self.processor.image_processor(drawing, return_tensors="pt")["pixel_values"][0]
            inputs = generation_inputs(self.processor, [item.prompt], [drawing] if item.again else [])
            codes = tuple(encode(self.network, pixels.to(self.network.device)))
            again = pixels if item.again else None
            return Prepared(tuple(inputs["input_ids"][0].tolist()), codes, again, drawn=True)
        tokenizer = self.processor.tokenizer
        inputs = understanding_inputs(self.processor, [question(self.processor, item.prompt, 1)], [picture])
        said = tokenizer(answer(self.processor, item.prompt, 1, item.text), add_special_tokens=False)["input_ids"]
        pixels = seen.setdefault(pixel_sha256(picture), inputs["pixel_values"][0])
        return Prepared(tuple(inputs["input_ids"][0].tolist()), (*said, tokenizer.eos_token_id), pixels, drawn=False)

    def _check_drawing(self, requests: Sequence[Request]) -> None:
        tokens = self.network.config.vision_config.num_image_tokens
        for request in requests:
            if request.config.image_size not in (None, self.side):
                raise HermesError(f"image_size: {self.name} draws {self.side} x {self.side} px only; leave it out")
            if request.config.steps not in (None, tokens):
                raise HermesError(f"steps: {self.name} draws its {tokens} image tokens one by one; leave steps out")
