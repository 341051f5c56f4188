"""Emu3 as the harness sees it: load, understand, generate, and log-probabilities for align."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hermes.harness.contracts.model import LikelihoodItem, Said
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.emu3.places import NAME, PARTS, find, write_pair
from hermes.harness.models.outline import Outline, settings_file
from hermes.harness.models.recompute import recompute
from hermes.harness.models.seeded import draw_of, max_new_tokens_of
from hermes.harness.models.source import Source
from hermes.harness.records.images import pixel_sha256
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

    from hermes.harness.models.emu3.likelihood import LikelihoodBatch, Prepared
    from hermes.harness.models.emu3.load import Loaded

# What the authors' scripts set (baaivision/Emu3, image_generation.py and the model cards). Their words of praise behind
# a prompt and their list of faults as negative prompt are left out: prompts belong to benchmarks.
DEFAULTS = GenerationConfig(max_new_tokens=1024, guidance_scale=3.0, top_k=2048)
IMAGE_TEMPERATURE = 1.0
CHUNK = 8


class Emu3:
    """Emu3 (Wang et al., 2024) through transformers' own generate: one set of weights for all, or one for each side.

    Text is greedy and images are drawn at temperature 1 where a request names no temperature; top_k 0 keeps all tokens.
    ``guidance_scale`` is transformers': guided logits are u + scale (c - u), where u is told the image's size behind an
    empty prompt, and a scale of at most 1 means no guidance.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation")
    parameters: ClassVar[str] = "8 B, 2 x 8 B"
    description: ClassVar[str] = "Emu3: a checkpoint folder, emu3:FOLDER or HUB_ID[@REVISION], or two as emu3:CHAT+GEN"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torchvision",)  # without it transformers prepares images with other pixels
    alignable: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("dtype", "device_map", "adapter")
    decoding: ClassVar[tuple[str, ...]] = ("top_p",)

    def __init__(self, name: str, parts: "Sequence[Loaded]") -> None:
        from hermes.harness.models.emu3.images import default_side
        from hermes.harness.models.emu3.likelihood import Likelihood
        from hermes.harness.models.fingerprint import WeightsFingerprint

        self.name, self.parts = name, tuple(parts)
        self.chat, self.gen = parts[0], parts[-1]
        self.side = default_side(self.gen.network, self.gen.processor)
        for part in parts:
            part.network.model.vqmodel.requires_grad_(False)
        self.module: torch.nn.Module = Likelihood([part.network for part in parts], self.gen.tokens.codes)
        self._fingerprint = WeightsFingerprint(self._state)

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoints that ``load`` reads, one or two."""
        return find(reference)[1]

    @classmethod
    def load(cls, reference: str = NAME, device: str = "cpu", options: LoadOptions = PLAIN) -> "Emu3":
        """A folder or hub id, "emu3:" before one, two as "emu3:CHAT+GEN", or "emu3", the two published ones.

        Raises HermesError for others.
        """
        name, sources = find(reference)
        if options.adapter and len(sources) > 1:
            raise HermesError(f"model emu3: --adapter fits one set of weights, {name} has two; give one as emu3:FOLDER")
        from hermes.harness.models.emu3.load import load_checkpoint

        return cls(name, [load_checkpoint(source, device, options) for source in sources])

    @classmethod
    def outline(cls, reference: str) -> Outline | None:
        """Its sizes without its weights."""
        sources = cls.sources(reference)
        path = settings_file(sources[0])
        if path is None:
            return None
        from hermes.harness.models.emu3.outline import outline_of

        return outline_of(path, len(sources))

    def save(self, folder: Path) -> None:
        """Write config, weights, tokenizer and processor in transformers' layout, of two parts in chat/ and gen/."""
        pair = len(self.parts) > 1
        for part, place in zip(self.parts, PARTS, strict=False):
            inner = folder / place if pair else folder
            part.network.save_pretrained(inner)
            part.processor.save_pretrained(inner)
        if pair:
            write_pair(folder)

    @property
    def network(self) -> "torch.nn.Module":
        """What a LoRA adapter sits on: the network, or both."""
        network: torch.nn.Module = self.module if len(self.parts) > 1 else self.chat.network
        return network

    def recompute_activations(self, on: bool) -> None:
        """transformers' gradient checkpointing."""
        for part in self.parts:
            recompute(part.network, on)

    @property
    def info(self) -> ModelInfo:
        """What the model is; the fingerprint is that of the weights as they are now."""
        from hermes.harness.models.precision import dtype_name

        commits = [part.commit or "folder" for part in self.parts]
        return ModelInfo(
            name=self.name,
            revision="+".join(commits) if any(part.commit for part in self.parts) else None,
            fingerprint=self._fingerprint(),
            abilities=self.abilities,
            parameters=sum(weights.numel() for part in self.parts for weights in part.network.parameters()),
            dtype=dtype_name(self.gen.network.dtype),
            resolution=self.side,
            defaults=DEFAULTS.model_copy(update={"image_size": self.side}),
        )

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, with none, one or several images."""
        parts = [requests[start : start + CHUNK] for start in range(0, len(requests), CHUNK)]
        return [text for part in parts for text in self._answers(part)]

    def generate(self, requests: Sequence[Request]) -> "list[Image.Image]":
        """One square image for each request."""
        pictures: dict[int, Image.Image] = {}
        sizes: dict[int, list[int]] = {}
        for index, request in enumerate(requests):
            sizes.setdefault(self._side(request), []).append(index)
        for side, members in sizes.items():
            for start in range(0, len(members), CHUNK):
                part = members[start : start + CHUNK]
                drawn = self._pictures([requests[index] for index in part], side)
                pictures |= dict(zip(part, drawn, strict=True))
        return [pictures[index] for index in range(len(requests))]

    def prepare(self, items: Sequence[LikelihoodItem]) -> "list[Prepared]":
        """Tokenised items; picklable. Texts about one picture with one prompt share its tokens."""
        seen: dict[tuple[str, str], list[int]] = {}
        return [self._text(item, seen) if item.kind == "text" else self._image(item) for item in items]

    def with_seed(self, prepared: "Prepared", seed: int) -> "Prepared":
        """The item as it is: an autoregressive likelihood has no masks."""
        return prepared

    def collate(self, prepared: "Sequence[Prepared]") -> "LikelihoodBatch":
        """A batch for ``module``, on the model's device."""
        from hermes.harness.models.emu3.likelihood import collate_items

        return collate_items(prepared, self.gen.processor.tokenizer.pad_token_id).to(self.gen.network.device)

    def _answers(self, requests: Sequence[Request]) -> list[Said]:
        from transformers import LogitsProcessorList

        from hermes.harness.models.emu3.prompting import padded, question_ids
        from hermes.harness.models.ended import end_tokens, said
        from hermes.harness.models.seeded_draws import SeededDraws

        network, words = self.chat.network, self.chat.processor.tokenizer
        draws = [draw_of(request, DEFAULTS, temperature=0.0) for request in requests]
        lengths = [max_new_tokens_of(request, DEFAULTS) for request in requests]
        rows = [
            question_ids(network, self.chat.processor, request.prompt, [handle.open() for handle in request.images])
            for request in requests
        ]
        inputs = {name: values.to(network.device) for name, values in padded(rows, words.pad_token_id).items()}
        ids = network.generate(
            **inputs,
            logits_processor=LogitsProcessorList([SeededDraws(draws)]),
            max_new_tokens=max(lengths),
            do_sample=False,
            guidance_scale=None,
        )
        written = ids[:, inputs["input_ids"].shape[1] :].tolist()
        ends = end_tokens(network, words)
        return [
            said(str(words.decode(row[:count], skip_special_tokens=True)).strip(), row, count, ends)
            for row, count in zip(written, lengths, strict=True)
        ]

    def _pictures(self, requests: Sequence[Request], side: int) -> "list[Image.Image]":
        from transformers import LogitsProcessorList

        from hermes.harness.models.emu3.images import decode
        from hermes.harness.models.emu3.prompting import drawing_ids, padded
        from hermes.harness.models.emu3.sampling import ImageDraws

        network, processor = self.gen.network, self.gen.processor
        draws = [draw_of(request, DEFAULTS, IMAGE_TEMPERATURE) for request in requests]
        prompts = [drawing_ids(processor, request.prompt, side) for request in requests]
        begin, rows = max(map(len, prompts)), side // processor.downsample_ratio
        empty = drawing_ids(processor, "", side)
        inputs = padded(prompts, processor.tokenizer.pad_token_id)
        ids = network.generate(
            **{name: values.to(network.device) for name, values in inputs.items()},
            logits_processor=LogitsProcessorList([ImageDraws(network, self.gen.tokens, draws, rows, begin, empty)]),
            max_new_tokens=rows * (rows + 1) + 3,
            do_sample=False,
            guidance_scale=None,
        )
        return [decode(network, processor, row[begin:], side) for row in ids]

    def _text(self, item: LikelihoodItem, seen: "dict[tuple[str, str], list[int]]") -> "Prepared":
        from hermes.harness.models.emu3.likelihood import text_item
        from hermes.harness.models.emu3.prompting import answer, question_ids

        processor, picture = self.chat.processor, item.image.open()
        key = (item.prompt, pixel_sha256(picture))
        if key not in seen:
            seen[key] = question_ids(self.chat.network, processor, item.prompt, [picture])
        said = processor.tokenizer(answer(processor, item.prompt, 1, item.text), add_special_tokens=False)["input_ids"]
        return text_item(seen[key], [*said, processor.tokenizer.eos_token_id])

    def _image(self, item: LikelihoodItem) -> "Prepared":
        from hermes.harness.models.emu3.images import encode, fitted, shape
        from hermes.harness.models.emu3.likelihood import image_item
        from hermes.harness.models.emu3.prompting import drawing_ids

        picture = item.image.open()
        lines = encode(self.gen.network, *fitted(self.gen.processor, picture, self.side))
        prompt = drawing_ids(self.gen.processor, item.prompt, self.side, shape(picture))
        return image_item(prompt, lines, self.gen.tokens)

    def _side(self, request: Request) -> int:
        """The wanted width and height in pixels, checked."""
        from hermes.harness.models.emu3.images import check_side

        side = request.config.image_size or self.side
        check_side(self.gen.network, self.gen.processor, side)
        codes = (side // self.gen.processor.downsample_ratio) ** 2
        if request.config.steps not in (None, codes):
            raise HermesError(f"steps: {self.name} draws its {codes} image tokens one by one; leave steps out")
        return side

    def _state(self) -> "dict[str, Tensor]":
        """All weights by name, of two parts with the part's name before them."""
        if len(self.parts) == 1:
            return dict(self.parts[0].network.state_dict())
        pairs = zip(PARTS, self.parts, strict=True)
        return {f"{place}.{name}": w for place, part in pairs for name, w in part.network.state_dict().items()}
