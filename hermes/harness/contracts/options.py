"""Settings that commands share: which model, how it is loaded, where results go. Nothing here needs torch."""

from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from hermes.harness.records.types import Record
from hermes.harness.system.errors import HermesError

DType = Literal["auto", "float32", "bfloat16", "float16"]


class Panel(Enum):
    """The groups of options in ``--help``, in the order of display. A class of settings names its own as ``panel``."""

    MODEL = "Model and device"
    BENCHMARKS = "Benchmarks"
    ANSWERS = "Answers"
    PLAY = "Self-play"
    CANDIDATES = "Candidates"
    PREFERENCES = "Preferences"
    LOSS = "Loss"
    TRAINING = "Training"
    EVALUATION = "Evaluation"
    FAILURES = "Failures"
    FILES = "Files"


class LoadOptions(Record):
    """How a checkpoint is loaded. A model class lists in ``options`` the fields that it supports."""

    panel: ClassVar = Panel.MODEL

    dtype: DType = Field("auto", description="Precision of the weights; auto is the model's own choice for the device.")
    device_map: str | None = Field(
        None, description="auto spreads the weights over all GPUs; accelerate's other names work too."
    )
    adapter: str | None = Field(
        None, description="An adapter in PEFT's layout, such as LoRA, to merge into the weights: a folder or hub id."
    )
    compile: bool = Field(False, description="Compile the model with torch.compile.")
    as_released: bool = Field(
        False, description="Run the model as its authors' code does, faults included; docs/models.md says which."
    )

    def given(self) -> dict[str, Any]:
        """The fields that are not at their defaults."""
        return self.model_dump(exclude_defaults=True)


class PluginSettings(Record):
    """Code of one's own."""

    panel: ClassVar = Panel.FILES

    plugin: tuple[Path, ...] = Field(
        (), description="A Python file with a benchmark, a model or a judge of your own; may be given several times."
    )


class ModelSettings(LoadOptions, PluginSettings):
    """The model, the device that it runs on, and code of one's own."""

    panel: ClassVar = Panel.MODEL

    model: str = Field("hermes-tiny", description="A name, a checkpoint folder, or OWNER/NAME[@REVISION] of the hub.")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")


class FolderSettings(Record):
    """Where results are kept."""

    panel: ClassVar = Panel.FILES

    runs: Path = Field(Path("runs"), description="The folder of all runs and of the answers that they share.")
    out: Path | None = Field(
        None, description="One self-contained folder for these results instead. Default: a folder below --runs."
    )
    fresh: bool = Field(False, description="Discard what is stored for this command instead of going on with it.")


class TrackerSettings(Record):
    """Who else is told the figures."""

    panel: ClassVar = Panel.FILES

    trackers: tuple[str, ...] = Field(
        (),
        description="Where figures go beside the files, with commas: tensorboard, wandb, or another of accelerate's.",
    )


class FailureSettings(Record):
    """When a command gives up."""

    panel: ClassVar = Panel.FAILURES

    max_failures: int = Field(
        50, ge=0, description="Stop after so many answers or judgements in a row that failed; 0 is never."
    )


PLAIN = LoadOptions()


def options_of(settings: LoadOptions) -> LoadOptions:
    """The loading options among the fields of other settings."""
    return LoadOptions(**{name: getattr(settings, name) for name in LoadOptions.model_fields})


def refuse_unsupported(cls: Any, options: LoadOptions, name: str) -> None:
    """Raise HermesError for an option that the model class does not support; float32 is what it does anyway."""
    supported: tuple[str, ...] = getattr(cls, "options", ())
    for field, value in options.given().items():
        if field not in supported and (field, value) != ("dtype", "float32"):
            able = ", ".join(map(_flag, supported)) or "none"
            raise HermesError(f"model {name!r} does not support {_flag(field)} (it supports {able}); leave it out")


def _flag(field: str) -> str:
    return "--" + field.replace("_", "-")
