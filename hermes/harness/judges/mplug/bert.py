"""BERT's parts: embeddings, attention whose keys and values are made apart, post-norm layers, the text encoder.

Architecture: Devlin et al. 2019 (arXiv:1810.04805). Modules are named as the published checkpoint names them.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hermes.harness.judges.mplug.config import MPlugConfig

KeysValues = tuple[Tensor, Tensor]


class Embeddings(nn.Module):
    """Word, position and token type 0, normalised."""

    def __init__(self, config: MPlugConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, config.layer_norm_eps)

    def forward(self, ids: Tensor, first: int = 0) -> Tensor:
        """(n, L) ids, the leftmost at position ``first``, to (n, L, width)."""
        places = self.position_embeddings.weight[first : first + ids.shape[1]]
        embedded: Tensor = self.LayerNorm(self.word_embeddings(ids) + self.token_type_embeddings.weight[0] + places)
        return embedded


class Output(nn.Module):
    """The end of a sub-block: a linear map, the sub-block's input added, the norm."""

    def __init__(self, inner: int, width: int, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, width)
        self.LayerNorm = nn.LayerNorm(width, eps)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        out: Tensor = self.LayerNorm(self.dense(x) + residual)
        return out


class Attention(nn.Module):
    """Multi-head attention to keys and values that ``project`` made, so that callers can keep and share them."""

    def __init__(self, config: MPlugConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        maps = {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        self.self = nn.ModuleDict(maps)
        self.output = Output(width, width, config.layer_norm_eps)

    def project(self, source: Tensor) -> KeysValues:
        """(n, L, width) to keys and values, each (n, heads, L, width / heads)."""
        return self._split(self.self["key"](source)), self._split(self.self["value"](source))

    def forward(self, x: Tensor, to: KeysValues, mask: Tensor | None = None) -> Tensor:
        """(m, L, width) to the same. ``mask`` broadcasts to (n, heads, queries, keys), True where one may look.

        With fewer keys' rows n than m, every m / n rows of x that follow each other look at the same row of keys.
        """
        keys, values = to
        queries = self._split(self.self["query"](x).reshape(len(keys), -1, x.shape[-1]))
        seen = F.scaled_dot_product_attention(queries, keys, values, mask)
        return self.output(seen.transpose(1, 2).reshape(x.shape), x)  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Layer(nn.Module):
    """A post-norm layer; with ``cross`` it also attends to another sequence."""

    def __init__(self, config: MPlugConfig, cross: bool) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.attention = Attention(config)
        if cross:
            self.crossattention = Attention(config)
        self.intermediate = nn.Sequential(OrderedDict(dense=nn.Linear(width, inner), gelu=nn.GELU()))
        self.output = Output(inner, width, config.layer_norm_eps)

    def forward(
        self,
        x: Tensor,
        own: KeysValues,
        mask: Tensor,
        other: KeysValues | None = None,
        other_mask: Tensor | None = None,
    ) -> Tensor:
        """(n, L, width) to the same. ``own``: its keys and values of x; ``other``: of what else it looks at."""
        x = self.attention(x, own, mask)
        if other is not None:
            x = self.crossattention(x, other, other_mask)
        return self.output(self.intermediate(x), x)  # type: ignore[no-any-return]


class Stack(nn.Module):
    """Layers by number, under the checkpoint's names ``layer.0`` and so on; numbers may begin above 0."""

    def __init__(self, layers: Mapping[int, Layer]) -> None:
        super().__init__()
        self.layer = nn.ModuleDict({str(number): layer for number, layer in layers.items()})

    def numbered(self) -> list[tuple[int, Layer]]:
        """The layers in order, each with its number."""
        return [(int(number), cast(Layer, layer)) for number, layer in self.layer.items()]


class Bert(nn.Module):
    """Embeddings and ``layers`` layers."""

    def __init__(self, config: MPlugConfig, layers: int, cross: bool) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Stack({number: Layer(config, cross) for number in range(layers)})


class TextEncoder(Bert):
    """The question alone: (n, 25) ids and their mask to (n, 25, width). Padding is computed too, but not looked at."""

    def __init__(self, config: MPlugConfig) -> None:
        super().__init__(config, config.text_encoder_layers, cross=False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x: Tensor = self.embeddings(ids)
        for _, layer in self.encoder.numbered():
            x = layer(x, layer.attention.project(x), mask[:, None, None])
        return x


def ones_like_states(states: Tensor) -> Tensor:
    """A mask that hides none of (n, L, width) states: (n, L), all True."""
    return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
