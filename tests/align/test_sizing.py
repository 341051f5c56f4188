"""The plan's memory of a training step against what a real one allocates, part by part."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_janus
import torch
from torch import nn

from hermes.align.play.budget import Ranks, budget
from hermes.align.settings import TrainSettings
from hermes.align.training.lora import Lora
from hermes.align.training.preparing import without_dropout
from hermes.align.training.sharding import shard, trainable
from hermes.align.training.sizing import step_sizes
from hermes.harness.models.outline import Blank, Outline, Side
from hermes.harness.models.showo.config import ShowoConfig
from hermes.harness.models.showo.load import write_network
from hermes.harness.models.showo.outline import outline_of
from hermes.harness.models.showo.phi import Phi, Shape

SIDES: tuple[Side, ...] = ("text", "image")
TOKENS, PAIRS = 12, 3
SHAPES = {"small": (64, 4), "middle": (128, 6), "large": (192, 8)}
CLOSE = 0.15


@pytest.fixture(scope="module")
def outlines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outline]:
    """Show-o in three sizes, from their settings files."""
    found = {}
    for name, (width, layers) in SHAPES.items():
        folder = tmp_path_factory.mktemp(name)
        config = ShowoConfig(500, 64, 64, "phi_config", max_text=16)
        with torch.device("meta"):
            network = Phi(Shape(config.as_json()["vocab_size"], width, layers, 4, 4 * width))
        network.to_empty(device="cpu")
        write_network(network, config.as_json(), folder)
        (folder / "pytorch_model.safetensors").unlink()
        found[name] = outline_of(folder / "config.json", 4)
    return found


def real(outline: Outline, settings: TrainSettings) -> Blank:
    """The model with weights, ready for a step."""
    blank = outline.build(outline.layers)
    blank.module.to_empty(device="cpu")
    for weight in blank.module.parameters():
        nn.init.normal_(weight, std=0.02)
    if settings.lora_rank:
        Lora(blank, settings, 0)  # type: ignore[arg-type]
    if settings.checkpointing and blank.recompute_activations:
        blank.recompute_activations(True)
    without_dropout(blank.module)
    return blank


def stepped(blank: Blank, module: nn.Module, bf16: bool) -> int:
    """Bytes at the peak of a pass in the second step: what is held, and the most that the allocator gave out beside."""
    optimizer = torch.optim.AdamW(list(trainable(module).values()), lr=1e-4)
    batches = [blank.batch(side, PAIRS, TOKENS) for side in SIDES]

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            torch.stack([module(batch)[0].sum() for batch in batches]).sum().backward()

    work()
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    given = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(given, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    moments = (value for state in optimizer.state.values() for value in state.values() if value.dim())
    grads = (weight.grad for weight in module.parameters() if weight.grad is not None)
    return peak + sum(map(held, (*module.parameters(), *grads, *moments)))


def held(tensor: Any) -> int:
    """Bytes on this process."""
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return int(local.numel() * local.element_size())


@pytest.mark.parametrize(
    ("size", "changes", "bf16"),
    [
        ("small", {}, False),
        ("middle", {}, False),
        ("large", {}, False),
        ("middle", {}, True),
        ("large", {"checkpointing": True}, False),
        ("middle", {"lora_rank": 4}, True),
        ("small", {"lora_rank": 4, "checkpointing": True}, False),
    ],
)
def test_the_plan_is_close_to_what_a_step_takes(
    size: str, changes: dict[str, Any], bf16: bool, outlines: dict[str, Outline]
) -> None:
    settings = TrainSettings.model_validate(changes)
    sizes = step_sizes(outlines[size], settings, "float32", bf16, False, SIDES, TOKENS)
    planned = budget(sizes, settings, Ranks(), cuda=False).peak(PAIRS)
    blank = real(outlines[size], settings)
    measured = stepped(blank, blank.module, bf16)
    assert planned == pytest.approx(measured, rel=CLOSE)


def test_what_cuda_rounds_otherwise_is_rounded_so_when_it_is_computed_again(outlines: dict[str, Outline]) -> None:
    settings = TrainSettings(checkpointing=True)
    cuda, cpu = (step_sizes(outlines["large"], settings, "float32", True, on, SIDES, TOKENS) for on in (True, False))
    assert cuda.pair > cpu.pair


@pytest.fixture
def two_ranks() -> Iterator[None]:
    """A group of two processes, of which this is the first and the other one answers at once with anything."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("two_ranks")
def test_the_plan_of_a_shard_is_close_to_what_it_takes(outlines: dict[str, Outline]) -> None:
    settings = TrainSettings()
    sizes = step_sizes(outlines["large"], settings, "float32", False, False, SIDES, TOKENS)
    planned = budget(sizes, settings, Ranks(number=2, sharded=True), cuda=False)
    blank = real(outlines["large"], settings)
    shard(blank.module, reshard=True)
    assert planned.peak(PAIRS) == pytest.approx(stepped(blank, blank.module, False), rel=CLOSE)


def test_a_picture_that_is_drawn_again_takes_what_is_seen_of_it_too(tmp_path: Path) -> None:
    """Of Janus: as many more tokens in a row as its vision encoder gives."""
    from hermes.harness.models.janus.outline import PROMPT
    from hermes.harness.models.janus.outline import outline_of as janus_outline

    outline = janus_outline(tiny_janus.save(tmp_path / "janus") / "config.json")
    settings = TrainSettings(objective="gen")
    plain, again = (step_sizes(outline, settings, "float32", False, False, SIDES, TOKENS, one) for one in (False, True))
    codes = outline.codes
    longer = (PROMPT + 2 * codes) / (PROMPT + codes)
    assert longer < again.flops / plain.flops < 1.3 * longer  # beside them, attention and the encoder itself
    assert again.pair > 1.1 * plain.pair
    assert again.forward == plain.forward  # what draws and reads is as before
