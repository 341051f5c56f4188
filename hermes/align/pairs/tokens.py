"""Preferences as a model sees them: as likelihood items, and those whose winner and loser are the same tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hermes.align.losses.likelihoods import TrainPair
from hermes.align.pairs.preferences import Candidate, Preference, Side
from hermes.harness.contracts.model import Alignable, LikelihoodItem
from hermes.harness.records.images import ImageHandle

BATCH = 64


def train_pair(preference: Preference, media: Path, losers: bool = True) -> TrainPair:
    """A preference as the likelihood items that it is trained on; both sides belong to one homologous item.

    Without ``losers`` the winners are trained on by themselves.
    """

    def stored(digest: str | None) -> ImageHandle:
        return ImageHandle(media / f"{digest}.png", where=f"{media / str(digest)}.png ({preference.item_id})")

    def caption(one: Candidate) -> LikelihoodItem:
        return LikelihoodItem("text", preference.prompt, stored(preference.image), one.text or "")

    def image(one: Candidate) -> LikelihoodItem:
        prompt = preference.caption if one.prompt is None else one.prompt
        return LikelihoodItem("image", prompt, stored(one.image), plan=one.plan, again=one.again)

    und, gen = preference.und, preference.gen
    return TrainPair(
        preference.id,
        (caption(und.winner), caption(und.loser) if losers else None) if und else None,
        (image(gen.winner), image(gen.loser) if losers else None) if gen else None,
        _advantages(preference),
    )


def _advantages(preference: Preference) -> tuple[float, float, float, float] | None:
    """Those of its four candidates, None where they have none."""
    duels = (preference.und, preference.gen)
    four = [one and one.advantage for duel in duels for one in ((duel.winner, duel.loser) if duel else (None, None))]
    if all(value is None for value in four):
        return None
    first, second, third, fourth = (value or 0.0 for value in four)
    return first, second, third, fourth


def token_ties(model: Alignable, preferences: Sequence[Preference], media: Path) -> dict[str, list[Side]]:
    """The sides of each preference, by its id, whose winner and loser the model reads as the same tokens."""
    ties: dict[str, list[Side]] = {}
    for begin in range(0, len(preferences), BATCH):
        pairs = [train_pair(one, media) for one in preferences[begin : begin + BATCH]]
        duels: list[tuple[str, Side, tuple[LikelihoodItem, LikelihoodItem | None]]] = []
        for pair in pairs:
            duels += [(pair.id, "und", pair.und)] if pair.und else []
            duels += [(pair.id, "gen", pair.gen)] if pair.gen else []
        ready = model.prepare([item for _, _, both in duels for item in both if item])
        for number, (item_id, side, _) in enumerate(duels):
            if _equal(ready[2 * number], ready[2 * number + 1]):
                ties.setdefault(item_id, []).append(side)
    return ties


def _equal(one: Any, other: Any) -> bool:
    """Whether two prepared items are equal throughout, whatever the model makes them of."""
    if type(one) is not type(other):
        return False
    if is_dataclass(one):
        return all(_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if hasattr(one, "shape"):
        return bool(one.shape == other.shape and (one == other).all())
    return bool(one == other)
