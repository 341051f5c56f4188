"""What is measured of a round's model: the gap, G under guidance, benchmarks beside it, and the gap for patience."""

from hermes.align.play.game import Game
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

EVALUATION, VALIDATION = "evaluation", "validation"


def measure(game: Game, number: int) -> None:
    """The round's evaluation, on the scenes that are reported."""
    guided, settings = guided_task(game), game.settings
    tasks = (UNDERSTANDING, GENERATION, *([guided] if guided else []), *settings.eval_tasks)
    _measure(game, number, EVALUATION, tasks, settings.eval_split)


def exhausted(game: Game, number: int) -> bool:
    """Whether as many rounds as ``patience`` says, up to this one, left the validation gap above its best.

    Measures it, for this round and for those before that were played without patience.
    """
    patience = game.settings.patience
    if not patience:
        return False
    gaps = [_validation_gap(game, n) for n in range(number + 1)]
    return len(gaps) - 1 - min(range(len(gaps)), key=gaps.__getitem__) >= patience


def guided_task(game: Game) -> str | None:
    """The name of the task that is drawn under guidance, None where there is no such task."""
    guidance = game.settings.eval_guidance
    return None if guidance is None else f"{GENERATION}@guidance_scale={guidance:g}"


def _validation_gap(game: Game, number: int) -> float:
    _measure(game, number, VALIDATION, (UNDERSTANDING, GENERATION), "validation")
    out = game.home(number) / VALIDATION
    gap = read_json(out / RESULTS, f"remove {out} and run the same command again")["gap"]["homologous"]
    if gap is None:
        raise HermesError(f"{out}: the validation holds no homologous gap; leave patience out")
    return float(gap["gap"]["value"])


def _measure(game: Game, number: int, what: str, tasks: tuple[str, ...], split: Split) -> None:
    """A run of `hermes eval` in the round's folder, on answers under the self-play's root, with its report."""
    settings, out = game.settings, game.home(number) / what

    def work() -> None:
        wanted = EvalSettings(
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
            label=f"{game.info.name}, round {number} ({settings.label or settings.objective}, seed {settings.seed})",
        )
        refuse_nothing(evaluate(wanted, game.progress, game.model(number))["results"])
        if current().main:
            write_reports(out)

    game.phase(game.home(number), what, out / "report.html", work)
