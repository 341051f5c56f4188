"""How tasks, worlds, values and sizes are spelled in tables, and in which order tasks stand."""

from hermes.harness.records.types import Result
from hermes.harness.run.gap import GENERATION, UNDERSTANDING

HOMOLOGOUS = (UNDERSTANDING, GENERATION)
BENCHMARK_GAP, GAP = "gap over benchmarks", "gap"
TITLES = {
    "homologous-u": "U",
    "homologous-g": "G",
    "pope": "POPE",
    "mme": "MME",
    "flickr30k": "Flickr30k",
    "vqav2": "VQAv2",
    "gqa": "GQA",
    "mmmu": "MMMU",
    "geneval": "GenEval",
    "dpg_bench": "DPG-Bench",
    "pope-8910": "POPE (LLaVA's 8,910)",
    "flickr30k-1k": "Flickr30k (Karpathy 1K)",
    "vqav2-testdev": "VQAv2 (test-dev)",
    "tifa": "TIFA",
    "self-rejection": "Self-rejection",
    "non-unification": "Non-unification",
    "geneval2": "GenEval 2",
    "wise": "WISE",
    "wise-verified": "WISE_Verified",
    "cycle-image": "Cycle, picture first",
    "cycle-text": "Cycle, caption first",
    "drift-image": "Drift, picture first",
    "drift-text": "Drift, caption first",
    "unified-bench": "Unified-Bench",
    "mgg": "MGG",
    "unison-u": "Unison U",
    "unison-g": "Unison G",
    "unison-swapped": "Unison, swapped",
    "gapeval": "GapEval",
    "clipscore": "CLIPScore",
    "pickscore": "PickScore",
    "hpsv2": "HPSv2",
    "aesthetic": "Aesthetic score",
    "fid": "FID",
}
ORDER = tuple(TITLES)
# G at a guidance that each round has chosen on validation scenes; at one guidance of all rounds it is a task's title.
BEST_GUIDED = "G (best guidance)"
GAPS = {BENCHMARK_GAP: "Benchmark gap", GAP: "Gap (U - G)"}
JOINT, PHI = "joint", "phi"
SAME = {JOINT: "J", PHI: "phi"}
"""What the questions of both sides say together: the share that is right on both, and how the two go along."""
UNDEFINED = "undefined"
"""What stands in place of the gap of a model of one side."""
WORLDS = {"shapes": "shapes world (built in)", "real": "real data"}


def title(task: str) -> str:
    """``homologous-g@guidance_scale=1.5`` is ``G (guidance scale 1.5)``, ``fid:geneval`` is ``FID (GenEval)``.

    ``mgg:3`` is ``MGG (3 generations)``.
    """
    name, _, overrides = task.partition("@")
    spelled = overrides.replace("_", " ").replace("=", " ")
    score, _, drawn = name.partition(":")
    if score in TITLES and (drawn in TITLES or drawn.isdecimal()):
        of = TITLES.get(drawn) or f"{drawn} generations"
        name, spelled = score, ", ".join(filter(None, (of, spelled)))
    return TITLES.get(name, name) + (f" ({spelled})" if spelled else "")


def guided_title(task: str) -> str:
    """What G under guidance is called in the tables of a self-play; older ones do not say the task."""
    return title(task) if task else "G (guided)"


def digits(result: Result) -> int:
    """Three digits for fractions, one for percent and points."""
    return 3 if result.best <= 1 else 1


def place(name: str) -> tuple[float, str]:
    """What columns are sorted by: the gap, J and phi, its sides, the gap over benchmarks, known benchmarks, others."""
    if name in SAME:
        return -0.5, name
    if name in GAPS:
        return -1.0 if name == GAP else len(HOMOLOGOUS) - 0.5, name
    plain = name.partition("@")[0]
    return ORDER.index(plain) if plain in ORDER else len(ORDER), name


def counted(number: int, what: str) -> str:
    """``1 round``, ``3 rounds``."""
    return f"{number} {what}{'s' * (number != 1)}"


def size(parameters: int) -> str:
    """``1.3B``, ``865M``, ``12.4K``; empty where unknown."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{letter}"
    return str(parameters) if parameters else ""
