"""Names to classes: what third parties install is found, what is missing or broken is said."""

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from hermes.harness.models.detect import model_class
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError, MissingExtra

BUILT_IN = {"pope", "mme", "vqav2", "gqa", "mmmu", "flickr30k", "geneval", "dpg_bench", "homologous-u", "homologous-g"}


class Needy:
    """A judge whose extra is not installed."""

    abilities = ()
    description = "in need"
    needs_model = True
    extra = "geneval"
    packages = ("json", "no_such_package")


class Offer:
    """`offer(value, ...)` installs entry points named "x" with these values, and no others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        monkeypatch.setattr(registry, "_points", registry._points.__wrapped__)

    def __call__(self, *values: str) -> None:
        points = [EntryPoint("x", value, "hermes.judges") for value in values]
        self.monkeypatch.setattr(registry, "entry_points", lambda group: points)


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    return Offer(monkeypatch)


def test_built_in_names_are_registered_and_sorted() -> None:
    names = registry.names("evaluators")
    assert set(names) >= BUILT_IN
    assert names == sorted(names)
    assert {"hermes-tiny", "null"} <= set(registry.names("models"))
    assert {"oracle", "self"} <= set(registry.names("judges"))


def test_what_a_third_party_installs_is_found(plugins: None) -> None:
    assert registry.load_class("evaluators", "theirs").title == "Their benchmark"
    assert model_class("theirs").description == "guesses by the seed"
    assert model_class("theirs:with an argument") is model_class("theirs")
    assert registry.load_class("judges", "theirs-judge").identity == "theirs-judge-1"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(HermesError, match=r"unknown evaluator 'popes'; choose from .*pope"):
        registry.load_class("evaluators", "popes")
    with pytest.raises(HermesError, match=r"unknown model 'nobody'.*hermes-tiny"):
        model_class("nobody")


@pytest.mark.parametrize("value", ["no_such_package:Judge", "hermes.harness.records.types:NoSuchClass"])
def test_a_broken_entry_point_is_named(offer: Offer, value: str) -> None:
    offer(value)
    with pytest.raises(HermesError, match=rf"judge 'x' \({value}\) cannot be imported"):
        registry.load_class("judges", "x")


def test_a_missing_extra_is_named_with_its_install_command(offer: Offer) -> None:
    sys.modules["needy"] = sys.modules[__name__]
    try:
        offer("needy:Needy")
        with pytest.raises(MissingExtra, match=r"pip install 'hermes-bench\[geneval\]'"):
            registry.load_class("judges", "x")
    finally:
        del sys.modules["needy"]


def test_two_packages_with_one_name_are_refused_unless_they_mean_the_same_class(offer: Offer) -> None:
    oracle, other = "hermes.shapes.oracle:OracleJudge", "hermes.harness.judges.self_judge:SelfJudge"
    offer(oracle, oracle)
    assert registry.load_class("judges", "x").__name__ == "OracleJudge"
    offer(oracle, other)
    assert registry.names("judges") == ["x"]
    with pytest.raises(HermesError, match="two packages offer judge 'x'"):
        registry.load_class("judges", "x")


def test_a_checkpoint_folder_names_its_adapter(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "null"}))
    assert model_class(str(tmp_path)) is registry.load_class("models", "null")


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"model_type": "gpt-9"}'])
def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(HermesError, match=r"holds no config\.json" if content is None else "model_type"):
        model_class(str(tmp_path))
