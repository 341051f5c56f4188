"""An adapter of a pipeline: LoRA in diffusers' layout, or of any type in PEFT's for the denoiser, in its weights."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from hermes.harness.models.adapter_tree import marks
from hermes.harness.models.adapters import OF_PIPELINES, SETTINGS, main_file, merge_adapter
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.source import parse_source
from hermes.harness.system.errors import HermesError

DOWN = (".lora_A.weight", ".lora.down.weight", ".lora_down.weight")
DENOISERS = ("transformer", "unet")


def fuse_adapter(pipe: Any, adapter: str, who: str) -> None:
    """Add what the adapter learned, at its full scale, to the weights of the pipeline's networks.

    ``adapter`` is a folder or hub id in diffusers' layout, or a folder in PEFT's. Raises HermesError, which begins with
    ``who``, where it is not one, is torn, holds no numbers, was trained on another pipeline or changes nothing, and
    where the pipeline takes none.
    """
    if main_file(adapter, OF_PIPELINES) == SETTINGS:
        part = next((part for part in DENOISERS if getattr(pipe, part, None) is not None), None)
        if part is None:
            raise HermesError(f"{who}: {type(pipe).__name__} has no denoiser that an adapter fits; leave --adapter out")
        setattr(pipe, part, merge_adapter(getattr(pipe, part), adapter, who))
        return
    if not hasattr(pipe, "load_lora_weights"):
        raise HermesError(f"{who}: {type(pipe).__name__} takes no adapter; leave --adapter out")
    source = parse_source(adapter, f"{who}: adapter", "--adapter", OF_PIPELINES)
    what = f"{who}: the adapter {adapter}"
    try:
        path = Path(source.name) / OF_PIPELINES
        if not source.local:
            from huggingface_hub import hf_hub_download

            path = Path(hf_hub_download(source.name, OF_PIPELINES, revision=source.revision))
        tensors = load_file(path)
        refuse_not_finite(tensors, what)
        stored = sum(name.endswith(DOWN) for name in tensors)
        if not stored:
            raise ValueError("it holds no updates")
        before = _marks(pipe)
        pipe.load_lora_weights(str(path.parent), weight_name=OF_PIPELINES, use_safetensors=True)
        placed = _updates(pipe)
        if sum(placed.values()) < stored:
            raise ValueError(f"{stored - sum(placed.values())} of its {stored} updates have no place")
        # Named, as some pipelines would leave their text encoder out.
        pipe.fuse_lora(components=list(placed))
        pipe.unload_lora_weights()
    except HermesError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HermesError(f"{what} does not fit ({reason[:300]}); give one that was trained on this pipeline") from None
    if _marks(pipe) == before:
        raise HermesError(f"{what} changes no weight of the pipeline; give one that was trained, or leave it out")


def _marks(pipe: Any) -> dict[str, Any]:
    return {name: marks(part) for name, part in _networks(pipe).items()}


def _updates(pipe: Any) -> dict[str, int]:
    """How many low-rank updates hang on each of the pipeline's networks, those without any left out."""
    counts = {
        name: sum(".lora_A." in key for key, _ in part.named_parameters()) for name, part in _networks(pipe).items()
    }
    return {name: count for name, count in counts.items() if count}


def _networks(pipe: Any) -> dict[str, Any]:
    return {name: part for name, part in pipe.components.items() if hasattr(part, "named_parameters")}
