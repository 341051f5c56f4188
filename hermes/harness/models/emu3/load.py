"""An Emu3 checkpoint in transformers' layout as network and processor."""

from dataclasses import dataclass
from typing import Any

import transformers

from hermes.harness.errors import HermesError
from hermes.harness.models.emu3.images import Tokens, tokens_of
from hermes.harness.models.lora import merge_adapter
from hermes.harness.models.options import LoadOptions
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.source import Source


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint holds; ``commit`` is the hub's, None for a folder."""

    network: Any
    processor: Any
    tokens: Tokens
    commit: str | None


def load_checkpoint(where: Source, device: str, options: LoadOptions) -> Loaded:
    """The checkpoint of a folder or hub id. Raises HermesError for what is missing, torn or of another kind."""
    pinned: dict[str, Any] = {"revision": where.revision, "trust_remote_code": False}
    source = where.name
    try:
        config = transformers.AutoConfig.from_pretrained(source, **pinned)
        if config.model_type != "emu3":
            raise HermesError(f"emu3: {source} is of the kind {config.model_type!r}; give an Emu3 checkpoint")
        processor: Any = transformers.Emu3Processor.from_pretrained(source, **pinned)
        loader: Any = transformers.Emu3ForConditionalGeneration
        network, info = loader.from_pretrained(
            source,
            dtype=torch_dtype(options.dtype, device),
            device_map=options.device_map,
            output_loading_info=True,
            **pinned,
        )
    except HermesError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HermesError(
            f"emu3: {source} cannot be loaded ({reason[:300]}); give a checkpoint that transformers' "
            "Emu3ForConditionalGeneration reads, as BAAI/Emu3-Chat-hf or BAAI/Emu3-Gen-hf"
        ) from None
    absent = sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})
    if absent:
        raise HermesError(f"emu3: the weights of {source} lack {len(absent)} tensors, as {absent[0]}; get them again")
    if not processor.chat_template:
        raise HermesError(f"emu3: {source} has no chat template; add its chat_template.jinja or chat_template.json")
    processor.tokenizer.padding_side = "left"
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if getattr(network.generation_config, name, None) is None:
            setattr(network.generation_config, name, getattr(processor.tokenizer, name))
    tokens = tokens_of(network, processor, source)
    if options.adapter:
        network = merge_adapter(network, options.adapter, "model emu3")
    if not options.device_map:
        network = network.to(device)
    return Loaded(network.eval(), processor, tokens, getattr(network.config, "_commit_hash", None))
