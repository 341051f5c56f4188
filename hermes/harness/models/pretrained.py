"""A checkpoint of one of transformers' unified models as network and processor, whole or not at all."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import transformers
from torch import Tensor

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.families import refuse_other_family
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.quiet import quiet
from hermes.harness.models.source import Source
from hermes.harness.models.tensors import read_tensors, weight_files, without_prefix
from hermes.harness.system.errors import HermesError

TRANSFORMERS = ("model.safetensors", "pytorch_model.bin")
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
    settings, _ = transformers.PreTrainedConfig.get_config_dict(name, **pinned)
    refuse_other_family(settings, f"{who}: {name}")
    config = transformers.AutoConfig.from_pretrained(name, **pinned)
    if model_type not in (None, config.model_type):
        raise HermesError(f"{who}: {name} is a {config.model_type!r} model; give a checkpoint of {model_type}")
    return config


def read_network(kind: Any, name: str, device: str, options: LoadOptions, pinned: Mapping[str, Any], who: str) -> Any:
    """A network of transformers' class ``kind`` with all its weights, which are numbers."""
    settings = {
        "dtype": torch_dtype(options.dtype, device),
        "device_map": options.device_map,
        "ignore_mismatched_sizes": True,  # they are refused below, by name
        **pinned,
    }
    stored = rewrapped(Path(name), TRANSFORMERS, who)
    with quiet():
        if stored is None:
            network, info = kind.from_pretrained(name, output_loading_info=True, **settings)
        else:
            network, info = of_tensors(kind, name, stored, settings)
        if info["missing_keys"] and info["unexpected_keys"] and Path(name).is_dir():
            held = read_tensors(Path(name), TRANSFORMERS).tensors
            if (own := without_prefix(held, info["missing_keys"])) is not held:
                network, info = of_tensors(kind, name, own, settings)
    refuse_unfit(network, info, f"{who}: the weights of {name}")
    return network


def rewrapped(folder: Path, names: Collection[str], who: str) -> dict[str, Tensor] | None:
    """A local checkpoint's tensors, where they lie in files or under names that a library does not read by itself.

    ``names`` are the files that it reads. None where it does, and where nothing is known about the folder's files.
    Raises HermesError, which begins with ``who``, for files that cannot be read.
    """
    if not folder.is_dir():
        return None
    try:
        if not weight_files(folder, names)[0]:
            return None
        stored = read_tensors(folder, names)
    except HermesError as error:
        raise HermesError(f"{who}: {error}") from None
    return None if stored.plain and stored.file in names else stored.tensors


def refuse_unfit(network: Any, info: Mapping[str, Any], what: str) -> None:
    """Raise HermesError, which begins with ``what``, for weights that are missing or of another shape, which libraries
    make up, or no numbers.
    """
    for name, found, wanted in sorted(info["mismatched_keys"]):
        raise HermesError(f"{what} hold {name} with the shape {tuple(found)}, not {tuple(wanted)}; download it again")
    if absent := sorted(info["missing_keys"]):
        odd = sorted(info["unexpected_keys"])
        others = f", and hold {len(odd)} that the model does not have, such as {odd[0]}" if odd else ""
        advice = "give weights under the model's own names" if odd else "download it again"
        raise HermesError(f"{what} lack {len(absent)} tensors, such as {absent[0]}{others}; {advice}")
    refuse_not_finite(network.state_dict(), what)


def of_tensors(kind: Any, folder: str, stored: dict[str, Tensor], settings: dict[str, Any]) -> tuple[Any, Any]:
    """What ``kind.from_pretrained`` gives, of these tensors and the folder's settings."""
    auto = getattr(kind, "_model_mapping", None)
    config_class: Any = transformers.AutoConfig if auto else kind.config_class
    config = config_class.from_pretrained(folder)
    if auto:
        kinds = auto[type(config)]
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        kind = next((one for one in kinds if one.__name__ in (config.architectures or ())), kinds[0])
    with suppress(OSError):  # it may have none
        settings = {**settings, "generation_config": transformers.GenerationConfig.from_pretrained(folder)}
    network, info = kind.from_pretrained(None, config=config, state_dict=stored, output_loading_info=True, **settings)
    return network, info
