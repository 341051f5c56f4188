"""Show-o's loading flags: precision, a LoRA adapter on Phi's layers, torch.compile."""

from functools import partialmethod
from pathlib import Path

import pytest
import torch
from hub_server import Repository, serving
from huggingface_hub import constants
from peft import LoraConfig, get_peft_model
from PIL import Image
from tiny_showo import make_checkpoint

import hermes
from hermes.harness.contracts.model import Drew
from hermes.harness.models.showo.adapter import ShowO
from hermes.harness.models.showo.load import TEXT, text_folder
from hermes.harness.models.showo.phi import Phi
from hermes.harness.models.showo.tokenizer import TextTokenizer
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.system.errors import HermesError

PICTURE = ImageHandle(Image.linear_gradient("L").convert("RGB"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("showo"))


def answers(model: ShowO) -> tuple[list[str], list[bytes]]:
    asked = [
        Request(sample_id=q, index=0, prompt=q, images=(PICTURE,), config=GenerationConfig(max_new_tokens=6), seed=0)
        for q in ("is it day?", "what is in the image, and how many boats sit there?")
    ]
    wanted = [
        Request(sample_id=p, index=0, prompt=p, config=GenerationConfig(steps=3), seed=s)
        for s, p in enumerate(("a red cat", "two boats, a cat and the night"))
    ]
    drawn = [answer.image if isinstance(answer, Drew) else answer for answer in model.generate(wanted)]
    return model.understand(asked), [picture.tobytes() for picture in drawn]


def test_a_folder_is_known_by_its_class_name(folder: Path) -> None:
    assert isinstance(hermes.load_model(str(folder), "cpu"), ShowO)


def test_half_precision(folder: Path) -> None:
    full, half = hermes.load_model(str(folder), "cpu"), hermes.load_model(str(folder), "cpu", dtype="bfloat16")
    assert (full.info.dtype, half.info.dtype) == ("float32", "bfloat16")
    assert full.info.fingerprint != half.info.fingerprint
    assert {weight.dtype for weight in half.transformer.parameters()} == {torch.bfloat16}
    texts, pictures = answers(half)
    assert len(texts) == len(pictures) == 2
    ids = torch.arange(40)[None]
    allowed = torch.ones(1, 40, 40, dtype=torch.bool).tril()
    with torch.no_grad():
        told = [model.transformer.logits(model.transformer(ids, allowed)[0]) for model in (full, half)]
    assert told[1].dtype == torch.float32
    assert 0 < (told[0] - told[1]).abs().max() < 0.1 * told[0].std()


def test_an_adapter_is_merged(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    plain = hermes.load_model(str(folder), "cpu")
    before = answers(plain)
    wanted = LoraConfig(r=2, lora_alpha=8, init_lora_weights=False, target_modules=["q_proj", "fc2"])
    get_peft_model(plain.transformer, wanted).save_pretrained(tmp_path)
    merged = hermes.load_model(str(folder), "cpu", adapter=str(tmp_path))
    after = answers(merged)
    assert after != before
    assert after == answers(plain)  # peft has put the layers with the adapter into the plain model
    assert set(merged.transformer.state_dict()) == set(hermes.load_model(str(folder), "cpu").transformer.state_dict())


def test_compiled_it_draws_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced whole by torch.compile; its slow code generator is left out, which the flag itself uses."""
    traced = partialmethod(torch.nn.Module.compile, backend="eager", fullgraph=True)
    monkeypatch.setattr(Phi, "compile", traced)
    compiled = hermes.load_model(str(folder), "cpu", compile=True)
    assert compiled.transformer._compiled_call_impl is not None
    wanted = [Request(sample_id="p", index=0, prompt="a red cat", config=GenerationConfig(steps=2), seed=1)]
    plain = hermes.load_model(str(folder), "cpu").generate(wanted)
    assert compiled.generate(wanted)[0].tobytes() == plain[0].tobytes()


def test_it_fits_one_device(folder: Path) -> None:
    with pytest.raises(HermesError, match="does not support --device-map"):
        hermes.load_model(str(folder), "cpu", device_map="auto")


def test_of_the_tokenizers_repository_no_weights_are_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = hermes.load_model(str(folder), "cpu")
    assert isinstance(model, ShowO)
    model.text.save(tmp_path / "text")
    read = {path.name: path.read_bytes() for path in (tmp_path / "text").iterdir()}
    heavy = ("model.safetensors", "pytorch_model.bin", "config.json", "vocab.json")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with serving() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        place = "{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub.endpoint}/{place}")
        hub.repositories[TEXT] = there = Repository(private=False)
        there.branches["main"] |= read | dict.fromkeys(heavy, b"{}")
        found = text_folder(tmp_path / "nothing", TEXT)
    assert {path.name: path.read_bytes() for path in found.iterdir()} == read
    assert set(read) == {"tokenizer.json", "tokenizer_config.json"}
    assert TextTokenizer.load(found).encode("a red cat") == model.text.encode("a red cat")
    assert not any(asked.endswith(f"/{name}") for asked in hub.asked for name in heavy)
