"""Anole against what its authors' code computed, in both layouts: VQGAN, rows, drawing, texts, log-probabilities."""

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

from hermes.harness.models.anole.adapter import Anole
from hermes.harness.models.anole.prompting import AnolePrompting
from hermes.harness.models.chameleon_vq.config import FIELDS, MULTIPLIER
from hermes.harness.models.chameleon_vq.files import own_names
from hermes.harness.models.chameleon_vq.pixels import pixels_of
from hermes.harness.models.emu3.likelihood import text_item
from hermes.harness.models.seeded import Draw
from hermes.harness.models.stream.drawing import draw_steps
from hermes.harness.models.stream.likelihood import image_item, token_log_probs
from hermes.harness.models.stream.rows import padded, positions
from hermes.harness.models.stream.writing import write

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "anole"
pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="the golden files are not here")


def golden(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


def tagged(tensors: dict[str, Tensor], tag: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{tag}."): value for name, value in tensors.items() if name.startswith(f"{tag}.")}


def picture(name: str) -> Image.Image:
    return Image.open(GOLDEN / "images" / name)


def unpadded(rows: Tensor, lengths: Tensor) -> list[list[int]]:
    return [row[-length:] for row, length in zip(rows.tolist(), lengths.tolist(), strict=True)]


@pytest.fixture(scope="module")
def meta() -> Any:
    return json.loads((GOLDEN / "meta.json").read_text())


@pytest.fixture(scope="module")
def hf(tmp_path_factory: pytest.TempPathFactory) -> Anole:
    folder = tmp_path_factory.mktemp("golden") / "anole-hf"
    folder.mkdir()
    shutil.copy(GOLDEN / "config.json", folder)
    shutil.copy(GOLDEN / "tokenizer" / "tokenizer.json", folder)
    shutil.copy(GOLDEN / "hf_state_dict_f16.safetensors", folder / "model.safetensors")
    return Anole.load(f"anole:{folder}")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Anole:
    folder = tmp_path_factory.mktemp("golden") / "anole"
    home, beside = folder / "models" / "7b", folder / "tokenizer"
    home.mkdir(parents=True)
    beside.mkdir()
    torch.save(golden("original_state_dict_f16"), home / "consolidated.pth")
    (home / "params.json").write_text('{"norm_eps": 1e-05}')
    shutil.copy(GOLDEN / "tokenizer" / "text_tokenizer.json", beside)
    theirs = json.loads((GOLDEN / "config.json").read_text())["vq_config"]
    names = {yaml_name: theirs[name] for name, yaml_name in (*FIELDS.values(), MULTIPLIER)}
    (beside / "vqgan.yaml").write_text(yaml.safe_dump({"model": {"params": {**names, "ddconfig": names}}}))
    torch.save({"state_dict": own_names(golden("hf_state_dict_f16"))}, beside / "vqgan.ckpt")
    return Anole.load(f"anole:{folder}")


@pytest.fixture(scope="module", params=["hf", "original"])
def model(request: pytest.FixtureRequest) -> Anole:
    loaded: Anole = request.getfixturevalue(request.param)
    return loaded


def released(model: Anole, penalty: float) -> AnolePrompting:
    """Meta's text mode."""
    words = model.prompting.words
    return AnolePrompting(words, len(model.prompting.codes), "golden", as_released=True, penalty=penalty)


def test_both_layouts_are_one_model(hf: Anole, original: Anole) -> None:
    assert hf.info.fingerprint == original.info.fingerprint


def test_ids(hf: Anole, meta: Any) -> None:
    prompting, ids = hf.prompting, meta["ids"]
    found = (prompting.bos, prompting.pad, *prompting.ends, prompting.end, prompting.begin, prompting.turn)
    assert found == tuple(ids[name] for name in ("bos", "pad", "eos", "eoi", "boi", "end_of_turn"))


@pytest.mark.parametrize("name", ["img_a", "img_b"])
def test_pictures_become_tokens_and_pictures_again(name: str, hf: Anole) -> None:
    expected, codec = tagged(golden("vq"), name), hf.codec
    image = picture(f"{name.replace('img', 'in')}.png")
    pixels = pixels_of(image, hf.side)[None]
    torch.testing.assert_close(pixels, expected["pixels"], atol=1e-6, rtol=0)
    assert (expected["margin"] > 1e-3).all()
    codes = codec.encode(image)
    assert list(codes) == expected["codes"].tolist()
    assert hf.prompting.row([codes], turn=False)[1:] == expected["tokens"].tolist()
    drawn = codec.pixels(expected["codes"][None].long(), codec.config.rows, codec.config.rows)
    torch.testing.assert_close(drawn, expected["decoded"], atol=2e-4, rtol=0)


@pytest.mark.parametrize("tag", ["sample", "greedy", "noguidance", "with_image"])
def test_drawing_step_by_step(tag: str, model: Anole, meta: Any) -> None:
    settings, expected, prompting = meta["t2i"][tag]["options"], tagged(golden("t2i_generate"), tag), model.prompting
    count, heat = len(expected["codes"]), 0.0 if settings["greedy"] else settings["temp"]
    rows = unpadded(expected["prompt_rows"], expected["prompt_lengths"])
    asks = [prompting.shares(row, *settings["cfg"]) for row in rows[:count]]
    if tag != "with_image":
        assert asks == [prompting.drawing(text, (), settings["cfg"][0]) for text in meta["t2i_prompts"]]
    noise = iter(expected.get("exponential_image_columns", ()))
    draws = [Draw(0, heat, 0, 0.0, settings["top_p"])] * count
    side = [model.network, asks, draws, prompting.codes, meta["image_tokens"], prompting.pad, lambda: next(noise)]
    chosen = []
    for number, step in enumerate(draw_steps(*side)):
        logits, at = expected["logits_image_columns"][number], 0
        for row, ask in enumerate(asks):
            # Theirs has three rows for each picture, in blocks; ours leaves out those that are twice there.
            full, seen, empty = (rows[row + block * count] for block in range(3))
            blocks = [0] if len(ask) == 1 else [0, 2] if seen == empty else [0, 1, 2]
            assert [list(share.ids) for share in ask] == [[full, seen, empty][block] for block in blocks]
            told = torch.stack([logits[row + block * count] for block in blocks])
            torch.testing.assert_close(step.rows[at : at + len(ask)], told, atol=1e-4, rtol=0)
            at += len(ask)
        told = expected["after_guidance_and_temperature_image_columns"][number]
        torch.testing.assert_close(step.guided / settings["temp"], told, atol=1e-3, rtol=0)
        if heat:
            told = expected["probs_image_columns"][number].double()
            torch.testing.assert_close(step.kept, told, atol=1e-5, rtol=0)
        chosen.append(step.chosen)
    codes = torch.stack(chosen, 1)
    assert torch.equal(codes, expected["codes"].long())
    assert torch.equal(prompting.codes[codes], expected["tokens"].long())
    for row, numbers in enumerate(codes.tolist()):
        image = np.asarray(model.codec.decode(numbers)).astype(int)
        assert np.abs(image - np.asarray(picture(f"{tag}_{row}.png"))).max() <= 1


def test_texts(model: Anole, meta: Any) -> None:
    expected, theirs, count = golden("understanding"), golden("understanding_transformers"), meta["config"]["new"]
    names = sorted(name.partition(".")[0] for name in expected if name.endswith(".input_ids"))
    rows = [expected[f"{name}.input_ids"][0].tolist() for name in names]
    seen = model.codec.encode(picture("in_a.png"))
    assert model.prompting.question("What is in this picture?", [seen]) == rows[0]
    assert model.prompting.question("", ()) == rows[-1]
    for name, row in zip(names, rows, strict=True):
        (said,) = write(model.network, [row], [Draw(0)], count, model.prompting)
        assert said == theirs[f"{name}.greedy"][0].tolist()
    for tag, told in meta["understanding"].items():
        if tag == "interleaved":
            continue
        options = told["options"]
        prompting = released(model, options["repetition_penalty"])
        heat = 0.0 if options.get("greedy") else options["temp"]
        asks = [rows[names.index(tag[:2])]] if tag[:2] in names else rows
        asks = [expected["sample.prompt_rows"][0].tolist()] if tag == "sample" else asks
        ids, mask = padded(asks, prompting.pad)
        assert torch.equal(ids, expected[f"{tag}.prompt_rows"].long())
        with torch.no_grad():
            states = model.network.model(input_ids=ids, attention_mask=mask, position_ids=positions(mask))
            logits = model.network.lm_head(states.last_hidden_state[:, -1])
        torch.testing.assert_close(logits, expected[f"{tag}.last_logits_step0"], atol=1e-4, rtol=0)
        noise = iter(expected["sample.exponential"])
        draws = [Draw(0, heat, 0, 0.0, options.get("top_p", 1.0) if heat else 1.0)] * len(asks)
        said = write(model.network, asks, draws, count, prompting, lambda noise=noise: next(noise))
        assert said == expected[f"{tag}.tokens"].tolist()
        assert [prompting.text(one) for one in said] == told["text"]


def test_what_is_never_written_as_released(hf: Anole, meta: Any) -> None:
    known = hf.prompting.words.get_vocab()
    logits = torch.zeros(1, len(known))
    (rule,) = released(hf, 1.0).rules()
    gone = {token for token, left in enumerate(rule(None, logits)[0].tolist()) if left < 0}
    assert {known[name] for name in meta["text_tokens_never_generated"]} <= gone
    (rule,) = hf.prompting.rules()
    gone = {token for token, left in enumerate(rule(None, logits)[0].tolist()) if left < 0}
    assert gone == set(hf.prompting.codes.tolist())


def test_text_picture_and_text_in_one_go(hf: Anole, meta: Any) -> None:
    """The authors' interleaved script, of the same pieces: a text that begins an image, its codes, and on."""
    expected, told = tagged(golden("understanding"), "interleaved"), meta["understanding"]["interleaved"]
    text = released(hf, 1.2)
    plain = text.rules()
    text.rules = lambda: [rule_with(plain[0], text.begin), *plain[1:]]  # type: ignore[method-assign]
    text.ends = (*text.ends, text.begin)
    row, noise = expected["prompt"][0].tolist(), iter(expected["exponential"][:, None])
    goal = expected["tokens"][0].tolist()
    draws = [Draw(0, 1.0, 0, 0.0, meta["config"]["top_p"])]
    written = write(hf.network, [row], draws, len(goal), text, lambda: next(noise))[0]
    assert written == goal[: told["boi_at"] + 1]
    row = [*row, *written]
    shares = text.shares(row, meta["config"]["gtext"], meta["config"]["gimg"])
    codes = text.codes
    draws = [Draw(0, meta["config"]["temp"], 0, 0.0, meta["config"]["top_p"])]
    count = meta["image_tokens"]
    steps = draw_steps(hf.network, [shares], draws, codes, count, text.pad, lambda: next(noise)[:, codes])
    drawn = codes[torch.cat([step.chosen for step in steps])].tolist()
    row, written = [*row, *drawn, text.end], [*written, *drawn, text.end]
    assert written == goal[: len(written)]
    text.rules, text.ends = (lambda: plain), hf.prompting.ends  # type: ignore[method-assign]  # no room for another
    draws = [Draw(0, 1.0, 0, 0.0, meta["config"]["top_p"])]
    rest = write(hf.network, [row], draws, len(goal) - len(written), text, lambda: next(noise))[0]
    assert [*written, *rest] == goal


def rule_with(rule: Any, allowed: int) -> Any:
    """The same rule, by which one token more may be written."""
    return type(rule)([token for token in rule.suppress_tokens.tolist() if token != allowed])


def test_likelihoods(model: Anole, meta: Any) -> None:
    expected, prompting = golden("likelihood"), model.prompting
    numbers = {int(token): number for number, token in enumerate(prompting.codes)}
    items, size = [], meta["image_tokens"]
    for row, text in zip(unpadded(expected["image.rows"], expected["image.lengths"]), meta["t2i_prompts"], strict=True):
        prompt = prompting.drawing(text, (), 1.0)[0].ids
        assert row[: len(prompt)] == list(prompt)
        items.append(image_item(prompt, [numbers[token] for token in row[-size - 1 : -1]], prompting.codes))
    rows = unpadded(expected["text.rows"], expected["text.lengths"])
    for row, text in zip(rows, meta["answers"], strict=True):
        answer = prompting.answer(text)
        assert row[-len(answer) :] == answer
        items.append(text_item(row[: -len(answer)], answer))
    with torch.no_grad():
        sums, counts = model.module(model.collate(items))
    wanted = torch.cat([expected["image.sum_renormalised"], expected["text.sum"]])
    torch.testing.assert_close(sums, wanted, rtol=1e-5, atol=1e-5)
    assert counts.tolist() == [size] * len(meta["t2i_prompts"]) + expected["text.answer_lengths"].tolist()


def test_likelihoods_over_the_whole_vocabulary(hf: Anole, meta: Any) -> None:
    expected, size = golden("likelihood"), meta["image_tokens"]

    def told(rows: list[list[int]]) -> Tensor:
        ids, mask = padded(rows, hf.prompting.pad)
        with torch.no_grad():
            states = hf.network.model(input_ids=ids, attention_mask=mask, position_ids=positions(mask))
            flat = states.last_hidden_state[:, :-1].flatten(0, 1)
            return token_log_probs(hf.network, flat, ids[:, 1:].flatten()).view(len(ids), -1)

    found = told(unpadded(expected["image.rows"], expected["image.lengths"]))
    torch.testing.assert_close(found[:, -size - 1 : -1], expected["image.code_logprobs"], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, -1], expected["image.eoi_logprob"], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, -size - 1 : -1].sum(1), expected["image.sum"], rtol=1e-5, atol=1e-5)
    found = -told(expected["train.ids"].tolist()).mean()
    torch.testing.assert_close(found[None], expected["train.loss"], rtol=1e-5, atol=0)
