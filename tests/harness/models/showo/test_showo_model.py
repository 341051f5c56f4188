"""The Show-o adapter on a small checkpoint: batches change nothing, files go and come, log-probabilities, errors."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_showo import make_checkpoint

from hermes.harness.contracts.model import Drew, LikelihoodItem, Said
from hermes.harness.models.maskgit import Drawing, empty_image, left_masked
from hermes.harness.models.masks import masks_of
from hermes.harness.models.orders import halton_ranks
from hermes.harness.models.showo.adapter import ShowO
from hermes.harness.models.showo.images import draw_steps
from hermes.harness.models.showo.likelihood import Prepared
from hermes.harness.models.showo.prompting import Layout
from hermes.harness.models.showo.text import Ask, write
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Order, Request
from hermes.harness.system.errors import HermesError

PICTURES = [Image.linear_gradient("L").convert("RGB"), Image.radial_gradient("L").convert("RGB").resize((50, 40))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("showo"))


@pytest.fixture(scope="module")
def model(folder: Path) -> ShowO:
    return ShowO.load(f"showo:{folder}", "cpu")


def question(text: str, picture: int, seed: int = 0, **config: object) -> Request:
    images = (ImageHandle(PICTURES[picture]),)
    return Request(sample_id=text, index=0, prompt=text, images=images, config=GenerationConfig(**config), seed=seed)


def prompt(text: str, seed: int, **config: object) -> Request:
    return Request(sample_id=text, index=0, prompt=text, config=GenerationConfig(steps=3, **config), seed=seed)


def drawn(model: ShowO, requests: list[Request]) -> list[bytes]:
    """The pixels of each picture, whether its prompt was cut or not."""
    answers = model.generate(requests)
    return [(answer.image if isinstance(answer, Drew) else answer).tobytes() for answer in answers]


def test_what_was_cut_is_told(model: ShowO) -> None:
    long = "a red cat sits on two boats " * 3
    answers = model.generate([prompt(long + "at night", 1), prompt("a", 1), prompt(long + "by day", 1)])
    assert [isinstance(answer, Drew) and answer.prompt_cut for answer in answers] == [True, False, True]
    assert drawn(model, [prompt(long + "at night", 1)]) == drawn(model, [prompt(long + "by day", 1)])
    (short,) = model.understand([question("is it day?", 0, max_new_tokens=1)])
    assert isinstance(short, Said)
    assert short.truncated
    assert not short.prompt_cut


def test_answers_are_those_of_one_request_alone(model: ShowO) -> None:
    requests = [
        question("is it day?", 0, max_new_tokens=9),
        question("what is in the image, and how many boats sit there?", 1, max_new_tokens=4),
        question("a", 0, seed=5, max_new_tokens=7, temperature=1.0, top_k=4),
        question("a", 0, seed=6, max_new_tokens=7, temperature=1.0, top_k=4),
    ]
    together = model.understand(requests)
    assert together == [model.understand([request])[0] for request in requests]
    assert together[2] != together[3]
    assert all(together)


def test_images_are_those_of_one_request_alone(model: ShowO) -> None:
    requests = [prompt("a red cat", 1), prompt("two boats, a cat and the night", 2), prompt("", 3, guidance_scale=0.0)]
    together = drawn(model, requests)
    assert together == [drawn(model, [request])[0] for request in requests]
    assert model.generate(requests)[0].size == (32, 32)
    seeds = {model.generate([prompt("a red cat", seed)])[0].tobytes() for seed in range(4)}
    greedy = {model.generate([prompt("a red cat", seed, temperature=0.0)])[0].tobytes() for seed in range(4)}
    assert len(seeds) > 1
    assert len(greedy) == 1


def test_a_saved_model_comes_back(model: ShowO, tmp_path: Path) -> None:
    model.save(tmp_path / "saved")
    again = ShowO.load(str(tmp_path / "saved"), "cpu")
    assert again.info == model.info.model_copy(update={"name": "saved"})
    requests = [question("is it day?", 0, max_new_tokens=5)]
    assert again.understand(requests) == model.understand(requests)
    names = set(load_file(tmp_path / "saved" / "pytorch_model.safetensors"))
    assert {"showo.model.embed_tokens.weight", "showo.model.layers.1.self_attn.q_layernorm.bias"} <= names
    assert all(name.startswith("showo.") for name in names)


def test_the_fingerprint_follows_the_weights(folder: Path) -> None:
    model = ShowO.load(str(folder), "cpu")
    before = model.info.fingerprint
    assert ShowO.load(str(folder), "cpu").info.fingerprint == before
    with torch.no_grad():
        model.transformer.lm_head.bias.add_(0.1)
    assert model.info.fingerprint != before


@pytest.mark.parametrize("form", ["pickle", "shards", "half"])
def test_other_file_forms(form: str, folder: Path, tmp_path: Path, model: ShowO) -> None:
    state = load_file(folder / "pytorch_model.safetensors")
    for name in ("config.json", "phi_config", "tokenizer", "magvitv2"):
        (tmp_path / name).symlink_to(folder / name)
    if form == "pickle":
        torch.save(state, tmp_path / "pytorch_model.bin")
    elif form == "half":
        save_file({name: tensor.half() for name, tensor in state.items()}, tmp_path / "pytorch_model.safetensors")
    else:
        names = sorted(state)
        shards = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
        for shard, held in shards.items():
            save_file({name: state[name] for name in held}, tmp_path / shard)
        places = {name: shard for shard, held in shards.items() for name in held}
        (tmp_path / "pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    found = ShowO.load(str(tmp_path), "cpu").transformer.state_dict()
    for name, tensor in model.transformer.state_dict().items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name], tensor, atol=1e-3 if form == "half" else 0, rtol=1e-3)


def test_log_probabilities_of_a_batch_are_those_of_single_items(model: ShowO) -> None:
    picture, other = (ImageHandle(picture) for picture in PICTURES)
    items = [
        LikelihoodItem("text", "what is it?", picture, "a red cat"),
        LikelihoodItem("text", "how many?", other, "two"),
        LikelihoodItem("image", "a red cat", picture, seed=4),
        LikelihoodItem("image", "the night, and it is very long", other, seed=4),
    ]
    prepared = model.prepare(items)
    with torch.no_grad():
        sums, counts = model.module(model.collate(prepared))
        alone = [model.module(model.collate([item])) for item in prepared]
    torch.testing.assert_close(sums, torch.cat([value for value, _ in alone]), atol=1e-4, rtol=1e-5)
    assert counts.tolist() == [float(count) for _, count in alone]
    assert counts[2] == counts[3]
    assert bool((sums < 0).all())
    assert model.with_seed(prepared[0], 9) is prepared[0]
    seeds = [model.collate([model.with_seed(prepared[2], seed)]).target for seed in range(8)]
    assert any(not torch.equal(seeds[0], target) for target in seeds)


def test_text_log_probability_is_that_of_what_is_written(model: ShowO) -> None:
    """The greedy token is the likeliest of all texts of one token behind the same prompt; together they are certain."""
    item = model.prepare([LikelihoodItem("text", "is it day?", ImageHandle(PICTURES[0]), "x")])[0]
    with torch.no_grad():
        every = [Prepared(item.prompt, item.image, (token,)) for token in range(model.transformer.shape.vocab)]
        sums, _ = model.module(model.collate(every))
    assert float(sums.exp().sum()) == pytest.approx(1.0, abs=1e-4)
    asks = [Ask(image=0, prompt=item.prompt, max_new_tokens=1)]
    assert write(model.transformer, model.layout, torch.tensor(item.image)[None], asks, None) == [[int(sums.argmax())]]


def test_gradients_reach_every_weight(model: ShowO) -> None:
    items = [LikelihoodItem("image", "a cat", ImageHandle(PICTURES[0]), seed=1)]
    model.module(model.collate(model.prepare(items)))[0].sum().backward()
    missing = [name for name, weight in model.module.named_parameters() if weight.grad is None]
    model.module.zero_grad()
    assert not missing


def test_a_long_prompt_loses_its_end(model: ShowO) -> None:
    layout, end = Layout(model.layout.vocabulary, 6), model.text.end
    part = layout.generation_text(list(range(20, 40)))
    assert part == [layout.vocabulary.t2i, end, 20, 21, 22, 23, end]
    assert layout.generation_text([end, 20])[-4:] == [layout.vocabulary.t2i, end, 20, end]


def test_the_number_left_masked_is_that_of_float32() -> None:
    assert left_masked(7, 12, 256) == 127
    assert [left_masked(step, 4, 16) for step in range(3)] == [14, 11, 6]
    assert math.floor(256 * math.cos(math.pi * (8 / 12) / 2)) == 128


def test_errors_are_one_line(model: ShowO, folder: Path, tmp_path: Path) -> None:
    blind = Request(sample_id="s", index=0, prompt="?", config=GenerationConfig(), seed=0)
    wrong = [
        (lambda: model.understand([blind]), "exactly one image"),
        (lambda: model.generate([prompt("a", 0, image_size=99)]), "32 x 32"),
        (lambda: model.generate([prompt("a", 0, guidance_scale=-1.0)]), "negative"),
        (lambda: ShowO.load("showo:./nowhere", "cpu"), "neither a folder"),
        (lambda: ShowO.load(str(tmp_path), "cpu"), "config.json"),
    ]
    for call, words in wrong:
        with pytest.raises(HermesError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"mask_token_id": 3}, "mask_token_id"), ({"num_vq_tokens": 7}, "square")],
)
def test_configs_that_do_not_fit(change: dict[str, object], words: str, folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(HermesError, match=words):
        ShowO.load(str(tmp_path), "cpu")


def test_weights_that_lack_a_tensor(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "phi_config", "tokenizer", "magvitv2"):
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(HermesError, match="holds no weights"):
        ShowO.load(str(tmp_path), "cpu")
    state = load_file(folder / "pytorch_model.safetensors")
    del state["showo.lm_head.bias"]
    save_file(state, tmp_path / "pytorch_model.safetensors")
    with pytest.raises(HermesError, match=r"lm_head\.bias"):
        ShowO.load(str(tmp_path), "cpu")


def test_several_masks_are_averaged_and_come_in_antithetic_pairs(folder: Path) -> None:
    model = ShowO.load(str(folder), "cpu")
    items = [
        LikelihoodItem("text", "what is it?", ImageHandle(PICTURES[0]), "a red cat"),
        LikelihoodItem("image", "a red cat", ImageHandle(PICTURES[0]), seed=4),
        LikelihoodItem("image", "a cat", ImageHandle(PICTURES[1]), seed=4),
    ]
    ready = model.prepare(items)
    with torch.no_grad():
        single = model.module(model.collate(ready))
        model.masks = 4
        batch = model.collate(ready)
        sums, counts = model.module(batch)
        alone = [float(model.module(model.collate([one]))[0]) for one in ready]
        rows = model.module(replace(batch, owner=None))[0]
    assert batch.owner.tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert sums.tolist() == pytest.approx(alone, rel=1e-4)
    assert float(sums[0]) == pytest.approx(float(single[0][0]), rel=1e-5)
    assert sums[1:].tolist() == pytest.approx(rows[1:].view(2, 4).mean(1).tolist(), rel=1e-5)
    assert counts[1] == counts[2]
    shares = [mask.sum() for mask in masks_of(7, 1000, 4)]
    assert shares[0] ** 2 + shares[1] ** 2 == pytest.approx(1000**2, rel=1e-2)
    assert shares[2] ** 2 + shares[3] ** 2 == pytest.approx(1000**2, rel=1e-2)


def test_recomputed_activations_give_the_same_gradients(folder: Path) -> None:
    found = []
    for on in (False, True):
        model = ShowO.load(str(folder), "cpu")
        model.recompute_activations(on)
        items = [LikelihoodItem("image", "a cat", ImageHandle(PICTURES[0]), seed=1)]
        model.module(model.collate(model.prepare(items)))[0].sum().backward()
        found.append({name: weight.grad for name, weight in model.module.named_parameters()})
    for name, grad in found[0].items():
        torch.testing.assert_close(grad, found[1][name])


def test_texts_behind_one_image_and_prompt_share_it_and_do_not_see_each_other(folder: Path) -> None:
    """Six texts about one picture, one about another, one behind another prompt, and an image under two masks."""
    model = ShowO.load(str(folder), "cpu")
    model.masks = 2
    one, other = (ImageHandle(picture) for picture in PICTURES)
    said = ["a red cat", "two", "a red cat sits on two boats", "x", "day or night", "a red cat"]
    items = [LikelihoodItem("text", "what is it?", one, text) for text in said]
    items.insert(2, LikelihoodItem("text", "what is it?", other, "two"))
    items.insert(3, LikelihoodItem("image", "a red cat", one, seed=3))
    items.append(LikelihoodItem("text", "is it day?", one, "two"))
    ready = model.prepare(items)
    batch = model.collate(ready)
    assert batch.row is not None
    assert len(batch.ids) == 2 + 1 + 2 + 1  # six texts in rows of four and two, then each of the others
    together = model.module(batch)
    alone = [model.module(model.collate([item])) for item in ready]
    torch.testing.assert_close(together[0], torch.cat([value for value, _ in alone]), atol=1e-4, rtol=1e-5)
    assert together[1].tolist() == [float(count) for _, count in alone]
    sums = together[0].detach().tolist()
    assert sums[0] == pytest.approx(sums[7], abs=1e-4)  # the same text twice
    grads = []
    for told in (together[0], torch.cat([value for value, _ in alone])):
        model.module.zero_grad()
        (told * torch.arange(1, len(items) + 1)).sum().backward()
        grads.append({name: weight.grad.clone() for name, weight in model.module.named_parameters()})
    for name, grad in grads[0].items():
        torch.testing.assert_close(grad, grads[1][name], atol=2e-3, rtol=1e-3, msg=name)


@pytest.mark.parametrize("order", get_args(Order))
def test_an_order_decides_what_is_kept_first(model: ShowO, order: Order) -> None:
    """What is known stays known, and with Halton's order the cells that are known are the first of its sequence."""
    tokens = model.config.num_vq_tokens
    blank = empty_image(2, tokens, model.layout.vocabulary.mask, torch.device("cpu"))
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    texts = [model.text.encode("a red cat")] * 2
    steps = list(
        draw_steps(model.transformer, model.layout, texts, blank, generators, Drawing(steps=4, guidance=0, order=order))
    )
    for before, after in pairwise(steps):
        assert not (after.masked & ~before.masked).any()
        known = ~before.masked[0]
        assert 0 < known.sum() < tokens
        if order == "halton":
            ranks = halton_ranks(math.isqrt(tokens))
            assert ranks[known].max() < ranks[~known].min()
    assert (steps[-1].chosen >= model.layout.vocabulary.first_code).all()


def test_settings_of_the_order_reach_the_drawing(model: ShowO) -> None:
    """Of four tokens only, so many seeds: with another order some pictures are others."""
    plain, same, halton, noisy = (
        drawn(model, [prompt("a red cat", seed, guidance_scale=0, **order) for seed in range(24)])
        for order in (
            {},
            {"order": "confidence", "choice_temperature": 1.0},
            {"order": "halton"},
            {"choice_temperature": 1e4},
        )
    )
    assert same == plain
    assert plain not in (halton, noisy)
