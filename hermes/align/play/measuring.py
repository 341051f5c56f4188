"""What is measured of a round's model: the gap, G under guidance, benchmarks beside it, and the gap for patience."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hermes.align.play.game import Game
from hermes.align.play.history import measured_sides
from hermes.align.settings import AlignSettings
from hermes.harness.records.types import Split
from hermes.harness.run.failing import refuse_nothing
from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.run.view import RESULTS
from hermes.harness.system.disk import read_json
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current
from hermes.leaderboards.report import write_reports
from hermes.leaderboards.tables import spelled
from hermes.leaderboards.titles import SAME

EVALUATION, VALIDATION = "evaluation", "validation"
REPORT = "report.html"
"""What an evaluation leaves at its end."""


def measure(game: Game, number: int) -> None:
    """The round's evaluation, on the scenes that are reported."""
    tasks = evaluated_tasks(game.settings, game.kind.abilities)
    _measure(game, number, EVALUATION, tasks, game.settings.eval_split)


def evaluated_tasks(settings: AlignSettings, abilities: Collection[str]) -> tuple[str, ...]:
    """The names of what is evaluated in every round, of a model with these abilities."""
    guided = _guided(settings)
    sides = {"understanding": (UNDERSTANDING,), "generation": (GENERATION, *([guided] if guided else []))}
    return (*(task for side, tasks in sides.items() if side in abilities for task in tasks), *settings.eval_tasks)


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


def guided_task(game: Game) -> str | None:
    """The name of the task that is drawn under guidance, None where there is no such task."""
    return _guided(game.settings)


def _guided(settings: AlignSettings) -> str | None:
    guidance = settings.eval_guidance
    return None if guidance is None else f"{GENERATION}@guidance_scale={guidance:g}"


def _validation_gap(game: Game, number: int) -> float:
    _measure(game, number, VALIDATION, (UNDERSTANDING, GENERATION), "validation")
    return measured_gap(game.home(number))


def _measure(game: Game, number: int, what: str, tasks: tuple[str, ...], split: Split) -> None:
    """A run of `hermes eval` in the round's folder, on answers under the self-play's root, with its report."""
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
        if said := _said(content):
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
