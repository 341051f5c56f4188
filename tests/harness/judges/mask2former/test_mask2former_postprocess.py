"""mmdet's instance branch: two resizes, the best 100, masks above 0, scores and boxes."""

import json

import pytest
import torch
from safetensors.numpy import load_file
from tiny_detector import PARITY, assert_golden
from torch.nn.functional import interpolate

from hermes.harness.judges.mask2former.postprocess import Instances, instances
from hermes.harness.records.seeds import derive_seed

GOLDEN = sorted(PARITY.glob("postprocess_case*.json"))
SIZE = (12, 16)


def plain(classes: torch.Tensor, masks: torch.Tensor) -> Instances:
    """Instances where no step changes the size."""
    size = (int(masks.shape[1]), int(masks.shape[2]))
    return instances(classes, masks, size, size, size)


def one_hot(label: int, classes: int = 80, height: float = 8.0) -> torch.Tensor:
    logits = torch.zeros(classes + 1)
    logits[label] = height
    return logits


def rectangle(x0: int, y0: int, x1: int, y1: int, inside: float = 3.0) -> torch.Tensor:
    logits = torch.full(SIZE, -3.0)
    logits[y0:y1, x0:x1] = inside
    return logits


@pytest.mark.skipif(not GOLDEN, reason="no golden data here")
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_cases(path):
    logits, sizes = load_file(path.with_suffix(".safetensors")), json.loads(path.read_text())
    assert_golden(
        instances(
            torch.from_numpy(logits["class_logits"]),
            torch.from_numpy(logits["mask_logits"]),
            *(tuple(sizes[f"{name}_shape"]) for name in ("padded", "resized", "ori")),
        ),
        path,
    )


def test_boxes_end_one_past_the_last_pixel():
    found = plain(torch.stack([one_hot(3), one_hot(5)]), torch.stack([rectangle(2, 1, 7, 5), rectangle(0, 0, 16, 12)]))
    best = dict(zip(found.labels[:2].tolist(), found.boxes[:2].tolist(), strict=True))
    assert best == {3: [2, 1, 7, 5], 5: [0, 0, 16, 12]}


def test_the_score_is_class_probability_times_mean_mask_probability():
    found = plain(one_hot(3)[None], rectangle(2, 1, 7, 5, inside=1.5)[None])
    wanted = one_hot(3).softmax(0)[3] * torch.tensor(1.5).sigmoid()
    assert found.scores[0].item() == pytest.approx(wanted.item(), rel=1e-5)
    assert (found.scores.diff() <= 0).all()


def test_an_empty_mask_has_neither_score_nor_box():
    nothing, something = torch.full(SIZE, -1.0), rectangle(0, 0, 2, 2)
    found = plain(torch.stack([one_hot(3), one_hot(4, height=2.0)]), torch.stack([nothing, something]))
    assert found.labels[0] == 4
    (empty,) = torch.nonzero((found.labels == 3) & (found.masks.flatten(1).sum(1) == 0)).flatten().tolist()
    assert found.scores[empty] == 0
    assert found.boxes[empty].tolist() == [0, 0, 0, 0]


def test_a_logit_of_zero_is_outside():
    found = plain(one_hot(3)[None], rectangle(2, 1, 7, 5, inside=0.0)[None])
    assert not found.masks.any()


def test_the_best_hundred_are_chosen_by_class_alone_and_sorted_by_score():
    """A confident class on an empty mask takes the place of a sure mask whose class comes 101st."""
    classes = torch.full((2, 81), -20.0)
    classes[0, :80] = torch.linspace(5, 4, 80)
    classes[1, :80] = torch.linspace(5, 4, 80)
    found = plain(classes, torch.stack([torch.full(SIZE, -9.0), rectangle(0, 0, 4, 4, inside=9.0)]))
    assert len(found.labels) == 100
    assert sorted(found.labels.tolist()) == sorted([*range(50), *range(50)])
    assert (found.scores[:50] > 0).all()
    assert (found.scores[50:] == 0).all()


def test_no_object_is_no_instance_and_takes_its_share():
    classes = torch.stack([one_hot(80, height=6.0)])
    found = plain(classes, rectangle(0, 0, 4, 4)[None])
    assert len(found.labels) == 80
    assert found.scores.max() < 0.01


def test_one_query_may_be_two_classes():
    logits = one_hot(1) + one_hot(2)
    found = plain(logits[None], rectangle(2, 1, 7, 5)[None])
    assert set(found.labels[:2].tolist()) == {1, 2}
    assert torch.equal(found.masks[0], found.masks[1])


def test_what_lies_in_the_padding_is_cut_off():
    masks = torch.full((1, 8, 8), -3.0)
    masks[:, 6:] = 3.0
    found = instances(one_hot(3)[None], masks, (32, 32), (20, 32), (10, 16))
    assert found.masks.shape[1:] == (10, 16)
    assert not found.masks.any()


def test_the_masks_are_resized_twice():
    """Up to the padded input, cut, then to the image: not the same as one step."""
    generator = torch.Generator().manual_seed(derive_seed("two steps"))
    masks = torch.randn(3, 8, 12, generator=generator)
    found = instances(torch.stack([one_hot(k) for k in range(3)]), masks, (32, 48), (30, 45), (21, 33))
    up = interpolate(masks[None], size=(32, 48), mode="bilinear", align_corners=False)[..., :30, :45]
    twice = interpolate(up, size=(21, 33), mode="bilinear", align_corners=False)[0] > 0
    for label in range(3):
        number = found.labels.tolist().index(label)
        assert torch.equal(found.masks[number], twice[label])


def test_many_queries_are_as_few():
    """More queries than are resized at a time give what each gives alone."""
    generator = torch.Generator().manual_seed(derive_seed("many queries"))
    masks = torch.randn(60, *SIZE, generator=generator)
    classes = torch.stack([one_hot(k) for k in range(60)])
    found = plain(classes, masks)
    for place, label in enumerate(found.labels.tolist()[:60]):
        alone = plain(classes[label][None], masks[label][None])
        assert torch.equal(found.masks[place], alone.masks[0])
        assert found.boxes[place].tolist() == alone.boxes[0].tolist()
        assert found.scores[place].item() == pytest.approx(alone.scores[0].item(), rel=1e-6)
