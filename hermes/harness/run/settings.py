"""What `hermes eval` is asked to do."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from hermes.harness.contracts.options import FailureSettings, FolderSettings, ModelSettings, Panel, TrackerSettings
from hermes.harness.records.types import Split

TAGS_HELP = (
    'Pairs of tags around reasoning before an answer, as JSON: [["<think>", "</think>"]], or none. '
    "Default: those of lmms-eval."
)


class EvalSettings(ModelSettings, FailureSettings, FolderSettings, TrackerSettings):
    """What `hermes eval` is asked to do; each field is a key of the TOML file and an option of the command line."""

    panel: ClassVar = Panel.BENCHMARKS

    tasks: tuple[str, ...] = Field(
        (),
        description="Names with commas, lmms:NAME for lmms-eval's; with overrides: homologous-g@guidance_scale=1. "
        "Default: all standard ones that the model can do.",
    )
    task_file: tuple[Path, ...] = Field(
        (),
        description="Your own questions (.jsonl, .json, .csv, .tsv, .xlsx, .parquet), as the task file:NAME; "
        "FILE:contains or FILE:judge scores otherwise than FILE; may be given several times.",
    )
    recipe: str | None = Field(
        None,
        description="Settings of a printed number, as in show-o@readme; what is given otherwise counts. `hermes list "
        "recipes` shows all. Default: none.",
    )
    decoding: tuple[str, ...] = Field(
        (),
        description="How a side or a task answers, with commas: generation@guidance_scale=5,steps=50. Its column keeps "
        "its name; over what --recipe says. Default: as the model and the benchmark have it.",
    )
    data: str | None = Field(
        None,
        description="shapes, hub, hub:OWNER/NAME@REVISION, a folder with <task>.jsonl, or a file; also one for each "
        "task: pope=hub,geneval=folder/. Default: what the model is made for, shapes or hub.",
    )
    update_data: bool = Field(False, description="Read the newest commit of hub data sets, not that of the first run.")
    split: Split = Field("test", description="Split of the shapes world, and of homologous items in files of splits.")
    held_out: bool = Field(
        False,
        description="Of homologous items without files for --split, only the share that hermes align keeps for it.",
    )
    limit: int | None = Field(None, ge=1, description="Only the first N items of each task. Default: all.")
    ids: Path | None = Field(None, description="A file with one id a line: only these samples, or items. Default: all.")
    category: tuple[str, ...] = Field((), description="Only samples of these categories, with commas. Default: all.")
    sample: int | None = Field(
        None, ge=1, description="Only N items of each task, drawn at random by --seed. Default: all."
    )
    judge: str | None = Field(
        None,
        description="Who judges generated images, and answers under FILE:judge, as in mask2former,mplug:FOLDER; "
        "`hermes list judges` shows all. Default: the benchmark's own, where it has one.",
    )
    rewrite: str | None = Field(
        None,
        description="Who writes prompts anew before they are drawn: a model, as in openai:NAME@URL or hf:ID, or "
        "column:NAME of the rows. Judges go by the prompts as they are. Default: nobody.",
    )
    rewrite_instruction: Path | None = Field(
        None, description="A file with what --rewrite's model is told, {prompt} in the prompt's place. Default: ours."
    )
    protocol: str = Field(
        "official", description="How answers are scored: official, lmms-eval, llava, corrected, similarity."
    )
    reasoning_tags: str | None = Field(None, description=TAGS_HELP)
    seed: int = Field(0, description="Seed of all sampling.")
    batch_size: int = Field(64, ge=1, description="Requests a batch; changes no answer.")
    label: str | None = Field(None, description="Name of the row in leaderboards. Default: the model's name.")
