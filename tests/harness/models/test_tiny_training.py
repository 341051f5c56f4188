"""The training of hermes-tiny: exact resume, data that depend on the step alone, a loss that falls, targets."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hermes.harness.models.tiny import course, train
from hermes.harness.models.tiny.adapter import WEIGHTS
from hermes.harness.models.tiny.fit import Schedule, fit, optimizers_for
from hermes.harness.models.tiny.packing import (
    ANS,
    END,
    MASK,
    NOTHING,
    generation_row,
    understanding_row,
)
from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS, ImageTokenizer
from hermes.harness.models.tiny.tokenizer_text import TextTokenizer
from hermes.harness.models.tiny.transformer import Shape, Transformer
from hermes.harness.system.errors import HermesError
from hermes.shapes.scene import COLORS, SHAPES, SIZES, Obj, Scene


def line(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(4, 1)


def points(step: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
    return x, x @ torch.tensor([[1.0], [-2.0], [3.0], [0.5]])


def squared(module: nn.Module, data: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
    value = (module(data[0]).float() - data[1]).square().mean()
    return value, {"squared": value.item()}


class Killed(Exception):
    pass


def matrices(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.dim() == 2]


def nothing(module: nn.Module) -> list[nn.Parameter]:
    return []


@pytest.mark.parametrize("hidden", [nothing, matrices])
def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, hidden: Callable[[nn.Module], list[nn.Parameter]]
) -> None:
    """With AdamW alone, and with Muon for the matrices."""
    schedule = Schedule(steps=30, learning_rate=0.3, warm_up=5, log_every=10, save_every=7)
    whole, broken = line(), line()
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    fit(whole, points, squared, schedule, tmp_path / "whole", hidden=hidden(whole))
    calls = 0

    def dying(module: nn.Module, data: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        nonlocal calls
        calls += 1
        if calls == 21:
            raise Killed
        return squared(module, data)

    with pytest.raises(Killed):
        fit(broken, points, dying, schedule, tmp_path / "broken", hidden=hidden(broken))
    resumed = line(1)
    fit(resumed, points, squared, schedule, tmp_path / "broken", hidden=hidden(resumed))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    for name in ("whole", "broken"):
        log = [json.loads(text) for text in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        assert [entry["step"] for entry in log] == [10, 20, 30]
    assert log[-1]["loss"] < log[0]["loss"]


def test_muon_moves_the_hidden_matrices_and_they_alone(tmp_path: Path) -> None:
    """After one step every singular value of the change is about the same, as orthogonal steps have it."""
    torch.manual_seed(0)
    module = nn.Linear(6, 4)
    before = module.weight.detach().clone()

    def loss(module: nn.Module, data: Tensor) -> tuple[Tensor, dict[str, float]]:
        return module(data).float().square().mean(), {}

    schedule = Schedule(steps=1, learning_rate=0.1, warm_up=0, decay=1.0, weight_decay=0.0)
    data = torch.randn(32, 6, generator=torch.Generator().manual_seed(1)) * torch.tensor([9.0, 3, 1, 1, 0.3, 0.1])
    fit(module, lambda step: data, loss, schedule, tmp_path, hidden=matrices(module))
    values = torch.linalg.svdvals(module.weight.detach() - before)
    assert values.max() < 2 * values.min()


def test_a_torch_without_muon_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(HermesError, match=r"needs torch 2\.9 or newer"):
        optimizers_for(line(), Schedule(steps=1, learning_rate=0.1), matrices(line()))


def test_the_rate_warms_up_stays_and_falls_to_zero() -> None:
    schedule = Schedule(steps=100, learning_rate=1.0, warm_up=10)
    rates = [schedule.rate(step) for step in range(101)]
    assert rates[9] == 1.0
    assert rates[0] == pytest.approx(0.1)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0.0, abs=1e-9)


@pytest.fixture(scope="module")
def tokenisers() -> tuple[TextTokenizer, ImageTokenizer]:
    torch.manual_seed(0)
    return TextTokenizer.load(WEIGHTS / "vocabulary.json"), ImageTokenizer().eval()


def test_lessons_depend_on_the_step_alone_and_teach(
    tokenisers: tuple[TextTokenizer, ImageTokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "SCENES", 4)
    board = train.board_of(tokenisers[1], tokenisers[0])
    data = course.lessons(tokenisers[0], board, train.COURSE.phases, seed=0, device="cpu", course=4)
    first, again, other = data(3), data(3), data(4)
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(first.understanding, again.understanding, strict=True))
    assert all(torch.equal(a.target, b.target) for a, b in zip(first.generation, again.generation, strict=True))
    assert first.generation[0].tokens.shape != other.generation[0].tokens.shape or not torch.equal(
        first.generation[0].tokens, other.generation[0].tokens
    )
    torch.manual_seed(0)
    pupil = course.Pupil(Transformer(Shape(text=len(tokenisers[0]), width=32, layers=3, heads=1)))
    optimizer = torch.optim.AdamW(pupil.parameters(), 1e-2)
    values = []
    for _ in range(8):
        value, figures = course.lesson_loss(pupil, first, board, train.COURSE.weights)
        optimizer.zero_grad()
        torch.autograd.backward(value)
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.8 * values[0]
    assert set(figures) == set(train.COURSE.weights)


def test_parts_name_the_object_around_each_token() -> None:
    large_cross = Obj(shape="cross", color="white", size="large", cell=5, x=40.0, y=24.0, radius=7.0)
    parts = course.parts_of(Scene((large_cross,), 0)).reshape(6, 6, 3)
    assert (parts[2:4, 4:6] == [SHAPES.index("cross"), COLORS.index("white"), SIZES.index("large")]).all()
    assert (parts[..., 0] == len(SHAPES)).sum() == IMAGE_TOKENS - 4


def test_a_row_asks_for_answers_only() -> None:
    image = np.arange(100, 100 + IMAGE_TOKENS)
    row = understanding_row(image, [([10, 11], [12, 13]), ([14], None)])
    asked = row.target != NOTHING
    assert row.target[asked].tolist() == [12, 13, END]
    assert row.tokens[asked].tolist() == [ANS, 12, 13]
    assert row.tokens[-2:].tolist() == [14, ANS]
    assert row.segment.tolist() == [0] * (1 + IMAGE_TOKENS) + [1] * 5 + [2] * 2


def test_hidden_cells_are_asked_for_and_shown_ones_are_not() -> None:
    image = np.arange(100, 100 + IMAGE_TOKENS)
    hidden = np.zeros(IMAGE_TOKENS, bool)
    hidden[[3, 30]] = True
    row = generation_row([10], image, [hidden, ~hidden])
    first, second = row.segment == 1, row.segment == 2
    assert row.target[first][hidden].tolist() == [103, 130]
    assert set(row.tokens[first][hidden]) == {MASK}
    assert (row.tokens[first] == MASK).sum() == 2
    assert (row.target[second] != NOTHING).sum() == IMAGE_TOKENS - 2
