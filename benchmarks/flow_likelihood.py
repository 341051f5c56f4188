"""What K and the times do to the likelihood of hermes-flow: how noisy a pair is, and how often it is right.

    python benchmarks/flow_likelihood.py --items 48

For items of the train split with open prompts, ``--pictures`` are drawn without guidance and plan; the oracle's best
and worst of an item are a pair. A line for each K and each mean of the times: the mean over pairs of log p(winner)
- log p(loser) in nats, its deviation over ``--draws`` seeds with one noise for winner and loser and with one for each,
its deviation over pairs, and the share of pairs in which the winner is the likelier.
"""

import argparse
from dataclasses import replace
from statistics import mean
from unittest.mock import patch

import torch
from torch import Tensor

from hermes.align.pairs.items import Item, shapes_items
from hermes.harness.contracts.model import Drew, LikelihoodItem
from hermes.harness.models.flow import likelihood
from hermes.harness.models.flow.adapter import FlowModel
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.system import registry
from hermes.shapes.oracle import OracleJudge

DRAWS = (1, 4, 16)
TIME_MEANS = (0.5, 2.0)  # The law of its training, and noisier times.


def drawn(model: FlowModel, item: Item, count: int) -> list[tuple[float, Drew]]:
    """Pictures of an item's prompt with the share of its questions that each answers rightly."""
    requests = [
        Request(
            sample_id=item.id,
            index=index,
            prompt=item.caption,
            config=GenerationConfig(guidance_scale=0.0, plan="off"),
            seed=derive_seed(item.id, index),
        )
        for index in range(count)
    ]
    found = []
    for picture in model.generate(requests):
        asked = [qa["question"] for qa in item.generation.target]
        said = OracleJudge().answer([picture.image] * len(asked), asked)
        right = [reply == qa["answer"] for reply, qa in zip(said, item.generation.target, strict=True)]
        found.append((mean(right), picture))
    return sorted(found, key=lambda one: one[0])


def pair_of(model: FlowModel, item: Item, count: int) -> tuple[LikelihoodItem, LikelihoodItem] | None:
    """(winner, loser) of an item; None where all pictures are alike."""
    found = drawn(model, item, count)
    if found[0][0] == found[-1][0]:
        return None
    winner, loser = (LikelihoodItem("image", item.caption, ImageHandle(one.image)) for _, one in (found[-1], found[0]))
    return winner, loser


@torch.inference_mode()
def log_probs(model: FlowModel, items: list[LikelihoodItem], seed: int) -> Tensor:
    """(pairs,) under the noise that belongs to each pair and this seed."""
    seeded = [replace(item, seed=derive_seed(seed, number)) for number, item in enumerate(items)]
    return model.module(model.collate(model.prepare(seeded)))[0].double()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="hermes-flow")
    parser.add_argument("--items", type=int, default=48)
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--draws", type=int, default=12)
    options = parser.parse_args()
    model = FlowModel.load(options.model)
    asker, drawer = registry.evaluator("homologous-u"), registry.evaluator("homologous-g")
    items = shapes_items(asker, drawer, options.items, 0, open_prompts=1.0)
    pairs = [pair for item in items if (pair := pair_of(model, item, options.pictures))]
    winners, losers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    print(f"{len(pairs)} pairs of {len(items)} items, {options.draws} seeds\n")
    print("| K | mean of times | w - l | sd over seeds | sd, apart | sd over pairs | winner likelier |")
    print("|---|---|---|---|---|---|---|")
    for time_mean in TIME_MEANS:
        for count in DRAWS:
            model.masks = count
            with patch.object(likelihood, "TIME_MEAN", time_mean):
                won = torch.stack([log_probs(model, winners, seed) for seed in range(options.draws)])
                lost = torch.stack([log_probs(model, losers, seed) for seed in range(options.draws)])
                apart = torch.stack([log_probs(model, losers, 1000 + seed) for seed in range(options.draws)])
            together, different = won - lost, won - apart
            print(
                f"| {count} | {time_mean:g} | {together.mean():.2f} | {together.std(0).mean():.2f} "
                f"| {different.std(0).mean():.2f} | {together.mean(0).std():.2f} "
                f"| {(together > 0).double().mean():.2f} |"
            )


if __name__ == "__main__":
    main()
