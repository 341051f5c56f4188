"""What a training step takes of memory on each process, how many pairs at once fit, and which setting would help."""

from hermes.align.settings import TrainSettings
from hermes.align.training.sizing import StepSizes
from hermes.harness.records.types import Record


class Ranks(Record):
    """The processes that share a training: how many, and whether each holds a shard of the weights alone (FSDP2).

    ``reshard``: whether a shard is let go of between a forward and its backward pass.
    """

    number: int = 1
    sharded: bool = False
    reshard: bool = True


class Budget(Record):
    """Bytes on one process: ``held`` all the time, and what a step takes beside, with m pairs at once.

    ``held`` is ``weights`` + ``gradients`` + ``moments`` of AdamW + ``copies`` (moving average, the round's start);
    A pass takes the larger of ``fixed`` + m x ``pair`` and ``kept`` + m x ``kept_pair``, see `StepSizes`; ``step`` is
    what the optimizer takes for itself, when activations are gone.
    """

    weights: int
    gradients: int
    moments: int
    copies: int
    fixed: int
    pair: int
    kept: int
    kept_pair: int
    step: int

    @property
    def held(self) -> int:
        return self.weights + self.gradients + self.moments + self.copies

    def peak(self, pairs: int) -> int:
        """Bytes of a step with so many pairs at once."""
        return self.held + max(self.activations(pairs), self.step)

    def activations(self, pairs: int) -> int:
        """Bytes of a pass over so many pairs at once."""
        return max(self.fixed + pairs * self.pair, self.kept + pairs * self.kept_pair)

    def largest(self, free: int) -> int:
        """How many pairs at once fit into so many bytes; 0: not even one."""
        if self.peak(1) > free:
            return 0
        room, lines = free - self.held, ((self.fixed, self.pair), (self.kept, self.kept_pair))
        return max(1, min((room - fixed) // max(pair, 1) for fixed, pair in lines))


def budget(sizes: StepSizes, settings: TrainSettings, ranks: Ranks, cuda: bool) -> Budget:
    """The memory of a training step.

    Under DDP all gradients are held twice, in their tensors and in the buckets that are sent. Under FSDP2 what is in no
    block is whole during a pass, and so are two blocks, one of which is on its way, with their gradients. On CUDA
    AdamW works on all weights at once (torch's "foreach") and takes as much again as is trained.
    """
    parts = ranks.number if ranks.sharded else 1
    weights, gradients = sizes.weights // parts, sizes.trained // parts
    if ranks.sharded:
        weights += sizes.outside + 2 * sizes.block if ranks.reshard else sizes.weights
        gradients += sizes.outside_trained + 2 * sizes.block_trained
    elif ranks.number > 1:
        gradients *= 2
    copies = bool(settings.average) + bool(settings.ema)
    return Budget(
        weights=weights,
        gradients=gradients,
        moments=2 * sizes.trained // parts,
        copies=copies * sizes.trained // parts,
        fixed=sizes.fixed,
        pair=sizes.pair,
        kept=sizes.kept,
        kept_pair=sizes.kept_pair,
        step=sizes.trained // parts if cuda else 0,
    )
