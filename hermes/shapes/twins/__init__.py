"""The twins of the benchmarks in the drawn world, one file a benchmark, imported when its twin is asked for."""

from importlib import import_module
from typing import Any

from hermes.harness.contracts.benchmark import Twin

# The module of each benchmark's twin; its function ``twin(name)`` gives the `Twin` of the benchmark of that name.
FILES = {
    "pope": "pope",
    "pope-8910": "pope",
    "mme": "mme",
    "vqav2": "vqav2",
    "vqav2-testdev": "vqav2",
    "gqa": "gqa",
    "mmmu": "mmmu",
    "flickr30k": "flickr30k",
    "flickr30k-1k": "flickr30k",
    "geneval": "geneval",
    "dpg_bench": "dpg_bench",
    "tifa": "tifa",
    "homologous-u": "homologous",
    "homologous-g": "homologous",
    "self-rejection": "homologous",
    "edit": "edit",
    **dict.fromkeys(("cycle-image", "cycle-text", "drift-image", "drift-text", "unified-bench", "mgg"), "cycles"),
    "unison-u": "unison",
    "unison-g": "unison",
    "unison-swapped": "unison",
}


def twin_of(evaluator: Any) -> Twin | None:
    """The twin of an evaluator or of its class: its own, or the one that comes with Hermes; None without any."""
    if evaluator.twin is not None or evaluator.name not in FILES:
        own: Twin | None = evaluator.twin
        return own
    found: Twin = import_module(f"hermes.shapes.twins.{FILES[evaluator.name]}").twin(evaluator.name)
    return found
