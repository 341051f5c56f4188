"""Models and judges by name: what they lack is said before weights are read."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hermes.harness.contracts.judge import Judge
from hermes.harness.contracts.model import UnifiedModel
from hermes.harness.contracts.options import PLAIN, LoadOptions, refuse_unsupported
from hermes.harness.models.adapters import main_file
from hermes.harness.models.detect import model_class
from hermes.harness.models.device import pick_device
from hermes.harness.models.room import check_room, sized
from hermes.harness.models.source import Source, parse_source
from hermes.harness.models.trained import said_of
from hermes.harness.system import hub, registry
from hermes.harness.system.errors import HermesError
from hermes.harness.system.launch import refuse_spread
from hermes.harness.system.progress import Progress


class Loadable(NamedTuple):
    """Where a model is loaded to, what its weights are read from, and their bytes in memory (0: unknown)."""

    device: str
    sources: list[Source]
    weights: int


def check_model(cls: Any, reference: str, device: str, options: LoadOptions) -> Loadable:
    """What can be known of a model before any of its weights are read.

    Raises HermesError for options that its class ``cls`` does not take and for a checkpoint that has no room here.
    """
    refuse_unsupported(cls, options, reference)
    refuse_spread(options.device_map)
    device = device_of(cls, device)
    sources = cls.sources(reference) if hasattr(cls, "sources") else []
    return Loadable(device, sources, check_room(sources, device, options, reference))


def load_model(
    reference: str, device: str = "auto", options: LoadOptions = PLAIN, progress: Progress | None = None
) -> UnifiedModel:
    """The model behind a registered name, a checkpoint folder or OWNER/NAME[@REVISION] of the hub.

    Says what was found. Raises HermesError, before any weights are read, for options that the model does not take and
    for a checkpoint that has no room here.
    """
    cls = model_class(reference)
    device, sources, weights = check_model(cls, reference, device, options)
    if progress is not None and not all(source.local for source in sources) and (why := hub.unreachable()):
        progress.say(f"{why}; the model is read from the cache")
    if sources and progress is not None:
        where = ", ".join(map(_place, sources))
        size = f", {sized(weights)} of weights" if weights else ""
        progress.say(f"model: {cls.__name__} ({', '.join(cls.abilities)}) from {where}{size}, {device}")
        if options.adapter:
            adapter = parse_source(options.adapter, "adapter", "--adapter", main_file(options.adapter))
            progress.say(f"adapter: {_place(adapter)}")
    accepted = getattr(cls, "options", ())
    model: UnifiedModel = cls.load(reference, device, options) if accepted else cls.load(reference, device)
    return model


def _place(source: Source) -> str:
    """Where a checkpoint is read from, and what was chosen where several are there."""
    chosen = said_of(Path(source.name), Path(source.given)) if source.given else ""
    return source.name + (f"@{source.revision}" if source.revision else "") + (chosen and f" ({chosen})")


def device_of(cls: Any, wanted: str) -> str:
    """The device that a model or judge is loaded to; for one that computes nothing torch is not even imported."""
    return pick_device(wanted if getattr(cls, "uses_torch", True) else "cpu")


def load_judges(names: Iterable[str | None], model: UnifiedModel | None, device: str) -> dict[str, Judge]:
    """Each judge once; ``model`` is None where answers come from elsewhere."""
    judges: dict[str, Judge] = {}
    for name in sorted({name for name in names if name}):
        cls = registry.load_class("judges", name)
        argument = registry.split_reference(name)[1]
        if model is None and getattr(cls, "needs_model", False):
            raise HermesError(f"judge {name!r} is the evaluated model, and none is loaded here; give another --judge")
        judges[name] = cls(model) if getattr(cls, "needs_model", False) else cls.load(argument, device_of(cls, device))
    return judges
