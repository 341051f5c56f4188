"""Which pipelines can be trained by preferences: told by their settings, before any weights are read."""

from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download

from hermes.harness.models.pipeline.index import INDEX, parts, read_index
from hermes.harness.models.source import Source
from hermes.harness.system import hub
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

PIPELINES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline")
PREDICTIONS = ("epsilon", "v_prediction")
FLOW = "FlowMatch"
OWN_NOISE = "EDM"
"""Schedulers whose class's name begins so scale a denoiser's input and output by rules of their own."""


def refuse_untrainable(source: Source, who: str) -> None:
    """Raise HermesError, which begins with ``who``, for a pipeline whose pictures have no likelihood here.

    Read are its index and the settings of scheduler and denoiser; of a hub repository these alone are downloaded.
    """
    index = read_index(_file(source, INDEX, who), who)
    name, where = str(index["_class_name"]), f"{who}: {source.name}"
    if name not in PIPELINES:
        raise HermesError(
            f"{where}: a {name} cannot be trained by preferences; those that can are {_listed(PIPELINES)}"
        )
    scheduler = parts(index).get("scheduler", ("", ""))[1]
    told = _settings(source, "scheduler/scheduler_config.json", who)
    predicted = told.get("prediction_type", PREDICTIONS[0])
    if FLOW not in scheduler and (scheduler.startswith(OWN_NOISE) or predicted not in PREDICTIONS):
        raise HermesError(
            f"{where}: with {scheduler} and the prediction {predicted!r} it cannot be trained by preferences; that "
            f"takes {_listed(PREDICTIONS)} or flow matching"
        )
    if "unet" in parts(index) and _settings(source, "unet/config.json", who).get("time_cond_proj_dim"):
        raise HermesError(f"{where}: its guidance is distilled into its denoiser; train the model it was made of")


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 2 else ", ".join(names)


def _settings(source: Source, name: str, who: str) -> dict[str, Any]:
    path = _file(source, name, who)
    try:
        settings = json_file(path)
    except (OSError, ValueError) as error:
        raise HermesError(f"{who}: {path} cannot be read ({error}); download it again") from None
    return settings if isinstance(settings, dict) else {}


def _file(source: Source, name: str, who: str) -> Path:
    if source.local:
        return Path(source.name) / name
    try:
        return Path(hf_hub_download(source.name, name, revision=source.revision))
    except Exception as error:  # the hub's client raises many kinds
        raise HermesError(
            f"{who}: {source.name}: {name} is not available from the hub ({hub.missing(error)}); give a folder"
        ) from None
