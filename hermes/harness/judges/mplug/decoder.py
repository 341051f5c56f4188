"""The answer decoder: causal BERT layers that look at image and question, with keys and values kept between steps."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from hermes.harness.judges.mplug.bert import Bert, KeysValues, ones_like_states
from hermes.harness.judges.mplug.config import MPlugConfig
from hermes.harness.judges.mplug.fusion import ImageStates


class Memory:
    """Keys and values of every layer: of image and question (fixed), and of the tokens so far (growing)."""

    def __init__(self, of_question: list[KeysValues], mask: Tensor) -> None:
        self.of_question = of_question
        self.mask = mask
        self.of_tokens: list[KeysValues | None] = [None] * len(of_question)

    @property
    def length(self) -> int:
        """How many tokens there are so far."""
        kept = self.of_tokens[0]
        return 0 if kept is None else kept[0].shape[2]

    def add(self, layer: int, keys: Tensor, values: Tensor) -> KeysValues:
        """Append the keys and values of new tokens to those of a layer; returns all of them."""
        kept = self.of_tokens[layer]
        if kept is not None:
            keys, values = torch.cat([kept[0], keys], 2), torch.cat([kept[1], values], 2)
        self.of_tokens[layer] = keys, values
        return keys, values

    def follow(self, parents: Tensor) -> None:
        """Row i goes on from row ``parents[i]``."""
        self.of_tokens = [kept and (kept[0][parents], kept[1][parents]) for kept in self.of_tokens]


class TextDecoder(nn.Module):
    """Tokens to the logits of the next one."""

    def __init__(self, config: MPlugConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.bert = Bert(config, config.text_decode_layers, cross=True)
        steps = {"dense": nn.Linear(width, width), "gelu": nn.GELU()}
        transform = nn.Sequential(OrderedDict(steps, LayerNorm=nn.LayerNorm(width, config.layer_norm_eps)))
        head = OrderedDict(transform=transform, decoder=nn.Linear(width, config.vocab_size))
        self.cls = nn.Sequential(OrderedDict(predictions=nn.Sequential(head)))

    def remember(self, image: ImageStates, text: Tensor, mask: Tensor) -> Memory:
        """A fresh memory of the fused image and text (questions, 25, width), whose mask is (questions, 25).

        What stands for the image is projected once an image, however many questions share it.
        """
        of_question: list[KeysValues] = []
        for _, layer in self.bert.encoder.numbered():
            seen, read = image.keys_values(layer), layer.crossattention.project(text)
            of_question.append((torch.cat([seen[0], read[0]], 2), torch.cat([seen[1], read[1]], 2)))
        everything = ones_like_states(image.states)[image.owner]
        return Memory(of_question, torch.cat([everything, mask], 1)[:, None, None])

    def forward(self, ids: Tensor, memory: Memory) -> Tensor:
        """(rows, T) further tokens to (rows, T, vocabulary) logits; the tokens are added to the memory.

        With several rows a question (the beams of a search), the rows of a question follow each other.
        """
        past, new = memory.length, ids.shape[1]
        causal = torch.ones(new, past + new, dtype=torch.bool, device=ids.device).tril(past)
        x: Tensor = self.bert.embeddings(ids, past)
        for number, layer in self.bert.encoder.numbered():
            own = memory.add(number, *layer.attention.project(x))
            x = layer(x, own, causal, memory.of_question[number], memory.mask)
        logits: Tensor = self.cls(x)
        return logits
