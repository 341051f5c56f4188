"""The whole detector: golden logits and instances under both namings, and batches that change nothing."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_detector import PARITY, SCALE, assert_golden, in_version_3, tiny_model

from hermes.harness.judges.mask2former.checkpoint import load_checkpoint
from hermes.harness.judges.mask2former.convert import build
from hermes.harness.judges.mask2former.detector import Detector
from hermes.harness.judges.mask2former.preprocess import prepare
from hermes.harness.records.seeds import derive_seed

GOLDEN = sorted(PARITY.glob("expected_img*.json"))


@pytest.fixture(scope="module", params=[2, 3])
def golden(request, tmp_path_factory):
    """The golden detector, from its own names and from those of mmdet 3.x."""
    path = PARITY / "state_dict_mmdet2x.safetensors"
    if request.param == 3:
        renamed = {in_version_3(name): value for name, value in load_file(path).items()}
        path = tmp_path_factory.mktemp("golden") / "version_3.safetensors"
        save_file(renamed, path)
    found = load_checkpoint(path)
    test = json.loads((PARITY / "config.json").read_text())["test"]
    return Detector(build(found.config, found.weights), scale=(test["scale_long"], test["scale_short"]))


@pytest.mark.skipif(not GOLDEN, reason="no golden data here")
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_images(golden, path):
    wanted, described = load_file(path.with_suffix(".safetensors")), json.loads(path.read_text())
    image = Image.open(PARITY / described["image"]).convert("RGB")
    scale = json.loads((PARITY / "config.json").read_text())["test"]
    classes, masks = golden.logits([prepare(image, (scale["scale_long"], scale["scale_short"]))])
    assert torch.allclose(classes[0], wanted["class_logits"], rtol=0, atol=1e-4)
    assert torch.allclose(masks[0], wanted["mask_logits"], rtol=0, atol=1e-3)
    ((number, found),) = golden.find([image])
    assert number == 0
    assert_golden(found, path)


def pictures():
    """Two sizes in turn, so that a batch is not the images' order."""
    rng = np.random.default_rng(derive_seed("pictures"))
    sizes = [(48, 48), (40, 60), (48, 48), (40, 60), (48, 48)]
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


def test_a_batch_gives_what_one_by_one_gives(tiny):
    images = pictures()
    alone = dict(Detector(tiny, scale=SCALE, batch=1).find(images))
    together = dict(Detector(tiny, scale=SCALE, batch=2).find(images))
    assert alone.keys() == together.keys() == set(range(len(images)))
    for number, image in enumerate(images):
        one, other = alone[number], together[number]
        assert one.masks.shape == (100, image.height, image.width)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.boxes, other.boxes)
        assert torch.allclose(one.scores, other.scores, rtol=0, atol=1e-5)
        assert int((one.masks != other.masks).sum()) <= 2


def test_the_logits_do_not_depend_on_the_companions(tiny):
    detector = Detector(tiny, scale=SCALE)
    same = [prepare(image, SCALE) for image in pictures() if image.width == 48]
    classes, masks = detector.logits(same)
    for number, item in enumerate(same):
        one, mask = detector.logits([item])
        assert torch.allclose(one[0], classes[number], rtol=0, atol=1e-4)
        assert torch.allclose(mask[0], masks[number], rtol=0, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_what_the_cpu_gives(tiny):
    images = pictures()
    here, there = Detector(tiny, scale=SCALE), Detector(tiny_model(), "cuda", scale=SCALE)
    for image in images:
        item = prepare(image, SCALE)
        for one, other in zip(here.logits([item]), there.logits([item]), strict=True):
            assert torch.allclose(one, other.cpu(), rtol=0, atol=1e-3)
