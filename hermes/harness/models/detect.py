"""Which adapter runs a checkpoint: found from the settings file of its folder or of its hub repository."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from hermes.harness.models import layouts
from hermes.harness.models.anole.places import NAME as ANOLE
from hermes.harness.models.anole.places import original_folder
from hermes.harness.models.bagel.config import LLM as BAGEL_LLM
from hermes.harness.models.bagel.places import NAME as BAGEL
from hermes.harness.models.bagel.places import is_bagel
from hermes.harness.models.families import refuse_other_family, refuse_other_folder
from hermes.harness.models.seedx.places import LLM, VARIANTS, home_of
from hermes.harness.models.seedx.places import NAME as SEEDX
from hermes.harness.models.source import is_hub_id
from hermes.harness.models.trained import SETTINGS_FILES, checkpoint_folder, without_settings
from hermes.harness.system import hub, registry
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

DIFFUSERS, ANY_VLM = "diffusers", "hf"
OWN_CLASSES = {"Showo": "showo", "Showo2Qwen2_5": "showo2"}
"""Adapters of checkpoints whose config.json names a class of their authors'."""
PIPELINE = "model_index.json"
OWN_TYPES = {"vila_u_llama": "vilau"}
"""Adapters whose checkpoints have another ``model_type`` than their name."""
NAMING = {"model_type", "_class_name", PIPELINE}
INNER = "model"
LLM_SETTINGS = (f"{LLM}/config.json", f"{VARIANTS[0]}/{LLM}/config.json")
NOTHING = "holds no config.json with a model_type; give a checkpoint folder"


def model_class(reference: str) -> Any:
    """The adapter for "name", "name:argument", a checkpoint folder, or OWNER/NAME[@REVISION] of the hub."""
    return registry.load_class("models", adapter_name(reference))


def adapter_name(reference: str) -> str:
    """The registered name of that adapter, which is the model's family."""
    known = registry.names("models")
    name = registry.split_reference(reference)[0]
    return name if name in known else adapter_of(reference, known)


def adapter_of(reference: str, known: Collection[str]) -> str:
    """The registered name that runs a folder, or a hub repository OWNER/NAME[@REVISION]; ``known`` are all names.

    Show-o's and Show-o2's config.json name their class, a diffusers pipeline has a model_index.json, SEED-X its LLM in
    a folder of its own, BAGEL one of its LLM's settings, and all others a ``model_type``: a registered name, one of
    OWN_TYPES, or one that transformers knows as image-to-text; `layouts` knows those that share one. VILA-U may have it
    in a folder ``model``. Raises HermesError where there is none, which names the family where that is known.
    """
    if (folder := Path(reference).expanduser()).is_dir():
        if original_folder(folder):
            return ANOLE
        folder = checkpoint_folder(folder)
        where, found = str(folder), _of_folder(folder)
        own = layouts.of_folder(found or {}, folder)
    elif (repository := reference.partition("@")[0]).count("/") == 1 and is_hub_id(repository):
        revision = reference.partition("@")[2] or None
        where, found = reference, _of_hub(repository, revision)
        own = layouts.of_hub(found or {}, repository, revision)
    else:
        raise HermesError(
            f"unknown model {reference!r}: neither a folder, nor OWNER/NAME of the hub, nor one of {', '.join(known)}"
        )
    if found is None:
        raise HermesError(f"{where} {NOTHING}")
    return own or _named(found, known, where)


def _named(settings: dict[str, Any], known: Collection[str], where: str) -> str:
    name, kind = settings.get("_class_name"), settings.get("model_type")
    if PIPELINE in settings:
        return DIFFUSERS
    if isinstance(name, str) and name in OWN_CLASSES:
        return OWN_CLASSES[name]
    refuse_other_family(settings, where)
    if isinstance(name, str) and "_diffusers_version" in settings:
        raise HermesError(f"{where}: there is no adapter for {name}; of a pipeline give the folder of {PIPELINE}")
    if not isinstance(kind, str):
        raise HermesError(f"{where} {NOTHING}")
    kind = OWN_TYPES.get(kind, kind)
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
    found = [name for name in SETTINGS_FILES if (folder / name).is_file()]
    if not found and (folder / INNER / SETTINGS_FILES[0]).is_file():
        found, folder = [SETTINGS_FILES[0]], folder / INNER
    settings = _read(folder / found[0]) if found else None
    if not NAMING & set(settings or ()):
        if is_bagel(folder):
            return {"model_type": BAGEL}
        if home_of(folder):
            return {"model_type": SEEDX}
    if not found:
        refuse_other_folder(folder)
        raise HermesError(f"{folder} {without_settings(folder, SETTINGS_FILES[0])}")
    return settings


def _of_hub(repository: str, revision: str | None) -> dict[str, Any] | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    hub.unreachable()
    lacking: Exception | None = None
    found: dict[str, Any] | None = None
    for name in (*SETTINGS_FILES, BAGEL_LLM, *LLM_SETTINGS):
        try:
            path = Path(hf_hub_download(repository, name, revision=revision))
            if name not in SETTINGS_FILES:
                return {"model_type": BAGEL if name == BAGEL_LLM else SEEDX}
            found = _read(path)
            if NAMING & set(found or ()):
                return found
        except LocalEntryNotFoundError as error:  # no network; the other file may still be in the cache
            lacking = error
        except EntryNotFoundError:
            continue
        except Exception as error:  # the hub's client raises many kinds
            raise _not_there(repository, error) from None
    if lacking is not None:
        raise _not_there(repository, lacking)
    return found


def _not_there(repository: str, error: Exception) -> HermesError:
    why = hub.missing(error)
    return HermesError(f"{repository}: no such folder, and not available from the hub ({why}); give a folder")


def _read(path: Path) -> dict[str, Any] | None:
    """What the file says; of a pipeline's index that it is one."""
    try:
        settings = json_file(path)
    except (OSError, ValueError):
        return None
    if not isinstance(settings, dict):
        return None
    return settings if path.name != PIPELINE else {PIPELINE: settings}
