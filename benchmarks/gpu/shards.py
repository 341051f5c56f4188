"""A training with sharded weights (FSDP2) on one device against the same training with whole ones."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from showo_sizes import SIZES, Size, random_phi

from gpu.measuring import Figure, Place, new_peak, peak, seconds
from hermes.align.losses.likelihoods import TrainPair
from hermes.align.settings import TrainSettings
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.models.showo.likelihood import Likelihood, LikelihoodBatch, Prepared, collate_items
from hermes.harness.records.images import ImageHandle

SMALL = Size(512, 4, 8, 2048, 4000, 1024, 64)
PAIRS, STEPS, NOISE = 4, 2, 0.05
"""NOISE: size of the difference over size of the move. AdamW's first step moves a weight by the learning rate however
small its gradient, and where that is but rounding (biases of keys), which way is chance."""


class Model:
    """A small Show-o without tokenizers: a letter is a token, and so is a level of grey."""

    def __init__(self, size: Size, device: str) -> None:
        self.size, self.device = size, device
        self.network = random_phi(size, device).requires_grad_()
        self.module = Likelihood(self.network)

    def prepare(self, items: Sequence[LikelihoodItem]) -> list[Prepared]:
        return [self._prepared(item) for item in items]

    def with_seed(self, prepared: Prepared, seed: int) -> Prepared:
        return prepared.with_seed(seed)

    def collate(self, prepared: Sequence[Prepared]) -> LikelihoodBatch:
        return collate_items(self.size.layout, prepared).to(self.device)

    def _prepared(self, item: LikelihoodItem) -> Prepared:
        levels = np.asarray(item.image.open().convert("L"), dtype=np.int64).flatten()
        image = levels % self.size.codes + self.size.layout.vocabulary.first_code
        text = None if item.kind == "image" else tuple(map(ord, item.text))
        return Prepared(tuple(map(ord, item.prompt)), image, text, item.seed)


def check(place: Place) -> Iterator[Figure]:
    """Two steps in float32, from the same weights; a process group of this process alone."""
    size = place.pick(SMALL, replace(SIZES["tiny"], words=256))
    whole, took_whole = trained(place, size)
    on = alone(place)
    yield Figure("sharding", "on" if on else "off", "", "on", on)
    new_peak(place)
    sharded, took = trained(place, size)
    start = dict(random_phi(size, place.device).named_parameters())
    moved = torch.cat([(whole[name] - start[name].detach()).flatten() for name in start])
    apart = torch.cat([(whole[name] - sharded[name]).flatten() for name in start])
    share = float(apart.norm() / moved.norm())
    yield Figure("the largest move of a weight", float(moved.abs().max()), "", "not 0", bool(moved.any()))
    yield Figure("sharded from whole, of the move", 100 * share, "%", f"at most {NOISE:.0%}", share <= NOISE)
    yield Figure("training of whole weights", took_whole, "s")
    yield Figure("training of shards", took, "s")
    yield peak(place, "training of shards")


def trained(place: Place, size: Size) -> tuple[dict[str, torch.Tensor], float]:
    """The weights after two steps of Hermes' own training, and its seconds."""
    model: Any = Model(size, place.device)
    settings = TrainSettings(
        **{"lr": 2e-3, "warmup": 0.0, "batch_size": PAIRS, "micro_batch": 2, "epochs": STEPS, "replay": 0.0},
        bf16=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        took = seconds(place, lambda: train(model, pairs(size), (), settings, Path(folder)))
    return {name: weight.detach().clone() for name, weight in model.network.named_parameters()}, took


def pairs(size: Size) -> list[TrainPair]:
    """Winners and losers of random pictures and letters."""
    side, rng = int(size.image**0.5), np.random.default_rng(5)
    seen = [ImageHandle(Image.fromarray(level)) for level in rng.integers(0, 256, (3 * PAIRS, side, side), np.uint8)]
    made = []
    for n in range(PAIRS):
        image, win, lose = seen[3 * n : 3 * n + 3]
        said = (LikelihoodItem("text", "say", image, text) for text in ("left", f"no {n}"))
        drew = (LikelihoodItem("image", "draw", picture, None) for picture in (win, lose))
        made.append(TrainPair(f"pair {n}", tuple(said), tuple(drew)))  # type: ignore[arg-type]
    return made


def alone(place: Place) -> bool:
    """From now on accelerate shards over this process, as under `accelerate launch` with configs/fsdp.yaml; whether it
    does."""
    import accelerate
    from accelerate.state import AcceleratorState, DistributedType, PartialState
    from accelerate.utils import FullyShardedDataParallelPlugin

    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("nccl" if place.cuda else "gloo", store=store, rank=0, world_size=1)
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.Accelerator(cpu=not place.cuda)
    PartialState().distributed_type = DistributedType.FSDP
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, reshard_after_forward=True)
    AcceleratorState(_from_accelerator=True).fsdp_plugin = plugin
    return bool(accelerate.Accelerator(cpu=not place.cuda).is_fsdp2)
