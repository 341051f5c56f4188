"""The memory of a training under given settings on given processes, and which other settings would fit."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hermes.align.play.budget import Budget, Ranks, budget
from hermes.align.settings import AlignSettings, TrainSettings
from hermes.align.training.sizing import StepSizes, step_sizes
from hermes.harness.contracts.options import DType
from hermes.harness.models.outline import Outline, Side

SHARDS = (2, 4, 8, 16, 32, 64)
ADVICE = 3
"""How many settings a refusal names at the most."""
CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--checkpointing", {"checkpointing": True}),
    ("--lora-rank 16", {"lora_rank": 16}),
    ("--lora-rank 16 --checkpointing", {"lora_rank": 16, "checkpointing": True}),
    ("--lora-rank 16 --dtype bfloat16", {"lora_rank": 16, "dtype": "bfloat16"}),
    (
        "--lora-rank 16 --dtype bfloat16 --checkpointing",
        {"lora_rank": 16, "dtype": "bfloat16", "checkpointing": True},
    ),
)
"""What makes a training smaller, what changes the least first. The base is in bfloat16 under LoRA alone, as small
updates of it would be lost."""


@dataclass(frozen=True)
class Training:
    """A model that is to be trained, and where; ``free`` bytes are there for each process."""

    outline: Outline
    sides: tuple[Side, ...]
    ranks: Ranks
    cuda: bool
    free: int

    def dtype(self, settings: AlignSettings) -> str:
        """The precision of the weights that are trained."""
        return self._named(settings.dtype)

    def drawing(self, settings: AlignSettings) -> str:
        """The precision of the weights that draw."""
        return self._named(settings.draw_dtype)

    def _named(self, dtype: DType) -> str:
        return ("bfloat16" if self.cuda else "float32") if dtype == "auto" else dtype

    def sizes(self, settings: AlignSettings) -> StepSizes:
        """What a step of resolved settings keeps and computes."""
        step = TrainSettings(
            objective=settings.objective,
            lora_rank=settings.lora_rank,
            lora_targets=settings.lora_targets,
            checkpointing=settings.checkpointing,
        )
        bf16, tokens = bool(settings.bf16), settings.caption_tokens
        again = settings.gen_pairs == "reconstruction"
        return step_sizes(self.outline, step, self.dtype(settings), bf16, self.cuda, self.sides, tokens, again)

    def budget(self, settings: AlignSettings, ranks: Ranks | None = None) -> Budget:
        """The memory of a step, on these processes or others."""
        return budget(self.sizes(settings), settings, ranks or self.ranks, self.cuda)

    def micro(self, settings: AlignSettings) -> int:
        """How many pairs go through the model at once."""
        return min(settings.micro_batch, -(-settings.batch_size // self.ranks.number))

    def advice(self, settings: AlignSettings) -> tuple[str, ...]:
        """The settings with which a step would fit, a few."""
        found = list[str]()
        for flags in self._fitting(settings):
            found.append(flags)
            if len(found) == ADVICE:
                break
        return tuple(found)

    def _fitting(self, settings: AlignSettings) -> Iterator[str]:
        if largest := self.budget(settings).largest(self.free):
            yield f"--micro-batch {largest}"
        for flags, change in CHANGES:
            other = settings.model_copy(update=change)
            if other != settings and (largest := self.budget(other).largest(self.free)):
                yield flags + (f" --micro-batch {largest}" if largest < self.micro(settings) else "")
        if self.cuda and not self.ranks.sharded:
            for number in SHARDS:
                if self.budget(settings, Ranks(number=number, sharded=True)).largest(self.free):
                    yield f"configs/fsdp.yaml with {number} processes"
                    break
