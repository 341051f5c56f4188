"""What the critic of a self-play gets right: its candidate images in the shapes world, judged again by the oracle.

    python benchmarks/pairs_against_oracle.py runs-ablation/sum runs-ablation/coupled

A line for each folder and round, with means over all finished self-plays under the folder. "drawn": what the oracle
gives a candidate image; "best": the best candidate of an item; "winner" and "loser": those of the image pairs; "right",
"equal", "wrong": the share of pairs whose winner the oracle puts above, level with or below the loser; "all alike": the
share of items whose candidates the critic cannot tell apart, and "all perfect": those where it gives all of them 1.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from PIL import Image
from rich.console import Console
from rich.table import Table

from hermes.align.pairs.items import ItemSource
from hermes.align.pairs.preferences import Candidate, Preference, read_records
from hermes.align.settings import AlignSettings
from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.system import registry
from hermes.harness.system.disk import read_json
from hermes.harness.system.settings import build
from hermes.shapes.oracle import OracleJudge

NAMES = ("drawn", "best", "winner", "loser", "right", "equal", "wrong", "all alike", "all perfect")


def oracle_scores(folder: Path, number: int, candidates: list[Candidate]) -> dict[tuple[str, str], float]:
    """The share of right answers about each (item, image) of a round."""
    settings = build(AlignSettings, overrides=read_json(folder / "spec.json")["settings"])
    drawer, asker = registry.evaluator("homologous-g"), registry.evaluator("homologous-u")
    items = {item.id: item.generation for item in ItemSource(asker, drawer, settings, TinyModel).of_round(number)}
    wanted = sorted({(found.item_id, found.image) for found in candidates if found.image})
    stored = {path.stem: path for path in (folder / "media").rglob("*.*")}
    images, questions, rights = [], [], []
    for item, name in wanted:
        image = Image.open(stored[name])
        for question in items[item].target:
            images.append(image)
            questions.append(question["question"])
            rights.append(((item, name), question["answer"]))
    found = defaultdict(list)
    for (key, right), said in zip(rights, OracleJudge().answer(images, questions), strict=True):
        found[key].append(said == right)
    return {key: mean(values) for key, values in found.items()}


def figures(folder: Path, number: int) -> dict[str, float]:
    """NAMES for one round of one self-play."""
    home = folder / f"round-{number}"
    candidates = [found for found in read_records(home / "candidates.jsonl", Candidate) if found.side == "gen"]
    pairs = [found for found in read_records(home / "preferences.jsonl", Preference) if found.gen]
    oracle = oracle_scores(folder, number, candidates)
    by_item = defaultdict(list)
    for found in candidates:
        by_item[found.item_id].append(found)
    duels = [tuple(oracle[pair.item_id, side.image] for side in (pair.gen.winner, pair.gen.loser)) for pair in pairs]
    drawn = {item: [oracle[item, one.image] for one in found] for item, found in by_item.items()}
    critic = [{one.score for one in found} for found in by_item.values()]
    values = (
        mean(value for found in drawn.values() for value in found),
        mean(max(found) for found in drawn.values()),
        mean(winner for winner, _ in duels),
        mean(loser for _, loser in duels),
        mean(winner > loser for winner, loser in duels),
        mean(winner == loser for winner, loser in duels),
        mean(winner < loser for winner, loser in duels),
        mean(len(found) == 1 for found in critic),
        mean(found == {1.0} for found in critic),
    )
    return dict(zip(NAMES, values, strict=True))


def rounds(folder: Path) -> Iterator[tuple[int, list[dict[str, float]]]]:
    """Each round with its figures in all finished self-plays under the folder."""
    plays = sorted(path.parent for path in folder.rglob("history.json"))
    last = {play: len(read_json(play / "history.json")["rounds"]) - 1 for play in plays}
    for number in range(1, max(last.values(), default=0) + 1):
        yield number, [figures(play, number) for play in plays if last[play] >= number]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    table = Table("self-plays", "round", "plays", *NAMES)
    for folder in parser.parse_args().folders:
        for number, found in rounds(folder):
            means = [f"{mean(one[name] for one in found):.3f}" for name in NAMES]
            table.add_row(folder.name, str(number), str(len(found)), *means)
    Console(width=max(120, Console().width)).print(table)


if __name__ == "__main__":
    main()
