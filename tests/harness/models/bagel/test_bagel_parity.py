"""BAGEL's preprocessing, layers, texts, flows and losses against what the reference computed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from hermes.harness.contracts.options import PLAIN
from hermes.harness.models.bagel import places
from hermes.harness.models.bagel.attending import Behind, Cache
from hermes.harness.models.bagel.autoencoder import Autoencoder
from hermes.harness.models.bagel.config import PIXELS, Rule
from hermes.harness.models.bagel.drawing import Canvas, Contexts, Sampling, drawn, flow
from hermes.harness.models.bagel.likelihood import logged, read_rows
from hermes.harness.models.bagel.load import Loaded, load_checkpoint
from hermes.harness.models.bagel.network import waves
from hermes.harness.models.bagel.pixels import (
    fitted,
    latents_of,
    levels_of,
    patches_of,
    picture_of,
    pixels_of,
    places_of,
    resized,
    tokens_of,
)
from hermes.harness.models.bagel.rows import NOTHING, Row, packed
from hermes.harness.models.bagel.writing import remember, step_by_step, write
from hermes.harness.models.seeded import Draw
from hermes.harness.records.images import ImageHandle

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "bagel"
pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="the golden files are not here")


def told(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def golden(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


def close(found: Tensor, wanted: Tensor, kind: str) -> None:
    tolerance = {"components": 5e-5, "logits": 1e-4, "flow": 2e-4, "decoded": 2e-4, "pixels": 1e-6}[kind]
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=0)


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load_checkpoint(places.find(f"bagel:{GOLDEN}"), "cpu", PLAIN)


@pytest.fixture(scope="module")
def vae(loaded: Loaded) -> Autoencoder:
    return loaded.autoencoder


def stride_of(loaded: Loaded) -> int:
    """Pixels of a side for each drawn token."""
    return loaded.autoencoder.factor * loaded.settings.latent_patch


def image(number: int) -> Image.Image:
    return ImageHandle(GOLDEN / f"image_{number}.png").open()


def ids(loaded: Loaded, text: str) -> list[int]:
    return loaded.words.encode(text, add_special_tokens=False)


class Look:
    """Pictures as a row and its tensors: through the vision encoder, the autoencoder, or one behind the other."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded, self.row = loaded, Row(loaded.marks)
        self.seen_at: list[tuple[Tensor, Tensor]] = []
        self.clean: list[Tensor] = []

    def seen(self, number: int, first: bool = False) -> "Look":
        settings = self.loaded.settings
        picture = image(number)
        if first:
            picture = resized(picture, settings.drawn_rule(stride_of(self.loaded)))
        pixels = pixels_of(levels_of(resized(picture, settings.seen_rule(False))))
        return self.patches(pixels)

    def patches(self, pixels: Tensor) -> "Look":
        patch = self.loaded.settings.patch
        grid = (pixels.shape[1] // patch, pixels.shape[2] // patch)
        self.seen_at.append((patches_of(pixels, patch), places_of(grid, self.loaded.network.sides[0])))
        self.row = self.row.seen(grid)
        return self

    def latent(self, latents: Tensor) -> "Look":
        patch = self.loaded.settings.latent_patch
        self.clean.append(tokens_of(latents, patch))
        self.row = self.row.latent((latents.shape[1] // patch, latents.shape[2] // patch))
        return self

    def text(self, text: str) -> "Look":
        self.row = self.row.text(ids(self.loaded, text))
        return self


@torch.inference_mode()
def cached(loaded: Loaded, looks: list[Look], more: int = 0) -> Cache:
    features = loaded.network.looked([one for look in looks for one in look.seen_at])
    clean = [one for look in looks for one in look.clean]
    latents = torch.cat(clean) if clean else None
    return remember(loaded.network, [look.row for look in looks], features, latents, more)


def taught(loaded: Loaded, looks: list[Look], wanted: Tensor, steps: int) -> tuple[Tensor, Cache]:
    """Logits (steps, B, V) along the reference's tokens (steps, B), which begin with the mark."""
    cache, seen = cached(loaded, looks, steps), []

    def choose(step: int, logits: Tensor) -> list[int] | None:
        seen.append(logits)
        return wanted[step + 1].tolist() if step + 1 < steps else None

    step_by_step(loaded.network, [look.row for look in looks], cache, choose)
    return torch.stack(seen), cache


def test_preprocessing(loaded: Loaded) -> None:
    wanted, settings, sides = golden("preprocess"), loaded.settings, loaded.network.sides
    for number in range(4):
        picture = image(number)
        drawn_as = resized(picture, settings.drawn_rule(stride_of(loaded)))
        seen_as = resized(picture, settings.seen_rule(False))
        pairs = {"vae_pixels": drawn_as, "vit_pixels": seen_as}
        if f"vit_pixels_after_vae_resize_{number}" in wanted:
            pairs["vit_pixels_after_vae_resize"] = resized(drawn_as, settings.seen_rule(True))
        for name, one in pairs.items():
            close(pixels_of(levels_of(one)), wanted[f"{name}_{number}"], "pixels")
        for name, one, side, stride in (
            ("vit", seen_as, 0, settings.patch),
            ("latent", drawn_as, 1, stride_of(loaded)),
        ):
            grid = (one.height // stride, one.width // stride)
            assert torch.equal(places_of(grid, sides[side]), wanted[f"{name}_pos_{number}"])
        if f"vit_patches_{number}" in wanted:
            patches = patches_of(pixels_of(levels_of(seen_as)), settings.patch)
            close(patches, wanted[f"vit_patches_{number}"], "pixels")
    for name in wanted:
        if name.startswith("rgb_"):
            assert torch.equal(torch.tensor(levels_of(image(int(name[4:])))), wanted[name])


def test_sizes_follow_the_rules() -> None:
    for name, cases in told("resize_table").items():
        numbers = [int(part) for part in name.split("_") if part.isdigit()]
        rule = Rule(*numbers[:3], *(numbers[3:] or [PIXELS]))
        for case in cases:
            assert list(fitted(tuple(case["in_wh"]), rule, case["img_num"])) == case["out_wh"], (name, case)


def test_components(loaded: Loaded, vae: Autoencoder) -> None:
    wanted, network = golden("components"), loaded.network
    close(waves(wanted["timesteps"]), wanted["timestep_sinusoid"], "components")
    with torch.no_grad():
        close(network.time_embedder(wanted["timesteps"]), wanted["timestep_embed"], "components")
    pixels = golden("preprocess")
    grids = {}
    for number in range(4):
        height, width = pixels[f"vae_pixels_{number}"].shape[1:]
        grids[number] = (height // vae.factor, width // vae.factor)
    number = next(n for n, grid in grids.items() if grid == tuple(wanted["vae_latent"].shape[2:]))
    told_by = vae.moments(pixels[f"vae_pixels_{number}"])
    close(told_by.parameters, wanted["vae_moments"], "components")
    latents = vae.encode(pixels[f"vae_pixels_{number}"], wanted["vae_noise"])
    close(latents, wanted["vae_latent"][0], "components")
    patch = loaded.settings.latent_patch
    close(tokens_of(latents, patch), wanted["latent_tokens"], "components")
    close(vae.decode(wanted["vae_z"][0]), wanted["vae_decoded"][0], "decoded")
    grid = (latents.shape[1] // patch, latents.shape[2] // patch)
    assert torch.equal(latents_of(tokens_of(latents, patch), patch, grid), latents)
    lengths = wanted["vit_seqlens"].tolist()
    found = []
    for length in lengths:
        found += [n for n in range(4) if len(pixels[f"vit_pos_{n}"]) == length and n not in found][:1]
    looks = [Look(loaded).patches(pixels[f"vit_pixels_{n}"]) for n in found]
    with torch.no_grad():
        features = network.looked([look.seen_at[0] for look in looks])
        close(features, wanted["vit_out"], "components")
        close(network.connector(features), wanted["vit_connector"], "components")
        close(
            network.seen(features, torch.cat([look.seen_at[0][1] for look in looks])), wanted["vit_embed"], "components"
        )


@pytest.mark.parametrize("name", ["chat_one", "chat_two", "chat_text_only", "chat_empty_question"])
def test_answers(loaded: Loaded, name: str) -> None:
    wanted, case = golden("understanding"), told("understanding")[name]
    look = Look(loaded)
    for number in case["images"]:
        look.seen(number)
    look.text(case["question"])
    assert list(look.row.splits[-1].ids) == wanted[f"{name}.text_ids"].tolist()
    rows = packed([look.row], loaded.network.sides)
    assert (
        rows.places[: len(rows.ids)][-len(wanted[f"{name}.text_ids"]) :].tolist()
        == wanted[f"{name}.text_position_ids"].tolist()
    )
    assert (look.row.length, look.row.place) == (case["context_len"], case["next_rope"])
    tokens = wanted[f"{name}.generated_with_bos"]
    logits, cache = taught(loaded, [look], tokens[:, None], len(tokens))
    close(logits[:, 0], wanted[f"{name}.logits"], "logits")
    for kind, which in (("key", 0), ("value", 1)):
        for layer in range(len(cache.layers)):
            if f"{name}.{kind}_{layer}" in wanted:
                held = cache.layers[layer][which][0, : case["context_len"]]
                close(held, wanted[f"{name}.{kind}_{layer}"], "logits")
    found = write(loaded.network, [look.row], cached(loaded, [look], 10), [Draw(0)], [len(tokens) - 1], 10**9)
    assert found[0] == tokens[1:].tolist()
    assert loaded.words.decode(found[0]) == case["text"]


def test_a_text_ends_at_its_mark(loaded: Loaded) -> None:
    case, wanted = told("understanding")["chat_stop"], golden("understanding")["chat_stop.generated_with_bos"]
    source = told("understanding")[case["same_context_as"]]
    look = Look(loaded)
    for number in source["images"]:
        look.seen(number)
    look.text(source["question"])
    cache = cached(loaded, [look], source["max_length"])
    marks = loaded.marks.__class__(loaded.marks.begin, case["stop_id"], loaded.marks.picture, loaded.marks.picture_end)
    row = Row(marks, look.row.splits, look.row.place)
    found = write(loaded.network, [row], cache, [Draw(0)], [source["max_length"]], 10**9)[0]
    assert found == [*wanted[1:].tolist(), case["stop_id"]]


@pytest.mark.parametrize("name", ["inferencer_und", "inferencer_und_think"])
def test_the_demo(loaded: Loaded, name: str) -> None:
    wanted, case = golden("understanding"), told("understanding")[name]
    look = Look(loaded)
    if "system_prompt" in case:
        look.text(case["system_prompt"])
    for number in case["images"]:
        look.seen(number, first=True)
    look.text(case["question"])
    tokens = wanted[f"{name}.generated_with_bos"]
    logits, _ = taught(loaded, [look], tokens[:, None], len(tokens))
    close(logits[:, 0], wanted[f"{name}.logits"], "logits")


def batch_looks(loaded: Loaded) -> list[Look]:
    case = told("understanding")["batch"]
    return [Look(loaded).seen(number).text(text) for number, text in zip(case["images"], case["prompts"], strict=True)]


@pytest.mark.parametrize("name", ["batch", "sample"])
def test_ragged_batches(loaded: Loaded, name: str) -> None:
    wanted, case = golden("understanding"), told("understanding")["batch"]
    looks = batch_looks(loaded)
    assert [look.row.length for look in looks] == case["kv_lens"]
    assert [look.row.place for look in looks] == case["ropes"]
    rows = packed([look.row for look in looks], loaded.network.sides)
    assert torch.equal(rows.seen, wanted["batch.vit.packed_vit_position_ids"])
    tokens = wanted[f"{name}.generated_with_bos"]
    logits, cache = taught(loaded, looks, tokens, len(tokens))
    close(logits, wanted[f"{name}.logits"], "logits")
    if name == "sample":
        temperature = told("understanding")["sample"]["temperature"]
        shares = torch.softmax(logits / temperature, -1) / wanted["sample.exponentials"]
        assert torch.equal(shares.argmax(-1)[:-1], tokens[1:])
        return
    for layer in range(len(cache.layers)):
        for kind, which in (("key", 0), ("value", 1)):
            if f"batch.{kind}_{layer}" in wanted:
                held = [part[:n] for part, n in zip(cache.layers[layer][which], case["kv_lens"], strict=True)]
                close(torch.cat(held), wanted[f"batch.{kind}_{layer}"], "logits")


def test_schedules() -> None:
    for name, wanted in golden("generation").items():
        if name.startswith("schedule."):
            count, shift = name.removeprefix("schedule.").split("_")
            assert torch.equal(Sampling(int(count), float(shift)).times(), wanted)


FLOWS = list(told("generation")) if GOLDEN.exists() else []


@pytest.mark.parametrize("name", FLOWS)
def test_pictures_step_by_step(loaded: Loaded, vae: Autoencoder, name: str) -> None:
    wanted, case = golden("generation"), told("generation")[name]
    args = case["args"]
    sampling = Sampling(
        count=args.get("num_timesteps", 24),
        shift=args.get("timestep_shift", 1.0),
        interval=tuple(args.get("cfg_interval", (0.0, 1.0))),
        renorm=args.get("cfg_renorm_type", "global"),
        least=args.get("cfg_renorm_min", 0.0),
        image_guidance=args.get("cfg_img_scale", 1.0),
        together=True,
    )
    prompts = case["prompts"] if "prompts" in case else [case["inputs"][-1]]
    sizes = case["image_hw"] if "prompts" in case else [case["image_hw"]]
    looks, texts = [], []
    before = []
    for prompt in prompts:
        look = Look(loaded)
        if args.get("think"):
            look.text(told("prompts")["gen_think"])
        if f"{name}.vae_pixels" in wanted:
            assert case["inputs"][0].startswith("image_")
            number = int(case["inputs"][0][6:])
            picture = resized(image(number), loaded.settings.drawn_rule(stride_of(loaded)))
            close(pixels_of(levels_of(picture)), wanted[f"{name}.vae_pixels"], "pixels")
            seen = pixels_of(levels_of(resized(picture, loaded.settings.seen_rule(True))))
            close(seen, wanted[f"{name}.vit_pixels"], "pixels")
            look.latent(vae.encode(wanted[f"{name}.vae_pixels"], wanted[f"{name}.vae_encode_noise"][0])).patches(seen)
        before.append((look.row.length, look.row.place))
        looks.append(look.text(prompt))
        texts.append(Look(loaded).text(prompt))
    if args.get("think"):
        tokens = wanted[f"{name}.think_generated_with_bos"]
        logits, _ = taught(loaded, looks, tokens[:, None], len(tokens))
        close(logits[:, 0], wanted[f"{name}.think_logits"], "logits")
        looks[0].text(case["think_text"])
    cache = cached(loaded, looks)
    lengths, where = (torch.tensor(part) for part in zip(*before, strict=True))
    whole = Behind(cache, cache.lengths, torch.tensor([look.row.place for look in looks]))
    guided = args["cfg_text_scale"] > 1 if "cfg_text_scale" in args else True
    scale = args.get("cfg_text_scale", 3.0)
    wordless = Behind(cache if int(lengths.max()) else None, lengths, where) if guided else None
    blind = None
    if f"{name}.vae_pixels" in wanted:
        alone = cached(loaded, texts)
        blind = Behind(alone, alone.lengths, torch.tensor([look.row.place for look in texts]))
    grids = [(height // stride_of(loaded), width // stride_of(loaded)) for height, width in sizes]
    rows = packed([Row(loaded.marks).noise(grid) for grid in grids], loaded.network.sides, masked=False)
    canvas = Canvas(rows, torch.full((len(grids),), scale), sampling)
    contexts = Contexts(whole, wordless, blind)
    steps = list(flow(loaded.network, canvas, contexts, wanted[f"{name}.noise"]))
    assert len(steps) == len(wanted[f"{name}.t"])
    for number, step in enumerate(steps):
        assert step.time == float(wanted[f"{name}.t"][number])
        for found, key in ((step.tokens, "x"), (step.branches[0], "v_cond"), (step.velocity, "v")):
            close(found, wanted[f"{name}.{key}"][number], "flow")
        for branch, key in ((1, "v_cfg_text"), (2, "v_cfg_img")):
            if f"{name}.{key}" in wanted and branch < len(step.branches):
                close(step.branches[branch], wanted[f"{name}.{key}"][number], "flow")
    last = drawn(loaded.network, canvas, contexts, wanted[f"{name}.noise"])
    begin = 0
    for number, grid in enumerate(grids):
        tokens = last[begin : begin + grid[0] * grid[1]]
        begin += len(tokens)
        latents = latents_of(tokens, loaded.settings.latent_patch, grid)
        suffix = f"_{number}" if "prompts" in case else ""
        if f"{name}.latent_tokens_{number}" in wanted:
            close(tokens, wanted[f"{name}.latent_tokens_{number}"], "flow")
        if f"{name}.latent" in wanted:
            close(latents, wanted[f"{name}.latent"][0], "flow")
        pixels = vae.decode(latents)
        if f"{name}.decoded{suffix}" in wanted:
            close(pixels, wanted[f"{name}.decoded{suffix}"][0], "decoded")
        path = GOLDEN / f"gen_{name}{suffix}.png"
        if path.exists():
            difference = levels_of(picture_of(pixels)).astype(int) - levels_of(Image.open(path)).astype(int)
            assert abs(difference).max() <= 1


def test_one_norm_for_each_picture_makes_a_batch_as_good_as_one(loaded: Loaded) -> None:
    wanted, case = golden("generation"), told("generation")
    both = case["batch_global"], case["geneval_like_b1"]
    assert both[0]["prompts"][0] == both[1]["prompts"][0]
    looks = [Look(loaded).text(prompt) for prompt in both[0]["prompts"]]
    cache = cached(loaded, looks)
    nothing = torch.zeros(len(looks), dtype=torch.long)
    contexts = Contexts(
        Behind(cache, cache.lengths, torch.tensor([look.row.place for look in looks])), Behind(None, nothing, nothing)
    )
    grids = [(height // stride_of(loaded), width // stride_of(loaded)) for height, width in both[0]["image_hw"]]
    rows = packed([Row(loaded.marks).noise(grid) for grid in grids], loaded.network.sides, masked=False)
    args = both[1]["args"]
    sampling = Sampling(args["num_timesteps"], args["timestep_shift"], tuple(args["cfg_interval"]))
    canvas = Canvas(rows, torch.full((len(grids),), args["cfg_text_scale"]), sampling)
    noise = wanted["batch_global.noise"].clone()
    alone = wanted["geneval_like_b1.noise"]
    noise[: len(alone)] = alone
    found = drawn(loaded.network, canvas, contexts, noise)
    close(found[: len(alone)], wanted["geneval_like_b1.latent_tokens_0"], "flow")
    apart = drawn(loaded.network, Canvas(rows, canvas.scales, sampling), contexts, wanted["batch_global.noise"])
    assert not torch.allclose(apart[: len(alone)], wanted["batch_global.latent_tokens_0"], atol=1e-3)


IMAGES = (0, 1, 2, 2, 3, 1, 3, 3, 3, 0)
"""Which pictures the packed batch holds, in order."""


def training_rows(loaded: Loaded) -> tuple[list[Row], list[Tensor]]:
    """The packed batch as rows, and the pixels that are seen in it."""
    case, pixels = told("training"), golden("preprocess")
    lengths = golden("training")["batch.vit_token_seqlens"].tolist()
    grids = iter(case["patchified_vae_latent_shapes"])
    rows, seen, splits = [], [], iter(zip(case["split_lens"], case["attn_modes"], strict=True))
    numbers = iter(lengths)
    for sample in case["samples"]:
        row, texts = Row(loaded.marks), iter(sample["texts"])
        for kind, loss in sample["plan"]:
            if kind == "text":
                words = ids(loaded, next(texts))
                if sample["name"] == "t2i_dropped":
                    continue
                _, mode = next(splits)
                assert mode == "causal"
                row = row.text(words)
                if loss:
                    last = row.splits[-1]
                    whole = (*last.ids[1:], NOTHING)
                    row = Row(
                        row.marks,
                        (*row.splits[:-1], last.__class__("text", last.place, last.ids, target=whole)),
                        row.place,
                    )
            elif kind == "vit_image":
                next(splits)
                length = next(numbers)
                number = {1: 1, 2: 2, 3: 3}[len(seen) + 1]
                one = pixels[f"vit_pixels_{number}"]
                patch = loaded.settings.patch
                grid = (one.shape[1] // patch, one.shape[2] // patch)
                assert grid[0] * grid[1] == length
                seen.append(one)
                row = row.seen(grid)
            else:
                _, mode = next(splits)
                grid = tuple(next(grids))
                assert mode == ("noise" if loss else "full")
                row = row.noise(grid) if loss else row.latent(grid)
        rows.append(row)
    return rows, seen


def test_a_training_batch(loaded: Loaded) -> None:
    wanted, case, network = golden("training"), told("training"), loaded.network
    rows, seen = training_rows(loaded)
    pack = packed(rows, network.sides)
    assert pack.lengths.tolist() == case["sample_lens"]
    for number, row in enumerate(rows):
        assert torch.equal(pack.allowed[number, : row.length, : row.length], wanted[f"mask_allowed_{number}"].bool())
    starts = torch.tensor([0, *case["sample_lens"]]).cumsum(0)
    length = pack.allowed.shape[1]
    flat = starts[pack.grid // length] + pack.grid % length
    places = torch.empty_like(wanted["batch.packed_position_ids"])
    places[flat] = pack.places
    assert torch.equal(places, wanted["batch.packed_position_ids"])
    assert torch.equal(pack.seen, wanted["batch.packed_vit_position_ids"])
    assert torch.equal(pack.drawn, wanted["batch.packed_latent_position_ids"])
    order = flat[: len(pack.ids)].argsort()
    assert torch.equal(pack.ids[order], wanted["batch.packed_text_ids"])
    # latents, noised as the reference noised them
    times = torch.sigmoid(wanted["batch.packed_timesteps"])
    shift = case["train_timestep_shift"]
    times = shift * times / (1 + (shift - 1) * times)
    cut = loaded.settings.latent_patch
    clean = torch.cat(
        [
            tokens_of(latents[:, : cut * h, : cut * w], cut)
            for latents, (h, w) in zip(wanted["padded_latent"], case["patchified_vae_latent_shapes"], strict=True)
        ]
    )
    noised = (1 - times[:, None]) * clean + times[:, None] * wanted["noise"]
    target = wanted["noise"] - clean
    first = torch.stack([times[pack.picture == n][0] for n in range(int(pack.picture.max()) + 1)])
    patch = loaded.settings.patch
    parameters = dict(network.named_parameters())
    before = {name: weight.requires_grad for name, weight in parameters.items()}
    try:
        network.requires_grad_(True)
        looks = [
            (patches_of(one, patch), places_of((one.shape[1] // patch, one.shape[2] // patch), network.sides[0]))
            for one in seen
        ]
        hidden, made = network.read(pack, network.looked(looks), noised, first)
        asked = pack.target != NOTHING
        at = flat[: len(pack.ids)][asked]
        told_by = logged(network, hidden[: len(pack.ids)][asked], pack.target[asked])
        ce = -told_by[at.argsort()]
        torch.testing.assert_close(ce, wanted["ce"], atol=1e-4, rtol=0)
        errors = (network.llm2vae(made[pack.noisy]) - target[pack.noisy]).square()
        torch.testing.assert_close(errors, wanted["mse"], atol=1e-4, rtol=2e-5)
        loss = ce.mean() + errors.mean()
        assert float(loss.detach()) == pytest.approx(case["loss"], rel=1e-5)
        loss.backward()
        for name, norm in case["grad_norms"].items():
            gradient = parameters[name].grad
            if norm is None:  # a table, which is never trained
                assert not before[name]
                continue
            assert gradient is not None
            assert float(gradient.norm()) == pytest.approx(norm, rel=1e-4, abs=1e-7), name
            if f"grad.{name}" in wanted:
                torch.testing.assert_close(gradient, wanted[f"grad.{name}"], atol=1e-4 * norm + 1e-7, rtol=0)
    finally:
        network.zero_grad()
        for name, weight in parameters.items():
            weight.requires_grad_(before[name])


def test_scores_of_answers(loaded: Loaded) -> None:
    wanted, case = golden("training"), told("training")["scoring"]
    look = Look(loaded).seen(case["image"]).text(case["question"])
    answers = [ids(loaded, text) for text in case["answers"]]
    row = look.row
    for part, answer in enumerate(answers, 1):
        row = row.answer(answer, part)
    pack = packed([row], loaded.network.sides, [[0, 1, 2]])
    with torch.no_grad():
        features = loaded.network.looked(look.seen_at)
        sums, counts = read_rows(loaded.network, pack, features, len(answers))
    assert counts.tolist() == case["n_labels"]
    torch.testing.assert_close(sums, torch.tensor(case["sum_logprob"]), atol=1e-4 * 14, rtol=0)
    assert torch.equal(pack.target[pack.target != NOTHING], wanted["scoring.label_ids"])
