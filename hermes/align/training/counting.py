"""How many sequences a training puts through the model: counted from its plan, so the same on any machine."""

from collections.abc import Sequence

from hermes.align.losses.likelihoods import SLOTS, PairBatches
from hermes.align.losses.shelf import Shelf
from hermes.align.training.schedule import Step

MASKED = 1
"""The flag of a replayed item that masks, or noise, change."""


def trained_sequences(batches: PairBatches, replay: Shelf, steps: Sequence[Step], masks: int, pairs: bool) -> int:
    """Those that go forward and backward: what a step has of its pairs, and replayed items.

    An item that is averaged over ``masks`` masks, or draws of noise, is as many sequences. ``pairs``: whether pairs are
    trained on, and do not set the number of steps alone.
    """
    own = [sum(_copies(batches, row, slot, masks) for slot in _slots(batches, row)) for row in range(len(batches))]
    again = [masks if replay.flags(place) & MASKED else 1 for place in range(len(replay))]
    in_pairs = sum(own[row] for step in steps for row in step.pairs) if pairs else 0
    return in_pairs + sum(again[place] for step in steps for place in step.replay)


def replayed_sequences(replay: Shelf, places: Sequence[int], masks: int) -> int:
    """Those of replayed items that go forward alone, by their places: what is held, and what RegMean reads."""
    return sum(masks if replay.flags(place) & MASKED else 1 for place in places)


def reference_sequences(batches: PairBatches, epochs: int, masks: int) -> int:
    """Those of the pairs' reference: under every epoch's masks what masks change, and once what they do not."""
    slots = {slot for row in range(len(batches)) for slot in _slots(batches, row)}
    changing = {slot for slot in slots if any(batches.depends_on_masks(row, slot) for row in range(len(batches)))}
    return sum(
        _copies(batches, row, slot, masks) * (epochs if slot in changing else 1)
        for row in range(len(batches))
        for slot in _slots(batches, row)
    )


def _slots(batches: PairBatches, row: int) -> list[int]:
    """Where a pair has items, by their places in SLOTS."""
    return [slot for slot, _ in batches.places([row], range(len(SLOTS)))]


def _copies(batches: PairBatches, row: int, slot: int, masks: int) -> int:
    return masks if batches.depends_on_masks(row, slot) else 1
