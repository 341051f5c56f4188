"""What the small models of the shapes world share: files, text in and out, plans, batches of pictures."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from hermes.harness.contracts.model import Drew, LikelihoodItem, Said
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.pictures import only_image
from hermes.harness.models.source import Source, folder_of, source_of
from hermes.harness.models.tensors import misfit, read_tensors, without_prefix
from hermes.harness.models.tiny.editing import changed_plans
from hermes.harness.models.tiny.likelihood import Prepared
from hermes.harness.models.tiny.tokenizer_image import PIXELS, to_tensor
from hermes.harness.models.tiny.tokenizer_text import TextTokenizer
from hermes.harness.models.tiny.transformer import Cache, Shape
from hermes.harness.models.tiny.writing import PLAN_TOKENS, Ask, write, write_plans
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file
from hermes.shapes.lessons import short_answer

PLAN_TEMPERATURE = 0.4
PLANNING = {
    "plan": "on",
    "plan_temperature": PLAN_TEMPERATURE,
}  # What weights that were taught to plan add to defaults.
CHUNK = 64
Drawing = TypeVar("Drawing", bound=Hashable)


class WorldModel(ABC, Generic[Drawing]):
    """One transformer that answers, plans and draws, and a coder of pictures, for the shapes world.

    Text is greedy where a request names no temperature. Before it draws, the model plans: where a prompt leaves places
    open it writes a caption that names them all. A picture is (36, ...): whatever ``images.encode`` makes of pixels.
    """

    NAME: ClassVar[str]
    WEIGHTS: ClassVar[Path]
    DEFAULTS: ClassVar[GenerationConfig]
    MASKS: ClassVar[int]
    coder: ClassVar[type[nn.Module]]
    trunk: ClassVar[type[Any]]

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation", "editing")
    extra: ClassVar[str | None] = None
    alignable: ClassVar[bool] = True
    world: ClassVar[str] = "shapes"
    license: ClassVar[str] = "apache-2.0"

    def __init__(
        self, name: str, text: TextTokenizer, images: Any, transformer: Any, masks: int = 0, plans: bool = True
    ) -> None:
        self.name = name
        self.text = text
        self.images = images.eval().requires_grad_(False)
        self.transformer = transformer.eval()
        self.module: nn.Module = self._likelihood()
        self.masks = masks or self.MASKS
        self.plans = plans

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads; the weights that ship with Hermes are not spoken of."""
        return [] if reference == cls.NAME else [source_of(reference, cls.NAME)]

    @classmethod
    def load(cls, reference: str = "", device: str = "cpu") -> Self:
        """The shipped weights (its name, or nothing), or what ``save`` wrote: a folder, or OWNER/NAME of the hub."""
        reference = reference or cls.NAME
        folder = next((folder_of(source) for source in cls.sources(reference)), cls.WEIGHTS)
        try:
            config = json_file(folder / "config.json")
            transformer, images = cls.trunk(Shape(**config["shape"])), cls.coder()
            masks, plans = int(config["image_masks"]), bool(config.get("plans", False))
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise HermesError(
                f"{folder}: not a {cls.NAME} model ({reason}); give '{cls.NAME}' or a folder that align saved"
            ) from None
        _read(transformer, folder / "transformer.safetensors", cls.NAME)
        _read(images, folder / "tokenizer.safetensors", cls.NAME)
        text = TextTokenizer.load(folder / "vocabulary.json")
        return cls(cls.NAME, text, images.to(device), transformer.to(device), masks, plans)

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write config, vocabulary and weights; ``dtype`` is that of the stored weights."""
        folder.mkdir(parents=True, exist_ok=True)
        shape = self.transformer.shape.as_json()
        config = {"model_type": self.NAME, "shape": shape, "image_masks": self.masks, "plans": self.plans}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        self.text.save(folder / "vocabulary.json")
        for name, module in (("transformer", self.transformer), ("tokenizer", self.images)):
            state = {key: value.detach().cpu().to(dtype).contiguous() for key, value in module.state_dict().items()}
            save_file(state, folder / f"{name}.safetensors")

    @property
    def network(self) -> nn.Module:
        """What a LoRA adapter sits on."""
        transformer: nn.Module = self.transformer
        return transformer

    @property
    def info(self) -> ModelInfo:
        """What the model is; the fingerprint is that of the weights as they are now."""
        modules = (self.transformer, self.images)
        return ModelInfo(
            name=self.name,
            fingerprint=_fingerprint(modules, self.text),
            abilities=self.abilities,
            parameters=sum(p.numel() for module in modules for p in module.parameters()),
            resolution=PIXELS,
            defaults=self.DEFAULTS.model_copy(update=PLANNING) if self.plans else self.DEFAULTS,
        )

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, which must have exactly one image."""
        pictures, which = self._encode([only_image(request, self.NAME) for request in requests])
        asks = [
            Ask(
                image=image,
                prompt=self.text.encode(request.prompt),
                seed=request.seed,
                max_new_tokens=request.config.max_new_tokens or self.DEFAULTS.max_new_tokens or 1,
                temperature=request.config.temperature or 0.0,
                top_k=request.config.top_k or 0,
            )
            for request, image in zip(requests, which, strict=True)
        ]
        answers: list[str] = []
        for start in range(0, len(asks), CHUNK):
            part = asks[start : start + CHUNK]
            used = sorted({ask.image for ask in part})
            local = [replace(ask, image=used.index(ask.image)) for ask in part]
            written = write(self.transformer, self._see(pictures[used]), local)
            for ask, ids in zip(local, written, strict=True):
                answers.append(Said(self.text.decode(ids), truncated=len(ids) >= ask.max_new_tokens))
        return answers

    def generate(self, requests: Sequence[Request]) -> list[Drew]:
        """One 48 x 48 image for each request, with its plan where it was planned.

        A request with a picture asks for a change of it: what is seen there is the plan, with the change in it.
        """
        edits = [index for index, request in enumerate(requests) if request.images]
        plans = changed_plans([requests[index] for index in edits], self._said, self.NAME) if edits else []
        changed = dict(zip(edits, plans, strict=True))
        asked = [
            request.model_copy(update={"prompt": changed[index], "config": _unplanned(request.config)})
            if index in changed
            else request
            for index, request in enumerate(requests)
        ]
        return [
            replace(drew, plan=changed[index]) if index in changed else drew
            for index, drew in enumerate(self._drawn(asked))
        ]

    def _said(self, questions: Sequence[tuple[ImageHandle, str]]) -> list[str]:
        """The greedy answers to short questions about pictures."""
        asked = [
            Request(sample_id="", index=0, prompt=short_answer(text), images=(picture,), config=self.DEFAULTS, seed=0)
            for picture, text in questions
        ]
        return self.understand(asked) if asked else []

    def _drawn(self, requests: Sequence[Request]) -> list[Drew]:
        """One image for each prompt."""
        drawn: dict[int, Drew] = {}
        groups: dict[tuple[Drawing, float | None], list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault((self._drawing(request.config), self._planning(request.config)), []).append(index)
        for (drawing, planning), members in groups.items():
            for start in range(0, len(members), CHUNK):
                part = members[start : start + CHUNK]
                prompts = [self.text.encode(requests[index].prompt) for index in part]
                seeds = [requests[index].seed for index in part]
                plans = [None] * len(part) if planning is None else self._plans(prompts, seeds, planning)
                sources = [plan or prompt for plan, prompt in zip(plans, prompts, strict=True)]
                pictures = self._draw(sources, seeds, drawing)
                for index, picture, plan in zip(part, pictures, plans, strict=True):
                    words = None if plan is None else self.text.decode(plan)
                    drawn[index] = Drew(self.decode(picture), plan=words, truncated=len(plan or ()) >= PLAN_TOKENS)
        return [drawn[index] for index in range(len(requests))]

    def _planning(self, config: GenerationConfig) -> float | None:
        """The temperature of the plan, None where none is written."""
        if (config.plan or ("on" if self.plans else "off")) == "off":
            return None
        if not self.plans:
            raise HermesError(f"plan: these weights of {self.NAME} were not taught to plan; leave it out")
        return PLAN_TEMPERATURE if config.plan_temperature is None else config.plan_temperature

    def _plans(self, prompts: Sequence[list[int]], seeds: Sequence[int], temperature: float) -> list[list[int] | None]:
        """The plan of each prompt; an empty prompt asks for nothing, so nothing is planned."""
        wanted = [number for number, prompt in enumerate(prompts) if prompt]
        asked, seeded = [prompts[number] for number in wanted], [seeds[number] for number in wanted]
        written = write_plans(self.transformer, asked, seeded, temperature) if wanted else []
        found = dict(zip(wanted, written, strict=True))
        return [found.get(number) for number in range(len(prompts))]

    def prepare(self, items: Sequence[LikelihoodItem]) -> list[Prepared]:
        """Tokenised items; picklable."""
        pictures, which = self._encode([item.image for item in items])
        kept = self._kept(pictures)
        return [
            Prepared(
                prompt=tuple(self.text.encode(item.prompt)),
                image=kept[picture],
                text=tuple(self.text.encode(item.plan or item.text)) if item.kind == "text" else None,
                seed=item.seed,
                plan=None if item.plan is None else tuple(self.text.encode(item.plan)),
            )
            for item, picture in zip(items, which, strict=True)
        ]

    def with_seed(self, prepared: Prepared, seed: int) -> Prepared:
        """The same item with the masks, or the noise, of another seed; texts come back as they are."""
        return prepared.with_seed(seed)

    @torch.inference_mode()
    def _encode(self, handles: Sequence[ImageHandle]) -> tuple[Tensor, list[int]]:
        """The N distinct pictures (N, 36, ...), and which of them each handle is."""
        device = self.transformer.head.weight.device
        numbers: dict[bytes, int] = {}
        pictures: list[Tensor] = []
        which: list[int] = []
        for handle in handles:
            picture = handle.open()
            if picture.size != (PIXELS, PIXELS):
                picture = picture.resize((PIXELS, PIXELS), Image.Resampling.BOX)
            key = picture.tobytes()
            if key not in numbers:
                numbers[key] = len(pictures)
                pictures.append(self.images.encode(to_tensor(np.asarray(picture)[None]).to(device))[0])
            which.append(numbers[key])
        return torch.stack(pictures) if pictures else torch.empty(0, 36, dtype=torch.long), which

    @abstractmethod
    def _likelihood(self) -> nn.Module:
        """The trainable module over ``transformer``."""

    @abstractmethod
    def _see(self, pictures: Tensor) -> Cache:
        """What is kept of pictures (N, 36, ...) for answers about them."""

    @abstractmethod
    def _drawing(self, config: GenerationConfig) -> Drawing:
        """How a picture is drawn, checked. Raises HermesError for what cannot be."""

    @abstractmethod
    def _draw(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], drawing: Drawing) -> Tensor:
        """A picture for each prompt, (B, 36, ...)."""

    @abstractmethod
    def decode(self, picture: Tensor) -> Image.Image:
        """The pixels of one picture; one at a time, so that companions cannot change a pixel."""

    @abstractmethod
    def _kept(self, pictures: Tensor) -> NDArray[Any]:
        """Pictures as a prepared item keeps them."""


def _read(module: nn.Module, path: Path, name: str) -> None:
    """Put the file's weights into the module. Raises HermesError where they are not its own, or no numbers."""
    if not path.is_file():
        raise HermesError(f"{path} is missing; give '{name}' or a folder that align saved")
    wanted = module.state_dict()
    held = without_prefix(read_tensors(path).tensors, wanted)
    stored = {name: tensor.float() for name, tensor in held.items()}
    if odd := misfit(wanted, stored):
        raise HermesError(f"{path} {odd}; give '{name}' or a folder that align saved")
    refuse_not_finite(stored, str(path))
    module.load_state_dict(stored)


def _unplanned(config: GenerationConfig) -> GenerationConfig:
    return config.model_copy(update={"plan": "off"})


def _fingerprint(modules: Sequence[nn.Module], text: TextTokenizer) -> str:
    digest = hashlib.blake2b(json.dumps(text.pieces).encode(), digest_size=8)
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
