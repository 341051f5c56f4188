"""A checkpoint of one of transformers' unified models as network and processor, whole or not at all."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import transformers

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.source import Source
from hermes.harness.system.errors import HermesError

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
    advice = f"; give a checkpoint that transformers' {classes[0]} reads, as {example}"
    with loading(f"{model_type}: {name}", advice):
        read_config(name, model_type, pinned, model_type)
        processor = processor_class.from_pretrained(name, **pinned)
        network = read_network(network_class, name, device, options, pinned, model_type)
    if not processor.chat_template:
        raise HermesError(f"{model_type}: {name} has no chat template; add its chat_template.jinja")
    processor.tokenizer.padding_side = "left"
    for key in SPECIAL:  # generate looks them up, and some checkpoints' settings leave them out
        if getattr(network.generation_config, key, None) is None:
            setattr(network.generation_config, key, getattr(processor.tokenizer, key))
    return network, processor


@contextmanager
def loading(what: str, advice: str = "") -> Iterator[None]:
    """Whatever transformers raises about ``what`` becomes one HermesError, which ends with ``advice``."""
    try:
        yield
    except HermesError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "custom code" in reason:
            reason = "it brings its own code, which is never run; use a model that transformers knows"
        raise HermesError(f"{what} cannot be loaded ({reason[:300]}){advice}") from None


def read_config(name: str, who: str, pinned: Mapping[str, Any], model_type: str | None = None) -> Any:
    """The configuration of a checkpoint. Raises HermesError for one of another ``model_type`` than is wanted."""
    config = transformers.AutoConfig.from_pretrained(name, **pinned)
    if model_type not in (None, config.model_type):
        raise HermesError(f"{who}: {name} is a {config.model_type!r} model; give a checkpoint of {model_type}")
    return config


def read_network(kind: Any, name: str, device: str, options: LoadOptions, pinned: Mapping[str, Any], who: str) -> Any:
    """A network of transformers' class ``kind`` with all its weights."""
    settings = {"dtype": torch_dtype(options.dtype, device), "device_map": options.device_map, **pinned}
    network, info = kind.from_pretrained(name, output_loading_info=True, **settings)
    refuse_missing(info, f"{who}: the weights of {name}")
    return network


def refuse_missing(info: Mapping[str, Any], what: str) -> None:
    """Raise HermesError, which begins with ``what``, where weights were missing, which transformers makes up."""
    absent = sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})
    if absent:
        raise HermesError(f"{what} lack {len(absent)} tensors, such as {absent[0]}; download it again")
