"""A Janus checkpoint in transformers' layout as network and processor."""

from dataclasses import dataclass
from typing import Any

import transformers

from hermes.harness.errors import HermesError
from hermes.harness.models.lora import merge_adapter
from hermes.harness.models.options import LoadOptions
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.source import Source


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint holds; ``commit`` is the hub's, None for a folder."""

    network: Any
    processor: Any
    commit: str | None


def load_checkpoint(where: Source, device: str, options: LoadOptions) -> Loaded:
    """The checkpoint of a folder or hub id. Raises HermesError for what is missing, torn or of another kind."""
    pinned: dict[str, Any] = {"revision": where.revision, "trust_remote_code": False}
    source = where.name
    try:
        config = transformers.AutoConfig.from_pretrained(source, **pinned)
        if config.model_type != "janus":
            raise HermesError(f"janus: {source} is of the kind {config.model_type!r}; give a Janus checkpoint")
        processor: Any = transformers.JanusProcessor.from_pretrained(source, **pinned)
        loader: Any = transformers.JanusForConditionalGeneration
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
            f"janus: {source} cannot be loaded ({reason[:300]}); give a checkpoint that transformers' "
            "JanusForConditionalGeneration reads, as deepseek-community/Janus-Pro-1B"
        ) from None
    absent = sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})
    if absent:
        raise HermesError(f"janus: the weights of {source} lack {len(absent)} tensors, as {absent[0]}; get them again")
    if not processor.chat_template:
        raise HermesError(f"janus: {source} has no chat template; add its chat_template.jinja")
    processor.tokenizer.padding_side = "left"
    _complete(network.generation_config, processor.tokenizer)
    if options.adapter:
        network = merge_adapter(network, options.adapter, "model janus")
    network.model.vqmodel.float()  # Pictures lose quality in half precision, and the VQ model is small.
    if not options.device_map:
        network = network.to(device)
    return Loaded(network.eval(), processor, getattr(network.config, "_commit_hash", None))


def _complete(config: Any, tokenizer: Any) -> None:
    """The special tokens that transformers' image generation looks up, where a checkpoint's settings leave them out."""
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if getattr(config, name, None) is None:
            setattr(config, name, getattr(tokenizer, name))
    own = dict(getattr(config, "generation_kwargs", None) or {})
    config.generation_kwargs = {"boi_token_id": tokenizer.convert_tokens_to_ids(tokenizer.boi_token), **own}
