"""Items whose caption is a prompt of GenEval's kind: how many, what settles them, and what their captions are like."""

import json
from pathlib import Path

import pytest

from hermes.align.pairs.candidates import image_requests
from hermes.align.pairs.closeness import closeness_of, rate_captions
from hermes.align.pairs.items import ItemSource, shapes_items
from hermes.align.pairs.replay import shapes_lessons
from hermes.align.play.planning import plan_play
from hermes.align.settings import AlignSettings
from hermes.evaluators.homologous import Generation, Understanding
from hermes.harness.models.null import NullModel
from hermes.harness.records.store import Store
from hermes.harness.records.types import GenerationConfig, Response
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Silent
from hermes.shapes.answers import answer
from hermes.shapes.parse import parse_many
from hermes.shapes.twins.homologous import rows


class Said(Silent):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(("share", "opened"), [(0.0, 0), (0.25, 3), (0.5, 6), (1.0, 12)])
def test_the_share_of_open_prompts_is_spread_over_the_items(share: float, opened: int) -> None:
    items = shapes_items(Understanding(), Generation(), 12, 5, share)
    is_open = [item.caption.startswith("a photo of") for item in items]
    assert sum(is_open) == opened
    assert sum(is_open[:6]) == opened // 2
    assert len({item.id for item in items}) == 12
    assert [item.told == item.caption for item in items] == [not one for one in is_open]


def test_the_real_picture_answers_every_question_as_its_prompt_does() -> None:
    items = shapes_items(Understanding(), Generation(), 60, 1, 1.0)
    seen = parse_many([item.image.open() for item in items])
    for item, scene in zip(items, seen, strict=True):
        asked = [(qa["question"], qa["answer"]) for qa in item.generation.target]
        assert len(asked) >= 2
        assert [answer(question, scene.objects) for question, _ in asked] == [right for _, right in asked], item.caption


def test_pictures_are_drawn_from_the_prompt_and_captions_are_compared_with_what_is_there(tmp_path: Path) -> None:
    (item,) = shapes_items(Understanding(), Generation(), 1, 2, 1.0)
    assert image_requests([item], 1, GenerationConfig(), 0.0, 0)[0].prompt == item.caption
    said = Response(sample_id=item.id, index=0, prompt_sha256="", text=item.told, key="0" * 16, seed=0)
    store = Store(tmp_path)
    rate_captions([(item, [said])], 1, store, "facts", "cpu", Silent())
    assert closeness_of(store, "facts")([item], [said]) == {said.key: 1.0}
    assert item.told != item.caption


def test_only_the_shapes_world_has_them_and_settings_without_them_keep_their_id() -> None:
    settings = AlignSettings(data="items.jsonl", open_prompts=0.5)
    with pytest.raises(HermesError, match=r"open_prompts: the items of items\.jsonl have captions of their own"):
        ItemSource(Understanding(), Generation(), settings, NullModel)
    assert "open_prompts" not in AlignSettings().identity()
    assert settings.identity()["open_prompts"] == 0.5


def test_pictures_can_be_drawn_without_a_plan_by_models_that_plan(tmp_path: Path) -> None:
    (item,) = shapes_items(Understanding(), Generation(), 1, 2, 1.0)
    defaults = GenerationConfig(plan="on")
    for plan, wanted in ((None, "on"), ("off", "off")):
        assert image_requests([item], 1, defaults, 0.0, 0, plan)[0].config.plan == wanted  # type: ignore[arg-type]
    with pytest.raises(HermesError, match="does not plan its pictures; leave --plan out"):
        plan_play(AlignSettings(model="janus", plan="off", runs=tmp_path), Silent())


def test_a_share_of_replayed_texts_may_be_plans() -> None:
    plain, planned = shapes_lessons(400, 3), shapes_lessons(400, 3, 0.25)
    plans = [item for item in planned if item.plan is not None]
    assert all(item.kind == "text" and not item.text and item.prompt for item in plans)
    assert 35 <= len(plans) <= 65
    assert [item.prompt for item in planned[::2]] == [item.prompt for item in plain[::2]]  # the images
    kept = [number for number, item in enumerate(planned) if item.plan is None]
    assert [planned[number].text for number in kept] == [plain[number].text for number in kept]
    assert "replay_plans" not in AlignSettings().identity()


def test_plans_are_replayed_by_models_that_plan_in_the_shapes_world(tmp_path: Path) -> None:
    settings = AlignSettings(model="hermes-tiny", recipe="none", replay_plans=0.5, runs=tmp_path)
    assert plan_play(settings, Silent()).settings.replay_plans == 0.5
    with pytest.raises(HermesError, match="does not plan its pictures; leave --replay-plans out"):
        plan_play(settings.model_copy(update={"model": "janus"}), Silent())
    lines = []
    for row in rows("validation", 3)[:16]:
        row["image"].save(tmp_path / f"{row['id']}.png")
        lines.append(json.dumps({**row, "image": f"{row['id']}.png"}))
    (tmp_path / "items.jsonl").write_text("\n".join(lines))
    real = settings.model_copy(update={"data": str(tmp_path / "items.jsonl")})
    said = Said()
    assert plan_play(real, said).settings.replay_plans == 0.0
    assert said.lines[0].endswith("items.jsonl has no plans, only the shapes world has, so none are replayed")
