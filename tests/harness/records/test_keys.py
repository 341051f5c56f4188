"""The key of an answer: whatever can change what a model says changes it, and nothing else does."""

from typing import Any

import pytest

from hermes.harness.records import keys
from hermes.harness.records.keys import asked_of, config_mark, judgement_key, request_key
from hermes.harness.records.types import GenerationConfig

REQUEST: dict[str, Any] = {"sample_id": "a", "index": 0, "seed": 1, "asked": b"prompt", "mark": b"settings"}


@pytest.mark.parametrize(
    "change", [{"sample_id": "b"}, {"index": 1}, {"seed": 2}, {"asked": b"another"}, {"mark": b"other"}], ids=str
)
def test_all_that_changes_an_answer_changes_its_key(change: dict[str, Any]) -> None:
    assert request_key(**REQUEST) == request_key(**REQUEST) != request_key(**{**REQUEST, **change})


def test_parts_do_not_run_into_each_other() -> None:
    assert asked_of("a", [b"b", b"c"]) != asked_of("a", [b"bc"])
    assert judgement_key("ab", "c", b"") != judgement_key("a", "bc", b"")


def test_the_seed_of_the_settings_and_the_number_of_images_change_no_key() -> None:
    one, other = (GenerationConfig(seed=seed, num_images=seed + 1) for seed in (0, 3))
    assert config_mark(one) == config_mark(other) != config_mark(one.model_copy(update={"temperature": 0.5}))


def test_another_preparation_of_pictures_asks_again_where_there_are_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, told = asked_of("what?", [b"picture"]), asked_of("draw", [])
    monkeypatch.setattr(keys, "PREPARATION", b"next")
    assert asked_of("what?", [b"picture"]) != shown
    assert asked_of("draw", []) == told


def test_settings_that_came_later_are_written_only_where_they_are_given() -> None:
    """So answers that were stored before there were any are found again."""
    before = (
        b'{"max_new_tokens":null,"temperature":null,"top_k":null,"guidance_scale":5.0,"steps":null,"image_size":null}'
    )
    plain = GenerationConfig(guidance_scale=5.0)
    assert config_mark(plain) == before
    assert "plan" not in plain.model_dump()
    for given in ({"plan": "off"}, {"plan_temperature": 0.0}, {"order": "random"}, {"choice_temperature": 0.0}):
        changed = GenerationConfig.model_validate({"guidance_scale": 5.0, **given})
        assert config_mark(changed) != before
        assert GenerationConfig.model_validate(changed.model_dump()) == changed
