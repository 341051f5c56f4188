"""An adapter in PEFT's layout, of any type that can be merged, in the weights of the network it was trained on."""

import hashlib
from pathlib import Path
from typing import Any

from hermes.harness.models.source import Source, parse_source
from hermes.harness.models.trained import checkpoint_folder
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

SETTINGS = "adapter_config.json"
FILES = ("adapter_model.safetensors", "adapter_model.bin")
OF_PIPELINES = "pytorch_lora_weights.safetensors"


def main_file(adapter: str, usual: str = SETTINGS) -> str:
    """The file by which the adapter's layout is known, PEFT's or diffusers'; the ``usual`` one where none is there."""
    folder = Path(adapter).expanduser()
    known = (OF_PIPELINES, SETTINGS) if folder.is_dir() else ()
    return next((name for name in known if (checkpoint_folder(folder, (name,)) / name).is_file()), usual)


def merge_adapter(network: Any, adapter: str, who: str) -> Any:
    """The network with what the adapter learned in its weights.

    ``adapter`` is a folder or a hub id with an optional @REVISION. Raises HermesError, which begins with ``who``, where
    it is not one, is torn, holds no numbers, cannot be merged, was trained on another network, or changes nothing.
    """
    from hermes.harness.models.adapter_tree import marks, put_on
    from hermes.harness.models.finite import refuse_not_finite

    what = f"{who}: the adapter {adapter}"
    try:
        config, stored = _read(parse_source(adapter, f"{who}: adapter", "--adapter", SETTINGS), what)
        refuse_not_finite(stored, what)
        before = marks(network)
        trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
        put_on(network, config, stored, what).merge_and_unload()
    except HermesError:
        raise
    except Exception as error:  # PEFT raises many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HermesError(f"{what} does not fit ({reason[:300]}); give one that was trained on this model") from None
    after = marks(network)
    if after.keys() != before.keys():
        raise HermesError(f"{what} gives the model other tensors; merge it with PEFT, and give the whole checkpoint")
    if after == before:
        raise HermesError(f"{what} changes no weight of the model; give one that was trained, or leave it out")
    for name, weight in network.named_parameters():  # PEFT has frozen them
        weight.requires_grad_(name in trained)
    return network


def version_with(version: str, adapter: str | None, file: str = SETTINGS) -> str:
    """What tells a checkpoint of this ``version`` with this adapter from others, twelve hexadecimal digits.

    Of an adapter in a folder its content counts, of one of the hub the commit that its ``file`` came from.
    """
    if adapter is None:
        return version
    source = parse_source(adapter, "adapter", "--adapter", file)
    commit = None if source.local else _file(source, file).parent.name
    return hashlib.sha256(f"{version}\0{source.version(commit)}".encode()).hexdigest()[:12]


def _read(source: Source, what: str) -> tuple[Any, dict[str, Any]]:
    """The adapter's settings and tensors."""
    from peft import PeftConfig, PeftType
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

    from hermes.harness.models.tensors import read_tensors

    path = _file(source, SETTINGS)
    try:
        settings = json_file(path)
    except ValueError as error:
        raise HermesError(f"{what}: {SETTINGS} is not valid JSON ({error}); fix the file") from None
    kind = settings.get("peft_type") if isinstance(settings, dict) else None
    if kind not in list(PeftType):
        raise HermesError(f"{what}: peft_type in {SETTINGS} is {kind!r}, which PEFT does not know; write what it is")
    config = PeftConfig.from_pretrained(str(path.parent))
    if config.is_prompt_learning or not hasattr(PEFT_TYPE_TO_TUNER_MAPPING[kind], "merge_and_unload"):
        raise HermesError(f"{what} is of type {kind}, which cannot be merged into weights; give one that can, as LORA")
    return config, read_tensors(_weights(source, what)).tensors


def _weights(source: Source, what: str) -> Path:
    from huggingface_hub.errors import EntryNotFoundError

    for name in FILES:
        try:
            path = _file(source, name)
        except EntryNotFoundError:
            continue
        if path.is_file():
            return path
    raise HermesError(f"{what} holds no {FILES[0]}; copy it there")


def _file(source: Source, name: str) -> Path:
    """A file of the adapter, downloaded where it is the hub's."""
    if source.local:
        return Path(source.name) / name
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(source.name, name, revision=source.revision))
