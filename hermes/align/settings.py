"""Settings of training and self-play; `hermes.harness.settings.build` reads them from a file and the command line."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from hermes.evaluators.base import ONE_SENTENCE
from hermes.harness.models.options import DType, LoadOptions
from hermes.harness.types import Record

ObjectiveName = Literal["sum", "product", "coupled", "joint", "softproduct", "ipo", "und", "gen", "replay"]
Rule = Literal["fresh", "paper", "released"]

_BESIDE = {
    *("model", "data", "rounds", "device", "out", "runs", "fresh", "batch_draw", "checkpoint_every", "micro_batch"),
    *("checkpointing", "trackers", "share", "pairs", "label", "patience"),
    *LoadOptions.model_fields,
}


class LossSettings(Record):
    """The loss of a pair; hermes/align/objectives.py has the equations.

    ``normalize`` divides log-ratios by their tokens, ``reference_free`` leaves the reference out, ``smoothing`` is the
    chance that a preference is wrong, ``anchor`` the weight of the winners' likelihood.
    """

    objective: ObjectiveName = "sum"
    beta_und: float = Field(0.2, gt=0)
    beta_gen: float = Field(0.5, gt=0)
    normalize: bool = False
    reference_free: bool = False
    smoothing: float = Field(0.0, ge=0, lt=0.5)
    anchor: float = Field(1.0, ge=0)


class TrainSettings(LossSettings):
    """One round of preference training.

    ``steps`` ends the training there, whatever ``epochs`` says. ``masks`` is the number of masks that an image's
    likelihood is averaged over (None: the model's own); ``bf16`` None: where the device computes it natively.
    ``replay`` is the weight of replayed data's likelihood, ``hold`` that of the replayed answers staying where the
    reference has them.
    ``average`` mixes the round's start into its end, ``ema`` is the decay of a moving average of the weights (0: none).
    ``lora_rank`` above 0 trains a LoRA adapter on the linear layers of the blocks, or on ``lora_targets``; its alpha is
    twice the rank where None. ``checkpointing`` computes activations again instead of keeping them. ``trackers`` are
    accelerate's: tensorboard, wandb.
    """

    lr: float = Field(2e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    clip: float = Field(1.0, gt=0)
    epochs: int = Field(4, ge=1)
    steps: int | None = Field(None, ge=1)
    batch_size: int = Field(32, ge=1)
    micro_batch: int = Field(8, ge=1)
    replay: float = Field(0.3, ge=0)
    hold: float = Field(0.0, ge=0)
    replay_batch: int = Field(32, ge=1)
    average: float = Field(0.0, ge=0, lt=1)
    ema: float = Field(0.0, ge=0, lt=1)
    masks: int | None = Field(None, ge=1)
    lora_rank: int = Field(0, ge=0)
    lora_alpha: int | None = Field(None, ge=1)
    lora_targets: tuple[str, ...] = ()
    checkpointing: bool = False
    trackers: tuple[str, ...] = ()
    bf16: bool | None = None
    checkpoint_every: int = Field(20, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _average_of_whole_weights(self) -> "TrainSettings":
        if self.lora_rank and self.average:
            raise ValueError("average mixes whole weights, not LoRA's factors; leave one of lora_rank and average out")
        return self

    @property
    def replays(self) -> bool:
        """Whether replayed data has a part in the loss."""
        return self.replay > 0 or self.hold > 0


class AlignSettings(TrainSettings, LoadOptions):
    """Pair-DPO self-play: candidates, preferences, training and evaluation of every round.

    ``dtype`` is that of the weights, float32 unless told otherwise: small updates are lost in bfloat16 weights.
    ``bf16`` is that of the arithmetic.

    ``fresh_items`` None: others in every round where the rule allows it. ``eval_guidance`` None: the guidance that the
    model calls its best, if it names one; G is then measured with and without it. ``judge`` looks at the images of the
    evaluations (``critic`` at the candidates); None: the benchmark's own, which only the shapes world has.
    ``confidence`` ranks images that the critic's answers leave level by how likely the model finds the right answers.
    ``label`` is the arm's name in tables, the objective where it has none.
    ``n`` candidates are drawn of either kind; ``n_images`` images where it is given. ``pairs``: the first round takes
    its preferences from this pair_dpo_data.json. ``patience`` ends the self-play after that many rounds whose gap on
    validation items is not below the best one before (0: never). ``share``: a folder where self-plays that begin alike
    leave the evaluation of round 0 and the candidates of round 1 for each other.
    """

    model: str = "hermes-tiny"
    dtype: DType = "float32"
    rounds: int = Field(3, ge=1)
    items: int = Field(256, ge=1)
    fresh_items: bool | None = None
    judge: str | None = None
    n: int = Field(10, ge=2)
    n_images: int | None = Field(None, ge=2)
    pairs: Path | None = None
    label: str | None = None
    patience: int = Field(0, ge=0)
    share: Path | None = None
    caption_prompt: str = ONE_SENTENCE
    caption_tokens: int = Field(64, ge=1)
    guidance: float = Field(0.0, ge=0)
    similarity: str = "auto"
    critic: str = "self"
    confidence: bool = True
    rule: Rule = "fresh"
    threshold: float = Field(0.6, ge=0, le=1)
    pairing: Literal["both", "either"] = "both"
    eval_split: Literal["validation", "test"] = "test"
    eval_limit: int | None = Field(None, ge=1)
    eval_guidance: float | None = Field(None, ge=0)
    eval_tasks: tuple[str, ...] = ()
    data: str | None = None
    batch_draw: int = Field(64, ge=1)
    device: str = "auto"
    out: Path | None = None
    runs: Path = Path("runs")
    fresh: bool = False

    @field_validator("rule")
    @classmethod
    def _rule_needs_lasting_items(cls, rule: str, info: ValidationInfo) -> str:
        if rule != "fresh" and info.data.get("fresh_items"):
            raise ValueError("it compares the rounds of an item, so fresh_items must be false")
        return rule

    @property
    def changes_items(self) -> bool:
        """Whether every round has items of its own."""
        return self.rule == "fresh" if self.fresh_items is None else self.fresh_items

    def identity(self) -> dict[str, Any]:
        """What of the settings changes a round's result; model and items have fingerprints of their own."""
        return self.model_dump(mode="json", exclude=_BESIDE)
