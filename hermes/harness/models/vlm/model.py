"""A vision-language model of transformers that answers in batches: greedily, or with one seed for each prompt."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image

from hermes.harness.models.vlm.ask import Ask, Unanswered
from hermes.harness.models.vlm.sampling import SeededRows
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import is_out_of_memory, machine_failure

BATCH = 16

Prompt = Callable[[str, int], str]


class VLM:
    """A model with its processor; ``who`` begins the lines of errors.

    ``prompt`` turns a prompt and the number of its images into the text that the processor takes. ``answers_only``: a
    question-answering model without chat, which takes the bare question and one image.
    """

    def __init__(self, model: Any, processor: Any, prompt: Prompt, answers_only: bool, who: str) -> None:
        self.batch_size = BATCH
        self.module = model
        self._processor = processor
        self._prompt = prompt
        self.answers_only = answers_only
        self._who = who

    def replies(self, asks: Sequence[Ask]) -> list[str]:
        """The text that the model answers to each, in order.

        A batch that does not fit into memory is halved, for good. Raises HermesError where one prompt alone
        does not fit, Unanswered where the model or its processor fails otherwise.
        """
        texts: dict[int, str] = {}
        for group in self._groups(asks):
            begin = 0
            while begin < len(group):
                batch = group[begin : begin + self.batch_size]
                try:
                    said = self._reply([asks[i] for i in batch])
                except Exception as error:
                    if is_out_of_memory(error):
                        self._halve(len(batch))
                        continue
                    if machine_failure(error):
                        raise
                    reason = " ".join(f"{type(error).__name__}: {error}".split())
                    prompt = asks[batch[0]].prompt
                    raise Unanswered(f"{prompt!r} cannot be answered ({reason[:200]})") from None
                texts |= dict(zip(batch, said, strict=True))
                begin += len(batch)
        return [texts[i] for i in range(len(asks))]

    def _groups(self, asks: Sequence[Ask]) -> list[list[int]]:
        """The numbers of asks that may share a batch: as many images and as many new tokens.

        Question-answering models (BLIP) look at padding as if it were text, so only questions of one length do.
        """
        lengths = [0] * len(asks)
        if self.answers_only and asks:
            lengths = [len(ids) for ids in self._processor.tokenizer([ask.prompt for ask in asks])["input_ids"]]
        groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for number, (ask, length) in enumerate(zip(asks, lengths, strict=True)):
            groups[len(ask.images), ask.max_new_tokens, length].append(number)
        return list(groups.values())

    def _halve(self, size: int) -> None:
        if size == 1:
            raise HermesError(f"{self._who}: one question alone does not fit into memory; use a smaller model")
        self.batch_size = size // 2
        torch.cuda.empty_cache()

    @torch.inference_mode()
    def _reply(self, asks: Sequence[Ask]) -> list[str]:
        inputs = self._encoded(asks)
        if not hasattr(self.module, "generate"):
            best = self.module(**inputs).logits.argmax(-1).tolist()
            return [self.module.config.id2label[number] for number in best]
        drawn = {"logits_processor": [SeededRows(asks)]} if any(ask.temperature > 0 for ask in asks) else {}
        out = self.module.generate(
            **inputs, max_new_tokens=asks[0].max_new_tokens, do_sample=False, num_beams=1, **drawn
        )
        prompt = inputs["input_ids"]
        length = prompt.shape[1]
        if out.shape[1] >= length and torch.equal(out[:, :length], prompt):
            out = out[:, length:]
        said: list[str] = self._processor.tokenizer.batch_decode(out, skip_special_tokens=True)
        return said

    def _encoded(self, asks: Sequence[Ask]) -> dict[str, Any]:
        images: list[list[Image.Image]] = [[image.convert("RGB") for image in ask.images] for ask in asks]
        if self.answers_only and len(images[0]) != 1:
            raise ValueError(f"this kind of model looks at exactly one image, not {len(images[0])}")
        texts = [self._prompt(ask.prompt, len(ask.images)) for ask in asks]
        bos = self._processor.tokenizer.bos_token
        once = {"add_special_tokens": False} if bos and texts[0].startswith(bos) else {}
        encoded = self._processor(
            images=images if images[0] else None, text=texts, padding=True, return_tensors="pt", **once
        )
        return {key: self._moved(value) for key, value in encoded.items()}

    def _moved(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return value.to(self.module.device, self.module.dtype if value.is_floating_point() else None)
