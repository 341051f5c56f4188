"""GenEval's colours: grey outside the mask, cropped to the box, ten colours in three sentences each, in batches."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from hermes.harness.contracts.published import GENEVAL_COLORS as COLORS
from hermes.harness.judges.mask2former.colors import BATCH, ClipColors, Crop, cut_out
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.errors import HermesError

GREY = (0x99, 0x99, 0x99)
PAINT = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "black": (0, 0, 0), "white": (255, 255, 255)}


class Reading(torch.nn.Module):
    """A CLIP that sees an image's mean colour and reads the paint that a sentence names."""

    def __init__(self):
        super().__init__()
        self.sentences, self.sizes = [], []

    def encode_image(self, pixels):
        self.sizes.append(len(pixels))
        return torch.cat([pixels.mean((2, 3)), torch.full((len(pixels), 1), 0.1)], dim=1)

    def encode_text(self, tokens):
        features = torch.zeros(len(tokens), 4)
        for row, number in enumerate(tokens[:, 0].tolist()):
            words = self.sentences[number].replace("-", " ").split()
            paint = next(paint for color, paint in PAINT.items() if color in words) if set(words) & set(PAINT) else None
            features[row] = torch.tensor([*paint, 25.5]) / 255 if paint else torch.tensor([0.0, 0.0, 0.0, -1.0])
        return features

    def tokens(self, sentences):
        begin = len(self.sentences)
        self.sentences += sentences
        return torch.arange(begin, len(self.sentences))[:, None]


def reading():
    model = Reading()
    return model, ClipColors(model, lambda crop: torch.from_numpy(np.array(crop)).permute(2, 0, 1) / 255, model.tokens)


def test_outside_the_mask_is_grey_and_outside_the_box_is_nothing():
    image = Image.new("RGB", (10, 8), (200, 0, 0))
    mask = np.zeros((8, 10), dtype=bool)
    mask[2:5, 3:6] = True
    mask[2, 3] = False
    crop = cut_out(image, mask, [3.0, 2.0, 7.0, 5.0], "cup")
    pixels = np.asarray(crop.image)
    assert (crop.name, crop.image.size) == ("cup", (4, 3))
    assert tuple(pixels[0, 0]) == GREY
    assert (pixels[1:, :3] == (200, 0, 0)).all()
    assert (pixels[:, 3] == GREY).all()


def test_the_colour_is_that_of_the_nearest_sentence():
    _, colors = reading()
    names = list(PAINT)
    crops = [Crop(Image.new("RGB", (4, 4), PAINT[name]), "cup") for name in names]
    assert colors.classify(crops) == names
    assert colors.classify([]) == []


def test_each_class_has_its_thirty_sentences_once():
    model, colors = reading()
    crop = Image.new("RGB", (4, 4), PAINT["red"])
    colors.classify([Crop(crop, "cup"), Crop(crop, "teddy bear"), Crop(crop, "cup")])
    colors.classify([Crop(crop, "teddy bear")])
    assert len(model.sentences) == 60
    for name in ("cup", "teddy bear"):
        for color in COLORS:
            assert f"a photo of a {color} {name}" in model.sentences
            assert f"a photo of a {color}-colored {name}" in model.sentences
    assert model.sentences.count("a photo of a purple object") == 2
    assert COLORS == ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")


def test_all_crops_share_batches():
    model, colors = reading()
    names = [list(PAINT)[k % len(PAINT)] for k in range(BATCH + 3)]
    crops = [Crop(Image.new("RGB", (4, 4), PAINT[name]), "cup" if k % 2 else "bus") for k, name in enumerate(names)]
    assert colors.classify(crops) == names
    assert model.sizes == [BATCH, 3]


@pytest.fixture(scope="module")
def small_clip():
    """open_clip's own architecture, transform and tokenizer with random weights."""
    open_clip = pytest.importorskip("open_clip")
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("small clip"))
        model = open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text, quick_gelu=True).eval()
    transform = open_clip.image_transform(32, is_train=False)
    return model, transform, open_clip.get_tokenizer("ViT-L-14")


def test_with_open_clip_it_is_the_classifier_of_the_definition(small_clip):
    """Averaged unit vectors of three sentences, normalised again; the largest cosine."""
    model, transform, tokenizer = small_clip
    rng = np.random.default_rng(derive_seed("crops"))
    sizes = [(20, 30), (64, 64), (3, 50), (100, 7), (33, 32), (1, 1)] * 3
    images = [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]
    crops = [Crop(image, name) for image, name in zip(images, ["cup", "bus", "tv remote"] * 6, strict=True)]

    def vector(color, name):
        sentences = [f"a photo of a {color}{rest}" for rest in (f" {name}", f"-colored {name}", " object")]
        return normalize(normalize(model.encode_text(tokenizer(sentences)), dim=-1).mean(0), dim=0)

    wanted = []
    with torch.inference_mode():
        for crop in crops:
            seen = normalize(model.encode_image(transform(crop.image)[None])[0], dim=0)
            cosines = [float(seen @ vector(color, crop.name)) for color in COLORS]
            wanted.append(COLORS[int(np.argmax(cosines))])
    assert len(set(wanted)) > 1
    assert ClipColors(model, transform, tokenizer).classify(crops) == wanted


def test_weights_that_cannot_be_had_are_one_line(monkeypatch):
    open_clip = pytest.importorskip("open_clip")

    def create(name, pretrained, force_quick_gelu, **_):
        assert (name, pretrained, force_quick_gelu) == ("ViT-L-14", "openai", True)
        raise RuntimeError("no network\nat all")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", create)
    with pytest.raises(HermesError, match=r"colour classifier cannot be loaded \(no network\)") as error:
        ClipColors.load("cpu")
    assert "\n" not in str(error.value)
