"""`hermes push`: a checkpoint's folder, with its card, to the Hugging Face hub; all that can be refused is, before."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from hermes.harness.models.room import sized
from hermes.harness.models.source import is_hub_id
from hermes.harness.models.trained import SETTINGS_FILES, WEIGHTS, without_settings
from hermes.harness.system.errors import HermesError
from hermes.harness.system.hub import without_bars

IGNORED = (".*", "**/.*", "*.part")
"""Hidden files, and what a killed process has left half written."""
CARD, ADAPTER = "README.md", "adapter_config.json"


class Upload(NamedTuple):
    """What will be uploaded: the files of a folder with their sizes, to a branch of a repository of the hub."""

    folder: Path
    repository: str
    branch: str | None
    private: bool
    files: dict[str, int]

    def __str__(self) -> str:
        names = ", ".join(f"{name} ({sized(size)})" for name, size in self.files.items())
        where = f"{self.repository}{' (private)' if self.private else ''}"
        branch = f", branch {self.branch}" if self.branch else ""
        card = "" if CARD in self.files else f"; there is no {CARD}, so the hub shows no card"
        total = sized(sum(self.files.values()))
        return f"push: {len(self.files)} files, {total}, to {where} on {endpoint()}{branch}: {names}{card}"


def planned(folder: Path, repository: str, private: bool = False, branch: str | None = None) -> Upload:
    """What `push` will upload.

    Raises HermesError for a folder that is no checkpoint, a name that is none of the hub's, and without a token.
    """
    from huggingface_hub import get_token

    if not folder.is_dir():
        raise HermesError(f"{folder} is not a folder; give the folder of a checkpoint")
    _refuse_other(folder)
    if repository.count("/") != 1 or not is_hub_id(repository):
        raise HermesError(f"{repository!r} is no name of the hub; give OWNER/NAME")
    if get_token() is None:
        raise HermesError("push: there is no token for the hub; set HF_TOKEN or run `hf auth login`")
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {name.as_posix(): path.stat().st_size for name, path in found.items() if not _ignored(name)}
    return Upload(folder, repository, branch, private, files)


def push(upload: Upload, quiet: bool = False) -> str:
    """Upload to a repository that is made where there is none; returns the address of the commit.

    ``quiet`` leaves the hub's progress bars out. Raises HermesError that says why the hub does not take it.
    """
    from huggingface_hub import HfApi

    api, name, branch = HfApi(), upload.repository, upload.branch
    try:
        api.create_repo(name, private=upload.private or None, exist_ok=True)
        if upload.private and not api.model_info(name).private:
            raise HermesError(f"push: {name} is there and public; make it private on the hub, or leave --private out")
        if branch:
            api.create_branch(name, branch=branch, exist_ok=True)
        with without_bars() if quiet else nullcontext():
            commit = api.upload_folder(
                repo_id=name,
                folder_path=upload.folder,
                revision=branch,
                ignore_patterns=list(IGNORED),
                commit_message=f"Checkpoint {upload.folder.resolve().name}, pushed by Hermes",
            )
    except HermesError:
        raise
    except Exception as error:  # the hub's client raises many kinds
        raise HermesError(f"push: {_reason(error, upload)}") from None
    return str(commit.commit_url)


def endpoint() -> str:
    """The address of the hub, which HF_ENDPOINT sets."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _ignored(name: Path) -> bool:
    """Whether `IGNORED` leaves a file of the folder out."""
    return name.suffix == ".part" or any(part.startswith(".") for part in name.parts)


def _refuse_other(folder: Path) -> None:
    """Raise HermesError for a folder without settings or without weights."""
    if not any((folder / name).is_file() for name in (*SETTINGS_FILES, ADAPTER)):
        inside = sorted(path.parent for path in folder.glob("round-*/checkpoint/*.json"))
        said = f"holds a self-play; give {inside[-1]}" if inside else without_settings(folder, SETTINGS_FILES[0])
        raise HermesError(f"{folder} {said}")
    if not any(path.suffix in WEIGHTS and path.is_file() for path in folder.rglob("*")):
        raise HermesError(f"{folder} holds no weights ({', '.join(WEIGHTS)}); give the folder of a whole checkpoint")


def _reason(error: Exception, upload: Upload) -> str:
    """Why it went wrong, and what to do."""
    code = _status(error)
    words = getattr(error, "server_message", None) or str(error)
    said = " ".join(words.split())[:300] or type(error).__name__
    if code == 401:
        return f"{endpoint()} does not accept the token ({said}); set HF_TOKEN or run `hf auth login`"
    if code == 403:
        return f"the token may not write to {upload.repository} ({said}); give one that may, or another OWNER"
    if code:
        return f"{endpoint()} answered {code} ({said}); the same command goes on when that is mended"
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0].startswith(("httpx", "httpcore")):
        return f"{endpoint()} cannot be reached ({said}); check the network, HF_ENDPOINT and HF_HUB_OFFLINE"
    return f"{endpoint()} did not take it ({said})"


def _status(error: Any) -> int | None:
    """The status that the hub answered, None where it did not."""
    return getattr(getattr(error, "response", None), "status_code", None)
