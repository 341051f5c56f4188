"""An Anole checkpoint, in its authors' layout or in transformers': transformer, tokenizer and VQGAN."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from transformers import (
    ChameleonConfig,
    ChameleonForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.models.anole.names import from_original, turned
from hermes.harness.models.anole.places import (
    CODECS,
    CONSOLIDATED,
    NAME,
    PARAMS,
    PUBLISHED,
    WORDS,
    codec_places,
    original_folder,
    words_file,
)
from hermes.harness.models.anole.prompting import AnolePrompting
from hermes.harness.models.chameleon_vq.codec import Codec
from hermes.harness.models.chameleon_vq.config import parse_config
from hermes.harness.models.chameleon_vq.files import own_names, read_codec
from hermes.harness.models.chameleon_vq.places import find_codec
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.pretrained import loading, read_config, refuse_unfit
from hermes.harness.models.quiet import quiet
from hermes.harness.models.source import Source, folder_of
from hermes.harness.models.stream.files import keep_files
from hermes.harness.models.stream.loaded import Loaded
from hermes.harness.models.stream.writing import settings_of
from hermes.harness.models.tensors import read_tensors, without_prefix
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

INSIDE = "model.vqmodel."
IMAGE = "<image>"
PLACEHOLDER = "<reserved08707>"  # what transformers renames to <image>
PLACES = 4096
ANCHORS = ("lm_head.weight", "model.embed_tokens.weight", "model.norm.weight")


def load_checkpoint(where: Source, device: str, options: LoadOptions) -> Loaded:
    """The checkpoint of a folder or hub id. Raises HermesError for what is missing, torn or of another kind."""
    root = folder_of(where, ("*.pth", "*.ckpt", "*.yaml"))
    original = original_folder(root)
    with loading(f"{NAME}: {where.name}", f"; give a checkpoint in the layout of GAIR/Anole-7b-v0.1 or {PUBLISHED}"):
        folder = original or root
        config, tensors, words, codec = (_original if original else _transformers)(folder)
        prompting = AnolePrompting(words, codec.config.codes, where.name, options.as_released)
        network = _network(config, tensors, device, options, where.name)
    network.generation_config = settings_of(prompting)
    if options.adapter:
        network = merge_adapter(network, options.adapter, f"model {NAME}")
    if not options.device_map:
        network = network.to(device)
    commit = None if where.local else root.name
    return Loaded(network.eval(), codec.to(network.device), prompting, folder, commit)


def write_checkpoint(network: Any, codec: Codec, words: Any, source: Path, folder: Path) -> None:
    """Config, weights with the whole VQGAN, and tokenizer in transformers' layout."""
    vqgan = {INSIDE + name: tensor.contiguous() for name, tensor in codec.state().items()}
    network.save_pretrained(folder, state_dict={**network.state_dict(), **vqgan})
    keep_files(words, source, folder)


def _transformers(folder: Path) -> tuple[Any, dict[str, Tensor], Any, Codec]:
    """Config, tensors, tokenizer and VQGAN of a checkpoint in transformers' layout."""
    config = read_config(str(folder), NAME, {}, "chameleon")
    tensors = read_tensors(folder).tensors
    if ANCHORS[0] not in tensors:
        tensors = without_prefix(tensors, ANCHORS)
    vqgan = own_names({name: tensor for name, tensor in tensors.items() if name.startswith(INSIDE)})
    if any(name.startswith("decoder.") for name in vqgan):
        # transformers' settings know of no channels that are drawn: it has no decoder.
        sizes = parse_config({"out_channels": 3, **config.vq_config.to_dict()}, f"{folder / 'config.json'}")
        codec = Codec(sizes, vqgan, str(folder))
    else:
        codec = _codec(folder)
    return config, turned(tensors), _words(folder), codec


def _original(folder: Path) -> tuple[Any, dict[str, Tensor], Any, Codec]:
    """The same of the authors' layout; the sizes are those of the tensors."""
    path = folder / CONSOLIDATED
    if not path.is_file():
        raise HermesError(
            f"{NAME}: {folder} holds the parallel shards of a larger Chameleon; give the same weights in "
            "transformers' layout"
        )
    tensors = from_original(read_tensors(path).tensors, str(path))
    codec, words = _codec(folder), _words(folder)
    params = _params(folder / PARAMS)
    known = words.get_vocab()
    try:
        rows, width = tensors["model.embed_tokens.weight"].shape
        heads, size = tensors["model.layers.0.self_attn.q_norm.weight"].shape
        config = ChameleonConfig(
            vocab_size=rows,
            hidden_size=width,
            intermediate_size=len(tensors["model.layers.0.mlp.gate_proj.weight"]),
            num_hidden_layers=len({name.split(".")[2] for name in tensors if name.startswith("model.layers.")}),
            num_attention_heads=heads,
            num_key_value_heads=len(tensors["model.layers.0.self_attn.k_proj.weight"]) // size,
            max_position_embeddings=PLACES,
            rms_norm_eps=float(params.get("norm_eps", 1e-5)),
            rope_parameters={"rope_type": "default", "rope_theta": float(params.get("rope_theta", 10000.0))},
            swin_norm=bool(params.get("swin_norm", False)),
            vocabulary_map={**known, IMAGE: known.get(PLACEHOLDER, known.get(IMAGE))},
            vq_config=codec.config.as_json(),
            architectures=["ChameleonForConditionalGeneration"],
        )
    except KeyError as error:
        raise HermesError(f"{NAME}: {path} lacks {error}; download it again") from None
    return config, tensors, words, codec


def _network(config: Any, tensors: Mapping[str, Tensor], device: str, options: LoadOptions, name: str) -> Any:
    """transformers' Chameleon without its VQ encoder: the codec has all of the VQGAN."""
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(INSIDE)}
    kind: Any = ChameleonForConditionalGeneration
    with quiet():
        network, info = kind.from_pretrained(
            None,
            config=config,
            state_dict=own,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            dtype=torch_dtype(options.dtype, device),
            device_map=options.device_map,
        )
    network.model.vqmodel = nn.Identity()
    missing = {key for key in info["missing_keys"] if not key.startswith(INSIDE)}
    refuse_unfit(network, {**info, "missing_keys": missing}, f"{NAME}: the weights of {name}")
    return network


def _codec(folder: Path) -> Codec:
    """The VQGAN that lies in a folder of its own in or around the checkpoint's."""
    if near := find_codec(codec_places(folder), CODECS):
        return read_codec(near)
    raise HermesError(
        f"{NAME}: {folder} has no image decoder, as published Chameleon, which reads as chameleon:FOLDER; to draw, "
        f"give Anole's weights with it, or put its vqgan.yaml and vqgan.ckpt into {folder / CODECS[1]}"
    )


def _words(folder: Path) -> Any:
    path, kind = words_file(folder), cast(Any, PreTrainedTokenizerFast)
    if path.name == WORDS[0]:
        with quiet():  # the class that a file names is not needed for what is in it
            return kind.from_pretrained(path.parent, clean_up_tokenization_spaces=False)
    return kind(tokenizer_file=str(path), clean_up_tokenization_spaces=False)


def _params(path: Path) -> dict[str, Any]:
    try:
        settings: Any = json_file(path)
        return dict(settings.get("model", settings))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise HermesError(f"{NAME}: {path} cannot be read ({error}); download it again") from None
