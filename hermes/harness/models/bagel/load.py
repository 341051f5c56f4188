"""Reading and writing BAGEL under its published file and key names, whole or not at all."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.models.bagel.autoencoder import Autoencoder, read_autoencoder
from hermes.harness.models.bagel.config import LLM, OWN, VIT, Settings, read_settings
from hermes.harness.models.bagel.network import Bagel
from hermes.harness.models.bagel.places import VAE, WEIGHTS, WHO, fetched, file_of, words_of
from hermes.harness.models.bagel.rows import Marks
from hermes.harness.models.bagel.tables import with_tables
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.pretrained import loading
from hermes.harness.models.quiet import quiet
from hermes.harness.models.source import Source
from hermes.harness.models.tensors import before_anchor, misfit, read_tensors
from hermes.harness.models.trained import checkpoint_folder, is_weights
from hermes.harness.system.errors import HermesError

ANCHOR = "language_model.model.embed_tokens.weight"
SEEING = ("vit_model.", "connector.", "vit_pos_embed.")
NEEDED = SEEING[:2]
# Buffers that older transformers stored; the network works them out.
BUFFERS = (".rotary_emb.inv_freq", ".embeddings.position_ids")
FROZEN = ("vit_model.", "vit_pos_embed.", "latent_pos_embed.")
MARKS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")


@dataclass(frozen=True)
class Loaded:
    """All parts. ``vae_at`` is the autoencoder's file, which is never trained; ``commit`` None for a folder."""

    settings: Settings
    words: Any
    marks: Marks
    network: Bagel
    autoencoder: Autoencoder
    vae_at: Path
    commit: str | None


def load_checkpoint(source: Source, device: str, options: LoadOptions) -> Loaded:
    """The checkpoint of a folder or hub id. Raises HermesError for what is missing, torn or of another kind."""
    folders = fetched(source)
    llm = file_of(folders, LLM)
    own = llm.with_name(OWN)
    settings = read_settings(llm, file_of(folders, VIT), own if own.is_file() else None)
    words, marks = _words(words_of(folders))
    vae_at = file_of(folders, VAE)
    state = _state(folders, settings)
    network = _network(state, settings, folders[0])
    if len(words) > network.language_model.lm_head.out_features:
        raise HermesError(
            f"{WHO}: the tokenizer has {len(words):,} tokens, the weights of {folders[0]} "
            f"{network.language_model.lm_head.out_features:,}; give the tokenizer of {folders[0]}"
        )
    autoencoder = read_autoencoder(vae_at, settings, device, WHO)
    channels = autoencoder.vae.config.latent_channels * settings.latent_patch**2
    if channels != network.channels:
        raise HermesError(
            f"{WHO}: {vae_at} makes tokens of {channels} numbers, {folders[0]} takes {network.channels}; give its own"
        )
    stride = autoencoder.factor * settings.latent_patch
    rules = settings.seen_rule(False), settings.drawn_rule(stride)
    for rule, unit, side in zip(rules, (settings.patch, stride), network.sides, strict=True):
        if rule.stride % unit:
            raise HermesError(
                f"{WHO}: {folders[0]} makes its pictures multiples of {rule.stride} px, and a token is {unit} px; "
                "give the config.json that belongs to the weights"
            )
        if rule.longest // unit > side:
            raise HermesError(
                f"{WHO}: {folders[0]} has places for {side} tokens a side, and its pictures have up to "
                f"{rule.longest // unit}; give the config.json that belongs to the weights"
            )
    refuse_not_finite(network.state_dict(), f"{WHO}: {folders[0]}")
    network = network.to(torch_dtype(options.dtype, device))
    if options.adapter:
        network.language_model = merge_adapter(network.language_model, options.adapter, WHO)
    network = network.to(device).eval()
    for name, weight in network.named_parameters():
        weight.requires_grad_(not name.startswith(FROZEN))
    return Loaded(settings, words, marks, network, autoencoder, vae_at, None if source.local else folders[0].name)


def write_checkpoint(loaded: Loaded, folder: Path) -> None:
    """The published layout: the weights as they are now, and beside them what is never trained."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((LLM, loaded.settings.llm), (VIT, loaded.settings.vit), (OWN, loaded.settings.own)):
        told = {"model_type": "bagel", **content} if name == OWN else content
        (folder / name).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in loaded.network.state_dict().items()}
    save_file(state, folder / WEIGHTS[0], metadata={"format": "pt"})
    loaded.words.save_pretrained(folder)
    if loaded.vae_at.resolve() != (folder / VAE).resolve():
        shutil.copyfile(loaded.vae_at, folder / VAE)


def _words(folder: Path) -> tuple[Any, Marks]:
    from transformers import AutoTokenizer

    with quiet(), loading(f"{WHO}: the tokenizer in {folder}"):  # of config.json's model_type, which it does not know
        words = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    known = words.get_vocab()
    if lost := [mark for mark in MARKS if mark not in known]:
        raise HermesError(f"{WHO}: the tokenizer in {folder} lacks {lost[0]}; give Qwen2.5's, as BAGEL has it")
    return words, Marks(*(known[mark] for mark in MARKS))


def _state(folders: Sequence[Path], settings: Settings) -> dict[str, Tensor]:
    """The checkpoint's tensors that are run, with those for seeing out of a base where a training left them out."""
    state = _own(_weights_of(folders[0]))
    if not all(any(name.startswith(part) for name in state) for part in NEEDED):
        if len(folders) == 1:
            raise HermesError(
                f"{WHO}: the weights in {folders[0]} lack the vision encoder; put the folder of the BAGEL that they "
                "were made of beside it, or into it, under the name base"
            )
        base = _own(_weights_of(folders[1]))
        state = {name: tensor for name, tensor in base.items() if name.startswith(SEEING)} | state
    unused = f"vit_model.vision_model.encoder.layers.{settings.vit_layers}.", "vit_model.vision_model.head."
    used = {name: one for name, one in state.items() if not (name.startswith(unused) or name.endswith(BUFFERS))}
    return with_tables(used, settings)


def _weights_of(folder: Path) -> Path:
    """The file of the weights, or their folder where there are several, which a training may have put into this one.

    ``ema.safetensors`` goes before what lies beside it, as in the authors' code.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
        if (folder / f"{name}.index.json").is_file():
            return folder
    others = [path for path in sorted(folder.iterdir()) if is_weights(path) and path.name != VAE]
    if not others and (inner := checkpoint_folder(folder, ())) != folder:
        return _weights_of(inner)
    if not others:
        raise HermesError(
            f"{WHO}: {folder} holds no weights ({', '.join(WEIGHTS)}); download the checkpoint completely"
        )
    return others[0] if len(others) == 1 else folder


def _own(path: Path) -> dict[str, Tensor]:
    try:
        stored = read_tensors(path, WEIGHTS).tensors
        before = before_anchor(stored, ANCHOR, "", "BAGEL", path)
    except HermesError as error:
        raise HermesError(f"{WHO}: {error}") from None
    return {name.removeprefix(before): tensor for name, tensor in stored.items()}


def _network(state: dict[str, Tensor], settings: Settings, folder: Path) -> Bagel:
    shapes = {name: tensor.shape for name, tensor in state.items()}
    try:
        with torch.device("meta"):
            network = Bagel(settings, shapes)
        odd = misfit(network.state_dict(), state)
    except KeyError as error:
        odd = f"lacks {error.args[0]}"
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        odd = f"holds tensors of other shapes ({error})"
    if odd:
        raise HermesError(f"{WHO}: {folder} holds no whole BAGEL: it {odd}; download it completely")
    wide = {name: tensor if tensor.dtype == torch.bfloat16 else tensor.float() for name, tensor in state.items()}
    network.load_state_dict(wide, assign=True)
    return network
