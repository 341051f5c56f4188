"""Confidence in one's own images: hand-worked on the fake model, the same in any batch, and noted once."""

from pathlib import Path

import pytest
import torch
from align_fake import FakeModel, hashed, pictures

from hermes.align.confidence import rate_images, read_confidences
from hermes.align.items import Item, shapes_items
from hermes.evaluators.homologous import Generation, Understanding
from hermes.harness.judges.replies import asked
from hermes.harness.store import ResponseStore
from hermes.harness.types import Response

CONTEXTS, VOCAB = 8, 16


@pytest.fixture
def items() -> list[Item]:
    return shapes_items(Understanding(), Generation(), 3, 5)


def drawn(store: ResponseStore, items: list[Item]) -> list[Response]:
    names = [store.keep_image(picture) for picture in pictures(2 * len(items))]
    return [
        Response(sample_id=item.id, index=index, seed=0, prompt_sha256="", image=names[2 * number + index], status="ok")
        for number, item in enumerate(items)
        for index in range(2)
    ]


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
    model, store = FakeModel(), ResponseStore(tmp_path / "images", tmp_path / "media")
    responses = drawn(store, items)
    rate_images(model, items, responses, store, batch)
    found = read_confidences(store)
    assert set(found) == {(response.sample_id, response.index) for response in responses}
    for item in items:
        assert found[item.id, 0] == pytest.approx(by_hand(model, item), rel=1e-5)


def test_what_is_known_is_not_asked_again(tmp_path: Path, items: list[Item]) -> None:
    model, store = FakeModel(), ResponseStore(tmp_path / "images", tmp_path / "media")
    responses = drawn(store, items)
    rate_images(model, items, responses[:3], store, 2)
    first = read_confidences(store)
    with torch.no_grad():
        model.module.position.zero_()
    rate_images(model, items, responses, store, 2)
    found = read_confidences(store)
    assert len(first) == 3
    assert {key: found[key] for key in first} == first
    assert len(found) == len(responses)


def test_it_depends_on_the_image(tmp_path: Path, items: list[Item]) -> None:
    """hermes-tiny reads its answers off the picture: the item's own scene makes them likely, another one does not."""
    from hermes.harness.models.tiny.adapter import TinyModel

    model, store = TinyModel.load(), ResponseStore(tmp_path / "images", tmp_path / "media")
    scenes = [store.keep_image(item.image.open()) for item in items]
    responses = [
        Response(sample_id=item.id, index=index, seed=0, prompt_sha256="", image=name, status="ok")
        for number, item in enumerate(items)
        for index, name in enumerate((scenes[number], scenes[number - 1]))
    ]
    rate_images(model, items, responses, store, 8)
    found = read_confidences(store)
    assert all(found[item.id, 0] > -0.1 > -0.5 > found[item.id, 1] for item in items)
