"""Reading and writing VILA-U checkpoints under their published file and key names.

Source: the listing of mit-han-lab/vila-u-7b-256 and mit-han-lab/vila-u, commit 096623c: folders ``llm``,
``mm_projector`` and ``vision_tower`` below the checkpoint or its subfolder ``model``, each with its own config.json.
"""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.pretrained import loading, read_config, read_network
from hermes.harness.models.seeded import Draw
from hermes.harness.models.tensors import misfit, read_tensors, without_prefix
from hermes.harness.models.vilau.depth import DepthTransformer
from hermes.harness.models.vilau.network import Network, Projector
from hermes.harness.models.vilau.prompting import Words
from hermes.harness.models.vilau.sizes import LLM, PROJECTOR, TOWER, WHO, Sizes, read_sizes, settings_of
from hermes.harness.models.vilau.tower import CODEBOOK, Tower, published_names
from hermes.harness.system.errors import HermesError

DEPTH = "rqtransformer."
TOWER_HAS, PROJECTOR_HAS = (f"{DEPTH}pos_emb_d", CODEBOOK.format(0)), ("layers.0.weight", "layers.2.weight")
WHOLE = "give a whole checkpoint in the layout of mit-han-lab/vila-u-7b-256"
PINNED = {"trust_remote_code": False}
UNSAID_TOP_K = 50
"""What transformers draws from where the settings do not say it."""
SETTINGS = ("config.json", "generation_config.json", "preprocessor_config.json")


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint holds, and the ``folder`` that it came from. ``said``: how its own settings draw texts."""

    network: Network
    words: Words
    sizes: Sizes
    folder: Path
    said: Draw


def load_checkpoint(folder: Path, device: str, options: LoadOptions) -> Loaded:
    """The checkpoint of a folder. Raises HermesError for what is missing, torn or of another kind."""
    sizes = read_sizes(folder)
    words = Words(folder / LLM, WHO)
    with loading(f"{WHO}: {folder / LLM}", f"; {WHOLE}"):
        import transformers

        read_config(str(folder / LLM), WHO, PINNED, "llama")
        llm = read_network(transformers.LlamaForCausalLM, str(folder / LLM), device, options, PINNED, WHO)
        # Texts are drawn as requests say; the published settings stay in their file.
        kind: Any = transformers.GenerationConfig
        llm.generation_config = kind(bos_token_id=words.bos, eos_token_id=words.eos, pad_token_id=words.pad)
    if len(words) > llm.config.vocab_size:
        raise HermesError(
            f"{WHO}: the tokenizer in {folder / LLM} has {len(words)} tokens, the weights {llm.config.vocab_size}; "
            "download both again"
        )
    released = options.as_released
    projector, depth, tower = _others(folder, sizes, int(llm.config.hidden_size), released)
    dtype = torch_dtype(options.dtype, device)
    parts = projector.to(dtype), depth.to(dtype), tower.to(torch.bfloat16 if released else torch.float32)
    for part in parts:
        refuse_not_finite(part.state_dict(), f"{WHO}: {folder}")
    network = Network(llm, *parts)
    if options.adapter:
        network = merge_adapter(network, options.adapter, WHO)
    if options.device_map:
        for part in parts:
            part.to(llm.device)
    else:
        network.to(device)
    return Loaded(network.eval(), words, sizes, folder, _said(folder / LLM / "generation_config.json"))


def _said(path: Path) -> Draw:
    """How the checkpoint's generation settings draw text; without them transformers' own, greedy."""
    told = settings_of(path) if path.is_file() else {}
    said = {name: value for name, value in told.items() if value is not None}
    try:
        temperature = float(said.get("temperature", 1.0)) if said.get("do_sample") else 0.0
        draw = Draw(0, temperature, int(said.get("top_k", UNSAID_TOP_K)), 1.0, float(said.get("top_p", 1.0)))
        if temperature < 0 or draw.top_k < 0 or not 0 < draw.top_p <= 1:
            raise ValueError(f"temperature {temperature}, top_k {draw.top_k}, top_p {draw.top_p}")
    except (TypeError, ValueError, OverflowError) as error:
        raise HermesError(f"{WHO}: {path} names no way to draw ({error}); download it again") from None
    return draw


def write_checkpoint(loaded: Loaded, folder: Path) -> None:
    """The published layout; what no training changes is copied from where it was read."""
    from safetensors.torch import save_file

    network, source = loaded.network, loaded.folder
    for part in (LLM, PROJECTOR, TOWER, *filter(None, [loaded.sizes.beside])):
        (folder / part).mkdir(parents=True, exist_ok=True)
    network.llm.save_pretrained(folder / LLM)
    loaded.words.save(folder / LLM)
    stored = {name: tensor for name, tensor in _stored(source / TOWER, TOWER_HAS).items() if not name.startswith(DEPTH)}
    stored |= {DEPTH + name: tensor for name, tensor in network.rqtransformer.state_dict().items()}
    for part, state in ((PROJECTOR, network.mm_projector.state_dict()), (TOWER, stored)):
        state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
        save_file(state, folder / part / "model.safetensors", metadata={"format": "pt"})
    # transformers writes a language model's config.json in its newer form, which the authors' code does not read.
    for part in ("", LLM, PROJECTOR, TOWER, *filter(None, [loaded.sizes.beside])):
        for name in SETTINGS:
            path, copy = source / part / name, folder / part / name
            if path.is_file() and path.resolve() != copy.resolve():
                shutil.copyfile(path, copy)


def _others(folder: Path, sizes: Sizes, width: int, released: bool) -> tuple[Projector, DepthTransformer, Tower]:
    """All but the language model, whose ``width`` is given, on the CPU as stored."""
    held, projected = _stored(folder / TOWER, TOWER_HAS), _stored(folder / PROJECTOR, PROJECTOR_HAS)
    where = folder / TOWER
    try:
        codes, c = held[CODEBOOK.format(0)].shape
        with torch.device("meta"):
            depth, tower = _depth(held, sizes, c, width), Tower(sizes, codes - 1, c, released)
            projector = Projector(c, width)
            tables = [CODEBOOK.format(place) for place in range(len(tower.codebooks))]
            asked = dict.fromkeys(tables, torch.empty(codes, c))
    except KeyError as error:
        raise HermesError(f"{WHO}: {where} lacks {error.args[0]}; {WHOLE}") from None
    except Exception as error:  # transformers' settings raise a class of their own
        raise HermesError(f"{WHO}: {where} does not fit its config.json ({error}); {WHOLE}") from None
    _fill(projector, projected, folder / PROJECTOR)
    drawn = {name.removeprefix(DEPTH): tensor for name, tensor in held.items() if name.startswith(DEPTH)}
    _fill(depth, drawn, where)
    own, names = tower.state_dict(), published_names(tower)
    asked |= {names[name]: own[name] for name in names}
    _refuse(asked, {name: held[name] for name in asked if name in held}, where)
    # The last row of a table is padding: near small residuals its zeros would win everywhere.
    state = {name: held[names[name]] for name in names}
    tower.load_state_dict(state | {"codebooks": torch.stack([held[table][:-1] for table in tables])}, assign=True)
    places = tower.encoder.embeddings
    places.position_ids = torch.arange(places.num_positions)[None]
    return projector, depth, tower


def _depth(held: Mapping[str, Tensor], sizes: Sizes, c: int, h: int) -> DepthTransformer:
    """The depth transformer of the sizes that its tensors have."""
    _, depth, width = held[f"{DEPTH}pos_emb_d"].shape
    blocks = {name.split(".")[3] for name in held if name.startswith(f"{DEPTH}head_transformer.blocks.")}
    inner, codes = (
        len(held[f"{DEPTH}head_transformer.blocks.0.mlp.0.bias"]),
        len(held[f"{DEPTH}classifier_mlp.linear.bias"]),
    )
    if depth != sizes.depth or width % sizes.heads or codes != len(held[CODEBOOK.format(0)]) - 1:
        raise ValueError(
            f"{codes:,} codes at {depth} depths in a width of {width}, not {len(held[CODEBOOK.format(0)]) - 1:,} at "
            f"{sizes.depth} with {sizes.heads} heads"
        )
    return DepthTransformer(depth, codes, width, sizes.heads, len(blocks), inner, c, h)


def _fill(module: nn.Module, held: Mapping[str, Tensor], where: Path) -> None:
    _refuse(module.state_dict(), held, where)
    module.load_state_dict(held, assign=True)


def _refuse(asked: Mapping[str, Tensor], found: Mapping[str, Tensor], where: Path) -> None:
    if odd := misfit(asked, found):
        raise HermesError(f"{WHO}: {where} {odd}; {WHOLE}")
    if whole := [name for name in asked if not found[name].is_floating_point()]:
        raise HermesError(f"{WHO}: {where} holds {whole[0]} as {found[whole[0]].dtype}; {WHOLE}")


def _stored(folder: Path, has: Collection[str]) -> dict[str, Tensor]:
    """A part's tensors under their published names, of which ``has`` are some."""
    try:
        return without_prefix(read_tensors(folder).tensors, has)
    except HermesError as error:
        raise HermesError(f"{WHO}: {error}") from None
