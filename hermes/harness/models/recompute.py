"""Gradient checkpointing of transformers' networks: activations are computed again instead of kept."""

from typing import Any


def recompute(network: Any, on: bool) -> None:
    """Switch it on or off; it takes effect in training mode."""
    if on:
        network.gradient_checkpointing_enable({"use_reentrant": False})
    else:
        network.gradient_checkpointing_disable()
