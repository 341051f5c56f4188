"""What training says of itself: one line for each step in train.jsonl, and the report over the last epoch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hermes.align.losses.objectives import PairLogProbs, PairLoss
from hermes.harness.records.types import Record
from hermes.harness.system.disk import write_atomic

# Each figure, and the count that it is a mean over.
FIGURES = {
    "preference": "pairs",
    "margin_und": "und",
    "margin_gen": "gen",
    "agree_und": "und",
    "agree_gen": "gen",
    "agree_both": "both",
    "winner_und": "und",
    "loser_und": "und",
    "winner_gen": "gen",
    "loser_gen": "gen",
    "replay": "items",
    "held": "texts",
}
SUMS = ("loss", "pairs", "und", "gen", "both", "items", "texts", *FIGURES)


class TrainingReport(Record):
    """One round of training. Figures are means over the last epoch, ``loss_first`` is the first step's loss.

    ``margin`` is Delta (with its beta), ``agree`` the share of pairs with Delta > 0, ``winner`` and ``loser`` are
    log-ratios to the reference in nats, ``replay`` is in nats per token, ``held`` is the departure of replayed texts in
    nats (`trainer.departure`), where they are held; ``mask_noise`` is the standard deviation in nats that the masks
    alone give an image pair's difference, ``mask_noise_und`` a text pair's where texts are masked, too. ``sequences``
    go forward and backward over all steps, ``references`` through the reference (`counting`); None in reports of older
    versions. A figure over nothing is None.
    """

    steps: int
    pairs: int
    loss_first: float
    loss: float
    preference: float | None
    margin_und: float | None
    margin_gen: float | None
    agree_und: float | None
    agree_gen: float | None
    agree_both: float | None
    winner_und: float | None
    loser_und: float | None
    winner_gen: float | None
    loser_gen: float | None
    replay: float | None
    held: float | None = None
    mask_noise: float | None = None
    mask_noise_und: float | None = None
    sequences: int | None = None
    references: int | None = None

    @classmethod
    def from_log(cls, path: Path, pairs: int, beside: Mapping[str, float | None] | None = None) -> "TrainingReport":
        """The report of a finished train.jsonl, with what the log does not tell: noise of masks, and counts."""
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        last = [line for line in lines if line["epoch"] == lines[-1]["epoch"]]
        figures: dict[str, float | None] = {}
        for name, over in FIGURES.items():
            total = sum(line[over] for line in last)
            figures[name] = sum((line[name] or 0.0) * line[over] for line in last) / total if total else None
        loss = sum(line["loss"] for line in last) / len(last)
        return cls.model_validate(
            {"steps": len(lines), "pairs": pairs, "loss_first": lines[0]["loss"], "loss": loss, **figures}
            | dict(beside or {})
        )


def pair_sums(pairs: PairLogProbs, result: PairLoss) -> dict[str, Tensor]:
    """Sums over the pairs of a batch, (B,) -> scalars."""
    und, gen = pairs.und, pairs.gen
    has_und, has_gen = und.present, gen.present
    both, every = has_und & has_gen, torch.ones_like(has_und)

    def total(values: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask, values.detach().double(), 0.0).sum()

    return {
        "pairs": every.double().sum(),
        "und": has_und.double().sum(),
        "gen": has_gen.double().sum(),
        "both": both.double().sum(),
        "preference": total(result.preference, every),
        "margin_und": total(result.margins.und, has_und),
        "margin_gen": total(result.margins.gen, has_gen),
        "agree_und": total(result.margins.und > 0, has_und),
        "agree_gen": total(result.margins.gen > 0, has_gen),
        "agree_both": total((result.margins.und > 0) & (result.margins.gen > 0), both),
        "winner_und": total(und.policy_winner - und.reference_winner, has_und),
        "loser_und": total(und.policy_loser - und.reference_loser, has_und),
        "winner_gen": total(gen.policy_winner - gen.reference_winner, has_gen),
        "loser_gen": total(gen.policy_loser - gen.reference_loser, has_gen),
    }


def means(sums: Mapping[str, float]) -> dict[str, float | None]:
    """Sums over a whole step, in the keys of SUMS, to the loss, the counts and the means."""
    counts = {name: sums[name] for name in SUMS if name not in FIGURES}
    return counts | {name: sums[name] / sums[over] if sums[over] else None for name, over in FIGURES.items()}


class StepLog:
    """train.jsonl: steps are buffered and reach the file together with the checkpoint that follows them."""

    def __init__(self, path: Path, done: int) -> None:
        self.path = path
        self._lines = path.read_text().splitlines()[:done] if done and path.exists() else []

    def append(self, step: Mapping[str, Any]) -> None:
        self._lines.append(json.dumps(step))

    def flush(self) -> None:
        write_atomic(self.path, "\n".join(self._lines) + "\n")
