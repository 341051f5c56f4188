"""The tensors of a checkpoint under its network's own names, in whatever files and wrapping a training left them."""

import pickle
import re
import zipfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from hermes.harness.models.trained import is_weights
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

FILES = (
    "pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.safetensors",
    "pytorch_model.bin",
    "diffusion_pytorch_model.bin",
    "pytorch_model_fsdp.bin",
    "mp_rank_00_model_states.pt",
)
LFS = b"version https://git-lfs"
SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d+)-of-(?P<count>\d+)(?P<suffix>\.\w+)")
HOLDERS = ("state_dict", "model_state_dict", "model", "module")
AROUND_ALL = "module."
INSIDE = re.compile(r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
APART = ("*.distcp", "*/*.distcp", "zero_pp_rank_*", "*/zero_pp_rank_*", "*/*_optim_states.pt")


class Stored(NamedTuple):
    """The tensors of a checkpoint by name.

    ``file`` is the known name of the file, or of the shards' index without ".index.json", "" where it is another.
    ``plain``: the files hold just these names, and nothing around them.
    """

    tensors: dict[str, Tensor]
    file: str
    plain: bool


def read_tensors(path: Path, first: Iterable[str] = ()) -> Stored:
    """All tensors of a file, or of the folder's weights, on the CPU as they are stored.

    Opened are dictionaries around them ({"state_dict": ...}, "model", "module"), and what DistributedDataParallel,
    DeepSpeed, torch.compile and FSDP write into their names is taken out. ``first`` are names of files that go before
    all others. Raises HermesError where nothing is there, a shard is missing or a file cannot be read.
    """
    files, known = ([path], "") if path.is_file() else weight_files(path, first)
    if not files:
        raise HermesError(f"{path} {_no_weights(path)}")
    held: dict[str, Tensor] = {}
    plain = True
    for file in files:
        tensors, unheld = _read_file(file)
        held |= tensors
        plain &= unheld
    own = own_names(held)
    if len(set(own.values())) < len(own):
        raise HermesError(f"{path} holds tensors twice, with and without a wrapper's name; keep one of each")
    tensors = {own[name]: tensor for name, tensor in held.items()}
    return Stored(tensors, known, plain and list(tensors) == list(held))


def weight_files(folder: Path, first: Iterable[str] = ()) -> tuple[list[Path], str]:
    """The file or the shards of a folder's weights, and by which known name they were found.

    There are none where no file has a known name and several might be meant.
    """
    if not folder.is_dir():
        raise HermesError(f"{folder}: no such file or folder; give the folder of a checkpoint")
    for name in (*first, *FILES):
        if (folder / name).is_file():
            return [folder / name], name
        if (folder / f"{name}.index.json").is_file():
            return _indexed(folder / f"{name}.index.json"), name
    found = sorted(path for path in folder.iterdir() if path.is_file() and is_weights(path))
    shards = [fit for fit in (SHARD.fullmatch(path.name) for path in found) if fit]
    if shards and len({(fit["stem"], fit["count"], fit["suffix"]) for fit in shards}) == 1:
        count = int(shards[0]["count"])
        if lost := set(range(1, count + 1)) - {int(fit["number"]) for fit in shards}:
            raise HermesError(
                f"{folder} lacks {len(lost)} of {count} shards, such as number {min(lost)}; copy them all"
            )
        return [folder / fit[0] for fit in shards], ""
    return (found if len(found) == 1 else []), ""


def without_prefix(stored: dict[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """The tensors that bear the wanted names behind one prefix, under these names; all as they are where there is none.

    Two such sets, as of a policy and its reference, are not told apart.
    """
    names = sorted(wanted)
    ends = {name.removesuffix(names[0]) for name in stored if names and name.endswith(f".{names[0]}")}
    fitting = [start for start in ends if all(start + name in stored for name in names)]
    if len(fitting) != 1:
        return stored
    return {name.removeprefix(fitting[0]): stored[name] for name in stored if name.startswith(fitting[0])}


def before_anchor(stored: Collection[str], anchor: str, prefix: str, what: str, where: Path) -> str:
    """What stands before the name of the one tensor ``anchor``, and so before all of a transformer's.

    ``prefix`` is what its authors write there and ``what`` their model. Raises HermesError for none or several.
    """
    found = [name for name in stored if f".{name}".endswith(f".{anchor}")]
    if len(found) > 1:
        raise HermesError(f"{where} holds {len(found)} transformers ({', '.join(found)}); keep the one to be run")
    if not found:
        held = f"no {prefix}{anchor}, but {next(iter(stored))}"
        raise HermesError(f"{where} holds no {what} transformer ({held}); give a {what} checkpoint")
    return found[0].removesuffix(anchor)


def misfit(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """In which names or shapes the tensors found are not those wanted; "" where they are the same."""
    told = []
    if lost := sorted(set(wanted) - set(found)):
        told.append(f"lacks {len(lost)} of the {len(wanted)} tensors, such as {lost[0]}")
    if odd := sorted(set(found) - set(wanted)):
        told.append(f"holds {len(odd)} tensors that the model does not have, such as {odd[0]}")
    for name in sorted(set(wanted) & set(found)) if not told else ():
        if tuple(wanted[name].shape) != tuple(found[name].shape):
            return f"holds {name} with the shape {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}"
    return ", and ".join(told)


def _indexed(index: Path) -> list[Path]:
    try:
        shard_of: dict[str, str] = dict(json_file(index)["weight_map"])
        shards = [index.parent / name for name in sorted(set(shard_of.values()))]
    except (OSError, ValueError, KeyError, TypeError):
        raise HermesError(f"{index} names no shards by a weight_map; download the checkpoint again") from None
    for shard in shards:
        if not shard.is_file():
            raise HermesError(f"{shard}, which {index.name} names, is missing; download the checkpoint completely")
    return shards


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(LFS))


def _read_file(path: Path) -> tuple[dict[str, Tensor], bool]:
    """The tensors of a file, and whether nothing lies around them."""
    if _begins(path) == LFS:
        raise HermesError(f"{path} is Git LFS's pointer to the weights; run `git lfs pull` in its folder")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path)), True
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it holds a {refused[1]}, which is no weight" if refused else "it is torn, or holds more than tensors"
        raise HermesError(
            f"{path} cannot be loaded ({reason}); download the file again, or save its state_dict alone"
        ) from None
    except Exception as error:
        # A torn pickle makes the reader fail with whatever its bytes happen to mean.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HermesError(f"{path} cannot be loaded ({reason}); download the file again") from None
    whole = content
    while isinstance(content, Mapping):
        inner = [content[key] for key in HOLDERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    tensors = (
        {str(name): value.detach() for name, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, Mapping)
        else {}
    )
    if not tensors:
        raise HermesError(f"{path} holds no dictionary of tensors; give a checkpoint's weights")
    return tensors, content is whole


def own_names(tensors: Iterable[str]) -> dict[str, str]:
    """The network's own name of each tensor, without what wrappers put around the network and into it."""
    own = {name: INSIDE.sub("", name) for name in tensors}
    while own and all(name.startswith(AROUND_ALL) for name in own.values()):
        own = {stored: name.removeprefix(AROUND_ALL) for stored, name in own.items()}
    return own


def _no_weights(folder: Path) -> str:
    if any(True for pattern in APART for _ in folder.glob(pattern)):
        return (
            "holds the shards of a running training, not weights; put them together with DeepSpeed's zero_to_fp32.py "
            "or with 'accelerate merge-weights', and give what comes out"
        )
    if several := [path.name for path in sorted(folder.iterdir()) if is_weights(path)]:
        return (
            f"holds {' and '.join(several[:3])}, and which is meant is not clear; keep one, as {FILES[1]} or {FILES[3]}"
        )
    return f"holds no weights ({', '.join(FILES)}); download the checkpoint completely"
