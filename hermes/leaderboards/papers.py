"""Which number of a benchmark papers print, where that is not what its own script prints. Facts: docs/benchmarks.md."""

from hermes.harness.records.types import Result

PAPERS: dict[str, tuple[tuple[str, ...], str]] = {
    "pope": (
        ("official", "llava"),
        "papers print the mean of the three F1 or of the three accuracies, rarely saying which",
    ),
    "mme": (("official", "lmms-eval"), "papers print perception alone"),
    "vqav2": ((), "papers print test-dev, which only the evaluation server can score; this is validation"),
    "gqa": (("llava",), "papers print LLaVA's rule, which drops case and trailing periods first (--protocol llava)"),
    "mmmu": (("official", "lmms-eval"), ""),
    "flickr30k": (
        ("lmms-eval", "official"),
        "Show-o's tables come from lmms-eval over all 31,783 images; captioning papers print the Karpathy 1K test, "
        "whose CIDEr is not comparable",
    ),
    "geneval": (("official",), ""),
    "dpg_bench": (("official",), "papers print the official script's number, with its quirks"),
}


def paper_note(title: str, result: Result) -> str | None:
    """What a reader must know before holding a measured number on real data against a printed one."""
    protocols, text = PAPERS.get(result.evaluator, ((), ""))
    if result.data.world == "shapes" or not text:
        return None
    other = "" if result.protocol in protocols else f" Scored here: {result.protocol} protocol."
    return f"{title}: {text}.{other}"
