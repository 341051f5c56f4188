"""Show-o2's layouts, network, answers, drawing and losses against what the authors' code computed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from transformers import DynamicCache

from hermes.harness.models.noising import logit_normal
from hermes.harness.models.seeded import Draw
from hermes.harness.models.showo2.adapter import Showo2
from hermes.harness.models.showo2.answering import see, write, write_steps
from hermes.harness.models.showo2.attending import omni
from hermes.harness.models.showo2.drawing import Reader, draw_latents, draw_steps, grid
from hermes.harness.models.showo2.images import cropped, padded, picture_of
from hermes.harness.models.showo2.likelihood import NOTHING, LikelihoodBatch, train_shift
from hermes.harness.models.showo2.prompting import Question, drawing, drawing_row, question
from hermes.harness.models.showo2.training_rows import IGNORED, TrainingRow, caption_row, conversation_row
from hermes.harness.models.showo2.wan import sampled

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "showo2"
pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="the golden files are not here")
DRAWN = ("t2i_cfg", "t2i_cfg2", "t2i_nocfg")


def golden(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


def within(found: Tensor, expected: Tensor, atol: float = 1e-4) -> None:
    torch.testing.assert_close(found.float(), expected.float(), atol=atol, rtol=0)


@pytest.fixture(scope="module")
def meta() -> dict[str, Any]:
    return json.loads((GOLDEN / "meta.json").read_text())


def checkpoint(folder: Path, settings: str) -> Path:
    """The published layout, with the autoencoder beside the weights."""
    shutil.copyfile(GOLDEN / settings, folder / "config.json")
    for part in ("llm", "siglip"):
        (folder / part).symlink_to(GOLDEN / part)
    for source, name in (("showo2_state_dict_f16", "pytorch_model.bin"), ("wan_vae_state_dict_f16", "Wan2.1_VAE.pth")):
        torch.save({key: tensor.float() for key, tensor in golden(source).items()}, folder / name)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Showo2:
    return Showo2.load(str(checkpoint(tmp_path_factory.mktemp("golden"), "config.json")), "cpu")


@pytest.fixture(scope="module")
def hq(tmp_path_factory: pytest.TempPathFactory) -> Showo2:
    return Showo2.load(str(checkpoint(tmp_path_factory.mktemp("golden-hq"), "config_hq.json")), "cpu")


@pytest.fixture(autouse=True)
def _no_gradients(request: pytest.FixtureRequest) -> Iterator[None]:
    with torch.set_grad_enabled("gradient" in request.node.name):
        yield


def picture(name: str) -> Image.Image:
    with Image.open(GOLDEN / "images" / name) as found:
        return found.convert("RGB")


def test_token_ids(model: Showo2, meta: dict[str, Any]) -> None:
    words, ids = model.words, meta["token_ids"]
    names = {
        "bos": "bos_id",
        "eos": "eos_id",
        "begin": "boi_id",
        "end": "eoi_id",
        "image": "img_pad_id",
        "pad": "pad_id",
    }
    assert {name: getattr(words, name) for name in names} == {name: ids[there] for name, there in names.items()}
    assert len(words) == ids["len"]


def test_layouts_of_prompts(model: Showo2, meta: dict[str, Any]) -> None:
    expected, settings = golden("layout_t2i"), meta["settings"]
    tokens, most = settings["num_image_tokens"] + 1, settings["max_text_len"]
    for row, null, (at, size) in zip(
        expected["cond"].tolist(), expected["null"].tolist(), expected["pos"][:, 0].tolist(), strict=True
    ):
        text = model.words.decode(row[1 : at - 1])
        assert drawing_row(model.words, text, tokens, most) == row
        assert len(drawing(model.words, text, most)[0]) == at
        assert size == tokens
        assert drawing_row(model.words, "", tokens, most) == null
    for tag in DRAWN:
        prompts = meta[tag]["prompts"]
        assert [model.words.encode(prompt) for prompt in prompts] == meta[tag]["prompt_tokens"]
        rows = golden(tag)["text_tokens"].tolist()
        assert [drawing_row(model.words, prompt, tokens, most) for prompt in prompts] == rows[: len(prompts)]


def test_masks(meta: dict[str, Any]) -> None:
    for name in ("forward_base", "forward_hq_rect", "forward_hq_square", "t2i_cfg", "t2i_nocfg", "train"):
        expected = golden(name)
        begin, size = expected["modality_positions"][:, 0].T
        if name.startswith("t2i"):
            assert torch.equal(begin[: len(expected["text_tokens"])], begin)
        allowed = omni(expected["allowed"].shape[-1], begin, int(size[0]))
        assert torch.equal(allowed.view(expected["allowed"].shape), expected["allowed"].bool())


@pytest.mark.parametrize("name", ["forward_base", "forward_hq_rect", "forward_hq_square"])
def test_every_part_of_the_network(name: str, model: Showo2, hq: Showo2) -> None:
    expected, network = golden(name), (hq if "hq" in name else model).network
    latents, times = expected["latents"], expected["t"]
    begin, count = expected["modality_positions"][:, 0].T
    size = (latents.shape[-2], latents.shape[-1])
    told = network.time_embed(times)
    within(network.time_embed.angles(times), expected["time_frequency"], 1e-6)
    within(told, expected["time_embed"])
    within(network.time_embed_proj(told), expected["time_embed_proj"])
    if "image_embedder_und" in expected:
        within(network.image_embedder_und(latents), expected["image_embedder_und"])
        within(network.image_embedder_gen(latents), expected["image_embedder_gen"])
        within(network.semantic(latents), expected["und_trans"])
    if "interpolated_positions" in expected:
        within(network.positions(*(side // network.patch for side in size)), expected["interpolated_positions"])
    shown, _ = network.picture(latents, times)
    within(shown[:, 1:], expected["fusion_proj"])
    ids = expected["text_tokens"]
    length = ids.shape[1]
    at = begin[:, None] + torch.arange(int(count[0]))
    places, rows = torch.arange(length)[None], torch.arange(len(ids))[:, None]
    allowed = omni(length, begin, int(count[0]))
    hidden = network.read(network.words(ids).index_put((rows, at), shown), allowed, places)
    within(hidden, expected["llm_last_hidden"])
    inside = torch.zeros_like(ids).index_put((rows, at), torch.ones_like(at)).bool()
    x, rotary = network.diff_proj(hidden), network.rotary(places, torch.float32)
    if "diff_proj" in expected:
        within(x, expected["diff_proj"])
        within(network.diffusion_head_a[0](x, told, inside, rotary, allowed), expected["diffusion_block0"])
    if "logits" in expected:
        within(network.showo.lm_head(hidden), expected["logits"], 2e-4)
    states = network.flow(hidden, told, inside, allowed, places)
    if "diffusion_block_last" in expected:
        within(states, expected["diffusion_block_last"])
    within(network.diffusion_head_b(states, told, inside), expected["diffusion_head_b"])
    if "v_pred" in expected:
        within(network.velocity(states[rows, at[:, 1:]], told, size), expected["v_pred"], 2e-4)


def test_text_alone(model: Showo2) -> None:
    expected = golden("text_only")
    ids = expected["ids"]
    length = ids.shape[1]
    allowed = omni(length, torch.zeros(1), 0)
    hidden = model.network.read(model.network.words(ids), allowed, torch.arange(length)[None])
    within(model.network.showo.lm_head(hidden), expected["logits"], 2e-4)


def test_pixels(meta: dict[str, Any]) -> None:
    expected, side = golden("preprocess"), meta["settings"]["resolution"]
    for key, wanted in expected.items():
        name, kind = key.split(".")
        found = {"crop": cropped, "pad": padded}[kind](picture(f"{name}.png"), side)
        within(found, wanted, 1e-6)


def test_latents_and_pictures(model: Showo2) -> None:
    expected = golden("wan_vae")
    mean, spread = model.wan.posterior(expected["pixels"][0])
    within(mean, expected["mu_normalised"][0], 2e-5)
    within(spread, expected["logvar"][0], 2e-5)
    within(sampled(mean, spread, expected["noise"][0]), expected["sampled"][0], 2e-5)
    for z, wanted in zip(expected["z"], expected["decoded"], strict=True):
        within(model.wan.decode(z), wanted, 2e-5)


def test_times(meta: dict[str, Any]) -> None:
    expected = golden("schedule")
    for key, wanted in expected.items():
        if key.startswith("grid_n"):
            points, shift = key.removeprefix("grid_n").split("_shift")
            within(grid(int(points), float(shift)), wanted, 1e-6)
        elif key.startswith("train_t_seq"):
            levels = torch.special.ndtr(-expected["train_u"].double())
            within(1 - logit_normal(levels, shift=train_shift(int(key.removeprefix("train_t_seq")))), wanted, 1e-6)
    for length, shift in meta["train_shift_mu"].items():
        assert float(np.log(train_shift(int(length)))) == pytest.approx(shift, abs=1e-9)


@pytest.mark.parametrize("tag", DRAWN)
def test_drawing_step_by_step(tag: str, model: Showo2, meta: dict[str, Any]) -> None:
    expected, told = golden(tag), meta[tag]
    most = meta["settings"]["max_text_len"]
    prompts = [drawing(model.words, prompt, most)[0] for prompt in told["prompts"]]
    empty = drawing(model.words, "", most)[0]
    guidance, points = [told["guidance_scale"]] * len(prompts), told["num_inference_steps"]
    steps = list(draw_steps(model.network, prompts, empty, expected["z_init"], guidance, points))
    assert len(steps) == told["model_calls"] == points - 1
    within(torch.tensor([step.time for step in steps]), expected["t"], 1e-6)
    for step, x in zip(steps, expected["x"], strict=True):
        assert (step.latents - x).abs().max() <= 1e-4 * x.abs().max()
    last = draw_latents(model.network, prompts, empty, expected["z_init"], guidance, points)
    wanted = expected["final_latents"]
    assert (last[: len(wanted)] - wanted).abs().max() <= 1e-4 * wanted.abs().max()
    if "decoded_image0" in expected:
        within(model.wan.decode(last[0]), expected["decoded_image0"][0], 1e-3)
    for number in range(told["images_returned"]):
        shown = np.asarray(picture_of(model.wan.decode(last[number])), int)
        assert np.abs(shown - np.asarray(picture(f"{tag}_{number}.png"), int)).max() <= 1


@pytest.mark.parametrize("tag", DRAWN)
def test_velocities_of_the_latents_that_were_stored(tag: str, model: Showo2, meta: dict[str, Any]) -> None:
    """In a ragged batch and alone; guidance multiplies what noise there is in the latents."""
    expected, told = golden(tag), meta[tag]
    prompts = [drawing(model.words, prompt, meta["settings"]["max_text_len"])[0] for prompt in told["prompts"]]
    empty, size = drawing(model.words, "", 1)[0], tuple(expected["x"].shape[-2:])
    together = Reader(model.network, prompts, empty, [told["guidance_scale"]] * len(prompts), size)
    alone = Reader(model.network, prompts[:1], empty, [told["guidance_scale"]], size)
    for number, (x, time) in enumerate(zip(expected["x"], expected["t"].tolist(), strict=True)):
        rows = together(x, time)
        if "v_raw" in expected:
            within(rows, expected["v_raw"][number], 2e-4)
        within(together.guided(rows), expected["v_guided"][number], 2e-3)
        within(alone.guided(alone(x[:1], time)), expected["v_guided"][number][:1], 2e-3)


def asked(model: Showo2, meta: dict[str, Any]) -> list[tuple[str, Question, dict[str, Any]]]:
    """The key in the golden file, the demo's question, and what is told of each."""
    return [
        (f"{Path(told['image']).stem}.q{number % 3}", question(model.words, told["question"], True, True), told)
        for number, told in enumerate(meta["mmu"])
    ]


@pytest.mark.parametrize("released", [True, False])
def test_answers(released: bool, model: Showo2, meta: dict[str, Any]) -> None:
    """In one ragged batch, in the demo's box and in the aligned one; each picture is read once."""
    expected, words = golden("mmu"), model.words
    shown = ["img0", "img1"]
    latents = []
    for name in shown:
        mean, spread = model.wan.posterior(cropped(picture(f"{name}.png"), meta["settings"]["resolution"]))
        within(mean, expected[f"{name}.vae_mu_normalised"][0], 2e-5)
        within(spread, expected[f"{name}.vae_logvar"][0], 2e-5)
        latents.append(sampled(mean, spread, expected[f"{name}.vae_noise"][0]))
        within(latents[-1], expected[f"{name}.latents"][0], 2e-5)
    cases = asked(model, meta)
    for _, one, told in cases:
        fixed = meta["mmu_fixed_ids"]
        assert list(one.before) == [words.bos, *fixed["system"], *fixed["role_user"], words.begin]
        assert list(one.after) == [words.end, *told["question_ids"], *fixed["role_assistant"]]
    which = [shown.index(key.partition(".")[0]) for key, *_ in cases]
    behind = [one.after[1:] for _, one, _ in cases]
    kind = "" if released else "aligned_"
    wanted = [expected[f"{key}.{kind}tokens"].tolist() for key, *_ in cases]
    # The aligned answers were stored up to a limit.
    lengths = [300 if released else len(row) for row in wanted]

    def seen() -> DynamicCache:
        return see(model.network, cases[0][1].before, torch.stack(latents), words.end, released)

    draws = [Draw(0)] * len(cases)
    written = write(model.network, seen(), which, behind, draws, lengths, words.eos)
    assert written == wanted
    count = max(map(len, wanted))
    logits = [step.logits for step in write_steps(model.network, seen(), which, behind, draws, count, words.eos)]
    for row, (key, _, told) in enumerate(cases):
        if released:
            assert written[row] == told["tokens"]
            assert words.decode(written[row]) == told["text"]
            for step, one in enumerate(expected[f"{key}.step_logits"]):
                within(logits[step][row], one, 2e-4)
        else:
            within(logits[0][row], expected[f"{key}.aligned_first_logits"], 2e-4)


def test_what_the_demo_reads(model: Showo2, meta: dict[str, Any]) -> None:
    expected, network = golden("mmu"), model.network
    for key, one, _ in asked(model, meta):
        shown, _ = network.picture(expected[f"{key.partition('.')[0]}.latents"], torch.ones(1))
        before, after = (network.words(torch.tensor([ids])) for ids in (one.before, one.after))
        embedded = torch.cat([before, shown, after], 1)
        within(embedded, expected[f"{key}.input_embeds"])
        allowed = omni(embedded.shape[1], torch.tensor([len(one.before) + 1]), shown.shape[1])
        assert torch.equal(allowed[0, 0], expected[f"{key}.allowed"].bool())
        if f"{key}.prefill_logits" in expected:
            hidden = network.read(embedded, allowed, torch.arange(embedded.shape[1])[None])
            within(network.showo.lm_head(hidden)[0], expected[f"{key}.prefill_logits"], 2e-4)


def rows_of(model: Showo2, meta: dict[str, Any]) -> list[TrainingRow | None]:
    """Those with text labels; a row of a picture that is drawn has none."""
    told, tokens = meta["train"], meta["settings"]["num_image_tokens"] + 1
    talks = [
        [(turns[n]["value"], turns[n + 1]["value"]) for n in range(0, len(turns), 2)]
        for turns in (one["conversations"] for one in told["conversations"])
    ]
    return [
        None,
        None,
        caption_row(model.words, told["caption"], tokens),
        *(conversation_row(model.words, talk, tokens) for talk in talks),
        conversation_row(model.words, [("", talks[0][0][1]), *talks[0][1:]], tokens, plain=True),
    ]


def test_training_rows(model: Showo2, meta: dict[str, Any]) -> None:
    expected, tokens = golden("train"), meta["settings"]["num_image_tokens"] + 1
    for number, row in enumerate(rows_of(model, meta)):
        ids, labels = expected["text_tokens"][number].tolist(), expected["text_labels"][number].tolist()
        if row is None:
            before, _ = drawing(model.words, meta["train"]["prompts"][number], 300)
            assert ids[: len(before)] == list(before)
            assert set(labels) == {IGNORED}
            continue
        length = len(row.ids)
        assert row.ids == ids[:length]
        assert row.labels == labels[:length]
        assert set(ids[length:]) == {model.words.pad}
        assert row.begin == int(expected["modality_positions"][number, 0, 0])
        assert row.ids[row.begin : row.begin + tokens] == [model.words.image] * tokens


def training_batch(model: Showo2, meta: dict[str, Any]) -> tuple[LikelihoodBatch, dict[str, Tensor]]:
    """The whole rows of the golden training step, pads and all."""
    expected = golden("train")
    drawn = [number for number, kind in enumerate(meta["train"]["types"]) if kind == "t2i"]
    labels = torch.cat([expected["text_labels"][:, 1:], torch.full((len(expected["text_labels"]), 1), IGNORED)], 1)
    begin = expected["modality_positions"][:, 0, 0]
    counts = torch.tensor([float(expected["ut"][0].numel()) if row in drawn else 0.0 for row in range(len(begin))])
    batch = LikelihoodBatch(
        ids=expected["text_tokens"],
        target=torch.where(labels == IGNORED, NOTHING, labels),
        begin=begin,
        box=begin,
        latents=expected["xt"],
        times=expected["t"],
        drawn=torch.tensor(drawn),
        velocity=expected["ut"][drawn],
        item=torch.arange(len(begin)),
        counts=counts,
        draws=1,
    )
    return batch, expected


def test_likelihoods_of_the_training_rows(model: Showo2, meta: dict[str, Any]) -> None:
    batch, expected = training_batch(model, meta)
    told = meta["train"]
    x0, x1 = expected["x0"], expected["latents"]
    drawn = batch.drawn
    t = expected["t"][drawn].view(-1, 1, 1, 1)
    within(t * x1[drawn] + (1 - t) * x0[drawn], expected["xt"][drawn])
    within(x1[drawn] - x0[drawn], expected["ut"][drawn])
    times = 1 - logit_normal(torch.special.ndtr(-expected["u"].double()), shift=train_shift(told["seq_len_for_shift"]))
    within(times[drawn], expected["t"][drawn], 1e-6)
    for number, pixels in enumerate(told["pixels_per_row"]):
        mean, spread = model.wan.posterior(golden("preprocess")[pixels])
        within(sampled(mean, spread, expected["vae_noise"][number]), x1[number], 2e-5)
    sums, counts = model.module(batch)
    within(sums[2:], expected["row_text_logprob"][2:], 2e-3)
    flow = -2 * sums[drawn] / counts[drawn]
    torch.testing.assert_close(flow, torch.tensor(told["row_flow"]), rtol=1e-5, atol=0)
    hidden, *_ = model.module.states(batch)
    for row in (0, 3):
        within(model.network.showo.lm_head(hidden[row]), expected[f"logits_row{row}"], 2e-4)
    rows, tokens = model.module.of_tokens(batch, hidden)
    assert torch.bincount(rows, minlength=len(batch.ids)).tolist() == told["row_text_tokens"]
    within(tokens, expected["token_logprob"][batch.target[:, :-1] != NOTHING], 2e-4)


def test_losses_and_gradients(model: Showo2, meta: dict[str, Any]) -> None:
    batch, expected = training_batch(model, meta)
    told, module = meta["train"], model.module
    sums, counts = module(batch)
    text = -sums[len(batch.drawn) :].sum() / sum(told["row_text_tokens"])
    flow = (-2 * sums[batch.drawn] / counts[batch.drawn]).mean()
    assert float(text.detach()) == pytest.approx(told["loss_ntp"], rel=1e-5)
    assert float(flow.detach()) == pytest.approx(told["loss_flow"], rel=1e-5)
    module.zero_grad()
    (text + flow).backward()
    found = {name: weight.grad for name, weight in model.network.named_parameters()}
    assert told["grad_norms"].keys() <= found.keys()
    for name, norm in told["grad_norms"].items():
        assert float(found[name].norm()) == pytest.approx(norm, rel=1e-3, abs=1e-6)
    for key, wanted in expected.items():
        if key.startswith("grad."):
            gradient = found[key.removeprefix("grad.")]
            assert float((gradient - wanted).abs().max()) <= 1e-3 * float(wanted.abs().max())
    module.zero_grad()
