"""Which earlier runs tell what a model is, so that a dry run counts their answers: those of the same model alone."""

from pathlib import Path
from typing import ClassVar

import pytest
from PIL import Image

from hermes.harness.contracts.model import Model
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.records.types import ModelInfo, Request
from hermes.harness.run.forecast import forecast
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system import registry


class Loaded(Model):
    """Other weights for other options."""

    world: ClassVar[str] = "shapes"
    options: ClassVar[tuple[str, ...]] = ("dtype", "adapter")

    def __init__(self, fingerprint: str) -> None:
        self.info = ModelInfo(name="loaded", fingerprint=fingerprint, abilities=self.abilities)

    @classmethod
    def load(cls, reference: str, device: str, options: LoadOptions) -> "Loaded":  # type: ignore[override]
        return cls(f"{options.dtype} {options.adapter}")

    def generate(self, requests: list[Request]) -> list[Image.Image]:
        return [Image.new("RGB", (8, 8)) for _ in requests]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    offer = registry.Offer("models", "loaded", Loaded, __file__)
    monkeypatch.setitem(registry._of_files, ("models", "loaded"), offer)


def settings(runs: Path, **options: str) -> EvalSettings:
    return EvalSettings(model="loaded", tasks=("geneval",), limit=1, device="cpu", runs=runs, **options)


def known(runs: Path, **options: str) -> str | None:
    """The fingerprint of the model whose stored answers a dry run looks for."""
    found = forecast(settings(runs, **options)).known
    return found and found.fingerprint


def test_a_model_that_a_caller_had_in_memory_says_nothing_of_its_name(tmp_path: Path) -> None:
    evaluate(settings(tmp_path), model=Loaded("of somebody's own"))
    assert known(tmp_path) is None
    evaluate(settings(tmp_path))
    evaluate(settings(tmp_path), model=Loaded("of somebody's own"))
    assert known(tmp_path) == "auto None"


def test_a_model_that_was_loaded_otherwise_is_another(tmp_path: Path) -> None:
    for options in ({}, {"dtype": "float16"}, {"adapter": "mine"}):
        assert known(tmp_path, **options) is None
        evaluate(settings(tmp_path, **options))
    assert known(tmp_path) == "auto None"
    assert known(tmp_path, dtype="float16") == "float16 None"
    assert known(tmp_path, adapter="mine") == "auto mine"
