"""Confidence in one's own images: hand-worked on the fake model, the same in any batch, and noted once."""

from pathlib import Path
from typing import Any

import pytest
import torch
from align_fake import FakeModel, hashed, pictures
from forked import on_processes

from hermes.align.pairs import confidence
from hermes.align.pairs.confidence import confidences_of, rate_images
from hermes.align.pairs.items import Item, shapes_items
from hermes.align.pairs.shown import shown
from hermes.evaluators.homologous import Generation, Understanding
from hermes.harness.judges.replies import asked
from hermes.harness.records.journal import Index
from hermes.harness.records.keys import digest
from hermes.harness.records.store import Store
from hermes.harness.records.types import Judgement, Response
from hermes.harness.system.processes import current

CONTEXTS, VOCAB = 8, 16


@pytest.fixture
def items() -> list[Item]:
    return shapes_items(Understanding(), Generation(), 3, 5)


def answer(item: Item, index: int, image: str) -> Response:
    key = digest(item.id, str(index)).hex()
    return Response(key=key, sample_id=item.id, index=index, seed=0, prompt_sha256="", image=image)


def drawn(store: Store, items: list[Item]) -> list[Response]:
    names = store.keep_images(pictures(2 * len(items)))
    return [answer(item, index, names[2 * number + index]) for number, item in enumerate(items) for index in range(2)]


def rate(
    model: Any, items: list[Item], responses: list[Response], store: Store, batch: int
) -> dict[tuple[str, int], float]:
    """The confidences by (item, index)."""
    pictures = list(shown(items, responses))
    rate_images(model, pictures, len(pictures), store, batch)
    found = confidences_of(store)(pictures)
    return {(one.sample_id, one.index): found[one.key] for one in responses}


def by_hand(model: FakeModel, item: Item) -> float:
    """The mean over questions of log p(answer), word by word, from the table of logits."""
    values = []
    for one in item.generation.target:
        context = model.module.context[hashed(asked(one["question"]), CONTEXTS)]
        words = [hashed(word, VOCAB) for word in one["answer"].split()]
        rows = [torch.log_softmax(model.module.position[k] + context, -1)[word] for k, word in enumerate(words)]
        values.append(float(sum(rows).detach()))
    return sum(values) / len(values)


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_it_is_the_mean_log_probability_of_the_right_answers(tmp_path: Path, items: list[Item], batch: int) -> None:
    model, store = FakeModel(), Store(tmp_path / "images")
    responses = drawn(store, items)
    found = rate(model, items, responses, store, batch)
    assert set(found) == {(response.sample_id, response.index) for response in responses}
    for item in items:
        assert found[item.id, 0] == pytest.approx(by_hand(model, item), rel=1e-5)


def test_what_is_known_is_not_asked_again(tmp_path: Path, items: list[Item]) -> None:
    model, store = FakeModel(), Store(tmp_path / "images")
    responses = drawn(store, items)
    first = rate(model, items, responses[:3], store, 2)
    with torch.no_grad():
        model.module.position.zero_()
    found = rate(model, items, responses, store, 2)
    assert len(first) == 3
    assert {key: found[key] for key in first} == first
    assert len(found) == len(responses)


def test_processes_rate_each_image_once(tmp_path: Path, items: list[Item]) -> None:
    """What one of two has rated, the other does not rate again; who rates how much is not said: work is taken."""
    responses = drawn(Store(tmp_path), items)

    def work() -> None:
        store = Store(tmp_path, current().rank)
        pictures = list(shown(items, responses))
        rate_images(FakeModel(), pictures, len(pictures), store, 1)

    on_processes(2, work)
    rated = [Index([path], Judgement) for path in Store(tmp_path).judgements(confidence.NAME).files()]
    assert sum(len(share) for share in rated) == 6
    assert len(Store(tmp_path).judgements(confidence.NAME).index()) == 6


def test_it_depends_on_the_image(tmp_path: Path, items: list[Item]) -> None:
    """hermes-tiny reads its answers off the picture: the item's own scene makes them likely, another one does not."""
    from hermes.harness.models.tiny.adapter import TinyModel

    model, store = TinyModel.load(), Store(tmp_path / "images")
    scenes = store.keep_images([item.image.open() for item in items])
    responses = [
        answer(item, index, name)
        for number, item in enumerate(items)
        for index, name in enumerate((scenes[number], scenes[number - 1]))
    ]
    found = rate(model, items, responses, store, 8)
    assert all(found[item.id, 0] > -0.1 > -0.5 > found[item.id, 1] for item in items)
