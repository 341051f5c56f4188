"""What a self-play has computed, in counts that no clock and no shared answer can mislead."""

from hermes.leaderboards.read import History, Round

COMPUTE = {
    "pictures": "Pictures",
    "texts": "Texts",
    "sequences": "Sequences",
    "references": "Reference passes",
}
"""The counts, and what their columns are called."""


def compute_of(history: History, last: int) -> dict[str, float | None]:
    """Each count, summed over the rounds up to ``last``; None where a round does not tell it, as older files."""
    played = [_of_round(entry) for entry in history.rounds if 0 < entry.round <= last]
    found: dict[str, float | None] = {}
    for name in COMPUTE:
        values = [one.get(name) for one in played]
        known = [value for value in values if value is not None]
        found[name] = sum(known) if len(known) == len(values) else None
    return found


def _of_round(entry: Round) -> dict[str, float | None]:
    trained = entry.training or {}
    return {**entry.drawn, **{name: trained.get(name) for name in ("sequences", "references")}}
