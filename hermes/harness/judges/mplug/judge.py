"""The official judge of DPG-Bench, mPLUG-large VQA, loaded from its published directory without modelscope."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

from PIL import Image

from hermes.harness.contracts.judge import Detections
from hermes.harness.judges.mplug.checkpoint import VOCABULARY_FILE, download_checkpoint, find_checkpoint, weights_file
from hermes.harness.judges.mplug.config import MPlugConfig, read_config
from hermes.harness.judges.mplug.tokenizer import QuestionTokenizer
from hermes.harness.system.cache import file_sha256
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    import torch

    from hermes.harness.judges.mplug.model import MPlug

IMAGES, QUESTIONS = 8, 16
PUBLISHED_SEARCH = (5, 1, 10)
T = TypeVar("T")


class MPlugJudge:
    """Answers as modelscope's pipeline does: always float32, beam search, the decoded text as it is.

    DPG-Bench counts what equals "yes" byte for byte, so no answer is tidied. Each image is encoded once for all its
    questions, and questions are answered in batches; both leave the answers as they are.
    """

    description: ClassVar[str] = "mPLUG-large VQA, DPG-Bench's official judge (mplug:FOLDER)"
    extra: ClassVar[str | None] = None
    abilities: ClassVar[tuple[str, ...]] = ("answer",)
    needs_model: ClassVar[bool] = False

    def __init__(self, model: "MPlug", tokenizer: QuestionTokenizer, identity: str, device: str = "cpu") -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._device = device
        self.identity = identity

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError where the checkpoint or one of its files is missing or says something impossible."""
        folder = find_checkpoint(argument)
        if folder is not None:
            read_config(folder)
            QuestionTokenizer.read(folder / VOCABULARY_FILE)
            weights_file(folder)

    @classmethod
    def load(cls, argument: str | None, device: str = "cpu") -> "MPlugJudge":
        """From the folder ``argument`` in the published layout, else from the cache, else through modelscope."""
        from hermes.harness.judges.mplug.load import load_model

        folder = find_checkpoint(argument) or download_checkpoint()
        config, tokenizer = read_config(folder), QuestionTokenizer.read(folder / VOCABULARY_FILE)
        if len(tokenizer.tokens) > config.vocab_size:
            raise HermesError(
                f"{folder / VOCABULARY_FILE} has {len(tokenizer.tokens)} tokens, but the settings beside it say "
                f"{config.vocab_size}; give files of one checkpoint"
            )
        weights = weights_file(folder)
        model = load_model(weights, config, device)
        return cls(model, tokenizer, identity(file_sha256(weights), config), device)

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        """One answer for each (image, question), whatever it reads; an image that comes again is the same object."""
        import torch

        asked: dict[int, list[int]] = {}
        for number, image in enumerate(images):
            asked.setdefault(id(image), []).append(number)
        replies = [""] * len(questions)
        with torch.inference_mode():
            for group in _parts(list(asked.values()), IMAGES):
                states = self._see([images[numbers[0]] for numbers in group])
                rows = [(place, number) for place, numbers in enumerate(group) for number in numbers]
                for part in _parts(rows, QUESTIONS):
                    places, numbers = [place for place, _ in part], [number for _, number in part]
                    said = self._ask(states, places, [questions[number] for number in numbers])
                    for number, text in zip(numbers, said, strict=True):
                        replies[number] = text
        return replies

    def detect(self, images: Sequence[Image.Image], colored: Sequence[Collection[str]]) -> list[Detections]:
        raise HermesError("the judge 'mplug' cannot detect objects; use --judge mask2former")

    def _see(self, images: Sequence[Image.Image]) -> "torch.Tensor":
        from hermes.harness.judges.mplug.preprocess import pixels

        return self._model.see(pixels(images, self._model.config.image_res).to(self._device))

    def _ask(self, states: "torch.Tensor", places: Sequence[int], questions: Sequence[str]) -> list[str]:
        """The answers to questions about the images that stand at ``places`` in ``states``."""
        import torch

        from hermes.harness.judges.mplug.fusion import ImageStates
        from hermes.harness.judges.mplug.preprocess import tokens

        used, owner = torch.unique(torch.tensor(places, device=self._device), return_inverse=True)
        ids, mask = tokens(questions, self._tokenizer)
        found = self._model(ImageStates(states[used], owner), ids.to(self._device), mask.to(self._device))
        return [self._tokenizer.decode(hypotheses[0].ids) for hypotheses in found]


def identity(sha256: str, config: MPlugConfig) -> str:
    """What changes answers: weights, stride and resolution; the search too where it is not the published one."""
    name = f"mplug-{sha256[:12]}-stride{config.stride_layer}-res{config.image_res}"
    search = config.beam_size, config.min_length, config.max_length
    return name if search == PUBLISHED_SEARCH else name + "-beam{}-min{}-max{}".format(*search)


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))
