"""Pairs as batches: tokenised once, masked by (pair, epoch), scattered back into one log-probability per slot."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hermes.align.losses.objectives import PairLogProbs, SideLogProbs
from hermes.align.losses.shelf import PREPARED, Made, Shelf
from hermes.harness.contracts.model import Alignable, LikelihoodItem
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.progress import Progress

SLOTS = ("und_winner", "und_loser", "gen_winner", "gen_loser")


@dataclass(frozen=True)
class TrainPair:
    """One homologous pair as likelihood items: (winner, loser) of each side, None where the side is missing.

    The loser is None where winners alone are trained on. ``advantages`` are those of the four, in the order of SLOTS,
    where candidates are weighed as a group.
    """

    id: str
    und: tuple[LikelihoodItem, LikelihoodItem | None] | None
    gen: tuple[LikelihoodItem, LikelihoodItem | None] | None
    advantages: tuple[float, float, float, float] | None = None

    def digest(self) -> bytes:
        """16 bytes that stand for all that is in it, pictures included."""
        found = hashlib.blake2b(self.id.encode(errors="surrogatepass"), digest_size=16)
        if self.advantages:
            found.update(repr(self.advantages).encode())
        for item in filter(None, (*(self.und or ()), *(self.gen or ()))):
            said = f"\x1f{item.kind}\x1f{item.prompt}\x1f{item.text}\x1f{item.seed}\x1f{item.image.sha256()}"
            found.update(said.encode(errors="surrogatepass"))
        return found.digest()


class PairBatches:
    """All pairs, tokenised once, on the disk below ``folder``; what is in memory of a pair is which slots it has.

    ``seed`` fixes the masks: winner and loser of a pair share one seed in each epoch. All processes must make one.
    """

    def __init__(
        self, model: Alignable, pairs: Sequence[TrainPair], seed: int, folder: Path, progress: Progress | None = None
    ) -> None:
        self.model, self.seed = model, seed
        self.ids = [pair.id for pair in pairs]
        weighed = [pair.advantages for pair in pairs if pair.advantages]
        self._advantages = torch.tensor(weighed).T if weighed else None
        self._shelf = Shelf(folder, PREPARED, pairs, self._made, progress)

    def __len__(self) -> int:
        return len(self.ids)

    def has(self, row: int, side: str) -> bool:
        return self._there(row, SLOTS.index(f"{side}_winner"))

    def digests(self) -> bytes:
        """What tells these pairs from others: 16 bytes for each."""
        return self._shelf.digests()

    def remove(self) -> None:
        """Give back what they take on the disk; all processes must call."""
        self._shelf.remove()

    def seeded(self, row: int, slot: int, epoch: int) -> Any:
        """The prepared item under the masks of this (pair, epoch)."""
        seed = derive_seed(self.seed, self.ids[row], epoch, "mask")
        return self.model.with_seed(self._shelf[row][slot], seed)

    def places(self, rows: Sequence[int], slots: Sequence[int] = range(len(SLOTS))) -> list[tuple[int, int]]:
        """Where these pairs have items, as (slot, index in ``rows``), texts first."""
        return [(slot, at) for slot in slots for at, row in enumerate(rows) if self._there(row, slot)]

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
        changing = [
            slot for slot in range(len(SLOTS)) if any(self.depends_on_masks(row, slot) for row in range(len(self)))
        ]
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
        weighed = None if self._advantages is None else self._advantages[:, list(rows)].to(policy.device)
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
                advantages=None if weighed is None else weighed[[winner, loser]],
            )
        return PairLogProbs(und=sides["und"], gen=sides["gen"])

    def depends_on_masks(self, row: int, slot: int) -> bool:
        """Whether masks change the item; a text, or an autoregressive image, comes back as it is."""
        return bool(self._shelf.flags(row) >> (len(SLOTS) + slot) & 1)

    def _there(self, row: int, slot: int) -> bool:
        return bool(self._shelf.flags(row) >> slot & 1)

    def _made(self, pairs: Sequence[TrainPair]) -> list[Made]:
        """The pairs with their items prepared; flags: the slots that a pair has, then those that masks change."""
        fours = [(pair.und or (None, None)) + (pair.gen or (None, None)) for pair in pairs]
        ready = iter(self.model.prepare([item for four in fours for item in four if item]))
        made = []
        for pair, four in zip(pairs, fours, strict=True):
            own = tuple(next(ready) if item else None for item in four)
            flags = sum(1 << slot for slot, item in enumerate(four) if item)
            flags |= sum(
                1 << len(SLOTS) + slot for slot, one in enumerate(own) if one is not None and self._masked(one)
            )
            made.append(Made(own, flags, pair.digest()))
        return made

    def _masked(self, ready: Any) -> bool:
        return self.model.with_seed(ready, 0) is not ready


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch on the device, through accelerate, whatever containers it is made of."""
    from accelerate.utils import send_to_device

    return send_to_device(batch, device)
