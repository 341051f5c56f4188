"""How much each arm of a self-play changed U, G and the gap since round 0, with paired 95 % intervals.

    python docs/selfplay_change.py runs-selfplay

Rounds of one run answer about the same items, so an item's change is taken first; seeds of an arm are joined and the
interval is clustered by item.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from hermes.harness.stats import mean_metric
from hermes.harness.types import Metric, Score

Items = dict[str, float]


def by_item(path: Path, key: str) -> Items:
    """The mean of a value over each item's scores."""
    values: dict[str, list[float]] = defaultdict(list)
    for score in map(Score.model_validate_json, path.read_text().splitlines()):
        if key in score.values:
            values[score.group_id].append(score.values[key])
    return {item: sum(found) / len(found) for item, found in values.items()}


def sides(evaluation: Path) -> dict[str, Items]:
    """U, G, the gap and, where it was measured, G under guidance, by item."""
    found = {
        "U": by_item(evaluation / "homologous-u" / "scores.jsonl", "correct"),
        "G": by_item(evaluation / "homologous-g" / "scores.jsonl", "accuracy"),
    }
    for guided in evaluation.glob("homologous-g@*"):
        found["G guided"] = by_item(guided / "scores.jsonl", "accuracy")
    found["gap"] = {item: found["U"][item] - found["G"][item] for item in found["U"] if item in found["G"]}
    return found


def cell(metric: Metric) -> str:
    half = (metric.high - metric.low) / 2 if metric.low is not None and metric.high is not None else float("nan")
    return f"{metric.value:+.3f} ± {half:.3f}"


def changes(runs: Path) -> Mapping[tuple[str, int, str], tuple[list[float], list[str], set[int]]]:
    """(objective, round, side) to the changes since round 0, their items, and the seeds."""
    table: dict[tuple[str, int, str], tuple[list[float], list[str], set[int]]] = defaultdict(lambda: ([], [], set()))
    for path in sorted(runs.glob("**/history.json")):
        history = json.loads(path.read_text())
        base = sides(path.parent / "round-0" / "evaluation")
        for entry in history["rounds"][1:]:
            now = sides(path.parent / f"round-{entry['round']}" / "evaluation")
            for side in now:
                values, items, seeds = table[history["objective"], entry["round"], side]
                for item, value in now[side].items():
                    values.append(value - base[side][item])
                    items.append(item)
                seeds.add(history["seed"])
    return table


def main(runs: Path) -> None:
    """Print the table in markdown."""
    table = changes(runs)
    print("| objective | round | seeds | U | G | gap | G guided |\n|---|---|---|---|---|---|---|")
    for objective, number in sorted({key[:2] for key in table}):
        cells = []
        for side in ("U", "G", "gap", "G guided"):
            values, items, _ = table[objective, number, side]
            cells.append(cell(mean_metric(values, items)) if values else "-")
        print(f"| {objective} | {number} | {len(table[objective, number, 'U'][2])} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
