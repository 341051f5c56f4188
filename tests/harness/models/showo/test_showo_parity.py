"""Show-o's transformer, layouts, decoding and log-probabilities against what the reference computed."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hermes.harness.models.maskgit import Drawing
from hermes.harness.models.masks import image_mask
from hermes.harness.models.showo.attention import generation_mask, understanding_mask
from hermes.harness.models.showo.config import read_config
from hermes.harness.models.showo.images import draw_steps
from hermes.harness.models.showo.likelihood import (
    NOTHING,
    Likelihood,
    LikelihoodBatch,
    collate_rows,
    image_row,
    pair_targets,
    text_row,
)
from hermes.harness.models.showo.load import read_network
from hermes.harness.models.showo.phi import Phi
from hermes.harness.models.showo.prompting import QUESTION, Layout
from hermes.harness.models.showo.text import Ask, choose, write
from hermes.harness.models.showo.tokenizer import TextTokenizer
from hermes.harness.models.showo.training_rows import caption_row, generation_row, language_row, understanding_row

GOLDEN = Path(__file__).parents[5] / "shared" / "parity" / "showo"
pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="the golden files are not here")


def golden(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


@pytest.fixture(scope="module")
def meta() -> dict:
    return json.loads((GOLDEN / "meta.json").read_text())


@pytest.fixture(scope="module")
def layout(meta: dict) -> Layout:
    end = TextTokenizer.load(GOLDEN / "tokenizer").end
    return Layout(read_config(GOLDEN / "config.json").vocabulary(end), meta["config"]["max_text"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("golden")
    for name, source in (("base", "showo_state_dict_f16"), ("policy", "policy_state_dict_f16")):
        (made / name).mkdir()
        save_file(golden(source), made / name / "pytorch_model.safetensors")
        (made / name / "phi_config").symlink_to(GOLDEN / "phi_config")
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> Phi:
    return read_network(folder / "base", "phi_config").eval()


def test_token_ids(meta: dict, layout: Layout) -> None:
    vocabulary, ids = layout.vocabulary, meta["special_ids"]
    ours = {name: getattr(vocabulary, name) for name in ("pad", "soi", "eoi", "t2i", "mmu")}
    assert ours == {name: ids[f"<|{name}|>"] for name in ours}
    assert vocabulary.end == ids["<|sot|>"] == ids["<|eot|>"]
    assert (vocabulary.first_code, vocabulary.mask) == (meta["image_offset"], meta["mask_token_id"])


def test_layouts(layout: Layout) -> None:
    told, tensors = json.loads((GOLDEN / "prompting.json").read_text()), golden("prompting")
    tokenizer = TextTokenizer.load(GOLDEN / "tokenizer")
    texts = [tokenizer.encode(text) for text in told["texts"]]
    assert texts == told["raw_text_ids"]
    images = tensors["image_ids"].tolist()
    assert [layout.generation(*pair) for pair in zip(texts, images, strict=True)] == tensors["t2i_gen_ids"].tolist()
    assert [layout.generation([], image) for image in images] == tensors["t2i_dropped_ids"].tolist()
    shown = tensors["img_unmasked"].tolist()
    for text, image, expected in zip(texts, shown, tensors["mmu_ids"].tolist(), strict=True):
        if len(text) + 2 <= layout.max_text:
            row = [*layout.seen_image(image), layout.vocabulary.end, *text, layout.vocabulary.end]
            assert row + [layout.vocabulary.pad] * (len(expected) - len(row)) == expected


def test_masks_and_logits(model: Phi, layout: Layout) -> None:
    expected = golden("forward")
    for task, mask in (("t2i", generation_mask), ("mmu", understanding_mask)):
        ids = expected[f"{task}_ids"]
        allowed = mask(ids, layout.vocabulary)
        assert torch.equal(allowed, expected[f"{task}_allowed"])
        with torch.inference_mode():
            logits = model.logits(model(ids, allowed)[0])
        assert (logits - expected[f"{task}_logits"]).abs().max() < 1e-4
    shown = generation_mask(expected["t2i_ids"], layout.vocabulary, hide_pads=False)
    assert torch.equal(shown, expected["t2i_allowed_rm_pad_false"])


@pytest.mark.parametrize("tag", ["greedy_cfg", "greedy_nocfg", "inpaint_greedy_cfg", "sample_cfg", "sample_nocfg"])
def test_drawing_step_by_step(tag: str, model: Phi, layout: Layout, meta: dict) -> None:
    settings = meta["t2i"][tag]
    expected = {key.removeprefix(f"{tag}."): value for key, value in golden("t2i_generate").items()}
    rows, begin, vocabulary = expected["input_ids"], layout.image_begin, layout.vocabulary
    texts = [
        [token for token in row if token not in (vocabulary.pad, vocabulary.t2i)] for row in rows[:, :begin].tolist()
    ]
    texts = [text[:-1] for text in texts]
    image = slice(begin + 1, -1)
    generator = torch.Generator().manual_seed(settings.get("gseed", 0))
    drawing = Drawing(settings["T"], settings["w"], settings["temperature"])
    steps = list(draw_steps(model, layout, texts, rows[:, image], [generator], drawing))
    assert len(steps) == settings["T"]
    for number, step in enumerate(steps):
        before = expected["step_model_input"][number][: len(rows)]
        assert torch.equal(step.before, before[:, image])
        unknown = step.before == vocabulary.mask
        drawn = expected["step_sampled_raw"][number]
        assert torch.equal((step.chosen - vocabulary.first_code)[unknown], drawn[unknown])
        torch.testing.assert_close(step.confidence, expected["step_confidence"][number], atol=1e-3, rtol=1e-4)
        assert torch.equal(step.masked, expected["step_masking"][number])
    assert torch.equal(steps[-1].chosen - vocabulary.first_code, expected["out"])


def asks_of(expected: dict[str, Tensor], tags: list[str], layout: Layout, length: int) -> tuple[Tensor, list[Ask]]:
    """The prompts of the fixture's rows, their images, and how many tokens are wanted."""
    prompts = [expected[f"{tag}.prompt"][0].tolist() for tag in tags]
    split = [prompt.index(layout.vocabulary.eoi) for prompt in prompts]
    images = torch.tensor([prompt[2:at] for prompt, at in zip(prompts, split, strict=True)])
    return images, [
        Ask(n, prompt[at + 1 :], max_new_tokens=length)
        for n, (prompt, at) in enumerate(zip(prompts, split, strict=True))
    ]


def tags_of(expected: dict[str, Tensor], kind: str) -> list[str]:
    return sorted({key.split(".")[0] for key in expected if key.startswith(kind)})


@pytest.mark.parametrize("kind", ["greedy", "ragged"])
def test_greedy_text_in_one_batch(kind: str, model: Phi, layout: Layout) -> None:
    expected = golden("mmu_generate")
    tags = tags_of(expected, kind)
    images, asks = asks_of(expected, tags, layout, len(expected[f"{tags[0]}.tokens"]))
    written = write(model, layout, images, asks, None)
    assert written == [expected[f"{tag}.tokens"].tolist() for tag in tags]


def test_text_stops_at_its_end(model: Phi, layout: Layout) -> None:
    expected = golden("mmu_generate")
    for tag in tags_of(expected, "greedy"):
        end = int(expected[f"{tag}.eot_token"])
        images, asks = asks_of(expected, [tag], layout, len(expected[f"{tag}.tokens"]))
        assert [*write(model, layout, images, asks, end)[0], end] == expected[f"{tag}.tokens_with_eot"].tolist()


def test_sampled_tokens(meta: dict) -> None:
    expected = golden("mmu_generate")
    for tag in tags_of(expected, "sample"):
        told = (expected[f"{tag}.{name}"] for name in ("last_logits", "exponential", "tokens"))
        for logits, noise, token in zip(*told, strict=True):
            assert choose(logits, 0.7, 5, noise) == token


def test_prompt_is_that_of_the_scripts(meta: dict, layout: Layout) -> None:
    tokenizer, expected = TextTokenizer.load(GOLDEN / "tokenizer"), golden("mmu_generate")
    for number, question in enumerate(meta["mmu"]["questions"][1:]):
        asked = QUESTION.format(question.removeprefix("USER: \n").removesuffix(" ASSISTANT:"))
        prompt = expected[f"ragged{number}.prompt"][0].tolist()
        assert prompt[prompt.index(layout.vocabulary.eoi) + 2 :] == tokenizer.encode(asked)


@pytest.mark.parametrize("accounting", ["intended", "released"])
@pytest.mark.parametrize("side", ["win", "lose"])
@pytest.mark.parametrize("name", ["base", "policy"])
def test_pair_dpo_sums(name: str, side: str, accounting: str, folder: Path, layout: Layout) -> None:
    pair = golden("pair_dpo")
    module = Likelihood(read_network(folder / name, "phi_config").eval())
    key = f"{accounting}.{'ref' if name == 'base' else 'pol'}.{side}"
    targets = pair_targets(pair[f"labels_{side}"], len(pair[f"image_{side}"]), layout, accounting)
    for half, target in zip(("t2i", "mmu"), targets, strict=True):
        with torch.inference_mode():
            sums, _ = module(LikelihoodBatch(pair[f"ids_{side}"], pair[f"allowed_{side}"], target))
        assert float(sums.double().sum()) == pytest.approx(float(pair[f"{key}.{half}"]), rel=1e-5)


@pytest.mark.parametrize("side", ["win", "lose"])
def test_rows_are_those_of_the_reference(side: str, folder: Path, layout: Layout) -> None:
    """The same items through our own layout, masks and batch: per-item sums, both kinds in one batch."""
    pair, vocabulary = golden("pair_dpo"), layout.vocabulary
    count = len(pair[f"image_{side}"])
    rows = []
    for number, ids in enumerate(pair[f"ids_{side}"][:count].tolist()):
        text = [token for token in ids[: layout.image_begin] if token not in (vocabulary.pad, vocabulary.t2i)][:-1]
        hidden = image_mask(float(pair["mask_timestep_uniform"][number]), pair["mask_perm_uniform"][number].numpy())
        assert hidden.tolist() == pair["image_mask"][number].tolist()
        image = pair[f"image_{side}"][number]
        offset = 0 if int(image.max()) >= vocabulary.first_code else vocabulary.first_code
        rows.append(image_row(layout, text, (image + offset).tolist(), hidden))
    for ids, labels in zip(pair[f"ids_{side}"][count:].tolist(), pair[f"labels_{side}"][count:].tolist(), strict=True):
        at = ids.index(vocabulary.eoi) + 1
        counted = [place for place, label in enumerate(labels) if label != NOTHING]
        begin, end = counted[0], counted[-1] + 1
        rows.append(text_row(layout, ids[2 : at - 1], ids[at:begin], ids[begin:end]))
    batch = collate_rows(layout, rows)
    module = Likelihood(read_network(folder / "policy", "phi_config").eval())
    with torch.inference_mode():
        sums, counts = module(batch)
    expected = torch.cat([pair[f"persample.pol.{side}.t2i"], pair[f"persample.pol.{side}.mmu"]])
    torch.testing.assert_close(sums, expected, rtol=1e-5, atol=1e-4)
    assert counts[:count].tolist() == (pair["image_mask"].sum(1) + 2).tolist()


def test_training_rows_and_labels(layout: Layout) -> None:
    told, expected = json.loads((GOLDEN / "prompting.json").read_text()), golden("prompting")
    texts = told["raw_text_ids"]
    shown, hidden = expected["image_ids"].tolist(), expected["labels_in"].tolist()
    for kind, prompts in (("t2i", texts), ("t2i_dropped", [[], [], []])):
        rows = [generation_row(layout, *row) for row in zip(prompts, shown, hidden, strict=True)]
        assert [row.ids for row in rows] == expected[f"{kind}_ids"].tolist()
        assert [row.labels for row in rows] == expected[f"{kind}_labels"].tolist()
    rows = [understanding_row(layout, *row) for row in zip(expected["img_unmasked"].tolist(), texts, strict=True)]
    assert [row.ids for row in rows] == expected["mmu_ids"].tolist()
    assert [row.labels for row in rows] == expected["mmu_labels"].tolist()
    length = expected["lm_ids"].shape[1]
    rows = [language_row(layout, text, length) for text in texts]
    assert [row.ids for row in rows] == expected["lm_ids"].tolist()
    assert [row.labels for row in rows] == expected["lm_labels"].tolist()


def test_caption_preferences_are_tokenised_as_released(meta: dict) -> None:
    tokenizer, expected = TextTokenizer.load(GOLDEN / "tokenizer"), golden("pair_dpo")
    for name, captions in meta["dpo"]["conversations"]:
        for side, caption in zip(("win", "lose"), captions, strict=True):
            row = caption_row(tokenizer, caption)
            assert row.ids == expected[f"{name}_ids_{side}"].tolist()
            assert row.labels == expected[f"{name}_labels_{side}"].tolist()


@pytest.mark.parametrize("accounting", ["released", "intended"])
def test_loss_and_gradients_of_the_released_objective(
    accounting: str, folder: Path, layout: Layout, meta: dict
) -> None:
    """The sum of two losses over a batch's summed log-probabilities, and its gradient for every weight."""
    pair, told = golden("pair_dpo"), meta["dpo"][accounting]
    policy = Likelihood(read_network(folder / "policy", "phi_config").eval())
    reference = Likelihood(read_network(folder / "base", "phi_config").eval())
    sums = {
        (name, side, half): module(LikelihoodBatch(pair[f"ids_{side}"], pair[f"allowed_{side}"], target))[0].sum()
        for name, module in (("policy", policy), ("reference", reference))
        for side in ("win", "lose")
        for half, target in zip(
            ("t2i", "mmu"),
            pair_targets(pair[f"labels_{side}"], len(pair[f"image_{side}"]), layout, accounting),
            strict=True,
        )
    }
    margins = {
        half: (sums["policy", "win", half] - sums["reference", "win", half])
        - (sums["policy", "lose", half] - sums["reference", "lose", half])
        for half in ("t2i", "mmu")
    }
    loss = sum(-torch.nn.functional.logsigmoid(0.2 * margin) for margin in margins.values())
    assert float(loss.detach()) == pytest.approx(told["loss"], rel=1e-3)
    loss.backward()
    grads = {f"showo.{name}": weight.grad for name, weight in policy.transformer.named_parameters()}
    norms = meta["dpo"]["grad_norms"][accounting]
    assert set(norms) == set(grads)
    for name, norm in norms.items():
        assert float(grads[name].norm()) == pytest.approx(norm, rel=1e-2, abs=1e-4)
    if accounting == "released":
        for name, expected in golden("grads_released").items():
            whole = grads[name.removesuffix(".rows_first8_last40")]
            found = torch.cat([whole[:8], whole[-40:]]) if name.endswith("last40") else whole
            torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-2)
