"""Chameleon: transformers' own answers, each request on its own, several images, refusals, a whole run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_chameleon
import tiny_vlms
import torch
import transformers
from asking import QUESTIONS, noise
from safetensors.torch import load_file, save_file

from hermes.harness.models.chameleon import CHECKPOINT, Chameleon
from hermes.harness.models.vlm.adapter import HFModel
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_chameleon.save(tmp_path_factory.mktemp("checkpoints") / "tiny-chameleon")


@pytest.fixture(scope="module")
def model(folder: Path) -> HFModel:
    return Chameleon.load(str(folder), "cpu")


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may break."""
    return Path(shutil.copytree(folder, tmp_path / "broken"))


def asked(**config: Any) -> list[Request]:
    """Nine requests of three lengths about none, one, two and three images, each with its own seed."""
    settings = GenerationConfig(**{"max_new_tokens": 8, **config})
    return [
        Request(
            sample_id=str(n),
            index=0,
            prompt=prompt,
            images=tuple(noise(k, (24, 16 + 4 * k)) for k in range(n % 4)),
            config=settings,
            seed=n,
        )
        for n, prompt in enumerate([*QUESTIONS] * 3)
    ]


def test_it_says_what_transformers_says(folder: Path, model: HFModel) -> None:
    """Images first, then the words, through transformers' processor and generate alone."""
    processor = transformers.ChameleonProcessor.from_pretrained(folder)
    network = transformers.ChameleonForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    told = []
    for request in asked():
        images = [handle.open() for handle in request.images] or None
        text = "<image>" * len(request.images) + request.prompt
        inputs = processor(images=images, text=text, return_tensors="pt")
        out = network.generate(**inputs, max_new_tokens=8, do_sample=False)
        told.append(processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
    assert model.understand(asked()) == told
    assert len(set(told)) == len(told)


def test_a_prompt_is_the_images_the_words_and_the_end_of_the_turn(folder: Path, model: HFModel) -> None:
    seen: list[torch.Tensor] = []
    network = model._model.module
    hook = network.model.embed_tokens.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.understand([asked()[2]])
    hook.remove()
    words = transformers.AutoTokenizer.from_pretrained(folder)
    image = "<racm3:break>" + "<image>" * 16 + "<eoss>"
    # The images' own codes are looked up before the text is.
    prompt = next(ids for ids in seen if ids.shape[-1] > 16 * 2 and ids[0, 0] == words.bos_token_id)
    assert words.decode(prompt[0]) == f"<s>{image}{image}{QUESTIONS[2]}{tiny_chameleon.SEPARATOR}"


@pytest.mark.parametrize("config", [{}, {"temperature": 1.5}, {"temperature": 3.0, "top_k": 5}], ids=str)
def test_companions_change_nothing(model: HFModel, config: dict[str, Any]) -> None:
    requests = asked(**config)
    together = model.understand(requests)
    assert together == [model.understand([alone])[0] for alone in requests]
    assert together[::-1] == model.understand(requests[::-1])


def test_every_image_counts(model: HFModel) -> None:
    def said(*numbers: int) -> str:
        images = tuple(noise(number, (24, 16 + 4 * number)) for number in numbers)
        return model.understand([asked()[0].model_copy(update={"images": images})])[0]

    assert len({said(), said(0), said(1), said(0, 1), said(1, 0), said(1, 1)}) == 6


def test_the_info_is_that_of_the_checkpoint(folder: Path, model: HFModel, copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    info = model.info
    assert (info.name, info.revision, info.abilities, info.resolution) == (
        "tiny-chameleon",
        None,
        ("understanding",),
        16,
    )
    assert info.dtype == "float32"
    assert info.parameters == sum(
        weight.numel() for name, weight in weights.items() if weight.is_floating_point() and "inv_freq" not in name
    )
    weights[min(weights)] += 1
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    assert Chameleon.load(f"chameleon:{copied}", "cpu").info.fingerprint != info.fingerprint


def test_a_chat_template_beside_the_weights_changes_nothing(model: HFModel, copied: Path) -> None:
    (copied / "chat_template.jinja").write_text("{{ 'something else' }}")
    assert Chameleon.load(str(copied), "cpu").understand(asked()) == model.understand(asked())


def test_hf_asks_it_in_the_same_way(folder: Path, model: HFModel) -> None:
    assert HFModel.load(f"hf:{folder}", "cpu").understand(asked()) == model.understand(asked())


def test_where_it_is_loaded_from(folder: Path) -> None:
    def found(reference: str) -> tuple[str, str | None, bool]:
        (source,) = Chameleon.sources(reference)
        return source.name, source.revision, source.local

    assert found("chameleon") == (CHECKPOINT, None, False)
    assert found("chameleon:facebook/chameleon-30b@main") == ("facebook/chameleon-30b", "main", False)
    assert found(f"chameleon:{folder}") == found(str(folder)) == (str(folder), None, True)


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "torn weights": (lambda folder: (folder / "model.safetensors").write_bytes(b"\x10"), "cannot be loaded"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "does not know '<image>'"),
    "torn config": (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
    "another model": (lambda folder: rewrite(folder / "config.json", model_type="bert"), "is a 'bert' model"),
    "its own code": (
        lambda folder: rewrite(folder / "config.json", model_type="x", auto_map={"AutoConfig": "configuration_x.X"}),
        "its own code, which is never run",
    ),
    "no config": (lambda folder: (folder / "config.json").unlink(), r"holds no config\.json"),
}


@pytest.mark.parametrize(("spoil", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_checkpoint_is_one_line(copied: Path, spoil: Callable[[Path], Any], says: str) -> None:
    spoil(copied)
    with pytest.raises(HermesError, match=f"^model chameleon: .*{says}") as error:
        Chameleon.load(str(copied), "cpu")
    assert "\n" not in str(error.value)


def test_another_familys_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="is a 'llava' model; give a checkpoint of chameleon"):
        Chameleon.load(f"chameleon:{tiny_vlms.llava(tmp_path / 'llava')}", "cpu")


def test_it_draws_nothing(model: HFModel) -> None:
    with pytest.raises(HermesError, match="model 'chameleon' draws no images"):
        model.generate(asked())
    with pytest.raises(HermesError, match=r"^model chameleon: max_new_tokens must be 1 or more"):
        model.understand(asked(max_new_tokens=0))


def test_a_whole_run_of_all_standard_tasks(model: HFModel, tmp_path: Path) -> None:
    """No tasks are named: all standard ones that ask questions are run. Two of them again, request by request."""

    def run(**changes: Any) -> dict[str, Any]:
        settings = EvalSettings(data="shapes", limit=1, device="cpu", out=tmp_path / str(changes), **changes)
        results: dict[str, Any] = evaluate(settings, model=model)["results"]
        return results

    results = run()
    assert {"pope", "mme", "vqav2", "gqa", "mmmu", "flickr30k", "homologous-u"} <= set(results)
    assert {result.counts["error"] for result in results.values()} == {0}
    alone = run(tasks=("mme", "homologous-u"), batch_size=1)
    assert alone == {task: results[task] for task in alone}


def test_to_list_it_loads_no_torch(python: Callable[..., Any]) -> None:
    done = python("-c", "import sys, hermes.harness.models.chameleon; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr
