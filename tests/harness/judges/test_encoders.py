"""The judge of similarity: cosines of tiny encoders that transformers reads, and the facts of the drawn world."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from hermes.harness.judges.encoders import SimilarityJudge
from hermes.harness.system.errors import HermesError
from hermes.shapes.twins.homologous import rows

RED, BLUE = Image.new("RGB", (20, 20), "red"), Image.new("RGB", (20, 20), "blue")
SIZE = {"height": 16, "width": 16}


def unit(vector: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vector, dim=-1)


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8
    )
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessor(size=SIZE).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = CLIPConfig(
        text_config={**small, "vocab_size": 99},
        vision_config={**small, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    words = ["<|startoftext|>", "<|endoftext|>", "a</w>", "red</w>", "cup</w>"]
    tokenizer = CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])
    pictures = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=SIZE)
    CLIPProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def test_two_pictures_have_the_cosine_of_their_first_vectors(vit: Path) -> None:
    judge = SimilarityJudge.load(f"image={vit}", "cpu")
    same, other = judge.liken([(RED, RED), (RED, BLUE)])
    assert same == {str(vit): pytest.approx(1.0)}
    model, processor = ViTModel.from_pretrained(vit).eval(), ViTImageProcessor.from_pretrained(vit)
    with torch.inference_mode():
        first, second = unit(model(**processor([RED, BLUE], return_tensors="pt")).last_hidden_state[:, 0])
    assert other[str(vit)] == pytest.approx(float((first * second).sum()), abs=1e-6)


def test_an_image_encoder_that_is_clip_has_clips_own_features(vit: Path, clip: Path) -> None:
    judge = SimilarityJudge.load(f"image={clip}+{vit}", "cpu")
    (found,) = judge.liken([(RED, BLUE)])
    assert set(found) == {str(vit), str(clip)}
    model, processor = CLIPModel.from_pretrained(clip).eval(), CLIPImageProcessor.from_pretrained(clip)
    with torch.inference_mode():
        told = model.get_image_features(**processor([RED, BLUE], return_tensors="pt"))
    first, second = unit(getattr(told, "pooler_output", told))
    assert found[str(clip)] == pytest.approx(float((first * second).sum()), abs=1e-6)


def test_a_text_and_a_picture_meet_in_clip(clip: Path) -> None:
    judge = SimilarityJudge.load(f"clip={clip}", "cpu")
    forth, back = judge.liken([("a cup", RED), (RED, "a cup")])
    assert forth == back
    model, processor = CLIPModel.from_pretrained(clip).eval(), CLIPProcessor.from_pretrained(clip)
    with torch.inference_mode():
        told = model(**processor(text=["a cup"], images=[RED], return_tensors="pt"))
    assert forth[str(clip)] == pytest.approx(float((unit(told.text_embeds) * unit(told.image_embeds)).sum()), abs=1e-6)


def test_two_texts_go_to_the_encoder_of_texts() -> None:
    same, other = SimilarityJudge.load("text=facts", "cpu").liken([("a red cup", "a red cup"), ("a red cup", "a dog")])
    assert (same, other) == ({"facts": 1.0}, {"facts": 0.0})


def test_facts_of_the_drawn_world_are_read_from_pictures() -> None:
    first, second = rows("test", 0)[:2]
    judge = SimilarityJudge.load("facts", "cpu")
    pairs = [(first["image"], first["image"]), (first["image"], first["caption"]), (first["image"], second["image"])]
    same, told, other = (one["facts"] for one in judge.liken(pairs))
    assert (same, told) == (1.0, pytest.approx(1.0, abs=0.4))
    assert other < told
    empty = Image.new("RGB", (48, 48), (158, 162, 166))
    assert judge.liken([(empty, first["image"]), (empty, empty)]) == [{"facts": 0.0}, {"facts": 1.0}]


@pytest.mark.parametrize("argument", ["facts,clip=x", "video=x", "clip=", "text=nobody"])
def test_encoders_that_cannot_be_are_refused_before_anything_is_loaded(argument: str) -> None:
    with pytest.raises(HermesError, match="similarity"):
        SimilarityJudge.check(argument)


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="cannot be loaded"):
        SimilarityJudge.load(f"image={tmp_path}", "cpu").liken([(RED, BLUE)])


def test_what_it_is_known_by_names_its_encoders(vit: Path) -> None:
    assert SimilarityJudge.load("facts", "cpu").identity == "similarity-facts=facts-1"
    assert f"image={vit}" in SimilarityJudge.load(f"image={vit}", "cpu").identity
