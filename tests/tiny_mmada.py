"""A tiny MMaDA checkpoint with random weights, in the files and under the names of the published ones."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers as t
from safetensors.torch import save_file
from tiny_parts import ALPHABET, by_byte, randomised
from tiny_showo import make_magvit

from hermes.harness.models.mmada.config import read_config
from hermes.harness.models.mmada.load import llama_config, published_name

BITS, SIDE, MAX_TEXT = 5, 32, 48
FIRST = ["<|startoftext|>", "<|endoftext|>", *(f"<|reserved_token_{number}|>" for number in range(11)), "<|mdm_mask|>"]
LAST = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
UNUSED = 3


def save(folder: Path, seed: int = 0, **settings: Any) -> Path:
    """32 x 32 px of 4 codes, one token a byte, two key-value heads for four; other ``settings`` go into config.json."""
    words = [*FIRST, *ALPHABET, *LAST]
    made = by_byte(words, FIRST[1])
    made.add_special_tokens([*FIRST, *LAST])
    tokenizer = t.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=FIRST[0], eos_token=FIRST[1], pad_token=FIRST[1], model_max_length=4096
    )
    config = {
        "model_type": "mmada",
        "architectures": ["MMadaModelLM"],
        "d_model": 32,
        "n_layers": 2,
        "n_heads": 4,
        "n_kv_heads": 2,
        "mlp_hidden_size": 48,
        "mlp_ratio": 4,
        "activation_type": "silu",
        "block_type": "llama",
        "layer_norm_type": "rms",
        "include_bias": False,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "weight_tying": False,
        "codebook_size": 1 << BITS,
        "num_vq_tokens": 1024,
        "mask_token_id": words.index("<|mdm_mask|>"),
        "resolution": SIDE,
        "max_seq_length": MAX_TEXT,
    } | settings
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer.save_pretrained(folder)
    shape = llama_config(read_config(folder / "config.json"), len(words) + (1 << BITS) + UNUSED)
    state = randomised(t.LlamaForCausalLM, shape, seed).state_dict()
    if config["weight_tying"]:
        del state["lm_head.weight"]
    save_file(
        {published_name(name): weight.contiguous() for name, weight in state.items()}, folder / "model.safetensors"
    )
    make_magvit(folder / "magvitv2", torch.Generator().manual_seed(seed))
    return folder
