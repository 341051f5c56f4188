"""An Emu3 checkpoint in transformers' layout as network and processor."""

from dataclasses import dataclass
from typing import Any

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.models.emu3.images import Tokens, tokens_of
from hermes.harness.models.pretrained import read_pretrained
from hermes.harness.models.source import Source

CLASSES = ("Emu3ForConditionalGeneration", "Emu3Processor")


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint holds; ``commit`` is the hub's, None for a folder."""

    network: Any
    processor: Any
    tokens: Tokens
    commit: str | None


def load_checkpoint(where: Source, device: str, options: LoadOptions) -> Loaded:
    """The checkpoint of a folder or hub id. Raises HermesError for what is missing, torn or of another kind."""
    network, processor = read_pretrained(
        where, device, options, "emu3", CLASSES, "BAAI/Emu3-Chat-hf or BAAI/Emu3-Gen-hf"
    )
    commit = getattr(network.config, "_commit_hash", None)
    tokens = tokens_of(network, processor, where.name)
    if options.adapter:
        network = merge_adapter(network, options.adapter, "model emu3")
    if not options.device_map:
        network = network.to(device)
    return Loaded(network.eval(), processor, tokens, commit)
