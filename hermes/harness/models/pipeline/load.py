"""A diffusers pipeline from a folder or the hub: loaded whole or not at all; code that it brings is never run."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.utils import logging
from huggingface_hub import hf_hub_download

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.pipeline.fusing import fuse_adapter
from hermes.harness.models.pipeline.index import (
    INDEX,
    OWN_CODE,
    network_class,
    parts,
    pipeline_class,
    read_index,
)
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.pretrained import TRANSFORMERS, of_tensors, refuse_unfit, rewrapped
from hermes.harness.models.source import Source, fingerprint
from hermes.harness.system.errors import HermesError

DIFFUSERS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
# A blacked-out or watermarked image is not the model's. The watermark also depends on what else is installed.
OFF = {"safety_checker": None, "requires_safety_checker": False, "add_watermarker": False, "watermarker": None}
SPREAD = {"auto": "balanced"}


@dataclass(frozen=True)
class Loaded:
    """A pipeline, the hub's commit where it came from there, and what tells its files from others."""

    pipe: Any
    commit: str | None
    version: str
    dtype: torch.dtype


def load_pipeline(source: Source, device: str, options: LoadOptions, who: str) -> Loaded:
    """The pipeline of a folder or hub id, without safety checker and watermark, and without progress bars.

    Raises HermesError, which begins with ``who``, for what is missing, incomplete, no text-to-image pipeline, or wants
    to run its own code.
    """
    name = source.name
    logging.disable_progress_bar()
    try:
        path = Path(name) / INDEX
        if not source.local:
            path = Path(hf_hub_download(name, INDEX, revision=source.revision))
        commit = None if source.local else path.parent.name
        index = read_index(path, who)
        kind = pipeline_class(index, f"{who}: {name}")
        off = {key: value for key, value in OFF.items() if key in inspect.signature(kind.__init__).parameters}
        folder = path.parent
        if not source.local:
            folder = Path(kind.download(name, revision=commit, trust_remote_code=False, **off))
        dtype = _dtype(index, device, options)
        networks = _networks(index, folder, dtype, off, f"{who}: {name}")
        if options.device_map:
            # Read once to see that they are whole, and again to be placed, whole part by whole part.
            for part, network in networks:
                if rewrapped(folder / part, _read_by(type(network)), who) is not None:
                    raise HermesError(f"{who}: {folder / part} bears a wrapper's names; leave --device-map out")
            ready: dict[str, Any] = {"device_map": SPREAD.get(options.device_map, options.device_map)}
        else:
            ready = dict(networks)
        pipe = kind.from_pretrained(folder, dtype=dtype, trust_remote_code=False, **ready, **off)
    except HermesError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "trust_remote_code" in reason or "custom code" in reason:
            reason = OWN_CODE
        raise HermesError(f"{who}: {name} cannot be loaded ({reason[:300]})") from None
    _refuse_empty_tokenizers(pipe, folder, f"{who}: {name}")
    if options.adapter:
        fuse_adapter(pipe, options.adapter, who)
    if not options.device_map:
        pipe.to(device)
    pipe.set_progress_bar_config(disable=True)
    if hasattr(getattr(pipe, "vae", None), "enable_slicing"):
        pipe.vae.enable_slicing()
    return Loaded(pipe, commit, commit[:12] if commit else fingerprint(folder, below=True), dtype)


def _dtype(index: dict[str, Any], device: str, options: LoadOptions) -> torch.dtype:
    """float32 off CUDA. On it bfloat16 for diffusion transformers, whose activations can leave float16's range."""
    if options.dtype == "auto" and device.startswith("cuda"):
        return torch.bfloat16 if "transformer" in parts(index) else torch.float16
    return torch_dtype(options.dtype, device)


def _networks(
    index: dict[str, Any], folder: Path, dtype: torch.dtype, off: dict[str, Any], where: str
) -> Iterator[tuple[str, Any]]:
    """Every part that has weights, by name; diffusers itself would fill in random ones where some are missing."""
    for name, (library, class_name) in parts(index).items():
        kind = network_class(library, class_name)
        if kind is None or name in off or not (folder / name).is_dir():
            continue
        network, info = _network(kind, folder / name, dtype, where)
        refuse_unfit(network, info, f"{where}: the weights of {name}")
        yield name, network


def _network(kind: Any, home: Path, dtype: torch.dtype, who: str) -> tuple[Any, dict[str, Any]]:
    """A part's network, and what its weights lacked."""
    stored = rewrapped(home, _read_by(kind), who)
    if stored is None:
        # Pickles only where there is nothing else; both libraries then read tensors alone (torch's weights_only).
        safe = any(home.glob("*.safetensors"))
        network, info = kind.from_pretrained(home, dtype=dtype, use_safetensors=safe, output_loading_info=True)
        return network, info
    if not issubclass(kind, diffusers.ModelMixin):
        return of_tensors(kind, str(home), stored, {"dtype": dtype})
    network = kind.from_config(kind.load_config(home)).to(dtype).eval()
    lost = network.load_state_dict(stored, strict=False)
    return network, {"missing_keys": lost.missing_keys, "unexpected_keys": lost.unexpected_keys, "mismatched_keys": []}


def _read_by(kind: Any) -> tuple[str, str]:
    """The names of the weights' files that the library of a class reads."""
    return DIFFUSERS if issubclass(kind, diffusers.ModelMixin) else TRANSFORMERS


def _refuse_empty_tokenizers(pipe: Any, folder: Path, where: str) -> None:
    """transformers makes a tokenizer without its files, with an empty vocabulary."""
    for name, part in pipe.components.items():
        files = set(getattr(part, "vocab_files_names", {}).values()) - {"tokenizer.json"}
        home = folder / name
        if not files or not home.is_dir() or (home / "tokenizer.json").is_file():
            continue
        missing = sorted(file for file in files if not (home / file).is_file())
        if missing:
            raise HermesError(f"{where}: {name} lacks {missing[0]}; download it again")
