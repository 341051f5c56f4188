"""Reading and writing Show-o2 checkpoints under their published file and key names.

Source: showlab/Show-o, commit 45a5a2d, show-o2. Sizes are those of the tensors; config.json says those of pictures.
"""

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.pretrained import loading, read_config, refuse_unfit
from hermes.harness.models.quiet import quiet
from hermes.harness.models.showo2.config import Config
from hermes.harness.models.showo2.config import read_config as read_settings
from hermes.harness.models.showo2.flow import HeadSizes
from hermes.harness.models.showo2.network import Network
from hermes.harness.models.showo2.places import LLM, SIGLIP, WHO, llm_folder, siglip_settings, wan_file
from hermes.harness.models.showo2.prompting import Words
from hermes.harness.models.showo2.wan import Wan, load_wan
from hermes.harness.models.tensors import misfit, read_tensors, without_prefix
from hermes.harness.system.errors import HermesError

BEFORE, EMBEDDED, HEAD = "showo.", "showo.model.embed_tokens.weight", "showo.lm_head.weight"
HAS = (EMBEDDED, "image_embedder_gen.proj.weight", "fusion_proj.1.weight")
HEAD_LAYERS, SIGLIP_LAYERS = "diffusion_head_a.", "und_trans.layers."
WEIGHTS = "pytorch_model.safetensors"
WHOLE = "give a whole checkpoint in the layout of showlab/show-o2-1.5B"
WORDS = ("*.json", "*.txt", "*.jinja")


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint holds. ``llm``: where the LLM's settings and tokenizer lie; ``siglip``: SigLIP's settings."""

    network: Network
    words: Words
    wan: Wan
    config: Config
    llm: Path
    siglip: dict[str, Any]


def load_checkpoint(folder: Path, device: str, options: LoadOptions) -> Loaded:
    """The checkpoint of a folder. Raises HermesError for what is missing, torn or of another kind."""
    config = read_settings(folder)
    home, siglip = llm_folder(folder, config.llm), siglip_settings(folder, config.siglip)
    words = Words(home)
    try:
        held = without_prefix(read_tensors(folder).tensors, HAS)
    except HermesError as error:
        raise HermesError(f"{WHO}: {error}") from None
    if whole := [name for name, tensor in held.items() if not tensor.is_floating_point()]:
        raise HermesError(f"{WHO}: {folder} holds {whole[0]} as {held[whole[0]].dtype}; {WHOLE}")
    llm = _llm(home, held, device, options, folder)
    if len(words) > llm.config.vocab_size:
        raise HermesError(
            f"{WHO}: the tokenizer of {home} has {len(words)} tokens, the weights of {folder} {llm.config.vocab_size}; "
            "give that of the model that llm_model_path names"
        )
    network = _network(llm, held, config, siglip, folder)
    dtype = torch_dtype(options.dtype, device)
    for part in _others(network):
        part.to(dtype)
    refuse_not_finite(network.state_dict(), f"{WHO}: {folder}")
    if options.adapter:
        network = merge_adapter(network, options.adapter, WHO)
    if options.device_map:
        for part in _others(network):
            part.to(llm.device)
    else:
        network.to(device)
    wan = load_wan(wan_file(folder), str(network.device), dtype if options.as_released else torch.float32)
    if wan.channels != config.latents:
        raise HermesError(
            f"{WHO}: {folder} has latents of {config.latents} channels, {wan.path} makes {wan.channels}; give its own"
        )
    return Loaded(network.eval(), words, wan, config, home, siglip)


def write_checkpoint(loaded: Loaded, folder: Path) -> None:
    """The published layout, with the LLM's settings and tokenizer, SigLIP's settings and the autoencoder beside it."""
    from safetensors.torch import save_file

    for name in (LLM, SIGLIP):
        (folder / name).mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in loaded.network.state_dict().items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    told = loaded.config.told | {"llm_model_path": LLM, "clip_pretrained_model_path": SIGLIP}
    siglip = {"model_type": "siglip", "vision_config": loaded.siglip}
    for path, content in ((folder / "config.json", told), (folder / SIGLIP / "config.json", siglip)):
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    copies = {path: folder / LLM / path.name for kind in WORDS for path in loaded.llm.glob(kind)}
    copies[loaded.wan.path] = folder / loaded.wan.path.name
    for path, copy in copies.items():
        if path.resolve() != copy.resolve() and not path.name.endswith(".index.json"):
            shutil.copyfile(path, copy)


def _others(network: Network) -> list[torch.nn.Module]:
    """All parts but the language model."""
    return [part for name, part in network.named_children() if f"{name}." != BEFORE]


def _llm(home: Path, held: Mapping[str, Tensor], device: str, options: LoadOptions, folder: Path) -> Any:
    """transformers' Qwen2 of the tensors; its vocabulary is theirs. Head and embeddings are one where they are equal
    and the settings say so.
    """
    import transformers

    own = {name.removeprefix(BEFORE): tensor for name, tensor in held.items() if name.startswith(BEFORE)}
    embedded, head = held.get(EMBEDDED), held.get(HEAD)
    if embedded is None:
        raise HermesError(f"{WHO}: {folder} holds no {EMBEDDED}; {WHOLE}")
    with loading(f"{WHO}: {folder}", f"; {WHOLE}"):
        settings = read_config(str(home), WHO, {"trust_remote_code": False}, "qwen2")
        _refuse_other_depth(folder, held, f"{BEFORE}model.layers.", settings.num_hidden_layers)
        settings.vocab_size = len(embedded)
        tied = settings.tie_word_embeddings and (head is None or torch.equal(head, embedded))
        settings.tie_word_embeddings = tied
        if tied:
            own.pop(HEAD.removeprefix(BEFORE), None)
        with quiet():
            kind: Any = transformers.Qwen2ForCausalLM
            llm, info = kind.from_pretrained(
                None,
                config=settings,
                state_dict=own,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
                dtype=torch_dtype(options.dtype, device),
                device_map=options.device_map,
            )
        refuse_unfit(llm, info, f"{WHO}: the weights of {folder}")
    return llm


def _network(llm: Any, held: dict[str, Tensor], config: Config, siglip: dict[str, Any], folder: Path) -> Network:
    """The language model with the other parts, on the CPU as stored."""
    own = {name: tensor for name, tensor in held.items() if not name.startswith(BEFORE)}
    _refuse_other_depth(folder, held, HEAD_LAYERS, config.told.get("num_diffusion_layers"))
    if isinstance(deep := siglip.get("num_hidden_layers"), int):
        _refuse_other_depth(folder, held, SIGLIP_LAYERS, deep - 1)  # SigLIP's last layer is not used
    try:
        with torch.device("meta"):
            network = Network(
                llm,
                _siglip(held, siglip),
                _head(held),
                _table(len(held["position_embedding.weight"]), config),
                config.latents,
                config.patch,
                held["time_embed.mlp.0.weight"].shape[1],
            )
    except KeyError as error:
        raise HermesError(f"{WHO}: {folder} lacks {error.args[0]}; {WHOLE}") from None
    except Exception as error:  # transformers' settings raise a class of their own
        reason = " ".join(str(error).split())
        raise HermesError(f"{WHO}: {folder} does not fit its settings ({reason}); {WHOLE}") from None
    wanted = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(BEFORE)}
    if odd := misfit(wanted, own):
        raise HermesError(f"{WHO}: {folder} {odd}; {WHOLE}")
    network.load_state_dict(own, assign=True, strict=False)
    return network


def _head(held: Mapping[str, Tensor]) -> HeadSizes:
    first = f"{HEAD_LAYERS}0."
    head = len(held[f"{first}self_attn.q_norm.weight"])
    return HeadSizes(
        width=len(held[f"{first}input_layernorm.weight"]),
        head=head,
        heads=len(held[f"{first}self_attn.q_proj.weight"]) // head,
        kv_heads=len(held[f"{first}self_attn.k_proj.weight"]) // head,
        inner=len(held[f"{first}mlp.gate_proj.weight"]),
        layers=_layers(held, HEAD_LAYERS),
        out=len(held["diffusion_head_b.linear.bias"]),
    )


def _siglip(held: Mapping[str, Tensor], told: Mapping[str, Any]) -> Any:
    from transformers import SiglipVisionConfig

    width = held["position_embedding.weight"].shape[1]
    settings = SiglipVisionConfig(
        hidden_size=width,
        intermediate_size=len(held[f"{SIGLIP_LAYERS}0.mlp.fc1.bias"]),
        num_hidden_layers=_layers(held, SIGLIP_LAYERS),
        **{name: told[name] for name in ("num_attention_heads", "layer_norm_eps", "hidden_act") if name in told},
    )
    if width % settings.num_attention_heads:
        raise ValueError(f"SigLIP has {settings.num_attention_heads} heads in a width of {width}")
    settings._attn_implementation = "sdpa"
    return settings


def _layers(held: Mapping[str, Tensor], before: str) -> int:
    return len({name.removeprefix(before).partition(".")[0] for name in held if name.startswith(before)})


def _refuse_other_depth(folder: Path, held: Mapping[str, Tensor], before: str, told: object) -> None:
    """A checkpoint that lost its last layers, or whose settings are another's, would run and be another model."""
    count = _layers(held, before)
    if isinstance(told, int) and count and told != count:
        raise HermesError(f"{WHO}: {folder} has {count} layers {before}N, and its settings say {told}; {WHOLE}")


def _table(rows: int, config: Config) -> tuple[int, int]:
    """Rows and columns of the position table: the grid's where it has as many places, else a square."""
    if rows == math.prod(config.grid):
        return config.grid
    side = math.isqrt(rows)
    if side * side != rows:
        raise ValueError(f"a position table of {rows} rows is no square")
    return side, side
