"""A LoRA adapter in diffusers' layout, fused into a pipeline's weights."""

from pathlib import Path
from typing import Any

from safetensors import safe_open

from hermes.harness.models.source import parse_source
from hermes.harness.system.errors import HermesError

WEIGHTS = "pytorch_lora_weights.safetensors"
DOWN = (".lora_A.weight", ".lora.down.weight", ".lora_down.weight")


def fuse_adapter(pipe: Any, adapter: str, who: str) -> None:
    """Add the adapter's low-rank updates, at their full scale, to the weights of the pipeline's networks.

    ``adapter`` is a folder or hub id with WEIGHTS. Raises HermesError, which begins with ``who``, where it is not one,
    is torn, or was trained on another pipeline, and where the pipeline takes none.
    """
    if not hasattr(pipe, "load_lora_weights"):
        raise HermesError(f"{who}: {type(pipe).__name__} takes no adapter; leave --adapter out")
    source = parse_source(adapter, f"{who}: adapter", "--adapter", WEIGHTS)
    try:
        path = Path(source.name) / WEIGHTS
        if not source.local:
            from huggingface_hub import hf_hub_download

            path = Path(hf_hub_download(source.name, WEIGHTS, revision=source.revision))
        with safe_open(path, "pt") as file:
            stored = sum(name.endswith(DOWN) for name in file.keys())  # noqa: SIM118
        if not stored:
            raise ValueError("it holds no updates")
        pipe.load_lora_weights(str(path.parent), weight_name=WEIGHTS, use_safetensors=True)
        placed = _updates(pipe)
        if sum(placed.values()) < stored:
            raise ValueError(f"{stored - sum(placed.values())} of its {stored} updates have no place")
        # Named, as some pipelines would leave their text encoder out.
        pipe.fuse_lora(components=list(placed))
        pipe.unload_lora_weights()
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HermesError(
            f"{who}: the adapter {adapter} does not fit ({reason[:300]}); give one that was trained on this pipeline"
        ) from None


def _updates(pipe: Any) -> dict[str, int]:
    """How many low-rank updates hang on each of the pipeline's networks, those without any left out."""
    networks = {name: part for name, part in pipe.components.items() if hasattr(part, "named_parameters")}
    counts = {name: sum(".lora_A." in key for key, _ in part.named_parameters()) for name, part in networks.items()}
    return {name: count for name, count in counts.items() if count}
