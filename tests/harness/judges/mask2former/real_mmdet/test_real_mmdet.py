"""The real mmdet 3.3 against mmdet 2.28's golden instances and against the judge `mask2former`: `make test-mmdet`."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compared import ROUNDING, BrightestChannel, difference, verdicts
from PIL import Image
from safetensors.torch import load_file
from tiny_detector import PARITY, assert_golden, in_version_2, in_version_3

from hermes.harness.judges.mask2former import mmdet as judge_module
from hermes.harness.judges.mask2former import mmdet_model
from hermes.harness.judges.mask2former.colors import ClipColors
from hermes.harness.judges.mask2former.judge import Mask2FormerJudge
from hermes.harness.judges.mask2former.mmdet import MMDetJudge
from hermes.harness.judges.mask2former.preprocess import prepare
from hermes.harness.records.seeds import derive_seed
from hermes.harness.run.plan import check_judge
from hermes.harness.system.errors import HermesError, ImageError

pytest.importorskip("mmcv", reason="mmcv is not installed; make test-mmdet installs it")
golden = pytest.mark.skipif(not PARITY.is_dir(), reason="no golden data here")

TINY_CONFIG = Path(__file__).with_name("tiny_config.py")
GOLDEN = sorted(PARITY.glob("expected_img*.json"))
SCALE = (333, 200)
CLASSES = ("tv", "cup", "horse", "traffic light", "banana", "surfboard", "dog")
# None is the picture's own size; then what text-to-image models draw, square and not, smaller and larger than 800 px.
SIZES = (None, (512, 512), (1024, 1024), (384, 512), (1024, 768))
# mmdet's own steps neither resize nor pad these: multiples of 32 that fill (1333, 800).
UNTOUCHED = ((800, 800), (1312, 800), (800, 1312))


@pytest.fixture(autouse=True)
def colors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClipColors, "load", classmethod(lambda cls, device: BrightestChannel()))


def golden_weights() -> dict[str, Any]:
    return load_file(PARITY / "state_dict_mmdet2x.safetensors")


def put(folder: Path, config: str, weights: Mapping[str, Any]) -> Path:
    """A detector as `mim download` would leave it."""
    (folder / "config.py").write_text(config)
    torch.save({"meta": {}, "state_dict": weights}, folder / "detector.pth")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The golden detector."""
    return put(tmp_path, TINY_CONFIG.read_text(), golden_weights())


@pytest.fixture
def tiny_is_mmdets_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint alone is of the tiny configuration."""
    monkeypatch.setattr(judge_module, "own_config", lambda: TINY_CONFIG)


def picture(number: int, size: tuple[int, int] | None = None) -> Image.Image:
    image = Image.open(PARITY / "images" / f"img{number}.png").convert("RGB")
    return image.resize(size) if size else image


def assert_same(
    theirs: MMDetJudge, ours: Mask2FormerJudge, image: Image.Image, classes: Sequence[str] = CLASSES
) -> None:
    """The same boxes to the pixel, scores to rounding, and the same verdicts, of both kinds, for the same reasons."""
    (their,), (our,) = (judge.detect([image], [set(classes)]) for judge in (theirs, ours))
    found = difference(their, our)
    print(f"{image.width} x {image.height}: {found}")
    assert found.boxes
    assert found.unmatched == 0
    assert found.corner == 0
    assert found.score < ROUNDING
    said = verdicts(our, classes)
    assert verdicts(their, classes) == said
    assert {right for right, _ in said} == {True, False}


@golden
@pytest.mark.usefixtures("tiny_is_mmdets_own")
@pytest.mark.parametrize("version", [2, 3])
def test_the_golden_instances_under_either_versions_names(tmp_path, monkeypatch, version):
    monkeypatch.setattr(judge_module, "prepare", partial(prepare, scale=SCALE))
    weights = golden_weights()
    if version == 3:
        weights = {in_version_3(name): value for name, value in weights.items()}
    torch.save({"state_dict": weights}, tmp_path / "detector.pth")
    judge = MMDetJudge.load(str(tmp_path / "detector.pth"), "cpu")
    images = [Image.open(PARITY / json.loads(path.read_text())["image"]) for path in GOLDEN]
    for number, found in judge.find(images):
        assert_golden(found, GOLDEN[number])


@golden
@pytest.mark.usefixtures("tiny_is_mmdets_own")
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_checkpoint_alone_detects_what_mask2former_does(folder, size):
    path = str(folder / "detector.pth")
    theirs, ours = MMDetJudge.load(path, "cpu"), Mask2FormerJudge.load(path, "cpu")
    for number in range(len(GOLDEN)):
        assert_same(theirs, ours, picture(number, size))


@golden
@pytest.mark.parametrize("size", UNTOUCHED, ids=str)
def test_a_folder_detects_what_mask2former_does_where_mmdets_own_steps_change_nothing(folder, size):
    check_judge(f"mmdet:{folder}")
    theirs, ours = MMDetJudge.load(str(folder), "cpu"), Mask2FormerJudge.load(str(folder / "detector.pth"), "cpu")
    for number in range(len(GOLDEN)):
        assert_same(theirs, ours, picture(number, size))


def random_weights(config: Path, times: Mapping[str, float]) -> dict[str, Any]:
    """A detector's weights as drawn; those named times a number, so that it is sure of some of what it detects."""
    torch.manual_seed(0)
    model = mmdet_model.build(config, "cpu")
    return {name: value * times.get(name, 1) for name, value in model.state_dict().items()}


def test_genevals_detector_in_full_size(tmp_path):
    """With mmdet's own configuration and 2.x' names; the picture is noise, the weights are drawn."""
    drawn = random_weights(mmdet_model.own_config(), {"panoptic_head.cls_embed.weight": 10})
    path = tmp_path / "detector.pth"
    torch.save({"state_dict": {in_version_2(name): value for name, value in drawn.items()}}, path)
    pixels = np.random.default_rng(derive_seed("full size")).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((512, 512))
    assert_same(MMDetJudge.load(str(path), "cpu"), Mask2FormerJudge.load(str(path), "cpu"), image, ("car", "bus"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda weights: weights.pop("panoptic_head.query_feat.weight"), r"lacks 1 weights"),
        (lambda weights: weights.update(other=torch.zeros(1)), r"has too many: 1 weights, for instance other"),
        (lambda weights: weights.update({"panoptic_head.query_feat.weight": torch.zeros(9, 64)}), "size mismatch for"),
    ],
)
@golden
def test_weights_that_do_not_fit(tmp_path, change, says):
    weights = golden_weights()
    change(weights)
    with pytest.raises(HermesError, match=says) as error:
        MMDetJudge.load(str(put(tmp_path, TINY_CONFIG.read_text(), weights)), "cpu")
    assert "\n" not in str(error.value)


@golden
def test_a_picture_that_is_too_narrow(folder):
    judge = MMDetJudge.load(str(folder), "cpu")
    with pytest.raises(ImageError, match="9000 x 1 px is too narrow"):
        judge.detect([Image.new("RGB", (9000, 1))], [()])


@golden
def test_an_mmcv_without_cuda(folder):
    from mmcv.ops import get_compiling_cuda_version

    if get_compiling_cuda_version() != "not available":
        pytest.skip("this mmcv was built with CUDA")
    with pytest.raises(HermesError, match="mmcv was built without CUDA"):
        MMDetJudge.load(str(folder), "cuda:0")


def test_another_detector(tmp_path):
    """Mask R-CNN: another head, mmcv's compiled operators, and masks that are pasted."""
    config = '_base_ = "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"'
    (tmp_path / "config.py").write_text(config)
    weights = random_weights(tmp_path / "config.py", {"roi_head.bbox_head.fc_cls.weight": 300})
    judge = MMDetJudge.load(str(put(tmp_path, config, weights)), "cpu")
    noise = np.random.default_rng(derive_seed("another detector")).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    (found,) = judge.detect([Image.fromarray(noise)], [()])
    boxes = [box["box"] for boxes in found.values() for box in boxes]
    assert boxes
    assert all(0 <= x0 < x1 <= 90 and 0 <= y0 < y1 <= 60 for x0, y0, x1, y1 in boxes)


def test_a_detector_without_masks(tmp_path):
    config = '_base_ = "mmdet::retinanet/retinanet_r18_fpn_1x_coco.py"'
    (tmp_path / "config.py").write_text(config)
    judge = MMDetJudge.load(str(put(tmp_path, config, random_weights(tmp_path / "config.py", {}))), "cpu")
    with pytest.raises(HermesError, match="gives no masks"):
        judge.detect([Image.new("RGB", (60, 60))], [()])


def test_a_detector_of_other_classes(tmp_path):
    config = '_base_ = "mmdet::pascal_voc/retinanet_r50_fpn_1x_voc0712.py"'
    (tmp_path / "config.py").write_text(config)
    weights = random_weights(tmp_path / "config.py", {})
    with pytest.raises(HermesError, match="detects 20 classes, not COCO's 80"):
        MMDetJudge.load(str(put(tmp_path, config, weights)), "cpu")
