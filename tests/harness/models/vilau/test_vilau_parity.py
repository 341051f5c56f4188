"""VILA-U's layouts, tower, answers, drawing and log-probabilities against what the authors' code computed."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.seeded import Draw
from hermes.harness.models.seeded_draws import probabilities
from hermes.harness.models.vilau.adapter import IMAGES, VilaU
from hermes.harness.models.vilau.answering import write
from hermes.harness.models.vilau.drawing import draw_codes, draw_steps
from hermes.harness.models.vilau.images import learnt, picture_of, seen
from hermes.harness.models.vilau.likelihood import NOTHING, Prepared, image_item
from hermes.harness.models.vilau.prompting import IMAGE, Words, answer, drawing, question
from hermes.harness.models.vilau.training_rows import IGNORED, TrainingRow, conversation_row, generation_row

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "vilau"
pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="the golden files are not here")
TAGS = ("greedy", "sample", "sample_cfg1", "empty", "ragged")
ASKED = ("one_image", "two_images", "empty_question")


def golden(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


def part_of(name: str, tag: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{tag}."): value for key, value in golden(name).items() if key.startswith(f"{tag}.")}


def within(found: Tensor, expected: Tensor, atol: float = 2e-4) -> None:
    torch.testing.assert_close(found.float(), expected.float(), atol=atol, rtol=0)


@pytest.fixture(scope="module")
def meta() -> dict[str, Any]:
    return json.loads((GOLDEN / "meta.json").read_text())


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return json.loads((GOLDEN / "prompting.json").read_text())


@pytest.fixture(scope="module")
def model() -> VilaU:
    return VilaU.load(str(GOLDEN / "checkpoint"), "cpu")


@pytest.fixture(scope="module")
def released() -> VilaU:
    return VilaU.load(str(GOLDEN / "checkpoint"), "cpu", LoadOptions(as_released=True))


@pytest.fixture(autouse=True)
def _no_gradients(request: pytest.FixtureRequest) -> Iterator[None]:
    with torch.set_grad_enabled("gradient" in request.node.name):
        yield


def texts_of(words: Words, ids: list[int]) -> list[tuple[str, str]]:
    """Question and answer of each turn in a training row's ids."""
    turns: list[list[int]] = [[]]
    for token in ids:
        turns[-1].append(token)
        if token == words.eos:
            turns.append([])
    found = []
    for turn in turns[:-1]:
        text = words.decode([token for token in turn if token >= 0])
        fit = re.fullmatch(r".*?USER:\s*(.*?)\s*ASSISTANT:\s*(.*)", text, re.DOTALL)
        assert fit is not None
        found.append((fit[1], fit[2]))
    return found


def test_prompts_are_those_of_the_reference(model: VilaU, told: dict[str, Any]) -> None:
    words = model.words
    for row in told["understanding"]:
        asked = row["human_value"].replace("<image>\n", "")
        assert words.prompt(question(asked, row["images"]), 1) == row["ids"]
    for row in told["generation"]:
        text = drawing(row["prompt"])
        film = text.replace("<im_start>", "<vi_start>")
        assert words.prompt([film if row["kind"] == "video" else text], 1) == row["ids"]
    for name, number in {name: number for number, name in words.control.items()}.items() | {
        (number, name) for name, number in words.added.items()
    }:
        assert words.part(str(number)) == [name]


def rows_of(model: VilaU, told: dict[str, Any], positions: int) -> list[TrainingRow]:
    made = []
    for row in told["training"]:
        turns, ids = texts_of(model.words, row["ids"]), row["ids"]
        if ids[-3:] == [IMAGE, model.words.end, model.words.eos]:
            made.append(generation_row(model.words, turns[0][0], positions))
        else:
            made.append(conversation_row(model.words, turns, positions if IMAGE in ids else 0))
    return made


def test_training_rows_and_labels(model: VilaU, told: dict[str, Any]) -> None:
    for row, expected in zip(rows_of(model, told, 1), told["training"], strict=True):
        assert row.ids == expected["ids"]
        assert row.labels == expected["labels"]
        if expected["name"].startswith("understanding"):
            text = texts_of(model.words, expected["ids"])[0][1]
            said = answer(model.words, text)
            first = next(place for place, label in enumerate(row.labels) if label != IGNORED)
            assert row.labels[first : first + len(said)] == said


def test_pixels(meta: dict[str, Any], model: VilaU) -> None:
    expected = golden("preprocess")
    same = PIL.__version__ == meta["pillow_version"]
    for name in sorted({key.partition(".")[0] for key in expected}):
        with Image.open(GOLDEN / "images" / f"{name}.png") as picture:
            for kind, prepare in (("resize", seen), ("generation", learnt)):
                found, wanted = prepare(picture, model.side), expected[f"{name}.{kind}"]
                assert found.shape == wanted.shape
                off = (found - wanted).abs()
                # Pillow 13 resizes pictures whose sides scale in opposite directions by up to two levels otherwise.
                assert off.max() < (1e-6 if same else 4.1 / 255)
                assert off.mean() < 1 / 255


def test_codes_and_pictures(model: VilaU) -> None:
    expected, tower = golden("vision"), model.network.tower
    states = tower.states(expected["pixels"])
    within(states, expected["pre_quant"].flatten(1, 2))
    codes, features = tower.quantise(states)
    assert torch.equal(codes, expected["codes"])
    within(features, expected["z_q"], 1e-5)
    within(tower.sums(codes), expected["partial_sums"].flatten(1, 2), 1e-5)
    rows = torch.stack([tower.rows(codes[..., depth], depth) for depth in range(tower.depth)], -2)
    within(rows, expected["code_embeds"], 1e-6)
    within(model.network.project(features), expected["projected"])
    assert torch.equal(tower.quantise(expected["small_inputs"])[0], expected["small_codes"])
    for name, values in (("decoded", features), ("random_decoded", tower.sums(expected["random_codes"])[:, :, -1])):
        within(tower.decode(values) * 127.5, expected[name] * 127.5, 0.02)


def test_another_latent_shape(model: VilaU, meta: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    expected, tower = golden("vision"), model.network.tower
    monkeypatch.setattr(tower, "latent", tuple(meta["alt_decoder_latent_shape"]))
    within(tower.decode(tower.sums(expected["random_codes"])[:, :, -1]) * 127.5, expected["alt_decoded"] * 127.5, 0.02)


def test_bfloat16_as_released(model: VilaU, released: VilaU, meta: dict[str, Any]) -> None:
    expected, tower = golden("vision"), released.network.tower
    codes, _ = tower(expected["pixels"])
    same, told = codes == expected["codes"], meta["bfloat16_codes"]
    whole = told["share_of_codes_equal_to_float32, whole tower in bfloat16"]
    assert float(same.float().mean()) == pytest.approx(whole, abs=0.02)
    assert float(same[..., 0].float().mean()) == pytest.approx(told["first depth"], abs=0.03)
    inputs = expected["pre_quant"].flatten(1, 2).bfloat16()
    equal = tower.quantise(inputs)[0] == model.network.tower.quantise(inputs.float())[0]
    alone = told["quantiser alone on the same bfloat16 input"]
    assert float(equal.float().mean()) == pytest.approx(alone, abs=0.02)
    within(tower.decode(expected["z_q"]), expected["decoded_bf16"], 0.15)
    assert released.info.name.endswith("-as-released")


def asked(model: VilaU, tag: str) -> tuple[list[int], list[Tensor], dict[str, Tensor]]:
    """Expanded ids and features of an understanding fixture."""
    expected = part_of("understanding", tag)
    positions = model.network.tower.positions
    ids = [one for token in expected["ids"].tolist() for one in [token] * (positions if token == IMAGE else 1)]
    return ids, list(model.network.tower(expected["pixels"])[1]), expected


@pytest.mark.parametrize("tag", ASKED)
def test_logits_behind_pictures(tag: str, model: VilaU) -> None:
    ids, features, expected = asked(model, tag)
    embedded = model.network.embedded(torch.tensor([ids]), torch.cat(features))
    within(embedded[0], expected["inputs_embeds"])
    hidden = model.network.read(embedded, torch.ones(1, len(ids)))
    within(model.network.llm.lm_head(hidden)[0, -len(expected["logits"]) :], expected["logits"])


def test_greedy_answers_alone_and_in_ragged_batches(model: VilaU, meta: dict[str, Any], told: dict[str, Any]) -> None:
    rows = {tag: asked(model, tag) for tag in ASKED}
    count = len(rows[ASKED[0]][2]["greedy"])
    wanted = [rows[tag][2]["greedy"].tolist() for tag in ASKED]
    for tags in ([tag] for tag in ASKED):
        ids, features, _ = rows[tags[0]]
        assert write(model.network, model.words.pad, [ids], features, [Draw(0)], [count]) == [
            wanted[ASKED.index(tags[0])]
        ]
    prompts, pictures = [rows[tag][0] for tag in ASKED], [one for tag in ASKED for one in rows[tag][1]]
    assert write(model.network, model.words.pad, prompts, pictures, [Draw(0)] * 3, [count] * 3) == wanted
    for tag, written in zip(ASKED, wanted, strict=True):
        assert model.words.decode(written) == meta["understanding"][tag]["text"]


def test_drawn_answers(model: VilaU, meta: dict[str, Any]) -> None:
    """Each drawn token behind those before it: what it is drawn from, and the draw of the reference's numbers."""
    ids, features, _ = asked(model, ASKED[0])
    expected, settings = part_of("understanding", "sampled"), meta["sampled"]
    draw = Draw(0, settings["temperature"], settings["top_k"], 1.0, settings["top_p"])
    whole = [*ids, *expected["tokens"].tolist()[:-1]]
    embedded = model.network.embedded(torch.tensor([whole]), torch.cat(features))
    hidden = model.network.read(embedded, torch.ones(1, len(whole)))[0, len(ids) - 1 :]
    for place, logits in enumerate(model.network.llm.lm_head(hidden)):
        found = probabilities(logits, draw).float()
        torch.testing.assert_close(found, expected["probs"][place], atol=1e-5, rtol=1e-3)
        assert (found / expected["exponential"][place]).argmax() == expected["tokens"][place]


def told_by(expected: dict[str, Tensor]) -> Callable[[Tensor, int, int], Tensor]:
    """The reference's draws: the largest of p / e, of which the fixture has e; greedy where it has none."""
    if "exponential" not in expected:
        return lambda likely, position, depth: likely.argmax(-1)
    return lambda likely, position, depth: (likely / expected["exponential"][position, depth]).argmax(-1)


def drawn(model: VilaU, meta: dict[str, Any], tag: str) -> tuple[list[list[int]], list[int], list[Draw]]:
    settings = meta["generation"][tag]
    prompts = [model._ids([drawing(prompt)]) for prompt in settings["prompts"]]
    greedy = settings["mode"] == "argmax"
    draw = Draw(0, 0.0 if greedy else 1.0, IMAGES.top_k or 0, settings["cfg"], IMAGES.top_p or 1.0)
    return prompts, model._ids([drawing("")]), [draw] * len(prompts)


@pytest.mark.parametrize("tag", TAGS)
def test_drawing_step_by_step(tag: str, model: VilaU, meta: dict[str, Any]) -> None:
    expected = part_of("generation", tag)
    prompts, empty, draws = drawn(model, meta, tag)
    for ids, row, real in zip(prompts, expected["input_ids"], expected["attention_mask"], strict=False):
        assert ids == row[real.bool()].tolist()
    assert empty == expected["input_ids"][-1][expected["attention_mask"][-1].bool()].tolist()
    steps = list(draw_steps(model.network, prompts, empty, draws, told_by(expected)))
    assert len(steps) == model.network.tower.positions == len(expected["hidden"])
    rows = len(steps[0].hidden)
    assert rows == len(prompts) * (1 if draws[0].guidance == 1 else 2)
    logits = dict(zip(expected["raw_logits_steps"].tolist(), expected["raw_logits"], strict=True))
    for number, step in enumerate(steps):
        assert torch.equal(step.codes, expected["codes"][:, number])
        within(step.hidden, expected["hidden"][number][:rows])
        if number in logits:
            within(step.logits, logits[number][:, :rows])
    if "exponential" in expected:
        torch.testing.assert_close(steps[0].probabilities, expected["probs_first_step"], atol=1e-5, rtol=1e-3)
    tower = model.network.tower
    levels = (tower.decode(tower.sums(expected["codes"])[:, :, -1]) + 1) * 127.5
    within(levels.clamp(0, 255), expected["image"].clamp(0, 255), 0.02)
    for number, picture in enumerate(levels / 127.5 - 1):
        if (path := GOLDEN / "images" / f"{tag}_{number}.png").is_file():
            with Image.open(path) as wanted:
                off = np.asarray(picture_of(picture), int) - np.asarray(wanted.convert("RGB"), int)
            assert np.abs(off).max() <= 1


def test_ragged_drawings_are_those_of_each_alone(model: VilaU, meta: dict[str, Any]) -> None:
    """Also beside rows of other guidance, of which one has none."""
    prompts, empty, draws = drawn(model, meta, "ragged")
    expected = part_of("generation", "ragged")
    for number, (prompt, draw) in enumerate(zip(prompts, draws, strict=True)):
        own = {"exponential": expected["exponential"][:, :, number : number + 1]}
        alone = draw_codes(model.network, [prompt], empty, [draw], told_by(own))
        assert torch.equal(alone[0], expected["codes"][number])
    others = [Draw(0, 0.0), *draws[1:]]
    mixed = draw_codes(model.network, prompts, empty, others, told_by(expected))
    assert torch.equal(mixed[1:], expected["codes"][1:])


def expanded(row: list[int], labels: list[int], features: list[Tensor]) -> Prepared:
    """A training row's text: what is labelled, at the place before it."""
    target = [label if label not in (IGNORED, IMAGE) else NOTHING for label in labels]
    return Prepared(tuple(row[:-1]), tuple(target[1:]), torch.cat(features) if features else None)


def likelihood_items(model: VilaU, told: dict[str, Any]) -> tuple[list[Prepared], list[Prepared], dict[str, Tensor]]:
    """The text of all rows, and the pictures of those that are drawn."""
    expected = golden("likelihood")
    codes, features = model.network.tower(expected["batch.images"])
    left, texts, images = list(zip(codes, features, strict=True)), [], []
    for row in rows_of(model, told, model.network.tower.positions):
        # The batch has a picture for each row, also for those without one.
        shown = [left.pop(0) for _ in range(row.ids.count(IMAGE) // model.network.tower.positions)]
        texts.append(expanded(*row, [one[1] for one in shown]))
        if IMAGE in row.labels:
            images.append(image_item(row.ids[: row.ids.index(IMAGE)], shown[0][0]))
    return texts, images, expected


def test_likelihoods(model: VilaU, told: dict[str, Any], meta: dict[str, Any]) -> None:
    texts, images, expected = likelihood_items(model, told)
    sums, counts = model.module(model.collate([*texts, *images]))
    wanted = torch.cat([expected["text.sum"], expected["image.sum"]])
    torch.testing.assert_close(sums.double(), wanted, rtol=1e-5, atol=1e-4)
    assert counts[: len(texts)].sum() == meta["likelihood"]["text_tokens"]
    assert counts[len(texts) :].sum() == meta["likelihood"]["image_codes"]
    alone = torch.cat([model.module(model.collate([item]))[0] for item in [*texts, *images]])
    torch.testing.assert_close(alone, sums, rtol=1e-5, atol=1e-4)
    batch = model.collate(images)
    assert torch.equal(batch.codes, expected["image.codes"])
    network = model.network
    sums_of = network.tower.sums(batch.codes)
    hidden = network.read(network.embedded(batch.ids, sums_of[:, :-1, -1].flatten(0, 1)), batch.attention)
    within(model.module.of_codes(batch, hidden, sums_of), expected["image.code_logprob"])
    states = torch.stack(
        [row[begin : begin + batch.codes.shape[1]] for row, begin in zip(hidden, batch.begin, strict=True)]
    )
    within(states, expected["image.body_hidden"])
    first = expected["image.logits_first_row_first_positions"]
    within(network.rqtransformer(states[0, : len(first)], sums_of[0, : len(first), :-1]), first)


def test_the_logits_of_a_conversation(model: VilaU, told: dict[str, Any]) -> None:
    """All text positions of the answered question, and their log-probabilities."""
    texts, _, expected = likelihood_items(model, told)
    number = next(place for place, row in enumerate(told["training"]) if row["name"] == "understanding")
    item = texts[number]
    ids = torch.tensor([[*item.ids, told["training"][number]["ids"][-1]]])
    hidden = model.network.read(model.network.embedded(ids, item.features), torch.ones_like(ids))
    logits = model.network.llm.lm_head(hidden)[0]
    wanted = expected["understanding.logits"]
    within(logits[: len(wanted)], wanted)
    labels = torch.tensor([target if target != NOTHING else IGNORED for target in item.target])
    told_by_us = -cross_entropy(logits[:-1], labels, ignore_index=IGNORED, reduction="none")
    asked = labels != IGNORED
    within(told_by_us[asked], expected["text.token_logprob"][number, : len(labels)][asked])


def test_loss_and_gradients(model: VilaU, told: dict[str, Any], meta: dict[str, Any]) -> None:
    """The reference's loss, the mean over all text labels plus that over all codes; the gradient of every weight."""
    texts, images, _ = likelihood_items(model, told)
    expected = meta["likelihood"]
    loss = torch.zeros(())
    for items in (texts, images):
        sums, counts = model.module(model.collate(items))
        loss = loss - sums.sum() / counts.sum()
    assert float(loss.detach()) == pytest.approx(expected["loss"], rel=1e-5)
    model.module.zero_grad()
    loss.backward()
    names = {name.replace("vision_tower.vision_tower.", ""): norm for name, norm in expected["grad_norms"].items()}
    found = {name: weight.grad for name, weight in model.network.named_parameters() if weight.requires_grad}
    assert found.keys() == names.keys()
    for name, norm in names.items():
        assert float(found[name].norm()) == pytest.approx(norm, rel=1e-3, abs=1e-6)
    for name, gradient in golden("grads").items():
        own = found[name.replace("vision_tower.vision_tower.", "")]
        assert float((own - gradient).norm()) <= 1e-3 * float(gradient.norm())
    model.module.zero_grad()
