"""Any vision-language model of transformers as a judge: a folder, or a model of the Hugging Face hub."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from hermes.harness.contracts.judge import Detections, Weighed
from hermes.harness.judges.replies import PROMPT_VERSION, asked, plain_reply, writable
from hermes.harness.models.source import parse_source
from hermes.harness.models.vlm.ask import Ask, Unanswered
from hermes.harness.system.errors import HermesError, JudgeError

if TYPE_CHECKING:
    from PIL import Image

    from hermes.harness.models.vlm.model import VLM

WHO = "judge hf"
MAX_NEW_TOKENS = 16


class VLMJudge:
    """Greedy short answers of one checkpoint; the code of checkpoints that bring their own is never run."""

    description: ClassVar[str] = "any transformers VLM: hf:FOLDER, hf:HUB_ID or hf:HUB_ID@REVISION"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torchvision",)  # without it transformers prepares images with other pixels
    abilities: ClassVar[tuple[str, ...]] = ("answer", "weigh", "write")
    needs_model: ClassVar[bool] = False

    def __init__(self, model: "VLM", identity: str) -> None:
        self._model = model
        self.identity = identity

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for what is neither a checkpoint folder nor in the form of a hub id; asks no hub."""
        parse_source(argument, WHO)

    @classmethod
    def load(cls, argument: str | None, device: str) -> "VLMJudge":
        """The judge "hf:<argument>", in bfloat16 on CUDA and in float32 elsewhere."""
        from hermes.harness.models.vlm.load import load_vlm

        source = parse_source(argument, WHO)
        model, commit = load_vlm(source, device, WHO, plain=True)
        return cls(model, f"hf-{source.title}-{source.version(commit)}-{PROMPT_VERSION}")

    def answer(self, images: "Sequence[Image.Image]", questions: Sequence[str]) -> list[str]:
        """One answer for each (image, question). Raises JudgeError where the model fails on one of them."""
        return [plain_reply(text) for text in self.replies(images, questions)]

    def replies(self, images: "Sequence[Image.Image]", questions: Sequence[str]) -> list[str]:
        """What the model says to each (image, question)."""
        return self._said(_asks(images, map(self._worded, questions), MAX_NEW_TOKENS))

    def weigh(
        self, images: "Sequence[Image.Image]", questions: Sequence[str], spellings: Sequence[Collection[str]]
    ) -> list[Weighed]:
        """The probabilities of the first tokens, from one step over the whole vocabulary."""
        from hermes.harness.judges.vlm.weighing import weighed

        try:
            found = self._model.first_tokens(_asks(images, questions, 1))
        except Unanswered as error:
            raise JudgeError(f"{WHO}: {error}") from None
        return [weighed(self._model.tokenizer, one, wanted) for one, wanted in zip(found, spellings, strict=True)]

    def write(
        self, images: "Sequence[Image.Image]", texts: Sequence[str], system: str, max_tokens: int, attempt: int
    ) -> list[str]:
        """The replies; the system prompt stands before the text, and the image before both."""
        return self._said(_asks(images, (f"{system}\n\n{text}" for text in texts), max_tokens))

    def _said(self, asks: Sequence[Ask]) -> list[str]:
        try:
            return [writable(text) for text in self._model.replies(asks)]
        except Unanswered as error:
            raise JudgeError(f"{WHO}: {error}") from None

    def _worded(self, question: str) -> str:
        return question if self._model.answers_only else asked(question)

    def detect(self, images: "Sequence[Image.Image]", colored: Sequence[Collection[str]]) -> list[Detections]:
        raise HermesError("the judge 'hf' cannot detect objects; use --judge mask2former")


def _asks(images: "Sequence[Image.Image]", prompts: Iterable[str], max_new_tokens: int) -> list[Ask]:
    return [Ask(prompt, (image,), max_new_tokens) for image, prompt in zip(images, prompts, strict=True)]
