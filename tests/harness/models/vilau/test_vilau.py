"""VILA-U on a tiny checkpoint: ragged batches, seeds, likelihoods, the released way, layout, a run and a training."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_vilau
import torch
from asking import PROMPTS, asked, assert_same_in_other_batches, drawn, noise, pixels, request
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.transforms import CenterCrop

from hermes.align.losses.likelihoods import TrainPair
from hermes.align.settings import TrainSettings
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.seeded import Draw
from hermes.harness.models.vilau.adapter import VilaU
from hermes.harness.models.vilau.drawing import draw_codes
from hermes.harness.models.vilau.images import learnt, seen
from hermes.harness.models.vilau.likelihood import image_item
from hermes.harness.models.vilau.prompting import drawing
from hermes.harness.models.vilau.released import TextTokens
from hermes.harness.models.vilau.sizes import SIGLIP, read_sizes
from hermes.harness.system.errors import HermesError, ImageError

POSITIONS = tiny_vilau.GRID**2
ITEMS = [
    LikelihoodItem("text", "What is this?", noise(1), "a red mat"),
    LikelihoodItem("image", "a red square", noise(2)),
    LikelihoodItem("text", "Why?", noise(1), "no"),
    LikelihoodItem("image", "two circles", noise(3, (16, 24)), seed=5),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vilau.save(tmp_path_factory.mktemp("checkpoints") / "tiny-vilau")


@pytest.fixture(scope="module")
def model(folder: Path) -> VilaU:
    return VilaU.load(str(folder), "cpu")


@pytest.fixture(scope="module")
def released(folder: Path) -> VilaU:
    return VilaU.load(str(folder), "cpu", LoadOptions(as_released=True))


def test_every_part_of_a_prompt_begins_with_a_space_but_a_special_token(model: VilaU) -> None:
    """The ids that the slow Llama tokenizer gives, at the places where faster ones differ."""
    words = model.words
    space, line = words.words.piece_to_id("▁"), words.words.piece_to_id("<0x0A>")
    assert words.part("\n") == [space, line]
    assert words.part("<im_end></s>") == [words.end, words.eos]
    assert words.part("<im_end>\n") == [words.end, line]
    assert words.part("cat <im_start>") == [*words.part("cat"), space, words.begin]
    assert words.part(" ")[-1] == space
    assert words.part("") == []
    assert words.part("a red cat") == words.words.encode("a red cat")
    assert words.part(" a red cat")[-3:] == words.words.encode("a red cat")[-3:]
    assert words.prompt(["a", "\n", "b"], 2) == [
        1,
        *words.part("a"),
        -200,
        -200,
        space,
        line,
        -200,
        -200,
        *words.part("b"),
    ]
    assert words.decode([words.bos, *words.part("a red café"), words.begin, words.eos]) == "a red café"


@pytest.mark.parametrize("settings", [{"temperature": 0.7, "top_k": 9, "top_p": 0.8}, {}])
def test_companions_change_nothing(model: VilaU, settings: dict[str, Any]) -> None:
    questions = [*asked(max_new_tokens=5, **settings), request("No picture?", 7, max_new_tokens=4)]
    questions[1] = request("Which of both?", 8, (noise(3), noise(4)), max_new_tokens=6, **settings)
    together = model.understand(questions)
    assert together == [model.understand([one])[0] for one in questions]
    assert together[::-1] == model.understand(questions[::-1])
    prompts = [*drawn(**settings), request("a dog", 9, guidance_scale=0.0), request("", 3, guidance_scale=6.0)]
    pictures = pixels(model.generate(prompts))
    assert pictures == [pixels(model.generate([one]))[0] for one in prompts]
    assert len(set(pictures)) == len(pictures)


def test_seeds_decide_and_the_global_generator_does_not(model: VilaU) -> None:
    one = request("a red square", 1)
    torch.manual_seed(1)
    first = pixels(model.generate([one]))
    torch.manual_seed(2)
    assert pixels(model.generate([one])) == first
    others = [one.model_copy(update={"seed": seed}) for seed in range(3)]
    assert len(set(pixels(model.generate(others)))) == 3
    assert model.understand(asked(max_new_tokens=5, temperature=1.0, top_k=1)) == model.understand(
        asked(max_new_tokens=5)
    )


def test_without_guidance_greedy_pictures_follow_the_likelihood(model: VilaU) -> None:
    """Each code that is drawn is the likeliest after those before it: the loop and ``module`` are one model."""
    prompt = model._ids([drawing(PROMPTS[0])])
    codes = draw_codes(model.network, [prompt], prompt, [Draw(0)], lambda likely, *_: likely.argmax(-1))[0]
    with torch.no_grad():
        for position, depth in ((0, 0), (0, 1), (1, 0), (4, 1)):
            others = codes.repeat(tiny_vilau.CODES, 1, 1)
            others[:, position, depth] = torch.arange(tiny_vilau.CODES)
            batch = model.collate([image_item(prompt, row) for row in others])
            sums = model.network.tower.sums(batch.codes)
            embedded = model.network.embedded(batch.ids, sums[:, :-1, -1].flatten(0, 1))
            hidden = model.network.read(embedded, batch.attention)
            told = model.module.of_codes(batch, hidden, sums)[:, position, depth]
            assert float(told.exp().sum()) == pytest.approx(1.0, abs=1e-4)
            assert int(told.argmax()) == codes[position, depth]


def test_likelihoods_do_not_depend_on_the_batch_and_have_gradients(model: VilaU) -> None:
    ready = pickle.loads(pickle.dumps(model.prepare(ITEMS)))
    together, counts = model.module(model.collate(ready))
    alone = torch.cat([model.module(model.collate([one]))[0] for one in ready])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-5)
    codes = float(POSITIONS * tiny_vilau.DEPTH)
    assert counts.tolist()[1::2] == [codes, codes]
    assert all(model.with_seed(one, 3) is one for one in ready)
    model.recompute_activations(True)
    model.module.train()
    again = model.module(model.collate(ready))[0]
    torch.testing.assert_close(again, together)
    assert not model.network.tower.training
    for one in ready[:2]:
        model.module.zero_grad()
        model.module(model.collate([one]))[0].sum().backward()
        missing = [name for name, p in model.module.named_parameters() if p.requires_grad and p.grad is None]
        assert missing == []
    model.recompute_activations(False)
    model.module.zero_grad()
    model.module.eval()


def test_pictures_are_cut_as_the_training_cuts_them(model: VilaU) -> None:
    """Of a tall picture the top counts, of a wide one the middle."""
    tall = noise(3, (16, 24))
    top = type(tall)(tall.open().crop((0, 0, 16, 16)))
    wide = noise(4, (24, 16))
    middle = type(wide)(wide.open().crop((4, 0, 20, 16)))
    whole, part = (
        model.prepare([LikelihoodItem("image", "a cat", one) for one in pair]) for pair in ((tall, wide), (top, middle))
    )
    assert [one.codes.tolist() for one in whole] == [one.codes.tolist() for one in part]


@pytest.mark.parametrize("size", [(47, 31), (48, 31), (49, 31), (50, 31), (31, 50)])
def test_the_middle_is_that_of_torchvision(size: tuple[int, int]) -> None:
    picture = noise(5, size).open()
    cut = CenterCrop(31)(picture) if size[0] > size[1] else picture.crop((0, 0, 31, 31))
    assert torch.equal(learnt(picture, 8), learnt(cut, 8))


def test_a_read_picture_is_resized_in_its_own_mode() -> None:
    colours = noise(6, (30, 20)).open().quantize(16)
    resized = colours.resize((8, 8), Image.Resampling.BICUBIC).convert("RGB")
    assert torch.equal(seen(colours, 8), seen(resized, 8))


def tensors(folder: Path) -> dict[str, Tensor]:
    """Every tensor below a folder, under its part's name."""
    return {
        f"{path.parent.name}/{name}": tensor
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def test_saved_and_loaded_it_is_the_same_model(model: VilaU, folder: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "again")
    before, after = tensors(folder), tensors(tmp_path / "again")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name].float(), after[name].float()) for name in before)
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.suffix != ".safetensors"}
    for path in sorted(path for path in files if (folder / path).is_file() and "index" not in path.name):
        assert (tmp_path / "again" / path).read_bytes() == (folder / path).read_bytes()
    (tmp_path / "around").mkdir()
    (tmp_path / "again").rename(tmp_path / "around" / "model")
    again = VilaU.load(f"vilau:{tmp_path / 'around'}", "cpu")
    assert again.info == model.info.model_copy(update={"name": "around"})
    assert again.understand(asked(max_new_tokens=4)) == model.understand(asked(max_new_tokens=4))
    assert pixels(again.generate(drawn())) == pixels(model.generate(drawn()))
    with torch.no_grad():
        again.network.rqtransformer.pos_emb_d[0, 0, 0] += 1
    assert again.info.fingerprint != model.info.fingerprint


def test_other_files_of_weights(model: VilaU, folder: Path, tmp_path: Path) -> None:
    """A pickle with a wrapper around it, and a prefix before all names."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    for part, before in (("mm_projector", "module."), ("vision_tower", "vision_tower.")):
        held = load_file(copy / part / "model.safetensors")
        (copy / part / "model.safetensors").unlink()
        torch.save(
            {"state_dict": {before + name: tensor for name, tensor in held.items()}}, copy / part / "pytorch_model.bin"
        )
    assert VilaU.load(str(copy), "cpu").info.fingerprint == model.info.fingerprint


def settings(path: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def edit(copy: Path) -> None:
        found = json.loads((copy / path).read_text())
        change(found)
        (copy / path).write_text(json.dumps(found))

    return edit


def weights(part: str, change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    def edit(copy: Path) -> None:
        held = load_file(copy / part / "model.safetensors")
        change(held)
        save_file(held, copy / part / "model.safetensors")

    return edit


def torn(copy: Path) -> None:
    path = copy / "vision_tower" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def not_a_number(held: dict[str, Tensor]) -> None:
    held["layers.0.bias"][0] = torch.nan


def whole_numbers(held: dict[str, Tensor]) -> None:
    held["layers.0.bias"] = held["layers.0.bias"].int()


IMAGES, DRAWN = "rqvaesiglip", "rqtransformer"
TOWER = "vision_tower/config.json"
FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "foreign": (settings("config.json", lambda found: found.update(model_type="llama")), "is a 'llama' model"),
    "no part": (lambda copy: shutil.rmtree(copy / "mm_projector"), "lacks mm_projector/config.json"),
    "no settings": (settings(TOWER, lambda found: found.pop(IMAGES)), "is not whole"),
    "unknown SigLIP": (settings(TOWER, lambda found: found[IMAGES].update(pretrained_model="a/b")), "SigLIP 'a/b'"),
    "another grid": (settings(TOWER, lambda found: found[IMAGES].update(code_shape=[2, 2, 2])), "2 x 2 positions"),
    "another depth": (settings(TOWER, lambda found: found[IMAGES].update(code_shape=[3, 3, 5])), "2 depths"),
    "other heads": (settings(TOWER, lambda found: found[DRAWN]["head"]["block"].update(n_head=7)), "7 heads"),
    "another decoder": (settings(TOWER, lambda found: found[IMAGES]["ddconfig"].update(ch=64)), "the shape"),
    "other attention": (settings(TOWER, lambda found: found[IMAGES]["ddconfig"].update(attn_resolutions=[8])), "lacks"),
    "another projector": (
        settings("mm_projector/config.json", lambda found: found.update(mm_projector_type="x")),
        "'x'",
    ),
    "torn": (torn, "cannot be loaded"),
    "no weights": (lambda copy: (copy / "vision_tower" / "model.safetensors").unlink(), "holds no weights"),
    "no shard": (lambda copy: (copy / "llm" / "model-00002-of-00005.safetensors").unlink(), "is missing"),
    "no tensor": (weights("vision_tower", lambda held: held.pop("rqtransformer.in_mlp_1.bias")), "in_mlp_1.bias"),
    "no codebook": (
        weights("vision_tower", lambda held: held.pop("rqvaesiglip.quantizer.codebooks.0.weight")),
        "lacks",
    ),
    "no number": (weights("mm_projector", not_a_number), "not finite"),
    "no tokenizer": (lambda copy: (copy / "llm" / "tokenizer.model").unlink(), "tokenizer"),
    "no added tokens": (lambda copy: (copy / "llm" / "added_tokens.json").unlink(), "lacks <im_start>"),
    "no levels": (settings(TOWER, lambda found: found[IMAGES]["ddconfig"].update(ch_mult=[])), "must be 1 or more"),
    "no latent": (settings(TOWER, lambda found: found[IMAGES].update(decoder_latent_shape=[])), "is not whole"),
    "no heads": (settings(TOWER, lambda found: found[DRAWN]["head"]["block"].update(n_head=0)), "must be 1 or more"),
    "whole numbers": (weights("mm_projector", whole_numbers), "holds layers.0.bias as torch.int32"),
    "a hot draw": (
        settings("llm/generation_config.json", lambda found: found.update(do_sample=True, temperature="x")),
        "names no way to draw",
    ),
    "no top p": (settings("llm/generation_config.json", lambda found: found.update(top_p=0)), "names no way to draw"),
    "fewer layers": (settings("llm/config.json", lambda found: found.update(num_hidden_layers=3)), "lack"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_torn_or_foreign_checkpoint_is_one_line(fault: str, folder: Path, tmp_path: Path) -> None:
    edit, words = FAULTS[fault]
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    edit(copy)
    with pytest.raises(HermesError, match=words) as caught:
        VilaU.load(str(copy), "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "side", "grid"),
    [("google/siglip-large-patch16-256", 256, 16), ("google/siglip-so400m-patch14-384", 384, 27)],
)
def test_published_siglips_are_known_by_name(name: str, side: int, grid: int, folder: Path, tmp_path: Path) -> None:
    for part in ("mm_projector", "vision_tower", "llm"):
        (tmp_path / part).mkdir()
        shutil.copyfile(folder / part / "config.json", tmp_path / part / "config.json")
    change = {"pretrained_model": name, "code_shape": [grid, grid, 4], "decoder_latent_shape": None}
    settings(TOWER, lambda found: found[IMAGES].update(change))(tmp_path)
    sizes = read_sizes(tmp_path)
    assert (sizes.side, sizes.grid, sizes.depth, sizes.beside) == (side, (grid, grid), 4, "")
    assert sizes.siglip == SIGLIP[Path(name).name]


def test_the_released_way_has_a_name_and_its_own_answers(model: VilaU, released: VilaU) -> None:
    assert released.info.name == f"{model.info.name}-as-released"
    assert (model.version, released.version) == ("1", "1-as-released")
    assert released.network.tower.dtype == torch.bfloat16
    questions = asked(max_new_tokens=8)
    assert released.understand(questions) != model.understand(questions)
    drawn_text = {"temperature": 0.6, "top_k": 50, "top_p": 0.9}
    assert released.understand(questions) == released.understand(asked(max_new_tokens=8, **drawn_text))
    greedy = asked(max_new_tokens=8, temperature=0.0)
    assert released.understand(greedy) == released.understand(asked(max_new_tokens=8, temperature=1.0, top_k=1))


def text_tokens(released: VilaU, token: str, monkeypatch: pytest.MonkeyPatch) -> TextTokens:
    """The released loop's text tokens, where every row with a prompt or without draws this one."""
    words, draws = released.words, [Draw(0, guidance=3.0), Draw(1)]
    made = TextTokens(released.network, words, draws, Draw(0, 1.0))
    number = words.added.get(token, words.eos)

    def only(embedded: Tensor) -> Tensor:
        return torch.full((len(embedded), len(words)), -torch.inf).index_fill(1, torch.tensor([number]), 0.0)

    monkeypatch.setattr(released.network.llm.lm_head, "forward", only)
    return made


@torch.no_grad()
def test_nothing_said_of_drawing_is_what_transformers_takes(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    said = {"do_sample": True, "temperature": None, "top_k": None, "top_p": None}
    settings("llm/generation_config.json", lambda found: found.update(said))(copy)
    model = VilaU.load(str(copy), "cpu", LoadOptions(as_released=True))
    assert model._released_draw(7) == Draw(7, 1.0, 50, 1.0, 1.0)


def test_rows_behind_the_tokenizer_are_no_text(model: VilaU) -> None:
    assert model.words.decode([*model.words.part("a cat"), len(model.words) + 5]) == "a cat"


def test_thrown_away_text_gets_in_the_way_as_released(released: VilaU, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = torch.randn(3, released.network.llm.config.hidden_size)
    for token in ("<im_start>", "<vi_start>"):
        instead = text_tokens(released, token, monkeypatch)(embedded, 0)
        row = released.network.llm.get_input_embeddings().weight[released.words.added[token]]
        assert torch.equal(instead, row.expand(3, -1))
    assert torch.equal(text_tokens(released, "<im_end>", monkeypatch)(embedded, 0), embedded)
    with pytest.raises(ImageError, match="position 4"):
        text_tokens(released, "</s>", monkeypatch)(embedded, 4)


def test_precision_and_adapter_are_applied(model: VilaU, folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    half = VilaU.load(str(folder), "cpu", LoadOptions(dtype="bfloat16"))
    assert (half.info.dtype, half.network.tower.dtype) == ("bfloat16", torch.float32)
    assert len(half.generate(drawn())) == len(half.understand(asked(max_new_tokens=3))) == 3
    assert half.module(half.collate(half.prepare(ITEMS)))[0].dtype == torch.float32
    spread = VilaU.load(str(folder), "cpu", LoadOptions(device_map="auto"))
    assert spread.understand(asked(max_new_tokens=4)) == model.understand(asked(max_new_tokens=4))
    made = LoraConfig(r=2, target_modules=["q_proj", "attn.query"], init_lora_weights=False)
    get_peft_model(VilaU.load(str(folder), "cpu").network, made).save_pretrained(tmp_path / "lora")
    tuned = VilaU.load(str(folder), "cpu", LoadOptions(adapter=str(tmp_path / "lora")))
    assert tuned.info.parameters == model.info.parameters
    assert tuned.info.fingerprint != model.info.fingerprint
    assert pixels(tuned.generate(drawn())) != pixels(model.generate(drawn()))


@pytest.mark.parametrize(
    "config", [{"image_size": 24}, {"steps": 4}, {"guidance_scale": -1.0}, {"temperature": -1.0}, {"top_k": -1}]
)
def test_settings_that_it_cannot_keep_are_refused(model: VilaU, config: dict[str, Any]) -> None:
    with pytest.raises(HermesError):
        model.generate(drawn(**config))


def test_a_whole_run_is_the_same_in_other_batches(model: VilaU, tmp_path: Path) -> None:
    assert_same_in_other_batches(model, tmp_path)


def test_training_raises_the_winner(folder: Path, tmp_path: Path) -> None:
    model, before = VilaU.load(str(folder), "cpu"), VilaU.load(str(folder), "cpu")
    text = [LikelihoodItem("text", "What is this?", noise(1), said) for said in ("a red mat", "no")]
    image = [LikelihoodItem("image", "a red square", noise(n)) for n in (2, 3)]
    pair = TrainPair("p", (text[0], text[1]), (image[0], image[1]))
    train(
        model, [pair], [], TrainSettings(lr=1e-3, epochs=3, replay=0.0, batch_size=1, bf16=False), tmp_path / "training"
    )
    model.save(tmp_path / "after")
    margins = []
    for one in (before, VilaU.load(str(tmp_path / "after"), "cpu")):
        with torch.no_grad():
            told = one.module(one.collate(one.prepare([*text, *image])))[0]
        margins.append((float(told[0] - told[1]), float(told[2] - told[3])))
    assert margins[1][0] > margins[0][0]
    assert margins[1][1] > margins[0][1]
    old, new = tensors(folder), tensors(tmp_path / "after")
    assert {name: tensor.shape for name, tensor in old.items()} == {name: tensor.shape for name, tensor in new.items()}
    moved = {name.partition(".")[0] for name in old if not torch.equal(old[name].float(), new[name].float())}
    assert moved == {"llm/model", "llm/lm_head", "mm_projector/layers", "vision_tower/rqtransformer"}
