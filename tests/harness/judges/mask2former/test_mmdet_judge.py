"""mmdet as the detector, by a stand-in with its interface; `make test-mmdet` holds the real one against Hermes' own."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from told_colors import ToldColors

from hermes.harness.judges.mask2former.classes import CLASSES
from hermes.harness.judges.mask2former.colors import ClipColors
from hermes.harness.judges.mask2former.mmdet import MMDetJudge, read_result
from hermes.harness.judges.mask2former.mmdet_model import CONFIG
from hermes.harness.run.plan import check_judge
from hermes.harness.system.cache import file_sha256
from hermes.harness.system.errors import HermesError, ImageError

SIZE = (20, 30)
GENEVALS = {"computer mouse": "mouse", "tv remote": "remote", "computer keyboard": "keyboard"}
COCO = tuple(GENEVALS.get(name, name) for name in CLASSES)
FOUND = (
    ("cup", 0.9, (2, 3, 9, 8)),
    ("cup", 0.4, (10, 3, 14, 18)),
    ("dog", 0.7, (0, 0, 30, 20)),
    ("toothbrush", 0.04, (5, 5, 6, 6)),
)


def sample(found: Sequence[tuple[str, float, tuple[int, int, int, int]]] = FOUND) -> Any:
    """A DetDataSample; its pred_instances give their tensors by name."""
    masks = torch.zeros(len(found), *SIZE, dtype=torch.bool)
    for mask, (_, _, (x0, y0, x1, y1)) in zip(masks, found, strict=True):
        mask[y0:y1, x0:x1] = True
    return SimpleNamespace(
        pred_instances={
            "labels": torch.tensor([CLASSES.index(name) for name, _, _ in found], dtype=torch.long),
            "scores": torch.tensor([score for _, score, _ in found]),
            "bboxes": torch.tensor([box for _, _, box in found], dtype=torch.float32).reshape(-1, 4),
            "masks": masks,
        }
    )


class Config(SimpleNamespace):
    def to_dict(self) -> dict[str, Any]:
        return {"scale": self.scale}


class Network(torch.nn.Module):
    """One weight, under its name in mmdet 3.x."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        layer = torch.nn.ModuleDict({"self_attn": torch.nn.Linear(2, 1, bias=False)})
        encoder = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([layer])})
        self.panoptic_head = torch.nn.ModuleDict({"pixel_decoder": torch.nn.ModuleDict({"encoder": encoder})})
        self.given: list[Any] = []
        self.cfg = Config(scale=scale, test_dataloader=SimpleNamespace(dataset={"type": "Told"}))

    def test_step(self, data: dict[str, Any]) -> list[Any]:
        self.given.append(data)
        return [sample()]


NAME = "panoptic_head.pixel_decoder.encoder.layers.0.self_attn.weight"
NAME_IN_2 = NAME.replace("self_attn", "attentions.0")
WEIGHT = torch.tensor([[2.0, 3.0]])


class StandIn:
    """What mmdet.apis was asked, and what it answers."""

    def __init__(self, folder: Path) -> None:
        self.result, self.scale, self.told_classes = sample(), 800, COCO
        self.built: list[tuple[str, str]] = []
        self.images: list[np.ndarray] = []
        self.model: Any = None
        self.package = folder / "mmdet"
        self.package.mkdir()

    def init_detector(self, config: str, device: str) -> Any:
        if not Path(config).is_file():
            raise FileNotFoundError(f"file {config} does not exist")
        self.built.append((config, device))
        self.model = Network(self.scale)
        return self.model

    def inference_detector(self, model: Any, image: np.ndarray) -> Any:
        assert model is self.model
        self.images.append(image)
        return self.result

    def build(self, dataset: dict[str, Any]) -> Any:
        assert dataset == {"type": "Told", "lazy_init": True}
        return SimpleNamespace(metainfo={"classes": self.told_classes})


@pytest.fixture
def mmdet(monkeypatch, tmp_path) -> StandIn:
    """A stand-in for an installed mmdet 3.3, with its configurations where pip puts them."""
    stand_in = StandIn(tmp_path)
    contents: dict[str, dict[str, Any]] = {
        "mmdet": {"__version__": "3.3.0"},
        "mmdet.apis": {
            "init_detector": stand_in.init_detector,
            "inference_detector": stand_in.inference_detector,
        },
        "mmdet.datasets": {"CocoDataset": SimpleNamespace(METAINFO={"classes": COCO})},
        "mmdet.structures": {"DetDataSample": SimpleNamespace},
        "mmdet.registry": {"DATASETS": SimpleNamespace(build=stand_in.build)},
        "mmengine": {},
        "mmcv": {},
        "mmcv.ops": {"get_compiling_cuda_version": lambda: "not available"},
    }
    for name, content in contents.items():
        module = ModuleType(name)
        vars(module).update(content)
        module.__spec__ = ModuleSpec(name, None, origin=str(stand_in.package / "__init__.py"))
        monkeypatch.setitem(sys.modules, name, module)
        if "." in name:
            package, _, attribute = name.partition(".")
            setattr(sys.modules[package], attribute, module)
    monkeypatch.setattr(ClipColors, "load", classmethod(lambda cls, device: ToldColors()))
    return stand_in


@pytest.fixture
def folder(tmp_path) -> Path:
    """As `mim download` leaves it."""
    (tmp_path / "downloaded").mkdir()
    (tmp_path / "downloaded" / "detector.py").write_text("model = dict()")
    save(tmp_path / "downloaded")
    return tmp_path / "downloaded"


def save(folder: Path, meta: Any = None, **weights: torch.Tensor) -> None:
    torch.save({"meta": meta or {}, "state_dict": weights or {NAME: WEIGHT}}, folder / "detector.pth")


def test_what_is_found_and_how_it_is_asked(mmdet, folder):
    check_judge(f"mmdet:{folder}")
    judge = MMDetJudge.load(str(folder), "cpu")
    pixels = np.zeros((*SIZE, 3), dtype=np.uint8)
    pixels[..., 0] = 200
    (found,) = judge.detect([Image.fromarray(pixels)], [{"cup"}])
    assert found == {
        "cup": [
            {"box": [2.0, 3.0, 9.0, 8.0], "score": float(np.float32(0.9)), "color": "color 0"},
            {"box": [10.0, 3.0, 14.0, 18.0], "score": float(np.float32(0.4)), "color": "color 1"},
        ],
        "dog": [{"box": [0.0, 0.0, 30.0, 20.0], "score": float(np.float32(0.7)), "color": None}],
    }
    (given,) = mmdet.images
    assert given.shape == (*SIZE, 3)
    assert (given[..., 2] == 200).all()  # mmdet takes BGR
    assert (given[..., 0] == 0).all()
    assert mmdet.built == [(str(folder / "detector.py"), "cpu")]


def test_checkpoint_and_configuration_are_the_identity(mmdet, folder):
    first = MMDetJudge.load(str(folder), "cpu").identity
    assert first.startswith(f"mmdet-3.3.0-{file_sha256(folder / 'detector.pth')[:12]}-")
    assert MMDetJudge.load(str(folder), "cpu").identity == first
    mmdet.scale = 1000
    assert MMDetJudge.load(str(folder), "cpu").identity != first


def test_an_image_without_objects():
    found = read_result(sample(()))
    assert found.masks.shape == (0, *SIZE)
    assert found.boxes.shape == (0, 4)
    assert found.labels.shape == found.scores.shape == (0,)


def test_a_detector_without_masks():
    with pytest.raises(HermesError, match="gives no masks"):
        read_result(SimpleNamespace(pred_instances={"labels": torch.zeros(1)}))


def test_an_image_that_is_too_narrow_fails_as_an_image(mmdet, folder, monkeypatch):
    judge = MMDetJudge.load(str(folder), "cpu")
    monkeypatch.setattr(sys.modules["mmdet.apis"], "inference_detector", lambda _, image: cv2.resize(image, (0, 9)))
    with pytest.raises(ImageError, match="9000 x 1 px is too narrow"):
        judge.detect([Image.new("RGB", (9000, 1))], [()])


@pytest.mark.parametrize("name", [NAME, NAME_IN_2, f"module.{NAME}"])
def test_weights_under_either_versions_names(mmdet, folder, name):
    save(folder, None, **{name: WEIGHT})
    MMDetJudge.load(str(folder), "cpu")
    assert torch.equal(mmdet.model.state_dict()[NAME], WEIGHT)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"other": WEIGHT}, rf"it lacks 1 weights, for instance {NAME}\)"),
        ({NAME: WEIGHT, "other": WEIGHT}, r"it has too many: 1 weights, for instance other\)"),
        ({NAME: torch.zeros(3, 1)}, "size mismatch for"),
    ],
)
def test_weights_that_are_not_the_configurations(mmdet, folder, weights, says):
    """mmdet itself only logs a warning, and detects with what it has drawn at random."""
    save(folder, None, **weights)
    with pytest.raises(HermesError, match=says) as error:
        MMDetJudge.load(str(folder), "cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("meta", [{"CLASSES": COCO}, {"dataset_meta": {"CLASSES": list(COCO)}}, {"dataset_meta": {}}])
def test_cocos_classes_as_checkpoints_name_them(mmdet, folder, meta):
    save(folder, meta)
    MMDetJudge.load(str(folder), "cpu")
    assert torch.equal(mmdet.model.state_dict()[NAME], WEIGHT)


@pytest.mark.parametrize("meta", [{"CLASSES": COCO[:20]}, {"dataset_meta": {"classes": COCO[::-1]}}])
def test_a_checkpoint_of_other_classes(mmdet, folder, meta):
    save(folder, meta)
    with pytest.raises(HermesError, match=r"detects \d+ classes, not COCO's 80 in their order"):
        MMDetJudge.load(str(folder), "cpu")


def test_a_configuration_of_other_classes(mmdet, folder):
    mmdet.told_classes = ("ship", "plane")
    with pytest.raises(HermesError, match="detects 2 classes, not COCO's 80"):
        MMDetJudge.load(str(folder), "cpu")


@pytest.fixture
def own_config(mmdet) -> Path:
    return put_config(mmdet, "mmdet/.mim/configs/mask2former")


def put_config(mmdet: StandIn, place: str) -> Path:
    config = mmdet.package.parent / place / CONFIG
    config.parent.mkdir(parents=True)
    config.write_text("model = dict()")
    return config


@pytest.mark.parametrize("place", ["configs/mask2former", "mmdet/.mim/configs/mask2former"])
def test_a_checkpoint_alone_takes_mmdets_own_configuration(mmdet, folder, place):
    config = put_config(mmdet, place)
    check_judge(f"mmdet:{folder / 'detector.pth'}")
    MMDetJudge.load(str(folder / "detector.pth"), "cpu")
    assert mmdet.built == [(str(config), "cpu")]


def test_with_mmdets_own_configuration_pictures_are_prepared_as_in_geneval(mmdet, folder, own_config):
    judge = MMDetJudge.load(str(folder / "detector.pth"), "cpu")
    assert judge.identity.startswith(f"mmdet-3.3.0-{file_sha256(folder / 'detector.pth')[:12]}-genevals-steps")
    (found,) = judge.detect([Image.new("RGB", SIZE[::-1], (200, 0, 0))], [()])
    assert found.keys() == {"cup", "dog"}
    (given,) = mmdet.model.given
    ((pixels,), (asked,)) = given["inputs"], given["data_samples"]
    assert asked.metainfo == {"ori_shape": SIZE, "img_shape": (800, 1200)}
    assert pixels.shape == (3, 800, 1216)
    assert pixels[:, 0, 0].tolist() == [0, 0, 200]
    assert pixels[:, 0, 1200].tolist() == [128, 128, 128]
    assert mmdet.images == []
    with pytest.raises(ImageError, match="too narrow"):
        judge.detect([Image.new("RGB", (9000, 1))], [()])


def test_arguments_that_do_not_do(mmdet, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for argument, says in (
        ("", "no such file or folder"),
        (str(tmp_path / "missing"), "no such file or folder"),
        (str(tmp_path / "empty"), r"holds 0 \.py and 0 \.pth files"),
        (str(folder / "detector.pth"), "configuration .* is not in"),
        (None, "configuration .* is not in"),
    ):
        with pytest.raises(HermesError, match=says) as error:
            MMDetJudge.check(argument)
        assert "\n" not in str(error.value)


def raising(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def test_mmdets_own_failure_is_one_line(mmdet, folder, monkeypatch):
    monkeypatch.setattr(sys.modules["mmdet.apis"], "init_detector", raising(KeyError("x\nis not registered")))
    with pytest.raises(HermesError, match="mmdet cannot build a detector from") as error:
        MMDetJudge.load(str(folder), "cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("package", ["mmdet", "mmcv", "mmengine"])
def test_without_a_package_it_says_where_to_read(mmdet, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(HermesError, match=rf"judge 'mmdet' needs {package}; docs/benchmarks\.md"):
        check_judge("mmdet")


def test_an_mmcv_without_operators(mmdet, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "mmcv.ops", None)
    with pytest.raises(HermesError, match=r"mmdet cannot be imported .*; docs/benchmarks\.md"):
        MMDetJudge.load(str(folder), "cpu")


def test_an_mmdet_of_another_major_version(mmdet, folder, monkeypatch):
    monkeypatch.setattr(sys.modules["mmdet"], "__version__", "2.28.2")
    with pytest.raises(HermesError, match=r"cannot use mmdet 2\.28\.2"):
        MMDetJudge.load(str(folder), "cpu")


def test_an_mmcv_built_without_cuda(mmdet, folder):
    with pytest.raises(HermesError, match="built without CUDA"):
        MMDetJudge.load(str(folder), "cuda:0")
    assert mmdet.built == []
