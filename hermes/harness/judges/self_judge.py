"""The model as its own judge: it answers the questions about the images that it drew (self-VQA)."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from PIL import Image

from hermes.harness.contracts.judge import Detections
from hermes.harness.contracts.model import UnifiedModel
from hermes.harness.judges.replies import PROMPT_VERSION, asked, plain_reply, writable
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.system.errors import HermesError


class SelfJudge:
    """Greedy short answers of the evaluated model. It cannot detect objects."""

    description: ClassVar[str] = "the evaluated model answers about its own images"
    extra: ClassVar[str | None] = None
    abilities: ClassVar[tuple[str, ...]] = ("answer",)
    needs_model: ClassVar[bool] = True

    def __init__(self, model: UnifiedModel) -> None:
        self._model = model
        self.identity = f"self-{model.info.name}-{model.info.fingerprint}-{PROMPT_VERSION}"

    @classmethod
    def check(cls, argument: str | None) -> None:
        """The evaluated model is there."""

    @classmethod
    def load(cls, argument: str | None, device: str) -> "SelfJudge":
        raise HermesError("the judge 'self' is the evaluated model; use it in a run of a model")

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        """One answer for each (image, question)."""
        return [plain_reply(text) for text in self.replies(images, questions)]

    def replies(self, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        """What the model says to each (image, question)."""
        config = GenerationConfig(max_new_tokens=16, temperature=0.0)
        requests = [
            Request(
                sample_id=str(number),
                index=0,
                prompt=asked(question),
                images=(ImageHandle(image),),
                config=config,
                seed=0,
            )
            for number, (image, question) in enumerate(zip(images, questions, strict=True))
        ]
        return [writable(text) for text in self._model.understand(requests)]

    def detect(self, images: Sequence[Image.Image], colored: Sequence[Collection[str]]) -> list[Detections]:
        raise HermesError("the judge 'self' cannot detect objects; use --judge oracle or a detector")
