"""SEED-X's tokenizer, pictures, encoders, LLM part and detokeniser against what the authors' code computed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss
from torch.testing import assert_close

from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.seeded import Draw
from hermes.harness.models.seedx.adapter import SeedX
from hermes.harness.models.seedx.anyres import Size, View, best_grid, by_area, by_shape, normalised, view
from hermes.harness.models.seedx.config import WHOLE
from hermes.harness.models.seedx.drawing import Artist, Drawing, to_picture
from hermes.harness.models.seedx.likelihood import gathered
from hermes.harness.models.seedx.network import embedded
from hermes.harness.models.seedx.prompting import question, request, row
from hermes.harness.models.seedx.sampling import PictureTokens
from hermes.harness.models.seedx.vit import pooled
from hermes.harness.models.seedx.writing import begun_as_released, query_states, write
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.system.errors import HermesError

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "seedx"
pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="the golden files are not here")
EXACT = {"atol": 1e-4, "rtol": 0.0}
SMALL = {"atol": 1e-5, "rtol": 0.0}
LATENTS = {"atol": 2e-3, "rtol": 0.0}


def golden(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


def told(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def picture(number: int) -> Image.Image:
    return Image.open(GOLDEN / f"image{number}.png").convert("RGB")


@pytest.fixture(scope="module")
def model() -> SeedX:
    return SeedX.load(str(GOLDEN), "cpu", LoadOptions(as_released=True))


@pytest.fixture(scope="module")
def grids() -> list[Size]:
    return [(int(one[0]), int(one[2])) for one in told("config")["resolution_grids"]]


def seen(model: SeedX, number: int, whole: bool = False) -> View:
    settings = model.loaded.settings
    return view(picture(number), settings.side, WHOLE if whole else settings.grids)


def pixels(one: View) -> Tensor:
    return torch.from_numpy(one.images)


def test_token_ids_and_texts(model: SeedX) -> None:
    words, expected = model.words, told("tokenize")
    for case in expected["cases"]:
        assert words.encode(case["text"]) == case["ids"], case["text"]
        assert words.decode(case["ids"]) == case["decoded"]
    names = {**words.pieces.added, **words.pieces.control}
    assert {name: names[name] for name in expected["ids"]} == expected["ids"]
    assert len(words) == expected["len"]
    assert (words.begin, words.end, words.pad) == (1, 2, 0)


def test_grids_of_pictures_of_any_size() -> None:
    table = told("anyres_table")
    grids = [(int(one[0]), int(one[2])) for one in table["grids_wxh"]]
    side = table["base"]
    for case in table["rows"]:
        size = tuple(case["size_wh"])
        found = by_area(size, side, grids), by_shape(size, side, grids)
        assert [[w * side, h * side] for w, h in found] == [case["by_area"], case["by_aspect"]]
        assert list(best_grid(size, side, grids)) == case["grid_wh"]


def test_entries_and_their_places(model: SeedX) -> None:
    expected = golden("anyres")
    for number in range(3):
        one, wanted = seen(model, number), expected[f"patches_u8.{number}"].numpy()
        entries = one.images[list(one.entries)]
        assert np.array_equal(entries if len(entries) == len(wanted) else entries[[0, -1]], wanted)
        assert_close(torch.tensor(one.places), expected[f"patch_pos.{number}"])
    rows = normalised(pixels(seen(model, 0))[-1:])[0, :, :8]
    assert_close(rows, expected["normalized.0.last_first8rows"])
    whole = seen(model, 1, whole=True)
    assert np.array_equal(whole.images, expected["edit_patches_u8.1.first"].numpy())
    assert whole.entries == (0, 0)
    assert_close(torch.tensor(whole.places), expected["edit_patch_pos.1"])


@torch.inference_mode()
def test_features_of_the_vision_encoder(model: SeedX) -> None:
    expected, encoder = golden("vit"), model.loaded.vision
    kept: dict[str, Tensor] = {}
    for name in ("ln_pre", "transformer.resblocks.0", "transformer", "attn_pool", "ln_post"):
        part = encoder.get_submodule(name)
        part.register_forward_hook(lambda _, __, out, name=name: kept.update({name: out}))
    given = normalised(pixels(seen(model, 0)))
    assert_close(encoder(given).expand(2, -1, -1), expected["features.0"], **EXACT)
    for name, stored in {"ln_pre": "ln_pre", "attn_pool": "attn_pool", "ln_post": "ln_post"}.items():
        inner = expected[f"inter.{stored}"]
        assert_close(kept[name][:1, : inner.shape[1]], inner, **EXACT)
    for name, stored in {"transformer.resblocks.0": "block0_LND", "transformer": "blocks_LND"}.items():
        inner = expected[f"inter.{stored}"].transpose(0, 1)
        assert_close(kept[name][:1, : inner.shape[1]], inner, **EXACT)
    for number in (1, 2):
        found = encoder(normalised(pixels(seen(model, number))[-1:]))
        assert_close(found, expected[f"features.{number}.last"], **EXACT)
    assert_close(encoder(torch.zeros_like(given)), expected["features.zero_image"], **EXACT)


def parts_of(case: dict[str, Any], model: SeedX) -> tuple[list[str | int], list[View]]:
    """The prompt of a case with its pictures, by their number of entries, and what is seen of them."""
    views = [seen(model, n, case.get("grids") == ["1x1"]) for n in (case["image"], case.get("image2")) if n is not None]
    text = case.get("prompt") or case["prompt_without_image_tokens"]
    parts: list[str | int] = []
    for place, piece in enumerate(text.replace("{image2}", "{image}").split("{image}")):
        parts += [len(views[place - 1].entries), piece] if place else [piece]
    return [part for part in parts if part != ""], views


def test_prompts_are_laid_out_as_released(model: SeedX) -> None:
    expected = golden("understanding")
    for case in told("understanding"):
        tag, count = case["tag"], [] if case["image"] is None else [len(seen(model, case["image"]).entries)]
        ids = expected[f"{tag}.input_ids"][0].tolist()
        found = row(model.words, parts_of(case, model)[0])
        assert list(found.ids) == ids
        assert list(found.seen) == expected[f"{tag}.ids_cmp_mask"][0].tolist()
        if case["style"] in ("instruct", "base"):
            assert row(model.words, question(case["style"], case["question"], count)) == found
    generation = golden("generation")
    for case in told("generation"):
        ids = generation[f"{case['tag']}.input_ids"][0].tolist()
        if "caption" in case:
            style = "instruct" if case["tag"].startswith("instruct") else "base"
            made = row(model.words, request(style, case["caption"], []))
            assert [*made.ids, *([] if style == "instruct" else [model.words.image])] == ids
        else:
            assert list(row(model.words, parts_of(case, model)[0]).ids) == ids


@torch.inference_mode()
def test_resamplers_marks_and_embeddings(model: SeedX) -> None:
    expected, agent = golden("understanding"), model.agent
    entries = gathered([seen(model, 1)], model.loaded.settings.side)
    assert_close(agent.marks(entries.places), expected["resampler.position_marks1"], **EXACT)
    inner = agent.input_resampler(model.eyes.features(entries.images))
    assert_close(inner, expected["resampler.in_features1"], **EXACT)
    assert_close(model.eyes(entries), expected["resampler.lm_embeds1"], **EXACT)
    assert_close(agent.regress(expected["resampler.out_input"]), expected["resampler.out_output"], **EXACT)
    small = agent.input_resampler(golden("vit")["features.zero_image"] * 0.01)
    assert_close(small, expected["resampler.in_small_output"], **SMALL)
    small = agent.regress(expected["resampler.out_input"][:1] * 0.01)
    assert_close(small, expected["resampler.out_small_output"], **SMALL)


@torch.inference_mode()
def logits_behind(model: SeedX, case: dict[str, Any], ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Embeddings (1, L, width) of a case's prompt, and logits (1, L + n, V) of it and these ids behind it."""
    parts, views = parts_of(case, model)
    made = row(model.words, parts).and_then(ids)
    rows = embedded(model.llm, torch.tensor([made.ids]), torch.tensor([made.seen]), model._embeddings(views))
    return rows[:, : len(made.ids) - len(ids)], model.llm(inputs_embeds=rows).logits


def test_logits_of_questions(model: SeedX) -> None:
    expected = golden("understanding")
    for case in told("understanding"):
        tag = case["tag"]
        rows, logits = logits_behind(model, case, expected[f"{tag}.generated"][:2].tolist())
        assert_close(logits[0, -3:], expected[f"{tag}.step_logits"], **EXACT)
        if f"{tag}.prefill_logits_first8_last8" in expected:
            prefill = logits[0, :-2]
            found = torch.cat([prefill[:8], prefill[-8:]])
            assert_close(found, expected[f"{tag}.prefill_logits_first8_last8"], **EXACT)
        if f"{tag}.inputs_embeds" in expected:
            assert_close(rows, expected[f"{tag}.inputs_embeds"], **EXACT)


def test_greedy_answers_in_one_batch(model: SeedX) -> None:
    expected, cases = golden("understanding"), told("understanding")
    both = [parts_of(case, model) for case in cases]
    rows = [row(model.words, parts) for parts, _ in both]
    pictures = model._embeddings([one for _, views in both for one in views])
    draws = [Draw(0) for _ in rows]
    most = max(case["max_new_tokens"] for case in cases)
    found = write(model.llm, model.words, rows, pictures, draws, most, [model.words.end], True)
    for case, ids in zip(cases, found, strict=True):
        assert ids[: case["max_new_tokens"]] == expected[f"{case['tag']}.generated"].tolist()


def test_answers_through_the_adapter(model: SeedX) -> None:
    cases = [case for case in told("understanding") if case["style"] == "instruct"]
    requests = [
        Request(
            sample_id=case["tag"],
            index=0,
            prompt=case["question"],
            images=() if case["image"] is None else (ImageHandle(picture(case["image"])),),
            config=GenerationConfig(max_new_tokens=case["max_new_tokens"]),
            seed=0,
        )
        for case in cases
    ]
    expected = [golden("understanding")[f"{case['tag']}.generated"].tolist() for case in cases]
    from hermes.harness.models.seedx.tokenizer import without_tags

    assert model.understand(requests) == [without_tags(model.words.decode(ids)) for ids in expected]


def test_rule_of_query_tokens(model: SeedX) -> None:
    expected = golden("processor")
    rule = PictureTokens(model.words, [], as_released=True)
    assert_close(rule(expected["last_token"], expected["scores_in"]), expected["scores_out"], **EXACT)
    ours = PictureTokens(model.words, [], as_released=False)(expected["last_token"], expected["scores_in"])
    closed = [*model.words.queries, model.words.image_end]
    for last, scores in zip(expected["last_token"].flatten().tolist(), ours, strict=True):
        inside = last == model.words.image or last in model.words.queries
        assert inside or bool((scores[closed] == -torch.inf).all())


def test_log_probabilities_of_answers(model: SeedX) -> None:
    expected, cases = golden("answer_logprobs"), told("answer_logprobs")
    items = [
        LikelihoodItem("text", case["question"], ImageHandle(picture(case["image"])), case["answer"][: -len("</s>")])
        for case in cases
    ]
    batch = model.collate(model.prepare(items))
    with torch.no_grad():
        found, counts = model.module(batch)
    sums = [expected[f"token_logprobs.{number}"].sum() for number in range(len(cases))]
    assert_close(found, torch.stack(sums), **EXACT)
    assert counts.tolist() == [case["n_answer_tokens"] for case in cases]
    assert_close(-found.sum() / counts.sum(), expected["lm_loss"][0], **EXACT)
    labels = expected["labels"]
    shifted = torch.where(labels[:, 1:] < 0, -1, labels[:, 1:])
    assert torch.equal(batch.target, shifted[:, : batch.target.shape[1]])
    assert torch.equal(batch.where, expected["ids_cmp_mask"][:, : batch.where.shape[1]])


def test_tokens_states_and_features_of_pictures(model: SeedX) -> None:
    expected = golden("generation")
    for case in told("generation"):
        tag = case["tag"]
        parts, views = parts_of({"image": None, **case}, model)
        prompt = row(model.words, parts)
        pictures = model._embeddings(views)
        found = write(
            model.llm, model.words, [prompt], pictures, [Draw(0)], case["max_new_tokens"], [model.words.end], True
        )
        assert found[0] == expected[f"{tag}.generated"].tolist()
        if not case["has_img_output"]:
            with pytest.raises(HermesError, match="ends with 0 pictures"):
                begun_as_released(prompt, found[0], model.words)
            continue
        begun = begun_as_released(prompt, found[0], model.words)
        hidden = query_states(model.llm, model.words, begun, pictures)
        if f"{tag}.hidden" in expected:
            assert_close(hidden, expected[f"{tag}.hidden"], **EXACT)
        with torch.inference_mode():
            assert_close(model.agent.regress(hidden), expected[f"{tag}.img_gen_feat"], **EXACT)


def losses(model: SeedX, tag: str) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """The losses of a training batch, and regressed and wanted features."""
    batch = {name.partition(".")[2]: value for name, value in golden("training").items() if name.startswith(f"{tag}.")}
    agent, queries = model.agent, len(model.words.queries)
    pictures = torch.empty(0, queries, model.llm.config.hidden_size)
    features = torch.empty(0)
    if entries := told("training")[tag].get("entries"):
        images = []
        for entry in entries:
            one = seen(model, entry["image"], entry["grids"] == "1x1")
            images.append(one.images[one.entries[entry["entry"]]])
        with torch.no_grad():
            features = model.loaded.vision(normalised(torch.from_numpy(np.stack(images))))
        given = batch["embeds_cmp_mask"]
        pictures = agent.embed(features[given], batch["patch_position"][given])
    rows = embedded(model.llm, batch["input_ids"], batch["ids_cmp_mask"], pictures)
    hidden = model.llm.model(inputs_embeds=rows, attention_mask=batch["attention_mask"]).last_hidden_state
    logits = model.llm.lm_head(hidden)[:, :-1].flatten(0, 1)
    words = cross_entropy(logits, batch["labels"][:, 1:].flatten(), ignore_index=-100)
    if not batch["ids_gen_mask"].any():
        return words, torch.zeros(()), None, None
    regressed = agent.regress(hidden[batch["ids_gen_mask"]].view(-1, queries, hidden.shape[-1]))
    wanted = pooled(features[batch["embeds_gen_mask"]], queries)
    assert_close(regressed.detach(), batch["regressed"], **EXACT)
    assert_close(wanted, batch["target"], **EXACT)
    return words, mse_loss(regressed, wanted), regressed, wanted


def test_losses_and_gradients_of_training() -> None:
    model, expected = SeedX.load(str(GOLDEN), "cpu"), told("training")
    for part in (model.llm, model.agent):
        part.requires_grad_(True)
    for tag, case in expected.items():
        words, pictures, *_ = losses(model, tag)
        assert_close(words.detach(), torch.tensor(case["lm_loss"]), **EXACT)
        assert_close(pictures.detach(), torch.tensor(abs(case["rec_loss"])), **EXACT)
        total = words + 6.0 * pictures
        assert_close(total.detach(), torch.tensor(case["total_loss"]), **EXACT)
        if case["grad_norms"]:
            total.backward()
            own = {f"llm.{name}": weight for name, weight in model.llm.named_parameters()}
            own |= dict(model.agent.named_parameters())
            for name, norm in case["grad_norms"].items():
                grad = own[name].grad
                assert grad is not None
                assert float(grad.norm()) == pytest.approx(norm, rel=1e-4), name


SOURCES = {"mllm": "base0", "edit_rect": "base0", "mllm_rect": "base1", "edit_noimage": "base1", "edit": "edit"}


@pytest.fixture(scope="module")
def editing(tmp_path_factory: pytest.TempPathFactory) -> SeedX:
    """The golden checkpoint as one that edits."""
    home = tmp_path_factory.mktemp("golden") / "edit"
    home.mkdir()
    for part in GOLDEN.iterdir():
        (home / part.name).symlink_to(part)
    (home / "config.json").unlink()
    (home / "config.json").write_text(json.dumps({**told("config"), "style": "edit"}))
    return SeedX.load(f"seedx:{home}", "cpu", LoadOptions(as_released=True))


@torch.inference_mode()
def test_pictures_of_the_detokeniser_step_by_step(model: SeedX, editing: SeedX) -> None:
    expected, side = golden("detokenizer"), model.loaded.settings.side
    editor, count = editing.loaded.editor, len(model.words.queries)
    assert editor is not None
    nothing = model.loaded.vision(torch.zeros(1, 3, side, side))
    for case in told("detokenizer"):
        tag = case["tag"]
        artist = model.loaded.artist if case["stage"] == 1 else editor
        if case["image"]:
            small = np.array(Image.open(GOLDEN / case["image"]).resize((side, side), Image.Resampling.BILINEAR))
            features, against = (
                model.loaded.vision(normalised(torch.from_numpy(small.transpose(2, 0, 1)[None]))),
                nothing,
            )
        else:
            features = golden("generation")[f"{SOURCES.get(tag, 'base_empty')}.img_gen_feat"]
            against = pooled(nothing, count)
        wanted, unwanted = artist.stage.resampler(features), artist.stage.resampler(against)
        assert_close(torch.cat([wanted.words, unwanted.words]), expected[f"{tag}.prompt_embeds"], **EXACT)
        assert_close(torch.cat([wanted.whole, unwanted.whole]), expected[f"{tag}.pooled"], **EXACT)
        drawing = Drawing(case["steps"], case["guidance_scale"], case["height"], case["width"])
        assert case["kwargs"] in ({}, {"image_guidance_scale": drawing.image_guidance})
        source = None
        if case["source_image"]:
            source = artist.encode(picture(1), drawing)
            assert_close(source, expected[f"{tag}.source_latents"], **EXACT)
        steps = artist.steps(wanted, unwanted, expected[f"{tag}.latents_init"], drawing, source)
        compare(artist, expected, case, list(steps))


def compare(artist: Artist, expected: dict[str, Tensor], case: dict[str, Any], steps: list[Any]) -> None:
    tag = case["tag"]
    assert artist.scheduler.timesteps.tolist() == pytest.approx(case["timesteps"])
    assert artist.scheduler.sigmas.tolist() == pytest.approx(case["sigmas"], abs=1e-5)
    assert float(artist.scheduler.init_noise_sigma) == pytest.approx(case["init_noise_sigma"], abs=1e-5)
    noises = expected[f"{tag}.noise_pred"]
    for step, noise, latents in zip(steps, noises, expected[f"{tag}.latents"], strict=True):
        if len(step.noise) < len(noise):  # without a source the last two rows are one
            assert_close(noise[1], noise[2], atol=1e-5, rtol=0.0)
        assert_close(step.noise, noise[: len(step.noise)], atol=2e-4, rtol=0.0)
        assert_close(step.latents, latents, **LATENTS)
    pixels = artist.pixels(steps[-1].latents)
    drawn = (expected[f"{tag}.decoded_first4rows"] / 2 + 0.5).clamp(0, 1)
    assert_close(pixels[:, :, :4], drawn, atol=1e-3, rtol=0.0)
    stored = GOLDEN / f"detok_{tag}.png"
    if stored.exists():
        levels = np.abs(np.asarray(to_picture(pixels), dtype=int) - np.asarray(Image.open(stored), dtype=int))
        assert levels.max() <= 1


@torch.inference_mode()
def test_conditions_of_small_features_and_the_loss_of_noise(model: SeedX) -> None:
    expected, stage = golden("detokenizer"), model.loaded.artist.stage
    small = stage.resampler(golden("generation")["base0.img_gen_feat"] * 0.01)
    assert_close(small.words, expected["small.prompt_embeds"], **SMALL)
    assert_close(small.whole, expected["small.pooled"], **SMALL)
    given = stage.resampler(expected["loss.image_embeds"])
    noise = stage.unet(
        expected["loss.noisy"],
        expected["loss.timesteps"],
        encoder_hidden_states=given.words,
        added_cond_kwargs={"text_embeds": given.whole, "time_ids": expected["loss.time_ids"]},
    ).sample
    assert_close(noise, expected["loss.noise_pred"], atol=2e-4, rtol=0.0)
    assert_close(mse_loss(noise, expected["loss.noise"]), expected["loss.loss"][0], **EXACT)


@pytest.mark.parametrize("steps", [30, 50])
def test_published_schedules(model: SeedX, steps: int) -> None:
    expected, scheduler = golden("detokenizer"), model.loaded.artist.scheduler
    scheduler.set_timesteps(steps)
    assert_close(scheduler.timesteps.float(), expected[f"sched{steps}.timesteps"], **EXACT)
    assert_close(scheduler.sigmas, expected[f"sched{steps}.sigmas"], **EXACT)


def test_a_picture_through_the_adapter_is_that_of_its_tokens(model: SeedX) -> None:
    """The whole way of one prompt: words, one pass over the query tokens, conditions, steps, decoder."""
    case = next(case for case in told("generation") if case["tag"] == "instruct0")
    side = model.loaded.artist.side
    asked = Request(
        sample_id="a", index=0, prompt=case["caption"], config=GenerationConfig(steps=2, guidance_scale=3.0), seed=5
    )
    found = model.generate([asked])[0]
    artist, drawing = model.loaded.artist, Drawing(2, 3.0, side, side)
    with torch.inference_mode():
        wanted = artist.stage.resampler(golden("generation")["instruct0.img_gen_feat"])
        nothing = pooled(golden("vit")["features.zero_image"], len(model.words.queries))
        noise = artist.noise(torch.Generator().manual_seed(5), drawing)
        *_, last = artist.steps(wanted, artist.stage.resampler(nothing), noise, drawing)
    levels = np.abs(np.asarray(found, dtype=int) - np.asarray(artist.decode(last.latents), dtype=int))
    assert levels.max() <= 1
