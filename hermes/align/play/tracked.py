"""What trackers are told of a self-play: the figures of every round, with the round as step."""

from collections.abc import Mapping
from typing import Any

from hermes.align.play.game import Game
from hermes.harness.models.device import pick_device
from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.harness.system.trackers import ALIGN, tracking

MEASURED = ("u", "g", "gap", "joint", "phi", "g_guided")
BESIDE = ("pairs", "loss", "margin_und", "margin_gen")


def track_rounds(game: Game, rounds: list[dict[str, Any]]) -> None:
    """Tell all rounds so far, as history.json holds them; those that were told before are not told twice."""
    settings = game.settings
    cpu = pick_device(settings.device) == "cpu"
    with tracking(settings.trackers, ALIGN, game.folder, settings.model_dump(), cpu) as track:
        for entry in rounds:
            track(figures(entry), entry["round"])


def figures(entry: Mapping[str, Any]) -> dict[str, Any]:
    """ "round/gap", "benchmark/pope", "seconds/training", ... of one round; what it does not have is left out."""
    measured = {f"round/{name}": (entry.get(name) or {}).get("value") for name in MEASURED}
    found = {name: value for name, value in measured.items() if value is not None}
    found |= {f"round/{name}": entry[name] for name in BESIDE}
    found |= {f"seconds/{phase}": value for phase, value in entry["seconds"].items()}
    return found | {
        f"benchmark/{name}": metric["value"]
        for name, metric in entry["results"].items()
        if metric and name.partition("@")[0] not in (UNDERSTANDING, GENERATION)
    }
