"""What to say where a training does not fit into memory."""

from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import place_of


def out_of_memory(error: Exception, size: int) -> HermesError:
    """What to raise where a training with ``size`` pairs at once does not fit."""
    fewer = f"--micro-batch {size // 2}, " if size > 1 else ""
    return HermesError(
        f"out of memory on {place_of(error)} in training, with {size} pairs at once; give {fewer}--checkpointing, "
        "--lora-rank 16 or a smaller model, and run the command again, which goes on in the same folder"
    )
