"""U and G of self-plays on more validation scenes than their evaluations ask: 12,000 questions, 1,600 drawings.

    python benchmarks/more_scenes.py runs-ablation/default runs-ablation/sum --rounds 1,3
    python benchmarks/more_scenes.py runs-ablation/default --rounds 3 --mix 0.3,0.5

A line for each folder, round and mix: the changes of U and G against the base model, paired by item over all seeds,
with 95 % intervals; the gap; and the change of right answers in a hundred questions of each kind. ``--mix 0.3`` has so
much of the base model in the weights, as ``--average`` has of a round's start. A minute for each checkpoint on one
thread.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import mean
from zlib import crc32

from rich.console import Console
from rich.progress import track
from rich.table import Table

from hermes.harness.contracts.reader import read, words
from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.records.types import Metric, Request, Sample
from hermes.harness.system import registry
from hermes.leaderboards.paired import difference
from hermes.shapes.oracle import OracleJudge
from hermes.shapes.twins import twin_of

BATCH = 64
Worth = Mapping[str, float]


def samples_of(task: str, sets: int) -> list[Sample]:
    """A side of the benchmark over scenes of other seeds than the benchmark's own."""
    asker = registry.evaluator(task)
    found = []
    for seed in range(1, sets + 1):
        for sample in asker.samples(twin_of(asker).rows("validation", seed)):
            group = f"{seed}/{sample.group_id}" if sample.group_id else None
            found.append(sample.model_copy(update={"id": f"{seed}/{sample.id}", "group_id": group}))
    return found


def asked(task: str, samples: Sequence[Sample]) -> Iterator[tuple[list[Sample], list[Request]]]:
    """Batches of samples with their requests."""
    config, rest = registry.evaluator(task).config, iter(samples)
    while batch := list(islice(rest, BATCH)):
        yield (
            batch,
            [
                Request(sample_id=one.id, index=0, prompt=one.prompt, images=one.images, config=config, seed=_seed(one))
                for one in batch
            ],
        )


def _seed(sample: Sample) -> int:
    return crc32(sample.id.encode())


def answered(model: TinyModel, samples: Sequence[Sample]) -> dict[str, float]:
    """1 for each question answered right, else 0, by the question's id."""
    right: dict[str, float] = {}
    for batch, requests in asked("homologous-u", samples):
        for sample, text in zip(batch, model.understand(requests), strict=True):
            right[sample.id] = float(read(text, sample.target, sample.choices) == words(sample.target))
    return right


def drawn(model: TinyModel, samples: Sequence[Sample]) -> dict[str, float]:
    """The share of an item's questions that its drawing answers right, by the item's id."""
    judge, right = OracleJudge(), {}
    for batch, requests in asked("homologous-g", samples):
        for sample, one in zip(batch, model.generate(requests), strict=True):
            said = judge.answer([one.image] * len(sample.target), [qa["question"] for qa in sample.target])
            pairs = zip(said, sample.target, strict=True)
            right[sample.id] = mean(float(read(reply, qa["answer"], ()) == words(qa["answer"])) for reply, qa in pairs)
    return right


def by(samples: Sequence[Sample], right: Worth, group: str) -> dict[str, float]:
    """The share of right answers in each item ("item") or kind of question ("kind")."""
    found = defaultdict(list)
    for sample in samples:
        found[sample.group_id if group == "item" else sample.metadata["kind"]].append(right[sample.id])
    return {str(name): mean(values) for name, values in sorted(found.items())}


def mixed(folder: Path, share: float) -> TinyModel:
    """The checkpoint with a share of the base model in its weights."""
    model, base = TinyModel.load(str(folder)), TinyModel.load()
    weights, start = model.transformer.state_dict(), base.transformer.state_dict()
    both = {
        name: value.lerp(start[name], share) if value.is_floating_point() else value for name, value in weights.items()
    }
    model.transformer.load_state_dict(both)
    return model


def said(change: Metric) -> str:
    return f"{change.value:+.4f} ± {(change.high - change.low) / 2:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rounds", default="1,2,3")
    parser.add_argument("--mix", default="0", help="shares of the base model, with commas")
    parser.add_argument("--sets", type=int, nargs=2, default=(5, 4), help="sets of 400 scenes for U and for G")
    options = parser.parse_args()
    questions, drawings = samples_of("homologous-u", options.sets[0]), samples_of("homologous-g", options.sets[1])
    base = TinyModel.load()
    u, g = answered(base, questions), drawn(base, drawings)
    kinds, u_items = by(questions, u, "kind"), by(questions, u, "item")
    table = Table("self-plays", "round", "mix", "seeds", "U", "G", "gap", *kinds)
    start = [
        f"{mean(u_items.values()):.4f}",
        f"{mean(g.values()):.4f}",
        f"{mean(u_items.values()) - mean(g.values()):.4f}",
    ]
    table.add_row("hermes-tiny", "0", "", "-", *start, *(f"{100 * value:.1f}" for value in kinds.values()))
    for folder in options.folders:
        for number in options.rounds.split(","):
            places = sorted(folder.glob(f"seed-*/round-{number}/checkpoint"))
            for share in map(float, options.mix.split(",") if places else ()):
                models = [mixed(place, share) for place in places]
                told = f"{folder}, {number}, {share:g}"
                played = [(answered(model, questions), drawn(model, drawings)) for model in track(models, told)]
                read_u = [by(questions, one, "item") for one, _ in played]
                moved = [mean(by(questions, one, "kind")[kind] - kinds[kind] for one, _ in played) for kind in kinds]
                gap = mean(mean(one.values()) for one in read_u) - mean(mean(one.values()) for _, one in played)
                cells = (
                    said(difference([(u_items, one) for one in read_u])),
                    said(difference([(g, one) for _, one in played])),
                    f"{gap:.4f}",
                    *(f"{100 * value:+.1f}" for value in moved),
                )
                table.add_row(folder.name, number, f"{share:g}", str(len(played)), *cells)
    Console(width=max(140, Console().width)).print(table)


if __name__ == "__main__":
    main()
