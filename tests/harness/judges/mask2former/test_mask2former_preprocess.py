"""mmdet 2.x's test pipeline: sizes, OpenCV's resize, padding before normalising."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from tiny_detector import PARITY

from hermes.harness.judges.mask2former.preprocess import normalised, prepare
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.errors import ImageError

GOLDEN = sorted(PARITY.glob("expected_img*.json"))


def noise(height: int, width: int) -> Image.Image:
    rng = np.random.default_rng(derive_seed("noise", height, width))
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def fixed_point(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """INTER_LINEAR on uint8 from its definition: half-pixel centres, weights of 11 bits, no antialiasing."""

    def axis(size: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        place = (np.arange(new) + 0.5) * (size / new) - 0.5
        low = np.floor(place).astype(int)
        part = np.where((low < 0) | (low >= size - 1), 0, place - low)
        low = low.clip(0, size - 1)
        high = (low + 1).clip(0, size - 1)
        return low, high, np.rint(2048 * (1 - part)).astype(int), np.rint(2048 * part).astype(int)

    x0, x1, a0, a1 = axis(array.shape[1], width)
    y0, y1, b0, b1 = axis(array.shape[0], height)
    wide = array.astype(int)
    rows = wide[:, x0] * a0[:, None] + wide[:, x1] * a1[:, None]
    top, bottom = (b0[:, None, None] * (rows[y0] >> 4)) >> 16, (b1[:, None, None] * (rows[y1] >> 4)) >> 16
    return ((top + bottom + 2) >> 2).clip(0, 255)


@pytest.mark.skipif(not GOLDEN, reason="no golden data here")
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_pixels(path):
    wanted = json.loads(path.read_text())
    scale = json.loads((PARITY / "config.json").read_text())["test"]
    found = prepare(Image.open(PARITY / wanted["image"]), (scale["scale_long"], scale["scale_short"]))
    assert list(found.original) == wanted["ori_shape"]
    assert list(found.resized) == wanted["resized_shape"]
    assert list(found.padded) == wanted["padded_shape"]
    assert np.array_equal(found.pixels, load_file(path.with_suffix(".safetensors"))["padded_rgb_u8"])


@pytest.mark.parametrize(
    ("size", "resized", "padded"),
    [
        ((512, 512), (800, 800), (800, 800)),
        ((1024, 1024), (800, 800), (800, 800)),
        ((100, 100), (800, 800), (800, 800)),
        ((512, 1024), (667, 1333), (672, 1344)),  # 512 * 1333 / 1024 = 666.5, and halves go up
        ((1024, 512), (1333, 667), (1344, 672)),
        ((480, 640), (800, 1067), (800, 1088)),
        ((333, 500), (800, 1201), (800, 1216)),
        ((10, 1000), (13, 1333), (32, 1344)),
    ],
)
def test_sizes(size, resized, padded):
    found = prepare(Image.new("RGB", size[::-1]))
    assert (found.original, found.resized, found.padded) == (size, resized, padded)


@pytest.mark.parametrize("size", [(40, 60), (150, 100), (64, 64), (200, 333), (31, 97)])
def test_the_resize_is_opencvs_on_whole_numbers(size):
    picture = noise(*size)
    found = prepare(picture, (96, 64))
    height, width = found.resized
    wanted = fixed_point(np.asarray(picture), height, width)
    difference = np.abs(found.pixels[:height, :width].astype(int) - wanted)
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.995


def test_padding_is_128_below_and_on_the_right_and_normalised_with_the_image():
    found = prepare(Image.new("RGB", (90, 50), (10, 20, 30)), (96, 64))
    height, width = found.resized
    assert (height, width, found.padded) == (53, 96, (64, 96))
    assert (found.pixels[:height] == (10, 20, 30)).all()
    assert (found.pixels[height:] == 128).all()
    tensor = normalised([found, found])
    assert tensor.shape == (2, 3, 64, 96)
    red, _, blue = tensor[1].numpy()
    assert red[0, 0] == pytest.approx((10 - 123.675) / 58.395)
    assert blue[0, 0] == pytest.approx((30 - 103.53) / 57.375)
    assert red[63, 0] == pytest.approx((128 - 123.675) / 58.395)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_other_modes_become_rgb(mode):
    picture = noise(20, 30).convert(mode)
    assert np.array_equal(prepare(picture, (96, 64)).pixels, prepare(picture.convert("RGB"), (96, 64)).pixels)


def test_an_image_of_which_nothing_would_be_left():
    with pytest.raises(ImageError, match="5000 x 1 px is too narrow"):
        prepare(Image.new("RGB", (5000, 1)))
