"""A LoRA adapter in PEFT's layout, merged into the weights that it was trained on."""

import hashlib
from pathlib import Path
from typing import Any

from hermes.harness.models.source import parse_source
from hermes.harness.system.errors import HermesError

SETTINGS = "adapter_config.json"


def merge_adapter(network: Any, adapter: str, who: str) -> Any:
    """The network with the adapter's low-rank updates added to its weights.

    ``adapter`` is a folder or a hub id with an optional @REVISION. Raises HermesError, which begins with ``who``, where
    it is not one, is torn, or was trained on another network.
    """
    from peft import PeftConfig, PeftModel
    from peft.utils import load_peft_weights

    source = parse_source(adapter, f"{who}: adapter", "--adapter", SETTINGS)
    pinned: dict[str, Any] = {"revision": source.revision} if source.revision else {}
    try:
        config = PeftConfig.from_pretrained(source.name, **pinned)
        stored = load_peft_weights(source.name, device="cpu", **pinned)
        wrapped = PeftModel(network, config)
        found = wrapped.load_adapter(source.name, "default", **pinned)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HermesError(
            f"{who}: the adapter {adapter} does not fit ({reason[:300]}); give one that was trained on this model"
        ) from None
    lost = [name for name in (*found.unexpected_keys, *found.missing_keys) if "lora_" in name]
    if lost or not stored:
        raise HermesError(
            f"{who}: the adapter {adapter} does not fit ({lost[0] if lost else 'it is empty'}); "
            "give one that was trained on this model"
        )
    return wrapped.merge_and_unload()


def version_with(version: str, adapter: str | None, file: str = SETTINGS) -> str:
    """What tells a checkpoint of this ``version`` with this adapter from others, twelve hexadecimal digits.

    Of an adapter in a folder its content counts, of one of the hub the commit that its ``file`` came from.
    """
    if adapter is None:
        return version
    source = parse_source(adapter, "adapter", "--adapter", file)
    commit = None
    if not source.local:
        from huggingface_hub import hf_hub_download

        commit = Path(hf_hub_download(source.name, file, revision=source.revision)).parent.name
    return hashlib.sha256(f"{version}\0{source.version(commit)}".encode()).hexdigest()[:12]
