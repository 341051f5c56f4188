"""MMaDA's transformer, layouts, decoding and log-probabilities against what the reference computed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from hermes.harness.models.magvit.pictures import pictures_of, pixels_of, squashed_pixels_of
from hermes.harness.models.maskgit import Drawing, gumbel
from hermes.harness.models.mmada.adapter import MMaDA
from hermes.harness.models.mmada.images import Reader, draw_steps
from hermes.harness.models.mmada.likelihood import (
    Likelihood,
    Row,
    collate_rows,
    image_row,
    released_image_row,
    text_row,
)
from hermes.harness.models.mmada.prompting import Layout, encoded, question_ids
from hermes.harness.models.mmada.reading import hidden_of, logits_of
from hermes.harness.models.mmada.text import Draws, Writing, write, write_steps
from hermes.harness.models.mmada.training_rows import generation_row, language_row, understanding_row
from hermes.harness.models.seeded import Draw

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "mmada"
MAGVIT = GOLDEN.parent / "showo" / "magvitv2_state_dict_f16.safetensors"
pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="the golden files are not here")
LOGITS = 1e-4
TAGS = ["greedy_cfg", "sample_cfg", "sample_nocfg", "inpaint"]


def golden(name: str) -> dict[str, Tensor]:
    """Integers as int64, as ids are indices."""
    stored = load_file(GOLDEN / f"{name}.safetensors")
    return {key: value.long() if value.dtype == torch.int32 else value for key, value in stored.items()}


def of(tag: str, name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{tag}."): value for key, value in golden(name).items() if key.startswith(f"{tag}.")}


@pytest.fixture(scope="module")
def meta() -> dict[str, Any]:
    return json.loads((GOLDEN / "meta.json").read_text())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, meta: dict[str, Any]) -> MMaDA:
    folder = tmp_path_factory.mktemp("golden")
    sizes = {"resolution": meta["magvitv2"]["img"], "max_seq_length": meta["max_text"]}
    (folder / "config.json").write_text(json.dumps(json.loads((GOLDEN / "config.json").read_text()) | sizes))
    (folder / "tokenizer").symlink_to(GOLDEN / "tokenizer")
    (folder / "magvitv2").mkdir()
    save_file(load_file(MAGVIT), folder / "magvitv2" / "model.safetensors")
    save_file(load_file(GOLDEN / "mmada_state_dict_f16.safetensors"), folder / "model.safetensors")
    return MMaDA.load(f"mmada:{folder}", "cpu")


@pytest.fixture(scope="module")
def layout(model: MMaDA) -> Layout:
    return model.layout


def words_of(layout: Layout, row: Tensor) -> list[int]:
    """The prompt's ids in a stored generation row, without what the layout puts around them."""
    words = layout.vocabulary
    part = [token for token in row[: layout.max_text + 1].tolist() if token != words.pad]
    assert part[:2] == [words.t2i, words.bos]
    assert part[-1] == words.eos
    return part[2:-1]


def test_token_ids(layout: Layout, meta: dict[str, Any]) -> None:
    words, ids = layout.vocabulary, meta["ids"]
    for name in ("soi", "eoi", "t2i", "mmu"):
        assert getattr(words, name) == ids[f"<|{name}|>"]
    assert (words.pad, words.eot, words.bos) == (ids["[iPAD]"], ids["<|eot_id|>"], ids["bos"])
    assert (words.first_code, words.mask, words.eos) == (ids["image_offset"], ids["mask"], ids["eos"])
    assert words.codes == meta["codebook"]


def test_generation_layout(model: MMaDA, layout: Layout) -> None:
    told, expected = json.loads((GOLDEN / "prompting.json").read_text()), golden("prompting")
    tokens = expected["t2i_gen.ids"].shape[1] - layout.max_text - 3
    blank = [layout.vocabulary.mask] * tokens
    for text, ids, mask in zip(told["t2i_gen_texts"], expected["t2i_gen.ids"], expected["t2i_gen.mask"], strict=True):
        words = encoded(model.tokenizer, text)
        pads = layout.pads(words)
        assert [*[layout.vocabulary.pad] * pads, *layout.generation(words, blank)] == ids.tolist()
        assert mask.tolist() == [0] * pads + [1] * (len(ids) - pads)


def test_training_rows(model: MMaDA, layout: Layout, meta: dict[str, Any]) -> None:
    told, expected = json.loads((GOLDEN / "prompting.json").read_text()), golden("prompting")
    header = meta["ids"]["<|end_header_id|>"]
    for ids, labels in zip(expected["t2i.ids"], expected["t2i.labels"], strict=True):
        image = slice(layout.max_text + 2, -1)
        row = generation_row(layout, words_of(layout, ids), ids[image].tolist(), labels[image].tolist())
        assert row.ids == ids.tolist()
        assert row.labels == labels.tolist()
        assert row.prompt == layout.max_text + 1
    for number, text in enumerate(told["mmu_texts"]):
        words = encoded(model.tokenizer, text)
        ids, length = expected["mmu.ids"][number].tolist(), expected["lm_chat.ids"].shape[1]
        image = ids[2 : ids.index(layout.vocabulary.eoi)]
        rows = {
            "mmu": understanding_row(layout, image, words, header),
            "lm_chat": language_row(layout, words, length, header),
        }
        for name, row in rows.items():
            assert row.ids == expected[f"{name}.ids"][number].tolist()
            assert row.labels == expected[f"{name}.labels"][number].tolist()
            assert row.prompt == int(expected[f"{name}.prompt_mask"][number].sum())
    for ids, labels in zip(expected["lm.ids"], expected["lm.labels"], strict=True):
        text = model.tokenizer.decode([token for token in ids if token != layout.vocabulary.eos])
        row = language_row(layout, encoded(model.tokenizer, text), len(ids))
        assert (row.ids, row.labels, row.prompt) == (ids.tolist(), labels.tolist(), 0)


def test_prompts_of_questions(model: MMaDA) -> None:
    told = json.loads((GOLDEN / "prompting.json").read_text())
    before, after = "user<|end_header_id|>\n", "<|eot_id|>"
    question = told["chat_template"].split(before)[1].split(after)[0]
    assert model.tokenizer.decode(question_ids(model.tokenizer, f" {question}\n")) == told["chat_template"]
    for text in told["mmu_texts"]:
        asked = text.split(before)[1].split("<eot_id>")[0]
        written = "".join(text.partition("assistant<|end_header_id|>\n")[:2])
        misspelt = model.tokenizer.decode(question_ids(model.tokenizer, asked, misspelt=True))
        assert misspelt == f"<|startoftext|>{written}"


def test_logits(model: MMaDA, layout: Layout) -> None:
    """With the mask of inference, without one, and with the number that training adds instead of a mask.

    Places of pads are left out of the first: no token sees what is computed there.
    """
    expected = of("t2i", "forward")
    ids, mask = expected["ids"], expected["mask"].bool()
    places = torch.arange(ids.shape[1]).expand(len(ids), -1)
    bias = (mask[:, None, :, None] & mask[:, None, None, :]).float()
    found = {"": mask, "_no_mask": torch.ones_like(mask), "_float_bias": bias}
    for name, seen in found.items():
        with torch.inference_mode():
            logits = logits_of(model.network, hidden_of(model.network, ids, seen, places)[:, ::5])
        off = (logits - expected[f"logits_every5{name}"]).abs().amax(-1)
        assert off[mask[:, ::5] if name == "" else off >= 0].max() < LOGITS


def test_rows_without_their_pads_are_the_same(model: MMaDA, layout: Layout) -> None:
    expected = of("t2i", "forward")
    texts = [words_of(layout, row) for row in expected["ids"]]
    image = expected["ids"][:, layout.max_text + 2 : -1]
    read = Reader(model.network, layout, texts, image.shape[1], 0.0)
    with torch.inference_mode():
        logits = read(image)
    words = layout.vocabulary
    columns = slice(words.first_code, words.first_code + words.codes)
    every = torch.arange(0, expected["ids"].shape[1], 5) - layout.max_text - 2
    inside = (every >= 0) & (every < image.shape[1])
    wanted = expected["logits_every5"][:, inside, columns]
    assert (logits[:, every[inside]] - wanted).abs().max() < LOGITS


def test_pictures_to_codes_and_back(model: MMaDA) -> None:
    expected, side = golden("images"), model.config.resolution
    for name in ("a", "b", "c"):
        picture = Image.open(GOLDEN / "images" / f"in_{name}.png").convert("RGB")
        pixels = pixels_of([picture], side)
        torch.testing.assert_close(pixels, expected[f"{name}.pixels"], atol=1e-6, rtol=0)
        assert torch.equal(model.images.encode(pixels), expected[f"{name}.codes"])
        assert torch.equal(model.images.encode(squashed_pixels_of(picture, side)), expected[f"{name}.codes_squashed"])
    decoded = model.images.decode(model.images.encode(expected["a.pixels"]))
    torch.testing.assert_close(decoded, expected["a.decoded"], atol=LOGITS, rtol=0)


@pytest.mark.parametrize("tag", TAGS)
def test_drawing_step_by_step(tag: str, model: MMaDA, layout: Layout, meta: dict[str, Any]) -> None:
    settings, expected, words = meta["t2i"][tag], of(tag, "t2i_generate"), layout.vocabulary
    rows = expected["prompt_ids"]
    image = slice(layout.max_text + 2, -1)
    texts = [words_of(layout, row) for row in rows]
    generator = torch.Generator().manual_seed(settings["generator_seed"])
    drawing = Drawing(settings["steps"], settings["guidance"], settings["temperature0"])
    steps = list(draw_steps(model.network, layout, texts, rows[:, image], [generator], drawing))
    assert len(steps) == settings["steps"]
    for number, step in enumerate(steps):
        assert torch.equal(step.before, expected["model_input"][number][: len(rows), image])
        unknown = step.before == words.mask
        drawn = expected["sampled_raw"][number]
        assert torch.equal((step.chosen - words.first_code)[unknown], drawn[unknown])
        noise = gumbel(expected["u"][number]) * settings["temperatures"][number]
        sure = expected["selected_probs"][number].log() + noise
        torch.testing.assert_close(step.confidence[unknown], sure[unknown], atol=1e-3, rtol=1e-4)
        assert torch.equal(step.masked, expected["masking"][number].bool())
    codes = steps[-1].chosen - words.first_code
    assert torch.equal(codes, expected["codes"])
    for number, row in enumerate(codes):
        picture = np.asarray(Image.open(GOLDEN / "images" / f"{tag}_{number}.png").convert("RGB")).astype(int)
        made = np.asarray(pictures_of(model.images.decode(row[None]))[0]).astype(int)
        assert abs(made - picture).max() <= 1


def test_first_logits_and_probabilities_of_a_picture(model: MMaDA, layout: Layout, meta: dict[str, Any]) -> None:
    expected, guidance = of("sample_cfg", "t2i_generate"), meta["t2i"]["sample_cfg"]["guidance"]
    rows = expected["prompt_ids"]
    texts, image = [words_of(layout, row) for row in rows], rows[:, layout.max_text + 2 : -1]
    with torch.inference_mode():
        plain = Reader(model.network, layout, [*texts, *[[]] * len(texts)], image.shape[1], 0.0)(image.repeat(2, 1))
        shares = Reader(model.network, layout, texts, image.shape[1], guidance)(image).softmax(-1)
    assert (plain - expected["logits_step0_image"]).abs().max() < LOGITS
    assert (shares.flatten(0, 1) - expected["guided_probs_step0"]).abs().max() < 1e-5


class Stored(Draws):
    """The reference's random numbers, of one row."""

    def __init__(self, uniform: Tensor) -> None:
        self.uniform, self.step = uniform, -1

    def tokens(self, row: int, places: Tensor, width: int) -> Tensor:
        self.step += 1
        return self.uniform[self.step, row][places]

    def order(self, row: int, places: Tensor) -> Tensor:
        return self.tokens(row, places, 0)


TEXTS = [
    "mmu0",
    "mmu1",
    "mmu2",
    "mmu_blocks",
    "mmu_one_block",
    "mmu_cfg",
    "mmu_batch",
    "lm_greedy",
    "lm_temperature",
    "lm_random",
]


def prompts_of(expected: dict[str, Tensor]) -> list[list[int]]:
    """The prompts of a stored call; pads of a ragged batch are left out by its mask."""
    rows = expected["input_ids"]
    real = expected.get("attention_mask", torch.ones_like(rows))[:, : rows.shape[1]].bool()
    return [row[seen].tolist() for row, seen in zip(rows, real, strict=True)]


def writing_of(options: dict[str, Any]) -> Writing:
    tokens = options.get("max_new_tokens") or options["gen_length"]
    at_random = options.get("remasking") == "random"
    return Writing(tokens, options["steps"], options["block_length"], options.get("cfg_scale", 0.0), at_random)


@pytest.mark.parametrize("tag", TEXTS)
def test_writing_step_by_step(tag: str, model: MMaDA, meta: dict[str, Any]) -> None:
    told, expected, mask = meta["text"][tag], of(tag, "text_generate"), model.layout.vocabulary.mask
    prompts, writing = prompts_of(expected), writing_of(told["options"])
    draws = [Draw(0, told["options"].get("temperature", 0.0)) for _ in prompts]
    steps = list(write_steps(model.network, mask, prompts, draws, writing, Stored(expected.get("uniform"))))
    assert len(steps) == told["forwards"] + 1
    for found, state in zip(steps, expected["states"], strict=False):
        assert torch.equal(found, state[: len(prompts), -writing.tokens :])
    assert torch.equal(steps[-1], expected["tokens"])
    raw = [model.tokenizer.decode([t for t in row if t < len(model.tokenizer)], skip_special_tokens=True)
           for row in steps[-1].tolist()]  # fmt: skip
    assert raw == told["text"]


@pytest.mark.parametrize("tag", ["mmu0", "mmu_cfg", "mmu_batch", "lm_greedy"])
def test_first_logits_of_an_answer(tag: str, model: MMaDA) -> None:
    expected = of(tag, "text_generate")
    ids, answer = expected["states"][0], expected["tokens"].shape[1]
    real = expected.get("attention_mask", torch.ones_like(ids)).bool()
    places = (real.long().cumsum(1) - 1).clamp_min(0)
    with torch.inference_mode():
        logits = logits_of(model.network, hidden_of(model.network, ids, real, places)[:, -answer:])
    assert (logits - expected["logits_step0_answer"]).abs().max() < LOGITS


def test_a_text_that_ends_is_not_written_on(model: MMaDA, meta: dict[str, Any]) -> None:
    """The reference's early stop looks at the end of a block, ours at the text: the same steps, and the same answer."""
    told, expected = meta["text"]["mmu_fast_early_stop"], of("mmu_fast_early_stop", "text_generate")
    writing, stop, mask = writing_of(told["options"]), told["options"]["eot_token"], model.layout.vocabulary.mask
    (prompt,) = prompts_of(expected)
    draws = [Draw(0)]
    whole = list(write_steps(model.network, mask, [prompt], draws, writing, Stored(torch.empty(0))))
    for found, state in zip(whole, expected["states"], strict=False):
        assert torch.equal(found, state[:, -writing.tokens :])
    written = expected["tokens"][0].tolist()
    known = written.index(mask) if mask in written else len(written)
    assert whole[told["forwards"]][0, :known].tolist() == written[:known]
    stopped = list(write_steps(model.network, mask, [prompt], draws, writing, Stored(torch.empty(0)), [stop]))
    assert len(stopped) - 1 <= told["forwards"]
    assert write(model.network, mask, [prompt], draws, writing, [stop]) == [written[: written.index(stop)]]


def test_a_batch_of_ragged_answers_leaves_rows_that_have_ended(model: MMaDA, meta: dict[str, Any]) -> None:
    """Whatever token ends the texts, each answer is that of its row alone, up to the first of it."""
    told, expected, mask = meta["text"]["mmu_batch"], of("mmu_batch", "text_generate"), model.layout.vocabulary.mask
    prompts, writing = prompts_of(expected), writing_of(told["options"])
    draws = [Draw(0) for _ in prompts]
    for stop in expected["tokens"][:, 1].tolist():
        wanted = [row[: row.index(stop)] if stop in row else row for row in expected["tokens"].tolist()]
        assert write(model.network, mask, prompts, draws, writing, [stop]) == wanted


def likelihood_rows(layout: Layout) -> dict[str, list[tuple[Row, float]]]:
    """The stored batch of training as our rows, and what the reference divides each one's sum by.

    ``t2i``: as released and with the mask of inference; ``lm`` and ``mmu``: sums over p, of the texts' hidden tokens.
    """
    expected, words = golden("likelihood"), layout.vocabulary
    ids, labels = expected["input_ids"], expected["labels"]
    found: dict[str, list[tuple[Row, float]]] = {"t2i": [], "released": [], "lm": [], "mmu": []}
    begin = layout.max_text + 2
    images, written = len(expected["t2i_mask_prob"]), len(expected["p_mask_lm"])
    for row, label in zip(ids[:images], labels[:images], strict=True):
        text, image = words_of(layout, row), row[begin:-1]
        hidden = (image == words.mask).numpy()
        whole = torch.where(image == words.mask, label[begin:-1], image).tolist()
        found["t2i"].append((image_row(layout, text, whole, hidden), 1.0))
        found["released"].append((released_image_row(layout, text, whole, hidden), 1.0))
    for number, (row, label) in enumerate(zip(ids[images:], labels[images:], strict=True)):
        if number < written:
            before, weight, length = 0, 1 / float(expected["p_mask_lm"][number, 0]), len(row)
        else:
            length = int(expected["answer_lengths"][number - written, 0])
            before, weight = len(row) - length, 1 / float(expected["p_mask_mmu"][number - written, 0])
        hidden = (row[before:] == words.mask).numpy()
        whole = torch.where(row == words.mask, label, row).tolist()
        kind = "lm" if number < written else "mmu"
        found[kind].append((text_row(layout, whole[:before], whole[before:], hidden, weight), float(length)))
    return found


def sums_of(model: MMaDA, rows: list[Row]) -> Tensor:
    batch = collate_rows(model.layout, rows, range(len(rows)))
    with torch.inference_mode():
        return Likelihood(model.network, model.layout)(batch)[0]


def test_losses_of_training(model: MMaDA) -> None:
    """One mixed batch, all kinds of rows in it: the sums are what the reference's losses are made of."""
    expected, rows = golden("likelihood"), likelihood_rows(model.layout)
    kinds = [kind for kind in ("released", "lm", "mmu") for _ in rows[kind]]
    both = [both for kind in ("released", "lm", "mmu") for both in rows[kind]]
    sums = sums_of(model, [row for row, _ in both])
    told: dict[str, list[float]] = {"released": [], "lm": [], "mmu": []}
    for kind, value, (_, length) in zip(kinds, sums.tolist(), both, strict=True):
        told[kind].append(-value / length)
    counted = sum(row.stands for row, _ in rows["released"])
    losses = [sum(told["released"]) / counted, *(sum(told[k]) / len(told[k]) for k in ("lm", "mmu"))]
    assert losses == pytest.approx(expected["released.losses"].tolist(), rel=1e-5)
    estimates = [value for kind, value in zip(kinds, sums.tolist(), strict=True) if kind == "mmu"]
    assert estimates == pytest.approx(expected["mmu.estimate"].tolist(), rel=1e-5)


def test_log_probabilities_of_hidden_codes(model: MMaDA) -> None:
    """Over the codes alone, as ours are by default; over all tokens and with <soi> and <eoi> they give the loss."""
    expected, words = golden("likelihood"), model.layout.vocabulary
    rows = [row for row, _ in likelihood_rows(model.layout)["t2i"]]
    wanted = expected["t2i.code_logprobs_renormalised_at_masked"].sum(1)
    torch.testing.assert_close(sums_of(model, rows), wanted, rtol=1e-5, atol=1e-4)
    plain = [replace(row, codes=False) for row in rows]
    torch.testing.assert_close(
        sums_of(model, plain), expected["t2i.code_logprobs_at_masked"].sum(1), rtol=1e-5, atol=1e-4
    )
    marked = []
    for row in plain:
        at, end = row.ids.index(words.soi), len(row.ids) - 1
        read = [words.soi if n == at else words.eoi if n == end else token for n, token in enumerate(row.target)]
        marked.append(replace(row, target=read, stands=row.stands + 2))
    loss = -float(sums_of(model, marked).sum()) / sum(row.stands for row in marked)
    assert loss == pytest.approx(float(expected["bool_mask.loss_t2i"]), rel=1e-5)


def test_log_probabilities_of_hidden_words(model: MMaDA) -> None:
    """One at a time: each hidden token's own log-probability."""
    expected = golden("likelihood")["mmu.token_logprobs_at_masked"]
    for (row, _), told in zip(likelihood_rows(model.layout)["mmu"], expected, strict=True):
        alone = []
        places = [place for place, token in enumerate(row.target) if token >= 0]
        for place in places:
            target = [token if n == place else -1 for n, token in enumerate(row.target)]
            alone.append(replace(row, target=target, weight=1.0))
        torch.testing.assert_close(sums_of(model, alone), told[places], atol=LOGITS, rtol=0)
