"""hermes-flow: drawing and answers in any company, likelihoods against plain sums, training data, save and load."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.models.flow import train
from hermes.harness.models.flow.adapter import FlowModel
from hermes.harness.models.flow.drawing import first_noise
from hermes.harness.models.flow.latents import CHANNELS, LatentCoder
from hermes.harness.models.flow.likelihood import TIME_DEVIATION, TIME_MEAN
from hermes.harness.models.flow.network import FlowTransformer
from hermes.harness.models.flow.packing import collate, drawn_row, seen_row
from hermes.harness.models.noising import levels_of, logit_normal, noise_of
from hermes.harness.models.tiny import course
from hermes.harness.models.tiny.packing import ANS, END, SPECIALS
from hermes.harness.models.tiny.tokenizer_image import IMAGE_TOKENS, to_picture
from hermes.harness.models.tiny.tokenizer_text import TextTokenizer, build_vocabulary
from hermes.harness.models.tiny.transformer import Shape
from hermes.harness.models.tiny.watch import generation, held_out, understanding
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.system.errors import HermesError

WORDS = ["a", "red", "blue", "circle", "square", "Is", "there", "?", "yes", "no", "in", "image", "small", "and"]


@pytest.fixture(scope="module")
def model() -> FlowModel:
    """Random weights, large enough that answers differ from prompt to prompt and velocities are not 0."""
    torch.manual_seed(0)
    text = TextTokenizer([*SPECIALS, *WORDS])
    transformer = FlowTransformer(Shape(text=len(text), width=32, layers=2, heads=2, codes=0))
    with torch.no_grad():
        for name, parameter in transformer.named_parameters():
            if parameter.dim() > 1:
                parameter.mul_(6) if not name.startswith("leave.2") else parameter.normal_(std=0.2)
    return FlowModel("random", text, LatentCoder(), transformer)


def image(seed: int) -> ImageHandle:
    return ImageHandle(to_picture(torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(seed))))


def request(prompt: str, seed: int, picture: ImageHandle | None = None, **config: float | str) -> Request:
    images = () if picture is None else (picture,)
    settings = GenerationConfig.model_validate(config)
    return Request(sample_id=f"s{seed}", index=0, prompt=prompt, images=images, config=settings, seed=seed)


def velocity(model: FlowModel, prompt: str, latent: Tensor, time: float) -> Tensor:
    """That of latents (36, 8), from the whole row without a cache."""
    ids = model.text.encode(prompt)
    row = drawn_row(ids, latent.numpy(), np.array([1.0], np.float32), latent.numpy()[None])
    batch = collate([replace(row, time=np.full(IMAGE_TOKENS, time, np.float32))])
    hidden, _ = model.transformer(batch.tokens, batch.place, batch.cell, batch.mask, batch.latent, batch.time)
    found: Tensor = model.transformer.velocity(hidden)[0, -IMAGE_TOKENS:].detach()
    return found


@pytest.mark.parametrize("guidance", [0.0, 1.5])
@torch.inference_mode()
def test_a_picture_is_that_of_plain_euler_steps_over_the_whole_row(model: FlowModel, guidance: float) -> None:
    latents = first_noise([7])[0]
    for time in (1.0, 0.75, 0.5, 0.25):
        moved = velocity(model, "a red circle", latents, time)
        if guidance:
            moved = (1 + guidance) * moved - guidance * velocity(model, "", latents, time)
        latents = latents - moved / 4
    wanted = request("a red circle", 7, plan="off", steps=4, guidance_scale=guidance)
    drawn = np.asarray(model.generate([wanted])[0].image).astype(int)
    assert np.abs(drawn - np.asarray(model.decode(latents)).astype(int)).max() <= 1
    other = request("a blue square", 7, plan="off", steps=4, guidance_scale=guidance)
    assert np.asarray(model.generate([other])[0].image).tolist() != drawn.tolist()


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_companions_change_no_picture_and_no_answer(model: FlowModel, guidance: float) -> None:
    prompts = ["a red circle", "", "a small blue square and a circle", "a red circle", ""]
    wanted = [request(prompt, seed, guidance_scale=guidance) for seed, prompt in enumerate(prompts)]
    together = [one.image.tobytes() for one in model.generate(wanted)]
    assert together == [model.generate([one])[0].image.tobytes() for one in wanted]
    assert len(set(together)) == len(prompts)
    asked = [request(f"Is there {prompt} ?", n, image(n % 2), max_new_tokens=3 + n) for n, prompt in enumerate(prompts)]
    assert model.understand(asked) == [model.understand([one])[0] for one in asked]


def test_an_answer_is_read_off_the_clean_picture_without_a_cache(model: FlowModel) -> None:
    """The first token by the whole row, as training has it."""
    picture, prompt = image(3), "Is there a red circle ?"
    latent = model._encode([picture])[0][0].numpy()
    row = seen_row(latent, [(model.text.encode(prompt), None)])
    batch = collate([row])
    assert row.tokens[-1] == ANS
    hidden, _ = model.transformer(batch.tokens, batch.place, batch.cell, batch.mask, batch.latent, batch.time)
    logits = model.transformer.text_logits(hidden[0, -1])
    logits[[index for index in range(len(SPECIALS)) if index != END]] = -torch.inf
    first = int(logits.argmax())
    said = model.understand([request(prompt, 0, picture, max_new_tokens=1)])[0]
    assert said == ("" if first == END else model.text.decode([first]))


def test_the_likelihood_of_a_picture_is_the_mean_of_plain_sums(model: FlowModel) -> None:
    """K draws together give the mean of what each gives alone, each from the whole row."""
    item = LikelihoodItem(kind="image", prompt="a red circle", image=image(1), seed=11)
    prepared = model.prepare([item])
    clean = torch.from_numpy(prepared[0].image)
    times = logit_normal(levels_of(11, model.masks), TIME_MEAN, TIME_DEVIATION)
    noises = noise_of(11, model.masks, (IMAGE_TOKENS, CHANNELS))
    sums = []
    for time, noise in zip(times.tolist(), noises, strict=True):
        found = velocity(model, "a red circle", (1 - time) * clean + time * noise, time)
        sums.append(-0.5 * float((found - (noise - clean)).double().square().sum()))
    log_probs, counts = model.module(model.collate(prepared))
    assert float(log_probs[0].detach()) == pytest.approx(sum(sums) / len(sums), rel=1e-5)
    assert float(counts[0]) == IMAGE_TOKENS * CHANNELS


def test_a_plan_is_added_exactly_and_the_picture_is_drawn_from_it(model: FlowModel) -> None:
    common = {"kind": "image", "image": image(1), "seed": 5}
    planned = LikelihoodItem(prompt="a circle", plan="a red circle", **common)  # type: ignore[arg-type]
    bare = LikelihoodItem(prompt="a red circle", **common)  # type: ignore[arg-type]
    written = LikelihoodItem("text", "a circle", image(2), plan="a red circle")
    with torch.inference_mode():
        (both, alone, plan), counts = model.module(model.collate(model.prepare([planned, bare, written])))
    assert float(plan) < 0
    assert float(both) == pytest.approx(float(alone + plan), rel=1e-5)
    assert counts.tolist() == [IMAGE_TOKENS * CHANNELS + 4, IMAGE_TOKENS * CHANNELS, 4]


def test_items_in_a_batch_have_the_likelihoods_of_single_ones_and_gradients_flow(model: FlowModel) -> None:
    items = [
        LikelihoodItem(kind="text", prompt="Is there a circle ?", image=image(1), text="yes"),
        LikelihoodItem(kind="image", prompt="a red circle and a square", image=image(2), seed=3),
        LikelihoodItem(kind="image", prompt="a", image=image(1), seed=4, plan=""),
        LikelihoodItem(kind="text", prompt="a", image=image(2), text="a small red circle in image"),
    ]
    prepared = model.prepare(items)
    together = model.module(model.collate(prepared))[0]
    alone = torch.stack([model.module(model.collate([one]))[0][0] for one in prepared])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-4)
    torch.autograd.backward(together.sum())
    assert all(parameter.grad is not None for parameter in model.transformer.parameters())
    model.transformer.zero_grad()


def test_the_gradient_of_a_picture_is_that_of_finite_differences(model: FlowModel) -> None:
    batch = model.collate(model.prepare([LikelihoodItem(kind="image", prompt="a", image=image(1), seed=1)]))
    weight = model.transformer.get_parameter("leave.2.bias")
    torch.autograd.backward(model.module(batch)[0].sum())
    assert weight.grad is not None
    found, values = float(weight.grad[3]), []
    with torch.no_grad():
        for step in (0.5, -1.0):
            weight[3] += step
            values.append(float(model.module(batch)[0]))
        weight[3] += 0.5
    model.transformer.zero_grad()
    assert values[0] - values[1] == pytest.approx(found, rel=2e-3)


def test_another_seed_is_another_noise_for_pictures_alone(model: FlowModel) -> None:
    text, picture = model.prepare(
        [
            LikelihoodItem(kind="text", prompt="a", image=image(1), text="yes"),
            LikelihoodItem(kind="image", prompt="a", image=image(1), seed=1),
        ]
    )
    assert model.with_seed(text, 9) is text
    first, again, other = (
        float(model.module(model.collate([model.with_seed(picture, seed)]))[0]) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_save_and_load_give_the_same_model(model: FlowModel, tmp_path: Path) -> None:
    import hermes

    model.save(tmp_path)
    again = hermes.load_model(str(tmp_path), "cpu")
    assert isinstance(again, FlowModel)
    assert again.info.fingerprint == model.info.fingerprint
    wanted = [request("a red circle", 1)]
    assert again.generate(wanted)[0].image.tobytes() == model.generate(wanted)[0].image.tobytes()


@pytest.mark.parametrize(
    "config", [{"steps": 0}, {"steps": 5000}, {"guidance_scale": -1.0}, {"image_size": 64}, {"temperature": 1.0}]
)
def test_impossible_settings_are_refused(model: FlowModel, config: dict[str, float]) -> None:
    with pytest.raises(HermesError, match=next(iter(config))):
        model.generate([request("a", 1, None, **config)])


def test_lessons_depend_on_the_step_alone_and_teach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "SCENES", 3)
    torch.manual_seed(0)
    text, board = build_vocabulary(200), train.board_of(LatentCoder().eval())
    data = course.lessons(text, board, train.COURSE.phases, seed=0, device="cpu", course=4)
    first, again = data(3), data(3)
    for name in ("understanding", "generation"):
        pairs = zip(getattr(first, name), getattr(again, name), strict=True)
        assert all(torch.equal(a.latent, b.latent) and torch.equal(a.velocity, b.velocity) for a, b in pairs)
    assert not bool(first.understanding[0].time.any())
    pupil = course.Pupil(FlowTransformer(Shape(text=len(text), width=32, layers=3, heads=1, codes=0)))
    optimizer = torch.optim.AdamW(pupil.parameters(), 1e-2)
    values = []
    for _ in range(8):
        value, figures = course.lesson_loss(pupil, first, board, train.COURSE.weights)
        optimizer.zero_grad()
        torch.autograd.backward(value)
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.8 * values[0]
    assert set(figures) == set(train.COURSE.weights)


def test_the_shipped_weights_read_draw_and_plan() -> None:
    """Scenes that were never trained on: a few answers about them, and what is drawn from their captions."""
    shipped, items = FlowModel.load(), held_out("validation", 8)
    assert understanding(shipped, items)["U"] >= 0.9
    assert generation(shipped, items)["G"] >= 0.9
    (drawn,) = shipped.generate([request("a photo of a circle left of a square", 3)])
    assert drawn.plan
    assert {"circle", "square"} <= set(drawn.plan.split())
