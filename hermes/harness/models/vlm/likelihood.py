"""Log-probabilities of texts about pictures under a chat model of transformers: autoregressive and exact."""

import inspect
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.models.ended import end_tokens
from hermes.harness.models.pictures import Once
from hermes.harness.models.vlm.ask import Ask, conversation
from hermes.harness.models.vlm.model import VLM

NOTHING = -1
QUESTION, REPLY = "question", "reply"
BY_PLACE = ("attention_mask", "token_type_ids", "mm_token_type_ids", "cross_attention_mask")
"""What processors give for every token beside its id: (B, L) or (B, L, ...)."""


@dataclass(frozen=True)
class Prepared:
    """One text to be scored: what is asked about which picture, and the ids of the text with the end token."""

    prompt: str
    image: Image.Image
    target: tuple[int, ...]


class LikelihoodBatch(NamedTuple):
    """Rows of length L, padded on the right.

    inputs: keywords of the network; target (B, L): the token that follows each, NOTHING where none is asked; counts
    (B,): how many are.
    """

    inputs: dict[str, Any]
    target: Tensor
    counts: Tensor


class Likelihood(nn.Module):
    """The trainable module: a LikelihoodBatch to (log_probs, counts), two float32 tensors (B,).

    Sums of next-token log-probabilities of the text and its end token. The language model alone is trained: with its
    eyes trained beside it understanding falls (arXiv 2507.16663).
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network: nn.Module = network
        network.requires_grad_(False)
        for part in (network.get_decoder(), network.get_output_embeddings()):
            part.requires_grad_(True)
        self._narrows = "logits_to_keep" in inspect.signature(network.forward).parameters

    def forward(self, batch: LikelihoodBatch) -> tuple[Tensor, Tensor]:
        asked = batch.target != NOTHING
        width = asked.shape[1] - int(asked.any(0).nonzero()[0])  # What stands before the first text is never scored.
        narrow = {"logits_to_keep": width} if self._narrows else {}
        logits = self.network(**batch.inputs, use_cache=False, **narrow).logits[:, -width:]
        asked, wanted = asked[:, -width:], batch.target[:, -width:]
        scores = torch.log_softmax(logits[asked].float(), -1).gather(1, wanted[asked][:, None])[:, 0]
        return torch.zeros_like(batch.counts).index_add(0, asked.nonzero()[:, 0], scores), batch.counts


def prepare_items(vlm: VLM, items: Sequence[LikelihoodItem]) -> list[Prepared]:
    """Tokenised items; equal pictures are kept once."""
    pictures = Once(lambda picture: picture.convert("RGB"))
    reply = Reply.of(vlm)
    return [Prepared(item.prompt, pictures(item.image), reply.ids(vlm, item.prompt, item.text)) for item in items]


def collate_items(vlm: VLM, items: Sequence[Prepared]) -> LikelihoodBatch:
    """The prompts as they are asked, pictures included, and behind each its text."""
    encoded = vlm.encoded([Ask(item.prompt, (item.image,), 1) for item in items])
    there = encoded["attention_mask"].bool()
    prompts = [row[mask].tolist() for row, mask in zip(encoded["input_ids"], there, strict=True)]
    ids = [prompt + list(item.target[:-1]) for prompt, item in zip(prompts, items, strict=True)]
    targets = [[NOTHING] * (len(prompt) - 1) + list(item.target) for prompt, item in zip(prompts, items, strict=True)]
    length = max(map(len, ids))
    inputs = dict(encoded)
    for name in BY_PLACE:
        if name in encoded:
            inputs[name] = _continued(encoded[name], there, [len(item.target) - 1 for item in items], length, name)
    pad = vlm.tokenizer.pad_token_id
    inputs["input_ids"] = torch.tensor([row + [pad] * (length - len(row)) for row in ids])
    return LikelihoodBatch(
        inputs,
        torch.tensor([row + [NOTHING] * (length - len(row)) for row in targets]),
        torch.tensor([float(len(item.target)) for item in items]),
    )


def _continued(values: Tensor, there: Tensor, more: Sequence[int], length: int, name: str) -> Tensor:
    """What a processor says of the prompts' tokens, said of the texts' tokens behind them as of the last one."""
    rows = values.new_zeros(len(values), length, *values.shape[2:])
    for row, (value, mask, count) in enumerate(zip(values, there, more, strict=True)):
        own = value[mask]
        rows[row, : len(own)] = own
        rows[row, len(own) : len(own) + count] = own[-1]
    return rows


class Reply(NamedTuple):
    """How a reply stands in the chat: the text between the prompt and it, and the token that ends it."""

    before: str
    end: int

    @classmethod
    def of(cls, vlm: VLM) -> "Reply":
        """As the chat template writes a turn of the assistant; where it does not tell, nothing and the end token."""
        before = after = ""
        with suppress(Exception):  # There may be no template, or one that wants the user to have the last word.
            before, after = _around(vlm.processor)
        ends = end_tokens(vlm.module, vlm.tokenizer) - {vlm.tokenizer.pad_token_id}
        marks = vlm.tokenizer(after, add_special_tokens=False)["input_ids"]
        return cls(before, next((mark for mark in marks if mark in ends), vlm.tokenizer.eos_token_id))

    def ids(self, vlm: VLM, prompt: str, text: str) -> tuple[int, ...]:
        """The text's tokens as they follow the prompt, with the end token."""
        asked = vlm.prompt(prompt, 1)
        begun, whole = (
            vlm.tokenizer(one, add_special_tokens=False)["input_ids"] for one in (asked, asked + self.before + text)
        )
        told = whole[len(begun) :]
        if whole[: len(begun)] != begun:  # The first letters would melt into the prompt's last token.
            told = vlm.tokenizer(text, add_special_tokens=False)["input_ids"]
        return (*told, self.end)


def _around(processor: Any) -> tuple[str, str]:
    """What the chat template writes before a reply, after the prompt, and behind it."""
    asked = processor.apply_chat_template(conversation(QUESTION, 1), add_generation_prompt=True)
    whole = processor.apply_chat_template(conversation(QUESTION, 1, REPLY))
    before, _, after = whole.removeprefix(asked).partition(REPLY) if whole.startswith(asked) else ("", "", "")
    return before, after
