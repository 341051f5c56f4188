"""A cache folder of the test's own, the tiny detector, and its checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_detector import mmdet_weights, tiny_model


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HERMES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def tiny() -> Any:
    return tiny_model()


@pytest.fixture
def checkpoint(tiny: Any, tmp_path: Path) -> Path:
    """The tiny detector as mmdet 2.x would save it."""
    path = tmp_path / "detector.pth"
    torch.save({"meta": {"epoch": 50, "CLASSES": ("person",)}, "state_dict": mmdet_weights(tiny.state_dict(), 2)}, path)
    return path
