"""What a model adapter offers. A model never sees an evaluator, only requests."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Ability, ModelInfo, Request

if TYPE_CHECKING:
    from typing import Self

    import torch
    from PIL import Image


class Said(str):
    """A text that knows whether it ends at the limit of new tokens, and whether its prompt was cut before it was read.

    Models may answer with it in place of plain text.
    """

    truncated: bool
    prompt_cut: bool

    def __new__(cls, text: str, truncated: bool = False, prompt_cut: bool = False) -> "Said":
        said = super().__new__(cls, text)
        said.truncated, said.prompt_cut = truncated, prompt_cut
        return said


@dataclass(frozen=True)
class Drew:
    """A picture, whether its prompt was cut before it was read, and the plan in words that it was drawn from.

    Models may answer with it in place of a picture. ``plan`` is None where the model does not plan, and "" where it
    drew from the prompt itself; it is ``truncated`` where it ends at the limit of new tokens.
    """

    image: "Image.Image"
    prompt_cut: bool = False
    plan: str | None = None
    truncated: bool = False


Wanted = Literal["understanding", "generation", "both"]
"""What is asked for: a text, a picture, or both."""


@dataclass(frozen=True)
class Both:
    """A text and a picture that answer one request."""

    said: str
    drew: "Image.Image | Drew"


@runtime_checkable
class UnifiedModel(Protocol):
    """Understands, generates, or both (``info.abilities``).

    The class is the plug-in: ``abilities``, ``parameters``, ``description``, ``extra`` and ``alignable`` are shown by
    ``hermes list models`` without loading anything; ``load(reference, device)`` returns the model. One with an extra
    may name in ``packages`` the modules without which it is refused. ``version``, "1" where there is none, changes when
    the same weights would answer differently. One that knows settings of `records.types.DECODING` names them in
    ``decoding``.
    A request's answer depends on the request alone, never on its companions in the batch. What was cut, a text at its
    limit of new tokens or a prompt that is too long, is told by `Said` and `Drew`; plain texts and images tell nothing.
    """

    abilities: ClassVar[tuple[Ability, ...]]
    parameters: ClassVar[str]
    description: ClassVar[str]
    extra: ClassVar[str | None]
    alignable: ClassVar[bool]
    info: ModelInfo

    @classmethod
    def load(cls, reference: str, device: str) -> "UnifiedModel": ...

    def understand(self, requests: Sequence[Request]) -> Sequence[str]: ...

    def generate(self, requests: Sequence[Request]) -> "Sequence[Image.Image | Drew]": ...


class Model:
    """A model of one's own in a few lines: write ``understand``, ``generate`` or both; all else has a default.

    ``name``: the class's name in lower case. ``abilities``: those whose methods are there. ``description``: the first
    line of the docstring. A model that reads weights overrides ``load``, and ``info`` with a fingerprint of them.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    abilities: ClassVar[tuple[Ability, ...]] = ()
    parameters: ClassVar[str] = "-"
    description: ClassVar[str] = ""
    extra: ClassVar[str | None] = None
    alignable: ClassVar[bool] = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        methods: dict[Ability, str] = {"understanding": "understand", "generation": "generate"}
        defaults = {
            "name": cls.__name__.lower(),
            "abilities": tuple(ability for ability, method in methods.items() if hasattr(cls, method)),
            "description": (cls.__doc__ or "").strip().partition("\n")[0],
        }
        for attribute, value in defaults.items():
            if attribute not in vars(cls):
                setattr(cls, attribute, value)

    @classmethod
    def load(cls, reference: str, device: str) -> "Self":
        """The model; ``reference`` is its name, or "name:argument"."""
        return cls()

    @cached_property
    def info(self) -> ModelInfo:
        return ModelInfo(name=self.name, fingerprint=f"{self.name}-{self.version}", abilities=self.abilities)


Arrivals = Generator[list[tuple[int, Any]], None, None]
"""Lists of (place in the requests, answer or the exception in place of one), as soon as there are any."""


@runtime_checkable
class Flowing(Protocol):
    """A model that is asked ``in_flight`` things at once and answers in whatever order replies come, as servers do.

    Each answer is stored when it comes, so a batch may be many times as large as what is in flight.
    """

    in_flight: int

    def as_they_come(self, requests: Sequence[Request], wanted: Wanted) -> Arrivals:
        """The answers, `Both` where both are wanted; closing it asks no more."""
        ...


@dataclass(frozen=True)
class LikelihoodItem:
    """One thing whose log-probability is wanted.

    kind ``text``: log p(text | image, prompt). kind ``image``: log p(image | prompt); for a masked-diffusion model the
    masks, and for a flow or a diffusion the times and the noise (`models/noising.py`) are drawn from ``seed`` alone,
    so items with one seed are masked, or noised, alike. An image that was planned has its ``plan``, as in `Drew`: then
    log p(plan | prompt) + log p(image | plan), or of the prompt where the plan is empty. A text with a ``plan`` is the
    plan alone, of a model that plans: log p(plan | prompt), in which ``text`` and ``image`` have no part. ``again``, of
    a model that `reconstructs`: log p(image | what the model sees of this very image, prompt).
    """

    kind: Literal["text", "image"]
    prompt: str
    image: ImageHandle
    text: str = ""
    seed: int = 0
    plan: str | None = None
    again: bool = False


def likelihoods_of(model: Any) -> tuple[str, ...]:
    """The kinds of `LikelihoodItem` that an alignable model, or its class, gives a likelihood: of what it can do."""
    kinds = {"text": "understanding", "image": "generation"}
    return tuple(kind for kind in getattr(model, "likelihoods", kinds) if kinds[kind] in model.abilities)


class Alignable(UnifiedModel, Protocol):
    """A model that can be trained by preferences.

    ``module`` is the trainable ``nn.Module``; ``module(batch)`` returns ``(log_probs, counts)``, two float tensors of
    shape (B,): the summed log-probability of each item's tokens in nats, and how many tokens were summed.

    Offered by some, and looked for: ``network``, the part of ``module`` that a LoRA adapter sits on; ``masks``, how
    many masks, or draws of noise, an image's likelihood is averaged over; ``recompute_activations(on)``, gradient
    checkpointing; ``outline(reference)`` of the class, the `models.outline.Outline` that plans measure, None where the
    settings are not there; ``likelihoods`` of the class, the kinds of items that have one, where not both do;
    ``reconstructs`` of the class, True where pictures can be drawn from the features of an understanding encoder;
    ``refuse_untrainable(reference)`` of the class, which raises HermesError for a checkpoint that it runs and cannot
    train, before weights are read.
    """

    module: "torch.nn.Module"

    def prepare(self, items: Sequence[LikelihoodItem]) -> list[Any]:
        """Tokenise once, batched; the results can be kept for all epochs and are picklable."""
        ...

    def with_seed(self, prepared: Any, seed: int) -> Any:
        """The same prepared item with the masks of another seed (text items come back as they are)."""
        ...

    def collate(self, prepared: Sequence[Any]) -> Any:
        """A batch for ``module``; text and image items may be mixed. Row i belongs to item i."""
        ...

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and config so that ``load(str(folder), device)`` gives the model back."""
        ...
