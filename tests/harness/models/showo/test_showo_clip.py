"""The CLIP variants of Show-o on a small checkpoint in the published layout, against transformers' Phi and CLIP."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_showo import make_checkpoint
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import CLIPConfig, CLIPModel, PhiConfig, PhiForCausalLM

from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.showo.adapter import ShowO
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.system.errors import HermesError

SIDE, FEATURES, WIDTH, CLIP_WIDTH = 28, 4, 32, 16
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PICTURES = [
    Image.linear_gradient("L").convert("RGB"),
    Image.merge("RGB", [Image.radial_gradient("L").resize((50, 41)).rotate(turn) for turn in (0, 90, 180)]),
]
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the user's questions."
)
QUESTIONS = [("is it day?", 0), ("what is in the image, and how many boats sit there?", 1), ("a cat?", 1)]


def write_clip(folder: Path, width: int = CLIP_WIDTH) -> None:
    """A whole CLIP, as on the hub, with the preprocessing file of its time."""
    vision = {"hidden_size": width, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"vocab_size": 9, "bos_token_id": 7, "eos_token_id": 8, "max_position_embeddings": 8}
    torch.manual_seed(5)
    sizes = {"image_size": SIDE, "patch_size": 14, "initializer_range": 2.0}
    network = CLIPModel(CLIPConfig(text_config=text | ends, vision_config=vision | sizes, projection_dim=8))
    network.save_pretrained(folder)
    settings = {"crop_size": SIDE, "size": SIDE, "resample": 3, "image_mean": MEAN, "image_std": STD}
    flags = dict.fromkeys(("do_center_crop", "do_normalize", "do_resize"), True)
    kind = {"feature_extractor_type": "CLIPFeatureExtractor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | flags | kind))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_checkpoint(tmp_path_factory.mktemp("showo_clip"))
    config = json.loads((made / "config.json").read_text())
    (made / "config.json").write_text(json.dumps(config | {"w_clip_vit": True}))
    state, draw = load_file(made / "pytorch_model.safetensors"), torch.Generator().manual_seed(9)
    # Words are likelier than all other tokens, so that answers can be told apart.
    state["showo.lm_head.bias"][config["llm_vocab_size"] :] -= 30
    # Attention is sharp and counts, so that the image matters.
    for name in state:
        if name.endswith(("q_layernorm.weight", "v_proj.weight")):
            state[name] *= 4
    shapes = {"0.weight": (WIDTH, CLIP_WIDTH), "0.bias": (WIDTH,), "2.weight": (WIDTH, WIDTH), "2.bias": (WIDTH,)}
    for name, shape in shapes.items():
        state[f"mm_projector.{name}"] = torch.randn(shape, generator=draw) * 0.3
    save_file(state, made / "pytorch_model.safetensors")
    write_clip(made / "clip")
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> ShowO:
    return ShowO.load(f"showo:{folder}", "cpu")


def question(text: str, picture: int, seed: int = 0, **config: object) -> Request:
    images = (ImageHandle(PICTURES[picture]),)
    return Request(sample_id=text, index=0, prompt=text, images=images, config=GenerationConfig(**config), seed=seed)


class Reference:
    """The published way: embeddings joined by hand, an additive mask, and everything computed anew for every token."""

    def __init__(self, folder: Path, model: ShowO) -> None:
        state, config = (
            load_file(folder / "pytorch_model.safetensors"),
            json.loads((folder / "config.json").read_text()),
        )
        self.encode, self.words = model.text.encode, config["llm_vocab_size"]
        self.state = {name.removeprefix("showo."): tensor for name, tensor in state.items()}
        settings = json.loads((folder / "phi_config" / "config.json").read_text())
        phi = PhiConfig(**settings | {"vocab_size": config["vocab_size"], "qk_layernorm": True})
        self.network = PhiForCausalLM(phi).eval()
        own = {name: tensor for name, tensor in self.state.items() if not name.startswith("mm_projector.")}
        self.network.load_state_dict(own)
        self.clip = CLIPModel.from_pretrained(folder / "clip").eval()

    def features(self, picture: Image.Image) -> Tensor:
        """(1, FEATURES, WIDTH), without transformers' image processor."""
        shorter = min(picture.size)
        resized = picture.resize([SIDE * side // shorter for side in picture.size], Image.Resampling.BICUBIC)
        left, top = ((side - SIDE) // 2 for side in resized.size)
        cut = np.asarray(resized.crop((left, top, left + SIDE, top + SIDE)), np.float64) / 255
        pixels = torch.tensor(((cut - MEAN) / STD).transpose(2, 0, 1)[None], dtype=torch.float32)
        states = self.clip.vision_model(pixels, output_hidden_states=True).hidden_states
        assert len(states) == 4
        first, second = ((self.state[f"mm_projector.{n}.weight"], self.state[f"mm_projector.{n}.bias"]) for n in (0, 2))
        return F.linear(F.gelu(F.linear(states[2][:, 1:], *first)), *second)

    def begin(self, asked: str, picture: Image.Image) -> tuple[Tensor, Tensor]:
        """Embeddings (1, L, WIDTH) and additive mask (L, L) of an understanding prompt."""
        pad = self.words
        soi, eoi, mmu = pad + 1, pad + 2, pad + 6
        before = [mmu, *self.encode(SYSTEM), soi]
        after = [eoi, *self.encode(f"USER: {asked} ASSISTANT:")]
        embed = self.network.get_input_embeddings()
        parts = [embed(torch.tensor([before])), self.features(picture), embed(torch.tensor([after]))]
        joined = torch.cat(parts, 1)
        allowed = torch.ones(joined.shape[1], joined.shape[1]).tril()
        allowed[:, len(before) : len(before) + FEATURES] = 1
        return joined, (1 - allowed) * torch.iinfo(torch.int64).min

    def step(self, joined: Tensor, mask: Tensor, token: int) -> tuple[Tensor, Tensor]:
        """One token more; its row of the mask is the last one's."""
        embed = self.network.get_input_embeddings()(torch.tensor([[token]]))
        wider = F.pad(mask, (0, 1), value=torch.finfo(torch.float32).min)
        return torch.cat([joined, embed], 1), torch.cat([wider, F.pad(mask[-1:], (0, 1))])

    def logits(self, joined: Tensor, mask: Tensor) -> Tensor:
        """(L, V)."""
        return self.network(inputs_embeds=joined, attention_mask=mask[None, None], use_cache=False).logits[0]


@pytest.fixture(scope="module")
def reference(folder: Path, model: ShowO) -> Reference:
    return Reference(folder, model)


@pytest.mark.parametrize(("asked", "picture"), QUESTIONS)
@torch.no_grad()
def test_greedy_answers_are_the_references(asked: str, picture: int, model: ShowO, reference: Reference) -> None:
    joined, mask = reference.begin(asked, PICTURES[picture])
    tokens: list[int] = []
    while len(tokens) < 12:
        best = reference.logits(joined, mask)[-1].topk(2)
        assert best.values[0] - best.values[1] > 1e-3, "a tie says nothing; take other seeds"
        tokens.append(int(best.indices[0]))
        if tokens[-1] == model.text.end:
            break
        joined, mask = reference.step(joined, mask, tokens[-1])
    expected = model.text.decode([token for token in tokens if token != model.text.end]).strip()
    assert len(tokens) == 12
    assert model.understand([question(asked, picture, max_new_tokens=12)]) == [expected]


def test_an_answer_ends_at_the_end_token(folder: Path, tmp_path: Path, model: ShowO) -> None:
    changed = shutil.copytree(folder, tmp_path / "eager")
    state = load_file(changed / "pytorch_model.safetensors")
    state["showo.lm_head.bias"][model.text.end] += 100
    save_file(state, changed / "pytorch_model.safetensors")
    assert ShowO.load(str(changed), "cpu").understand([question("is it day?", 0)]) == [""]


@torch.no_grad()
def test_log_probabilities_of_texts_are_the_references(model: ShowO, reference: Reference) -> None:
    answers = ["a red cat", "night", "two boats, really"]
    items = [
        LikelihoodItem("text", asked, ImageHandle(PICTURES[picture]), answer)
        for (asked, picture), answer in zip(QUESTIONS, answers, strict=True)
    ]
    sums, counts = model.module(model.collate(model.prepare(items)))
    for (asked, picture), answer, found, count in zip(QUESTIONS, answers, sums, counts, strict=True):
        tokens = [*model.text.encode(f" {answer}"), model.text.end]
        joined, mask = reference.begin(asked, PICTURES[picture])
        begin = joined.shape[1] - 1
        for token in tokens:
            joined, mask = reference.step(joined, mask, token)
        told = reference.logits(joined, mask)[begin:-1].log_softmax(-1)
        assert float(found) == pytest.approx(float(told[range(len(tokens)), tokens].sum()), rel=1e-5)
        assert int(count) == len(tokens)


def test_answers_are_those_of_one_request_alone(model: ShowO) -> None:
    requests = [question(asked, picture, max_new_tokens=9 - picture) for asked, picture in QUESTIONS]
    requests += [question("is it day?", 1, max_new_tokens=9)]
    requests += [question("a", 0, seed=seed, max_new_tokens=7, temperature=1.0, top_k=4) for seed in (5, 6)]
    together = model.understand(requests)
    assert together == [model.understand([request])[0] for request in requests]
    assert together == model.understand(requests[::-1])[::-1]
    assert together[0] != together[3], "the picture must matter"
    assert together[4] != together[5]


def test_the_image_comes_in_through_clip_alone(model: ShowO, folder: Path, tmp_path: Path) -> None:
    """Other weights of CLIP, other answers; MAGVITv2 is not asked."""
    changed = shutil.copytree(folder, tmp_path / "changed")
    state = load_file(changed / "clip" / "model.safetensors")
    state["vision_model.encoder.layers.1.mlp.fc2.bias"] += 3 * torch.arange(CLIP_WIDTH)
    save_file(state, changed / "clip" / "model.safetensors", metadata={"format": "pt"})
    other = ShowO.load(str(changed), "cpu")
    request = question("is it day?", 1, max_new_tokens=12)
    assert other.info.fingerprint != model.info.fingerprint
    assert other.understand([request]) != model.understand([request])
    state["vision_model.encoder.layers.2.mlp.fc2.bias"] += 3
    save_file(state, changed / "clip" / "model.safetensors", metadata={"format": "pt"})
    last = ShowO.load(str(changed), "cpu")
    assert last.understand([request]) == other.understand([request]), "the last layer is not looked at"


def test_images_are_drawn_as_without_clip(model: ShowO, folder: Path, tmp_path: Path) -> None:
    plain = shutil.copytree(folder, tmp_path / "plain")
    config = json.loads((plain / "config.json").read_text())
    (plain / "config.json").write_text(json.dumps(config | {"w_clip_vit": False}))
    state = load_file(plain / "pytorch_model.safetensors")
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("mm_projector.")}
    save_file(kept, plain / "pytorch_model.safetensors")
    without = ShowO.load(str(plain), "cpu")
    config = GenerationConfig(steps=3)
    requests = [Request(sample_id=p, index=0, prompt=p, config=config, seed=4) for p in ("a red cat", "two boats")]
    drawn = [[picture.tobytes() for picture in one.generate(requests)] for one in (model, without)]
    assert drawn[0] == drawn[1]
    items = [LikelihoodItem("image", "a red cat", ImageHandle(PICTURES[0]), seed=4)]
    with torch.no_grad():
        sums = [one.module(one.collate(one.prepare(items)))[0] for one in (model, without)]
    assert torch.equal(sums[0], sums[1])


def some_items() -> list[LikelihoodItem]:
    picture, other = (ImageHandle(picture) for picture in PICTURES)
    return [
        LikelihoodItem("text", "what is it?", picture, "a red cat"),
        LikelihoodItem("image", "the night, and it is very long", other, seed=4),
        LikelihoodItem("text", "how many boats sit in the image?", other, "two"),
        LikelihoodItem("text", "what is it?", picture, "night"),
    ]


def test_log_probabilities_of_a_batch_are_those_of_single_items(model: ShowO) -> None:
    prepared = model.prepare(some_items())
    assert prepared[0].pixels is prepared[3].pixels, "equal pictures are kept once"
    with torch.no_grad():
        sums, counts = model.module(model.collate(prepared))
        alone = [model.module(model.collate([item])) for item in prepared]
    torch.testing.assert_close(sums, torch.cat([value for value, _ in alone]), atol=1e-4, rtol=1e-5)
    assert counts.tolist() == [float(count) for _, count in alone]
    assert model.with_seed(prepared[0], 9) is prepared[0]
    assert model.with_seed(prepared[1], 9) is not prepared[1]


def test_gradients_reach_the_projector_and_not_clip(model: ShowO) -> None:
    prepared = model.prepare(some_items())
    projector = dict(model.module.named_parameters(prefix=""))
    names = {"projector.0.weight", "projector.0.bias", "projector.2.weight", "projector.2.bias"}
    assert {name for name in projector if not name.startswith("transformer.")} == names
    for items, moves in ((prepared, True), (prepared[1:2], False)):
        model.module(model.collate(items))[0].sum().backward()
        grads = {name: weight.grad for name, weight in model.module.named_parameters()}
        model.module.zero_grad()
        assert all(grad is not None for grad in grads.values()), "all take part, or processes wait for each other"
        assert all(bool(grads[name].any()) is moves for name in names)


def test_a_saved_model_comes_back(model: ShowO, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    model.save(saved)
    names = set(load_file(saved / "pytorch_model.safetensors"))
    assert {name for name in names if not name.startswith("showo.")} == {
        f"mm_projector.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    }
    assert json.loads((saved / "config.json").read_text())["w_clip_vit"] is True
    again = ShowO.load(str(saved), "cpu")
    assert again.info == model.info.model_copy(update={"name": "saved"})
    requests = [question(asked, picture, max_new_tokens=9) for asked, picture in QUESTIONS]
    assert again.understand(requests) == model.understand(requests)
    with torch.no_grad():
        next(again.module.projector.parameters()).mul_(2)
    assert again.info.fingerprint != model.info.fingerprint
    again.save(saved)
    assert ShowO.load(str(saved), "cpu").info.fingerprint == again.info.fingerprint


def test_clip_may_lie_beside_the_checkpoint_and_stays_in_float32(model: ShowO, folder: Path, tmp_path: Path) -> None:
    half = tmp_path / "checkpoint"
    shutil.copytree(folder, half, ignore=shutil.ignore_patterns("clip"))
    shutil.copytree(folder / "clip", tmp_path / "clip")
    found = ShowO.load(str(half), "cpu", LoadOptions(dtype="bfloat16"))
    assert {weight.dtype for weight in found.module.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in found.clip.tower.parameters()} == {torch.float32}
    assert found.info.parameters == model.info.parameters
    assert len(found.understand([question("is it day?", 0, max_new_tokens=3)])) == 1
    with torch.no_grad():
        halves, _ = found.module(found.collate(found.prepare(some_items())))
        wholes, _ = model.module(model.collate(model.prepare(some_items())))
    torch.testing.assert_close(halves, wholes, rtol=0.1, atol=0.5)


def without_projector(folder: Path) -> None:
    state = load_file(folder / "pytorch_model.safetensors")
    del state["mm_projector.2.bias"]
    save_file(state, folder / "pytorch_model.safetensors")


def narrow_projector(folder: Path) -> None:
    state = load_file(folder / "pytorch_model.safetensors")
    state["mm_projector.2.weight"] = torch.zeros(WIDTH + 1, WIDTH)
    save_file(state, folder / "pytorch_model.safetensors")


def unsaid(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"w_clip_vit": False}))


def no_clip(folder: Path) -> None:
    shutil.rmtree(folder / "clip")


def other_clip(folder: Path) -> None:
    write_clip(folder / "clip", 2 * CLIP_WIDTH)


def torn_clip(folder: Path) -> None:
    (folder / "clip" / "model.safetensors").write_bytes(b"torn")


def holey_clip(folder: Path) -> None:
    state = load_file(folder / "clip" / "model.safetensors")
    del state["vision_model.embeddings.class_embedding"]
    save_file(state, folder / "clip" / "model.safetensors", metadata={"format": "pt"})


def foreign_clip(folder: Path) -> None:
    (folder / "clip" / "config.json").write_text(json.dumps({"model_type": "phi"}))


def small_crops(folder: Path) -> None:
    path = folder / "clip" / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"crop_size": 14, "size": 14}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            without_projector,
            r"no projector of CLIP features \(see mm_projector.2.bias\), which config.json's w_clip_vit",
        ),
        (narrow_projector, r"no projector of CLIP features \(see mm_projector.2.weight\)"),
        (unsaid, "holds mm_projector.0.bias, but config.json says w_clip_vit false"),
        (
            no_clip,
            "openai/clip-vit-large-patch14-336: not available .* download it and give its folder the name .*/clip",
        ),
        (other_clip, "CLIP's features have 32 numbers, the projector takes 16"),
        (torn_clip, "clip: CLIP cannot be read"),
        (holey_clip, "lacks 1 of CLIP's vision weights, such as .*class_embedding"),
        (foreign_clip, "is a 'phi' model, not CLIP"),
        (small_crops, "does not cut images to 28 x 28 px"),
    ],
)
def test_what_does_not_fit_is_one_line(
    spoil: Callable[[Path], None], words: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    spoiled = shutil.copytree(folder, tmp_path / "spoiled")
    spoil(spoiled)
    with pytest.raises(HermesError, match=words) as caught:
        ShowO.load(str(spoiled), "cpu")
    assert "\n" not in str(caught.value)
