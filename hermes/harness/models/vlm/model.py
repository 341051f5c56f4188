"""A vision-language model of transformers that answers in batches: greedily, or with one seed for each prompt."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from PIL import Image

from hermes.harness.contracts.model import Said
from hermes.harness.models.ended import end_tokens, said
from hermes.harness.models.vlm.ask import Ask, Unanswered
from hermes.harness.models.vlm.sampling import SeededRows
from hermes.harness.system.failures import is_out_of_memory, machine_failure
from hermes.harness.system.fitting import Fitting
from hermes.harness.system.text import say

T = TypeVar("T")
BATCH = 16

Prompt = Callable[[str, int], str]


class VLM:
    """A model with its processor; ``who`` begins the lines of errors.

    ``prompt`` turns a prompt and the number of its images into the text that the processor takes. ``answers_only``: a
    question-answering model without chat, which takes the bare question and one image.
    """

    def __init__(self, model: Any, processor: Any, prompt: Prompt, answers_only: bool, who: str) -> None:
        self.fitting = Fitting(BATCH, who, say)
        self.module = model
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.prompt = prompt
        self.answers_only = answers_only
        self._who = who

    def replies(self, asks: Sequence[Ask]) -> list[Said]:
        """The text that the model answers to each, in order, without outer white space.

        A batch that memory is too small for is halved, for good, and that is said. Raises the error where one prompt
        alone is too much, Unanswered where the model or its processor fails otherwise.
        """
        return self._in_batches(asks, self._reply)

    def _in_batches(self, asks: Sequence[Ask], answer: Callable[[Sequence[Ask]], list[T]]) -> list[T]:
        """What ``answer`` gives for each, in order, asked in batches of what may be asked together."""
        answers: dict[int, T] = {}
        for group in self._groups(asks):
            left = group
            while left:
                found = self.fitting.run(partial(self._first, [asks[i] for i in left], answer))
                answers |= dict(zip(left, found, strict=False))
                left = left[len(found) :]
        return [answers[i] for i in range(len(asks))]

    def _groups(self, asks: Sequence[Ask]) -> list[list[int]]:
        """The numbers of asks that may share a batch: as many images and as many new tokens.

        Question-answering models (BLIP) look at padding as if it were text, so only questions of one length do.
        """
        lengths = [0] * len(asks)
        if self.answers_only and asks:
            lengths = [len(ids) for ids in self.tokenizer([ask.prompt for ask in asks])["input_ids"]]
        groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for number, (ask, length) in enumerate(zip(asks, lengths, strict=True)):
            groups[len(ask.images), ask.max_new_tokens, length].append(number)
        return list(groups.values())

    def _first(self, asks: Sequence[Ask], answer: Callable[[Sequence[Ask]], list[T]]) -> list[T]:
        """The answers to the first of them, as many as go into a batch."""
        try:
            return answer(asks[: self.fitting.size])
        except Exception as error:
            if is_out_of_memory(error) or machine_failure(error):
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise Unanswered(f"{asks[0].prompt!r} cannot be answered ({reason[:200]})") from None

    def first_tokens(self, asks: Sequence[Ask]) -> list[torch.Tensor]:
        """How probable each token is to begin the reply to each, (tokens,), float32 on the CPU.

        Raises what `replies` raises.
        """
        return self._in_batches(asks, self._begin)

    @torch.inference_mode()
    def _begin(self, asks: Sequence[Ask]) -> list[torch.Tensor]:
        if not hasattr(self.module, "generate"):
            raise ValueError("it chooses among answers and has no tokens")
        kept = {"return_dict_in_generate": True, "output_logits": True}
        out = self.module.generate(**self.encoded(asks), max_new_tokens=1, do_sample=False, num_beams=1, **kept)
        return list(out.logits[0].float().softmax(-1).cpu())

    @torch.inference_mode()
    def _reply(self, asks: Sequence[Ask]) -> list[Said]:
        inputs = self.encoded(asks)
        if not hasattr(self.module, "generate"):
            best = self.module(**inputs).logits.argmax(-1).tolist()
            return [Said(self.module.config.id2label[number]) for number in best]
        drawn = {"logits_processor": [SeededRows(asks)]} if any(ask.temperature > 0 for ask in asks) else {}
        out = self.module.generate(
            **inputs, max_new_tokens=asks[0].max_new_tokens, do_sample=False, num_beams=1, **drawn
        )
        prompt = inputs["input_ids"]
        length = prompt.shape[1]
        if out.shape[1] >= length and torch.equal(out[:, :length], prompt):
            out = out[:, length:]
        texts: list[str] = self.tokenizer.batch_decode(out, skip_special_tokens=True)
        ends, limit = end_tokens(self.module, self.tokenizer), asks[0].max_new_tokens
        return [said(text.strip(), row, limit, ends) for text, row in zip(texts, out.tolist(), strict=True)]

    def encoded(self, asks: Sequence[Ask]) -> dict[str, Any]:
        """Inputs of the network: prompts with their images, padded, on its device; all have as many images."""
        images: list[list[Image.Image]] = [[image.convert("RGB") for image in ask.images] for ask in asks]
        if self.answers_only and len(images[0]) != 1:
            raise ValueError(f"this kind of model looks at exactly one image, not {len(images[0])}")
        texts = [self.prompt(ask.prompt, len(ask.images)) for ask in asks]
        bos = self.tokenizer.bos_token
        once = {"add_special_tokens": False} if bos and texts[0].startswith(bos) else {}
        encoded = self.processor(
            images=images if images[0] else None, text=texts, padding=True, return_tensors="pt", **once
        )
        return {key: self._moved(value) for key, value in encoded.items()}

    def _moved(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return value.to(self.module.device, self.module.dtype if value.is_floating_point() else None)
