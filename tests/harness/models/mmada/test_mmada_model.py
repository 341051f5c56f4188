"""The MMaDA adapter on a small checkpoint: batches change nothing, files go and come, log-probabilities, errors."""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import asking
import numpy as np
import pytest
import tiny_mmada
import torch
from asking import PROMPTS, drawn, noise, request
from PIL import Image
from safetensors.torch import load_file, save_file

from hermes.align.losses.likelihoods import TrainPair
from hermes.align.settings import TrainSettings
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import Drew, LikelihoodItem
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.detect import adapter_of
from hermes.harness.models.mmada.adapter import MMaDA
from hermes.harness.models.mmada.likelihood import Prepared, collate_rows, text_masks, text_row
from hermes.harness.models.mmada.prompting import encoded, question_ids
from hermes.harness.models.mmada.text import Writing, write
from hermes.harness.models.seeded import Draw
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Request
from hermes.harness.run import runner
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError

RELEASED = LoadOptions(as_released=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_mmada.save(tmp_path_factory.mktemp("checkpoints") / "tiny-mmada")


@pytest.fixture(scope="module")
def model(folder: Path) -> MMaDA:
    return MMaDA.load(str(folder), "cpu")


@pytest.fixture(scope="module")
def released(folder: Path) -> MMaDA:
    return MMaDA.load(str(folder), "cpu", RELEASED)


def asked(**config: Any) -> list[Request]:
    """Three questions about pictures of three shapes, and one about none."""
    settings = {"max_new_tokens": 12} | config
    return [*asking.asked(**settings), request("No picture?", 7, **settings)]


def pixels(pictures: Any) -> list[bytes]:
    return [(one.image if isinstance(one, Drew) else one).tobytes() for one in pictures]


def items() -> list[LikelihoodItem]:
    return [
        LikelihoodItem("text", "What is this?", noise(1), "a red dog"),
        LikelihoodItem("image", "a red square", noise(2), seed=4),
        LikelihoodItem("text", "Why, and to which end?", noise(1), "no", seed=4),
        LikelihoodItem("image", "two circles", noise(3), seed=4),
    ]


def told(model: MMaDA, ready: list[Prepared]) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        found: tuple[torch.Tensor, torch.Tensor] = model.module(model.collate(ready))
    return found


def test_the_folder_names_its_adapter(folder: Path, model: MMaDA) -> None:
    assert adapter_of(str(folder), ["mmada"]) == "mmada"
    assert model.info.name == "tiny-mmada"
    assert model.info.resolution == model.info.defaults.image_size == tiny_mmada.SIDE
    assert (model.info.defaults.guidance_scale, model.info.defaults.steps) == (3.5, 15)
    assert [source[:3] for source in MMaDA.sources("mmada:A/B@main")] == [("A/B", "main", False)]


def test_codes_begin_behind_the_tokenizer_whatever_the_embedding_holds(model: MMaDA) -> None:
    words, rows = model.layout.vocabulary, model.network.get_input_embeddings().weight.shape[0]
    assert words.first_code == len(model.tokenizer)
    assert words.first_code + words.codes < rows


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 1.0},
        {"temperature": 2.0, "top_k": 5, "top_p": 0.9},
        {"order": "random"},
        {"text_steps": 3, "block_length": 4},
    ],
)
def test_answers_are_those_of_one_request_alone(model: MMaDA, settings: dict[str, Any]) -> None:
    questions = [*asked(**settings), request("Where?", 8, (noise(4),), max_new_tokens=8)]
    together = model.understand(questions)
    assert together == [model.understand([one])[0] for one in questions]
    assert together[::-1] == model.understand(questions[::-1])
    if settings.get("temperature", 0) > 0 or settings.get("order"):
        seeds = [questions[0].model_copy(update={"seed": seed}) for seed in range(4)]
        assert len(set(model.understand(seeds))) > 1


def test_settings_of_texts_count(model: MMaDA) -> None:
    def all_of(**config: Any) -> list[str]:
        return model.understand(asked(**config))

    assert all_of(temperature=1.0, top_k=1) == all_of() == all_of(text_steps=6) == all_of(block_length=12)
    assert all_of() not in (all_of(text_steps=1), all_of(block_length=2))
    with pytest.raises(HermesError, match="cannot be divided evenly over 3 blocks of 4 tokens"):
        all_of(text_steps=4, block_length=4)
    with pytest.raises(HermesError, match="no halton order"):
        all_of(order="halton")
    with pytest.raises(HermesError, match="exactly one image"):
        model.understand([request("Which?", 0, (noise(1), noise(2)))])


def test_steps_are_spread_over_blocks() -> None:
    assert Writing(8, 6, 4).plan() == [(4, 2), (4, 1), (4, 1), (8, 2), (8, 1), (8, 1)]
    assert Writing(5, None, 4).plan() == [(4, 2), (4, 2), (5, 1)]
    assert Writing(2, 2, 128).plan() == [(2, 1), (2, 1)]
    assert sum(count for _, count in Writing(512, 256, 128).plan()) == 512


def test_an_answer_ends_where_its_text_does(folder: Path, released: MMaDA) -> None:
    """Some token is made the one that ends a message: what stands behind it is the answer's only as released."""
    questions = [request(text, n, max_new_tokens=12) for n, text in enumerate(asking.QUESTIONS)]
    model = MMaDA.load(str(folder), "cpu")
    words = model.layout.vocabulary
    prompts = [question_ids(model.tokenizer, one.prompt) for one in questions]
    whole = write(model.network, words.mask, prompts, [Draw(0)] * 3, Writing(12))
    end = whole[0][5]
    model.layout = replace(model.layout, vocabulary=replace(words, eot=end))
    answers = model.understand(questions)
    cut = [tokens[: tokens.index(end)] if end in tokens else tokens for tokens in whole]
    assert answers == [model._text(tokens) for tokens in cut]
    assert [one.truncated for one in answers] == [end not in tokens for tokens in whole]
    assert released.understand(questions) == [model._text(tokens) for tokens in whole]


def test_images_are_those_of_one_request_alone(model: MMaDA) -> None:
    requests = [
        *drawn(steps=3),
        request("", 3, guidance_scale=0.0, steps=2),
        request("a long tale of two red squares, three dogs and a cat in the night", 4, steps=3),
        request("a dog", 5, image_size=64, steps=3, top_k=3, top_p=0.8, order="halton"),
    ]
    made = model.generate(requests)
    assert pixels(made) == [pixels(model.generate([one]))[0] for one in requests]
    assert [isinstance(one, Drew) and one.prompt_cut for one in made] == [False, False, False, False, True, False]
    assert [one.size for one in made[:2]] == [(32, 32)] * 2
    assert made[-1].size == (64, 64)
    greedy = {pixels(model.generate([request("a", seed, temperature=0.0, steps=3)]))[0] for seed in range(3)}
    assert len(greedy) == 1
    assert len({pixels(model.generate([request("a", seed, steps=3)]))[0] for seed in range(4)}) > 1
    assert pixels(model.generate(drawn(top_k=1, choice_temperature=0.0))) == pixels(
        model.generate(drawn(temperature=0.0))
    )


@pytest.mark.parametrize(
    "config", [{"image_size": 40}, {"image_size": 1024}, {"steps": 0}, {"guidance_scale": -1.0}, {"temperature": -1.0}]
)
def test_settings_that_it_cannot_keep_are_refused(model: MMaDA, config: dict[str, Any]) -> None:
    with pytest.raises(HermesError) as caught:
        model.generate(drawn(**config))
    assert "\n" not in str(caught.value)


def test_a_saved_model_comes_back(model: MMaDA, folder: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "again")
    again = MMaDA.load(str(tmp_path / "again"), "cpu")
    assert again.info == model.info.model_copy(update={"name": "again"})
    assert again.understand(asked()) == model.understand(asked())
    assert pixels(again.generate(drawn(steps=3))) == pixels(model.generate(drawn(steps=3)))
    old, new = (load_file(home / "model.safetensors") for home in (folder, tmp_path / "again"))
    assert {name: tensor.shape for name, tensor in old.items()} == {name: tensor.shape for name, tensor in new.items()}
    with torch.no_grad():
        again.network.lm_head.weight[0, 0] += 1
    assert again.info.fingerprint != model.info.fingerprint


@pytest.mark.parametrize("form", ["pickle", "shards", "half", "prefix", "bare", "tied"])
def test_other_files_of_the_same_weights(form: str, folder: Path, tmp_path: Path, model: MMaDA) -> None:
    if form == "tied":
        tied = MMaDA.load(str(tiny_mmada.save(tmp_path / "tied", weight_tying=True)), "cpu")
        tied.save(tmp_path / "saved")
        assert "model.transformer.ff_out.weight" not in load_file(tmp_path / "saved" / "model.safetensors")
        assert MMaDA.load(str(tmp_path / "saved"), "cpu").understand(asked()) == tied.understand(asked())
        return
    state = load_file(folder / "model.safetensors")
    for path in folder.iterdir():
        if path.name != "model.safetensors":
            (tmp_path / path.name).symlink_to(path)
    if form == "pickle":
        torch.save({"module": state}, tmp_path / "pytorch_model.bin")
    elif form == "shards":
        names = sorted(state)
        for number, held in enumerate((names[:9], names[9:]), 1):
            save_file({name: state[name] for name in held}, tmp_path / f"model-0000{number}-of-00002.safetensors")
    else:
        begin = {"prefix": "policy.model.", "bare": ""}.get(form, "model.")
        made = {begin + name.removeprefix("model."): tensor for name, tensor in state.items()}
        if form == "half":
            made = {name: tensor.half() for name, tensor in made.items()}
        save_file(made, tmp_path / "model.safetensors")
    found = MMaDA.load(str(tmp_path), "cpu").network.state_dict()
    for name, tensor in model.network.state_dict().items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name], tensor, atol=1e-3 if form == "half" else 0, rtol=1e-3)


def test_precision_device_map_and_adapter(model: MMaDA, folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    half = MMaDA.load(str(folder), "cpu", LoadOptions(dtype="bfloat16", device_map="auto"))
    assert half.info.dtype == "bfloat16"
    assert [one.size for one in half.generate(drawn(steps=2))] == [(32, 32)] * len(PROMPTS)
    assert len(half.understand(asked(temperature=1.0))) == 4
    assert told(half, half.prepare(items()))[0].dtype == torch.float32
    settings = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(MMaDA.load(str(folder), "cpu").network, settings).save_pretrained(tmp_path / "lora")
    tuned = MMaDA.load(str(folder), "cpu", LoadOptions(adapter=str(tmp_path / "lora")))
    assert tuned.understand(asked()) != model.understand(asked())
    assert tuned.info.parameters == model.info.parameters


def test_a_torn_or_foreign_checkpoint_is_one_line(folder: Path, tmp_path: Path) -> None:
    def refused(edit: Callable[[Path], Any], match: str) -> None:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        edit(copy)
        with pytest.raises(HermesError, match=match) as caught:
            MMaDA.load(f"mmada:{copy}", "cpu")
        assert "\n" not in str(caught.value)

    def settings(**change: Any) -> Callable[[Path], Any]:
        def edit(copy: Path) -> None:
            config = json.loads((copy / "config.json").read_text()) | change
            (copy / "config.json").write_text(json.dumps(config))

        return edit

    def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], Any]:
        def edit(copy: Path) -> None:
            state = load_file(copy / "model.safetensors")
            change(state)
            save_file(state, copy / "model.safetensors")

        return edit

    def torn(copy: Path) -> None:
        (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:5000])

    def without(name: str) -> Callable[[Path], Any]:
        return lambda copy: (copy / name).unlink()

    block = "model.transformer.blocks.1."
    refused(settings(model_type="llada"), "LLaDA, which knows no pictures")
    refused(settings(d_model=None), "not the config of an MMaDA checkpoint")
    refused(settings(n_heads=5), "no transformer has these sizes")
    refused(settings(include_bias=True), "include_bias is True")
    refused(settings(codebook_size=64), "codebook_size is 64, and the image tokeniser")
    refused(settings(n_layers=3), "lacks 9 of the 30 tensors, such as model.transformer.blocks.2.attn_norm.weight")
    refused(settings(n_kv_heads=4), "with the shape")
    refused(settings(mask_token_id=9999), "do not fit in")
    refused(weights(lambda state: state.pop(block + "up_proj.weight")), "lacks 1 of the 21 tensors")
    refused(weights(lambda state: state.update({block + "q_proj.bias": torch.zeros(32)})), "does not have")
    refused(weights(lambda state: state[block + "up_proj.weight"][0].fill_(torch.nan)), "up_proj.weight .* not finite")
    refused(lambda copy: save_file({"x": torch.zeros(1)}, copy / "model.safetensors"), "holds no MMaDA transformer")
    refused(torn, "cannot be loaded")
    refused(without("model.safetensors"), "holds no weights")
    refused(without("tokenizer.json"), "holds no tokenizer.json")
    refused(lambda copy: (copy / "tokenizer.json").write_text("{"), "tokenizer .* cannot be loaded")


def test_log_probabilities_of_a_batch_are_those_of_single_items(model: MMaDA, released: MMaDA) -> None:
    for one in (model, released):
        ready = pickle.loads(pickle.dumps(one.prepare(items())))
        for masks in (1, 3):
            one.masks = masks
            sums, counts = told(one, ready)
            alone = [told(one, [item]) for item in ready]
            torch.testing.assert_close(sums, torch.cat([value for value, _ in alone]), atol=1e-3, rtol=1e-5)
            torch.testing.assert_close(counts, torch.cat([count for _, count in alone]))
        one.masks = 1
        assert counts[[0, 2]].tolist() == [len("a red dog") + 1, len("no") + 1]
        assert counts[1] == counts[3]  # one seed, one mask
        for item in (ready[0], ready[1]):
            batches = [one.collate([one.with_seed(item, seed)]) for seed in range(8)]
            assert any(not torch.equal(batches[0].ids, batch.ids) for batch in batches)


def test_the_estimate_of_a_text_is_right_on_average() -> None:
    """Every token counts once on average over masks: so the sum over hidden tokens, scaled, is that over all."""
    counted = np.zeros(5)
    for seed in range(4000):
        for hidden in text_masks(seed, 5, 2):
            counted += hidden * 5 / hidden.sum() / 8000
    assert counted == pytest.approx(np.ones(5), abs=0.06)
    shares = sorted(int(hidden.sum()) for hidden in text_masks(3, 100, 4))
    assert [after - before for before, after in pairwise(shares)] == [25, 25, 25]
    short, long = text_masks(8, 50)[0], text_masks(8, 100)[0]
    assert int(long.sum()) == pytest.approx(2 * short.sum(), abs=1)
    assert (short == long[:50]).mean() > 0.8


def test_the_likelihood_is_that_of_what_is_written_and_drawn(model: MMaDA) -> None:
    """Some token is certain where one is to be written, and some code where one is to be drawn; greedy is likeliest."""
    item = model.prepare([LikelihoodItem("text", "Is it day?", noise(1), "x")])[0]
    before, vocabulary = [*model.layout.seen_image(item.image.tolist()), *item.prompt], model.layout.vocabulary
    every = range(model.network.config.vocab_size)
    rows = [text_row(model.layout, before, [token], np.array([True]), 1.0) for token in every]
    with torch.no_grad():
        sums, _ = model.module(collate_rows(model.layout, rows, every))
    assert float(sums.exp().sum()) == pytest.approx(1.0, abs=1e-4)
    likeliest = int(sums.argmax())
    answer = model.understand([request("Is it day?", 0, (noise(1),), max_new_tokens=1)])[0]
    assert answer == (model._text([likeliest]) if likeliest not in vocabulary.ends else "")
    item = model.prepare([LikelihoodItem("image", "a cat", noise(1))])[0]
    codes = [Prepared(item.prompt, np.array([vocabulary.first_code + code]), None) for code in range(vocabulary.codes)]
    assert float(told(model, codes)[0].exp().sum()) == pytest.approx(1.0, abs=1e-4)


def test_gradients_reach_every_weight_and_recomputed_are_the_same(folder: Path) -> None:
    found = []
    for on in (False, True):
        model = MMaDA.load(str(folder), "cpu")
        model.recompute_activations(on)
        model.module.train()
        sums, _ = model.module(model.collate(model.prepare(items())))
        sums.sum().backward()
        found.append({name: weight.grad for name, weight in model.module.named_parameters()})
    assert all(grad is not None for grad in found[0].values())
    for name, grad in found[0].items():
        torch.testing.assert_close(grad, found[1][name])


def test_the_released_way_has_its_name_its_prompt_and_its_masks(model: MMaDA, released: MMaDA) -> None:
    assert released.info.name == "tiny-mmada-as-released"
    assert (model.version, released.version) == ("1", "1-as-released")
    ready, theirs = model.prepare(items()), released.prepare(items())
    end, misspelt = (encoded(model.tokenizer, text) for text in ("<|eot_id|>", "<eot_id>"))
    assert len(end) == 1 < len(misspelt)
    assert len(theirs[0].prompt) - len(ready[0].prompt) == len(misspelt) - 1
    assert theirs[1].prompt == ready[1].prompt
    sums, counts = told(model, [ready[1]])
    other, more = told(released, [theirs[1]])
    assert more - counts == 2  # <soi> and <eoi>
    assert float(other) < float(sums)  # over all tokens, not over the codes alone
    batch = released.collate(theirs)
    assert batch.mask.dtype == torch.float32
    assert set(batch.mask.unique().tolist()) == {torch.finfo(torch.float32).min, 0.0, 1.0}
    assert pixels(model.generate(drawn(steps=2))) == pixels(released.generate(drawn(steps=2)))


def test_the_released_way_squashes_pictures_by_the_name_of_their_file(
    model: MMaDA, released: MMaDA, tmp_path: Path
) -> None:
    wide = Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 64, 3), dtype=np.uint8))
    handles = []
    for name in ("cat", "my-llava-7"):
        wide.save(tmp_path / f"{name}.png")
        handles.append(ImageHandle(str(tmp_path / f"{name}.png")))

    def codes(one: MMaDA, handle: ImageHandle) -> bool:
        return one._squashes(request("?", 0, (handle,)))

    assert [codes(released, handle) for handle in handles] == [False, True]
    assert not any(codes(model, handle) for handle in handles)
    assert not torch.equal(released._codes(wide), released._squashed_codes(wide))
    cropped, squashed = (released.understand([request("?", 0, (one,), max_new_tokens=6)]) for one in handles)
    assert cropped != squashed
    assert len({tuple(model.understand([request("?", 0, (one,), max_new_tokens=6)])) for one in handles}) == 1


def test_a_whole_run_is_the_same_in_other_batches_and_another_one_as_released(
    model: MMaDA, released: MMaDA, tmp_path: Path
) -> None:
    def run(batch_size: int, one: MMaDA) -> Any:
        settings = EvalSettings(
            model="mmada",
            tasks=("homologous-u@text_steps=4,block_length=4", "homologous-g@steps=3"),
            data="shapes",
            judge="oracle",
            limit=1,
            batch_size=batch_size,
            device="cpu",
            out=tmp_path / f"{batch_size}-{one.version}",
        )
        return runner.evaluate(settings, model=one)

    first, second, theirs = run(8, model), run(1, model), run(8, released)
    assert first["run_id"] == second["run_id"] != theirs["run_id"]
    assert first["results"] == second["results"]
    assert all(result.counts.get("error", 0) == 0 for result in first["results"].values())


def test_training_raises_the_winner_and_tells_the_noise_of_both_sides(folder: Path, tmp_path: Path) -> None:
    model, before = MMaDA.load(str(folder), "cpu"), MMaDA.load(str(folder), "cpu")
    text = [LikelihoodItem("text", "What is this?", noise(1), said) for said in ("a red dog", "no")]
    image = [LikelihoodItem("image", "a red square", noise(n)) for n in (2, 3)]
    settings = TrainSettings(lr=1e-3, epochs=4, masks=2, replay=0.0, batch_size=1, bf16=False)
    report = train(model, [TrainPair("p", (text[0], text[1]), (image[0], image[1]))], [], settings, tmp_path)
    assert report.mask_noise is not None
    assert report.mask_noise > 0
    assert report.mask_noise_und is not None
    assert report.mask_noise_und > 0
    margins = []
    for one in (before, model):
        one.masks = 16
        sums, _ = told(one, one.prepare([*text, *image]))
        margins.append((float(sums[0] - sums[1]), float(sums[2] - sums[3])))
    assert margins[1][0] > margins[0][0]
    assert margins[1][1] > margins[0][1]
