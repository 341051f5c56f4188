"""Hermes: how well a unified multimodal model understands and generates, how far apart the two are, and self-play
that closes the gap. Every function here imports what it needs when it is called; `import hermes` loads no torch."""

from importlib import import_module

# Imported later, the package of this name would take the place of the function.
import_module("hermes.align")

from hermes.api import align, evaluate, leaderboard, load_model, score  # noqa: E402

__version__ = "0.1.0"
__all__ = ["align", "evaluate", "leaderboard", "load_model", "score"]
