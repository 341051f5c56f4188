"""The network against transformers' own BERT and CLIP with the same weights, and its shortcuts against the long way."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mplug_made import BERT, QUESTIONS, SETTINGS, VOCABULARY, H, W, picture, published_weights, write_checkpoint
from torch import Tensor
from transformers import BertConfig, BertLMHeadModel, BertModel, CLIPVisionConfig, CLIPVisionModel

from hermes.harness.judges.mplug.bert import Layer
from hermes.harness.judges.mplug.config import read_config
from hermes.harness.judges.mplug.fusion import ImageStates
from hermes.harness.judges.mplug.load import load_model
from hermes.harness.judges.mplug.model import MPlug
from hermes.harness.judges.mplug.preprocess import pixels, tokens
from hermes.harness.judges.mplug.tokenizer import QuestionTokenizer

CLIP_NAMES = {
    "conv1": "embeddings.patch_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "class_embedding": "embeddings.class_embedding",
    "ln_pre": "pre_layrnorm",
    "ln_post": "post_layernorm",
    "transformer.resblocks": "encoder.layers",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


@pytest.fixture(autouse=True)
def _no_gradients() -> Any:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("mplug"))


def load(folder: Path, **changes: Any) -> MPlug:
    return load_model(folder / "model.safetensors", read_config(folder).model_copy(update=changes), "cpu")


@pytest.fixture(scope="module")
def model(folder: Path) -> MPlug:
    return load(folder)


@pytest.fixture(scope="module")
def asked() -> tuple[Tensor, Tensor]:
    return tokens(QUESTIONS, QuestionTokenizer(VOCABULARY))


def under(prefix: str) -> dict[str, Tensor]:
    weights = published_weights().items()
    return {name.removeprefix(prefix): tensor for name, tensor in weights if name.startswith(prefix)}


def bert_config(layers: int, **more: Any) -> BertConfig:
    kept = {
        key: value
        for key, value in BERT.items()
        if "layers" not in key and key not in ("stride_layer", "encoder_width")
    }
    return BertConfig(**kept, num_hidden_layers=layers, attn_implementation="eager", **more)


def clip() -> Any:
    """transformers' CLIP vision model with the published weights under its own names."""
    config = CLIPVisionConfig(
        hidden_size=W, intermediate_size=4 * W, num_hidden_layers=2, num_attention_heads=1, image_size=42, patch_size=14
    )
    theirs = CLIPVisionModel(config).eval()
    state: dict[str, Tensor] = {}
    for name, tensor in under("visual_encoder.visual.").items():
        for ours, other in CLIP_NAMES.items():
            name = name.replace(ours, other)
        if "attn.in_proj" in name:
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                state[name.replace("attn.in_proj_", f"self_attn.{part}_proj.")] = rows
        else:
            state[name] = tensor
    wanted = theirs.state_dict()
    prefix = "vision_model." if any(name.startswith("vision_model.") for name in wanted) else ""
    missing = theirs.load_state_dict({prefix + name: tensor for name, tensor in state.items()}, strict=False)
    assert [name for name in missing.missing_keys if "position_ids" not in name] == []
    return theirs


def test_vision_equals_clip(model: MPlug) -> None:
    seen = pixels([picture(0), picture(1)], 42)
    theirs = clip()
    body = getattr(theirs, "vision_model", theirs)
    wanted = body.post_layernorm(body(seen).last_hidden_state)
    torch.testing.assert_close(model.visual_encoder(seen), wanted, atol=2e-5, rtol=1e-5)
    adapted = torch.nn.functional.linear(wanted, model.visn_fc.weight, model.visn_fc.bias)
    weight, bias = model.visn_layer_norm.weight, model.visn_layer_norm.bias
    wanted = torch.nn.functional.layer_norm(adapted, (H,), weight, bias, 1e-12)
    torch.testing.assert_close(model.see(seen), wanted, atol=2e-5, rtol=1e-5)


def test_text_encoder_equals_bert(model: MPlug, asked: tuple[Tensor, Tensor]) -> None:
    ids, mask = asked
    theirs = BertModel(bert_config(2), add_pooling_layer=False).eval()
    assert not theirs.load_state_dict(under("text_encoder."), strict=False).missing_keys
    wanted = theirs(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(model.text_encoder(ids, mask)[mask], wanted[mask], atol=2e-5, rtol=1e-5)


def decoder() -> Any:
    theirs = BertLMHeadModel(
        bert_config(2, is_decoder=True, add_cross_attention=True, tie_word_embeddings=False)
    ).eval()
    assert not theirs.load_state_dict(under("text_decoder."), strict=False).missing_keys
    return theirs


def memory_of(model: MPlug, asked: tuple[Tensor, Tensor]) -> tuple[ImageStates, Tensor, Tensor]:
    """Image and text states for all questions about one picture, before the decoder looks at them."""
    ids, mask = asked
    image = ImageStates(model.see(pixels([picture(0)], 42)), torch.zeros(len(ids), dtype=torch.long))
    return (*model.fusion_encoder(image, model.text_encoder(ids, mask), mask), mask)


def test_decoder_equals_bert_with_cross_attention(model: MPlug, asked: tuple[Tensor, Tensor]) -> None:
    image, text, mask = memory_of(model, asked)
    ids = torch.randint(len(VOCABULARY), (len(mask), 6), generator=torch.Generator().manual_seed(0))
    memory = torch.cat([image.rows(), text], 1)
    seen = torch.cat([torch.ones(memory.shape[0], memory.shape[1] - 25), mask], 1).long()
    wanted = decoder()(input_ids=ids, encoder_hidden_states=memory, encoder_attention_mask=seen, use_cache=False).logits
    found = model.text_decoder(ids, model.text_decoder.remember(image, text, mask))
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("stride", [1, 2, 3, 100])
def test_fusion_follows_the_paper_layer_by_layer(folder: Path, asked: tuple[Tensor, Tensor], stride: int) -> None:
    """Ordinary layers are BERT decoder layers without a causal mask; a connected one sees image and text as one."""
    ids, mask = asked
    model = load(folder, stride_layer=stride)
    text = model.text_encoder(ids, mask)
    image = model.see(pixels([picture(0)], 42)).expand(len(ids), -1, -1)
    config = model.config
    wanted_image, wanted = image.clone(), text.clone()
    for place, number in enumerate(range(1, 5)):
        layer = Layer(config, cross=True)
        layer.load_state_dict(under(f"fusion_encoder.encoder.layer.{number}."))
        if place and place % stride == 0:
            both = torch.cat([wanted_image, wanted], 1)
            everything = torch.cat([torch.ones(image.shape[:2], dtype=torch.bool), mask], 1)[:, None, None]
            both = layer(both, layer.attention.project(both), everything)
            wanted_image, wanted = wanted_image + both[:, : image.shape[1]], both[:, image.shape[1] :]
        else:
            other = layer.crossattention.project(wanted_image)
            wanted = layer(wanted, layer.attention.project(wanted), mask[:, None, None], other)
    shared = ImageStates(image[:1].clone(), torch.zeros(len(ids), dtype=torch.long))
    before = shared.states.clone()
    found_image, found = model.fusion_encoder(shared, text, mask)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found_image.rows(), wanted_image, atol=1e-4, rtol=1e-4)
    assert torch.equal(shared.states, before), "the image's states serve other questions too"
    assert torch.equal(wanted_image, image) == (stride > 3)


def test_a_memory_of_steps_equals_the_whole_prefix(model: MPlug, asked: tuple[Tensor, Tensor]) -> None:
    """Two beams a question; a beam may go on from the other one."""
    image, text, mask = memory_of(model, asked)
    ids = torch.randint(len(VOCABULARY), (2 * len(mask), 5), generator=torch.Generator().manual_seed(1))
    kept = model.text_decoder.remember(image, text, mask)
    model.text_decoder(ids[:, :2], kept)
    swapped = torch.arange(len(ids)).view(-1, 2).flip(1).flatten()
    kept.follow(swapped)
    stepped = [model.text_decoder(ids[:, 2:4], kept)[:, -1], model.text_decoder(ids[:, 4:], kept)[:, -1]]
    whole = torch.cat([ids[swapped, :2], ids[:, 2:]], 1)
    wanted = model.text_decoder(whole, model.text_decoder.remember(image, text, mask))
    torch.testing.assert_close(torch.stack(stepped, 1), wanted[:, 3:], atol=2e-5, rtol=1e-5)


def test_padding_is_never_looked_at(model: MPlug, asked: tuple[Tensor, Tensor]) -> None:
    ids, mask = asked
    other = torch.where(mask, ids, VOCABULARY.index("dog"))
    image = ImageStates(model.see(pixels([picture(0)], 42)), torch.zeros(len(ids), dtype=torch.long))
    assert not torch.equal(ids, other)
    assert model(image, ids, mask) == model(image, other, mask)


def test_sizes_come_from_the_settings(model: MPlug) -> None:
    assert len(model.visual_encoder.visual.transformer.resblocks) == SETTINGS["clip_vision_layers"]
    assert [number for number, _ in model.fusion_encoder.encoder.numbered()] == [1, 2, 3, 4]
