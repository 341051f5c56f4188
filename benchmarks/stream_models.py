"""Liquid and Anole of a middle size with random weights, for stream_speed.py."""

from pathlib import Path
from typing import Any

import torch
import transformers as t
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from hermes.harness.models.anole.adapter import Anole
from hermes.harness.models.anole.prompting import AnolePrompting
from hermes.harness.models.chameleon_vq.codec import Codec, vq_of
from hermes.harness.models.chameleon_vq.config import VQConfig
from hermes.harness.models.chameleon_vq.names import is_convolution, published
from hermes.harness.models.liquid.adapter import Liquid
from hermes.harness.models.liquid.prompting import LiquidPrompting
from hermes.harness.models.stream.adapter import StreamModel
from hermes.harness.models.stream.loaded import Loaded

CODES = 512
VQ = VQConfig(
    embed=32, codes=CODES, latent=32, side=64, base=32, blocks=1, seen=3, drawn=3, multipliers=(1, 1, 2, 2)
)  # fmt: skip
LIQUID = ["<pad>", "<eos>", "<bos>", "<unk>", "<boi>", "<eoi>", "<unconditional>", "<start_of_turn>", "<end_of_turn>"]
ANOLE = ["<s>", "<pad>", "</s>", "<unk>", "<eoss>", "<racm3:break>", "<reserved08706>", "<image>"]
IMAGES = ["IMGIMG" + "".join("ABCDEFGHIJ"[int(digit)] for digit in str(code)) + "Z" for code in range(CODES)]
SIZES = {
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
}


def built(name: str, words: int, device: str, dtype: torch.dtype) -> StreamModel:
    """The model with about ``words`` tokens of text; the same weights every time."""
    torch.manual_seed(0)
    special = LIQUID if name == "liquid" else [*ANOLE, *IMAGES]
    tokenizer = _tokenizer(special, words)
    size = len(tokenizer) + (CODES if name == "liquid" else 0)
    kinds: dict[str, tuple[Any, Any]] = {
        "liquid": (t.GemmaConfig, t.GemmaForCausalLM),
        "anole": (t.ChameleonConfig, t.ChameleonForConditionalGeneration),
    }
    config, kind = kinds[name]
    more = (
        {"head_dim": 64} if name == "liquid" else {"vocabulary_map": tokenizer.get_vocab(), "vq_config": VQ.as_json()}
    )
    network = kind(config(**SIZES, vocab_size=size, **more)).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, 0.0, 1.2 / parameter[0].numel() ** 0.5)
    if name == "anole":
        network.model.vqmodel = torch.nn.Identity()
    held = {published(key, len(VQ.multipliers)): tensor for key, tensor in vq_of(VQ).state_dict().items()}
    held = {key: tensor[..., None, None] if is_convolution(key) else tensor for key, tensor in held.items()}
    codec = Codec(VQ, held, "random").to(device)
    network = network.to(device, dtype)
    if name == "liquid":
        return Liquid("liquid", Loaded(network, codec, LiquidPrompting(tokenizer, CODES, "random"), Path(), None))
    return Anole("anole", Loaded(network, codec, AnolePrompting(tokenizer, CODES, "random"), Path(), None))


def _tokenizer(special: list[str], words: int) -> Any:
    """One token a byte, and as many that are never written as the vocabulary lacks."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = [*special, *alphabet]
    known += [f"[{number}]" for number in range(words - len(known))]
    made = Tokenizer(models.BPE({word: number for number, word in enumerate(known)}, [], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(special)
    marks = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>"} if special is LIQUID else {}
    kind: Any = t.PreTrainedTokenizerFast
    return kind(tokenizer_object=made, **marks)
