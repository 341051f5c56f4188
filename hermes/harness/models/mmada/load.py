"""Reading and writing MMaDA checkpoints under their published file and key names, as transformers' Llama."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.magvit.tokeniser import Magvit, load_magvit, magvit_folder
from hermes.harness.models.mmada.config import NAME, PUBLISHED, MmadaConfig, Vocabulary, read_config, vocabulary_of
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.pretrained import loading
from hermes.harness.models.quiet import quiet
from hermes.harness.models.source import Source, folder_of
from hermes.harness.models.tensors import before_anchor, misfit, read_tensors
from hermes.harness.models.trained import around
from hermes.harness.system.errors import HermesError

TOKENIZER = "tokenizer.json"
PREFIX = "model."
ANCHOR = "transformer.wte.weight"
# LLaDA's names to Llama's, below ``transformer.`` and below a block.
OUTER = {"wte": "model.embed_tokens", "ln_f": "model.norm", "ff_out": "lm_head"}
BLOCK = {
    "attn_norm": "input_layernorm",
    "ff_norm": "post_attention_layernorm",
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "attn_out": "self_attn.o_proj",
    "ff_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "ff_out": "mlp.down_proj",
}
BLOCK_BACK = {ours: theirs for theirs, ours in BLOCK.items()}
OUTER_BACK = {ours: theirs for theirs, ours in OUTER.items()}


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint holds; ``images_at`` is where its image tokeniser lies, ``commit`` the hub's or None."""

    network: Any
    tokenizer: Any
    config: MmadaConfig
    vocabulary: Vocabulary
    images: Magvit
    images_at: Path
    commit: str | None


def load_checkpoint(source: Source, device: str, options: LoadOptions) -> Loaded:
    """The checkpoint of a folder or hub id. Raises HermesError for what is missing, torn or of another kind."""
    folder = folder_of(source)
    config = read_config(folder / "config.json")
    tokenizer = read_tokenizer(folder)
    vocabulary = vocabulary_of(tokenizer, config, str(folder))
    images_at = magvit_folder(folder)
    images = load_magvit(images_at, device)
    if images.config.codebook_size != config.codes:
        raise HermesError(
            f"{folder}: codebook_size is {config.codes}, and the image tokeniser in {images_at} has "
            f"{images.config.codebook_size} codes; give the one that belongs to it"
        )
    network = read_network(folder, config, vocabulary, device, options)
    if options.adapter:
        network = merge_adapter(network, options.adapter, f"model {NAME}")
    if not options.device_map:
        network = network.to(device)
    commit = None if source.local else folder.name
    return Loaded(network.eval(), tokenizer, config, vocabulary, images, images_at, commit)


def read_tokenizer(folder: Path) -> Any:
    """transformers' tokenizer: of ``tokenizer/`` in the folder or around it, of the folder, or of one around it."""
    near = [place / name for place in around(folder) for name in ("tokenizer", "")]
    at = next((place for place in near if (place / TOKENIZER).is_file()), None)
    if at is None:
        raise HermesError(f"{folder} holds no {TOKENIZER}; copy the tokenizer files of {PUBLISHED} into it")
    with loading(f"{NAME}: the tokenizer in {at}", f"; copy the tokenizer files of {PUBLISHED} again"):
        return transformers.PreTrainedTokenizerFast.from_pretrained(str(at))


def read_network(folder: Path, config: MmadaConfig, vocabulary: Vocabulary, device: str, options: LoadOptions) -> Any:
    """transformers' Llama with the folder's weights, whose attention needs a mask that lets all see all.

    On the CPU unless a device map says more.
    """
    state = read_state(folder)
    rows = len(state[ANCHOR]) if state[ANCHOR].ndim else 0
    if rows < vocabulary.first_code + vocabulary.codes or not 0 <= vocabulary.mask < vocabulary.first_code:
        raise HermesError(
            f"{folder}: the embedding has {rows:,} rows, and {vocabulary.first_code:,} text tokens (the mask "
            f"{vocabulary.mask:,} among them) with {vocabulary.codes:,} image codes do not fit in; "
            "give the tokenizer that belongs to the checkpoint"
        )
    settings = llama_config(config, rows)
    with torch.device("meta"):
        wanted = {
            published_name(name): tensor for name, tensor in _own(transformers.LlamaForCausalLM(settings)).items()
        }
    if odd := misfit(wanted, {PREFIX + name: tensor for name, tensor in state.items()}):
        raise HermesError(f"{folder} holds no whole MMaDA transformer: it {odd}; download the checkpoint completely")
    with loading(f"{NAME}: {folder}"), quiet():
        network = transformers.LlamaForCausalLM.from_pretrained(
            None,
            config=settings,
            attn_implementation="sdpa",
            state_dict={own_name(PREFIX + name): tensor for name, tensor in state.items()},
            dtype=torch_dtype(options.dtype, device),
            device_map=options.device_map,
        )
    refuse_not_finite({published_name(name): tensor for name, tensor in _own(network).items()}, str(folder))
    return network


def read_state(folder: Path) -> dict[str, Tensor]:
    """The checkpoint's tensors as they are stored, without what stands before ``transformer.`` in their names."""
    stored = read_tensors(folder).tensors
    before = before_anchor(stored, ANCHOR, PREFIX, "MMaDA", folder)
    return {name.removeprefix(before): tensor for name, tensor in stored.items()}


def llama_config(config: MmadaConfig, rows: int) -> Any:
    """transformers' settings of the same network; ``rows`` are those of its embedding."""
    return transformers.LlamaConfig(
        vocab_size=rows,
        hidden_size=config.width,
        intermediate_size=config.inner,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        max_position_embeddings=config.longest,
        rms_norm_eps=config.eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.theta},
        tie_word_embeddings=config.tied,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )


def write_network(network: Any, config: MmadaConfig, folder: Path) -> None:
    """config.json and the weights as safetensors, in shards where they are large."""
    from huggingface_hub import save_torch_state_dict

    folder.mkdir(parents=True, exist_ok=True)
    settings = config.raw | {"resolution": config.resolution, "max_seq_length": config.max_text}
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    state = {published_name(name): tensor.detach().cpu().contiguous() for name, tensor in _own(network).items()}
    save_torch_state_dict(state, folder, metadata={"format": "pt"})


def published_name(name: str) -> str:
    """LLaDA's name of one of Llama's tensors."""
    module, _, kind = name.rpartition(".")
    if module in OUTER_BACK:
        return f"{PREFIX}transformer.{OUTER_BACK[module]}.{kind}"
    _, _, number, inner = module.split(".", 3)
    return f"{PREFIX}transformer.blocks.{number}.{BLOCK_BACK[inner]}.{kind}"


def own_name(name: str) -> str:
    """Llama's name of one of LLaDA's tensors."""
    module, _, kind = name.removeprefix(f"{PREFIX}transformer.").rpartition(".")
    if module in OUTER:
        return f"{OUTER[module]}.{kind}"
    _, number, inner = module.split(".", 2)
    return f"model.layers.{number}.{BLOCK[inner]}.{kind}"


def _own(network: Any) -> dict[str, Tensor]:
    """The tensors by Llama's names, a head that is the embedding left out."""
    state: dict[str, Tensor] = dict(network.state_dict())
    if network.config.tie_word_embeddings:
        del state["lm_head.weight"]
    return state
