"""Liquid against what its authors' code computed: preprocessing, VQGAN, rows, drawing, answers, log-probabilities."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from hermes.harness.models.chameleon_vq.pixels import picture_of, pixels_of
from hermes.harness.models.emu3.likelihood import text_item
from hermes.harness.models.liquid.adapter import Liquid
from hermes.harness.models.liquid.prompting import LiquidPrompting
from hermes.harness.models.seeded import Draw
from hermes.harness.models.stream.drawing import draw_steps
from hermes.harness.models.stream.likelihood import token_log_probs
from hermes.harness.models.stream.rows import padded, positions
from hermes.harness.models.stream.writing import write

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "liquid"
pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="the golden files are not here")


def golden(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


def tagged(tensors: dict[str, Tensor], tag: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{tag}."): value for name, value in tensors.items() if name.startswith(f"{tag}.")}


def picture(name: str) -> Image.Image:
    return Image.open(GOLDEN / "images" / name)


def levels_apart(image: Image.Image, name: str) -> int:
    return int(np.abs(np.asarray(image).astype(int) - np.asarray(picture(name))).max())


@pytest.fixture(scope="module")
def meta() -> Any:
    return json.loads((GOLDEN / "meta.json").read_text())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Liquid:
    folder = tmp_path_factory.mktemp("golden") / "liquid"
    shutil.copytree(GOLDEN / "tokenizer", folder)
    shutil.copy(GOLDEN / "config.json", folder)
    shutil.copy(GOLDEN / "gemma_state_dict_f16.safetensors", folder / "model.safetensors")
    (folder / "chameleon").mkdir()
    params = json.loads((GOLDEN / "vqgan_config.json").read_text())
    (folder / "chameleon" / "vqgan.yaml").write_text(yaml.safe_dump({"model": {"params": params}}))
    torch.save({"state_dict": golden("vqgan_state_dict_f16")}, folder / "chameleon" / "vqgan.ckpt")
    return Liquid.load(f"liquid:{folder}")


@pytest.fixture(scope="module")
def benchmark(model: Liquid) -> LiquidPrompting:
    """The rows of the authors' benchmark scripts."""
    return LiquidPrompting(model.prompting.words, len(model.prompting.codes), "golden", as_released=True)


@pytest.mark.parametrize("name", ["exact", "gray_small", "tall_rgba", "wide"])
def test_pictures_become_codes_and_pictures_again(name: str, model: Liquid) -> None:
    expected, codec = golden("vq"), model.codec
    image = picture(f"in_{name}.png")
    large = pixels_of(image, 512)
    torch.testing.assert_close(large[:, ::16, ::16], expected[f"pre512.{name}.strided16"], atol=1e-6, rtol=0)
    torch.testing.assert_close(large.mean((1, 2)), expected[f"pre512.{name}.mean_channel"], atol=1e-5, rtol=0)
    pixels = pixels_of(image, model.side)[None]
    torch.testing.assert_close(pixels, expected[f"preR.{name}.pixels"], atol=1e-6, rtol=0)
    torch.testing.assert_close(codec.unquantised(pixels), expected[f"enc.{name}.prequant"], atol=2e-4, rtol=0)
    codes = expected[f"enc.{name}.codes"]
    assert (expected[f"enc.{name}.margin"] > 1e-3).all()
    assert list(codec.encode(image)) == codes.tolist()
    drawn = codec.pixels(codes[None].long(), codec.config.rows, codec.config.rows)
    torch.testing.assert_close(drawn, expected[f"dec.{name}.pixels"], atol=2e-4, rtol=0)
    assert levels_apart(codec.decode(codes.tolist()), f"rec_{name}.png") <= 1


def test_any_shape_is_read_and_drawn(model: Liquid, meta: Any) -> None:
    expected = golden("vq")
    codes = model.codec.codes(pixels_of(picture("in_wide.png"), 512)[None])[0]
    sure = expected["enc512.wide.margin"] > 1e-3
    assert torch.equal(codes[sure], expected["enc512.wide.codes"][sure].long())
    drawn = model.codec.pixels(expected["nonsquare.codes"][None].long(), *meta["config"]["nonsq"])
    torch.testing.assert_close(drawn, expected["nonsquare.pixels"], atol=2e-4, rtol=0)
    assert levels_apart(picture_of(drawn[0]), "nonsquare.png") <= 1


@pytest.mark.parametrize("tag", ["cfg", "nocfg", "greedy_cfg", "topp_only", "nofilter"])
def test_drawing_step_by_step(tag: str, model: Liquid, benchmark: LiquidPrompting, meta: Any) -> None:
    settings, tensors, prompting = meta["t2i"][tag], golden("t2i_generate"), model.prompting
    expected, draw = tagged(tensors, tag), Draw(0, settings["temperature"], settings["top_k"], 0.0, settings["top_p"])
    asks = [prompting.drawing(text, (), settings["guidance"]) for text in meta["config"]["prompts"]]
    rows, count = len(asks), len(prompting.codes)
    # Theirs has all rows of prompts, then the unconditional ones.
    order = [ask[0] for ask in asks] + [ask[1] for ask in asks if len(ask) > 1]
    ids, mask = padded([share.ids for share in order], prompting.pad)
    assert torch.equal(ids, expected["input_ids"].long())
    assert torch.equal(mask, expected["attention_mask"].long())
    assert torch.equal(positions(mask)[mask == 1], expected["position_ids_first"][mask == 1].long())
    assert (expected["position_ids_step1"][:, 0] == positions(mask)[:, -1] + 1).all()
    place = torch.arange(len(order)).view(-1, rows).T.flatten()
    with torch.no_grad():
        whole = model.network(input_ids=ids, attention_mask=mask, position_ids=positions(mask)).logits[:, -1]
    torch.testing.assert_close(whole, expected["logits_step0_full"], atol=1e-4, rtol=0)

    wide = benchmark.unrestricted(draw)
    assert wide == (tag == "nofilter")
    columns = torch.arange(len(whole[0])) if wide else prompting.codes
    # One draw is stored without its noise: it has the seed, the shapes, and so the noise of another.
    noise = iter(tensors[f"{tag if tag != 'topp_only' else 'cfg'}.exponential_{'full' if wide else 'image_columns'}"])
    tokens = []
    side = [model.network, asks, [draw] * rows, columns, meta["image_tokens"], prompting.pad, lambda: next(noise)]
    for number, step in enumerate(draw_steps(*side)):
        if "logits_image_columns" in expected:
            found = step.rows[:, -count:]
            torch.testing.assert_close(found, expected["logits_image_columns"][number][place], atol=1e-4, rtol=0)
        if "guided_logits_image_columns" in expected:
            told = expected["guided_logits_image_columns"][number]
            torch.testing.assert_close(step.guided[:, -count:], told, atol=1e-3, rtol=0)
        if "probs_image_columns" in expected and draw.temperature:
            told = expected["probs_image_columns"][number].double()
            torch.testing.assert_close(step.kept[:, -count:], told, atol=1e-5, rtol=0)
        if wide and number == 0:
            torch.testing.assert_close(step.kept, expected["probs_full_step0"].double(), atol=1e-5, rtol=0)
        tokens.append(columns[step.chosen])
    drawn = torch.stack(tokens, 1)
    assert torch.equal(drawn, expected["tokens"].long())
    codes = (drawn - prompting.codes[0]).clamp(0, count - 1)
    assert torch.equal(codes, expected["codes"].long())
    for row, numbers in enumerate(codes.tolist()):
        if (GOLDEN / "images" / f"t2i_{tag}_{row}.png").exists():
            assert levels_apart(model.codec.decode(numbers), f"t2i_{tag}_{row}.png") <= 1
    if "pixels" in expected:
        found = model.codec.pixels(codes, model.codec.config.rows, model.codec.config.rows)
        torch.testing.assert_close(found, expected["pixels"], atol=2e-4, rtol=0)


def asked(prompting: LiquidPrompting, model: Liquid, meta: Any, name: str) -> list[int]:
    told = meta["understanding"][name]
    seen = model.codec.encode(prompting.framed(picture(told["image"]), model.side))
    return prompting.question(told["question"], [seen])


def test_answers(model: Liquid, benchmark: LiquidPrompting, meta: Any) -> None:
    expected, count = golden("understanding"), meta["config"]["newtok"]
    names = [name for name in meta["understanding"] if f"{name}.input_ids" in expected]
    for name in names:
        for prompting, form in ((model.prompting, "input_ids"), (benchmark, "input_ids_benchmark")):
            row = asked(prompting, model, meta, name)
            assert row == expected[f"{name}.{form}"][0].tolist()
            with torch.no_grad():
                logits = model.network(torch.tensor([row])).logits
            torch.testing.assert_close(logits[:, -1], expected[f"{name}.{form}.last_logits"], atol=1e-4, rtol=0)
            if form == "input_ids":
                torch.testing.assert_close(logits[:, ::3], expected[f"{name}.logits_every3"], atol=1e-4, rtol=0)
            (said,) = write(model.network, [row], [Draw(0)], count, prompting)
            assert said == expected[f"{name}.{form}.greedy"][0].tolist()
            assert prompting.text(said) == meta["understanding"][name][f"{form}_text"]
    rows = [asked(model.prompting, model, meta, name) for name in names]
    ids, mask = padded(rows, model.prompting.pad)
    assert torch.equal(ids, expected["batch.input_ids"].long())
    assert torch.equal(mask, expected["batch.attention_mask"].long())
    said = write(model.network, rows, [Draw(0)] * len(rows), count, model.prompting)
    assert said == expected["batch.greedy"].tolist()


def test_the_chat_form(model: Liquid, meta: Any) -> None:
    words = model.prompting.words
    before, after = meta["understanding"]["template_example"].split("<image>")
    code = int(model.prompting.codes[3])
    row = [*words(before)["input_ids"], code, *words(after)["input_ids"]]
    row = [row[0], *[token for token in row[1:] if token != row[0]]]  # each part is tokenised with its own begin
    assert model.prompting.question("What?", [[3]]) == row


@pytest.mark.parametrize("kind", ["t2i", "caption", "text"])
def test_training_rows(kind: str, model: Liquid, meta: Any) -> None:
    expected, codes = tagged(golden("likelihood"), kind), model.prompting.codes
    ids, mask, labels = (expected[name].long() for name in ("input_ids", "attention_mask", "labels"))
    asked = labels[:, 1:] != -100
    with torch.no_grad():
        hidden = model.network.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
        told = token_log_probs(model.network, hidden[asked], labels[:, 1:][asked])
    torch.testing.assert_close(told, expected["token_logprobs"][asked], atol=1e-4, rtol=0)
    assert float(-told.mean()) == pytest.approx(meta["likelihood"][kind]["loss"], rel=1e-5)
    rows = asked.nonzero()[:, 0]
    sums = torch.zeros(len(ids)).index_add(0, rows, told)
    torch.testing.assert_close(sums, expected["row_logprob"], rtol=1e-5, atol=1e-5)
    drawn = asked & (ids[:, 1:] >= codes[0])
    only = torch.zeros(len(ids)).index_add(0, rows, told * drawn[asked])
    torch.testing.assert_close(only, expected["row_logprob_codes_only"], rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        renormalised = token_log_probs(model.network, hidden[drawn], ids[:, 1:][drawn] - codes[0], codes)
    sums = torch.zeros(len(ids)).index_add(0, drawn.nonzero()[:, 0], renormalised)
    torch.testing.assert_close(sums, expected["row_logprob_codes_renormalised"], rtol=1e-5, atol=1e-5)


def test_answers_in_the_chat_form_have_their_likelihoods(model: Liquid, meta: Any) -> None:
    expected, items = golden("likelihood"), []
    names = [name for name in meta["likelihood"] if name.startswith("chat")]
    for name in names:
        told = meta["likelihood"][name]
        row = asked(model.prompting, model, meta, name.replace("chat", "u"))
        answer = model.prompting.answer(told["answer"])
        assert [*row, *answer] == expected[f"{name}.input_ids"][0].tolist()
        assert (len(row), len(answer)) == (told["prompt_length"], told["answer_tokens"])
        items.append(text_item(row, answer))
    with torch.no_grad():
        sums, counts = model.module(model.collate(items))
    assert sums.tolist() == pytest.approx([meta["likelihood"][name]["sum"] for name in names], rel=1e-5)
    assert counts.tolist() == [len(expected[f"{name}.answer_logprobs"]) for name in names]
