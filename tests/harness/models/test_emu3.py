"""Emu3: transformers' own answers and images, seeds of a request, exact likelihoods, one or two sets of weights."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import asking
import numpy as np
import pytest
import tiny_emu3
import torch
import transformers
from asking import PROMPTS, assert_same_in_other_batches, drawn, pixels, request
from PIL import Image

from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.emu3.adapter import Emu3
from hermes.harness.models.emu3.likelihood import Prepared
from hermes.harness.models.emu3.places import CHAT, GEN
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Request
from hermes.harness.system.errors import HermesError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_emu3.save(tmp_path_factory.mktemp("checkpoints") / "tiny-emu3")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_emu3.save(tmp_path_factory.mktemp("checkpoints") / "tiny-gen", seed=1)


@pytest.fixture(scope="module")
def model(folder: Path) -> Emu3:
    return Emu3.load(str(folder), "cpu")


@pytest.fixture(scope="module")
def pair(folder: Path, other: Path) -> Emu3:
    return Emu3.load(f"emu3:{folder}+{other}", "cpu")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> tuple[Any, Any]:
    """transformers' own network and processor."""
    network = transformers.Emu3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    return network, transformers.AutoProcessor.from_pretrained(folder)


def picture(number: int, size: tuple[int, int] = (24, 16)) -> ImageHandle:
    values = np.random.default_rng(number).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    return ImageHandle(Image.fromarray(values).resize(size, Image.Resampling.NEAREST))


def asked(**config: Any) -> list[Request]:
    return asking.asked(picture, **config)


def chat(processor: Any, prompt: str, *images: ImageHandle) -> str:
    said = [
        {"role": "system", "content": [{"type": "text", "text": "You are a helpful assistant."}]},
        {"role": "user", "content": [*({"type": "image"} for _ in images), {"type": "text", "text": prompt}]},
    ]
    return str(processor.apply_chat_template(said, add_generation_prompt=True))


def answer_of(theirs: tuple[Any, Any], one: Request) -> str:
    network, processor = theirs
    images = [handle.open() for handle in one.images] or None
    inputs = processor(text=chat(processor, one.prompt, *one.images), images=images, return_tensors="pt")
    ids = network.generate(**inputs, max_new_tokens=12, do_sample=False)
    return str(processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


def picture_of(theirs: tuple[Any, Any], prompt: str, guidance: float, side: int) -> Image.Image:
    """The way of the model card: allowed tokens by position, the empty prompt as the negative one."""
    network, processor = theirs
    words, mapping = processor.tokenizer, network.vocabulary_mapping
    settings = {"return_for_image_generation": True, "image_area": side * side, "return_tensors": "pt"}
    inputs, empty = (processor(text=text, **settings) for text in (prompt, ""))
    height, width = inputs.pop("image_sizes")[0]
    start = inputs["input_ids"].shape[1]

    def allowed(_: int, ids: torch.Tensor) -> list[int]:
        line, column = divmod(len(ids) - start, width + 1)
        if line == height:
            return [(words.eof_token_id, words.eoi_token_id, words.eos_token_id)[column]]
        return [mapping.eol_token_id] if column == width else mapping.image_tokens

    ids = network.generate(
        **inputs,
        max_new_tokens=height * (width + 1) + 3,
        prefix_allowed_tokens_fn=allowed,
        negative_prompt_ids=empty["input_ids"],
        negative_prompt_attention_mask=empty["attention_mask"],
        guidance_scale=guidance,
        do_sample=False,
    )
    values = network.decode_image_tokens(image_tokens=ids[:, start:], height=height, width=width)
    found: Image.Image = processor.postprocess(list(values.float()))["pixel_values"][0]
    return found


def test_greedy_answers_are_those_of_transformers(model: Emu3, theirs: tuple[Any, Any]) -> None:
    """Also without an image, and with two of other sizes in one question."""
    both = (picture(3, (40, 16)), picture(4, (16, 24)))
    questions = [
        *asked(),
        request("No picture?", 7, max_new_tokens=12),
        request("Which?", 8, both, max_new_tokens=12),
    ]
    expected = [answer_of(theirs, one) for one in questions]
    assert model.understand(questions) == expected
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize(("guidance", "side"), [(3.0, 24), (1.0, 24), (2.0, 16)])
def test_greedy_images_are_those_of_transformers(
    model: Emu3, theirs: tuple[Any, Any], guidance: float, side: int
) -> None:
    expected = [picture_of(theirs, prompt, guidance, side) for prompt in PROMPTS]
    wanted = None if side == tiny_emu3.SIDE else side
    found = model.generate(drawn(guidance_scale=guidance, temperature=0.0, image_size=wanted))
    assert pixels(found) == pixels(expected)
    assert [image.size for image in found] == [(side, side)] * len(PROMPTS)
    assert len(set(pixels(found))) == len(found)


def test_guidance_changes_images_and_a_scale_of_at_most_one_is_none(model: Emu3) -> None:
    free, one, strong = (pixels(model.generate(drawn(guidance_scale=g, temperature=0.0))) for g in (0.0, 1.0, 3.0))
    assert free == one
    assert free != strong
    unsaid, three = pixels(model.generate(drawn())), pixels(model.generate(drawn(guidance_scale=3.0, top_k=2048)))
    assert unsaid == three


def test_without_guidance_greedy_images_follow_the_likelihood(model: Emu3) -> None:
    """Each code that is drawn is the likeliest after those before it: the loop and ``module`` are one model."""
    from hermes.harness.models.emu3.images import decode
    from hermes.harness.models.emu3.likelihood import image_item
    from hermes.harness.models.emu3.prompting import drawing_ids

    side, tokens = 2 * tiny_emu3.CODE, model.gen.tokens
    prompt = drawing_ids(model.gen.processor, PROMPTS[0], side)
    lines = torch.tensor(
        [int(tokens.codes[0])] * 2 + [tokens.line_end] + [int(tokens.codes[0])] * 2 + [tokens.line_end]
    )

    def log_probs(place: int) -> list[float]:
        found = []
        for code in tokens.codes:
            lines[place] = code
            item = image_item(prompt, lines, tokens)
            alone = Prepared(item.ids, (-1,) * (len(prompt) - 1 + place) + item.target[len(prompt) - 1 + place :], True)
            first = Prepared(alone.ids[: len(prompt) + place], alone.target[: len(prompt) + place], True)
            found.append(float(model.module(model.collate([first]))[0]))
        return found

    with torch.no_grad():
        for place in (0, 1, 3, 4):
            told = log_probs(place)
            assert sum(np.exp(told)) == pytest.approx(1.0, abs=1e-4)
            lines[place] = tokens.codes[int(np.argmax(told))]
    ends = torch.tensor([tokens.frame_end, tokens.image_end, tokens.sequence_end])
    expected = decode(model.gen.network, model.gen.processor, torch.cat([lines, ends]), side)
    made = model.generate([request(PROMPTS[0], temperature=0.0, guidance_scale=1.0, image_size=side)])
    assert pixels(made) == pixels([expected])


@pytest.mark.parametrize("settings", [{"temperature": 1.0}, {"temperature": 0.7, "top_k": 3}, {}])
def test_companions_change_nothing(model: Emu3, settings: dict[str, Any]) -> None:
    questions = [*asked(**settings), request("No picture?", 7, max_new_tokens=4), asked()[0]]
    questions[1] = request("Which?", 8, (picture(3, (40, 8)), picture(4)), max_new_tokens=6, **settings)
    together = model.understand(questions)
    assert together == [model.understand([one])[0] for one in questions]
    assert together[::-1] == model.understand(questions[::-1])
    prompts = [*drawn(**settings), request("a dog", 9, guidance_scale=0.0), request("a dog", 9, image_size=16)]
    together_drawn = pixels(model.generate(prompts))
    assert together_drawn == [pixels(model.generate([one]))[0] for one in prompts]


def test_seeds_decide_and_the_global_generator_does_not(model: Emu3) -> None:
    one = request("a red square", 1)
    torch.manual_seed(1)
    first = pixels(model.generate([one]))
    torch.manual_seed(2)
    assert pixels(model.generate([one])) == first
    others = [one.model_copy(update={"seed": seed}) for seed in range(4)]
    assert len(set(pixels(model.generate(others)))) == 4
    assert model.understand(asked(temperature=1.0, top_k=1)) == model.understand(asked())
    assert model.understand(asked(temperature=1.0)) != model.understand(asked())


def test_text_likelihood_is_that_of_transformers(model: Emu3, theirs: tuple[Any, Any]) -> None:
    network, processor = theirs
    item = LikelihoodItem("text", "What is this?", picture(1), "a red dog")
    log_probs, counts = model.module(model.collate(model.prepare([item])))
    whole = chat(processor, item.prompt, item.image) + " a red dog<|extra_204|>"
    inputs = processor(text=whole, images=[item.image.open()], return_tensors="pt")
    answer = len(" a red dog") + 1
    with torch.no_grad():
        told = torch.log_softmax(network(**inputs).logits[0, :-1], -1)
    ids = inputs["input_ids"][0, 1:]
    expected = told[torch.arange(len(ids)), ids][-answer:].sum()
    assert counts.tolist() == [answer]
    torch.testing.assert_close(log_probs[0], expected, atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("size", [(24, 24), (30, 20)])
def test_image_likelihood_is_that_of_transformers(model: Emu3, theirs: tuple[Any, Any], size: tuple[int, int]) -> None:
    """Of the codes alone, and over them alone, behind a prompt that states the picture's lines and columns."""
    network, processor = theirs
    item = LikelihoodItem("image", "a red square", picture(2, size))
    with torch.no_grad():
        log_probs, counts = model.module(model.collate(model.prepare([item])))
    prompt = processor(
        text=item.prompt,
        return_for_image_generation=True,
        ratio=f"{size[0]}:{size[1]}",
        image_area=tiny_emu3.SIDE**2,
        return_tensors="pt",
    )
    height, width = prompt["image_sizes"][0]
    shown = item.image.open().resize((8 * width, 8 * height), Image.Resampling.BICUBIC)
    given = processor.image_processor(shown, do_resize=False, return_tensors="pt")
    codes = torch.tensor(network.vocabulary_mapping.image_tokens)
    with torch.no_grad():
        lines = network.model.get_image_tokens(given["pixel_values"], given["image_sizes"]).long()
        ids = torch.cat([prompt["input_ids"][0], lines])
        told = network(input_ids=ids[None]).logits[0, len(ids) - len(lines) - 1 : -1]
        told = torch.log_softmax(told[:, codes], -1)
    expected = sum(float(row[codes == token]) for row, token in zip(told, lines, strict=True) if token in codes)
    assert counts.tolist() == [height * width]
    assert float(log_probs[0]) == pytest.approx(expected, abs=1e-3)
    assert len(set(lines.tolist())) > 3


@pytest.mark.parametrize("which", ["model", "pair"])
def test_likelihoods_do_not_depend_on_the_batch_and_have_gradients(which: str, request: pytest.FixtureRequest) -> None:
    model: Emu3 = request.getfixturevalue(which)
    items = [
        LikelihoodItem("text", "What is this?", picture(1), "a red dog"),
        LikelihoodItem("image", "a red square", picture(2)),
        LikelihoodItem("text", "Why?", picture(1), "no"),
        LikelihoodItem("image", "two circles", picture(3, (16, 16)), seed=5),
    ]
    ready = model.prepare(items)
    ready = pickle.loads(pickle.dumps(ready))
    together, counts = model.module(model.collate(ready))
    alone = torch.cat([model.module(model.collate([one]))[0] for one in ready])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-5)
    assert counts.tolist() == [11.0, 8.0, 4.0, 9.0]
    assert all(model.with_seed(one, 3) is one for one in ready)
    model.module.train()
    torch.testing.assert_close(model.module(model.collate(model.prepare(items)))[0], together)
    model.module.eval()
    for one in ready:
        model.module.zero_grad()
        model.module(model.collate([one]))[0].sum().backward()
        missing = [name for name, p in model.module.named_parameters() if p.requires_grad and p.grad is None]
        assert missing == []
    model.module.zero_grad()


def test_two_weights_share_the_work(pair: Emu3, folder: Path, other: Path, model: Emu3) -> None:
    gen = Emu3.load(str(other), "cpu")
    assert pair.info.name == "tiny-emu3+tiny-gen"
    assert pair.info.parameters == 2 * model.info.parameters
    assert pair.understand(asked()) == model.understand(asked()) != gen.understand(asked())
    assert pixels(pair.generate(drawn())) == pixels(gen.generate(drawn())) != pixels(model.generate(drawn()))
    items = [
        LikelihoodItem("text", "What is this?", picture(1), "a red dog"),
        LikelihoodItem("image", "a red square", picture(2)),
    ]
    told = pair.module(pair.collate(pair.prepare(items)))[0]
    expected = [
        one.module(one.collate(one.prepare([item])))[0][0] for one, item in zip((model, gen), items, strict=True)
    ]
    torch.testing.assert_close(told, torch.stack(expected))
    fingerprints = {pair.info.fingerprint, model.info.fingerprint, gen.info.fingerprint}
    fingerprints.add(Emu3.load(f"emu3:{other}+{folder}", "cpu").info.fingerprint)
    assert len(fingerprints) == 4


def test_the_sources_of_a_reference(folder: Path, other: Path) -> None:
    assert [source[:3] for source in Emu3.sources("emu3")] == [(CHAT, None, False), (GEN, None, False)]
    assert [source[:3] for source in Emu3.sources("emu3:A/B@main+C/D")] == [
        ("A/B", "main", False),
        ("C/D", None, False),
    ]
    assert [source.name for source in Emu3.sources(f"emu3:{folder}+{other}")] == [str(folder), str(other)]
    assert [source.name for source in Emu3.sources(str(folder))] == [str(folder)]
    for wrong in ("emu3:", "emu3:no such folder", f"emu3:{folder}+", f"emu3:+{folder}", f"emu3:{folder}@main+A/B"):
        with pytest.raises(HermesError):
            Emu3.sources(wrong)


def test_saved_and_loaded_it_is_the_same_model(model: Emu3, folder: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "again")
    again = Emu3.load(str(tmp_path / "again"), "cpu")
    assert again.info.fingerprint == model.info.fingerprint
    assert again.understand(asked()) == model.understand(asked())
    assert pixels(again.generate(drawn())) == pixels(model.generate(drawn()))
    with torch.no_grad():
        again.chat.network.lm_head.weight[0, 0] += 1
    assert again.info.fingerprint != model.info.fingerprint
    assert Emu3.load(f"emu3:{folder}", "cpu").info == model.info


def test_two_weights_are_saved_and_loaded(pair: Emu3, tmp_path: Path) -> None:
    pair.save(tmp_path / "both")
    assert json.loads((tmp_path / "both" / "config.json").read_text())["model_type"] == "emu3"
    again = Emu3.load(str(tmp_path / "both"), "cpu")
    assert again.info == pair.info.model_copy(update={"name": "both"})
    assert again.understand(asked()) == pair.understand(asked())
    assert pixels(again.generate(drawn())) == pixels(pair.generate(drawn()))
    shutil.rmtree(tmp_path / "both" / "gen")
    with pytest.raises(HermesError, match="lacks its part gen"):
        Emu3.load(str(tmp_path / "both"), "cpu")


def test_precision_and_adapter_are_applied(model: Emu3, folder: Path, other: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    half = Emu3.load(str(folder), "cpu", LoadOptions(dtype="bfloat16"))
    assert (half.info.dtype, model.info.dtype) == ("bfloat16", "float32")
    assert [image.size for image in half.generate(drawn())] == [(24, 24)] * 3
    assert len(half.understand(asked())) == 3
    items = half.prepare([LikelihoodItem("image", "a red square", picture(2))])
    assert half.module(half.collate(items))[0].dtype == torch.float32
    spread = Emu3.load(str(folder), "cpu", LoadOptions(device_map="auto"))
    assert spread.understand(asked()) == model.understand(asked())
    settings = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(Emu3.load(str(folder), "cpu").chat.network, settings).save_pretrained(tmp_path / "lora")
    options = LoadOptions(adapter=str(tmp_path / "lora"))
    tuned = Emu3.load(str(folder), "cpu", options)
    assert tuned.understand(asked()) != model.understand(asked())
    assert tuned.info.parameters == model.info.parameters
    with pytest.raises(HermesError, match="has two"):
        Emu3.load(f"emu3:{folder}+{other}", "cpu", options)


def test_a_torn_or_foreign_checkpoint_is_one_line(folder: Path, tmp_path: Path) -> None:
    def refused(edit: Any, match: str) -> None:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        edit(copy)
        with pytest.raises(HermesError, match=match) as caught:
            Emu3.load(str(copy), "cpu")
        assert "\n" not in str(caught.value)

    def settings(change: Any) -> Any:
        def edit(copy: Path) -> None:
            config = json.loads((copy / "config.json").read_text())
            change(config)
            (copy / "config.json").write_text(json.dumps(config))

        return edit

    def torn(copy: Path) -> None:
        (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:5000])

    def without(name: str) -> Any:
        return lambda copy: (copy / name).unlink()

    def own_code(config: dict[str, Any]) -> None:
        config |= {"model_type": "emu3_of_mine", "auto_map": {"AutoConfig": "mine.Config"}}

    refused(settings(lambda config: config.update(model_type="llama")), "a 'llama' model")
    refused(settings(own_code), "cannot be loaded")
    refused(settings(lambda config: config.pop("vocabulary_map")), "cannot be loaded|vocabulary_map")
    refused(settings(lambda config: config["vocabulary_map"].pop("<|visual token 000003|>")), "vocabulary_map")
    refused(settings(lambda config: config["vocabulary_map"].pop("<|extra_200|>")), "vocabulary_map")
    refused(settings(lambda config: config["text_config"].update(num_hidden_layers=3)), "lack")
    refused(
        settings(lambda config: config["text_config"].update(hidden_size=16)), "lack|with the shape|cannot be loaded"
    )
    refused(torn, "cannot be loaded")
    refused(without("model.safetensors"), "cannot be loaded")
    refused(without("tokenizer.json"), "cannot be loaded")
    refused(without("chat_template.jinja"), "no chat template")


@pytest.mark.parametrize(
    "config",
    [
        {"image_size": 20},
        {"image_size": 4},
        {"image_size": 512},
        {"steps": 4},
        {"guidance_scale": -1.0},
        {"temperature": -1.0},
        {"top_k": -1},
    ],
)
def test_settings_that_it_cannot_keep_are_refused(model: Emu3, config: dict[str, Any]) -> None:
    with pytest.raises(HermesError):
        model.generate(drawn(**config))


def test_an_answer_has_at_least_one_token(model: Emu3) -> None:
    with pytest.raises(HermesError, match="max_new_tokens"):
        model.understand(asked(max_new_tokens=0))


def test_a_whole_run_is_the_same_in_other_batches(model: Emu3, tmp_path: Path) -> None:
    assert_same_in_other_batches(model, tmp_path)


@pytest.mark.parametrize("which", ["one", "two"])
def test_training_raises_the_winner(folder: Path, other: Path, tmp_path: Path, which: str) -> None:
    """Dropout, which the published settings have, would stop the training at its first step."""
    from hermes.align.losses.likelihoods import TrainPair
    from hermes.align.settings import TrainSettings
    from hermes.align.training.trainer import train

    reference = str(folder) if which == "one" else f"emu3:{folder}+{other}"
    model, before = Emu3.load(reference, "cpu"), Emu3.load(reference, "cpu")
    text = [LikelihoodItem("text", "What is this?", picture(1), said) for said in ("a red dog", "no")]
    image = [LikelihoodItem("image", "a red square", picture(n)) for n in (2, 3)]
    pair = TrainPair("p", (text[0], text[1]), (image[0], image[1]))
    settings = TrainSettings(lr=1e-3, epochs=4, replay=0.0, batch_size=1, bf16=False)
    train(model, [pair], [], settings, tmp_path / "training")
    margins = []
    for one in (before, model):
        with torch.no_grad():
            told = one.module(one.collate(one.prepare([*text, *image])))[0]
        margins.append((float(told[0] - told[1]), float(told[2] - told[3])))
    assert margins[1][0] > margins[0][0]
    assert margins[1][1] > margins[0][1]
    for old, new in zip(before.parts, model.parts, strict=True):
        vq = new.network.model.vqmodel.state_dict()
        assert all(torch.equal(value, vq[name]) for name, value in old.network.model.vqmodel.state_dict().items())
