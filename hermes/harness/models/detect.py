"""Which adapter runs a checkpoint: found from the settings file of its folder or of its hub repository."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from hermes.harness.models.source import SETTINGS_FILES, is_hub_id
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

SHOWO, DIFFUSERS, ANY_VLM = "showo", "diffusers", "hf"


def model_class(reference: str) -> Any:
    """The adapter for "name", "name:argument", a checkpoint folder, or OWNER/NAME[@REVISION] of the hub."""
    known = registry.names("models")
    name = registry.split_reference(reference)[0]
    return registry.load_class("models", name if name in known else adapter_of(reference, known))


def adapter_of(reference: str, known: Collection[str]) -> str:
    """The registered name that runs a folder, or a hub repository OWNER/NAME[@REVISION]; ``known`` are all names.

    Show-o's config.json names its class, a diffusers pipeline has a model_index.json, and all others a ``model_type``:
    a registered name or one that transformers knows as image-to-text. Raises HermesError where there is none.
    """
    if Path(reference).expanduser().is_dir():
        where, found = reference, _of_folder(Path(reference).expanduser())
    elif (repository := reference.partition("@")[0]).count("/") == 1 and is_hub_id(repository):
        where, found = reference, _of_hub(repository, reference.partition("@")[2] or None)
    else:
        raise HermesError(
            f"unknown model {reference!r}: neither a folder, nor OWNER/NAME of the hub, nor one of {', '.join(known)}"
        )
    if found is None:
        raise HermesError(f"{where} holds no config.json with a model_type; give a checkpoint folder")
    return _named(found, known, where)


def _named(settings: dict[str, Any], known: Collection[str], where: str) -> str:
    if settings.get("_class_name") == "Showo":
        return SHOWO
    if "_class_name" in settings and "_diffusers_version" in settings:
        return DIFFUSERS
    kind = settings.get("model_type")
    if not isinstance(kind, str):
        raise HermesError(f"{where} holds no config.json with a model_type; give a checkpoint folder")
    if kind in known:
        return kind
    from transformers.models.auto import modeling_auto

    talking = modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    if kind in talking or kind in modeling_auto.MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING_NAMES:
        return ANY_VLM
    own = "; it brings its own code, which is never run" if "auto_map" in settings else ""
    raise HermesError(
        f"{where}: model_type {kind!r} has no adapter and is not an image-to-text model of transformers{own}; "
        f"known: {', '.join(known)}"
    )


def _of_folder(folder: Path) -> dict[str, Any] | None:
    for name in SETTINGS_FILES:
        if (folder / name).is_file():
            return _read(folder / name)
    return None


def _of_hub(repository: str, revision: str | None) -> dict[str, Any] | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    missing: Exception | None = None
    for name in SETTINGS_FILES:
        try:
            return _read(Path(hf_hub_download(repository, name, revision=revision)))
        except LocalEntryNotFoundError as error:  # no network; the other file may still be in the cache
            missing = error
        except EntryNotFoundError:
            continue
        except Exception as error:  # the hub's client raises many kinds
            raise _unreachable(repository, error) from None
    if missing is not None:
        raise _unreachable(repository, missing)
    return None


def _unreachable(repository: str, error: Exception) -> HermesError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return HermesError(f"{repository}: no such folder, and not available from the hub ({reason}); give a folder")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        settings = json_file(path)
    except (OSError, ValueError):
        return None
    return settings if isinstance(settings, dict) else None
