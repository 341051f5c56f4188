"""What self-play costs understanding: U and its kinds of questions on 2,000 validation scenes that no evaluation asks.

    python benchmarks/understanding_drift.py runs-ablation/default runs-ablation/sum --rounds 1,3

A line for each folder and round: the change of U against the base model, paired by item over all seeds, with a 95 %
interval, and the change of right answers in a hundred questions of each kind.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.progress import track
from rich.table import Table

from hermes.harness.contracts.reader import read, words
from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.records.types import Request, Sample
from hermes.harness.system import registry
from hermes.leaderboards.paired import difference
from hermes.shapes.twins import twin_of

BATCH = 64
Answers = Mapping[str, float]


def questions(sets: int) -> list[Sample]:
    """The benchmark's questions about scenes of other seeds than the benchmark's own."""
    asker = registry.evaluator("homologous-u")
    found = []
    for seed in range(1, sets + 1):
        for sample in asker.samples(twin_of(asker).rows("validation", seed)):
            names = {"id": f"{seed}/{sample.id}", "group_id": f"{seed}/{sample.group_id}"}
            found.append(sample.model_copy(update=names))
    return found


def answered(model: TinyModel, samples: list[Sample]) -> dict[str, float]:
    """1 for each question answered right, else 0, by the question's id."""
    config = registry.evaluator("homologous-u").config
    right: dict[str, float] = {}
    rest = iter(samples)
    while batch := list(islice(rest, BATCH)):
        requests = [
            Request(sample_id=sample.id, index=0, prompt=sample.prompt, images=sample.images, config=config, seed=0)
            for sample in batch
        ]
        for sample, text in zip(batch, model.understand(requests), strict=True):
            right[sample.id] = float(read(text, sample.target, sample.choices) == words(sample.target))
    return right


def by(samples: list[Sample], right: Answers, group: str) -> dict[str, float]:
    """The share of right answers in each item ("item") or kind of question ("kind")."""
    found = defaultdict(list)
    for sample in samples:
        found[sample.group_id if group == "item" else sample.metadata["kind"]].append(right[sample.id])
    return {name: mean(values) for name, values in sorted(found.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rounds", default="1,2,3")
    parser.add_argument("--sets", type=int, default=5, help="sets of 400 scenes")
    options = parser.parse_args()
    samples = questions(options.sets)
    base = answered(TinyModel.load(), samples)
    kinds = by(samples, base, "kind")
    table = Table("self-plays", "round", "seeds", "U", *kinds)
    first = f"{mean(by(samples, base, 'item').values()):.4f}"
    table.add_row("hermes-tiny", "0", "-", first, *(f"{100 * value:.1f}" for value in kinds.values()))
    for folder in options.folders:
        for number in options.rounds.split(","):
            weights = sorted(folder.glob(f"seed-*/round-{number}/checkpoint"))
            played = [answered(TinyModel.load(str(path)), samples) for path in track(weights, f"{folder}, {number}")]
            if not played:
                continue
            change = difference([(by(samples, base, "item"), by(samples, one, "item")) for one in played])
            half = (change.high - change.low) / 2
            moved = [mean(by(samples, one, "kind")[kind] - kinds[kind] for one in played) for kind in kinds]
            cells = (f"{change.value:+.4f} ± {half:.4f}", *(f"{100 * value:+.1f}" for value in moved))
            table.add_row(folder.name, number, str(len(played)), *cells)
    Console(width=max(120, Console().width)).print(table)


if __name__ == "__main__":
    main()
