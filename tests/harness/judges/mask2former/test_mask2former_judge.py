"""The judges: what is stored, which boxes get a colour, names and arguments, and one line for each fault."""

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_detector import SCALE, mmdet_weights, tiny_config, tiny_model
from told_colors import ToldColors

from hermes.harness.judges.mask2former import judge as judge_module
from hermes.harness.judges.mask2former.checkpoint import load_checkpoint
from hermes.harness.judges.mask2former.classes import CLASSES
from hermes.harness.judges.mask2former.colors import ClipColors
from hermes.harness.judges.mask2former.detector import Detector
from hermes.harness.judges.mask2former.instance_judge import InstanceJudge
from hermes.harness.judges.mask2former.judge import CocoMask2FormerJudge, Mask2FormerJudge
from hermes.harness.judges.mask2former.postprocess import Instances
from hermes.harness.records.seeds import derive_seed
from hermes.harness.run.plan import check_judge
from hermes.harness.system.cache import file_sha256
from hermes.harness.system.errors import HermesError, ImageError, MissingExtra
from hermes.harness.system.registry import load_class, split_reference

SIZE = (20, 30)


class ToldJudge(InstanceJudge):
    """Finds what it is told, the last image first."""

    def __init__(self, *told: Sequence[tuple[str, float, tuple[int, int, int, int]]]) -> None:
        self.colors = ToldColors()
        super().__init__(self.colors, "told")
        self.told = told

    def find(self, images: Sequence[Image.Image]) -> Iterator[tuple[int, Instances]]:
        for number in reversed(range(len(images))):
            found = self.told[number]
            masks = torch.zeros(len(found), *SIZE, dtype=torch.bool)
            for mask, (_, _, (x0, y0, x1, y1)) in zip(masks, found, strict=True):
                mask[y0:y1, x0:x1] = True
            yield (
                number,
                Instances(
                    labels=torch.tensor([CLASSES.index(name) for name, _, _ in found], dtype=torch.long),
                    scores=torch.tensor([score for _, score, _ in found], dtype=torch.float32),
                    boxes=torch.tensor([box for _, _, box in found], dtype=torch.float32).reshape(-1, 4),
                    masks=masks,
                ),
            )


def blank(color: tuple[int, int, int] = (255, 0, 0)) -> Image.Image:
    return Image.new("RGB", SIZE[::-1], color)


def noise(number: int) -> Image.Image:
    rng = np.random.default_rng(derive_seed("judge", number))
    return Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))


def test_stored_are_scores_above_a_twentieth_best_first():
    box = (1, 2, 9, 8)
    told = [("cup", 0.2, box), ("cat", 0.051, box), ("cup", 0.9, box), ("dog", 0.05, box), ("cat", 0.04, box)]
    (found,) = ToldJudge(told).detect([blank()], [()])
    assert {name: [box["score"] for box in boxes] for name, boxes in found.items()} == {
        "cup": [float(np.float32(0.9)), float(np.float32(0.2))],
        "cat": [float(np.float32(0.051))],
    }
    assert found["cup"][0]["box"] == [1.0, 2.0, 9.0, 8.0]
    assert json.loads(json.dumps(found)) == found


def test_a_score_of_exactly_the_threshold_in_float32_is_not_above_it():
    box = (0, 0, 5, 5)
    (found,) = ToldJudge([("cup", 0.3, box), ("cup", 0.3000001, box), ("dog", 0.05, box)]).detect([blank()], [{"cup"}])
    assert [box["color"] for box in found["cup"]] == ["color 0", None]
    assert "dog" not in found


def test_only_classes_that_need_a_colour_get_one_in_one_call():
    cups = [("cup", 0.8, (1, 1, 4, 4)), ("cup", 0.31, (2, 2, 6, 7)), ("cup", 0.29, (0, 0, 3, 3))]
    told = [*cups, ("dog", 0.9, (5, 5, 9, 9))]
    other = [("dog", 0.7, (3, 3, 8, 8)), ("tv", 0.6, (0, 0, 2, 2))]
    judge = ToldJudge(told, other, [])
    first, second, third = judge.detect([blank(), blank((0, 0, 255)), blank()], [{"cup", "unicorn"}, ["dog"], {"cup"}])
    assert third == {}
    (crops,) = judge.colors.calls
    assert [(crop.name, crop.image.size) for crop in crops] == [("dog", (5, 5)), ("cup", (3, 3)), ("cup", (4, 5))]
    assert crops[0].image.getpixel((0, 0)) == (0, 0, 255)
    assert [box["color"] for box in first["cup"]] == ["color 1", "color 2", None]
    assert [box["color"] for box in second["dog"]] == ["color 0"]
    assert first["dog"][0]["color"] is None
    assert second["tv"][0]["color"] is None


def test_at_most_sixteen_boxes_of_a_class_get_a_colour_of_equal_scores_the_later():
    told = [("cup", 0.9 if k < 15 else 0.5, (k, 0, k + 2, 5)) for k in range(20)]
    (found,) = ToldJudge(told).detect([blank()], [{"cup"}])
    colored = [box["box"][0] for box in found["cup"] if box["color"]]
    assert sorted(colored) == [*map(float, range(15)), 19.0]


def test_it_answers_no_questions():
    with pytest.raises(HermesError, match="answers no questions"):
        ToldJudge([]).answer([blank()], ["Is there a cup?"])


def test_an_image_that_is_too_narrow_fails_as_an_image(tiny):
    judge = Mask2FormerJudge(Detector(tiny, scale=SCALE), ToldColors(), "tiny")
    with pytest.raises(ImageError, match="too narrow"):
        judge.detect([noise(0), Image.new("RGB", (9000, 1))], [(), ()])


def test_the_detector_finds_what_the_judge_stores(tiny):
    """Through the whole chain, many images at once as one by one."""
    judge = Mask2FormerJudge(Detector(tiny, scale=SCALE, batch=2), ToldColors(), "tiny")
    images = [noise(number) for number in range(3)]
    together = judge.detect(images, [(), (), ()])
    assert any(together)
    for image, found in zip(images, together, strict=True):
        (alone,) = judge.detect([image], [()])
        assert alone.keys() == found.keys()
        for name, boxes in found.items():
            assert name in CLASSES
            scores = [box["score"] for box in boxes]
            assert scores == sorted(scores, reverse=True)
            assert all(float(np.float32(score)) == score for score in scores)
            assert scores == pytest.approx([box["score"] for box in alone[name]], abs=1e-5)
            for x0, y0, x1, y1 in (box["box"] for box in boxes):
                assert 0 <= x0 < x1 <= 60
                assert 0 <= y0 < y1 <= 40


@pytest.fixture
def told_clip(monkeypatch: pytest.MonkeyPatch) -> ToldColors:
    """CLIP's weights are not needed to load a judge."""
    colors = ToldColors()
    monkeypatch.setattr(ClipColors, "load", classmethod(lambda cls, device: colors))
    return colors


def test_the_judge_by_name_and_path(checkpoint, told_clip, tiny):
    reference = f"mask2former:{checkpoint}"
    check_judge(reference)
    judge = load_class("judges", reference).load(split_reference(reference)[1], "cpu")
    assert judge.identity == f"mask2former-{file_sha256(checkpoint)[:12]}+told"
    assert judge.detect([], []) == []
    again = Mask2FormerJudge.load(str(checkpoint), "cpu")
    assert again.identity == judge.identity
    assert judge.detect([noise(1)], [()]) == again.detect([noise(1)], [()])


def test_the_converted_folder_is_the_same_judge(checkpoint, told_clip, cache):
    sha256 = load_checkpoint(checkpoint).sha256
    folder = cache / "mask2former" / sha256
    Mask2FormerJudge.check(str(folder))
    assert Mask2FormerJudge.load(str(folder), "cpu").identity == f"mask2former-{sha256[:12]}+told"


def test_a_checkpoint_with_other_classes(tmp_path, told_clip):
    path = tmp_path / "panoptic.pth"
    torch.save(mmdet_weights(tiny_model(tiny_config(num_labels=133)).state_dict(), 2), path)
    with pytest.raises(HermesError, match="detects 133 classes, not COCO's 80"):
        Mask2FormerJudge.load(str(path), "cpu")


def test_check_is_done_before_anything_is_loaded(monkeypatch):
    with pytest.raises(HermesError, match="no such checkpoint"):
        check_judge("mask2former:missing.pth")
    with pytest.raises(HermesError, match="neither a folder nor a hub id"):
        check_judge("mask2former-coco:/missing/folder")
    monkeypatch.setattr(judge_module, "find_spec", lambda name: None)
    for name in ("mask2former", "mask2former-coco"):
        with pytest.raises(MissingExtra, match=rf"judge '{name}' needs an extra: .*hermes-bench\[geneval\]"):
            check_judge(name)


def test_the_authors_checkpoint_in_transformers_layout(tiny, tmp_path, told_clip):
    tiny.save_pretrained(tmp_path / "coco")
    reference = f"mask2former-coco:{tmp_path / 'coco'}"
    check_judge(reference)
    judge = load_class("judges", reference).load(split_reference(reference)[1], "cpu")
    assert judge.identity == f"mask2former-coco-{file_sha256(tmp_path / 'coco' / 'model.safetensors')[:12]}+told"
    same = Mask2FormerJudge(Detector(tiny), ToldColors(), "tiny")
    assert judge.detect([noise(2)], [()]) == same.detect([noise(2)], [()])


def test_a_faulty_transformers_folder_is_one_line(tiny, tmp_path):
    empty, other, torn, part = (tmp_path / name for name in ("empty", "other", "torn", "part"))
    empty.mkdir()
    for folder in (other, torn, part):
        tiny.save_pretrained(folder)
    (other / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (torn / "model.safetensors").write_bytes((torn / "model.safetensors").read_bytes()[:5000])
    tiny_model(tiny_config(encoder_layers=1)).save_pretrained(part)
    tiny.config.save_pretrained(part)
    for folder, says in (
        (empty, r"holds no model\.safetensors"),
        (other, "its model_type is 'bert'"),
        (torn, "not a Mask2Former checkpoint of transformers"),
        (part, r"lacks \d+ weights"),
    ):
        with pytest.raises(HermesError, match=says) as error:
            CocoMask2FormerJudge.load(str(folder), "cpu")
        assert "\n" not in str(error.value)


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    import huggingface_hub

    def download(name, **_):
        raise OSError(f"{name}: no network\nat all")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(HermesError, match=r"facebook/mask2former-swin-small-coco-instance: no network") as error:
        CocoMask2FormerJudge.load(None, "cpu")
    assert "\n" not in str(error.value)
