"""TensorFloat-32 is off while a judge computes on a GPU, and as before afterwards."""

import pytest
import torch

from hermes.harness.models.full_float32 import full_float32


def settings() -> tuple[str, bool]:
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.fixture
def fast():
    """What a program that wants speed sets."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision(before)


def test_it_is_off_inside_and_back_afterwards(fast):
    before = settings()
    with full_float32("cuda:0"):
        assert settings() == ("highest", False)
    assert settings() == before
    with pytest.raises(ValueError, match="stop"), full_float32("cuda"):
        raise ValueError("stop")
    assert settings() == before


def test_a_cpu_has_nothing_to_change(fast):
    before = settings()
    with full_float32("cpu"):
        assert settings() == before
