"""mmdet as the detector, by a stand-in with its documented interface: 2.x' lists, 3.x' data samples."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from told_colors import ToldColors

from hermes.harness.judges.mask2former.classes import CLASSES
from hermes.harness.judges.mask2former.colors import ClipColors
from hermes.harness.judges.mask2former.mmdet import CONFIGS, MMDetJudge, read_result
from hermes.harness.run.plan import check_judge
from hermes.harness.system.cache import file_sha256
from hermes.harness.system.errors import HermesError, MissingExtra

SIZE = (20, 30)
FOUND = (
    ("cup", 0.9, (2, 3, 9, 8)),
    ("cup", 0.4, (10, 3, 14, 18)),
    ("dog", 0.7, (0, 0, 30, 20)),
    ("toothbrush", 0.04, (5, 5, 6, 6)),
)


def mask(box: tuple[int, int, int, int]) -> np.ndarray:
    drawn = np.zeros(SIZE, dtype=bool)
    drawn[box[1] : box[3], box[0] : box[2]] = True
    return drawn


def version_2(found=FOUND, classes: int = 80):
    """(boxes, masks): for each class an (n, 5) array and a list of n masks."""
    boxes: list[list] = [[] for _ in range(classes)]
    masks: list[list] = [[] for _ in range(classes)]
    for name, score, box in found:
        boxes[CLASSES.index(name)].append([*box, score])
        masks[CLASSES.index(name)].append(mask(box))
    return [np.array(some, dtype=np.float32).reshape(-1, 5) for some in boxes], masks


def version_3(found=FOUND):
    """A DetDataSample with pred_instances of tensors."""
    return SimpleNamespace(
        pred_instances=SimpleNamespace(
            labels=torch.tensor([CLASSES.index(name) for name, _, _ in found], dtype=torch.long),
            scores=torch.tensor([score for _, score, _ in found]),
            bboxes=torch.tensor([box for _, _, box in found], dtype=torch.float32).reshape(-1, 4),
            masks=torch.from_numpy(np.array([mask(box) for _, _, box in found]).reshape(-1, *SIZE).astype(bool)),
        )
    )


class StandIn:
    """What mmdet.apis was asked, and what it answers."""

    def __init__(self, folder: Path) -> None:
        self.result, self.initialised, self.images = version_2(), [], []
        self.package = folder / "mmdet"
        self.package.mkdir()

    def init_detector(self, config, checkpoint, device):
        if not Path(config).is_file():
            raise FileNotFoundError(f"file {config} does not exist")
        self.initialised.append((config, checkpoint, device))
        return "model"

    def inference_detector(self, model, image):
        assert model == "model"
        self.images.append(image)
        return self.result


@pytest.fixture
def mmdet(monkeypatch, tmp_path) -> StandIn:
    """A stand-in for an installed mmdet, with its configurations where pip puts them."""
    stand_in = StandIn(tmp_path)
    package, apis = ModuleType("mmdet"), ModuleType("mmdet.apis")
    package.__version__, package.__file__ = "2.28.2", str(stand_in.package / "__init__.py")
    package.__spec__, apis.__spec__ = ModuleSpec("mmdet", None), ModuleSpec("mmdet.apis", None)
    apis.init_detector, apis.inference_detector = stand_in.init_detector, stand_in.inference_detector
    package.apis = apis
    monkeypatch.setitem(sys.modules, "mmdet", package)
    monkeypatch.setitem(sys.modules, "mmdet.apis", apis)
    monkeypatch.setattr(ClipColors, "load", classmethod(lambda cls, device: ToldColors()))
    return stand_in


@pytest.fixture
def folder(tmp_path) -> Path:
    """As `mim download` leaves it."""
    (tmp_path / "downloaded").mkdir()
    (tmp_path / "downloaded" / "detector.py").write_text("model = dict()")
    (tmp_path / "downloaded" / "detector.pth").write_bytes(b"weights")
    return tmp_path / "downloaded"


@pytest.mark.parametrize("result", [version_2(), version_3()], ids=["2.x", "3.x"])
def test_both_versions_are_stored_alike(mmdet, folder, result):
    mmdet.result = result
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
    assert mmdet.initialised == [(str(folder / "detector.py"), str(folder / "detector.pth"), "cpu")]
    assert judge.identity == f"mmdet-2.28.2-{file_sha256(folder / 'detector.pth')[:12]}+told"


@pytest.mark.parametrize("result", [version_2(()), version_3(())], ids=["2.x", "3.x"])
def test_an_image_without_objects(result):
    found = read_result(result, SIZE)
    assert found.masks.shape == (0, *SIZE)
    assert found.boxes.shape == (0, 4)
    assert found.labels.shape == found.scores.shape == (0,)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ([np.zeros((0, 5))] * 80, "gives no masks"),
        (([np.zeros((0, 5))] * 80, None), "gives no masks"),
        (version_2((), classes=133), "knows 133 classes, not COCO's 80"),
        (SimpleNamespace(pred_instances=SimpleNamespace(labels=torch.zeros(1))), "gives no masks"),
        (
            SimpleNamespace(
                pred_instances=SimpleNamespace(
                    labels=torch.tensor([80]),
                    scores=torch.ones(1),
                    bboxes=torch.zeros(1, 4),
                    masks=torch.zeros(1, *SIZE, dtype=torch.bool),
                )
            ),
            "more than COCO's 80 classes",
        ),
    ],
)
def test_a_detector_of_something_else(result, says):
    with pytest.raises(HermesError, match=says):
        read_result(result, SIZE)


@pytest.mark.parametrize("place", ["configs/mask2former", "mmdet/.mim/configs/mask2former"])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_checkpoint_alone_takes_mmdets_own_configuration(mmdet, folder, place, name):
    config = mmdet.package.parent / place / name
    config.parent.mkdir(parents=True)
    config.write_text("model = dict()")
    MMDetJudge.load(str(folder / "detector.pth"), "cpu")
    assert mmdet.initialised == [(str(config), str(folder / "detector.pth"), "cpu")]


def test_arguments_that_do_not_do(mmdet, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for argument, says in (
        ("", "no such file or folder"),
        (str(tmp_path / "missing"), "no such file or folder"),
        (str(tmp_path / "empty"), r"holds 0 \.py and 0 \.pth files"),
        (str(folder / "detector.pth"), "configuration .* is not beside"),
    ):
        with pytest.raises(HermesError, match=says) as error:
            MMDetJudge.check(argument)
        assert "\n" not in str(error.value)


def test_mmdets_own_failure_is_one_line(mmdet, folder):
    mmdet.init_detector = None
    sys.modules["mmdet.apis"].init_detector = lambda *_, **__: (_ for _ in ()).throw(KeyError("x\nis not registered"))
    with pytest.raises(HermesError, match=r"mmdet 2\.28\.2 cannot load") as error:
        MMDetJudge.load(str(folder), "cpu")
    assert "\n" not in str(error.value)


def test_without_mmdet_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mmdet", None)
    with pytest.raises(MissingExtra, match=r"hermes-bench\[mmdet\]"):
        check_judge("mmdet")
