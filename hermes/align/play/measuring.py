"""What is measured of a round's model: the gap, G under guidance, benchmarks beside it, and the gap for patience."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hermes.align.play.game import Game
from hermes.align.play.history import measured_sides
from hermes.align.settings import AlignSettings
from hermes.harness.records.types import Split
from hermes.harness.run.failing import refuse_nothing
from hermes.harness.run.gap import GENERATION, UNDERSTANDING, compared_guidance, under_guidance
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.run.view import RESULTS
from hermes.harness.system.disk import read_json
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current
from hermes.leaderboards.report import write_reports
from hermes.leaderboards.tables import spelled
from hermes.leaderboards.titles import SAME

EVALUATION, VALIDATION, GUIDANCE = "evaluation", "validation", "guidance"
REPORT = "report.html"
"""What an evaluation leaves at its end."""


def measure(game: Game, number: int) -> None:
    """The round's evaluation, on the scenes that are reported; before it, guidances on validation scenes."""
    settings = game.settings
    if settings.guidances:
        compared = tuple(map(compared_guidance, settings.guidances))
        _measure(game, number, GUIDANCE, compared, "validation", lambda content: _compared(settings, content))
    tasks = evaluated_tasks(settings, game.kind.abilities, guidance_of(game, number))
    _measure(game, number, EVALUATION, tasks, settings.eval_split)


def evaluated_tasks(settings: AlignSettings, abilities: Collection[str], scale: float | None) -> tuple[str, ...]:
    """The names of what is evaluated, of a model with these abilities; ``scale``: at which G is measured once more."""
    guided = guided_task(settings, scale)
    sides = {"understanding": (UNDERSTANDING,), "generation": (GENERATION, *([guided] if guided else []))}
    own = (task for side, tasks in sides.items() if side in abilities for task in tasks)
    return tuple(dict.fromkeys((*own, *settings.eval_tasks)))


def guidance_of(game: Game, number: int) -> float | None:
    """The scale at which a round's G is measured once more: as the settings say, or as its validation scenes do."""
    if not game.settings.guidances:
        return game.settings.eval_guidance
    out = game.home(number) / GUIDANCE
    return best_guidance(game.settings, read_json(out / RESULTS, f"remove {out} and run the same command again"))


def best_guidance(settings: AlignSettings, content: Mapping[str, Any]) -> float:
    """Of the scales of a comparison the one with the highest mean G; of equals the lowest."""
    return max(settings.guidances, key=lambda scale: float(_accuracy(content, scale)["value"]))


def guided_task(settings: AlignSettings, scale: float | None) -> str | None:
    """The name of the task that is G at this scale, None where there is no such task."""
    if scale is None:
        return None
    return compared_guidance(scale) if settings.guidances else under_guidance(scale)


def exhausted(game: Game, number: int) -> bool:
    """Whether as many rounds as ``patience`` says, up to this one, brought the validation gap no nearer to 0.

    Measures it, for this round and for those before that were played without patience.
    """
    patience = game.settings.patience
    return bool(patience) and stalled([_validation_gap(game, n) for n in range(number + 1)], patience)


def stalled(gaps: Sequence[float], patience: int) -> bool:
    """Whether the last ``patience`` of the gaps are no nearer to 0 than the best before them."""
    return len(gaps) - 1 - min(range(len(gaps)), key=lambda number: abs(gaps[number])) >= patience


def measured_gap(home: Path) -> float:
    """The validation gap of a round whose validation is done."""
    out = home / VALIDATION
    gap = read_json(out / RESULTS, f"remove {out} and run the same command again")["gap"]["homologous"]
    if gap is None:
        raise HermesError(f"{out}: the validation holds no homologous gap; leave patience out")
    return float(gap["gap"]["value"])


def _validation_gap(game: Game, number: int) -> float:
    _measure(game, number, VALIDATION, (UNDERSTANDING, GENERATION), "validation")
    return measured_gap(game.home(number))


def _measure(
    game: Game,
    number: int,
    what: str,
    tasks: tuple[str, ...],
    split: Split,
    told: Callable[[Mapping[str, Any]], str] | None = None,
) -> None:
    """A run of `hermes eval` in the round's folder, on answers under the self-play's root, with its report.

    ``told`` makes the line that is said of it; without it both sides are.
    """
    settings, out = game.settings, game.home(number) / what

    def work() -> None:
        wanted = EvalSettings(
            **game.options(number).model_dump(),
            model=game.reference(number),
            tasks=tasks,
            data=settings.data,
            split=split,
            held_out=True,
            limit=settings.eval_limit,
            judge=settings.judge,
            seed=settings.seed,
            batch_size=settings.batch_draw,
            max_failures=settings.max_failures,
            device=settings.device,
            out=out,
            runs=game.root,
            plugin=settings.plugin,
            label=f"{game.info.name}, round {number} ({settings.label or settings.called}, seed {settings.seed})",
        )
        content = evaluate(wanted, game.progress, game.model(number), what)
        refuse_nothing(content["results"])
        if said := (told or _said)(content):
            game.progress.say(f"{f'round {number}' if number else 'base model'}, {what}: {said}")
        if current().main:
            write_reports(out)

    game.phase(game.home(number), what, out / REPORT, work)


def _said(content: Mapping[str, Any]) -> str:
    """Both sides and their difference, or the one side that a model has, in a line; "" where nothing was measured."""
    if gap := content["gap"]["homologous"]:
        u, g, both = (spelled(gap[side], 3) for side in ("u", "g", "gap"))
        same = "".join(f"  {name} {spelled(gap[key], 3)}" for key, name in SAME.items() if key in gap)
        return f"U {u}  G {g}  U - G {both}{same}"
    sides = {name: metric for name, metric in zip("UG", measured_sides(content["results"]), strict=True) if metric}
    told = "  ".join(f"{name} {spelled(metric, 3)}" for name, metric in sides.items())
    return f"{told}  U - G undefined, as the model {why}" if (why := content["gap"].get("undefined")) else ""


def _compared(settings: AlignSettings, content: Mapping[str, Any]) -> str:
    """G at each guidance, and which is taken."""
    found = {scale: spelled(_accuracy(content, scale), 3) for scale in settings.guidances}
    listed = "  ".join(f"G {metric} at {scale:g}" for scale, metric in found.items())
    return f"{listed}  taken: {best_guidance(settings, content):g}"


def _accuracy(content: Mapping[str, Any], scale: float) -> Any:
    return content["results"][compared_guidance(scale)]["metrics"]["accuracy"]
