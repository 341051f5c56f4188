"""Anole's transformer under the names and in the order of transformers, whichever way it is stored.

The authors' rotary embedding turns neighbours (2i, 2i + 1), transformers' turns halves: the rows of each head's q and k
go into another order, even ones first, and so do the norms on them. Sources: GAIR-NLP/anole af563fa
(chameleon/inference/transformer.py), transformers' convert_chameleon_weights_to_hf.py.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from hermes.harness.system.errors import HermesError

OUTSIDE = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
INSIDE = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "attention.q_normalization": "self_attn.q_norm",
    "attention.k_normalization": "self_attn.k_norm",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w3": "mlp.up_proj",
    "feed_forward.w2": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
TURNED = re.compile(r"(model\.layers\.\d+\.self_attn\.)([qk])_norm\.weight")


def from_original(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The tensors of consolidated.pth as transformers has them. Raises HermesError for those of another model."""
    named = {}
    for name, tensor in tensors.items():
        begin, _, rest = name.partition(".")
        number, _, inner = rest.partition(".")
        part, _, kind = inner.rpartition(".")
        if name in OUTSIDE:
            named[OUTSIDE[name]] = tensor
        elif begin == "layers" and part in INSIDE:
            named[f"model.layers.{number}.{INSIDE[part]}.{kind}"] = tensor
        elif name != "rope.freqs":
            raise HermesError(f"{where} holds {name}, which Chameleon's transformer does not have; give its own file")
    return turned(named)


def turned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with q and k in transformers' order, of layers whose norms are still those of one head."""
    result = dict(tensors)
    for name, norm in tensors.items():
        layer = TURNED.fullmatch(name)
        if layer is None or norm.dim() != 1:
            continue
        rows, which = f"{layer[1]}{layer[2]}_proj.weight", f"{layer[1]}{layer[2]}_norm"
        if rows not in tensors or not len(norm) or len(tensors[rows]) % len(norm):
            continue  # what is missing or of another shape is found when the network is filled
        heads = len(tensors[rows]) // len(norm)
        result[rows] = _halves(tensors[rows], heads)
        for kind in ("weight", "bias"):
            if f"{which}.{kind}" in tensors:
                result[f"{which}.{kind}"] = _halves(tensors[f"{which}.{kind}"], 1).repeat(heads, 1)
    return result


def _halves(rows: Tensor, heads: int) -> Tensor:
    """(heads x d, ...) with each head's even rows before its odd ones."""
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)
