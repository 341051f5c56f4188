"""The transformer of hermes-tiny: who sees whom, the cache, companions in a batch, likelihoods, save and load."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.models.tiny.drawing import Drawing, draw_codes, pick, still_masked
from hermes.harness.models.tiny.likelihood import masks_of
from hermes.harness.models.tiny.packing import (
    ANS,
    END,
    MMU,
    NOTHING,
    SPECIALS,
    TEXT_PLACE,
    collate,
    generation_row,
    plan_row,
    understanding_row,
)
from hermes.harness.models.tiny.tokenizer_image import CODES, IMAGE_TOKENS, ImageTokenizer, to_picture
from hermes.harness.models.tiny.tokenizer_text import TextTokenizer
from hermes.harness.models.tiny.transformer import Shape, Transformer, omni_mask
from hermes.harness.models.tiny.writing import Ask, see, write
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import DECODING, GenerationConfig, Order, Request
from hermes.harness.system.errors import HermesError

WORDS = [
    "a",
    "red",
    "blue",
    "circle",
    "square",
    "Is",
    "there",
    "What",
    "color",
    "is",
    "the",
    "?",
    "yes",
    "no",
    "in",
    "image",
]


@pytest.fixture(scope="module")
def model() -> TinyModel:
    """Random weights, large enough that its answers differ from prompt to prompt."""
    torch.manual_seed(0)
    text = TextTokenizer([*SPECIALS, *WORDS])
    transformer = Transformer(Shape(text=len(text), width=32, layers=2, heads=2))
    with torch.no_grad():
        for parameter in transformer.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    return TinyModel("random", text, ImageTokenizer(), transformer)


def image(seed: int) -> ImageHandle:
    pixels = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(seed))
    return ImageHandle(to_picture(pixels))


def request(prompt: str, seed: int, picture: ImageHandle | None = None, **config: float | str) -> Request:
    images = () if picture is None else (picture,)
    settings = GenerationConfig.model_validate(config)
    return Request(sample_id=f"s{seed}", index=0, prompt=prompt, images=images, config=settings, seed=seed)


def asks() -> list[Request]:
    prompts = ["Is there a red circle ?", "What color is the square in the image ?", "a", "red blue red blue a a ?"]
    return [
        request(p, i, image(i % 3), max_new_tokens=3 + 4 * i, temperature=0.9 * (i % 2)) for i, p in enumerate(prompts)
    ]


def test_images_see_each_other_text_is_causal_and_dialogues_are_apart() -> None:
    segment = torch.tensor([[0, 0, 0, 1, 1, 2, -1]])
    picture = torch.tensor([[False, True, True, False, False, False, False]])
    mask = omni_mask(segment, picture)[0]
    expected = [
        "1000000",
        "1110000",
        "1110000",
        "1111000",
        "1111100",
        "1110010",
        "0000001",
    ]
    assert ["".join(str(int(x)) for x in row) for row in mask] == expected


def test_a_masked_image_copy_sees_its_prompt_and_itself_only() -> None:
    segment = torch.tensor([[0, 0, 1, 1, 2, 2]])
    picture = torch.tensor([[False, False, True, True, True, True]])
    mask = omni_mask(segment, picture)[0]
    assert mask[2].tolist() == [True, True, True, True, False, False]
    assert mask[5].tolist() == [True, True, False, False, True, True]
    assert mask[1].tolist() == [True, True, False, False, False, False]


def test_the_schedule_reveals_every_cell_and_something_at_each_step() -> None:
    for steps in (1, 2, 8, 18, 36):
        left = [IMAGE_TOKENS, *(still_masked(step, steps) for step in range(steps))]
        assert left[-1] == 0
        assert all(before > after for before, after in pairwise(left))


def test_picking_follows_the_distribution() -> None:
    probabilities = torch.tensor([0.2, 0.0, 0.5, 0.3])
    uniform = (torch.arange(1000) + 0.5) / 1000
    counts = torch.bincount(pick(probabilities.expand(1000, 4), uniform), minlength=4)
    assert counts.tolist() == [200, 0, 500, 300]


def plain_answer(model: TinyModel, code: torch.Tensor, prompt: list[int], longest: int) -> list[int]:
    """Greedy decoding that runs the whole sequence again for every token."""
    answer: list[int] = []
    while len(answer) < longest:
        row = understanding_row((code + model.transformer.shape.text).numpy(), [([*prompt, ANS, *answer][:-1], None)])
        row.tokens[-1] = [*prompt, ANS, *answer][-1]
        batch = collate([row])
        hidden, _ = model.transformer(batch.tokens, batch.place, batch.cell, batch.mask)
        logits = model.transformer.text_logits(hidden[0, -1])
        logits[[i for i in range(len(SPECIALS)) if i != END]] = -torch.inf
        token = int(logits.argmax())
        if token == END:
            break
        answer.append(token)
    return answer


def test_cached_text_equals_uncached_text(model: TinyModel) -> None:
    codes = torch.randint(CODES, (3, IMAGE_TOKENS), generator=torch.Generator().manual_seed(1))
    prompts = [
        model.text.encode(p) for p in ("Is there a red circle ?", "a", "What color is the square in the image ?")
    ]
    cached = write(
        model.transformer, see(model.transformer, codes), [Ask(i, p, max_new_tokens=9) for i, p in enumerate(prompts)]
    )
    with torch.inference_mode():
        plain = [plain_answer(model, codes[i], p, 9) for i, p in enumerate(prompts)]
    assert cached == plain
    assert len({tuple(answer) for answer in cached}) > 1


def test_answers_do_not_depend_on_companions(model: TinyModel) -> None:
    alone = [model.understand([one])[0] for one in asks()]
    assert model.understand(asks()) == alone
    assert model.understand(asks()[::-1]) == alone[::-1]
    assert len(set(alone)) > 1


def test_images_do_not_depend_on_companions(model: TinyModel) -> None:
    requests = [
        request("a red circle", 1),
        request("a blue square in the image a blue square", 2, guidance_scale=1.0),
        request("a", 3, steps=3),
        request("a red circle", 4),
    ]
    alone = [model.generate([one])[0].image.tobytes() for one in requests]
    assert [one.image.tobytes() for one in model.generate(requests)] == alone
    assert alone[0] != alone[3]


def test_a_picture_is_planned_unless_the_request_says_otherwise(model: TinyModel) -> None:
    """The plan is a text of the model's, drawn from by the request's own seed; "off" draws from the prompt itself."""
    asked = [request("a red circle", seed, plan_temperature=1.0) for seed in range(6)]
    planned = model.generate(asked)
    plans = [one.plan for one in planned]
    assert len(set(plans)) > 1
    again = [request(one.plan or "a red circle", seed, plan="off") for seed, one in enumerate(planned)]
    drawn = model.generate(again)
    assert [one.image.tobytes() for one in drawn] == [one.image.tobytes() for one in planned]
    assert {one.plan for one in drawn} == {None}
    greedy = model.generate([request("a red circle", seed, plan_temperature=0.0) for seed in range(3)])
    assert len({one.plan for one in greedy}) == 1


def test_weights_that_were_not_taught_to_plan_draw_from_the_prompt(model: TinyModel, tmp_path: Path) -> None:
    """A folder of before there were plans does not say that it plans."""
    model.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "plans"}))
    old = TinyModel.load(str(tmp_path), "cpu")
    assert model.info.defaults.plan == "on"
    assert not set(DECODING) & old.info.defaults.model_dump().keys(), "its runs would have other ids than before"
    drawn = old.generate([request("a red circle", 1)])[0]
    assert drawn.plan is None
    assert drawn.image.tobytes() == model.generate([request("a red circle", 1, plan="off")])[0].image.tobytes()
    with pytest.raises(HermesError, match="not taught to plan"):
        old.generate([request("a red circle", 1, plan="on")])


def test_nothing_is_planned_for_an_empty_prompt(model: TinyModel) -> None:
    assert model.generate([request("", 1)])[0].plan is None


@pytest.mark.parametrize("order", get_args(Order))
def test_every_order_draws_every_cell_and_follows_its_seed(model: TinyModel, order: Order) -> None:
    drawing = Drawing(6, 1.0, 0.0, order, 1.0)
    prompts = [model.text.encode("a red circle")] * 3
    codes = draw_codes(model.transformer, prompts, [1, 2, 1], drawing)
    assert torch.equal(codes[0], codes[2])
    assert not torch.equal(codes[0], codes[1])
    assert int(codes.min()) >= 0
    assert int(codes.max()) < CODES


def test_the_noise_of_the_order_changes_what_is_kept(model: TinyModel) -> None:
    prompts = [model.text.encode("a red circle")]
    plain, noisy = (draw_codes(model.transformer, prompts, [1], Drawing(4, 1.0, 0.0, "confidence", n)) for n in (1, 20))
    assert not torch.equal(plain, noisy)


def test_guidance_of_an_empty_prompt_changes_nothing(model: TinyModel) -> None:
    plain = draw_codes(model.transformer, [[]], [5], Drawing(4, 1.0, 0.0, "confidence", 1.0))
    guided = draw_codes(model.transformer, [[]], [5], Drawing(4, 1.0, 2.0, "confidence", 1.0))
    assert torch.equal(plain, guided)


def items() -> list[LikelihoodItem]:
    return [
        LikelihoodItem("text", "What color is the circle ?", image(1), "red"),
        LikelihoodItem("image", "a red circle", image(2), seed=7),
        LikelihoodItem("text", "a", image(3), "Is there a blue square in the image ?"),
        LikelihoodItem("image", "a red circle", image(3), seed=7),
        LikelihoodItem("image", "a red circle", image(3), seed=7, plan="a blue square"),
    ]


def test_text_likelihood_is_the_sum_of_next_token_log_probabilities(model: TinyModel) -> None:
    (prepared,) = model.prepare(items()[:1])
    prompt, text = list(prepared.prompt), list(prepared.text or ())
    tokens = torch.tensor([[MMU, *prepared.image, *prompt, ANS, *text]])
    length, start = tokens.shape[1], 1 + IMAGE_TOKENS
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    mask[1:start, 1:start] = True
    cells = torch.arange(IMAGE_TOKENS)
    place = torch.zeros(1, length, 2, dtype=torch.long)
    place[0, 0] = TEXT_PLACE - 1
    place[0, 1:start] = torch.stack([cells // 6, cells % 6], 1)
    place[0, start:] = (TEXT_PLACE + torch.arange(length - start))[:, None]
    cell = torch.zeros(1, length, dtype=torch.long)
    cell[0, 1:start] = cells + 1
    hidden, _ = model.transformer(tokens, place, cell, mask[None])
    told = torch.log_softmax(model.transformer.text_logits(hidden[0, start + len(prompt) :]), -1)
    direct = sum(told[i, token] for i, token in enumerate([*text, END]))
    log_probs, counts = model.module(model.collate([prepared]))
    torch.testing.assert_close(log_probs[0], direct)
    assert counts.tolist() == [len(text) + 1]


def test_image_likelihood_averages_masked_prediction_over_the_masks(model: TinyModel) -> None:
    (prepared,) = model.prepare(items()[1:2])
    expected = 0.0
    for hidden in masks_of(prepared.seed, model.masks):
        batch = collate([generation_row(prepared.prompt, prepared.image, [hidden])])
        states, _ = model.transformer(batch.tokens, batch.place, batch.cell, batch.mask)
        asked = batch.target != NOTHING
        told = torch.log_softmax(model.transformer.image_logits(states[asked]), -1)
        target = batch.target[asked] - model.transformer.shape.text
        expected += told.gather(1, target[:, None]).mean().item() * IMAGE_TOKENS / model.masks
    log_probs, counts = model.module(model.collate([prepared]))
    assert log_probs.item() == pytest.approx(expected, rel=1e-4)
    assert counts.tolist() == [IMAGE_TOKENS]


def test_the_likelihood_of_a_planned_image_is_that_of_its_plan_and_of_the_image_drawn_from_it(model: TinyModel) -> None:
    drawn, other = items()[1], "a blue square"
    planned, unplanned, direct, from_plan = model.prepare(
        [replace(drawn, plan=other), replace(drawn, plan=""), drawn, replace(drawn, prompt=other)]
    )

    def log_p_of_plan(plan: str) -> float:
        batch = collate([plan_row(model.text.encode(drawn.prompt), model.text.encode(plan))])
        hidden, _ = model.transformer(batch.tokens, batch.place, batch.cell, batch.mask)
        asked = batch.target != NOTHING
        told = torch.log_softmax(model.transformer.text_logits(hidden[asked]), -1)
        return told.gather(1, batch.target[asked][:, None]).sum().item()

    found, counts = model.module(model.collate([planned, unplanned, direct, from_plan]))
    assert found[0].item() == pytest.approx(found[3].item() + log_p_of_plan(other), rel=1e-4)
    assert found[1].item() == pytest.approx(found[2].item() + log_p_of_plan(""), rel=1e-4)
    assert counts.tolist() == [IMAGE_TOKENS + 4, IMAGE_TOKENS + 1, IMAGE_TOKENS, IMAGE_TOKENS]
    alone = [LikelihoodItem("text", drawn.prompt, image(9), plan=plan) for plan in (other, "")]
    found, counts = model.module(model.collate(model.prepare(alone)))
    assert found.tolist() == pytest.approx([log_p_of_plan(other), log_p_of_plan("")], rel=1e-4)
    assert counts.tolist() == [4, 1]


def test_likelihoods_of_a_mixed_batch_are_those_of_each_item(model: TinyModel) -> None:
    prepared = model.prepare(items())
    together, _ = model.module(model.collate(prepared))
    alone = torch.cat([model.module(model.collate([one]))[0] for one in prepared])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    together.sum().backward()
    assert all(parameter.grad is not None for parameter in model.module.parameters())


def test_one_seed_masks_alike_and_another_seed_differs(model: TinyModel) -> None:
    winner, loser = model.prepare([items()[1], items()[3]])
    batch = model.collate([winner, loser, model.with_seed(loser, 8)]).rows
    masked = batch.target >= 0
    assert torch.equal(masked[0], masked[1])
    assert not torch.equal(masked[0], masked[2])
    counts = [int(mask.sum()) for mask in masks_of(7, 4)]
    assert all(1 <= count <= IMAGE_TOKENS for count in counts)
    assert np.array_equal(masks_of(7, 2)[0], masks_of(7, 4)[0])
    text = model.prepare(items()[:1])[0]
    assert model.with_seed(text, 9) == text


def test_save_and_load_give_the_same_model(model: TinyModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = TinyModel.load(str(tmp_path), "cpu")
    assert again.info.fingerprint == model.info.fingerprint
    assert again.understand(asks()) == model.understand(asks())
    requests = [request("a red circle", 1)]
    assert again.generate(requests)[0].image.tobytes() == model.generate(requests)[0].image.tobytes()


def test_the_fingerprint_follows_the_weights(model: TinyModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    changed = TinyModel.load(str(tmp_path), "cpu")
    with torch.no_grad():
        changed.transformer.head.weight[0, 0] += 1
    assert changed.info.fingerprint != model.info.fingerprint


def test_a_folder_without_a_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match=r"^model hermes-tiny: .* holds no config\.json"):
        TinyModel.load(str(tmp_path), "cpu")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(HermesError, match="not a hermes-tiny model") as caught:
        TinyModel.load(str(tmp_path), "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", [{"steps": 0}, {"steps": 40}, {"guidance_scale": -1.0}, {"image_size": 64}])
def test_impossible_settings_are_refused(model: TinyModel, config: dict[str, float]) -> None:
    with pytest.raises(HermesError):
        model.generate([request("a", 1, None, **config)])


def test_a_question_needs_one_image(model: TinyModel) -> None:
    with pytest.raises(HermesError, match="exactly one image"):
        model.understand([request("Is there a red circle ?", 1)])


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_images_of_one_prompt_in_a_batch_are_those_of_single_calls(model: TinyModel, guidance: float) -> None:
    """What rows share is computed once; a prompt may stand anywhere, several times, and be the empty one."""
    prompts = ["a red circle", "", "a small blue square and a star", "a red circle", "a red circle", ""]
    wanted = [request(prompt, seed, guidance_scale=guidance) for seed, prompt in enumerate(prompts)]
    together = [one.image.tobytes() for one in model.generate(wanted)]
    assert together == [model.generate([one])[0].image.tobytes() for one in wanted]
    assert len(set(together)) == len(prompts)
