"""A tiny Liquid checkpoint with random weights, in the files and with the special tokens of the published one."""

import json
from pathlib import Path

import tiny_vqgan
import torch
import transformers as t
from tiny_parts import ALPHABET, SIZES, by_byte, randomised

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<boi>", "<eoi>", "<unconditional>", "<start_of_turn>", "<end_of_turn>"]
WORDS = len(SPECIAL) + len(ALPHABET)


def save(folder: Path, seed: int = 0) -> Path:
    """One token a byte, 16 x 16 pixels, 16 codes; the same weights for a seed, large enough to matter."""
    config = t.GemmaConfig(
        **SIZES,
        vocab_size=WORDS + tiny_vqgan.CODES,
        num_key_value_heads=1,
        head_dim=16,
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
    )
    network = randomised(t.GemmaForCausalLM, config, seed)
    with torch.no_grad():  # with tied embeddings as large as the rest each token would follow itself
        network.model.embed_tokens.weight.mul_(0.1)
    network.save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    published = {"hidden_act": "gelu", "hidden_activation": None, "rope_theta": 10000.0}
    (folder / "config.json").write_text(json.dumps({**written, **published}))
    made = by_byte([*SPECIAL, *ALPHABET], "<unk>")
    made.add_special_tokens(SPECIAL)
    marks = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    t.PreTrainedTokenizerFast(tokenizer_object=made, **marks).save_pretrained(folder)
    tiny_vqgan.save(folder / "chameleon", seed)
    return folder
