"""The parser gives back what was drawn, through mild damage too, and leaves unread what is no object."""

import random
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

from hermes.shapes.draw import BACKGROUND, PALETTE, coverage, draw
from hermes.shapes.parse import parse, parse_many
from hermes.shapes.scene import (
    CANVAS,
    COLORS,
    GRID,
    SHAPES,
    SIZES,
    Obj,
    Scene,
    place,
    random_scene,
    scenes,
)

OBJECTS = st.builds(
    place,
    st.sampled_from(SHAPES),
    st.sampled_from(COLORS),
    st.sampled_from(SIZES),
    st.integers(0, GRID * GRID - 1),
    st.integers(0, 2**32).map(random.Random),
)


def facts(objects):
    return sorted((obj.cell, obj.color, obj.shape, obj.size) for obj in objects)


def share_right(change, n=150):
    drawn = list(islice(scenes("validation", 0, "parse test"), n))
    parsed = parse_many([change(draw(scene)) for scene in drawn])
    return np.mean([facts(a.objects) == facts(b.objects) for a, b in zip(drawn, parsed, strict=True)])


def paint(*layers):
    """A plain picture with (coverage, RGB) layers on it."""
    picture = np.full((CANVAS, CANVAS, 3), BACKGROUND, dtype=np.float32)
    for cover, color in layers:
        picture += cover[..., None] * (np.asarray(color, dtype=np.float32) - picture)
    return Image.fromarray(np.rint(picture).astype(np.uint8))


def test_drawn_scenes_are_read_exactly():
    drawn = list(islice(scenes("validation", 1, "parse test"), 500))
    parsed = parse_many([draw(scene) for scene in drawn])
    right = [facts(a.objects) == facts(b.objects) and not b.unread for a, b in zip(drawn, parsed, strict=True)]
    assert np.mean(right) >= 0.995


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**48))
def test_any_scene_comes_back(seed):
    scene = random_scene(random.Random(seed))
    assert facts(parse(draw(scene)).objects) == facts(scene.objects)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(OBJECTS, st.integers(0, 2**48))
def test_position_and_radius_of_a_lone_object(obj, seed):
    (read,) = parse(draw(Scene((obj,), seed))).objects
    assert np.hypot(read.x - obj.x, read.y - obj.y) < 0.5
    assert read.radius == pytest.approx(obj.radius, abs=0.5)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**48))
def test_a_mirrored_picture_holds_the_mirrored_objects(seed):
    picture = draw(random_scene(random.Random(seed)))
    seen = parse(picture).objects
    mirrored = [replace(obj, cell=obj.cell // GRID * GRID + GRID - 1 - obj.cell % GRID) for obj in seen]
    assert facts(parse(ImageOps.mirror(picture)).objects) == facts(mirrored)


def test_touching_objects_of_one_color_are_told_apart():
    pair = [Obj("square", "red", "large", cell, x, 24.0, 7.2) for cell, x in ((3, 9.5), (4, 22.5))]
    assert facts(parse(draw(Scene(tuple(pair), 1))).objects) == facts(pair)


def test_a_batch_changes_nothing():
    pictures = [draw(scene) for scene in islice(scenes("test", 2, "parse test"), 40)]
    for together, alone in zip(parse_many(pictures), map(parse, pictures), strict=True):
        assert facts(together.objects) == facts(alone.objects)
        assert together.unread == alone.unread
        for a, b in zip(together.objects, alone.objects, strict=True):
            assert (a.x, a.y, a.radius) == pytest.approx((b.x, b.y, b.radius), abs=0.01)


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda image: image.resize((256, 256), Image.Resampling.BICUBIC), 0.99),
        (lambda image: image.convert("RGBA"), 0.99),
        (lambda image: image.filter(ImageFilter.GaussianBlur(0.7)), 0.98),
        (lambda image: image.filter(ImageFilter.GaussianBlur(1.0)), 0.96),
        (lambda image: Image.fromarray(np.asarray(image) // 2 * 2 + 1), 0.99),
    ],
    ids=["256 px", "RGBA", "blur 0.7", "blur 1.0", "7 bit"],
)
def test_mild_damage_is_read_through(change, least):
    assert share_right(change) >= least


def test_noise_is_read_through():
    rng = np.random.default_rng(0)

    def noisy(image):
        return Image.fromarray(np.clip(np.asarray(image) + rng.normal(0, 8, (48, 48, 3)), 0, 255).astype(np.uint8))

    assert share_right(noisy) >= 0.97


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [4.4, 6.8])
def test_half_a_shape_is_no_object(shape, radius):
    cover = coverage(Obj(shape, "blue", "large", 4, 24.0, 24.0, radius))
    cover[:, :24] = 0
    parsed = parse(paint((cover, PALETTE["blue"])))
    assert parsed.objects == ()
    assert len(parsed.unread) == 1


def test_a_shape_of_two_colors_is_no_object():
    cover = coverage(Obj("circle", "blue", "large", 4, 24.0, 24.0, 7.0))
    left, right = cover.copy(), cover.copy()
    left[:, 24:], right[:, :24] = 0, 0
    parsed = parse(paint((left, PALETTE["blue"]), (right, PALETTE["yellow"])))
    assert parsed.objects == ()
    assert len(parsed.unread) == 2


@pytest.mark.parametrize(("radius", "reason"), [(2.4, "small"), (12.0, "large")])
def test_an_object_of_no_size_is_unread(radius, reason):
    parsed = parse(paint((coverage(Obj("circle", "red", "", 4, 24.0, 24.0, radius)), PALETTE["red"])))
    assert parsed.objects == ()
    assert any(reason in text or "no shape" in text for text in parsed.unread)


def test_a_color_outside_the_palette_is_unread():
    parsed = parse(paint((coverage(Obj("square", "", "large", 4, 24.0, 24.0, 7.0)), (0, 255, 255))))
    assert parsed.objects == ()
    assert "color" in parsed.unread[0]


def test_specks_are_ignored():
    picture = np.asarray(paint()).copy()
    picture[10:12, 10:12] = PALETTE["black"]
    parsed = parse(Image.fromarray(picture))
    assert parsed.objects == ()
    assert parsed.unread == ()


def test_a_picture_without_background_is_not_readable():
    pixels = np.random.default_rng(0).integers(0, 256, (CANVAS, CANVAS, 3), dtype=np.uint8)
    parsed = parse(Image.fromarray(pixels))
    assert not parsed.readable
    assert parsed.objects == ()
    assert parse(paint()).readable
