"""Where BAGEL's files lie: in a checkpoint's folder, or in that of the base it was made of; loads no weights.

Source: ByteDance-Seed/Bagel commit 056b5fd, README.md; HorizonWind2004/reconstruction-alignment b250aa1 and
WayneJin0918/SRUM a53ba18, whose weights take the place of the base's.
"""

from collections.abc import Sequence
from pathlib import Path

from hermes.harness.models.bagel.config import LLM, VIT
from hermes.harness.models.source import Source, folder_of, source_of
from hermes.harness.models.trained import around
from hermes.harness.system.errors import HermesError

NAME = "bagel"
WHO = f"model {NAME}"
PUBLISHED = "ByteDance-Seed/BAGEL-7B-MoT"
VAE = "ae.safetensors"
WEIGHTS = ("ema.safetensors", "model.safetensors", "model_bf16.safetensors")
WORDS = "tokenizer"
BASES = ("base", PUBLISHED.partition("/")[2])
PARTS = ("*.json", "*.txt", VAE)


def is_bagel(folder: Path) -> bool:
    """Whether a folder is of a BAGEL checkpoint, by its settings files."""
    return all((folder / name).is_file() for name in (LLM, VIT))


def find(reference: str) -> Source:
    """The source in "bagel", the hub's, "bagel:WHERE" or "WHERE" itself."""
    return source_of(reference, NAME, PUBLISHED, settings=LLM)


def fetched(source: Source) -> list[Path]:
    """The checkpoint's folder, and behind it those of the base that may hold what it lacks."""
    folder = folder_of(source, PARTS)
    if source.local:
        return [folder, *bases(folder)]
    if is_bagel(folder) and (folder / VAE).is_file():
        return [folder]
    return [folder, folder_of(Source(PUBLISHED, None, local=False, only=PARTS), PARTS)]


def bases(folder: Path) -> list[Path]:
    """Folders ``base`` and ``BAGEL-7B-MoT`` in the checkpoint's own or in one around it."""
    near = [place / name for place in around(folder) for name in BASES]
    return [place for place in near if place.is_dir() and place.resolve() != folder.resolve()]


def file_of(folders: Sequence[Path], name: str) -> Path:
    """A file in the first folder that has it. Raises HermesError where none has."""
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise HermesError(f"{WHO}: {folders[0]} lacks {name}; copy that of {PUBLISHED} there")


def words_of(folders: Sequence[Path]) -> Path:
    """The folder of the tokenizer: the checkpoint's own, or ``tokenizer`` in it."""
    for folder in folders:
        for place in (folder, folder / WORDS):
            if any((place / name).is_file() for name in ("tokenizer.json", "vocab.json")):
                return place
    raise HermesError(f"{WHO}: {folders[0]} lacks tokenizer.json; copy that of {PUBLISHED} there")
