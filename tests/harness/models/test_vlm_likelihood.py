"""Texts under chat models of transformers: transformers' own loss, the chat's marks, training, layouts, refusals."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hermes.align.losses.likelihoods import TrainPair
from hermes.align.settings import TrainSettings
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.chameleon import Chameleon
from hermes.harness.models.vlm.adapter import HFModel
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError

pytest.importorskip("torchvision")

import tiny_vlms
import torch
import transformers
from torch import Tensor

from hermes.harness.models.vlm.likelihood import Reply

MARKS = {"llava": "<image> ", "qwen2_vl": "<|vision_start|><|image_pad|><|vision_end|> "}
ASKED = {"Is there a dog?": "Yes", "a": "", "Is there a red cat, or two blue?": "two red cat . Is there a dog"}
SETTINGS = TrainSettings(lr=1e-3, epochs=2, batch_size=8, replay=0.5, replay_batch=2, bf16=False)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("vlm")
    return {name: getattr(tiny_vlms, name)(root / name) for name in ("llava", "qwen2_vl", "blip_vqa")}


def load(folder: Path) -> HFModel:
    return HFModel.load(f"hf:{folder}", "cpu")


def pictures(count: int) -> list[ImageHandle]:
    rng = np.random.default_rng(0)
    shapes = ((20 + 4 * n, 30, 3) for n in range(count))
    return [ImageHandle(Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))) for shape in shapes]


def items() -> list[LikelihoodItem]:
    shown = zip(ASKED.items(), pictures(len(ASKED)), strict=True)
    return [LikelihoodItem("text", prompt, image, text) for (prompt, text), image in shown]


def scored(model: HFModel, asked: Sequence[LikelihoodItem]) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor] = model.module(model.collate(model.prepare(asked)))
    return found


@torch.no_grad()
def by_transformers(folder: Path, item: LikelihoodItem) -> tuple[float, int]:
    """The summed log-probability of the text and the end token by the network's own loss, and how many they are."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    network = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    asked = f"user : {MARKS[folder.name]}{item.prompt} assistant :"
    inputs = processor(images=[item.image.open()], text=asked, return_tensors="pt")
    begun = inputs["input_ids"].shape[1]
    told = processor.tokenizer(item.text, add_special_tokens=False)["input_ids"] + [processor.tokenizer.eos_token_id]
    for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
        if name in inputs:
            more = {"input_ids": torch.tensor([told]), "attention_mask": torch.ones(1, len(told), dtype=torch.long)}
            zeros = torch.zeros(1, len(told), dtype=torch.long)
            inputs[name] = torch.cat([inputs[name], more.get(name, zeros)], 1)
    labels = inputs["input_ids"].clone()
    labels[:, :begun] = -100
    return -float(network(**inputs, labels=labels).loss) * len(told), len(told)


@pytest.mark.parametrize("kind", MARKS)
def test_the_likelihood_is_that_of_the_text_and_its_end(kind: str, folders: dict[str, Path]) -> None:
    model, asked = load(folders[kind]), items()
    log_probs, counts = scored(model, asked)
    expected = [by_transformers(folders[kind], item) for item in asked]
    assert log_probs.tolist() == pytest.approx([value for value, _ in expected], rel=1e-5)
    assert counts.tolist() == [count for _, count in expected]
    alone = [scored(model, [item])[0].item() for item in asked]
    assert log_probs.tolist() == pytest.approx(alone, rel=1e-5)
    (ready,) = model.prepare(asked[:1])
    assert model.with_seed(ready, 5) is ready
    with pytest.raises(HermesError, match="draws no images"):
        model.prepare([LikelihoodItem("image", "a", asked[0].image)])


def test_a_reply_begins_and_ends_as_the_chat_template_writes_it(folders: dict[str, Path]) -> None:
    vlm = load(folders["llava"])._model
    turns = "{% for one in messages %}{{ one.role }} : {{ one.content[-1].text }}END\n{% endfor %}"
    begun = "{% if add_generation_prompt %}assistant :{% endif %}"
    vlm.processor.chat_template = turns.replace("END", "") + begun
    assert Reply.of(vlm) == (" ", 2)  # Nothing is written behind a reply, so its end is the tokenizer's.
    vlm.processor.chat_template = turns.replace("END", " <unk>") + begun
    vlm.module.generation_config.eos_token_id = [2, 3]
    assert Reply.of(vlm) == (" ", 3)
    for other in ("{{ raise_exception('no') }}", "{{ messages[-1].role }}"):
        vlm.processor.chat_template = other
        assert Reply.of(vlm) == ("", 2)


def pairs(count: int = 8) -> list[TrainPair]:
    texts = [tuple(ASKED.values())[k % 3] for k in range(count)]
    return [
        TrainPair(
            f"item-{k}",
            (LikelihoodItem("text", "a", image, f"{text} red"), LikelihoodItem("text", "a", image, f"blue {text}")),
            None,
        )
        for k, (text, image) in enumerate(zip(texts, pictures(count), strict=True))
    ]


def test_training_moves_the_language_model_alone_and_is_read_again(folders: dict[str, Path], tmp_path: Path) -> None:
    kind = "qwen2_vl"
    models = [load(folders[kind]) for _ in range(3)]
    start, whole, single = (model.network.state_dict() for model in models)
    report = train(models[1], pairs(), items(), SETTINGS, tmp_path / "whole")
    assert report.agree_und == 1.0
    changes = {"micro_batch": 1, "checkpointing": True}
    train(models[2], pairs(), items(), SETTINGS.model_copy(update=changes), tmp_path / "single")
    for name, value in whole.items():
        torch.testing.assert_close(single[name], value, rtol=1e-4, atol=1e-4)
    moved = {name for name in whole if not torch.equal(whole[name], start[name])}
    assert {".".join(name.split(".")[:2]) for name in moved} == {"model.language_model", "lm_head.weight"}
    models[1].save(tmp_path / "saved")
    again = load(tmp_path / "saved")
    torch.testing.assert_close(scored(again, items())[0], scored(models[1], items())[0])
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert names >= {path.name for path in folders[kind].iterdir()}


def test_an_adapter_is_read_as_any_other(folders: dict[str, Path], tmp_path: Path) -> None:
    model = load(folders["llava"])
    settings = SETTINGS.model_copy(update={"lora_rank": 2, "replay": 0.0, "lr": 1e-2})
    train(model, pairs(2), [], settings, tmp_path)
    options = LoadOptions(adapter=str(tmp_path / "adapter"))
    read = HFModel.load(f"hf:{folders['llava']}", "cpu", options)
    torch.testing.assert_close(scored(read, items())[0], scored(model, items())[0], rtol=1e-4, atol=1e-4)


def test_what_cannot_be_trained_is_refused_by_its_settings(folders: dict[str, Path], tmp_path: Path) -> None:
    HFModel.refuse_untrainable(f"hf:{folders['llava']}")
    with pytest.raises(HermesError, match=r"blip_vqa answers from a decoder of its own and cannot be trained"):
        HFModel.refuse_untrainable(f"hf:{folders['blip_vqa']}")
    config = json.loads((folders["llava"] / "config.json").read_text())
    shutil.copytree(folders["llava"], tmp_path / "both")
    (tmp_path / "both" / "config.json").write_text(json.dumps(config | {"is_encoder_decoder": True}))
    with pytest.raises(HermesError, match="decoder of its own"):
        HFModel.refuse_untrainable(f"hf:{tmp_path / 'both'}")
    assert not Chameleon.alignable
