"""A round's candidates and preferences: candidates.jsonl, preferences.jsonl, drops.json, and their pictures."""

import os
from pathlib import Path

from hermes.align.pairs import preferences
from hermes.align.pairs.drawing import draw_candidates
from hermes.align.pairs.exchange import pair_candidates, read_pairs
from hermes.align.pairs.tokens import token_ties
from hermes.align.play.game import Game
from hermes.harness.contracts.model import likelihoods_of
from hermes.harness.records.store import Store, fetch
from hermes.harness.system.disk import read_json, write_json, write_jsonl
from hermes.harness.system.processes import current
from hermes.leaderboards.gallery import FAILED

DRAWN, CANDIDATES, PREFERENCES, DROPS = "drawn.json", "candidates.jsonl", "preferences.jsonl", "drops.json"


def prefer(game: Game, number: int) -> None:
    """All preferences of a round, from a file of pairs or from what the model of the round before draws."""
    home = game.home(number)
    if number == 1 and game.settings.pairs:
        game.phase(home, "preferences", home / PREFERENCES, lambda: _read(game, home, Path(str(game.settings.pairs))))
        return
    game.phase(home, "candidates", home / CANDIDATES, lambda: _draw(game, number, home))
    game.phase(home, "preferences", home / PREFERENCES, lambda: _choose(game, number, home))


def _draw(game: Game, number: int, home: Path) -> None:
    """Captions and images of every item from the model of the round before, scored."""
    source, model = game.source, game.model(number - 1)
    items = source.of_round(number)
    if again := source.again(number):
        game.progress.say(
            f"round {number}: {source.source} has {source.total} items to train on; {again} of {len(items)} come again"
        )
    drawn = draw_candidates(model, items, game.settings, game.root, source.drawer, number, game.progress)
    if current().main:
        where = os.path.relpath(drawn.images.folder.resolve(), game.folder.resolve())
        write_json(home / DRAWN, {"images": Path(where).as_posix(), "failed": drawn.failed, "failures": drawn.failures})
        write_jsonl(home / CANDIDATES, drawn.found)


def _read(game: Game, home: Path, pairs: Path) -> None:
    """The first round's preferences from a file, as the released scripts leave it."""
    if not current().main:
        return
    own, settings = Store(game.folder), game.settings
    kept, drops = read_pairs(
        pairs,
        lambda image: own.keep_images([image])[0],
        settings.caption_prompt,
        threshold=settings.threshold,
        pairing=settings.pairing,
        objective=settings.objective,
    )
    for side in _sides_without_likelihood(game):
        kept, drops = preferences.without_side(side, kept, drops)
    kept, drops = _differing(game, 1, kept, drops)
    write_jsonl(home / CANDIDATES, pair_candidates(kept))
    write_json(home / DROPS, drops)
    write_jsonl(home / PREFERENCES, kept)


def _choose(game: Game, number: int, home: Path) -> None:
    """Preference pairs from this round's candidates and, under a raise-the-bar rule, those before.

    The pictures of all bars are brought to the self-play's own folder, as later rounds may compare with any of them.
    """
    if not current().main:
        return
    settings, own = game.settings, Store(game.folder)
    rounds = [preferences.read_records(game.home(r) / CANDIDATES, preferences.Candidate) for r in range(1, number + 1)]
    items = {item.id: (own.keep_images([item.image.open()])[0], item.caption) for item in game.source.of_round(number)}
    bars = preferences.raise_bars(rounds, settings.rule)
    kept, drops = preferences.build(
        items,
        bars,
        number=number,
        prompt=settings.caption_prompt,
        threshold=settings.threshold,
        pairing=settings.pairing,
        objective=settings.objective,
    )
    drawn = read_json(home / DRAWN, f"remove {home} and run the same command again")
    pictures = [one.image for bar in bars.values() for one in bar if one.image]
    fetch(pictures, Store(game.folder / drawn["images"]), game.media, f"remove {home} to draw the round again")
    for side in _sides_without_likelihood(game):
        drops.pop(f"{side}: no candidates", None)  # none were to be drawn
    kept, drops = _differing(game, number, kept, drops)
    write_json(home / DROPS, drops | ({FAILED: drawn["failed"]} if drawn["failed"] else {}))
    write_jsonl(home / PREFERENCES, kept)


def _sides_without_likelihood(game: Game) -> list[preferences.Side]:
    kinds = likelihoods_of(game.kind)
    return [side for kind, side in preferences.SIDE_OF.items() if kind not in kinds]


def _differing(
    game: Game, number: int, kept: list[preferences.Preference], drops: dict[str, int]
) -> tuple[list[preferences.Preference], dict[str, int]]:
    """The preferences without sides whose winner and loser are the same to the model that is to be trained."""
    settings = game.settings
    ties = token_ties(game.model(number - 1), kept, game.media)
    return preferences.without_ties(kept, ties, drops, pairing=settings.pairing, objective=settings.objective)
