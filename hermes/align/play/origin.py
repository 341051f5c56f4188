"""Where the model of a self-play comes from: what it was at first, under which licence, and the command that plays."""

import shlex
from pathlib import Path
from typing import Any, NamedTuple

from hermes.align.play.chosen import FINER, recipe_of
from hermes.align.play.recipes import SHELF
from hermes.align.settings import AlignSettings
from hermes.harness.contracts.options import FailureSettings, FolderSettings, PluginSettings, TrackerSettings
from hermes.harness.models.recipes import NONE
from hermes.harness.models.source import is_hub_id
from hermes.harness.records.types import ModelInfo
from hermes.harness.system.settings import build

CARD = "README.md"
LICENCE = ("license", "license_name", "license_link")
SECONDS = 10.0
"""How long the hub is waited for."""
SILENT = {
    *("model", "recipe", "rounds", "device", "device_map", "compile", "label", "patience"),
    *("batch_draw", "micro_batch", "checkpoint_every", "checkpoint_minutes", "checkpointing", "lora_half"),
    *FolderSettings.model_fields,
    *FailureSettings.model_fields,
    *TrackerSettings.model_fields,
    *PluginSettings.model_fields,
}
"""Settings that change nothing in a round, or that the command says otherwise."""
NAMING = {"data", "pairs", "adapter", "critic", "judge", "similarity", "eval_tasks"}
"""Settings that name things, which may lie in folders of this machine."""


class Origin(NamedTuple):
    """The base model: what it is called in texts and in commands, its weights, the hub ids and the commit of its
    checkpoint, what its card says of the licence, and whether its class takes ``--adapter``."""

    name: str
    reference: str
    fingerprint: str
    hub: tuple[str, ...]
    revision: str | None
    licence: dict[str, str]
    takes_adapters: bool


def origin_of(cls: Any, reference: str, info: ModelInfo) -> Origin:
    """What is known of the model ``reference``, of the class ``cls``.

    The licence is what the card beside the weights says, or the class where the weights come with it.
    """
    sources = cls.sources(reference) if hasattr(cls, "sources") else []
    hub = tuple(source.name for source in sources if not source.local)
    revision = (info.revision or sources[0].revision) if len(hub) == 1 else None
    own = {"license": cls.license} if hasattr(cls, "license") else {}
    licence = _licence(sources[0].name, revision, sources[0].local) if sources else own
    named = info.name if any(source.local for source in sources) else public(reference)
    takes = "adapter" in getattr(cls, "options", ())
    return Origin(info.name, named, info.fingerprint, hub, revision, licence, takes)


def command_of(settings: AlignSettings, origin: Origin, number: int) -> str:
    """The command that plays up to the round; folders of this machine are named without where they lie."""
    words = ["hermes", "align", "--model", origin.reference, "--rounds", str(number)]
    recipe = settings.recipe
    if recipe is not None and recipe != recipe_of(settings.model):
        words += ["--recipe", recipe]
    others = build(AlignSettings, overrides=SHELF.settings(recipe) if recipe not in (None, NONE) else {})
    for name in AlignSettings.model_fields:
        value = getattr(settings, name)
        same = all(getattr(settings, one) == getattr(others, one) for one in (name, *FINER.get(name, ())))
        if name in SILENT or same or value is None:
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{flag}")
        else:
            words += ["-n" if name == "n" else f"--{flag}", spelled(name, value)]
    return shlex.join(words)


def spelled(name: str, value: Any) -> str:
    """The value of a setting as the command line takes it, without the folders of this machine."""
    several = value.split(",") if name == "judge" else value if isinstance(value, tuple) else (value,)
    return ",".join(public(str(one)) if name in NAMING else str(one) for one in several)


def public(reference: str) -> str:
    """A reference without the folders of this machine: ``mplug:/data/mplug`` is ``mplug:mplug``; hub ids and addresses
    stay."""
    if "://" in reference:
        return reference
    return ":".join(part if is_hub_id(part.partition("@")[0]) else Path(part).name for part in reference.split(":"))


def _licence(name: str, revision: str | None, local: bool) -> dict[str, str]:
    """The metadata on the licence in the card of a checkpoint; none where there is no card that can be read."""
    from huggingface_hub import HfApi, ModelCard

    try:
        if local:
            card = ModelCard.load(Path(name, CARD), ignore_metadata_errors=True).data
        else:
            card = HfApi().model_info(name, revision=revision, timeout=SECONDS).card_data
        said = card.to_dict() if card else {}
    except Exception:  # the hub's client and YAML raise many kinds, and no licence is known either way
        return {}
    return {key: said[key] for key in LICENCE if isinstance(said.get(key), str)}
