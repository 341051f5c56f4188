"""Settings of training and self-play; `system.settings.build` reads them from a file and the command line."""

import math
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from hermes.harness.contracts.options import (
    DType,
    FailureSettings,
    FolderSettings,
    LoadOptions,
    ModelSettings,
    Panel,
    TrackerSettings,
)
from hermes.harness.contracts.prompts import ONE_SENTENCE
from hermes.harness.records.types import Record

ObjectiveName = Literal["sum", "product", "coupled", "joint", "softproduct", "ipo", "und", "gen", "replay"]
UndPairs = Literal["captions", "answers", "both", "own-answers"]
GenPairs = Literal["images", "own-captions", "reconstruction"]
Differ = Literal["anything", "count", "attributes"]
Rule = Literal["fresh", "paper", "released"]

SEPARATE = ("sum", "und", "gen")
"""The objectives in which a side does not see the other, so that its loss may be another."""
PAIRED = (
    *("sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down"),
    *("forward_kl", "js", "alpha"),
)
"""The losses of a side that compare a winner with a loser."""
GROUPED = ("gspo", "rloo")
"""Those in which each of an item's candidates counts by what it is worth beside the others."""
SUPERVISED = "sft"
"""The one that looks at winners alone."""
SIDE_LOSSES = (*PAIRED, SUPERVISED, *GROUPED)
MIX = "sigmoid:0.8,bco_pair:0.2"
"""A mix of losses of pairs: with ``anchor`` 1 that of MPO (arXiv 2411.10442)."""

_BESIDE = {
    *("model", "recipe", "data", "rounds", "device", "out", "runs", "fresh"),
    *("batch_draw", "draw_dtype", "micro_batch"),
    *("checkpoint_every", "checkpoint_minutes", "checkpointing", "lora_half", "pairs", "label", "patience", "plugin"),
    *LoadOptions.model_fields,
    *FailureSettings.model_fields,
    *TrackerSettings.model_fields,
}

_LATER: dict[str, Any] = {
    "open_prompts": 0.0,
    "plan": None,
    "optimizer": "adamw",
    "side_loss": "sigmoid",
    "target": 0.0,
}
_LATER |= {"layer_decay": 1.0, "clip_ratio": None, "pairs_per_item": 1, "und_pairs": "captions", "scores": "critic"}
_LATER |= {"gen_pairs": "images", "differ": "anything", "guidances": (), "regmean": 0.0, "replay_plans": 0.0}
"""Settings that came later, with what was done before: they change no id where they change nothing."""


def mixed(side_loss: str) -> dict[str, float]:
    """The losses of pairs that a mix adds up, each with its weight; one by itself has weight 1.

    Raises ValueError for what is no mix of `PAIRED`.
    """
    if side_loss in PAIRED:
        return {side_loss: 1.0}
    weights: dict[str, float] = {}
    for part in side_loss.split(","):
        name, _, said = (text.strip() for text in part.partition(":"))
        if name not in PAIRED:
            why = "weighed by anchor, not in a mix" if name == SUPERVISED else "no loss of pairs"
            raise ValueError(f"side_loss {side_loss!r}: {name!r} is {why}; choose from {', '.join(PAIRED)}")
        weight = _number(said)
        if not 0 < weight < math.inf:
            raise ValueError(f"side_loss {side_loss!r}: {name} needs a weight above 0; write it as in {MIX}")
        if name in weights:
            raise ValueError(f"side_loss {side_loss!r}: {name} stands in it twice; give it one weight")
        weights[name] = weight
    return weights


def _number(said: str) -> float:
    try:
        return float(said)
    except ValueError:
        return math.nan


class LossSettings(Record):
    """The loss of a pair; hermes/align/losses/objectives.py has the equations."""

    panel: ClassVar = Panel.LOSS

    objective: ObjectiveName = Field(
        "sum", description="How the two margins of a pair become one loss; replay is the control without preferences."
    )
    side_loss: str = Field(
        "sigmoid",
        description="The loss of a side under the objectives sum, und and gen, or a mix with weights, as "
        f"{MIX}; `hermes list sides` shows all.",
    )
    beta_und: float = Field(0.2, gt=0, description="Scale of the captions' margin.")
    beta_gen: float = Field(0.5, gt=0, description="Scale of the images' margin.")
    normalize: bool = Field(False, description="Divide log-ratios by their number of tokens.")
    reference_free: bool = Field(False, description="Leave the reference model out of the margins.")
    target: float = Field(
        0.0, ge=0, description="Margin that a winner must have to be level with its loser, as SimPO's gamma."
    )
    clip_ratio: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="How far a candidate's ratio to the round's start may move under gspo and rloo. Default: 0.0003 "
        "down and 0.0004 up for gspo, 0.2 for rloo.",
    )
    smoothing: float = Field(0.0, ge=0, lt=0.5, description="Chance that a preference is wrong.")
    anchor: float = Field(1.0, ge=0, description="Weight of the winners' own likelihood.")

    @field_validator("side_loss")
    @classmethod
    def _one_way_to_write_a_mix(cls, side_loss: str) -> str:
        """Its losses in the order of `PAIRED`, so that a mix has one id; what is no mix is refused below."""
        if ":" not in side_loss:
            return side_loss
        try:
            weights = mixed(side_loss)
        except ValueError:
            return side_loss
        if list(weights.values()) == [1.0]:
            return next(iter(weights))
        return ",".join(f"{name}:{weights[name]!r}".removesuffix(".0") for name in PAIRED if name in weights)

    @model_validator(mode="after")
    def _side_losses_need_separate_sides(self) -> "LossSettings":
        if ":" in self.side_loss or "," in self.side_loss:
            mixed(self.side_loss)
        elif self.side_loss not in SIDE_LOSSES:
            raise ValueError(f"side_loss {self.side_loss!r} is unknown; choose from {', '.join(SIDE_LOSSES)}")
        if self.side_loss != "sigmoid" and self.objective not in SEPARATE:
            raise ValueError(
                f"side_loss {self.side_loss!r} is the loss of a side by itself, and objective {self.objective!r} has "
                f"one of its own; choose from {', '.join(SEPARATE)}"
            )
        if self.pairwise:
            return self
        if self.smoothing or self.target:
            raise ValueError(f"smoothing and target are about margins, which side_loss {self.side_loss!r} has none of")
        if self.side_loss == SUPERVISED and not self.anchor:
            raise ValueError("side_loss 'sft' is the winners' likelihood, which anchor weighs; give an anchor above 0")
        if self.side_loss in GROUPED and self.reference_free:
            raise ValueError(f"side_loss {self.side_loss!r} is about ratios to the reference; leave reference_free out")
        return self

    @property
    def called(self) -> str:
        """The name of what is minimised: the objective, and the loss of its sides where that is not DPO's."""
        return self.objective if self.side_loss == "sigmoid" else f"{self.objective}, {self.side_loss}"

    @property
    def pairwise(self) -> bool:
        """Whether the loss of a side compares a winner with a loser."""
        return self.side_loss not in (SUPERVISED, *GROUPED)


class TrainSettings(LossSettings, TrackerSettings):
    """One round of preference training."""

    panel: ClassVar = Panel.TRAINING

    lr: float = Field(2e-4, gt=0, description="Peak learning rate.")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="Each layer's learning rate as a share of that of the layer above it."
    )
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    clip: float = Field(1.0, ge=0, description="Largest norm of the gradient; 0 is none.")
    optimizer: Literal["adamw", "adamw8bit"] = Field(
        "adamw", description="AdamW, or torchao's, whose moments take 8 bits (pip install torchao)."
    )
    epochs: int = Field(4, ge=1, description="Passes over the pairs of a round.")
    steps: int | None = Field(None, ge=1, description="Steps of a round. Default: as --epochs says.")
    batch_size: int = Field(32, ge=1, description="Pairs a step.")
    micro_batch: int = Field(8, ge=1, description="Pairs that go through the model at once; changes no result.")
    replay: float = Field(0.3, ge=0, description="Weight of the likelihood of replayed data.")
    hold: float = Field(0.0, ge=0, description="Weight of keeping replayed answers where the reference has them.")
    replay_batch: int = Field(32, ge=1, description="Replayed items a step.")
    replay_plans: float = Field(
        0.0, ge=0, le=1, description="Share of the replayed texts that are plans of pictures, in the shapes world."
    )
    average: float = Field(0.0, ge=0, lt=1, description="Share of the round's start that is mixed into its end.")
    regmean: float = Field(
        0.0,
        ge=0,
        description="Fit linear layers to how the round's start reads texts, at this weight, and to how its end reads "
        "images; 0 fits nothing.",
    )
    ema: float = Field(0.0, ge=0, lt=1, description="Decay of a moving average of the weights; 0 is none.")
    masks: int | None = Field(
        None,
        ge=1,
        description="Masks, or draws of noise, that an image's likelihood is averaged over. Default: the model's own.",
    )
    lora_rank: int = Field(
        0, ge=0, description="Rank of a LoRA adapter that is trained in place of the weights; 0 is none."
    )
    lora_alpha: int | None = Field(None, ge=1, description="Alpha of the adapter. Default: twice its rank.")
    lora_targets: tuple[str, ...] = Field(
        (), description="Layers that get the adapter, with commas. Default: the linear layers of the blocks."
    )
    lora_half: bool = Field(
        False, description="Hold the layers under the adapter in bfloat16, as --bf16 computes; changes no result."
    )
    checkpointing: bool = Field(False, description="Compute activations again instead of keeping them.")
    bf16: bool | None = Field(
        None,
        description="Compute in bfloat16. Default: where the device does so natively.",
    )
    checkpoint_minutes: float = Field(10.0, ge=0, description="Minutes between saved states of a training.")
    checkpoint_every: int | None = Field(
        None, ge=1, description="Steps between saved states, in place of --checkpoint-minutes."
    )
    seed: int = Field(0, description="Seed of candidates, training and evaluation.")

    @model_validator(mode="after")
    def _of_whole_weights(self) -> "TrainSettings":
        for name, what in (("average", "mixes"), ("regmean", "fits")):
            if self.lora_rank and getattr(self, name):
                raise ValueError(
                    f"{name} {what} whole weights, not LoRA's factors; leave one of lora_rank and {name} out"
                )
        if self.regmean and self.objective == "und":
            raise ValueError("regmean takes back what objective 'und' teaches, how texts are read; leave it out")
        return self

    @property
    def replays(self) -> bool:
        """Whether replayed data has a part in the training."""
        return self.replay > 0 or self.hold > 0 or self.regmean > 0


class CandidateSettings(Record):
    """What is drawn in a round."""

    panel: ClassVar = Panel.CANDIDATES

    data: str | None = Field(
        None,
        description="shapes, hub, or a folder or file of homologous items. Default: what the model is made for.",
    )
    items: int = Field(256, ge=1, description="Homologous items a round.")
    fresh_items: bool | None = Field(
        None, description="Take other items in every round. Default: where the rule allows it."
    )
    open_prompts: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the shapes world's items whose prompt leaves places open, as GenEval's do.",
    )
    n: int = Field(10, ge=2, description="Captions, and images, drawn for each item.")
    n_images: int | None = Field(None, ge=2, description="Images drawn for each item. Default: as -n says.")
    caption_prompt: str = Field(ONE_SENTENCE, description="The prompt that asks for a caption.")
    caption_tokens: int = Field(64, ge=1, description="Longest caption, in tokens.")
    guidance: float = Field(0.0, ge=0, description="Guidance scale of the images.")
    plan: Literal["on", "off"] | None = Field(
        None, description="Whether images are planned in words before they are drawn. Default: the model's own way."
    )
    batch_draw: int = Field(64, ge=1, description="Requests a batch; changes no answer.")


class PreferenceSettings(Record):
    """How candidates become preference pairs."""

    panel: ClassVar = Panel.PREFERENCES

    pairs: Path | None = Field(
        None,
        description="A pair_dpo_data.json, as HermesFlow released, to take the first round's preferences from.",
    )
    und_pairs: UndPairs = Field(
        "captions",
        description="What is preferred as text: captions of real images, answers to their questions, both, or, of "
        "winners by themselves, answers about the model's own images.",
    )
    gen_pairs: GenPairs = Field(
        "images",
        description="What is preferred as image: the model's own images or, of winners by themselves, the real one, "
        "drawn from the model's best caption of it, or from what its understanding encoder sees of it.",
    )
    critic: str = Field("self", description="Who judges candidates; `hermes list judges` shows all.")
    scores: Literal["critic", "dual"] = Field(
        "critic",
        description="What candidates are worth: what the critic and the similarity say, or how likely the model itself "
        "finds the item's other half.",
    )
    confidence: bool = Field(
        True, description="Rank images that the critic leaves level by the likelihood of the right answers."
    )
    similarity: str = Field(
        "auto", description="How captions are compared: auto, minilm, mpnet, facts or bert-cls:CHECKPOINT."
    )
    rule: Rule = Field("fresh", description="How a round's candidates meet those of the round before.")
    pairs_per_item: int = Field(
        1, ge=1, description="Pairs of each side of an item: best against worst, second best against second worst, ..."
    )
    differ: Differ = Field(
        "anything",
        description="In which questions winner and loser of images may differ: those about counts alone, those about "
        "anything else alone, or all.",
    )
    threshold: float = Field(0.6, ge=0, le=1, description="Score that an image must exceed to win.")
    pairing: Literal["both", "either"] = Field("both", description="Which sides of an item must give a pair.")


class EvaluationSettings(Record):
    """What is measured after every round."""

    panel: ClassVar = Panel.EVALUATION

    eval_split: Literal["validation", "test"] = Field(
        "test", description="Scenes to report on; use validation for tuning."
    )
    eval_limit: int | None = Field(None, ge=1, description="Only the first N items of each evaluation. Default: all.")
    eval_guidance: float | None = Field(
        None,
        ge=0,
        description="Guidance scale at which generation is measured once more. Default: the model's best, if it names "
        "one.",
    )
    guidances: tuple[float, ...] = Field(
        (),
        description="Guidance scales, with commas, of which each round takes the best on validation scenes for "
        "measuring G once more; 0 is plain G. Default: none, but as --eval-guidance says.",
    )
    eval_tasks: tuple[str, ...] = Field((), description="Benchmarks to run beside the gap, with commas.")
    judge: str | None = Field(
        None,
        description="Who judges the evaluation's images. Default: the benchmark's own, where it has one.",
    )

    @field_validator("guidances")
    @classmethod
    def _each_scale_once(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        """In rising order, and with the digits that their tasks are called by."""
        if any(scale < 0 for scale in value):
            raise ValueError("a guidance scale is 0 or more")
        return tuple(sorted({float(f"{scale:g}") for scale in value}))

    @model_validator(mode="after")
    def _one_way_to_a_guidance(self) -> "EvaluationSettings":
        if self.guidances and self.eval_guidance is not None:
            raise ValueError("guidances choose the scale that eval_guidance would say; leave one of the two out")
        return self


class AlignSettings(
    ModelSettings,
    CandidateSettings,
    PreferenceSettings,
    TrainSettings,
    EvaluationSettings,
    FailureSettings,
    FolderSettings,
):
    """Self-play: candidates, preferences, training and evaluation of every round.

    ``bf16`` is the precision of the arithmetic of the training, ``dtype`` that of the weights which are trained, and
    ``draw_dtype`` that of the weights at work in all other phases. ``recipe`` is the name of what `align.play.chosen`
    has put in the place of defaults, None for nothing.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    panel: ClassVar = Panel.PLAY

    dtype: DType = Field(
        "float32",
        description="Precision of the weights that are trained; bfloat16 loses small updates (see --bf16 for the "
        "arithmetic).",
    )
    draw_dtype: DType = Field(
        "auto",
        description="Precision of the weights that draw, judge and are evaluated, which are read apart from those that "
        "are trained; auto is as in `hermes eval`.",
    )
    recipe: str | None = Field(
        None,
        description="What holds where nothing else is given: a recipe, or none. Default: that of the model's family.",
    )
    rounds: int = Field(3, ge=1, description="Rounds of self-play; a larger number later goes on.")
    patience: int = Field(
        0,
        ge=0,
        description="Stop after so many rounds whose gap on validation items is no nearer to 0 than the best; 0 is "
        "never.",
    )
    label: str | None = Field(None, description="Name of the arm in tables. Default: the objective and its loss.")

    @model_validator(mode="after")
    def _rule_needs_lasting_items(self) -> "AlignSettings":
        if self.rule != "fresh" and self.fresh_items:
            raise ValueError(f"rule {self.rule!r} compares the rounds of an item, so fresh_items must be false")
        grouped = self.side_loss in GROUPED
        if self.und_pairs == "own-answers" and self.side_loss != SUPERVISED:
            raise ValueError("und_pairs 'own-answers' are right answers without wrong ones; give side_loss 'sft'")
        if self.und_pairs == "own-answers" and self.scores == "dual":
            raise ValueError("und_pairs 'own-answers' are those that the critic gave, too; give scores 'critic'")
        if self.rule != "fresh" and (grouped or self.pairs_per_item > 1 or self.und_pairs != "captions"):
            raise ValueError(
                f"rule {self.rule!r} keeps one pair of an item, so it goes with no pairs_per_item, group or answers"
            )
        if grouped and (self.pairs or self.pairs_per_item > 1):
            raise ValueError(
                f"side_loss {self.side_loss!r} takes all candidates of an item; leave pairs and pairs_per_item out"
            )
        return self

    @model_validator(mode="after")
    def _differ_is_of_pairs_of_judged_images(self) -> "AlignSettings":
        if self.differ == "anything":
            return self
        what = f"differ {self.differ!r}"
        if not self.pairwise:
            raise ValueError(f"{what} is about winners and losers, which side_loss {self.side_loss!r} does not compare")
        if self.rule != "fresh":
            raise ValueError(f"{what} looks for pairs among a round's images, so it goes with rule 'fresh' alone")
        if self.scores == "dual":
            raise ValueError(f"{what} is about what the critic says of each question; give scores 'critic'")
        if not self.images:
            raise ValueError(f"{what} is about images, which objective {self.objective!r} draws none of")
        return self

    @model_validator(mode="after")
    def _real_images_are_winners_alone(self) -> "AlignSettings":
        what = f"gen_pairs {self.gen_pairs!r}"
        if self.gen_pairs == "images":
            return self
        if self.side_loss != SUPERVISED:
            raise ValueError(f"{what} has real images without worse ones; give side_loss 'sft'")
        if self.rule != "fresh":
            raise ValueError(f"{what} is of a round's real images, so it goes with rule 'fresh' alone")
        if self.und_pairs == "own-answers":
            raise ValueError(f"und_pairs 'own-answers' are about images, which {what} draws none of")
        if self.objective == "und":
            raise ValueError(f"{what} trains images, at which objective 'und' does not look")
        return self

    def uses(self, side: Literal["und", "gen"]) -> bool:
        """Whether pairs of a side have a use: the objective looks at it, or an item must have both."""
        return self.pairing == "both" or self.objective != ("gen" if side == "und" else "und")

    @property
    def prefers_captions(self) -> bool:
        """Whether captions of real images are preferred."""
        return self.und_pairs in ("captions", "both") and self.uses("und")

    @property
    def captions(self) -> bool:
        """Whether captions are drawn."""
        return self.prefers_captions or self.gen_pairs == "own-captions"

    @property
    def answers(self) -> bool:
        """Whether answers about real images are preferred."""
        return self.und_pairs in ("answers", "both") and self.uses("und")

    @property
    def own_answers(self) -> bool:
        """Whether answers about the model's own images are preferred."""
        return self.und_pairs == "own-answers" and self.uses("und")

    @property
    def images(self) -> bool:
        """Whether images are drawn."""
        return self.gen_pairs == "images" and (self.uses("gen") or self.own_answers)

    @property
    def drawn_answers(self) -> int:
        """How many answers to a question are drawn; right ones by themselves need none of the model's."""
        return self.n if self.answers and self.side_loss != SUPERVISED else 0

    @property
    def most_pairs(self) -> int:
        """How many pairs a round has at the most; answers are not counted, as most of a model's are right."""
        if self.side_loss in GROUPED:
            return self.items * max(self.n, self.n_images or self.n) // 2
        return self.items * self.pairs_per_item

    @property
    def changes_items(self) -> bool:
        """Whether every round has items of its own."""
        return self.rule == "fresh" if self.fresh_items is None else self.fresh_items

    def identity(self) -> dict[str, Any]:
        """What of the settings changes a round's result; model and items have fingerprints of their own."""
        later = {name for name, default in _LATER.items() if getattr(self, name) == default}
        return self.model_dump(mode="json", exclude=_BESIDE | later)
