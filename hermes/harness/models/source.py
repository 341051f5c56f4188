"""Where a checkpoint lies, a folder or the Hugging Face hub, and which one it is; reads no weights."""

import hashlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from hermes.harness.models.families import refuse_other_folder
from hermes.harness.models.trained import checkpoint_folder, is_weights, title, without_settings
from hermes.harness.system import hub
from hermes.harness.system.errors import HermesError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
READ = (".safetensors", ".bin", ".json", ".jinja", ".txt", ".model")


class Source(NamedTuple):
    """Where a model is: ``name`` is a folder's path or a hub id, with the ``revision`` wanted of the latter.

    ``given``: the folder that was named, in which the training left the one of ``name``; "" for a hub id. ``only``: the
    files that are meant of a hub repository, as patterns, where it holds more than one model.
    """

    name: str
    revision: str | None
    local: bool
    given: str = ""
    only: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The folder's own name, with that of its training before that of a step, or the hub id."""
        return title(Path(self.name)) if self.local else self.name

    def version(self, commit: str | None) -> str:
        """Twelve hexadecimal digits: of a folder's content, or of the hub's ``commit``."""
        return fingerprint(Path(self.name)) if self.local else str(commit)[:12]


def source_of(reference: str, name: str, default: str | None = None, settings: str = "config.json") -> Source:
    """The source in "name", "name:WHERE" or "WHERE" itself; plain "name" means ``default``.

    Raises HermesError where it cannot be one.
    """
    where = default if reference == name else reference.removeprefix(f"{name}:")
    return parse_source(where, f"model {name}", name, settings)


def parse_source(argument: str | None, who: str, name: str = "hf", settings: str = "config.json") -> Source:
    """The source that "name:<argument>" names; a folder, or a training's in it, must hold the file ``settings``.

    Raises HermesError, which begins with ``who``, where it cannot be one.
    """
    if not argument:
        raise HermesError(f"{who}: no model is named; give {name}:FOLDER or {name}:HUB_ID[@REVISION]")
    folder = Path(argument).expanduser()
    if folder.is_dir():
        found = checkpoint_folder(folder, (settings,))
        if not (found / settings).is_file():
            refuse_other_folder(found)
            raise HermesError(f"{who}: {found} {without_settings(found, settings)}")
        return Source(str(found), None, local=True, given=str(folder))
    repository, at, revision = argument.partition("@")
    if at and Path(repository).is_dir():
        raise HermesError(f"{who}: {repository} is a folder and has no revision; give {name}:{repository}")
    if not is_hub_id(repository) or (at and not revision.strip()):
        raise HermesError(f"{who}: {argument!r} is neither a folder that exists nor a hub id (ORGANISATION/MODEL)")
    return Source(repository, revision or None, local=False)


def folder_of(source: Source, more: Collection[str] = ()) -> Path:
    """The folder itself, or that of a hub repository's commit, downloaded where it is not there yet.

    ``more`` are patterns of files that are needed beside JSON, safetensors and ``.bin``.
    """
    if source.local:
        return Path(source.name)
    from huggingface_hub import snapshot_download

    name = source.name
    try:
        patterns = list(source.only) or ["*.json", "*.safetensors", "*.bin", "*.model", *more]
        return Path(snapshot_download(name, revision=source.revision, allow_patterns=patterns))
    except Exception as error:  # the hub's client raises many kinds
        raise HermesError(
            f"{name}: not available from the hub ({hub.missing(error)}); download it and give its folder"
        ) from None


def is_hub_id(text: str) -> bool:
    """Whether the text has the form of a hub id, with or without an organisation."""
    return bool(HUB_ID.fullmatch(text))


def fingerprint(folder: Path, below: bool = False) -> str:
    """Twelve hexadecimal digits of a hash over all files of the folder that a model, tokenizer or processor reads.

    ``below``: those in the folders below, too, except hidden ones.
    """
    digest = hashlib.sha256()
    named = {path.relative_to(folder).as_posix(): path for path in (folder.rglob("*") if below else folder.iterdir())}
    for name, path in sorted(named.items()):
        hidden = below and any(part.startswith(".") for part in Path(name).parts)
        if (path.suffix in READ or is_weights(path)) and path.is_file() and not hidden:
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
    return digest.hexdigest()[:12]
