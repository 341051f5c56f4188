"""Hermes: how well a unified multimodal model understands and generates, how far apart the two are, and self-play
that closes the gap. Every function here imports what it needs when it is called; `import hermes` loads no torch."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hermes.harness.contracts.model import UnifiedModel
    from hermes.harness.system.progress import Progress

__version__ = "0.1.0"
__all__ = ["align", "evaluate", "leaderboard", "load_model", "score"]

# Imported later, the package of this name would take the place of the function.
import_module("hermes.align")


def load_model(reference: str, device: str = "auto", **options: Any) -> "UnifiedModel":
    """The model behind a registered name ("hermes-tiny"), a checkpoint folder or OWNER/NAME[@REVISION] of the hub.

    ``options`` are the fields of `LoadOptions`: dtype, device_map, adapter, compile.
    """
    from hermes.harness.contracts.options import LoadOptions
    from hermes.harness.run.loading import load_model as load
    from hermes.harness.system.settings import build

    return load(reference, device, build(LoadOptions, overrides=options))


def evaluate(model: str = "hermes-tiny", progress: "Progress | None" = None, **settings: Any) -> dict[str, Any]:
    """Run benchmarks; keywords are the fields of `EvalSettings`. Returns what results.json holds, and "folder"."""
    from hermes.commands import evaluate as run
    from hermes.harness.run.settings import EvalSettings
    from hermes.harness.system.settings import build

    return run(build(EvalSettings, overrides={"model": model, **settings}), progress)


def score(
    run: Path | str | None = None, protocol: str | None = None, progress: "Progress | None" = None, **settings: Any
) -> dict[str, Any]:
    """Score a run folder's stored answers again under a protocol, or answers that were made anywhere; loads no model.

    Without ``run`` the keywords are the fields of `hermes.harness.run.outside.score.ScoreSettings`. Returns what
    results.json holds, and "folder" (None where none was needed).
    """
    from hermes.commands import rescore, score_files
    from hermes.harness.run.outside.score import ScoreSettings, refuse_mixture
    from hermes.harness.system.settings import build

    refuse_mixture(Path(run) if run is not None else None, settings)
    if run is not None:
        return rescore(Path(run), protocol or "official", progress)
    return score_files(build(ScoreSettings, overrides={**settings, "protocol": protocol}), progress).content


def align(model: str = "hermes-tiny", progress: "Progress | None" = None, **settings: Any) -> dict[str, Any]:
    """Pair-DPO self-play; keywords are the fields of `AlignSettings`. Returns what history.json holds, and "folder"."""
    from hermes.align.play.selfplay import align as run
    from hermes.align.settings import AlignSettings
    from hermes.harness.system.settings import build

    return run(build(AlignSettings, overrides={"model": model, **settings}), progress)


def leaderboard(paths: Sequence[Path], format: str = "md", **options: Any) -> str:
    """The table of all runs under the paths as "md", "latex" or "html"; see `hermes.leaderboards.leaderboard`."""
    from hermes.leaderboards import leaderboard as table

    return table(paths, format, **options)
