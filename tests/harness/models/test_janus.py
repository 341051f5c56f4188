"""Janus: transformers' own answers and images, seeds of a request alone, exact likelihoods, a whole run and round."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_janus
import torch
import transformers
from asking import PROMPTS, asked, assert_same_in_other_batches, drawn, noise, pixels, request

import hermes
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.models.janus.adapter import Janus
from hermes.harness.models.janus.images import encode
from hermes.harness.models.janus.likelihood import Prepared
from hermes.harness.models.janus.prompting import generation_inputs
from hermes.harness.models.seeded_draws import Draw, SeededDraws, pick, probabilities
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_janus.save(tmp_path_factory.mktemp("checkpoints") / "tiny-janus")


@pytest.fixture(scope="module")
def model(folder: Path) -> Janus:
    return Janus.load(str(folder), "cpu")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> tuple[Any, Any]:
    """transformers' own network and processor."""
    network = transformers.JanusForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    return network, transformers.AutoProcessor.from_pretrained(folder)


def chat(processor: Any, prompt: str, *images: ImageHandle) -> str:
    content = [*({"type": "image"} for _ in images), {"type": "text", "text": prompt}]
    return str(processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True))


def test_greedy_answers_are_those_of_transformers(model: Janus, theirs: tuple[Any, Any]) -> None:
    network, processor = theirs
    expected = []
    for one in asked():
        inputs = processor(
            text=chat(processor, one.prompt, *one.images), images=[one.images[0].open()], return_tensors="pt"
        )
        ids = network.generate(**inputs, generation_mode="text", max_new_tokens=12, do_sample=False)
        said = ids[0, inputs["input_ids"].shape[1] :]
        expected.append(processor.decode(said, skip_special_tokens=True).strip())
    assert model.understand(asked()) == expected
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize("guidance", [5.0, 2.0])
def test_greedy_images_are_those_of_transformers(model: Janus, theirs: tuple[Any, Any], guidance: float) -> None:
    network, processor = theirs
    expected = []
    for prompt in PROMPTS:
        inputs = processor(text=chat(processor, prompt), generation_mode="image", return_tensors="pt")
        codes = network.generate(**inputs, generation_mode="image", do_sample=False, guidance_scale=guidance)
        values = network.decode_image_tokens(codes)[0].detach().numpy()
        expected.append(np.clip((values * 0.5 + 0.5) * 255, 0, 255))
    found = model.generate(drawn(guidance_scale=guidance, temperature=0.0))
    for image, exact in zip(found, expected, strict=True):
        assert np.abs(np.asarray(image) - exact).max() <= 1.0 + 1e-3
        assert image.size == (tiny_janus.SIDE, tiny_janus.SIDE)
    assert len(set(pixels(found))) == len(found)


def test_guidance_changes_images_and_a_scale_of_at_most_one_is_none(model: Janus) -> None:
    free, one, strong = (pixels(model.generate(drawn(guidance_scale=g, temperature=0.0))) for g in (0.0, 1.0, 5.0))
    assert free == one
    assert free != strong


def test_without_guidance_greedy_images_follow_the_likelihood(model: Janus) -> None:
    """Each code that is drawn is the likeliest after those before it: the loop and ``module`` are one model."""
    ids = generation_inputs(model.processor, [PROMPTS[0]])
    codes: list[int] = []

    def log_prob(target: list[int]) -> float:
        item = Prepared(tuple(ids["input_ids"][0].tolist()), tuple(target), None, True)
        return float(model.module(model.collate([item]))[0])

    with torch.no_grad():
        for _ in range(3):
            codes.append(max(range(tiny_janus.CODES), key=lambda code: log_prob([*codes, code])))
    made = model.network.generate(
        **ids, generation_mode="image", logits_processor=[SeededDraws([Draw(0)])], do_sample=False, guidance_scale=1.0
    )
    assert made[0, :3].tolist() == codes


@pytest.mark.parametrize("settings", [{"temperature": 1.0}, {"temperature": 0.7, "top_k": 3}, {}])
def test_companions_change_nothing(model: Janus, settings: dict[str, Any]) -> None:
    questions = [*asked(**settings), request("No picture?", 7, max_new_tokens=4), asked()[0]]
    questions[1] = request("Which of both?", 8, (noise(3), noise(4)), max_new_tokens=6, **settings)
    together = model.understand(questions)
    assert together == [model.understand([one])[0] for one in questions]
    assert together[::-1] == model.understand(questions[::-1])
    prompts = [*drawn(**settings), request("a dog", 9, guidance_scale=0.0)]
    together_drawn = pixels(model.generate(prompts))
    assert together_drawn == [pixels(model.generate([one]))[0] for one in prompts]


def test_seeds_decide_and_the_global_generator_does_not(model: Janus) -> None:
    one = request("a red square", 1)
    torch.manual_seed(1)
    first = pixels(model.generate([one]))
    torch.manual_seed(2)
    assert pixels(model.generate([one])) == first
    others = [one.model_copy(update={"seed": seed}) for seed in range(4)]
    assert len(set(pixels(model.generate(others)))) == 4
    assert model.understand(asked(temperature=1.0, top_k=1)) == model.understand(asked())


def test_pick_inverts_the_distribution() -> None:
    logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    at = (0.05, 0.15, 0.45, 0.95)
    assert [int(pick(logits, Draw(0, 1.0), u)) for u in at] == [0, 1, 2, 3]
    assert [int(pick(logits, Draw(0, 1.0, top_k=2), u)) for u in (0.0, 0.42, 0.44, 0.999)] == [2, 2, 3, 3]
    assert [int(pick(logits, Draw(0, 0.0), u)) for u in at] == [3, 3, 3, 3]


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (1.0, [0.1, 0.2, 0.3, 0.4]),
        (0.95, [0.1, 0.2, 0.3, 0.4]),
        (0.85, [0.0, 2 / 9, 3 / 9, 4 / 9]),
        (0.41, [0.0, 0.0, 3 / 7, 4 / 7]),
        (0.39, [0.0, 0.0, 0.0, 1.0]),
        (0.001, [0.0, 0.0, 0.0, 1.0]),
    ],
)
def test_top_p_keeps_the_likeliest_that_together_have_it(top_p: float, kept: list[float]) -> None:
    found = probabilities(torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])), Draw(0, 1.0, top_p=top_p))
    assert found.tolist() == pytest.approx(kept, abs=1e-6)
    assert int(pick(torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])), Draw(0, 1.0, top_p=top_p), 0.0)) == kept.index(
        next(value for value in kept if value)
    )


def test_text_likelihood_is_that_of_transformers(model: Janus, theirs: tuple[Any, Any]) -> None:
    network, processor = theirs
    item = LikelihoodItem("text", "What is this?", noise(1), "a red dog")
    log_probs, counts = model.module(model.collate(model.prepare([item])))
    whole = chat(processor, item.prompt, item.image) + " a red dog</s>"
    inputs = processor(text=whole, images=[item.image.open()], return_tensors="pt")
    answer = len(" a red dog") + 1
    with torch.no_grad():
        told = torch.log_softmax(network(**inputs).logits[0, :-1], -1)
    ids = inputs["input_ids"][0, 1:]
    expected = told[torch.arange(len(ids)), ids][-answer:].sum()
    assert counts.tolist() == [answer]
    torch.testing.assert_close(log_probs[0], expected, atol=1e-3, rtol=1e-5)


def test_likelihoods_do_not_depend_on_the_batch_and_have_gradients(model: Janus) -> None:
    items = [
        LikelihoodItem("text", "What is this?", noise(1), "a red dog"),
        LikelihoodItem("image", "a red square", noise(2)),
        LikelihoodItem("text", "Why?", noise(1), "no"),
        LikelihoodItem("image", "two circles", noise(3, (16, 16)), seed=5),
    ]
    ready = model.prepare(items)
    ready = pickle.loads(pickle.dumps(ready))
    together, counts = model.module(model.collate(ready))
    alone = torch.cat([model.module(model.collate([one]))[0] for one in ready])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-5)
    assert counts.tolist() == [11.0, 16.0, 4.0, 16.0]
    assert all(model.with_seed(one, 3) is one for one in ready)
    for one in ready:
        model.module.zero_grad()
        model.module(model.collate([one]))[0].sum().backward()
        missing = [name for name, p in model.module.named_parameters() if p.requires_grad and p.grad is None]
        assert missing == []
    model.module.zero_grad()


def test_a_picture_that_is_drawn_again_stands_behind_what_is_seen_of_it(model: Janus, theirs: tuple[Any, Any]) -> None:
    """The vision encoder's features, the request and the picture's own codes, through transformers' parts."""
    network, processor = theirs
    item = LikelihoodItem("image", "Describe it.", noise(2, (16, 16)), again=True)
    ready, plain, other = model.prepare([item, replace(item, again=False), replace(item, image=noise(3, (16, 16)))])
    places = processor.image_start_token + processor.image_token * 16 + processor.image_end_token
    said = chat(processor, item.prompt, item.image).replace(processor.image_token, places) + processor.image_start_token
    ids = processor.tokenizer(said, return_tensors="pt")["input_ids"]
    pixels_seen = processor.image_processor(item.image.open(), return_tensors="pt")["pixel_values"]
    codes = torch.tensor(ready.target)
    with torch.no_grad():
        words = network.get_input_embeddings()(ids)
        features = network.model.aligner(network.model.vision_model(pixels_seen).last_hidden_state)
        words = words.masked_scatter((ids == network.config.image_token_id)[..., None], features)
        drawn_so_far = network.prepare_embeddings_for_image_generation(codes[None, :-1])
        states = network.model.language_model(inputs_embeds=torch.cat([words, drawn_so_far], 1)).last_hidden_state
        told = torch.log_softmax(network.model.generation_head(states[0, -len(codes) :]), -1)
        expected = told[torch.arange(len(codes)), codes].sum()
        found, counts = model.module(model.collate([plain, ready, other]))
    assert tuple(ids[0].tolist()) == ready.prompt
    assert counts.tolist() == [len(codes)] * 3
    torch.testing.assert_close(found[1], expected, atol=1e-3, rtol=1e-5)
    assert abs(float(found[0] - found[1])) > 1e-3


def test_what_the_model_draws_can_be_read_back(model: Janus) -> None:
    """An image item's codes are those whose picture comes closest by direction, in the decoder's order."""
    vq = model.network.model.vqmodel
    item = model.prepare([LikelihoodItem("image", "a cat", noise(5, (16, 16)))])[0]
    given = model.processor.image_processor(noise(5, (16, 16)).open(), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        states = vq.quant_conv(vq.encoder(given))[0]
        near = vq.quantize.get_codebook_entry(torch.tensor([item.target]))[0]
        unit = torch.nn.functional.normalize(states, dim=0)
        every = torch.nn.functional.normalize(vq.quantize.embedding.weight, dim=-1)
        best = torch.einsum("chw,nc->hwn", unit, every).amax(-1)
    torch.testing.assert_close((unit * near).sum(0), best)


def test_a_picture_that_is_learnt_is_cut_to_a_square_and_one_that_is_read_is_seen_whole(model: Janus) -> None:
    """No grey borders: beyond the middle of a wide or tall picture nothing is learnt; a drawn one stays as it is."""
    drawn = noise(6, (16, 16))
    square = drawn.open()
    for size, corner in (((32, 16), (8, 0)), ((16, 48), (0, 16))):
        around = noise(7, size).open()
        around.paste(square, corner)
        learnt = model.prepare([LikelihoodItem("image", "a cat", one) for one in (ImageHandle(around), drawn)])
        assert learnt[0].target == learnt[1].target
        seen = model.prepare([LikelihoodItem("text", "What?", one, "a cat") for one in (ImageHandle(around), drawn)])
        assert not torch.equal(seen[0].pixels, seen[1].pixels)
    plain = model.processor.image_processor(square, return_tensors="pt")["pixel_values"][0]
    assert list(learnt[1].target) == encode(model.network, plain)


def test_saved_and_loaded_it_is_the_same_model(model: Janus, folder: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "again")
    again = hermes.load_model(str(tmp_path / "again"), "cpu")
    assert isinstance(again, Janus)
    assert again.info.fingerprint == model.info.fingerprint
    assert again.understand(asked()) == model.understand(asked())
    assert pixels(again.generate(drawn())) == pixels(model.generate(drawn()))
    with torch.no_grad():
        again.network.lm_head.weight[0, 0] += 1
    assert again.info.fingerprint != model.info.fingerprint
    assert Janus.load(f"janus:{folder}", "cpu").info == model.info


def test_a_torn_or_foreign_checkpoint_is_one_line(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(HermesError, match="a 'llama' model"):
        Janus.load(str(other), "cpu")
    (other / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(HermesError, match="cannot be loaded") as caught:
        Janus.load(str(other), "cpu")
    assert "\n" not in str(caught.value)
    with pytest.raises(HermesError, match="neither a folder"):
        Janus.load("janus:no such folder", "cpu")


@pytest.mark.parametrize(
    "config", [{"image_size": 48}, {"steps": 4}, {"guidance_scale": -1.0}, {"temperature": -1.0}, {"top_k": -1}]
)
def test_settings_that_it_cannot_keep_are_refused(model: Janus, config: dict[str, Any]) -> None:
    with pytest.raises(HermesError):
        model.generate(drawn(**config))


def test_a_whole_run_is_the_same_in_other_batches(folder: Path, tmp_path: Path) -> None:
    assert_same_in_other_batches(str(folder), tmp_path)


def test_training_raises_the_winner(folder: Path, tmp_path: Path) -> None:
    from hermes.align.losses.likelihoods import TrainPair
    from hermes.align.settings import TrainSettings
    from hermes.align.training.trainer import train

    model = Janus.load(str(folder), "cpu")
    text = [LikelihoodItem("text", "What is this?", noise(1), said) for said in ("a red dog", "no")]
    image = [LikelihoodItem("image", "a red square", noise(n)) for n in (2, 3)]
    pair = TrainPair("p", (text[0], text[1]), (image[0], image[1]))
    settings = TrainSettings(lr=1e-3, epochs=4, replay=0.0, batch_size=1, bf16=False)
    frozen = [p.clone() for p in model.network.model.vqmodel.parameters()]
    train(model, [pair], [], settings, tmp_path / "training")
    before = Janus.load(str(folder), "cpu")
    with torch.no_grad():
        margins = []
        for one in (before, model):
            told = one.module(one.collate(one.prepare([*text, *image])))[0]
            margins.append((float(told[0] - told[1]), float(told[2] - told[3])))
    assert margins[1][0] > margins[0][0]
    assert margins[1][1] > margins[0][1]
    assert all(torch.equal(a, b) for a, b in zip(frozen, model.network.model.vqmodel.parameters(), strict=True))
