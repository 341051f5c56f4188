"""Dual likelihood as reward: worked by hand on the fake model, and a self-play in which nobody else is asked."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from align_fake import FakeModel, hashed
from test_confidence import CONTEXTS, VOCAB, drawn
from test_selfplay import play

from hermes.align.pairs import drawing
from hermes.align.pairs.dual import Dual
from hermes.align.pairs.items import Item, shapes_items
from hermes.align.pairs.preferences import Candidate, read_records
from hermes.align.pairs.shown import shown
from hermes.align.settings import AlignSettings
from hermes.evaluators.homologous import Generation, Understanding
from hermes.harness.records.keys import digest
from hermes.harness.records.store import Store
from hermes.harness.records.types import Response
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Silent
from hermes.harness.system.settings import build

DUAL: dict[str, Any] = {
    "scores": "dual",
    "pairing": "either",
    "threshold": 0.0,
    "rounds": 1,
    "eval_limit": 1,
    "critic": "self",
}


@pytest.fixture
def items() -> list[Item]:
    return shapes_items(Understanding(), Generation(), 3, 5)


def test_an_image_is_worth_its_caption_per_token(tmp_path: Path, items: list[Item]) -> None:
    model, store, dual = FakeModel(), Store(tmp_path), Dual("caption?", 1)
    responses = drawn(store, items)
    pictures = list(shown(items, responses))
    dual.rate_images(model, pictures, len(pictures), store, 4, Silent())
    found = dual.images_of(store)(pictures)
    words = [hashed(word, VOCAB) for word in items[0].caption.split()][:24]
    logits = model.module.position + model.module.context[hashed("caption?", CONTEXTS)]
    by_hand = sum(torch.log_softmax(logits[k], -1)[word].item() for k, word in enumerate(words)) / len(words)
    assert found[responses[0].key] == pytest.approx(math.exp(by_hand), rel=1e-5)


def test_a_caption_is_worth_the_real_image_under_one_mask_an_item(tmp_path: Path, items: list[Item]) -> None:
    texts = ["a red circle", "a red circle", "a blue square", ""]
    responses = [
        Response(key=digest(item.id, str(k)).hex(), sample_id=item.id, index=k, seed=k, prompt_sha256="", text=text)
        for item in items
        for k, text in enumerate(texts)
    ]
    model, store, dual = FakeModel(), Store(tmp_path), Dual("caption?", 1)
    said = [(item, [one for one in responses if one.sample_id == item.id]) for item in items]
    dual.rate_captions(model, said, len(responses), store, 5, Silent())
    found = dual.captions_of(store)(items, responses)
    assert len(found) == len(responses)
    for _, own in said:
        first, again, other, _ = (found[one.key] for one in own)
        assert first == again != other
        assert 0 < first < 1


@pytest.mark.usefixtures("fake_model")
def test_a_self_play_that_asks_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*given: Any) -> Any:
        raise AssertionError("a critic was asked for")

    monkeypatch.setattr(drawing, "load_judges", never)
    monkeypatch.setattr(drawing, "rate_captions", never)
    history = play(tmp_path, **DUAL)
    assert history["rounds"][1]["pairs"] > 0
    candidates = read_records(tmp_path / "round-1" / "candidates.jsonl", Candidate)
    assert {one.side for one in candidates} == {"und", "gen"}
    assert all(0 < one.score < 1 for one in candidates)


def test_answers_about_own_images_need_a_critic() -> None:
    with pytest.raises(HermesError, match="give scores 'critic'"):
        build(AlignSettings, overrides={"und_pairs": "own-answers", "side_loss": "sft", "scores": "dual"})
