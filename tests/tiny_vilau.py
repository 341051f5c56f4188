"""A tiny VILA-U checkpoint with random weights, in the files and under the names of the published ones."""

import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers as t
from safetensors.torch import save_file
from tiny_parts import SIZES, randomised
from torch import Tensor, nn

from hermes.harness.models.vilau.depth import DepthTransformer
from hermes.harness.models.vilau.network import Projector
from hermes.harness.models.vilau.sizes import Sizes, read_sizes
from hermes.harness.models.vilau.tower import CODEBOOK, Tower, published_names

SIDE, PATCH, GRID, DEPTH, CODES, WIDTH, LATENT = 24, 8, 3, 2, 30, 16, 4
DRAWN = 4 * LATENT
ADDED = dict.fromkeys(("<im_start>", "<im_end>", "<vi_start>", "<vi_end>"))
TEXT = ["a red cat on a mat", "A chat between a curious user and an assistant.", "USER: is it red? ASSISTANT: no, big"]


def save(folder: Path) -> Path:
    """About one token a byte, 24 x 24 pixels read and 16 x 16 drawn, 9 positions of 2 codes; the same every time."""
    for part in ("llm", "mm_projector", "vision_tower", "siglip"):
        (folder / part).mkdir(parents=True)
    words = _tokenizer(folder / "llm")
    llm = t.LlamaConfig(
        **SIZES,
        vocab_size=words + len(ADDED),
        num_key_value_heads=2,
        rope_scaling={"type": "linear", "factor": 1.5},
        tie_word_embeddings=False,
        architectures=["LlamaForCausalLM"],
    )
    randomised(t.LlamaForCausalLM, llm).save_pretrained(folder / "llm", max_shard_size="40KB")
    said = {
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "do_sample": True,
        "temperature": 0.6,
        "top_p": 0.9,
    }
    for path, content in _settings(llm.hidden_size, said).items():
        (folder / path).write_text(json.dumps(content))
    sizes = read_sizes(folder)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        _weights(Projector(WIDTH, llm.hidden_size).state_dict(), folder / "mm_projector")
        _weights(_tower(sizes, llm.hidden_size), folder / "vision_tower")
    return folder


def _settings(width: int, said: dict[str, Any]) -> dict[str, Any]:
    vision = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    pixels = {"image_size": SIDE, "patch_size": PATCH}
    decoder = {
        **{"ch": 32, "ch_mult": [1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [LATENT], "resolution": DRAWN},
        **{"z_channels": 8, "in_channels": 3, "out_ch": 3, "dropout": 0.0, "double_z": False},
    }
    images = {
        "pretrained_model": "siglip",
        "code_shape": [GRID, GRID, DEPTH],
        "latent_shape": [GRID, GRID, WIDTH],
        "decoder_latent_shape": [LATENT, LATENT],
        "shared_codebook": True,
        "n_embed": CODES,
        "ddconfig": decoder,
    }
    drawn = {"embed_dim": 24, "vocab_size": CODES, "head": {"n_layer": 2, "block": {"n_head": 3}}}
    root = {"model_type": "vila_u_llama", "architectures": ["VILAULlamaModel"], "hidden_size": width, "llm_cfg": {}}
    return {
        "config.json": root,
        "llm/generation_config.json": said,
        "mm_projector/config.json": {"model_type": "v2l_projector", "mm_projector_type": "mlp2x_gelu"},
        "vision_tower/config.json": {"hidden_size": WIDTH, "rqvaesiglip": images, "rqtransformer": drawn},
        "vision_tower/preprocessor_config.json": {"size": {"height": SIDE, "width": SIDE}},
        "siglip/config.json": {"model_type": "siglip", "vision_config": vision | pixels},
    }


def _tower(sizes: Sizes, width: int) -> dict[str, Tensor]:
    """The tensors of a vision tower, with some of those that are published and not used."""
    tower = Tower(sizes, CODES, WIDTH)
    _large(tower)
    pixels = torch.nn.functional.interpolate(torch.rand(16, 3, 3, 3), scale_factor=PATCH) * 2 - 1
    states = tower.states(pixels).flatten(0, 1)
    table = states[torch.randperm(len(states))[:CODES]]
    table[CODES // 2 :] = (table[CODES // 2 :] - table.mean(0)) * 0.5
    own = tower.state_dict()
    found = {there: own[here] for here, there in published_names(tower).items()}
    padded = torch.cat([table, torch.zeros(1, WIDTH)])
    for depth in range(DEPTH):
        found[CODEBOOK.format(depth)] = padded.clone()
        found[CODEBOOK.format(depth).replace("weight", "embed_ema")] = table.clone()
    vision = "rqvaesiglip.siglip_model.vision_model."
    for name in [name for name in found if name.startswith(f"{vision}encoder.layers.0.")]:
        found[name.replace("layers.0", "layers.1")] = torch.randn_like(found[name])
    found |= {f"{vision}post_layernorm.weight": torch.ones(WIDTH), "rqvaesiglip.logit_scale": torch.zeros(1)}
    depth = DepthTransformer(DEPTH, CODES, 24, sizes.heads, 2, 48, WIDTH, width)
    _large(depth)
    depth.pos_emb_d.normal_(0.0, 0.5)
    return found | {f"rqtransformer.{name}": tensor for name, tensor in depth.state_dict().items()}


def _large(module: nn.Module) -> None:
    """Random weights that are large enough for all inputs to matter."""
    for parameter in module.parameters():
        if parameter.ndim > 1:
            parameter.normal_(0.0, 1.2 / parameter[0].numel() ** 0.5)


def _weights(state: dict[str, Tensor], folder: Path) -> None:
    held = {name: tensor.half().clone().contiguous() for name, tensor in state.items()}
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})


def _tokenizer(folder: Path) -> int:
    """A sentencepiece model with Llama's options, and the tokens that VILA-U adds; how many pieces it has."""
    words = folder / "words.txt"
    words.write_text("\n".join(TEXT * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(words),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=320,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        num_threads=1,
        minloglevel=2,
    )
    words.unlink()
    (folder / "tokenizer.vocab").unlink()
    count = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model")).get_piece_size()
    (folder / "added_tokens.json").write_text(json.dumps({name: count + n for n, name in enumerate(ADDED)}))
    return int(count)
