"""What history.json says of all rounds: which self-plays are seeds of one kind, and how it was computed."""

from typing import Any

import pytest

from hermes.align.play.history import facts_of
from hermes.align.settings import AlignSettings


def facts(world: str = "shapes", given: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    settings = AlignSettings.model_validate({"bf16": True, **(given or {})})
    spec = {
        "model": {"fingerprint": "f", "dtype": "float32", "code": "1"},
        "items": f"items of seed {settings.seed}",
        "evaluators": {"homologous-u": "1"},
        "critic": "self",
        "settings": settings.identity(),
    }
    return facts_of(spec | changes, world, None, AlignSettings.model_validate(given or {}))


def test_seeds_have_their_settings_in_common() -> None:
    assert facts()["settings"] == facts(given={"seed": 1})["settings"]
    assert facts(given={"label": "a", "rounds": 7})["settings"] == facts()["settings"]


@pytest.mark.parametrize(
    "other",
    [
        {"given": {"lr": 1e-3}},
        {"given": {"eval_limit": 5}},
        {"given": {"judge": "vlm:x"}},
        {"given": {"bf16": False}},
        {"critic": "oracle"},
        {"evaluators": {"homologous-u": "2"}},
        {"model": {"fingerprint": "f", "dtype": "bfloat16", "code": "1"}},
        {"model": {"fingerprint": "f", "dtype": "float32", "code": "2"}},
        {"model": {"fingerprint": "g", "dtype": "float32", "code": "1"}},
        {"pairs": "another file"},
        {"world": "real"},
    ],
    ids=str,
)
def test_others_have_not(other: dict[str, Any]) -> None:
    assert facts(**other)["settings"] != facts()["settings"]


def test_real_data_are_what_seeds_have_in_common() -> None:
    assert facts("real", items="a")["settings"] == facts("real", {"seed": 1}, items="a")["settings"]
    assert facts("real", items="a")["settings"] != facts("real", items="b")["settings"]


def test_the_precision_says_who_chose_it() -> None:
    assert facts()["precision"] == "weights in float32, training in bfloat16, this device's choice"
    assert facts(given={"bf16": False})["precision"] == "weights in float32, training in float32"
