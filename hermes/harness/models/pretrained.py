"""A checkpoint of one of transformers' unified models as network and processor, whole or not at all."""

from collections.abc import Mapping
from typing import Any

import transformers

from hermes.harness.errors import HermesError
from hermes.harness.models.options import LoadOptions
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.source import Source

SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")


def read_pretrained(
    where: Source, device: str, options: LoadOptions, model_type: str, classes: tuple[str, str], example: str
) -> tuple[Any, Any]:
    """Network, on the CPU unless a device map says more, and processor, which pads on the left.

    ``classes`` names transformers' classes of both, ``example`` a checkpoint that they read. Raises HermesError for
    what is missing, torn, of another kind, or has no chat template.
    """
    pinned: dict[str, Any] = {"revision": where.revision, "trust_remote_code": False}
    network_class, processor_class = (getattr(transformers, name) for name in classes)
    name = where.name
    try:
        config = transformers.AutoConfig.from_pretrained(name, **pinned)
        if config.model_type != model_type:
            raise HermesError(f"{model_type}: {name} is of the kind {config.model_type!r}; give one of {model_type}")
        processor = processor_class.from_pretrained(name, **pinned)
        network, info = network_class.from_pretrained(
            name,
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
            f"{model_type}: {name} cannot be loaded ({reason[:300]}); give a checkpoint that transformers' "
            f"{classes[0]} reads, as {example}"
        ) from None
    refuse_missing(info, f"{model_type}: the weights of {name}")
    if not processor.chat_template:
        raise HermesError(f"{model_type}: {name} has no chat template; add its chat_template.jinja")
    processor.tokenizer.padding_side = "left"
    for key in SPECIAL:  # generate looks them up, and some checkpoints' settings leave them out
        if getattr(network.generation_config, key, None) is None:
            setattr(network.generation_config, key, getattr(processor.tokenizer, key))
    return network, processor


def refuse_missing(info: Mapping[str, Any], what: str) -> None:
    """Raise HermesError, which begins with ``what``, where weights were missing, which transformers makes up."""
    absent = sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})
    if absent:
        raise HermesError(f"{what} lack {len(absent)} tensors, as {absent[0]}; get them again")
