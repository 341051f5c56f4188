"""A Janus checkpoint in transformers' layout as network and processor."""

from dataclasses import dataclass
from typing import Any

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.models.pretrained import read_pretrained
from hermes.harness.models.source import Source

CLASSES = ("JanusForConditionalGeneration", "JanusProcessor")


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint holds; ``commit`` is the hub's, None for a folder."""

    network: Any
    processor: Any
    commit: str | None


def load_checkpoint(where: Source, device: str, options: LoadOptions) -> Loaded:
    """The checkpoint of a folder or hub id. Raises HermesError for what is missing, torn or of another kind."""
    network, processor = read_pretrained(where, device, options, "janus", CLASSES, "deepseek-community/Janus-Pro-1B")
    commit = getattr(network.config, "_commit_hash", None)
    words, settings = processor.tokenizer, network.generation_config
    own = dict(getattr(settings, "generation_kwargs", None) or {})
    settings.generation_kwargs = {"boi_token_id": words.convert_tokens_to_ids(words.boi_token), **own}
    if options.adapter:
        network = merge_adapter(network, options.adapter, "model janus")
    network.model.vqmodel.float()  # Pictures lose quality in half precision, and the VQ model is small.
    if not options.device_map:
        network = network.to(device)
    return Loaded(network.eval(), processor, commit)
