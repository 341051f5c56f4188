"""hermes-tiny as the harness sees it: load, understand, generate, and log-probabilities for align."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from hermes.harness.contracts.model import Drew, LikelihoodItem, Said
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.pictures import only_image
from hermes.harness.models.source import Source, folder_of, source_of
from hermes.harness.models.tensors import misfit, read_tensors, without_prefix
from hermes.harness.models.tiny.drawing import Drawing, draw_codes
from hermes.harness.models.tiny.likelihood import Likelihood, LikelihoodBatch, Prepared, collate_items
from hermes.harness.models.tiny.tokenizer_image import PIXELS, ImageTokenizer, to_picture, to_tensor
from hermes.harness.models.tiny.tokenizer_text import TextTokenizer
from hermes.harness.models.tiny.transformer import Shape, Transformer
from hermes.harness.models.tiny.writing import PLAN_TOKENS, Ask, write, write_plans
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

NAME = "hermes-tiny"
WEIGHTS = Path(__file__).parent / "weights"
DEFAULTS = GenerationConfig(max_new_tokens=48, guidance_scale=0.0, steps=4, image_size=PIXELS)
PLAN_TEMPERATURE = 0.4
PLANNING = {"plan": "on", "plan_temperature": PLAN_TEMPERATURE}  # What weights that were taught to plan add to these.
IMAGE_TEMPERATURE = 1.0
MASKS = 2
CHUNK = 64


class TinyModel:
    """A unified model of the Show-o kind for the shapes world.

    Text is greedy and images are drawn at temperature 1 where a request names no temperature. Before it draws, it
    plans: where a prompt leaves places open it writes a caption that names them all. The noise of the order in which
    tokens are kept is that of the codes where a request does not name another.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation")
    parameters: ClassVar[str] = "2.5 M"
    description: ClassVar[str] = "Small unified model of the shapes world; its weights ship with Hermes"
    extra: ClassVar[str | None] = None
    alignable: ClassVar[bool] = True
    best_guidance: ClassVar[float] = 1.0
    world: ClassVar[str] = "shapes"
    license: ClassVar[str] = "apache-2.0"
    decoding: ClassVar[tuple[str, ...]] = ("order", "choice_temperature", "plan", "plan_temperature")

    def __init__(
        self,
        name: str,
        text: TextTokenizer,
        images: ImageTokenizer,
        transformer: Transformer,
        masks: int = MASKS,
        plans: bool = True,
    ) -> None:
        self.name = name
        self.text = text
        self.images = images.eval().requires_grad_(False)
        self.transformer = transformer.eval()
        self.module: nn.Module = Likelihood(transformer)
        self.masks = masks
        self.plans = plans

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads; the weights that ship with Hermes are not spoken of."""
        return [] if reference == NAME else [source_of(reference, NAME)]

    @classmethod
    def load(cls, reference: str = NAME, device: str = "cpu") -> "TinyModel":
        """The shipped weights (``hermes-tiny``), or what ``save`` wrote: a folder, or OWNER/NAME of the hub."""
        folder = next((folder_of(source) for source in cls.sources(reference)), WEIGHTS)
        try:
            config = json_file(folder / "config.json")
            transformer, images = Transformer(Shape(**config["shape"])), ImageTokenizer()
            masks, plans = int(config["image_masks"]), bool(config.get("plans", False))
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise HermesError(
                f"{folder}: not a hermes-tiny model ({reason}); give '{NAME}' or a folder that align saved"
            ) from None
        _read(transformer, folder / "transformer.safetensors")
        _read(images, folder / "tokenizer.safetensors")
        text = TextTokenizer.load(folder / "vocabulary.json")
        return cls(NAME, text, images.to(device), transformer.to(device), masks, plans)

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write config, vocabulary and weights; ``dtype`` is that of the stored weights."""
        folder.mkdir(parents=True, exist_ok=True)
        shape = self.transformer.shape.as_json()
        config = {"model_type": NAME, "shape": shape, "image_masks": self.masks, "plans": self.plans}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        self.text.save(folder / "vocabulary.json")
        for name, module in (("transformer", self.transformer), ("tokenizer", self.images)):
            state = {key: value.detach().cpu().to(dtype).contiguous() for key, value in module.state_dict().items()}
            save_file(state, folder / f"{name}.safetensors")

    @property
    def network(self) -> nn.Module:
        """What a LoRA adapter sits on."""
        return self.transformer

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
            defaults=DEFAULTS.model_copy(update=PLANNING) if self.plans else DEFAULTS,
        )

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, which must have exactly one image."""
        codes, which = self._encode([only_image(request, "hermes-tiny") for request in requests])
        asks = [
            Ask(
                image=image,
                prompt=self.text.encode(request.prompt),
                seed=request.seed,
                max_new_tokens=request.config.max_new_tokens or DEFAULTS.max_new_tokens or 1,
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
            for ask, ids in zip(local, write(self.transformer, codes[used], local), strict=True):
                answers.append(Said(self.text.decode(ids), truncated=len(ids) >= ask.max_new_tokens))
        return answers

    def generate(self, requests: Sequence[Request]) -> list[Drew]:
        """One 48 x 48 image for each request, with its plan where it was planned."""
        pictures: dict[int, Drew] = {}
        groups: dict[tuple[Drawing, float | None], list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault((_drawing(request.config), self._planning(request.config)), []).append(index)
        for (drawing, planning), members in groups.items():
            for start in range(0, len(members), CHUNK):
                part = members[start : start + CHUNK]
                prompts = [self.text.encode(requests[index].prompt) for index in part]
                seeds = [requests[index].seed for index in part]
                plans = [None] * len(part) if planning is None else self._plans(prompts, seeds, planning)
                sources = [plan or prompt for plan, prompt in zip(plans, prompts, strict=True)]
                codes = draw_codes(self.transformer, sources, seeds, drawing)
                for index, code, plan in zip(part, codes, plans, strict=True):
                    words = None if plan is None else self.text.decode(plan)
                    pictures[index] = Drew(self.decode(code), plan=words, truncated=len(plan or ()) >= PLAN_TOKENS)
        return [pictures[index] for index in range(len(requests))]

    def _planning(self, config: GenerationConfig) -> float | None:
        """The temperature of the plan, None where none is written."""
        if (config.plan or ("on" if self.plans else "off")) == "off":
            return None
        if not self.plans:
            raise HermesError("plan: these weights of hermes-tiny were not taught to plan; leave it out")
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
        codes, which = self._encode([item.image for item in items])
        ids = codes.cpu().numpy() + self.transformer.shape.text
        return [
            Prepared(
                prompt=tuple(self.text.encode(item.prompt)),
                image=ids[image],
                text=tuple(self.text.encode(item.text)) if item.kind == "text" else None,
                seed=item.seed,
                plan=None if item.plan is None else tuple(self.text.encode(item.plan)),
            )
            for item, image in zip(items, which, strict=True)
        ]

    def with_seed(self, prepared: Prepared, seed: int) -> Prepared:
        """The same item with the masks of another seed; texts come back as they are."""
        return prepared.with_seed(seed)

    def collate(self, prepared: Sequence[Prepared]) -> LikelihoodBatch:
        """A batch for ``module``, on the model's device."""
        return collate_items(prepared, self.masks).to(self.transformer.head.weight.device)

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Image.Image:
        """One image from its codes (36,); one at a time, so that companions cannot change a pixel."""
        return to_picture(self.images.decode(codes[None])[0])

    @torch.inference_mode()
    def _encode(self, handles: Sequence[ImageHandle]) -> tuple[Tensor, list[int]]:
        """Codes (N, 36) of the N distinct pictures, and which of them each handle is."""
        device = self.transformer.head.weight.device
        numbers: dict[bytes, int] = {}
        codes: list[Tensor] = []
        which: list[int] = []
        for handle in handles:
            picture = handle.open()
            if picture.size != (PIXELS, PIXELS):
                picture = picture.resize((PIXELS, PIXELS), Image.Resampling.BOX)
            key = picture.tobytes()
            if key not in numbers:
                numbers[key] = len(codes)
                codes.append(self.images.encode(to_tensor(np.asarray(picture)[None]).to(device))[0])
            which.append(numbers[key])
        return torch.stack(codes) if codes else torch.empty(0, 36, dtype=torch.long), which


def _read(module: nn.Module, path: Path) -> None:
    """Put the file's weights into the module. Raises HermesError where they are not its own, or no numbers."""
    if not path.is_file():
        raise HermesError(f"{path} is missing; give '{NAME}' or a folder that align saved")
    wanted = module.state_dict()
    held = without_prefix(read_tensors(path).tensors, wanted)
    stored = {name: tensor.float() for name, tensor in held.items()}
    if odd := misfit(wanted, stored):
        raise HermesError(f"{path} {odd}; give '{NAME}' or a folder that align saved")
    refuse_not_finite(stored, str(path))
    module.load_state_dict(stored)


def _fingerprint(modules: Sequence[nn.Module], text: TextTokenizer) -> str:
    digest = hashlib.blake2b(json.dumps(text.pieces).encode(), digest_size=8)
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _drawing(config: GenerationConfig) -> Drawing:
    """How a picture is drawn, checked."""
    steps = DEFAULTS.steps if config.steps is None else config.steps
    temperature = IMAGE_TEMPERATURE if config.temperature is None else config.temperature
    guidance = DEFAULTS.guidance_scale if config.guidance_scale is None else config.guidance_scale
    if config.image_size not in (None, PIXELS):
        raise HermesError(f"image_size: hermes-tiny draws {PIXELS} x {PIXELS} px only; leave image_size out")
    if steps is None or not 1 <= steps <= 36:
        raise HermesError(f"steps: hermes-tiny draws 36 tokens in 1 to 36 steps, not {steps}")
    if temperature < 0 or guidance is None or guidance < 0:
        raise HermesError("temperature and guidance_scale must not be negative")
    noise = temperature if config.choice_temperature is None else config.choice_temperature
    return Drawing(steps, temperature, guidance, config.order or "confidence", noise)
