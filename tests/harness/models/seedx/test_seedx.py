"""SEED-X on a tiny checkpoint: ragged batches, seeds, both rules, likelihoods, layouts, a run and a round."""

import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import tiny_seedx
import torch
from asking import asked, assert_same_in_other_batches, drawn, noise, pixels, request
from PIL import Image
from safetensors.torch import load_file, save_file

import hermes
from hermes.align.losses.likelihoods import TrainPair
from hermes.align.settings import TrainSettings
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.detect import adapter_of
from hermes.harness.models.room import folder_bytes
from hermes.harness.models.seeded import Draw
from hermes.harness.models.seedx import adapter as seedx
from hermes.harness.models.seedx import places, prompting
from hermes.harness.models.seedx.adapter import SeedX
from hermes.harness.models.seedx.prompting import request as wish
from hermes.harness.models.seedx.prompting import row
from hermes.harness.models.seedx.tokenizer import read_tokenizer, without_tags
from hermes.harness.models.seedx.writing import begun, begun_as_released, write
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError

RELEASED = LoadOptions(as_released=True)
LAYER = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_seedx.save(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> SeedX:
    return SeedX.load(str(folder))


@pytest.fixture(scope="module")
def editing(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> SeedX:
    """The same weights as the variant that edits."""
    home = tmp_path_factory.mktemp("edit")
    for part in folder.iterdir():
        (home / ("seed_x_edit" if part.name == "seed_x_i" else part.name)).symlink_to(part)
    return SeedX.load(f"seedx:{home}/seed_x_edit")


@pytest.fixture(scope="module")
def saved(model: SeedX, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "again"
    folder.mkdir()
    model.save(folder)
    return folder


@pytest.fixture(autouse=True, scope="module")
def short() -> Iterator[None]:
    """Few words before a picture, which take most of the time of a small model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seedx, "WITH_A_PICTURE", 16)
        patch.setattr(seedx, "WITH_AN_EDIT", 20)
        yield


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name ``seedx``, also where Hermes was installed before it had it."""
    if "seedx" not in registry.names("models"):
        monkeypatch.setitem(registry._of_files, ("models", "seedx"), registry.Offer("models", "seedx", SeedX, "here"))


def test_tokens_follow_the_rules_of_the_released_tokenizer(folder: Path) -> None:
    words = read_tokenizer(folder / tiny_seedx.WORDS, 2, "model x")
    plain, end = words.pieces.words.encode, words.pieces.added
    ids = words.encode(" a <img>\n yes</s> no <patch></patch> <img_00001>!")
    expected = [*plain(" a"), end["<img>"], *plain("yes"), words.end, *plain(" no")]
    assert ids == [*expected, end["<patch>"], end["</patch>"], end["<img_00001>"], *plain("!")]
    assert words.decode(words.encode("a<img>no</s> b <patch>")) == "a <img>  no</s> b <patch>"
    assert words.spoken(words.encode("a<img>no</s> b <patch>")) == "a no  b"
    assert words.encode("") == []
    assert without_tags("if 1 < 2 and 3 > 2 <img>") == "if 1  2"


def test_a_map_may_say_that_tokens_keep_the_space_beside_them(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / tiny_seedx.WORDS, tmp_path / "words")
    entry = {"content": "<img>", "lstrip": False, "rstrip": False}
    (tmp_path / "words" / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": [entry]}))
    words = read_tokenizer(tmp_path / "words", 2, "model x")
    assert words.encode("a <img>")[:-1] == words.pieces.words.encode("a ")


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0}, {"temperature": 0.7, "top_k": 9, "top_p": 0.9}])
def test_companions_change_no_answer(model: SeedX, settings: dict[str, Any]) -> None:
    wide, tall = (noise(4, (70, 30)), noise(5, (30, 70)))
    questions = [
        *asked(**settings),
        request("No picture?", 7, max_new_tokens=4),
        request("Which of both?", 8, (wide, tall), max_new_tokens=9, **settings),
        request("", 9, (wide,), max_new_tokens=9, **settings),
    ]
    together = model.understand(questions)
    assert together == [model.understand([one])[0] for one in questions]
    assert len(set(together)) == len(together)
    assert [one.truncated for one in together] == [True] * len(together)


def test_seeds_decide_and_the_global_generator_does_not(model: SeedX) -> None:
    one = request("a red square", 1, steps=2)
    first = pixels(model.generate([one]))
    torch.manual_seed(2)
    assert pixels(model.generate([one])) == first
    others = [one.model_copy(update={"seed": seed}) for seed in range(3)]
    assert len(set(pixels(model.generate(others)))) == 3
    assert model.understand(asked(temperature=1.0, top_k=1)) == model.understand(asked())


def test_companions_change_no_pixel(model: SeedX) -> None:
    wanted = [
        *drawn(steps=2),
        request("a cat", 5, steps=3, guidance_scale=0.0),
        request("a cat like this", 6, (noise(1),), steps=2, image_size=40),
        request("", 7, steps=2, temperature=1.0),
    ]
    together = pixels(model.generate(wanted))
    assert together == [pixels(model.generate([one]))[0] for one in wanted]
    assert len(set(together)) == len(together)


def test_guidance_of_at_most_one_is_none(model: SeedX) -> None:
    free, one, strong = (pixels(model.generate(drawn(guidance_scale=g, steps=2))) for g in (0.0, 1.0, 5.0))
    assert free == one
    assert free != strong


def test_an_edit_begins_with_the_picture_that_it_changes(editing: SeedX, model: SeedX) -> None:
    assert editing.style == "edit"
    assert model.loaded.editor is None
    assert editing._view(noise(1, (70, 30)).open()).entries == (0, 0)
    one, other = noise(1), noise(2)
    found = [editing.generate([request("make it red", 1, images, steps=2)])[0] for images in ((one,), (other,), ())]
    assert len(set(pixels(found))) == 3
    editing.loaded.editor.stage.unet.conv_in.weight.data[:, 4:] *= -1  # what reads the source alone
    changed = editing.generate([request("make it red", 1, (one,), steps=2)])[0]
    assert changed.tobytes() != found[0].tobytes()
    assert editing.generate([request("make it red", 1, steps=2)])[0].tobytes() == found[2].tobytes()


def test_a_picture_that_is_changed_is_looked_at_once(editing: SeedX, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    features = editing.eyes.features
    monkeypatch.setattr(editing.eyes, "features", lambda images: seen.append(len(images)) or features(images))
    editing.generate([request("make it red", 1, (noise(1),), steps=1)])
    assert seen == [1]


def test_only_the_variant_with_the_second_stage_edits(editing: SeedX, model: SeedX) -> None:
    assert "editing" in editing.info.abilities
    assert model.info.abilities == ("understanding", "generation")


def test_query_tokens_stand_in_pictures_alone_unless_as_released(folder: Path, model: SeedX) -> None:
    released = SeedX.load(str(folder), options=RELEASED)
    assert (released.name, released.version) == (f"{model.name}-as-released", "1-as-released")
    assert released.info.fingerprint == model.info.fingerprint
    words, rows = model.words, [row(model.words, wish("instruct", "a cat", []))]
    nothing, both = torch.empty(0, len(words.queries), tiny_seedx.WIDTH), (model, released)
    hooks = [one.llm.lm_head.register_forward_hook(lambda _, __, scores: scores - 1e3) for one in both]
    try:
        ours, theirs = (
            write(one.llm, words, rows, nothing, [Draw(0)], 9, [words.end], one.as_released)[0] for one in both
        )
        chain = [*words.queries, words.image_end]
        assert theirs == [*chain, *chain][:9]
        assert not set(chain) & set(ours)
        wanted = request("a cat", 1, steps=1)
        assert model.generate([wanted])[0].size == (tiny_seedx.PICTURE,) * 2
        with pytest.raises(HermesError, match=r"ends with [2-9] pictures as it was released; leave --as-released out"):
            released.generate([wanted])
    finally:
        for hook in hooks:
            hook.remove()


def test_where_a_picture_begins(model: SeedX) -> None:
    words = model.words
    before = row(words, wish("instruct", "a cat", []))
    chain = [words.image, *words.queries, words.image_end]
    for written in ([5, words.image], [5, words.end], [5]):
        assert begun(before, written, words).ids == (*before.ids, 5, words.image)
    whole = begun_as_released(before, [5, *chain, 6, words.end], words)
    assert whole.ids == (*before.ids, 5, words.image)
    assert begun_as_released(before.and_then([words.image]), [*chain[1:], 6], words).ids == (*before.ids, words.image)
    for bad, words_said in (([5, *chain, *chain], "2 pictures"), ([5], "0 pictures"), ([5, chain[-1]], "not begun")):
        with pytest.raises(HermesError, match=words_said):
            begun_as_released(before, bad, words)


def test_the_base_model_draws_at_once(model: SeedX, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "style", "base")
    monkeypatch.setattr(model.llm, "generate", None)
    assert len(set(pixels(model.generate(drawn(steps=1))))) == 3
    found = model._begun(drawn(), [[], [], []], [])[0]
    assert found.ids == (model.words.begin, *model.words.encode("a red square"), model.words.image)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("text", ["a red dog", "a red dog ", "a red dog\n", " ", ""])
def test_space_before_a_picture_is_that_of_the_tokenizer(folder: Path, tmp_path: Path, text: str, kept: bool) -> None:
    shutil.copytree(folder / tiny_seedx.WORDS, tmp_path / "words")
    if kept:
        entries = [{"content": name, "lstrip": False, "rstrip": False} for name in ("<img>", "</img>", "<patch>")]
        said = json.dumps({"additional_special_tokens": entries})
        (tmp_path / "words" / "special_tokens_map.json").write_text(said)
    words = read_tokenizer(tmp_path / "words", 2, "model x")
    found = row(words, prompting.request("base", text, []), words.image)
    assert found.ids == (words.begin, *words.encode(f"{text}<img>"))
    asked = row(words, prompting.question("instruct", text, [1]))
    image = "<img><img_00000><img_00001></img>"
    assert asked.ids == (words.begin, *words.encode(f"[INST] {image}{text} [/INST]\n"))


def items() -> list[LikelihoodItem]:
    return [
        LikelihoodItem("text", "What is this?", noise(1), "a red dog"),
        LikelihoodItem("text", "What is this?", noise(1), "no"),
        LikelihoodItem("text", "Why?", noise(2, (70, 30)), ""),
    ]


def test_likelihoods_do_not_depend_on_the_batch_and_have_gradients(model: SeedX) -> None:
    ready = pickle.loads(pickle.dumps(model.prepare(items())))
    batch = model.collate(ready)
    together, counts = model.module(batch)
    alone = torch.cat([model.module(model.collate([one]))[0] for one in ready])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-5)
    assert counts.tolist() == [len(model.words.encode(one.text)) + 1 for one in items()]
    assert len(batch.seen.images) == 1 + 3  # one picture in a single tile, one in two tiles and as a whole
    assert all(model.with_seed(one, 3) is one for one in ready)
    together.sum().backward()
    weights = dict(model.module.named_parameters())
    missing = [name for name, weight in weights.items() if weight.requires_grad and weight.grad is None]
    assert missing == []
    moving = {name.partition(".")[0] for name, weight in weights.items() if weight.requires_grad}
    frozen = [name for name, weight in weights.items() if not weight.requires_grad]
    assert moving == {"llm", "eyes"}
    assert all(
        name.startswith(("eyes.vision.", "eyes.agent.output", "eyes.agent.input_resampler.pos")) for name in frozen
    )
    model.module.zero_grad()


def test_a_likelihood_is_that_of_the_tokens_one_by_one(model: SeedX) -> None:
    ready = model.prepare(items()[:1])[0]
    found = model.module(model.collate([ready]))[0]
    pictures = model._embeddings([ready.view])
    total, ids = 0.0, ready.prompt
    from hermes.harness.models.seedx.network import embedded

    with torch.inference_mode():
        for target in ready.target:
            rows = embedded(model.llm, torch.tensor([ids.ids]), torch.tensor([ids.seen]), pictures)
            total += float(torch.log_softmax(model.llm(inputs_embeds=rows).logits[0, -1], -1)[target])
            ids = ids.and_then([target])
    assert float(found) == pytest.approx(total, abs=1e-3)


def test_a_picture_has_no_likelihood(model: SeedX) -> None:
    with pytest.raises(HermesError, match=r"a picture has no likelihood; train on texts alone"):
        model.prepare([*items(), LikelihoodItem("image", "a cat", noise(1))])


def test_saved_and_loaded_it_is_the_same_model(model: SeedX, saved: Path, known: None) -> None:
    again = hermes.load_model(str(saved), "cpu")
    assert isinstance(again, SeedX)
    assert again.info.fingerprint == model.info.fingerprint
    assert again.understand(asked()) == model.understand(asked())
    assert pixels(again.generate(drawn(steps=1))) == pixels(model.generate(drawn(steps=1)))
    with torch.no_grad():
        again.agent.patch_pos_embed[0, 0] += 1
    assert again.info.fingerprint != model.info.fingerprint


def test_a_step_of_training_raises_the_winner_and_is_saved(folder: Path, tmp_path: Path) -> None:
    trained, before = SeedX.load(str(folder)), SeedX.load(str(folder))
    both = items()[:2]
    settings = TrainSettings(lr=1e-3, epochs=2, replay=0.0, batch_size=1, bf16=False, objective="und")
    train(trained, [TrainPair("p", (both[0], both[1]), None)], [], settings, tmp_path / "training")
    (tmp_path / "after").mkdir()
    trained.save(tmp_path / "after")
    after = SeedX.load(str(tmp_path / "after"))
    assert after.info.fingerprint == trained.info.fingerprint
    with torch.no_grad():
        told = [one.module(one.collate(one.prepare(both)))[0] for one in (before, after)]
    assert float(told[1][0] - told[1][1]) > float(told[0][0] - told[0][1])
    old, new = before._state(), after._state()
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    assert {"agent.patch_pos_embed", "agent.input_resampler.query", "llm.lm_head.weight"} < moved
    assert not any(name.startswith(("vision", "first", "second", "vae", "agent.output")) for name in moved)


def test_what_is_where_and_what_it_weighs(folder: Path, saved: Path) -> None:
    for place in (folder, folder / "seed_x_i", saved):
        assert adapter_of(str(place), ["seedx"]) == "seedx"
    sources = SeedX.sources(str(folder))
    assert [Path(one.name).name for one in sources][:2] == ["seed_x_i", "QwenViT"]
    counted = sum(folder_bytes(Path(one.name), 4) for one in sources)
    assert counted > sum(tensor.numel() for tensor in SeedX.load(str(folder))._state().values()) * 4
    assert SeedX.load(str(folder)).name == "tiny/seed_x_i"
    assert SeedX.load(f"seedx:{saved}").name == "again"


def test_whole_files_and_safetensors_are_read_as_well(folder: Path, model: SeedX, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    shutil.move(copy / "seed_x_i" / "agent" / "pytorch_model.bin", copy / "seed_x_i" / "agent.bin")
    (copy / "seed_x_i" / "agent").rmdir()
    tiny_seedx.as_safetensors(copy / "seed_detokenizer" / "first_stage" / "pytorch_model.bin")
    state = torch.load(copy / "QwenViT" / "qwen_vit_G.pt")
    shutil.rmtree(copy / "QwenViT")
    (copy / "Qwen-VL-Chat").mkdir()
    whole = {f"transformer.visual.{name}": tensor.contiguous() for name, tensor in state.items()}
    save_file({**whole, "transformer.wte.weight": torch.zeros(1)}, copy / "Qwen-VL-Chat" / "model.safetensors")
    found = SeedX.load(str(copy))
    assert found.info.fingerprint == model.info.fingerprint
    (tmp_path / "again").mkdir()
    found.save(tmp_path / "again")
    assert SeedX.load(str(tmp_path / "again")).info.fingerprint == model.info.fingerprint


def test_the_parts_of_the_hub_come_from_their_places(
    folder: Path, model: SeedX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, asked_for = {}, []
    for repository, parts in {
        places.PUBLISHED: ("seed_x_i", "seed_detokenizer", tiny_seedx.WORDS),
        places.EYE: ("QwenViT/qwen_vit_G.pt",),
        places.PAINTER: tuple(f"stable-diffusion-xl-base-1.0/{name}" for name in ("unet", "vae", "scheduler")),
    }.items():
        here[repository] = tmp_path / repository / "snapshots" / "0123456789abcdef"
        here[repository].mkdir(parents=True)
        for part in parts:
            (here[repository] / Path(part).name).symlink_to(folder / part)

    def snapshot_download(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked_for.append((name, revision, allow_patterns[0]))
        return str(here[name])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    for reference, revision in (("seedx", None), ("AILab-CVC/SEED-X-17B@main", "main")):
        asked_for.clear()
        found = SeedX.load(reference)
        assert found.info.fingerprint == model.info.fingerprint
        assert (found.name, found.info.revision) == ("AILab-CVC/SEED-X-17B/seed_x_i", "0123456789abcdef")
        assert asked_for == [
            (places.PUBLISHED, revision, "seed_x_i/*"),
            (places.EYE, None, "*.json"),
            (places.PAINTER, None, "*/config.json"),
        ]
    other = places.find("seedx:AILab-CVC/SEED-X-17B/seed_x_edit@abc")
    assert (other.name, other.revision, places.style_of(other)) == ("AILab-CVC/SEED-X-17B", "abc", "edit")
    assert "seed_detokenizer/second_stage/*" in other.only
    assert places.style_of(places.find("seedx:AILab-CVC/seed-x-17b-pretrain")) == "base"
    with pytest.raises(HermesError, match="neither a folder"):
        places.find("seedx:no such folder")


def test_an_adapter_lies_on_the_llm(folder: Path, tmp_path: Path) -> None:
    trained = SeedX.load(str(folder))
    both = items()[:2]
    settings = TrainSettings(
        lr=1e-3, steps=1, replay=0.0, batch_size=1, bf16=False, objective="und", lora_rank=2, checkpointing=True
    )
    train(trained, [TrainPair("p", (both[0], both[1]), None)], [], settings, tmp_path)
    found = SeedX.load(str(folder), options=LoadOptions(adapter=str(tmp_path / "adapter")))
    for name, value in found._state().items():
        torch.testing.assert_close(value, trained._state()[name], atol=1e-6, rtol=1e-5)
    assert not torch.equal(found.llm.state_dict()[LAYER], SeedX.load(str(folder)).llm.state_dict()[LAYER])


def test_a_denoiser_lies_over_that_of_the_base(folder: Path, model: SeedX, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    stage = copy / "seed_detokenizer" / "first_stage" / "pytorch_model.bin"
    state = torch.load(stage)
    moved = [name for name in state if name.startswith("unet.") and "mid_block" in name]
    base = {name.removeprefix("unet."): tensor for name, tensor in state.items() if name.startswith("unet.")}
    save_file(
        {name: tensor.contiguous() for name, tensor in base.items()},
        copy / "stable-diffusion-xl-base-1.0" / "unet" / "diffusion_pytorch_model.safetensors",
    )
    torch.save({name: tensor for name, tensor in state.items() if name not in moved}, stage)
    found = SeedX.load(str(copy))
    assert found.info.fingerprint == model.info.fingerprint
    found.save(tmp_path / "again")
    assert SeedX.load(str(tmp_path / "again")).info.fingerprint == model.info.fingerprint


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(folder: Path, dtype: Any) -> None:
    half = SeedX.load(str(folder), options=LoadOptions(dtype=dtype))
    assert half.info.dtype == dtype
    assert len(half.understand(asked())) == len(half.generate(drawn(steps=1)))
    assert bool(half.module(half.collate(half.prepare(items())))[0].isfinite().all())


def test_a_fine_tuning_lies_over_the_llm(folder: Path, model: SeedX, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = copy / "seed_x_i" / "agent" / "pytorch_model.bin"
    layer, norm, rank = "model.layers.0.self_attn.q_proj", "model.norm", 2
    up, down = torch.randn(rank, tiny_seedx.WIDTH), torch.randn(tiny_seedx.WIDTH, rank)
    tuned = {
        f"llm.base_model.model.{layer}.lora_A.default.weight": up,
        f"llm.base_model.model.{layer}.lora_B.default.weight": down,
        f"llm.base_model.model.{norm}.modules_to_save.default.weight": torch.full((tiny_seedx.WIDTH,), 2.0),
        f"llm.base_model.model.{norm}.original_module.weight": torch.full((tiny_seedx.WIDTH,), 3.0),
    }
    state = torch.load(path)
    torch.save({**state, **tuned}, path)
    old, new = model.llm.state_dict(), SeedX.load(str(copy)).llm.state_dict()
    torch.testing.assert_close(new[f"{layer}.weight"], old[f"{layer}.weight"] + down @ up * 16.0)
    assert new[f"{norm}.weight"].tolist() == [2.0] * tiny_seedx.WIDTH
    torch.save({**torch.load(path), "llm.base_model.model.model.layers.9.x.weight": up}, path)
    with pytest.raises(HermesError, match="holds 1 tensors that the LLM has no place for"):
        SeedX.load(str(copy))
    for name, odd in (("lora_A", None), ("lora_B", None), ("lora_A", up[:1]), ("lora_A", up[:0]), ("lora_B", down[0])):
        other = {**tuned, f"llm.base_model.model.{layer}.{name}.default.weight": odd}
        torch.save({**state, **{key: tensor for key, tensor in other.items() if tensor is not None}}, path)
        with pytest.raises(HermesError, match="holds 1 tensors that the LLM has no place for"):
            SeedX.load(str(copy))


def _torn(folder: Path, fault: str) -> None:
    """One fault in a copy of a saved checkpoint."""
    agent = folder / "agent" / "model.safetensors"
    state = load_file(agent)
    match fault:
        case "no resamplers":
            shutil.rmtree(folder / "agent")
        case "half a file":
            agent.write_bytes(agent.read_bytes()[:2000])
        case "a tensor less":
            save_file({name: one for name, one in state.items() if name != "patch_pos_embed"}, agent)
        case "another shape":
            save_file({**state, "output_resampler.ln_q.bias": torch.zeros(3)}, agent)
        case "no numbers":
            save_file({**state, "patch_pos_embed": state["patch_pos_embed"] * torch.nan}, agent)
        case "another LLM":
            config = json.loads((folder / "llm" / "config.json").read_text())
            (folder / "llm" / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
        case "no LLM":
            (folder / "llm" / "model.safetensors").unlink()
        case "few tokens":
            added = json.loads((folder / "tokenizer" / "added_tokens.json").read_text())
            (folder / "tokenizer" / "added_tokens.json").write_text(json.dumps({"<img>": added["<img_00000>"]}))
        case "heads":
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, "input_resampler": {"num_heads": 5}}))
        case "no sense":
            (folder / "config.json").write_text('{"model_type": "seedx", "style": "loud"}')
        case "no vision":
            shutil.rmtree(folder / "QwenViT")
        case "no denoiser":
            stage = folder / "detokenizer_first_stage" / "pytorch_model.bin"
            torch.save({name: one for name, one in torch.load(stage).items() if "unet.conv_in" not in name}, stage)
        case "no marks":
            save_file({**state, "patch_pos_embed": state["patch_pos_embed"][:3].contiguous()}, agent)
        case "other features":
            stage = folder / "detokenizer_first_stage" / "pytorch_model.bin"
            torch.save({**torch.load(stage), "resampler.proj_in.weight": torch.zeros(16, 7)}, stage)
        case "no decoder":
            (folder / "sdxl" / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"x" * 99)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("no resamplers", r"lacks its agent; download the checkpoint completely"),
        ("half a file", r"model\.safetensors cannot be loaded .* download the file again"),
        ("a tensor less", r"agent lacks (1 of the .*|patch_pos_embed)"),
        ("another shape", r"agent holds output_resampler.ln_q.bias with the shape \(3,\)"),
        ("no numbers", r"patch_pos_embed holds numbers that are not finite"),
        ("another LLM", r"is a 'gpt2' model; give a checkpoint of llama"),
        ("no LLM", r"llm cannot be loaded"),
        ("few tokens", r"the tokenizer in .* lacks 7 tokens, such as </img>; give SEED-X's tokenizer"),
        ("heads", r"config.json: 5 heads do not divide a width of 32"),
        ("no sense", r"style 'loud' is none of instruct, base, edit.*fix the file"),
        ("no vision", r"Qwen/Qwen-VL-Chat: not available from the hub .* the name .*QwenViT"),
        ("no denoiser", r"the denoiser in .* lacks 2 of the .* tensors, such as conv_in"),
        ("no marks", r"has no four marks of 32 numbers for the places of tiles; give the parts of one checkpoint"),
        ("other features", r"takes other features than the LLM's are; give the parts of one checkpoint"),
        ("no decoder", r"sdxl cannot be loaded"),
    ],
)
def test_what_is_torn_or_foreign_is_one_line(saved: Path, tmp_path: Path, fault: str, said: str) -> None:
    copy = shutil.copytree(saved, tmp_path / "copy")
    _torn(copy, fault)
    with pytest.raises(HermesError, match=said) as caught:
        SeedX.load(str(copy))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", [{"image_size": 33}, {"steps": 0}, {"guidance_scale": -1.0}, {"temperature": -1.0}])
def test_settings_that_it_cannot_keep_are_refused(model: SeedX, config: dict[str, Any]) -> None:
    with pytest.raises(HermesError):
        model.generate(drawn(**config))


def test_a_whole_run_is_the_same_in_other_batches(folder: Path, known: None, tmp_path: Path) -> None:
    assert_same_in_other_batches(str(folder), tmp_path, "homologous-g@steps=1", limit=1)


def test_a_round_of_self_play_on_captions(
    folder: Path, known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seedx, "DEFAULTS", seedx.DEFAULTS.model_copy(update={"steps": 1}))
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    record = {"id": "a", "img_path": "a.png", "caption": "a red wall", "caption_win": "red", "caption_lose": "blue"}
    (tmp_path / "pairs.json").write_text(json.dumps([record]))
    common: dict[str, Any] = {
        "model": str(folder),
        "data": "shapes",
        "rounds": 1,
        "items": 2,
        "n": 2,
        "critic": "oracle",
        "eval_limit": 1,
        "epochs": 1,
        "replay_batch": 1,
        "device": "cpu",
        "out": tmp_path / "run",
        "pairs": tmp_path / "pairs.json",
    }
    with pytest.raises(HermesError, match=r"no likelihood of pictures, which --objective sum needs"):
        hermes.align(**common, objective="sum")
    history = hermes.align(**common, dtype="float32")
    assert history["rounds"][1]["pairs"] == 1
    after = SeedX.load(str(tmp_path / "run" / "round-1" / "checkpoint"))
    assert after.info.fingerprint != SeedX.load(str(folder)).info.fingerprint
