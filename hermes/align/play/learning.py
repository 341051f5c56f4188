"""A round's training: from the model of the round before and the round's preferences to its checkpoint."""

from hermes.align.pairs import preferences
from hermes.align.pairs.replay import homologous, shapes_lessons
from hermes.align.pairs.tokens import train_pair
from hermes.align.play.game import Game
from hermes.align.play.preferring import DROPS, PREFERENCES
from hermes.align.settings import SUPERVISED, TrainSettings
from hermes.align.training.schedule import plan
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import LikelihoodItem, likelihoods_of
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.disk import read_json, write_folder, write_json
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current


def learn(game: Game, number: int) -> None:
    """Train, and save the model; the checkpoint has its name when all of it is on the disk."""
    home = game.home(number)
    kept = preferences.read_records(home / PREFERENCES, preferences.Preference)
    if not kept:
        given = game.settings.pairs if number == 1 else None
        raise HermesError(preferences.nothing_left(read_json(home / DROPS), game.settings, given))
    pairs = [train_pair(preference, game.media, game.settings.side_loss != SUPERVISED) for preference in kept]
    fields = {name: getattr(game.settings, name) for name in TrainSettings.model_fields}
    settings = TrainSettings(**fields | {"seed": derive_seed(game.settings.seed, number, "training")})
    model = game.model_to_change(number - 1)
    report = train(model, pairs, _replay(game, number, len(pairs)), settings, home / "training", game.progress)
    if current().main:
        write_json(home / "training.json", report)
        write_folder(home / "checkpoint", model.save)


def _replay(game: Game, number: int, pairs: int) -> list[LikelihoodItem]:
    """What is replayed beside so many pairs."""
    settings, source = game.settings, game.source
    count = len(plan(pairs, 1, settings)) * settings.replay_batch if settings.replays else 0
    seed = derive_seed(settings.seed, number, "replay")

    def drawn(count: int) -> list[LikelihoodItem]:
        if source.world == "shapes":
            return shapes_lessons(count, seed, settings.replay_plans)
        return homologous(source.of_round(number), settings.caption_prompt, count, seed)

    kinds = likelihoods_of(game.kind)
    every = settings.replay or settings.regmean
    if every and len(kinds) > 1:
        return drawn(count)
    kept = kinds if every else ("text",)  # Images, every other item, are not held.
    return [item for item in drawn(2 * count) if item.kind in kept]
