"""What tests of self-play share: the fake model as a registered one."""

import pytest
from align_fake import FakeModel

from hermes.harness.system import registry


@pytest.fixture
def fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """``--model fake`` and its checkpoints are run by FakeModel."""
    offer = registry.Offer("models", FakeModel.name, FakeModel, "align_fake.py")
    monkeypatch.setitem(registry._of_files, ("models", FakeModel.name), offer)
