"""transformers' vision-language models as models, on tiny checkpoints of real architectures that are saved to disk."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hermes
from hermes.harness.contracts.model import Said
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.vlm.adapter import HFModel
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.system.errors import HermesError

pytest.importorskip("torchvision")

import peft
import tiny_vlms
import torch
import transformers
from safetensors.torch import load_file, save_file

from hermes.harness.models.vlm.ask import Ask
from hermes.harness.models.vlm.sampling import SeededRows

MARKS = {"llava": "<image> ", "qwen2_vl": "<|vision_start|><|image_pad|><|vision_end|> "}
PROMPTS = ("Is there a dog?", "Is there a red cat, or two blue?", "a?")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("vlm")
    return {name: getattr(tiny_vlms, name)(root / name) for name in ("llava", "qwen2_vl", "blip_vqa")}


@pytest.fixture(params=MARKS)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return folders[request.param]


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A checkpoint that a test may break."""
    return Path(shutil.copytree(folders["llava"], tmp_path / "broken"))


def load(folder: Path) -> HFModel:
    return HFModel.load(f"hf:{folder}", "cpu")


def pictures(count: int) -> list[Image.Image]:
    """Noise of several sizes."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (20 + 4 * n, 30, 3), dtype=np.uint8)) for n in range(count)]


def request(prompt: str, *images: Image.Image, seed: int = 0, **config: Any) -> Request:
    handles = tuple(ImageHandle(image) for image in images)
    settings = GenerationConfig(**{"max_new_tokens": 8, **config})
    return Request(sample_id=prompt, index=0, prompt=prompt, images=handles, config=settings, seed=seed)


def mixed(**config: Any) -> list[Request]:
    """Requests of several lengths about no, one, two and three images, each with its own seed."""
    shots, prompts = pictures(3), [*PROMPTS] * 3
    return [request(prompt, *shots[: number % 4], seed=number, **config) for number, prompt in enumerate(prompts)]


def told(folder: Path, asked: Request) -> str:
    """What the checkpoint says greedily, asked by transformers alone."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    text = f"user : {MARKS[folder.name] * len(asked.images)}{asked.prompt} assistant :"
    images = [handle.open() for handle in asked.images] or None
    inputs = processor(images=images, text=text, return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=asked.config.max_new_tokens, do_sample=False)
    return str(processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


@pytest.mark.parametrize("name", ["llava", "blip_vqa"])
def test_an_answer_that_ends_at_its_limit_is_told(folders: dict[str, Path], name: str) -> None:
    (said,) = load(folders[name]).understand([request("a?", pictures(1)[0], max_new_tokens=1)])
    assert isinstance(said, Said)
    assert said.truncated


@pytest.mark.parametrize("config", [{}, {"temperature": 1.5}, {"temperature": 3.0, "top_k": 5}], ids=str)
def test_a_batch_says_what_each_request_alone_says(folder, config):
    model = load(folder)
    requests = mixed(**config)
    together = model.understand(requests)
    assert together == [model.understand([alone])[0] for alone in requests]
    assert together[::-1] == model.understand(requests[::-1])
    assert len(set(together)) > 3


def test_it_says_what_transformers_says(folder):
    requests = mixed()
    assert {len(asked.images) for asked in requests} == {0, 1, 2, 3}
    assert load(folder).understand(requests) == [told(folder, asked) for asked in requests]


def test_seed_and_temperature_decide_the_draw(folders):
    model, image = load(folders["llava"]), pictures(1)[0]

    def said(seed: int, **config: Any) -> str:
        return model.understand([request(PROMPTS[1], image, seed=seed, **config)])[0]

    greedy = said(0)
    assert {said(seed) for seed in range(4)} == {said(seed, temperature=2.0, top_k=1) for seed in range(4)} == {greedy}
    hot = [said(seed, temperature=2.0) for seed in range(6)]
    assert len(set(hot)) > 3
    assert hot == [said(seed, temperature=2.0) for seed in range(6)]


def test_a_request_is_answered_with_as_many_tokens_as_it_asks_for(folders):
    model, image = load(folders["llava"]), pictures(1)[0]
    short, long = model.understand([request(PROMPTS[0], image, max_new_tokens=n) for n in (1, 6)])
    assert len(short.split()) <= 1
    assert len(long.split()) > 1
    assert long.startswith(short)


def test_draws_follow_the_softmax_of_what_top_k_leaves():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    count = 4000
    for temperature, top_k in ((1.0, 0), (2.0, 0), (0.5, 2)):
        asks = [Ask("", (), 1, temperature, top_k, seed) for seed in range(count)]
        drawn = SeededRows(asks)(torch.empty(0), logits.repeat(count, 1)).argmax(-1)
        expected = (logits / temperature).softmax(-1)
        if top_k:
            expected[top_k:] = 0
            expected /= expected.sum()
        assert torch.bincount(drawn, minlength=4) / count == pytest.approx(expected, abs=0.03)


def test_greedy_rows_among_drawn_ones_stay_as_they_are():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    scores = SeededRows([Ask("", (), 1), Ask("", (), 1, 1.0, 0, 3)])(torch.empty(0), logits)
    assert torch.equal(scores[0], logits[0])
    assert not torch.equal(scores[1], logits[1])


@pytest.mark.parametrize("name", ["llava", "qwen2_vl"])
def test_a_run_is_the_same_whatever_the_batch(folders, tmp_path, name):
    written = []
    for size in (1, 64):
        content = hermes.evaluate(
            model=f"hf:{folders[name]}",
            tasks=("pope", "mmmu@max_new_tokens=8"),
            data="shapes",
            limit=2,
            device="cpu",
            batch_size=size,
            out=tmp_path / str(size),
        )
        assert content["world"] == "shapes"
        assert content["model"].name == name
        assert [result.counts["error"] for result in content["results"].values()] == [0, 0]
        written.append((tmp_path / str(size) / "results.json").read_bytes())
    assert written[0] == written[1]


def test_the_info_is_that_of_the_checkpoint(folders, copied):
    info = load(folders["llava"]).info
    weights = load_file(copied / "model.safetensors")
    assert (info.name, info.revision, info.abilities) == ("llava", None, ("understanding",))
    assert info.parameters == sum(weight.numel() for weight in weights.values())
    assert info.resolution == 16
    assert load(copied).info.fingerprint == info.fingerprint
    weights[min(weights)] += 1
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    assert load(copied).info.fingerprint != info.fingerprint


@pytest.fixture(scope="module")
def adapter(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter for the LLaVA checkpoint, in PEFT's layout, with random weights that matter."""
    network = transformers.AutoModelForImageTextToText.from_pretrained(folders["llava"])
    config = peft.LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "down_proj"])
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        wrapped = peft.get_peft_model(network, config)
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                parameter.normal_(0.0, 0.5)
    folder = tmp_path_factory.mktemp("adapters") / "lora"
    wrapped.save_pretrained(folder)
    return folder


def with_adapter(folder: Path, adapter: Path) -> HFModel:
    return HFModel.load(f"hf:{folder}", "cpu", LoadOptions(adapter=str(adapter)))


def test_an_adapter_is_merged(folders, adapter):
    """It says what PEFT's own network with the unmerged adapter says."""
    model, plain = with_adapter(folders["llava"], adapter), load(folders["llava"])
    processor = transformers.AutoProcessor.from_pretrained(folders["llava"])
    network = transformers.AutoModelForImageTextToText.from_pretrained(folders["llava"])
    wrapped = peft.PeftModel.from_pretrained(network, adapter)
    told = []
    for asked in mixed():
        text = f"user : {MARKS['llava'] * len(asked.images)}{asked.prompt} assistant :"
        inputs = processor(images=[handle.open() for handle in asked.images] or None, text=text, return_tensors="pt")
        out = wrapped.generate(**inputs, max_new_tokens=8, do_sample=False)
        told.append(processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
    assert model.understand(mixed()) == told
    assert told != plain.understand(mixed())
    assert model.info.parameters == plain.info.parameters


def test_an_adapter_is_part_of_the_fingerprint(folders, adapter, tmp_path):
    one = with_adapter(folders["llava"], adapter).info.fingerprint
    other = Path(shutil.copytree(adapter, tmp_path / "other"))
    assert with_adapter(folders["llava"], other).info.fingerprint == one
    weights = load_file(other / "adapter_model.safetensors")
    save_file({name: weight * 2 for name, weight in weights.items()}, other / "adapter_model.safetensors")
    changed = with_adapter(folders["llava"], other).info.fingerprint
    assert len({one, changed, load(folders["llava"]).info.fingerprint}) == 3


def test_an_adapter_that_does_not_fit_is_one_line(folders, adapter, tmp_path):
    with pytest.raises(HermesError, match=r"^model hf: the adapter .* does not fit") as error:
        with_adapter(folders["qwen2_vl"], adapter)
    assert "\n" not in str(error.value)
    with pytest.raises(HermesError, match=r"^model hf: adapter: .* holds no adapter_config\.json"):
        with_adapter(folders["llava"], tmp_path)


@pytest.mark.parametrize("name", ["auto", "float32", "bfloat16", "float16"])
def test_it_computes_in_the_precision_asked_for(folders, name):
    model = HFModel.load(f"hf:{folders['llava']}", "cpu", LoadOptions(dtype=name))
    found = "float32" if name == "auto" else name
    assert model.info.dtype == found
    assert {str(weight.dtype) for weight in model._model.module.parameters()} == {f"torch.{found}"}
    processor = transformers.AutoProcessor.from_pretrained(folders["llava"])
    network = transformers.AutoModelForImageTextToText.from_pretrained(folders["llava"], dtype=getattr(torch, found))
    inputs = processor(images=pictures(1)[0], text=f"user : <image> {PROMPTS[1]} assistant :", return_tensors="pt")
    out = network.generate(**inputs.to(network.dtype), max_new_tokens=8, do_sample=False)
    told = processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    assert model.understand([request(PROMPTS[1], pictures(1)[0])]) == [told]


def test_a_device_map_places_it(folders):
    placed = HFModel.load(f"hf:{folders['llava']}", "cpu", LoadOptions(device_map="cpu"))
    assert placed.understand(mixed()) == load(folders["llava"]).understand(mixed())


def test_the_source_is_what_would_be_read(folders):
    assert [source.name for source in HFModel.sources(f"hf:{folders['llava']}")] == [str(folders["llava"])]
    assert HFModel.sources("hf:org/model@v1")[0][:2] == ("org/model", "v1")


def test_a_question_answering_model_looks_at_one_image(folders, tmp_path):
    model = load(folders["blip_vqa"])
    requests = [request(prompt, image) for prompt in PROMPTS for image in pictures(2)]
    assert model.understand(requests) == [model.understand([alone])[0] for alone in requests]
    with pytest.raises(RuntimeError, match="exactly one image, not 2"):
        model.understand([request("a?", *pictures(2))])


def test_what_the_model_fails_on_is_an_error_of_that_request(folders, tmp_path):
    """Qwen2-VL refuses images that are far longer than high."""
    rows = [{"id": n, "question": "Is there a dog?", "answer": "yes", "category": "random"} for n in range(2)]
    for row, size in zip(rows, ((30, 30), (600, 2)), strict=True):
        Image.new("RGB", size, (9, 9, 9)).save(tmp_path / f"{row['id']}.png")
        row |= {"question_id": str(row["id"]), "image_source": str(row["id"]), "image": f"{row['id']}.png"}
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    content = hermes.evaluate(
        model=f"hf:{folders['qwen2_vl']}",
        tasks=("pope",),
        data=str(tmp_path / "rows.jsonl"),
        device="cpu",
        out=tmp_path / "run",
    )
    assert content["results"]["pope"].counts["error"] == 1
    (journal,) = (tmp_path / "run").glob("answers/*/pope-*/responses.0.jsonl")
    stored = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [answer["status"] for answer in stored] == ["ok", "error"]
    assert "aspect ratio" in stored[1]["error"]


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "torn weights": (lambda folder: (folder / "model.safetensors").write_bytes(b"\x10"), "cannot be loaded"),
    "torn config": (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "cannot be loaded"),
    "no chat template": (lambda folder: (folder / "chat_template.jinja").unlink(), "has no chat template; add"),
    "another architecture": (
        lambda folder: rewrite(folder / "config.json", model_type="bert"),
        "'bert' is not an image-to-text model",
    ),
    "its own code": (
        lambda folder: rewrite(folder / "config.json", model_type="x", auto_map={"AutoConfig": "configuration_x.X"}),
        "its own code, which is never run",
    ),
    "no config": (lambda folder: (folder / "config.json").unlink(), r"holds no config\.json"),
}


@pytest.mark.parametrize(("spoil", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_checkpoint_is_one_line(copied, spoil, says):
    spoil(copied)
    with pytest.raises(HermesError, match=f"^model hf: .*{says}") as error:
        load(copied)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reference", ["hf", "hf:", "hf:/no/such/folder", "hf:org/model@"])
def test_what_names_no_model_is_one_line(reference):
    with pytest.raises(HermesError, match=r"^model hf: "):
        HFModel.load(reference, "cpu")


@pytest.mark.parametrize("config", [{"max_new_tokens": 0}, {"temperature": -1.0}, {"top_k": -1}], ids=str)
def test_settings_that_mean_nothing_stop_the_command(folders, config):
    with pytest.raises(HermesError, match="max_new_tokens must be 1 or more"):
        load(folders["llava"]).understand([request("a?", *pictures(1), **config)])


def test_it_is_asked_to_draw_nothing(folders):
    with pytest.raises(HermesError, match="task 'geneval' needs generation"):
        hermes.evaluate(model=f"hf:{folders['llava']}", tasks=("geneval",), data="shapes", device="cpu")
    with pytest.raises(HermesError, match="draws no images"):
        load(folders["llava"]).generate([request("a cat")])


def test_a_model_of_the_hub_is_known_by_its_commit(folders, tmp_path, monkeypatch):
    """A hub that cannot be reached, with one model in the cache as a download leaves it."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    model = tmp_path / "models--org--tiny"
    shutil.copytree(folders["llava"], model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs" / "v1").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    info = HFModel.load("hf:org/tiny@v1", "cpu").info
    assert (info.name, info.revision, info.fingerprint) == ("org/tiny", commit, commit[:12])
    with pytest.raises(HermesError, match=r"^model hf: org/tiny cannot be loaded"):
        HFModel.load("hf:org/tiny@v2", "cpu")


def test_to_list_it_loads_no_torch(python):
    done = python("-c", "import sys, hermes.harness.models.vlm.adapter; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr
