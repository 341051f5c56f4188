"""BAGEL on a tiny checkpoint: ragged batches, seeds, edits, likelihoods, layouts, a run and a round."""

import json
import math
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_bagel
import torch
from asking import asked, assert_same_in_other_batches, drawn, noise, pixels, request
from safetensors.torch import load_file, save_file

import hermes
from hermes.align.losses.likelihoods import TrainPair
from hermes.align.pairs.preferences import Preference, read_records
from hermes.align.pairs.tokens import train_pair
from hermes.align.settings import TrainSettings
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.bagel import adapter, places
from hermes.harness.models.bagel.adapter import BAGEL
from hermes.harness.models.detect import adapter_of
from hermes.harness.models.room import folder_bytes
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError

RELEASED = LoadOptions(as_released=True)
LAYER = "language_model.model.layers.1.mlp{}.down_proj.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bagel.save(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> BAGEL:
    return BAGEL.load(str(folder))


@pytest.fixture(scope="module")
def released(folder: Path) -> BAGEL:
    return BAGEL.load(str(folder), options=RELEASED)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name ``bagel``, also where Hermes was installed before it had it."""
    if "bagel" not in registry.names("models"):
        monkeypatch.setitem(registry._of_files, ("models", "bagel"), registry.Offer("models", "bagel", BAGEL, "here"))


def near(found: list[bytes], wanted: list[bytes]) -> bool:
    """Pictures that differ by the rounding of products of another shape: at most one level of 255."""
    pairs = [(torch.frombuffer(bytearray(a), dtype=torch.uint8).int(), b) for a, b in zip(found, wanted, strict=True)]
    return all(
        len(a) == len(b) and int((a - torch.frombuffer(bytearray(b), dtype=torch.uint8).int()).abs().max()) <= 1
        for a, b in pairs
    )


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0}, {"temperature": 0.7, "top_k": 9, "top_p": 0.9}])
def test_companions_change_no_answer(model: BAGEL, settings: dict[str, Any]) -> None:
    wide, tall = noise(4, (70, 30)), noise(5, (30, 70))
    questions = [
        *asked(**settings),
        request("No picture?", 7, max_new_tokens=4),
        request("Which of both?", 8, (wide, tall), max_new_tokens=9, **settings),
        request("", 9, (wide,), max_new_tokens=9, **settings),
    ]
    together = model.understand(questions)
    assert together == [model.understand([one])[0] for one in questions]
    assert len(set(together)) == len(together)
    assert model.understand([request("Which of both?", 8, (tall, wide), max_new_tokens=9)]) != [
        model.understand([request("Which of both?", 8, (wide, tall), max_new_tokens=9)])[0]
    ]


def test_companions_change_no_picture(model: BAGEL) -> None:
    wanted = [
        *drawn(steps=3),
        request("a cat", 5, steps=4, guidance_scale=0.0),
        request("a cat like this", 6, (noise(1),), steps=3),
        request("both", 8, (noise(1, (60, 30)), noise(2, (20, 50))), steps=3, guidance_scale=2.0),
        request("", 7, steps=3, image_size=16, guidance_scale=7.0),
    ]
    together = model.generate(wanted)
    alone = [model.generate([one])[0] for one in wanted]
    assert near(pixels(together), pixels(alone))
    assert len(set(pixels(together))) == len(together)
    assert [one.size for one in together] == [(32, 32)] * 4 + [(24, 16), (12, 32), (16, 16)]


def test_seeds_decide_and_the_global_generator_does_not(model: BAGEL) -> None:
    one = request("a red square", 1, steps=3)
    first = pixels(model.generate([one]))
    torch.manual_seed(2)
    assert pixels(model.generate([one])) == first
    others = [one.model_copy(update={"seed": seed}) for seed in range(3)]
    assert len(set(pixels(model.generate(others)))) == 3
    assert model.understand(asked(temperature=1.0, top_k=1)) == model.understand(asked())


def test_guidance_of_at_most_one_is_none(model: BAGEL) -> None:
    free, one, strong = (pixels(model.generate(drawn(guidance_scale=g, steps=3))) for g in (0.0, 1.0, 5.0))
    assert free == one
    assert not near(free, strong)


def test_a_change_begins_with_its_source(model: BAGEL) -> None:
    found = [
        model.generate([request("make it red", 1, images, steps=3)])[0] for images in ((noise(1),), (noise(2),), ())
    ]
    assert len(set(pixels(found))) == 3


def test_as_released(model: BAGEL, released: BAGEL) -> None:
    assert (released.name, released.version) == (f"{model.name}-as-released", "1-as-released")
    assert released.info.fingerprint == model.info.fingerprint
    one = [request("Is it red?", max_new_tokens=9)]
    assert len(model.words.encode(released.understand(one)[0])) < len(model.words.encode(model.understand(one)[0]))
    big = [request("What is this?", 1, (noise(3, (64, 24)),), max_new_tokens=9)]
    assert released.understand(big)[0] != model.understand(big)[0][: len(released.understand(big)[0])]
    alone = pixels(released.generate(drawn(steps=3)[:1]))
    assert near(alone, pixels(model.generate(drawn(steps=3)[:1])))
    assert not near(alone, pixels(released.generate(drawn(steps=3)))[:1])
    change = [request("make it red", 1, (noise(1),), steps=3)]
    assert pixels(released.generate(change)) == pixels(released.generate(change)) != pixels(model.generate(change))


def test_ids_without_a_token_are_never_written(model: BAGEL) -> None:
    head = model.loaded.network.language_model.lm_head
    hook = head.register_forward_hook(
        lambda _, __, scores: scores + 1e3 * (torch.arange(scores.shape[-1]) >= len(model.words))
    )
    try:
        assert len(model.understand(asked())) == 3
    finally:
        hook.remove()


@pytest.mark.parametrize(
    ("config", "words"),
    [({"steps": 1}, "steps: .* 2 times or more"), ({"image_size": 30}, "multiples of 4 px up to 32, not 30")],
)
def test_settings_out_of_range(model: BAGEL, config: dict[str, Any], words: str) -> None:
    with pytest.raises(HermesError, match=words):
        model.generate(drawn(**config))


def items() -> list[LikelihoodItem]:
    return [
        LikelihoodItem("text", "What is this?", noise(1), "a red dog"),
        LikelihoodItem("text", "What is this?", noise(1), "no"),
        LikelihoodItem("image", "a cat", noise(2, (60, 30)), seed=5),
        LikelihoodItem("text", "Why?", noise(2, (70, 30)), ""),
        LikelihoodItem("image", "a dog on a mat", noise(3), seed=6),
    ]


def test_likelihoods_do_not_depend_on_the_batch_and_have_gradients(model: BAGEL) -> None:
    ready = pickle.loads(pickle.dumps(model.prepare(items())))
    together, counts = model.module(model.collate(ready))
    alone = torch.cat([model.module(model.collate([one]))[0] for one in ready])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-5)
    words = [len(model.words.encode(one.text)) + 1 for one in items() if one.kind == "text"]
    assert counts.tolist() == [words[0], words[1], 8 * 4 * 8, words[2], 6 * 4 * 8]
    weights = {name: weight for name, weight in model.module.named_parameters() if weight.requires_grad}
    for chosen in (ready[:2], ready[2:3]):  # words alone and pictures alone have gradients of the same weights
        model.module.zero_grad()
        model.module(model.collate(chosen))[0].sum().backward()
        assert [name for name, weight in weights.items() if weight.grad is None] == []
    assert {name.split(".")[1] for name in weights} == {
        "language_model",
        "connector",
        "time_embedder",
        "vae2llm",
        "llm2vae",
    }
    model.module.zero_grad()


def test_pictures_are_measured_under_noise_of_their_seed(model: BAGEL) -> None:
    ready = model.prepare(items()[2:3])[0]
    with torch.no_grad():
        first, again, other = (
            float(model.module(model.collate([model.with_seed(ready, seed)]))[0]) for seed in (1, 1, 2)
        )
        assert first == again != other
        model.masks = 3
        try:
            batch = model.collate([ready])
            assert len(batch.rows.lengths) == len(batch.times) == 3
            assert float(batch.times.min()) < float(batch.times.max())
            several, counts = model.module(batch)
            _, made = model.loaded.network.read(
                batch.rows, model.loaded.network.vit_model.empty(), batch.noised, batch.times
            )
            errors = (model.loaded.network.llm2vae(made) - batch.target).square().sum()
        finally:
            model.masks = 1
    assert float(several) == pytest.approx(-0.5 * float(errors) / 3, rel=1e-5)
    assert counts.tolist() == [8 * 4 * 8]
    text = model.prepare(items()[:1])[0]
    assert model.with_seed(text, 3) is text


def test_a_picture_that_is_drawn_again_stands_behind_what_is_seen_of_it(model: BAGEL) -> None:
    """RecA's order: the picture through the vision encoder, a request, the picture under noise; for each draw."""
    from hermes.harness.models.bagel.rows import Row, packed

    item = LikelihoodItem("image", "Describe it.", noise(2, (60, 30)), seed=5, again=True)
    network, marks = model.loaded.network, model.loaded.marks
    model.masks = 3
    try:
        ready, plain = model.prepare([item, replace(item, again=False)])
        others = model.prepare([*items(), replace(item, image=noise(7))])
        with torch.no_grad():
            batch = model.collate([ready])
            found, counts = model.module(batch)
            seen = model.eyes.see(model.eyes.glanced_at(item.image.open()))
            row = Row(marks).seen(seen.grid).text(model._ids(item.prompt)).noise(ready.grid)
            rows = packed([row] * 3, network.sides)
            _, made = network.read(rows, seen.features.repeat(3, 1), batch.noised, batch.times)
            errors = (network.llm2vae(made) - batch.target).square().sum()
            together, _ = model.module(model.collate([others[0], ready, *others[1:]]))
            without, _ = model.module(model.collate([plain]))
    finally:
        model.masks = 1
    assert float(found) == pytest.approx(-0.5 * float(errors) / 3, rel=1e-5)
    assert float(together[1]) == pytest.approx(float(found), rel=1e-5)
    assert counts.tolist() == [ready.tokens.size]
    assert abs(float(without - found)) > 1e-3


def test_what_is_to_be_drawn_again_is_seen_small(model: BAGEL) -> None:
    """At most 224 px wide and high, as RecA has it, or as much as the checkpoint's encoder takes."""
    wide = model.eyes.glanced_at(noise(1, (900, 300)).open())
    longest = min(224, model.loaded.settings.seen_rule(False).longest)
    assert longest - model.loaded.settings.patch < wide.width <= longest
    assert wide.height == pytest.approx(wide.width / 3, abs=model.loaded.settings.patch)
    assert model.eyes.glanced_at(noise(1, (24, 24)).open()).size == (24, 24)


def test_a_likelihood_is_that_of_the_tokens_one_by_one(model: BAGEL) -> None:
    from hermes.harness.models.bagel.rows import Row
    from hermes.harness.models.bagel.writing import remember, step_by_step

    item = items()[0]
    found, _ = model.module(model.collate(model.prepare([item])))
    seen = model.eyes.see(model.eyes.asked_about(item.image.open()))
    row = Row(model.loaded.marks).seen(seen.grid).text(model._ids(item.prompt))
    target, told = [*model._ids(item.text), model.loaded.marks.end], []

    def choose(step: int, logits: torch.Tensor) -> list[int] | None:
        told.append(float(torch.log_softmax(logits[0], -1)[target[step]]))
        return target[step : step + 1] if step + 1 < len(target) else None

    cache = remember(model.loaded.network, [row], seen.features, more=len(target))
    step_by_step(model.loaded.network, [row], cache, choose)
    assert float(found.detach()) == pytest.approx(sum(told), abs=1e-3)


def pair() -> TrainPair:
    text = (
        LikelihoodItem("text", "What is this?", noise(1), "a red dog"),
        LikelihoodItem("text", "What is this?", noise(1), "no"),
    )
    return TrainPair("p", text, (LikelihoodItem("image", "a", noise(3)), LikelihoodItem("image", "a", noise(4))))


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[BAGEL, Path]:
    """After two steps, and where it was saved."""
    home = tmp_path_factory.mktemp("trained")
    trained = BAGEL.load(str(folder))
    settings = TrainSettings(lr=1e-3, epochs=2, replay=0.0, batch_size=1, bf16=False, masks=2, checkpointing=True)
    train(trained, [pair()], [], settings, home / "training")
    trained.save(home / "after")
    return trained, home / "after"


def test_a_step_of_training_raises_the_winner_and_is_saved(
    model: BAGEL, trained: tuple[BAGEL, Path], known: None
) -> None:
    after = hermes.load_model(str(trained[1]), "cpu")
    assert isinstance(after, BAGEL)
    assert after.info.fingerprint == trained[0].info.fingerprint != model.info.fingerprint
    assert after.understand(asked()) == trained[0].understand(asked())
    assert pixels(after.generate(drawn(steps=2))) == pixels(trained[0].generate(drawn(steps=2)))
    both = pair().und
    with torch.no_grad():
        told = [one.module(one.collate(one.prepare(both)))[0] for one in (model, after)]
    assert float(told[1][0] - told[1][1]) > float(told[0][0] - told[0][1])
    old, new = model._state(), after._state()
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    assert {LAYER.format(""), LAYER.format("_moe_gen"), "llm2vae.weight", "connector.fc1.weight"} < moved
    assert not any(name.startswith(("vit_", "latent_pos", "vae.")) for name in moved)


def test_more_steps_between_updates_are_larger_batches(folder: Path, tmp_path: Path) -> None:
    pairs = [
        TrainPair(
            str(n),
            None,
            (LikelihoodItem("image", "a", noise(n)), LikelihoodItem("image", "a", noise(n + 9, (60, 30)))),
        )
        for n in range(4)
    ]
    found = []
    for size in (1, 4):
        one = BAGEL.load(str(folder))
        settings = TrainSettings(
            lr=1e-3, epochs=1, replay=0.0, batch_size=4, micro_batch=size, bf16=False, objective="gen"
        )
        train(one, pairs, [], settings, tmp_path / str(size))
        found.append(one._state())
    before = BAGEL.load(str(folder))._state()
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], atol=2e-5, rtol=1e-4)
    assert not torch.equal(found[0]["llm2vae.weight"], before["llm2vae.weight"])


def test_an_adapter_lies_on_both_experts(folder: Path, tmp_path: Path) -> None:
    trained = BAGEL.load(str(folder))
    settings = TrainSettings(lr=1e-3, steps=1, replay=0.0, batch_size=1, bf16=False, lora_rank=2)
    train(trained, [pair()], [], settings, tmp_path)
    found = BAGEL.load(str(folder), options=LoadOptions(adapter=str(tmp_path / "adapter")))
    for name, value in found._state().items():
        torch.testing.assert_close(value, trained._state()[name], atol=1e-6, rtol=1e-5)
    before = BAGEL.load(str(folder))._state()
    for end in ("", "_moe_gen"):
        assert not torch.equal(found._state()[LAYER.format(end)], before[LAYER.format(end)])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, known: None) -> None:
    """Few steps and words where none are named."""
    few = adapter.DEFAULTS.model_copy(update={"steps": 3, "max_new_tokens": 8})
    monkeypatch.setattr(adapter, "DEFAULTS", few)


def test_a_whole_run_is_the_same_in_other_batches(folder: Path, quick: None, tmp_path: Path) -> None:
    assert_same_in_other_batches(f"bagel:{folder}", tmp_path, limit=1)


def test_a_round_of_self_play_trains_it_and_keeps_its_layout(folder: Path, quick: None, tmp_path: Path) -> None:
    played = hermes.align(
        str(folder), recipe="none", data="shapes", judge="oracle", items=2, n=2, rounds=1, batch_size=1, bf16=False,
        threshold=0.0,
        pairing="either", similarity="minilm", caption_tokens=8, eval_limit=1, device="cpu", confidence=False,
        replay=0.0, lr=1e-3, masks=2, out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert played.rounds[1].pairs > 0
    checkpoint = tmp_path / "run" / "round-1" / "checkpoint"
    before, after = (load_file(home / "ema.safetensors") for home in (folder, checkpoint))
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name].float(), after[name].float())}
    assert {LAYER.format(""), LAYER.format("_moe_gen")} < moved
    assert adapter_of(str(checkpoint), ["bagel"]) == "bagel"


def test_a_round_of_reconstruction_draws_nothing_and_makes_pictures_likelier(
    folder: Path, quick: None, tmp_path: Path
) -> None:
    played = hermes.align(
        str(folder), recipe="none", data="shapes", judge="oracle", items=3, rounds=1, batch_size=1, bf16=False,
        objective="gen", side_loss="sft", gen_pairs="reconstruction", pairing="either", epochs=4,
        similarity="minilm", eval_limit=1, device="cpu", confidence=False, replay=0.0, lr=1e-3, masks=2,
        out=tmp_path / "run", runs=tmp_path, progress=False,
    )  # fmt: skip
    assert played.rounds[1].pairs == 3
    assert not [*tmp_path.glob("answers/*/candidate-*/media/*")]
    pairs = [
        train_pair(one, tmp_path / "run" / "media", losers=False)
        for one in read_records(tmp_path / "run" / "round-1" / "preferences.jsonl", Preference)
    ]
    drawn_again = [one.gen[0] for one in pairs if one.gen]
    assert [one.again for one in drawn_again] == [True] * 3
    before, after = BAGEL.load(str(folder)), hermes.load_model(str(tmp_path / "run/round-1/checkpoint"), "cpu")
    with torch.no_grad():
        told = [one.module(one.collate(one.prepare(drawn_again)))[0].sum() for one in (before, after)]
    assert float(told[1]) > float(told[0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(folder: Path, dtype: Any) -> None:
    half = BAGEL.load(str(folder), options=LoadOptions(dtype=dtype))
    assert half.info.dtype == dtype
    assert len(half.understand(asked())) == len(half.generate(drawn(steps=2)))
    assert bool(half.module(half.collate(half.prepare(items())))[0].isfinite().all())


def test_what_is_where_and_what_it_weighs(folder: Path, model: BAGEL) -> None:
    assert adapter_of(str(folder), ["bagel"]) == "bagel"
    assert [Path(one.name) for one in BAGEL.sources(str(folder))] == [folder]
    assert folder_bytes(folder, 4) == 4 * model.info.parameters
    assert BAGEL.load(f"bagel:{folder}").name == "tiny"
    (folder / "config.json").rename(folder / "put-away")
    try:
        assert adapter_of(str(folder), ["bagel"]) == "bagel"
    finally:
        (folder / "put-away").rename(folder / "config.json")


def changed(folder: Path, tmp_path: Path, **tensors: torch.Tensor | None) -> Path:
    """A copy whose weights have other tensors under these names, __ for a dot; None takes one out."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    state = load_file(copy / "ema.safetensors")
    for name, tensor in tensors.items():
        state.pop(name.replace("__", "."), None)
        if tensor is not None:
            state[name.replace("__", ".")] = tensor
    save_file(state, copy / "ema.safetensors")
    return copy


def test_checkpoints_of_the_same_layout(folder: Path, model: BAGEL, tmp_path: Path) -> None:
    state = load_file(folder / "ema.safetensors")
    for name in ("model.safetensors", "model_bf16.safetensors", "other.safetensors"):
        copy = shutil.copytree(folder, tmp_path / name)
        (copy / "ema.safetensors").rename(copy / name)
        assert BAGEL.load(str(copy)).info.fingerprint == model.info.fingerprint
    copy = shutil.copytree(folder, tmp_path / "sharded")
    (copy / "ema.safetensors").unlink()
    names = sorted(state)
    parts = {f"model-0000{n}-of-00002.safetensors": names[n - 1 :: 2] for n in (1, 2)}
    for name, members in parts.items():
        save_file({one: state[one] for one in members}, copy / name)
    index = {"weight_map": {one: name for name, members in parts.items() for one in members}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert BAGEL.load(str(copy)).info.fingerprint == model.info.fingerprint
    inner = shutil.copytree(folder, tmp_path / "training")
    (inner / "checkpoint-7" / "unwrapped_model").mkdir(parents=True)
    torch.save({"module": {f"module.{name}": one for name, one in state.items()}}, inner / "all.bin")
    (inner / "all.bin").rename(inner / "checkpoint-7" / "unwrapped_model" / "pytorch_model.bin")
    (inner / "ema.safetensors").unlink()
    assert BAGEL.load(str(inner)).info.fingerprint == model.info.fingerprint
    (copy / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(HermesError, match=r"model-00001-of-00002.safetensors, which .* names, is missing"):
        BAGEL.load(str(copy))


def test_a_training_without_the_vision_encoder_is_completed_from_its_base(
    folder: Path, model: BAGEL, tmp_path: Path
) -> None:
    state = load_file(folder / "ema.safetensors")
    seeing = ("vit_model.", "connector.", "vit_pos_embed.")
    copy = shutil.copytree(folder, tmp_path / "raw")
    save_file({name: one for name, one in state.items() if not name.startswith(seeing)}, copy / "ema.safetensors")
    with pytest.raises(HermesError, match="lack the vision encoder; put the folder of the BAGEL"):
        BAGEL.load(str(copy))
    base = shutil.copytree(folder, tmp_path / "base")
    last = "vit_model.vision_model.encoder.layers.2.mlp.fc1.bias"  # which is not run
    save_file({**state, last: torch.ones(20)}, base / "ema.safetensors")
    assert BAGEL.load(str(copy)).info.fingerprint == model.info.fingerprint
    save_file({name: one for name, one in state.items() if not name.startswith("conn")}, copy / "ema.safetensors")
    assert BAGEL.load(str(copy)).info.fingerprint == model.info.fingerprint


def test_the_layers_that_are_not_run_may_be_there(folder: Path, model: BAGEL, tmp_path: Path) -> None:
    last = "vit_model__vision_model__encoder__layers__2__mlp__fc1__bias"
    others = (
        "vit_model__vision_model__head__probe",
        "vit_model__vision_model__embeddings__position_ids",
        "language_model__model__rotary_emb__inv_freq",
        "language_model__model__layers__0__self_attn__rotary_emb__inv_freq",
    )
    copy = changed(folder, tmp_path, **{last: torch.ones(20)}, **{name: torch.ones(1) for name in others})
    assert BAGEL.load(str(copy)).info.fingerprint == model.info.fingerprint


def test_tables_that_are_left_out_are_worked_out(folder: Path, tmp_path: Path) -> None:
    tables = {"vit_pos_embed.pos_embed": 4, "latent_pos_embed.pos_embed": 8}
    copy = changed(folder, tmp_path, **{name.replace(".", "__"): None for name in tables})
    own = {**tiny_bagel.OWN, "vit_max_num_patch_per_side": 4, "max_latent_size": 8}
    (copy / "config.json").write_text(json.dumps(own))
    state = BAGEL.load(str(copy)).loaded.network.state_dict()
    for name, side in tables.items():
        assert state[name].shape == (side**2, tiny_bagel.WIDTH)
        for row, column in ((0, 0), (1, 2), (3, 1)):
            wanted = [
                part(place / 10000 ** (step / 6))
                for place in (column, row)
                for part in (math.sin, math.cos)
                for step in range(6)
            ]
            torch.testing.assert_close(state[name][row * side + column], torch.tensor(wanted))


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"llm2vae__bias": None}, r"holds no whole BAGEL: it lacks 1 of the \d+ tensors, such as llm2vae.bias"),
        ({"vae2llm__weight": None}, "holds no whole BAGEL: it lacks vae2llm.weight"),
        ({"llm2vae__bias": torch.ones(3)}, r"llm2vae.bias with the shape \(3,\)"),
        ({"llm2vae__bias": torch.full((8,), torch.nan)}, "llm2vae.bias holds numbers that are not finite"),
        ({"language_model__model__embed_tokens__weight": None}, "holds no BAGEL transformer"),
        ({"vision_tower__x": torch.ones(3)}, "does not have, such as vision_tower.x"),
    ],
)
def test_weights_that_are_not_whole(folder: Path, tmp_path: Path, tensors: dict[str, Any], words: str) -> None:
    with pytest.raises(HermesError, match=words):
        BAGEL.load(str(changed(folder, tmp_path, **tensors)))


@pytest.mark.parametrize("name", ["ae.safetensors", "ema.safetensors", "vit_config.json", "llm_config.json"])
def test_files_that_are_torn_or_missing(folder: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(HermesError, match=name):
        BAGEL.load(str(copy))
    (copy / name).unlink()
    with pytest.raises(HermesError, match="holds no weights" if name == "ema.safetensors" else name):
        BAGEL.load(str(copy))


def test_files_of_another_kind(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "vit_config.json").write_text(json.dumps({**tiny_bagel.VIT, "num_attention_heads": 5}))
    with pytest.raises(HermesError, match="5 heads do not divide 16"):
        BAGEL.load(str(copy))
    (copy / "vit_config.json").write_text(json.dumps({**tiny_bagel.VIT, "patch_size": "a"}))
    with pytest.raises(HermesError, match="patch_size is 'a', not a whole number"):
        BAGEL.load(str(copy))
    shutil.copy(folder / "vit_config.json", copy)
    (copy / "config.json").write_text(json.dumps({**tiny_bagel.OWN, "vae_transform": {"max_image_size": 64}}))
    with pytest.raises(HermesError, match="has places for 8 tokens a side"):
        BAGEL.load(str(copy))
    shutil.copy(folder / "config.json", copy)
    shutil.copy(folder / "ema.safetensors", copy / "ae.safetensors")
    with pytest.raises(HermesError, match="is no whole FLUX autoencoder"):
        BAGEL.load(str(copy))


@pytest.mark.parametrize(
    ("name", "told", "words"),
    [
        ("config.json", {"vae": "ae.safetensors"}, "vae is 'ae.safetensors', not an object"),
        ("config.json", {"vae": {"scale_factor": "x"}}, "vae.scale_factor is 'x', not a number above 0"),
        ("config.json", {"vit_transform": {"max_image_size": "big"}}, "vit_transform.max_image_size is 'big'"),
        ("config.json", {"train_timestep_shift": "x"}, "train_timestep_shift is 'x'"),
        ("config.json", {"vae_transform": {"max_image_size": 32, "image_stride": 6}}, "of 6 px, and a token is 4 px"),
        ("llm_config.json", {"rope_theta": "x"}, "rope_theta is 'x'"),
        ("llm_config.json", {"hidden_act": "foo"}, "hidden_act is 'foo'"),
        ("vit_config.json", {"layer_norm_eps": True}, "layer_norm_eps is True"),
    ],
)
def test_settings_that_cannot_be(folder: Path, tmp_path: Path, name: str, told: dict[str, Any], words: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / name).write_text(json.dumps({**json.loads((copy / name).read_text()), **told}))
    with pytest.raises(HermesError, match=words):
        BAGEL.load(str(copy))


def test_settings_that_are_null_are_as_if_left_out(folder: Path, model: BAGEL, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    nulls = {
        "config.json": {"vae": {"scale_factor": None, "shift_factor": None}, "train_timestep_shift": None},
        "llm_config.json": {"rope_theta": None, "rms_norm_eps": None, "hidden_act": None, "head_dim": None},
        "vit_config.json": {"hidden_act": None, "layer_norm_eps": None},
    }
    for name, told in nulls.items():
        (copy / name).write_text(json.dumps({**json.loads((copy / name).read_text()), **told}))
    found = BAGEL.load(str(copy))
    assert found.understand(asked()) == model.understand(asked())
    assert pixels(found.generate(drawn(steps=2))) == pixels(model.generate(drawn(steps=2)))


def test_the_base_of_the_hub_gives_what_a_repository_lacks(
    folder: Path, model: BAGEL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    home = tmp_path / "0123456789abcdef"
    home.mkdir()
    shutil.copy(folder / "ema.safetensors", home / "model_bf16.safetensors")
    asked_for = []

    def snapshot_download(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked_for.append((name, revision))
        return str(folder if name == places.PUBLISHED else home)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    found = BAGEL.load("bagel:sanaka87/BAGEL-RecA@main")
    assert asked_for == [("sanaka87/BAGEL-RecA", "main"), (places.PUBLISHED, None)]
    assert (found.name, found.info.revision) == ("sanaka87/BAGEL-RecA", home.name)
    assert BAGEL.load().name == places.PUBLISHED
    assert asked_for[2:] == [(places.PUBLISHED, None)]
