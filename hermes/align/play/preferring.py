"""A round's candidates and preferences: candidates.jsonl, preferences.jsonl, drops.json, and their pictures."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, islice, zip_longest
from pathlib import Path

from hermes.align.pairs import preferences
from hermes.align.pairs.answers import answer_bars, own_answer_bars
from hermes.align.pairs.differing import differing_bars, kind_of
from hermes.align.pairs.drawing import draw_candidates
from hermes.align.pairs.exchange import pair_candidates, read_pairs
from hermes.align.pairs.items import Item, with_known_pictures
from hermes.align.pairs.ranking import ranked_bars
from hermes.align.pairs.redrawn import seen_bars, told_bars
from hermes.align.pairs.tokens import token_ties
from hermes.align.play.game import Game
from hermes.align.settings import AlignSettings
from hermes.harness.contracts.model import likelihoods_of
from hermes.harness.records.store import Store, fetch
from hermes.harness.system.disk import new_lines, read_json, write_json, write_jsonl
from hermes.harness.system.processes import current
from hermes.leaderboards.gallery import FAILED

DRAWN, CANDIDATES, PREFERENCES, DROPS = "drawn.json", "candidates.jsonl", "preferences.jsonl", "drops.json"
READ, SHARE = "read.jsonl", "preferences.{}.jsonl"
"""What of a file of pairs was read, and the preferences of each process: gone when they are joined."""
BETWEEN = "\x1e"
"""What stands between two preferences of an item; JSON has it in no text."""


def tidy_preferences(home: Path) -> None:
    """Remove what killed processes have left of a round's preferences."""
    for name in (READ, SHARE.format("*")):
        for left in home.glob(name):
            left.unlink()


def prefer(game: Game, number: int) -> None:
    """All preferences of a round, from a file of pairs or from what the model of the round before draws."""
    home = game.home(number)
    if number == 1 and game.settings.pairs:
        game.phase(home, "preferences", home / CANDIDATES, lambda: _read(game, home, Path(str(game.settings.pairs))))
        return
    game.phase(home, "candidates", home / CANDIDATES, lambda: _draw(game, number, home))
    game.phase(home, "preferences", home / PREFERENCES, lambda: _choose(game, number, home))


def _draw(game: Game, number: int, home: Path) -> None:
    """Captions and images of every item from the model of the round before, scored."""
    source, model = game.source, game.model(number - 1)
    items = with_known_pictures(source.of_round(number))
    if again := source.again(number):
        game.progress.say(
            f"round {number}: {source.source} has {source.total} items to train on; {again} of {len(items)} come again"
        )
    closed = source.world == "shapes"
    drawn = draw_candidates(model, items, game.settings, game.root, source.drawer, number, closed, game.progress)
    if current().main:
        where = os.path.relpath(drawn.pictures.folder.resolve(), game.folder.resolve())
        with new_lines(home / CANDIDATES) as add:
            for candidate in drawn.candidates():
                add(candidate.model_dump_json())
            failed = {"failed": drawn.reasons.total, "failures": drawn.reasons.commonest()}
            asked = drawn.asked
            counts = {"pictures": asked.number_of_images, "texts": asked.number_of_captions + asked.number_of_answers}
            write_json(home / DRAWN, {"images": Path(where).as_posix(), **failed, **counts})


def _read(game: Game, home: Path, pairs: Path) -> None:
    """The first round's preferences from a file, as the released scripts leave it.

    The main process reads it and stores its pictures; whether winners and losers differ is looked at by all.
    """
    settings, processes, found = game.settings, current(), home / READ
    drops: dict[str, int] = {}
    processes.doing(f"reading {pairs}")
    if processes.main:
        own = Store(game.folder)
        read, drops = read_pairs(
            pairs,
            lambda image: own.keep_images([image])[0],
            settings.caption_prompt,
            threshold=settings.threshold,
            pairing=settings.pairing,
            objective=settings.objective,
        )
        for side in _sides_without_likelihood(game):
            read, drops = preferences.without_side(side, read, drops)
        write_jsonl(found, read)
    processes.wait()
    mine = [*islice(preferences.records_of(found, preferences.Preference), processes.rank, None, processes.world)]
    kept, drops = _differing(game, 1, mine, drops)
    _join(home, [one.item_id for one in mine], kept, drops)
    if processes.main:
        write_jsonl(
            home / CANDIDATES, pair_candidates(preferences.records_of(home / PREFERENCES, preferences.Preference))
        )
        found.unlink()


def _choose(game: Game, number: int, home: Path) -> None:
    """Preference pairs from this round's candidates and, under a raise-the-bar rule, those before.

    Each process sees to its share of the items, whose pictures, real and drawn, it brings to the self-play's own
    folder, as later rounds may compare with any of them; the main process joins what they have found.
    """
    settings, processes = game.settings, current()
    game.progress.start("preferences", settings.items)
    processes.doing("preferences")
    items = game.source.of_round(number)[processes.rank :: processes.world]
    store = Store(game.folder)
    real = {item.id: (store.keep_images([item.image.open()])[0], item.caption) for item in items}
    bars = _bars(game, number, items, {name: image for name, (image, _) in real.items()})
    kept, drops = preferences.build(
        real,
        bars,
        number=number,
        prompt=settings.caption_prompt,
        threshold=settings.threshold if settings.gen_pairs == "images" else None,
        pairing=settings.pairing,
        objective=settings.objective,
        side_loss=settings.side_loss,
        differ=settings.differ,
    )
    drawn = read_json(home / DRAWN, f"remove {home} and run the same command again")
    pictures = [one.image for found in bars.values() for bar in found for one in bar if one.image]
    fetch(pictures, Store(game.folder / drawn["images"]), game.media, f"remove {home} to draw the round again")
    for side in preferences.SIDES:
        if side in _sides_without_likelihood(game) or not settings.uses(side):
            drops.pop(f"{side}: no candidates", None)  # none were to be drawn
    kept, drops = _differing(game, number, kept, drops)
    _join(home, [item.id for item in items], kept, drops | ({FAILED: drawn["failed"]} if processes.main else {}))
    game.progress.advance(settings.items)


def _bars(
    game: Game, number: int, items: Sequence[Item], real: Mapping[str, str]
) -> dict[tuple[str, preferences.Side], list[preferences.Bar]]:
    """Who meets whom of these items: candidates of this round, or under a raise-the-bar rule those of all rounds.

    ``real`` are the sha256 of the items' real images, by their ids.
    """
    settings, ids = game.settings, {item.id for item in items}
    if settings.rule == "fresh":
        return _fresh_bars(settings, list(_candidates_of(game, number, ids)), items, real, number, game.source.world)
    rounds = [_candidates_of(game, earlier, ids) for earlier in range(1, number + 1)]
    return {key: [bar] for key, bar in preferences.raise_bars(rounds, settings.rule).items()}


def _fresh_bars(
    settings: AlignSettings,
    found: Sequence[preferences.Candidate],
    items: Sequence[Item],
    real: Mapping[str, str],
    number: int,
    world: str,
) -> dict[tuple[str, preferences.Side], list[preferences.Bar]]:
    """Who meets whom among a round's candidates."""
    pairs, side_loss = settings.pairs_per_item, settings.side_loss
    captions_and_images = (one for one in found if one.prompt is None)
    bars = ranked_bars(captions_and_images, pairs, side_loss)
    if settings.differ != "anything":
        kinds = {item.id: [kind_of(question) for question in item.generation.target] for item in items}
        images = (one for one in found if one.side == "gen")
        bars |= differing_bars(images, kinds, settings.differ, pairs, settings.threshold)
    if settings.gen_pairs == "own-captions":
        bars |= told_bars(bars, real)
    elif settings.gen_pairs == "reconstruction":
        bars |= seen_bars(real, number)
    if not settings.prefers_captions:
        bars = {key: own for key, own in bars.items() if key[1] == "gen"}
    answers = (one for one in found if one.prompt)
    for item, more in answer_bars(answers, side_loss, pairs).items():
        bars.setdefault((item, "und"), []).extend(more)
    if settings.own_answers:
        for one in items:
            good = (bar[0] for bar in bars.get((one.id, "gen"), ()) if bar[0].score > settings.threshold)
            bars[one.id, "und"] = own_answer_bars(one, good, world == "shapes", pairs)
    return bars


def _candidates_of(game: Game, number: int, ids: Collection[str]) -> Iterator[preferences.Candidate]:
    """The candidates of a round that are of these items."""
    path = game.home(number) / CANDIDATES
    return (one for one in preferences.records_of(path, preferences.Candidate) if one.item_id in ids)


def _join(home: Path, ids: Sequence[str], kept: Sequence[preferences.Preference], drops: Mapping[str, int]) -> None:
    """Write the preferences of all processes in the order of the items, which were dealt to them in turn.

    Each leaves a line for each of its items, with all of its preferences.
    """
    mine: dict[str, list[str]] = {}
    for one in kept:
        mine.setdefault(one.item_id, []).append(one.model_dump_json())
    shares = [home / SHARE.format(rank) for rank in range(current().world)]
    with new_lines(shares[current().rank]) as add:
        for item_id in ids:
            add(BETWEEN.join(mine.get(item_id, ())))
    counts = current().gathered([dict(drops)])
    if current().main:
        write_json(home / DROPS, {reason: count for reason, count in sorted(_added(counts).items()) if count})
        with ExitStack() as stack:
            files = [stack.enter_context(share.open(encoding="utf-8", newline="\n")) for share in shares]
            add = stack.enter_context(new_lines(home / PREFERENCES))
            for line in chain.from_iterable(zip_longest(*files, fillvalue="")):
                for record in filter(None, line.rstrip("\n").split(BETWEEN)):
                    add(record)
        for share in shares:
            share.unlink()


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total


def _sides_without_likelihood(game: Game) -> list[preferences.Side]:
    kinds = likelihoods_of(game.kind)
    return [side for kind, side in preferences.SIDE_OF.items() if kind not in kinds]


def _differing(
    game: Game, number: int, kept: list[preferences.Preference], drops: dict[str, int]
) -> tuple[list[preferences.Preference], dict[str, int]]:
    """The preferences without sides whose winner and loser are the same to the model that is to be trained."""
    settings = game.settings
    if not settings.pairwise:
        return kept, drops
    ties = token_ties(game.model_to_train(number - 1), kept, game.media)
    return preferences.without_ties(kept, ties, drops, pairing=settings.pairing, objective=settings.objective)
