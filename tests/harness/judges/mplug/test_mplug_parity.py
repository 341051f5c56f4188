"""Every stage and every search of modelscope's own classes on a golden checkpoint, where that is at hand."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from hermes.harness.judges.mplug.config import read_config
from hermes.harness.judges.mplug.fusion import ImageStates
from hermes.harness.judges.mplug.judge import MPlugJudge
from hermes.harness.judges.mplug.load import load_model
from hermes.harness.judges.mplug.model import MPlug
from hermes.harness.judges.mplug.preprocess import pixels, tokens
from hermes.harness.judges.mplug.search import Hypothesis
from hermes.harness.judges.mplug.tokenizer import QuestionTokenizer

GOLDEN = Path(__file__).parents[5] / "shared/parity/mplug"
SETTINGS = ("stride_layer", "beam_size", "min_length", "max_length")
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden mPLUG data is not here")


class Golden:
    """The golden files, and the same things as Hermes makes them, all pictures and questions in one batch."""

    def __init__(self) -> None:
        self.folder = GOLDEN / "model"
        content = json.loads((GOLDEN / "cases.json").read_text(encoding="utf-8"))
        self.cases: list[dict[str, Any]] = content["cases"]
        self.questions: list[str] = content["questions"]
        self.tokens: list[list[str]] = content["tokens"]
        self.defaults: dict[str, int] = content["defaults"]
        self.tensors = load_file(GOLDEN / "tensors.safetensors")
        self.images = [Image.open(GOLDEN / path) for path in content["images"]]
        self.config = read_config(self.folder)
        self.tokenizer = QuestionTokenizer.read(self.folder / "vocab.txt")
        self.ids, self.mask = tokens(self.questions, self.tokenizer)
        self.models: dict[int, MPlug] = {}
        self.states = self.model().see(pixels(self.images, self.config.image_res))
        self.pairs = [(case["image"], case["question"]) for case in self.cases]
        self.asked = torch.tensor([question for _, question in self.pairs])

    def model(self, **changes: int) -> MPlug:
        """The golden checkpoint, with other settings; only the stride needs other modules."""
        config = self.config.model_copy(update=changes)
        if config.stride_layer not in self.models:
            self.models[config.stride_layer] = load_model(self.folder / "model.safetensors", config, "cpu")
        model = self.models[config.stride_layer]
        model.config = config
        return model

    @property
    def image_states(self) -> ImageStates:
        return ImageStates(self.states, torch.tensor([image for image, _ in self.pairs]))

    def fused(self, model: MPlug) -> tuple[ImageStates, Tensor]:
        text = model.text_encoder(self.ids, self.mask)
        return model.fusion_encoder(self.image_states, text[self.asked], self.mask[self.asked])

    def search(self, **changes: int) -> list[list[Hypothesis]]:
        return self.model(**changes)(self.image_states, self.ids[self.asked], self.mask[self.asked])

    def row(self, name: str) -> int:
        """The row of a tensor named i{image}q{question}."""
        image, question = name.removeprefix("i").split("q")
        return self.pairs.index((int(image), int(question)))


@pytest.fixture(autouse=True, scope="module")
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def golden(_no_gradients: None) -> Golden:
    return Golden()


def outputs(modules: list[Any], call: Any) -> list[Tensor]:
    """What each module gives while ``call()`` runs."""
    found: list[Tensor] = []
    hooks = [module.register_forward_hook(lambda _, __, output: found.append(output)) for module in modules]
    call()
    for hook in hooks:
        hook.remove()
    return found


def close(found: Tensor, wanted: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=0)


def same_search(golden: Golden, found: list[Hypothesis], wanted: dict[str, Any]) -> None:
    assert [list(one.ids) for one in found] == wanted["n_best_ids"]
    assert [one.score for one in found] == pytest.approx(wanted["n_best_scores"], abs=5e-3)
    assert golden.tokenizer.decode(found[0].ids) == wanted["text"]


def test_questions(golden: Golden) -> None:
    for number, row in enumerate(golden.ids):
        assert torch.equal(row, golden.tensors[f"q{number}.input_ids"])
        assert torch.equal(golden.mask[number].long(), golden.tensors[f"q{number}.attention_mask"])
        assert [golden.tokenizer.tokens[token] for token in row] == golden.tokens[number]


def test_pixels(golden: Golden) -> None:
    found = pixels(golden.images, golden.config.image_res)
    for number, image in enumerate(found):
        assert torch.equal(image, golden.tensors[f"img{number}.pixel_values"])


def test_vision(golden: Golden) -> None:
    model, seen = golden.model(), pixels(golden.images, golden.config.image_res)
    blocks = list(model.visual_encoder.visual.transformer.resblocks)
    *layers, last = outputs([*blocks, model.visual_encoder.visual.ln_post], lambda: model.see(seen))
    for number in range(len(golden.images)):
        name = f"img{number}.vision"
        close(torch.stack([layer[number] for layer in layers]), golden.tensors[f"{name}_layers"], 2e-5)
        close(last[number], golden.tensors[f"{name}_ln_post"], 2e-5)
        close(golden.states[number], golden.tensors[f"{name}_projected"], 2e-5)


def test_text(golden: Golden) -> None:
    encoder = golden.model().text_encoder
    modules = [encoder.embeddings, *(layer for _, layer in encoder.encoder.numbered())]
    first, *layers = outputs(modules, lambda: encoder(golden.ids, golden.mask))
    for number in range(len(golden.questions)):
        close(first[number], golden.tensors[f"q{number}.text_embeddings"], 2e-5)
        close(torch.stack([layer[number] for layer in layers]), golden.tensors[f"q{number}.text_layers"], 2e-5)
        close(layers[-1][number], golden.tensors[f"q{number}.text_encoder_out"], 2e-5)


def test_fusion(golden: Golden) -> None:
    image, text = golden.fused(golden.model())
    for row, (picture, question) in enumerate(golden.pairs):
        close(image.rows()[row], golden.tensors[f"i{picture}q{question}.fusion_image_out"], 2e-4)
        close(text[row], golden.tensors[f"i{picture}q{question}.fusion_text_out"], 2e-4)


def test_fusion_layer_by_layer(golden: Golden) -> None:
    model = golden.model()
    layers = outputs([layer for _, layer in model.fusion_encoder.encoder.numbered()], lambda: golden.fused(model))
    names = [name for name in golden.tensors if ".fusion_layer" in name]
    assert names
    for name in names:
        pair, stage = name.split(".")
        number = int(stage.removeprefix("fusion_layer").removesuffix("_out"))
        close(layers[number][golden.row(pair)], golden.tensors[name], 2e-4)


def test_fusion_with_other_strides(golden: Golden) -> None:
    names = [name for name in golden.tensors if ".stride" in name]
    assert names
    for name in names:
        pair, stride, stage = name.split(".")
        image, text = golden.fused(golden.model(stride_layer=int(stride.removeprefix("stride"))))
        found = image.rows() if "image" in stage else text
        close(found[golden.row(pair)], golden.tensors[name], 2e-4)


def test_logits_of_the_best_answer(golden: Golden) -> None:
    model = golden.model()
    for case, (picture, question) in zip(golden.cases, golden.pairs, strict=True):
        image = ImageStates(golden.states[picture][None], torch.tensor([0]))
        memory = model.read(image, golden.ids[question][None], golden.mask[question][None])
        found = model.text_decoder(torch.tensor([case["n_best_ids"][0][:-1]]), memory)
        close(found[0], golden.tensors[f"i{picture}q{question}.decoder_logits"], 2e-3)


def test_logits_of_the_first_steps_of_the_search(golden: Golden) -> None:
    model = golden.model()
    names = [name.removesuffix(".alive_ids") for name in golden.tensors if name.endswith(".alive_ids")]
    assert names
    for name in names:
        row = golden.row(name.split(".")[0])
        picture, question = golden.pairs[row]
        image = ImageStates(golden.states[picture][None], torch.tensor([0]))
        memory = model.read(image, golden.ids[question][None], golden.mask[question][None])
        found = model.text_decoder(golden.tensors[f"{name}.alive_ids"], memory)
        close(found[:, -1], golden.tensors[f"{name}.logits"], 2e-3)


def test_searches(golden: Golden) -> None:
    assert {name: getattr(golden.config, name) for name in SETTINGS} == golden.defaults
    for found, case in zip(golden.search(), golden.cases, strict=True):
        same_search(golden, found, case)


def test_searches_with_other_settings(golden: Golden) -> None:
    variants: dict[tuple[int, ...], list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for row, case in enumerate(golden.cases):
        for variant in case["variants"]:
            variants[tuple(variant[name] for name in SETTINGS)].append((row, variant))
    assert len(variants) > 1
    for settings, wanted in variants.items():
        found = golden.search(**dict(zip(SETTINGS, settings, strict=True)))
        for row, variant in wanted:
            same_search(golden, found[row], variant)


def test_the_judge_says_the_same(golden: Golden) -> None:
    judge = MPlugJudge.load(str(golden.folder), "cpu")
    images = [golden.images[picture] for picture, _ in golden.pairs]
    answers = judge.answer(images, [golden.questions[question] for _, question in golden.pairs])
    assert answers == [case["text"] for case in golden.cases]
    assert [float(answer == "yes") for answer in answers] == [case["judge_yes"] for case in golden.cases]
