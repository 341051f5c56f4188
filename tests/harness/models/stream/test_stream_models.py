"""Liquid and Anole on tiny checkpoints: requests alone and in batches, likelihoods, saving, refusals, runs, rounds."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_anole
import tiny_liquid
import tiny_vqgan
import torch
from asking import PROMPTS, asked, assert_same_in_other_batches, drawn, noise, pixels, request
from safetensors.torch import load_file, save_file

import hermes
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.anole.adapter import Anole
from hermes.harness.models.head import head_of
from hermes.harness.models.layouts import of_folder
from hermes.harness.models.liquid.adapter import Liquid
from hermes.harness.models.seeded import Draw
from hermes.harness.models.seeded_draws import probabilities as of_one_row
from hermes.harness.models.stream.adapter import StreamModel
from hermes.harness.models.stream.drawing import draw, draw_steps
from hermes.harness.models.stream.rows import Share
from hermes.harness.models.stream.sampling import probabilities
from hermes.harness.system.errors import HermesError

FAMILIES: dict[str, tuple[type[StreamModel], Callable[[Path], Path]]] = {
    "liquid": (Liquid, tiny_liquid.save),
    "anole": (Anole, tiny_anole.save),
}
ITEMS = [
    LikelihoodItem("text", "What is this?", noise(1), "a red dog"),
    LikelihoodItem("image", "a red square", noise(2)),
    LikelihoodItem("text", "Why?", noise(1), "no"),
    LikelihoodItem("image", "two circles", noise(3, (16, 16)), seed=5),
]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES[family][1](tmp_path_factory.mktemp("checkpoints") / f"tiny-{family}")


@pytest.fixture(scope="module")
def model(family: str, folder: Path) -> StreamModel:
    loaded: StreamModel = FAMILIES[family][0].load(f"{family}:{folder}")  # type: ignore[attr-defined]
    return loaded


def again(model: StreamModel, folder: Path, **options: Any) -> StreamModel:
    loaded: StreamModel = type(model).load(str(folder), "cpu", LoadOptions(**options))  # type: ignore[attr-defined]
    return loaded


@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 1.0}, {"temperature": 0.7, "top_k": 9, "top_p": 0.8}], ids=str
)
def test_companions_change_nothing(model: StreamModel, settings: dict[str, Any]) -> None:
    questions = [*asked(**settings), request("No picture?", 7, max_new_tokens=4), asked()[0]]
    questions[1] = request("Which of both?", 8, (noise(3), noise(4)), max_new_tokens=6, **settings)
    together = model.understand(questions)
    assert together == [model.understand([one])[0] for one in questions]
    assert together[::-1] == model.understand(questions[::-1])
    assert len(set(together)) >= 4  # the first is asked again as the last, if without a temperature
    prompts = [*drawn(**settings), request("a dog", 9, guidance_scale=0.0), request("", 5, temperature=0.0)]
    assert pixels(model.generate(prompts)) == [pixels(model.generate([one]))[0] for one in prompts]


def test_seeds_decide_and_the_global_generator_does_not(model: StreamModel) -> None:
    one = request("a red square", 1, temperature=1.5, guidance_scale=1.0, top_p=1.0)
    torch.manual_seed(1)
    first = pixels(model.generate([one]))
    torch.manual_seed(2)
    assert pixels(model.generate([one])) == first
    others = [one.model_copy(update={"seed": seed}) for seed in range(4)]
    assert len(set(pixels(model.generate(others)))) == 4
    assert model.understand(asked(temperature=1.0, top_k=1)) == model.understand(asked())


def test_every_picture_and_word_counts(model: StreamModel) -> None:
    def said(*numbers: int) -> str:
        images = tuple(noise(number, (24, 16 + 4 * number)) for number in numbers)
        return model.understand([asked()[0].model_copy(update={"images": images})])[0]

    assert len({said(), said(0), said(1), said(0, 1), said(1, 0), said(1, 1)}) == 6


def test_guidance_changes_pictures_and_a_scale_of_at_most_one_is_none(model: StreamModel) -> None:
    free, one, strong = (pixels(model.generate(drawn(guidance_scale=g, temperature=0.0))) for g in (0.0, 1.0, 9.0))
    assert free == one
    assert free != strong


def test_cached_steps_are_those_of_the_whole_row(model: StreamModel) -> None:
    """Each code that is drawn greedily is the likeliest behind the whole row, read without a cache."""
    row = model.prompting.drawing(PROMPTS[0], (), 1.0)
    numbers = draw(model.network, [row], [Draw(0)], model.prompting.codes, 3, model.prompting.pad)[0].tolist()
    ids = [*row[0].ids, *model.prompting.codes[numbers].tolist()]
    with torch.no_grad():
        hidden = model.network.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        best = model.network.get_output_embeddings()(hidden)[:, model.prompting.codes].argmax(-1)
    assert best[len(row[0].ids) - 1 : -1].tolist() == numbers


def test_rows_of_an_ask_do_not_depend_on_those_of_others(model: StreamModel) -> None:
    """Asks of one, two and three rows in one batch."""
    first = model.prompting.drawing(PROMPTS[0], (), 1.0)[0]
    other = model.prompting.drawing(PROMPTS[1], (), 1.0)[0]
    asks = [
        (first,),
        (Share(3.0, first.ids), Share(-2.0, other.ids)),
        tuple(Share(w, first.ids) for w in (2.0, -3.0, 2.0)),
    ]
    side = [Draw(0)], model.prompting.codes, 1, model.prompting.pad
    (together,) = draw_steps(model.network, asks, [Draw(0)] * 3, *side[1:])
    for ask, told in zip(asks, together.guided, strict=True):
        (alone,) = draw_steps(model.network, [ask], *side)
        torch.testing.assert_close(alone.guided[0], told, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.guided[0], together.guided[2], atol=1e-4, rtol=1e-4)


def test_a_batch_has_the_probabilities_of_its_rows() -> None:
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)) * 3
    logits[1, :20] = logits[1, 20:]  # ties at the k-th
    settings = [(1.0, 0, 1.0), (0.7, 5, 1.0), (1.3, 0, 0.6), (0.9, 7, 0.5), (2.0, 100, 0.01)]
    draws = [Draw(0, heat, top_k, 1.0, top_p) for heat, top_k, top_p in settings]
    found = probabilities(logits, draws)
    for row, told, one in zip(logits, found, draws, strict=True):
        torch.testing.assert_close(told, of_one_row(row, one))


def test_likelihoods_do_not_depend_on_the_batch_and_have_gradients(model: StreamModel) -> None:
    ready = pickle.loads(pickle.dumps(model.prepare(ITEMS)))
    together, counts = model.module(model.collate(ready))
    alone = torch.cat([model.module(model.collate([one]))[0] for one in ready])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-5)
    assert counts.tolist() == [len(model.prompting.answer("a red dog")), 16.0, len(model.prompting.answer("no")), 16.0]
    assert all(model.with_seed(one, 3) is one for one in ready)
    for one in ready:
        model.module.zero_grad()
        model.module(model.collate([one]))[0].sum().backward()
        missing = [name for name, p in model.module.named_parameters() if p.requires_grad and p.grad is None]
        assert missing == []
    model.module.zero_grad()
    assert not any(weights.requires_grad for weights in model.codec.parameters())


def test_what_it_draws_it_reads_back(model: StreamModel) -> None:
    """A drawn picture is prepared with the codes of the nearest states: the codec scales and cuts nothing."""
    (picture,) = model.generate([request("a cat", 3)])
    assert picture.size == (tiny_vqgan.SIDE, tiny_vqgan.SIDE)
    item = model.prepare([LikelihoodItem("image", "a cat", noise(5, picture.size))])[0]
    assert [number for number in item.target if number >= 0] == list(model.codec.encode(noise(5, picture.size).open()))


def test_the_info_is_that_of_the_checkpoint(model: StreamModel, family: str, folder: Path) -> None:
    info = model.info
    assert (info.name, info.resolution, info.dtype) == (f"tiny-{family}", tiny_vqgan.SIDE, "float32")
    assert info.defaults is not None
    assert info.defaults.image_size == tiny_vqgan.SIDE
    counted = sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values())
    codec = sum(tensor.numel() for tensor in tiny_vqgan.tensors().values())
    assert info.parameters == counted + (codec if family == "liquid" else 0)


def test_as_released_is_another_model_by_name_and_version(model: StreamModel, folder: Path) -> None:
    released = again(model, folder, as_released=True)
    assert released.name == f"{model.name}-as-released"
    assert (model.version, released.version) == ("1", "1-as-released")
    assert released.info.fingerprint == model.info.fingerprint
    assert released.understand(asked()) != model.understand(asked())
    assert pixels(released.generate(drawn())) == pixels(model.generate(drawn()))


def test_saved_and_loaded_it_is_the_same_model(model: StreamModel, folder: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "again")  # type: ignore[attr-defined]
    found = again(model, tmp_path / "again")
    assert found.info.fingerprint == model.info.fingerprint
    assert found.understand(asked()) == model.understand(asked())
    assert pixels(found.generate(drawn())) == pixels(model.generate(drawn()))
    published, saved = (load_file(home / "model.safetensors") for home in (folder, tmp_path / "again"))
    assert published.keys() == saved.keys()
    with torch.no_grad():
        found.network.get_input_embeddings().weight[0, 0] += 1
    assert found.info.fingerprint != model.info.fingerprint


def test_it_is_found_by_its_folder(model: StreamModel, family: str, folder: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "again")  # type: ignore[attr-defined]
    for home in (folder, tmp_path / "again"):
        assert of_folder(json.loads((home / "config.json").read_text()), home) == family


def test_an_adapter_around_the_head_is_not_passed_over(model: StreamModel) -> None:
    class Head(torch.nn.Module):
        def __init__(self, head: torch.nn.Linear) -> None:
            super().__init__()
            self.head, self.weight = head, head.weight

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return self.head(hidden) + 1

    hidden, codes = torch.randn(3, model.network.config.hidden_size), model.prompting.codes
    plain = [head_of(model.network, columns)(hidden) for columns in (codes, None)]
    head = model.network.get_output_embeddings()
    model.network.set_output_embeddings(Head(head))
    around = [head_of(model.network, columns)(hidden) for columns in (codes, None)]
    model.network.set_output_embeddings(head)
    for before, after in zip(plain, around, strict=True):
        torch.testing.assert_close(after, before + 1)


def test_an_adapter_is_merged(model: StreamModel, folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    tuned = get_peft_model(again(model, folder).network, LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
    tuned.save_pretrained(tmp_path / "adapter")
    merged = again(model, folder, adapter=str(tmp_path / "adapter"))
    assert merged.info.fingerprint != model.info.fingerprint
    assert any(weights.requires_grad for weights in merged.module.parameters())


def test_half_precision_leaves_the_codec_whole(model: StreamModel, folder: Path) -> None:
    half = again(model, folder, dtype="bfloat16")
    assert half.info.dtype == "bfloat16"
    assert {weights.dtype for weights in half.codec.parameters()} == {torch.float32}
    assert half.generate(drawn(temperature=1.0))[0].size == (tiny_vqgan.SIDE, tiny_vqgan.SIDE)


@pytest.mark.parametrize(
    "config",
    [{"image_size": 48}, {"steps": 4}, {"guidance_scale": -1.0}, {"temperature": -1.0}, {"top_k": -1}],
    ids=str,
)
def test_settings_that_it_cannot_keep_are_refused(model: StreamModel, config: dict[str, Any]) -> None:
    with pytest.raises(HermesError):
        model.generate(drawn(**config))


def spoil(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def of_another_kind(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "model_type": "llama"}))


LAYER = "model.layers.1.self_attn.v_proj.weight"
BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "torn weights": (lambda home: (home / "model.safetensors").write_bytes(b"\x10"), "cannot be loaded"),
    "no weights": (lambda home: (home / "model.safetensors").unlink(), "no weights|cannot be loaded"),
    "a lost tensor": (lambda home: spoil(home, lambda held: held.pop(LAYER)), f"lack 1 tensors, such as {LAYER}"),
    "another shape": (
        lambda home: spoil(home, lambda held: held.update({LAYER: torch.ones(3, 3)})),
        rf"hold {LAYER} with the shape \(3, 3\), not",
    ),
    "NaN": (lambda home: spoil(home, lambda held: held[LAYER].fill_(torch.nan)), "numbers that are not finite"),
    "another family": (of_another_kind, "is a 'llama' model"),
    "torn config": (lambda home: (home / "config.json").write_text("{"), "cannot be loaded"),
    "no tokenizer": (lambda home: (home / "tokenizer.json").unlink(), "tokenizer"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_torn_or_foreign_checkpoint_is_one_line(model: StreamModel, folder: Path, tmp_path: Path, how: str) -> None:
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    spoiling, words = BROKEN[how]
    spoiling(broken)
    with pytest.raises(HermesError, match=words) as caught:
        again(model, broken)
    assert "\n" not in str(caught.value)


def test_a_whole_run_is_the_same_in_other_batches(model: StreamModel, tmp_path: Path) -> None:
    assert_same_in_other_batches(model, tmp_path)


def test_a_round_of_self_play_trains_it_and_keeps_its_layout(model: StreamModel, folder: Path, tmp_path: Path) -> None:
    played = hermes.align(
        model, recipe="none", data="shapes", judge="oracle", items=3, n=2, rounds=1, batch_size=1, bf16=False,
        threshold=0.0,
        pairing="either", similarity="minilm", caption_tokens=8, eval_limit=2, device="cpu", confidence=False,
        replay=0.0, lr=1e-3, out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert played.rounds[1].pairs > 0
    checkpoint = tmp_path / "run" / "round-1" / "checkpoint"
    trained = again(model, checkpoint)
    before, after = (load_file(home / "model.safetensors") for home in (folder, checkpoint))
    assert before.keys() == after.keys()
    assert {name for name in before if ".vqmodel." in name and not torch.equal(before[name], after[name])} == set()
    assert trained.info.fingerprint != model.info.fingerprint
    assert 1e-4 < max(float((before[name] - after[name]).abs().max()) for name in before) < 0.1


def test_training_raises_the_winner_and_leaves_the_codec(model: StreamModel, folder: Path, tmp_path: Path) -> None:
    from hermes.align.losses.likelihoods import TrainPair
    from hermes.align.settings import TrainSettings
    from hermes.align.training.trainer import train

    trained = again(model, folder)
    text = [LikelihoodItem("text", "What is this?", noise(1), said) for said in ("a red dog", "no")]
    image = [LikelihoodItem("image", "a red square", noise(n)) for n in (2, 3)]
    settings = TrainSettings(lr=1e-3, epochs=4, replay=0.0, batch_size=1, bf16=False)
    train(trained, [TrainPair("p", (text[0], text[1]), (image[0], image[1]))], [], settings, tmp_path / "training")
    trained.save(tmp_path / "saved")  # type: ignore[attr-defined]
    trained = again(model, tmp_path / "saved")
    margins = []
    with torch.no_grad():
        for one in (model, trained):
            told = one.module(one.collate(one.prepare([*text, *image])))[0]
            margins.append((float(told[0] - told[1]), float(told[2] - told[3])))
    assert margins[1][0] > margins[0][0]
    assert margins[1][1] > margins[0][1]
    before = model.codec.state()
    assert all(torch.equal(before[name], held) for name, held in trained.codec.state().items())
