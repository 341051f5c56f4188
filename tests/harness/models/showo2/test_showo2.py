"""Show-o2 on a tiny checkpoint: ragged batches, seeds, likelihoods, the released way, layout, a run and a training."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_showo2
import torch
from asking import PROMPTS, asked, assert_same_in_other_batches, drawn, noise, pixels, request
from PIL import Image, ImageChops
from safetensors.torch import load_file, save_file
from torch import Tensor

from hermes.align.losses.likelihoods import TrainPair
from hermes.align.settings import TrainSettings
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import Drew, LikelihoodItem
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.noising import noise_of
from hermes.harness.models.showo2.adapter import Showo2
from hermes.harness.models.showo2.config import TEXT, max_text, read_config
from hermes.harness.models.showo2.drawing import draw_latents
from hermes.harness.models.showo2.images import cropped, padded
from hermes.harness.models.showo2.places import llm_folder, siglip_settings
from hermes.harness.models.showo2.prompting import SYSTEM, USER, drawing, question
from hermes.harness.models.showo2.training_rows import IGNORED, MOST, TrainingRow, conversation_row
from hermes.harness.models.showo2.wan import load_wan, sampled
from hermes.harness.system.errors import HermesError

ELEMENTS = float(tiny_showo2.CHANNELS * (tiny_showo2.PATCH * tiny_showo2.GRID) ** 2)
FEW = {"steps": 4}
ITEMS = [
    LikelihoodItem("text", "What is this?", noise(1), "a red mat"),
    LikelihoodItem("image", "a red square", noise(2)),
    LikelihoodItem("text", "Why?", noise(1), "no"),
    LikelihoodItem("image", "two circles", noise(3, (16, 24)), seed=5),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_showo2.save(tmp_path_factory.mktemp("checkpoints") / "tiny-showo2")


@pytest.fixture(scope="module")
def model(folder: Path) -> Showo2:
    return Showo2.load(str(folder), "cpu")


@pytest.fixture(scope="module")
def released(folder: Path) -> Showo2:
    return Showo2.load(str(folder), "cpu", LoadOptions(as_released=True))


def apart(one: Image.Image | Drew, other: Image.Image | Drew) -> int:
    """The largest difference of two pictures' levels."""
    first, second = (each.image if isinstance(each, Drew) else each for each in (one, other))
    return max(high for _, high in ImageChops.difference(first, second).getextrema())  # type: ignore[misc]


@pytest.mark.parametrize("settings", [{"temperature": 0.7, "top_k": 9, "top_p": 0.8}, {}])
def test_companions_do_not_change_an_answer(model: Showo2, settings: dict[str, Any]) -> None:
    questions = [*asked(max_new_tokens=5, **settings), request("No picture?", 7, max_new_tokens=4, **settings)]
    questions += [request("And this?", 8, questions[0].images, max_new_tokens=6, **settings)]
    together = model.understand(questions)
    assert together == [model.understand([one])[0] for one in questions]
    assert together[::-1] == model.understand(questions[::-1])
    assert len(set(together)) == len(together)


def test_companions_do_not_change_a_picture(model: Showo2) -> None:
    """Beside rows of other guidance, steps, sizes and lengths, but for rounding."""
    prompts = [*drawn(**FEW), request("a dog", 9, guidance_scale=0.0, **FEW), request("", 3, guidance_scale=2.0, **FEW)]
    prompts += [request("a cat", 4, steps=3), request("a cat", 4, image_size=80, **FEW)]
    together = model.generate(prompts)
    alone = [model.generate([one])[0] for one in prompts]
    assert max(map(apart, together, alone)) <= 1
    assert len(set(pixels(alone))) == len(alone)
    assert [picture.size for picture in together] == [(48, 48)] * 6 + [(80, 80)]


def test_seeds_decide_and_the_global_generator_does_not(model: Showo2) -> None:
    one = request("a red square", 1, **FEW)
    torch.manual_seed(1)
    first = pixels(model.generate([one]))
    torch.manual_seed(2)
    assert pixels(model.generate([one])) == first
    assert len(set(pixels(model.generate([one.model_copy(update={"seed": seed}) for seed in range(3)])))) == 3
    once, again = (
        model.understand([each.model_copy(update={"seed": seed}) for each in asked(max_new_tokens=6)])
        for seed in (1, 2)
    )
    assert once == again


def test_no_guidance_is_a_scale_of_nought_or_one(model: Showo2) -> None:
    empty = drawing(model.words, "", 9)[0]
    prompt, start = drawing(model.words, "a red cat", 9)[0], noise_of(1, 1, (16, 6, 6))
    none, one, half = (draw_latents(model.network, [prompt], empty, start, [scale], 3) for scale in (0.0, 1.0, 0.5))
    torch.testing.assert_close(none, one)
    assert not torch.allclose(none, half)
    assert torch.equal(
        draw_latents(model.network, [empty], empty, start, [1.0], 3),
        draw_latents(model.network, [empty], empty, start, [0.0], 3),
    )


def test_what_stands_behind_a_picture_and_beside_it_changes_nothing(model: Showo2) -> None:
    """The loop with its caches and ``module`` on whole rows are one model: the velocity at the first step."""
    from hermes.harness.models.showo2.drawing import Reader

    start = noise_of(3, 2, (16, 6, 6))
    prompts = [drawing(model.words, text, 99)[0] for text in PROMPTS[:2]]
    reader = Reader(model.network, prompts, drawing(model.words, "", 99)[0], [0.0, 0.0], (6, 6))
    ready = model.prepare([LikelihoodItem("image", text, noise(1)) for text in PROMPTS[:2]])
    batch = model.collate(ready)
    rows = torch.tensor([0, model.masks])
    noised = batch.latents.index_copy(0, rows, start)
    batch = type(batch)(**vars(batch) | {"latents": noised, "times": torch.full_like(batch.times, 0.3)})
    with torch.no_grad():
        hidden, time, allowed = model.module.states(batch)
        whole = model.module.velocities(batch, hidden, time, allowed)[rows]
        torch.testing.assert_close(reader(start, 0.3), whole, atol=1e-4, rtol=1e-4)


def test_likelihoods_do_not_depend_on_the_batch_and_have_gradients(model: Showo2) -> None:
    ready = pickle.loads(pickle.dumps(model.prepare(ITEMS)))
    together, counts = model.module(model.collate(ready))
    alone = torch.cat([model.module(model.collate([one]))[0] for one in ready])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-5)
    assert counts.tolist() == [10.0, ELEMENTS, 3.0, ELEMENTS]
    model.recompute_activations(True)
    model.module.train()
    torch.testing.assert_close(model.module(model.collate(ready))[0], together)
    for one in ready[:2]:
        model.module.zero_grad()
        model.module(model.collate([one]))[0].sum().backward()
        assert [name for name, p in model.module.named_parameters() if p.requires_grad and p.grad is None] == []
    model.recompute_activations(False)
    model.module.zero_grad()
    model.module.eval()


def test_noise_and_times_follow_from_the_items_seed(model: Showo2, monkeypatch: pytest.MonkeyPatch) -> None:
    text, image = model.prepare(ITEMS[:2])
    assert model.with_seed(text, 3) is text
    other = model.with_seed(image, 3)
    with torch.no_grad():
        first, again, moved = (float(model.module(model.collate([one]))[0]) for one in (image, image, other))
        batch = model.collate([image, model.with_seed(other, image.seed), other])
        assert torch.equal(batch.times[:4], batch.times[4:8])
        assert torch.equal(batch.latents[:4], batch.latents[4:8])
        # Stratified in the law of the training, noise first: one time in each quarter.
        assert torch.equal(batch.times[:4].sort(descending=True).values, batch.times[:4])
        monkeypatch.setattr(model, "masks", 1)
        assert len(model.collate([image]).times) == 1
    assert first == again
    assert first != moved


def test_log_probabilities_are_those_of_the_velocity(model: Showo2) -> None:
    """Data less noise, summed over the latents' elements, meaned over the draws."""
    ready = model.prepare(ITEMS[1:2])
    batch = model.collate(ready)
    clean, t = ready[0].latents, batch.times.view(-1, 1, 1, 1)
    start = noise_of(ready[0].seed, model.masks, clean.shape)
    torch.testing.assert_close(batch.latents, t * clean + (1 - t) * start)
    with torch.no_grad():
        hidden, time, allowed = model.module.states(batch)
        found = model.module.velocities(batch, hidden, time, allowed)
        errors = (found - (clean - start)).square().sum((1, 2, 3))
        torch.testing.assert_close(model.module(batch)[0][0], -0.5 * errors.mean())


def test_pictures_are_padded_to_be_read_and_cropped_to_be_learnt(model: Showo2) -> None:
    wide = noise(4, (64, 32))
    learnt, seen = model.prepare([LikelihoodItem(kind, "a cat", wide, "no") for kind in ("image", "text")])
    assert torch.equal(learnt.latents, model.wan.posterior(cropped(wide.open(), 48))[0])
    assert torch.equal(seen.latents, model.wan.posterior(padded(wide.open(), 48))[0])
    black = padded(wide.open(), 48)
    assert bool((black[:, :12] == -1).all())
    assert bool((black[:, -12:] == -1).all())
    assert bool((black[:, 12:-12] != -1).any())
    square = noise(5, (30, 30)).open()
    assert torch.equal(padded(square, 48), cropped(square, 48))


def test_a_padded_picture_is_as_large_as_the_authors_make_it() -> None:
    """Their quotient is rounded before it is multiplied: 13 * (432 / 26) is a little more than 216."""
    white = Image.new("RGB", (26, 13), (255, 255, 255))
    for picture, axis in ((white, 1), (white.transpose(Image.Transpose.ROTATE_90), 0)):
        assert int((padded(picture, 432)[0] == 1).any(axis).sum()) == 217


def test_a_picture_stands_where_the_first_question_names_it(model: Showo2) -> None:
    words = model.words

    def row(question: str, answer: str = "no") -> TrainingRow:
        return conversation_row(words, [(question, answer)], 10)

    def question_of(made: TrainingRow) -> str:
        ids = [one for one in made.ids if one not in (words.image, words.bos)]
        return words.decode(ids).removeprefix("system\nYou are a helpful assistant.\nuser\n")

    for text, before in (("<image>\nWhy?", ""), ("\nWhy?", ""), ("Is <image> red?", "Is "), ("Why?\n<image>", "")):
        made = row(text)
        head = [words.bos, *words.encode(SYSTEM), *words.encode(USER), *words.encode(before), words.begin]
        assert made.ids[: made.begin] == head
        assert made.ids[made.begin : made.begin + 11] == [*[words.image] * 10, words.end]
    assert row("Why?\n<image>") == row("<image>\nWhy?") == row("\nWhy?")
    assert question_of(row("Is <image> red?")) == "Is  red?\nassistant\nno"
    # The picture is one of the question's tokens, the end one of the answer's.
    assert len(row("<image>" + "a" * 600).ids) == len(row("").ids) + MOST - 1
    long = row("", "a" * 600)
    assert long.labels[-MOST:] == words.encode("a" * MOST)
    assert long.labels[-MOST - 1] == IGNORED


def test_the_released_way_has_a_name_and_its_own_answers(model: Showo2, released: Showo2) -> None:
    assert released.info.name == f"{model.info.name}-as-released"
    assert (model.version, released.version) == ("1", "1-as-released")
    questions = asked(max_new_tokens=8)
    told = released.understand(questions)
    assert told != model.understand(questions)
    assert told == [released.understand([one])[0] for one in questions]
    again = [one.model_copy(update={"seed": one.seed + 1}) for one in questions]
    assert released.understand(again) != told
    words = model.words
    ours, theirs = (question(words, "Why?", True, way) for way in (False, True))
    assert ours.before == theirs.before
    assert words.decode(list(ours.after)) == "\nWhy?\nassistant\n"
    assert list(ours.after) == [
        words.end,
        *words.encode("\nWhy?"),
        words.eos,
        *theirs.after[len(words.encode("Why?")) + 1 :],
    ]
    assert pixels(released.generate(drawn(**FEW))) != pixels(model.generate(drawn(**FEW)))


def test_a_prompt_that_is_too_long_is_cut_and_says_so(model: Showo2) -> None:
    cut, whole = model.generate([request("a" * (TEXT + 1), 1, **FEW), request("a" * TEXT, 1, **FEW)])
    assert isinstance(cut, Drew)
    assert cut.prompt_cut
    assert isinstance(whole, Image.Image)
    assert apart(cut, whole) <= 1
    assert [max_text(grid) for grid in ((27, 27), (32, 32), (64, 64))] == [290, 251, 251]


def test_saved_and_loaded_it_is_the_same_model(model: Showo2, folder: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "again")
    before, after = (load_file(where / "pytorch_model.safetensors") for where in (folder, tmp_path / "again"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name].float(), after[name].float()) for name in before)
    assert (tmp_path / "again" / "Wan2.1_VAE.pth").read_bytes() == (folder / "Wan2.1_VAE.pth").read_bytes()
    assert json.loads((tmp_path / "again" / "config.json").read_text()).keys() == read_config(folder).told.keys()
    again = Showo2.load(f"showo2:{tmp_path / 'again'}", "cpu")
    assert again.info == model.info.model_copy(update={"name": "again"})
    assert again.understand(asked(max_new_tokens=4)) == model.understand(asked(max_new_tokens=4))
    # Weights at other addresses may be multiplied in another order.
    assert max(map(apart, again.generate(drawn(**FEW)), model.generate(drawn(**FEW)))) <= 1
    with torch.no_grad():
        again.network.diffusion_head_b.linear.bias[0] += 1
    assert again.info.fingerprint != model.info.fingerprint


def other_files(copy: Path) -> None:
    """Shards of pickles, a prefix before all names, the autoencoder as safetensors in a folder, parts further out."""
    held = load_file(copy / "pytorch_model.safetensors")
    (copy / "pytorch_model.safetensors").unlink()
    where = {}
    for number, names in enumerate((sorted(held)[::2], sorted(held)[1::2])):
        file = f"pytorch_model-0000{number + 1}-of-00002.bin"
        torch.save({f"model.{name}": held[name] for name in names}, copy / file)
        where |= {f"model.{name}": file for name in names}
    (copy / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    (copy.parent / "vae").mkdir()
    wan = torch.load(copy / "Wan2.1_VAE.pth", weights_only=True)
    save_file(wan, copy.parent / "vae" / "Wan2.1_VAE.safetensors")
    (copy / "Wan2.1_VAE.pth").unlink()
    (copy / "llm").rename(copy.parent / "llm")


def test_other_files_of_weights(model: Showo2, folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    other_files(copy)
    assert Showo2.load(str(copy), "cpu").info.fingerprint == model.info.fingerprint


def test_a_head_of_its_own(folder: Path, tmp_path: Path) -> None:
    """Where head and embeddings differ, as of the 7B, they are two, also when it is saved."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    weights(lambda held: held["showo.lm_head.weight"].mul_(2))(copy)
    model = Showo2.load(str(copy), "cpu")
    assert model.network.showo.lm_head.weight is not model.network.showo.model.embed_tokens.weight
    model.save(tmp_path / "again")
    held = load_file(tmp_path / "again" / "pytorch_model.safetensors")
    assert torch.equal(held["showo.lm_head.weight"], 2 * held["showo.model.embed_tokens.weight"])


def settings(path: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def edit(copy: Path) -> None:
        found = json.loads((copy / path).read_text())
        change(found)
        (copy / path).write_text(json.dumps(found))

    return edit


def weights(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    def edit(copy: Path) -> None:
        held = load_file(copy / "pytorch_model.safetensors")
        change(held)
        save_file(held, copy / "pytorch_model.safetensors")

    return edit


def drop(held: dict[str, Tensor], before: str) -> None:
    for name in [name for name in held if name.startswith(before)]:
        del held[name]


def autoencoder(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    def edit(copy: Path) -> None:
        held = torch.load(copy / "Wan2.1_VAE.pth", weights_only=True)
        change(held)
        torch.save(held, copy / "Wan2.1_VAE.pth")

    return edit


def torn(name: str) -> Callable[[Path], None]:
    def edit(copy: Path) -> None:
        (copy / name).write_bytes((copy / name).read_bytes()[:5000])

    return edit


CONFIG, LLM = "config.json", "llm/config.json"
FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "foreign": (settings(CONFIG, lambda found: found.update(_class_name="Showo")), "is a 'Showo' model"),
    "no settings": (settings(CONFIG, lambda found: found.pop("patch_size")), "is not whole"),
    "no size": (settings(CONFIG, lambda found: found.update(patch_size=0)), "must be 1 or more"),
    "no time": (settings(CONFIG, lambda found: found.update(add_time_embeds=False)), "no time tokens"),
    "another table": (settings(CONFIG, lambda found: found.update(image_latent_dim=4)), "the shape"),
    "no LLM": (lambda copy: shutil.rmtree(copy / "llm"), "language model 'llm'"),
    "another LLM": (settings(LLM, lambda found: found.update(model_type="llama")), "'llama' model"),
    "fewer layers": (settings(LLM, lambda found: found.update(num_hidden_layers=3, layer_types=None)), "2 layers"),
    "more layers": (settings(LLM, lambda found: found.update(num_hidden_layers=1, layer_types=None)), "2 layers"),
    "a lost layer of the head": (weights(lambda held: drop(held, "diffusion_head_a.1.")), "1 layers diffusion_head_a"),
    "a lost layer of SigLIP": (weights(lambda held: drop(held, "und_trans.layers.1.")), "1 layers und_trans"),
    "no SigLIP": (lambda copy: shutil.rmtree(copy / "siglip"), "SigLIP 'google/siglip'"),
    "other heads": (
        settings("siglip/config.json", lambda found: found["vision_config"].update(num_attention_heads=5)),
        "5 heads",
    ),
    "no vision": (settings("siglip/config.json", lambda found: found.update(vision_config=None)), "no vision_config"),
    "no heads": (
        settings("siglip/config.json", lambda found: found["vision_config"].update(num_attention_heads=None)),
        "does not fit its settings",
    ),
    "no tokenizer": (lambda copy: (copy / "llm" / "tokenizer.json").unlink(), "tokenizer"),
    "torn": (torn("pytorch_model.safetensors"), "cannot be loaded"),
    "no weights": (lambda copy: (copy / "pytorch_model.safetensors").unlink(), "Wan2.1_VAE.pth holds|lacks|holds no"),
    "no tensor": (weights(lambda held: held.pop("fusion_proj.3.bias")), "fusion_proj.3.bias"),
    "no head": (weights(lambda held: held.pop("diffusion_head_b.linear.bias")), "diffusion_head_b.linear.bias"),
    "no embeddings": (weights(lambda held: held.pop("showo.model.embed_tokens.weight")), "embed_tokens"),
    "fewer words": (
        weights(
            lambda held: held.update(
                {
                    f"showo.{name}.weight": held[f"showo.{name}.weight"][:99]
                    for name in ("model.embed_tokens", "lm_head")
                }
            )
        ),
        "tokens, the weights",
    ),
    "no number": (weights(lambda held: held["time_embed.mlp.0.bias"].fill_(torch.nan)), "not finite"),
    "whole numbers": (
        weights(lambda held: held.update({"time_embed.mlp.0.bias": held["time_embed.mlp.0.bias"].int()})),
        "as torch.int32",
    ),
    "no autoencoder's tensor": (autoencoder(lambda held: held.pop("decoder.conv1.bias")), "decoder.conv_in.bias"),
    "no number there": (autoencoder(lambda held: held["conv2.bias"].fill_(torch.inf)), "not finite"),
    "another autoencoder": (autoencoder(lambda held: held.pop("encoder.conv1.bias")), "is not the autoencoder"),
    "torn autoencoder": (torn("Wan2.1_VAE.pth"), "cannot be loaded"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_torn_or_foreign_checkpoint_is_one_line(fault: str, folder: Path, tmp_path: Path) -> None:
    edit, words = FAULTS[fault]
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    edit(copy)
    with pytest.raises(HermesError, match=words) as caught:
        Showo2.load(str(copy), "cpu")
    assert "\n" not in str(caught.value)


def test_published_parts_are_known_by_name(folder: Path, tmp_path: Path) -> None:
    assert siglip_settings(tmp_path, "google/siglip-so400m-patch14-384") == {"num_attention_heads": 16}
    shutil.copytree(folder / "llm", tmp_path / "Qwen2.5-1.5B-Instruct")
    (tmp_path / "model").mkdir()
    assert llm_folder(tmp_path / "model", "Qwen/Qwen2.5-1.5B-Instruct") == tmp_path / "Qwen2.5-1.5B-Instruct"


def test_the_autoencoder_is_flattened_and_does_the_same(folder: Path) -> None:
    """Against diffusers' whole kernels, at another shape than a square's."""
    from diffusers import AutoencoderKLWan
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    held = torch.load(folder / "Wan2.1_VAE.pth", weights_only=True)
    whole = AutoencoderKLWan(**tiny_showo2.WAN).eval()
    whole.load_state_dict({name: one.float() for name, one in convert_wan_vae_to_diffusers(held).items()})
    wan, shown = load_wan(folder / "Wan2.1_VAE.pth", "cpu"), torch.rand(3, 32, 48) * 2 - 1
    mean, spread = wan.posterior(shown)
    with torch.no_grad():
        told = whole.encode(shown[None, :, None]).latent_dist
        torch.testing.assert_close(mean * wan.std + wan.mean, told.mean[0, :, 0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(spread, told.logvar[0, :, 0], atol=1e-5, rtol=1e-4)
        made = whole.decode(told.mean).sample[0, :, 0].clamp(-1, 1)
    torch.testing.assert_close(wan.decode(mean), made, atol=1e-4, rtol=1e-4)
    assert torch.equal(sampled(mean, spread, torch.zeros_like(mean)), mean)
    rounded = load_wan(folder / "Wan2.1_VAE.pth", "cpu", torch.bfloat16)
    assert 0 < float((rounded.decode(mean) - wan.decode(mean)).abs().max()) < 0.1


def test_precision_and_adapter_are_applied(model: Showo2, folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    half = Showo2.load(str(folder), "cpu", LoadOptions(dtype="bfloat16"))
    assert half.info.dtype == "bfloat16"
    assert next(half.wan.network.parameters()).dtype == torch.float32
    assert len(half.generate(drawn(**FEW))) == len(half.understand(asked(max_new_tokens=3))) == 3
    assert half.module(half.collate(half.prepare(ITEMS)))[0].dtype == torch.float32
    spread = Showo2.load(str(folder), "cpu", LoadOptions(device_map="auto"))
    assert spread.understand(asked(max_new_tokens=4)) == model.understand(asked(max_new_tokens=4))
    made = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(Showo2.load(str(folder), "cpu").network, made).save_pretrained(tmp_path / "lora")
    tuned = Showo2.load(str(folder), "cpu", LoadOptions(adapter=str(tmp_path / "lora")))
    assert tuned.info.parameters == model.info.parameters
    assert pixels(tuned.generate(drawn(**FEW))) != pixels(model.generate(drawn(**FEW)))


@pytest.mark.parametrize(
    "config",
    [{"image_size": 40}, {"steps": 1}, {"steps": 0}, {"guidance_scale": -1.0}, {"temperature": 1.0}, {"top_k": 1}],
)
def test_settings_that_it_cannot_keep_are_refused(model: Showo2, config: dict[str, Any]) -> None:
    with pytest.raises(HermesError):
        model.generate(drawn(**config))


def test_several_pictures_are_refused(model: Showo2) -> None:
    with pytest.raises(HermesError, match="exactly one image"):
        model.understand([request("Which?", 1, (noise(1), noise(2)))])


def test_a_whole_run_is_the_same_in_other_batches(model: Showo2, tmp_path: Path) -> None:
    assert_same_in_other_batches(model, tmp_path)


def margins(model: Showo2) -> tuple[float, float]:
    """By how much the winner is likelier than the loser, of texts and, meaned over seeds, of pictures."""
    text, image = pair()
    items = [one.__class__(**vars(one) | {"seed": seed}) for seed in range(6) for one in image]
    with torch.no_grad():
        told = model.module(model.collate(model.prepare([*text, *items])))[0]
    return float(told[0] - told[1]), float((told[2::2] - told[3::2]).mean())


def pair() -> tuple[tuple[LikelihoodItem, LikelihoodItem], tuple[LikelihoodItem, LikelihoodItem]]:
    red, no = (LikelihoodItem("text", "What is this?", noise(1), said) for said in ("a red mat", "no"))
    winner, loser = (LikelihoodItem("image", "a red square", noise(number)) for number in (2, 3))
    return (red, no), (winner, loser)


@pytest.mark.parametrize("rank", [0, 2])
def test_training_raises_the_winner(rank: int, folder: Path, tmp_path: Path) -> None:
    model = Showo2.load(str(folder), "cpu")
    told = TrainSettings(
        lr=1e-2 if rank else 1e-3, epochs=6, replay=0.0, batch_size=1, bf16=False, lora_rank=rank, masks=2
    )
    before = margins(model)
    train(model, [TrainPair("p", *pair())], [], told, tmp_path / "training")
    model.save(tmp_path / "after")
    after = margins(Showo2.load(str(tmp_path / "after"), "cpu"))
    assert after[0] > before[0]
    assert after[1] > before[1]
    old, new = (load_file(where / "pytorch_model.safetensors") for where in (folder, tmp_path / "after"))
    moved = {name.partition(".")[0] for name in old if not torch.equal(old[name].float(), new[name].float())}
    assert moved > {"showo", "und_trans", "diffusion_head_a", "fusion_proj", "time_embed", "diffusion_head_b"}
    assert ("position_embedding" in moved) == (rank == 0)
