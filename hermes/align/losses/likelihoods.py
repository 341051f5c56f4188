"""Pairs as batches: tokenised once, masked by (pair, epoch), scattered back into one log-probability per slot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hermes.align.losses.objectives import PairLogProbs, SideLogProbs
from hermes.harness.contracts.model import Alignable, LikelihoodItem
from hermes.harness.records.seeds import derive_seed

SLOTS = ("und_winner", "und_loser", "gen_winner", "gen_loser")


@dataclass(frozen=True)
class TrainPair:
    """One homologous pair as likelihood items: (winner, loser) of each side, None where the side is missing."""

    id: str
    und: tuple[LikelihoodItem, LikelihoodItem] | None
    gen: tuple[LikelihoodItem, LikelihoodItem] | None


class PairBatches:
    """All pairs, tokenised once. ``seed`` fixes the masks: winner and loser of a pair share one seed in each epoch."""

    def __init__(self, model: Alignable, pairs: Sequence[TrainPair], seed: int) -> None:
        self.model, self.seed = model, seed
        self.ids = [pair.id for pair in pairs]
        slots = [(pair.und or (None, None)) + (pair.gen or (None, None)) for pair in pairs]
        items = [(row, slot, item) for row, four in enumerate(slots) for slot, item in enumerate(four) if item]
        prepared = model.prepare([item for _, _, item in items])
        self._prepared = {(row, slot): ready for (row, slot, _), ready in zip(items, prepared, strict=True)}

    def __len__(self) -> int:
        return len(self.ids)

    def has(self, row: int, side: str) -> bool:
        return (row, SLOTS.index(f"{side}_winner")) in self._prepared

    def seeded(self, row: int, slot: int, epoch: int) -> Any:
        """The prepared item under the masks of this (pair, epoch)."""
        seed = derive_seed(self.seed, self.ids[row], epoch, "mask")
        return self.model.with_seed(self._prepared[row, slot], seed)

    def places(self, rows: Sequence[int], slots: Sequence[int] = range(len(SLOTS))) -> list[tuple[int, int]]:
        """Where these pairs have items, as (slot, index in ``rows``), texts first."""
        return [(slot, at) for slot in slots for at, row in enumerate(rows) if (row, slot) in self._prepared]

    def log_probs(
        self,
        module: nn.Module,
        rows: Sequence[int],
        epoch: int,
        device: torch.device,
        places: Sequence[tuple[int, int]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(log-probabilities, token counts), both (4, len(rows)) in the order of SLOTS, 0 where there is no item.

        ``places`` of them are computed, all by default. Texts and images go through the module apart, because their
        lengths differ and padding costs.
        """
        shape = (len(SLOTS), len(rows))
        log_probs, counts = torch.zeros(shape, device=device).flatten(), torch.zeros(shape, device=device).flatten()
        wanted = self.places(rows) if places is None else places
        for side in ("und", "gen"):
            if here := [(slot, at) for slot, at in wanted if SLOTS[slot].startswith(side)]:
                batch = self.model.collate([self.seeded(rows[at], slot, epoch) for slot, at in here])
                found, tokens = module(to_device(batch, device))
                index = torch.tensor([slot * len(rows) + at for slot, at in here], device=device)
                log_probs = log_probs.scatter(0, index, found.float())
                counts = counts.scatter(0, index, tokens.float())
        return log_probs.view(shape), counts.view(shape)

    def reference(
        self, module: nn.Module, rows: Sequence[int], epochs: int, chunk: int, device: torch.device
    ) -> Tensor:
        """The module's log-probabilities of these pairs under every epoch's masks, (epochs, 4, all pairs), on the CPU.

        Other pairs stay 0. Items that do not depend on the masks are computed once.
        """
        table = torch.zeros(epochs, len(SLOTS), len(self))
        changing = sorted({slot for row, slot in self._prepared if self.depends_on_masks(row, slot)})
        kept = [slot for slot in range(len(SLOTS)) if slot not in changing]
        with torch.no_grad():
            for epoch in range(epochs):
                for begin in range(0, len(rows), chunk):
                    part = list(rows[begin : begin + chunk])
                    places = self.places(part, changing) if epoch else None
                    found, _ = self.log_probs(module, part, epoch, device, places)
                    table[epoch, :, part] = found.cpu()
                if epoch:
                    table[epoch, kept] = table[0, kept]
        return table

    def pair_log_probs(self, rows: Sequence[int], policy: Tensor, counts: Tensor, reference: Tensor) -> PairLogProbs:
        """Tables (4, B) of the policy, the token counts and the reference as the record the objectives take."""
        sides = {}
        for side in ("und", "gen"):
            winner, loser = SLOTS.index(f"{side}_winner"), SLOTS.index(f"{side}_loser")
            sides[side] = SideLogProbs(
                policy_winner=policy[winner],
                policy_loser=policy[loser],
                reference_winner=reference[winner],
                reference_loser=reference[loser],
                tokens_winner=counts[winner],
                tokens_loser=counts[loser],
                present=torch.tensor([self.has(row, side) for row in rows], device=policy.device),
            )
        return PairLogProbs(und=sides["und"], gen=sides["gen"])

    def depends_on_masks(self, row: int, slot: int) -> bool:
        """Whether masks change the item; a text, or an autoregressive image, comes back as it is."""
        ready = self._prepared[row, slot]
        return self.model.with_seed(ready, derive_seed(self.seed, self.ids[row], 0, "mask")) is not ready


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch on the device, through accelerate, whatever containers it is made of."""
    from accelerate.utils import send_to_device

    return send_to_device(batch, device)
