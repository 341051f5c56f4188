"""Where Anole's parts lie, in its authors' layout or in transformers'; reads names and no weights."""

import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hermes.harness.models.source import Source, source_of
from hermes.harness.models.trained import around
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file, json_value

NAME = "anole"
PUBLISHED = "leloy/Anole-7b-v0.1-hf"
CONSOLIDATED, PARAMS = "consolidated.pth", "params.json"
WORDS = ("tokenizer.json", "text_tokenizer.json")
TOKENIZER = "tokenizer"
# Folders in which the VQGAN may lie, in the model's or around it.
CODECS = (TOKENIZER, "vqgan", "chameleon", "vqvae-hf", "vqvae")
SAFE = "model.safetensors"
INDEX = f"{SAFE}.index.json"
DRAWS = "decoder.conv_in.weight"


def find(reference: str) -> Source:
    """The checkpoint that a reference names. Raises HermesError for what cannot be one."""
    folder = Path(PUBLISHED if reference == NAME else reference.removeprefix(f"{NAME}:")).expanduser()
    if folder.is_dir() and original_folder(folder):
        return Source(str(folder), None, local=True, given=str(folder))
    return source_of(reference, NAME, PUBLISHED)


def original_folder(folder: Path) -> Path | None:
    """Where the authors' weights lie: in the folder, or in its ``models/SIZE/``; None for another layout."""
    for place in (folder, *sorted((folder / "models").glob("*"))):
        if (place / PARAMS).is_file() and any(place.glob("consolidated*.pth")):
            return place
    return None


def words_file(folder: Path) -> Path:
    """The tokenizer: in the folder, in its ``tokenizer/``, or in that of the folders around it."""
    places = [folder, *(place / TOKENIZER for place in (*_around(folder),))]
    for place in places:
        for name in WORDS:
            if (place / name).is_file():
                return place / name
    raise HermesError(
        f"{NAME}: {folder} has no {WORDS[0]}, and no {TOKENIZER}/{WORDS[1]} in it or around it; copy it there"
    )


def codec_places(folder: Path) -> list[Path]:
    """The folders in which one of CODECS may lie."""
    return _around(folder)


def draws(settings: dict[str, Any], folder: Path) -> bool:
    """Whether a Chameleon checkpoint in transformers' layout holds the decoder that published Chameleon lacks."""
    return settings.get("model_type") == "chameleon" and _holds_decoder(_names(folder))


def index_draws(index: Path) -> bool:
    """Whether the shards of an index hold the decoder."""
    return _holds_decoder(_indexed(index))


def _around(folder: Path) -> list[Path]:
    """The places around a checkpoint; the authors' weights lie two folders below that of the tokenizer."""
    places = around(folder)
    return [*places, places[-1].parent] if (folder / PARAMS).is_file() else places


def _holds_decoder(names: Collection[str]) -> bool:
    return any(name.endswith(DRAWS) for name in names)


def _names(folder: Path) -> Collection[str]:
    """Names of the tensors in a folder's safetensors; none where they cannot be read, which the loader reports."""
    if (folder / INDEX).is_file():
        return _indexed(folder / INDEX)
    try:
        with (folder / SAFE).open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json_value(file.read(min(length, 1 << 27)))
        return list(header) if isinstance(header, dict) else ()
    except (OSError, ValueError, struct.error):
        return ()


def _indexed(index: Path) -> Collection[str]:
    try:
        return list(json_file(index)["weight_map"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()
