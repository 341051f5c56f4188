"""Where a transformers checkpoint lies, a folder or the Hugging Face hub, and which one it is; loads nothing."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from hermes.harness.errors import HermesError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
WEIGHTS_AND_SETTINGS = (".safetensors", ".bin", ".json", ".jinja", ".txt", ".model")


class Source(NamedTuple):
    """Where a model is: ``name`` is a folder's path or a hub id, with the ``revision`` wanted of the latter."""

    name: str
    revision: str | None
    local: bool

    @property
    def title(self) -> str:
        """The folder's own name, or the hub id."""
        return Path(self.name).resolve().name if self.local else self.name

    def version(self, commit: str | None) -> str:
        """Twelve hexadecimal digits: of a folder's content, or of the hub's ``commit``."""
        return fingerprint(Path(self.name)) if self.local else str(commit)[:12]


def parse_source(argument: str | None, who: str) -> Source:
    """The source that "hf:<argument>" names. Raises HermesError, which begins with ``who``, where it can be none."""
    if not argument:
        raise HermesError(f"{who}: no model is named; give hf:FOLDER or hf:HUB_ID[@REVISION]")
    folder = Path(argument).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise HermesError(f"{who}: {argument} holds no config.json; give the folder of a transformers model")
        return Source(str(folder), None, local=True)
    name, at, revision = argument.partition("@")
    if at and Path(name).is_dir():
        raise HermesError(f"{who}: {name} is a folder and has no revision; give hf:{name}")
    if not HUB_ID.fullmatch(name) or (at and not revision.strip()):
        raise HermesError(f"{who}: {argument!r} is neither a folder that exists nor a hub id (ORGANISATION/MODEL)")
    return Source(name, revision or None, local=False)


def fingerprint(folder: Path) -> str:
    """Twelve hexadecimal digits of a hash over all files of the folder that a model, tokenizer or processor reads."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in WEIGHTS_AND_SETTINGS and path.is_file():
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
    return digest.hexdigest()[:12]
