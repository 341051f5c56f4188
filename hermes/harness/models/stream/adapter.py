"""Models of one stream of tokens as the harness sees them: understand, generate, and log-probabilities for align."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from hermes.harness.contracts.model import LikelihoodItem, Said
from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.recompute import recompute
from hermes.harness.models.released import named, versioned
from hermes.harness.models.row_noise import noise_of
from hermes.harness.models.seeded import Draw, draw_of, max_new_tokens_of
from hermes.harness.records.types import Ability, GenerationConfig, ModelInfo, Request
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

    from hermes.harness.models.emu3.likelihood import LikelihoodBatch, Prepared
    from hermes.harness.models.pictures import Once
    from hermes.harness.models.stream.loaded import Loaded

CHUNK = 8


class StreamModel:
    """A network of transformers, a codec, and a family's prompting; a subclass serves one family and loads it.

    Text is greedy where a request names no temperature; ``image_temperature`` is that of pictures. Guided logits are
    the sum of what `Prompting.drawing` says, and a guidance of at most 1 is none.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation")
    extra: ClassVar[str | None] = "diffusers"
    packages: ClassVar[tuple[str, ...]] = ("diffusers",)
    alignable: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("dtype", "device_map", "adapter", "as_released")
    decoding: ClassVar[tuple[str, ...]] = ("top_p",)
    defaults: ClassVar[GenerationConfig]
    image_temperature: ClassVar[float]

    def __init__(self, title: str, loaded: "Loaded", options: LoadOptions = PLAIN) -> None:
        from hermes.harness.models.fingerprint import WeightsFingerprint
        from hermes.harness.models.stream.likelihood import Likelihood

        self.name, self.version = named(title, options), versioned("1", options)
        self.network, self.codec, self.prompting = loaded.network, loaded.codec, loaded.prompting
        self.folder, self.commit = loaded.folder, loaded.commit
        self.side = self.codec.config.side
        self.module: torch.nn.Module = Likelihood(self.network, self.prompting.codes)
        self._fingerprint = WeightsFingerprint(self._state)

    def recompute_activations(self, on: bool) -> None:
        """transformers' gradient checkpointing."""
        recompute(self.network, on)

    @property
    def info(self) -> ModelInfo:
        """What the model is; the fingerprint is that of the weights as they are now, the codec's included."""
        from hermes.harness.models.precision import dtype_name

        return ModelInfo(
            name=self.name,
            revision=self.commit,
            fingerprint=self._fingerprint(),
            abilities=self.abilities,
            parameters=sum(weights.numel() for part in (self.network, self.codec) for weights in part.parameters()),
            dtype=dtype_name(self.network.dtype),
            resolution=self.side,
            noise=noise_of(self.network.device),
            defaults=self.defaults.model_copy(update={"image_size": self.side}),
        )

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """One answer for each request, with none, one or several images."""
        parts = [requests[start : start + CHUNK] for start in range(0, len(requests), CHUNK)]
        return [text for part in parts for text in self._answers(part)]

    def generate(self, requests: Sequence[Request]) -> "list[Image.Image]":
        """One square image for each request, whose own images stand before its prompt."""
        for request in requests:
            self._check_drawing(request)
        draws = [draw_of(request, self.defaults, self.image_temperature) for request in requests]
        numbers: dict[int, list[int]] = {}
        for wide in (False, True):  # what may be drawn is one for a batch
            members = [index for index, draw in enumerate(draws) if self.prompting.unrestricted(draw) == wide]
            for start in range(0, len(members), CHUNK):
                part = members[start : start + CHUNK]
                rows = self._drawn([requests[index] for index in part], [draws[index] for index in part], wide)
                numbers |= dict(zip(part, rows, strict=True))
        return [self.codec.decode(numbers[index]) for index in range(len(requests))]

    def prepare(self, items: Sequence[LikelihoodItem]) -> "list[Prepared]":
        """Tokenised items; picklable. Items about one picture share its codes."""
        from hermes.harness.models.emu3.likelihood import text_item
        from hermes.harness.models.pictures import Once
        from hermes.harness.models.stream.likelihood import image_item

        seen, drawn = self._seen(), Once(self.codec.encode)
        prepared = []
        for item in items:
            if item.kind == "image":
                row = self.prompting.drawing(item.prompt, (), 1.0)[0].ids
                prepared.append(image_item(row, drawn(item.image), self.prompting.codes))
            else:
                question = self.prompting.question(item.prompt, [seen(item.image)])
                prepared.append(text_item(question, self.prompting.answer(item.text)))
        return prepared

    def with_seed(self, prepared: "Prepared", seed: int) -> "Prepared":
        """The item as it is: an autoregressive likelihood has no masks."""
        return prepared

    def collate(self, prepared: "Sequence[Prepared]") -> "LikelihoodBatch":
        """A batch for ``module``, on the model's device."""
        from hermes.harness.models.emu3.likelihood import collate_items

        return collate_items(prepared, self.prompting.pad).to(self.network.device)

    def _answers(self, requests: Sequence[Request]) -> list[Said]:
        from hermes.harness.models.ended import said
        from hermes.harness.models.stream.writing import write

        draws = [draw_of(request, self.defaults, temperature=0.0) for request in requests]
        lengths = [max_new_tokens_of(request, self.defaults) for request in requests]
        seen = self._seen()
        rows = [
            self.prompting.question(request.prompt, [seen(handle) for handle in request.images]) for request in requests
        ]
        written = write(self.network, rows, draws, max(lengths), self.prompting)
        return [
            said(self.prompting.text(row[:count]).strip(), row, count, self.prompting.ends)
            for row, count in zip(written, lengths, strict=True)
        ]

    def _drawn(self, requests: Sequence[Request], draws: Sequence[Draw], wide: bool) -> list[list[int]]:
        """The numbers of each picture's codes; ``wide``: drawn from the whole vocabulary."""
        import torch

        from hermes.harness.models.stream.drawing import draw

        seen = self._seen()
        asks = [
            self.prompting.drawing(request.prompt, [seen(handle) for handle in request.images], one.guidance)
            for request, one in zip(requests, draws, strict=True)
        ]
        codes, count = self.prompting.codes, self.codec.config.rows**2
        columns = torch.arange(self.network.config.vocab_size) if wide else codes
        numbers = draw(self.network, asks, draws, columns, count, self.prompting.pad)
        found: list[list[int]] = ((numbers - codes[0]).clamp(0, len(codes) - 1) if wide else numbers).tolist()
        return found

    def _seen(self) -> "Once[tuple[int, ...]]":
        """The codes of pictures as the model looks at them."""
        from hermes.harness.models.pictures import Once

        return Once(lambda picture: self.codec.encode(self.prompting.framed(picture, self.side)))

    def _check_drawing(self, request: Request) -> None:
        tokens = self.codec.config.rows**2
        if request.config.image_size not in (None, self.side):
            raise HermesError(f"image_size: {self.name} draws {self.side} x {self.side} px only; leave it out")
        if request.config.steps not in (None, tokens):
            raise HermesError(f"steps: {self.name} draws its {tokens} image tokens one by one; leave steps out")

    def _state(self) -> "dict[str, Tensor]":
        """All weights by name."""
        codec = {f"vqgan.{name}": tensor for name, tensor in self.codec.state().items()}
        return {**self.network.state_dict(), **codec}
