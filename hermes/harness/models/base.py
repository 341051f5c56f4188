"""What a model adapter offers. A model never sees an evaluator, only requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from hermes.harness.images import ImageHandle
from hermes.harness.types import Ability, ModelInfo, Request

if TYPE_CHECKING:
    import torch
    from PIL import Image


@runtime_checkable
class UnifiedModel(Protocol):
    """Understands, generates, or both (``info.abilities``).

    The class is the plug-in: ``abilities``, ``parameters``, ``description``, ``extra`` and ``alignable`` are shown by
    ``hermes list models`` without loading anything; ``load(reference, device)`` returns the model. One with an extra
    may name in ``packages`` the modules without which it is refused.
    A request's answer depends on the request alone, never on its companions in the batch.
    """

    abilities: ClassVar[tuple[Ability, ...]]
    parameters: ClassVar[str]
    description: ClassVar[str]
    extra: ClassVar[str | None]
    alignable: ClassVar[bool]
    info: ModelInfo

    @classmethod
    def load(cls, reference: str, device: str) -> "UnifiedModel": ...

    def understand(self, requests: Sequence[Request]) -> list[str]: ...

    def generate(self, requests: Sequence[Request]) -> "list[Image.Image]": ...


@dataclass(frozen=True)
class LikelihoodItem:
    """One thing whose log-probability is wanted.

    kind ``text``: log p(text | image, prompt). kind ``image``: log p(image | prompt); for a masked-diffusion model the
    masks are drawn from ``seed`` alone, so items with one seed are masked alike.
    """

    kind: Literal["text", "image"]
    prompt: str
    image: ImageHandle
    text: str = ""
    seed: int = 0


class Alignable(UnifiedModel, Protocol):
    """A model that can be trained by preferences.

    ``module`` is the trainable ``nn.Module``; ``module(batch)`` returns ``(log_probs, counts)``, two float tensors of
    shape (B,): the summed log-probability of each item's tokens in nats, and how many tokens were summed.

    Offered by some, and looked for: ``network``, the part of ``module`` that a LoRA adapter sits on; ``masks``, how
    many masks an image's likelihood is averaged over; ``recompute_activations(on)``, gradient checkpointing.
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
