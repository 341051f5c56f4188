"""What a launcher may ask for: settings of `accelerate launch` under which numbers would be wrong are refused."""

import os
from collections.abc import Mapping

from hermes.harness.system.errors import HermesError


def refuse_spread(device_map: str | None, environment: Mapping[str, str] = os.environ) -> None:
    """Raises HermesError where each of several processes would spread a model of its own over all GPUs."""
    number = int(environment.get("WORLD_SIZE", "1"))
    if device_map is not None and number > 1:
        raise HermesError(
            f"--device-map {device_map} spreads one model over all GPUs, and each of {number} processes would do so; "
            "leave it out, or start the command once, without a launcher"
        )


def check_launch(environment: Mapping[str, str] = os.environ) -> None:
    """Raises HermesError, before anything is loaded, for what the launcher's environment says and Hermes cannot do.

    DeepSpeed's engine switches the caller's mixed precision off in its own forward pass (`autocast_if_enabled` in
    deepspeed/runtime/torch_autocast.py), so policy and reference would be two functions, and it takes clipping, steps
    and their state away from the caller.
    """

    def on(name: str) -> bool:
        return environment.get(name, "").lower() in ("1", "true", "yes", "on")

    if on("ACCELERATE_USE_DEEPSPEED"):
        raise HermesError(
            "DeepSpeed is not supported: its engine would change the arithmetic of the loss; launch with "
            "configs/zero2.yaml, which shards gradients and optimizer state as ZeRO-2 does, or configs/fsdp.yaml"
        )
    if on("ACCELERATE_USE_MEGATRON_LM"):
        raise HermesError("Megatron-LM is not supported; launch with configs/fsdp.yaml")
    if environment.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1") not in ("", "1"):
        raise HermesError("leave gradient_accumulation_steps to Hermes; set batch_size and micro_batch in --config")
    if not on("ACCELERATE_USE_FSDP"):
        return
    if environment.get("FSDP_VERSION", "1") != "2":
        raise HermesError("only FSDP2 is supported; set fsdp_version: 2, as in configs/fsdp.yaml")
    if on("FSDP_CPU_RAM_EFFICIENT_LOADING"):
        raise HermesError(
            "fsdp_cpu_ram_efficient_loading leaves all processes but one without weights to draw with; set it to false"
        )
    if on("FSDP_OFFLOAD_PARAMS"):
        raise HermesError("fsdp_offload_params is not supported; checkpointing or lora_rank in --config save memory")
    if on("FSDP_ACTIVATION_CHECKPOINTING"):
        raise HermesError("set fsdp_activation_checkpointing to false, and checkpointing = true in --config")
