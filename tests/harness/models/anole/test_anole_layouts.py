"""Anole's layouts: the authors', transformers', early conversions, a VQGAN apart; and what published Chameleon is."""

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import tiny_anole
import tiny_chameleon
import tiny_vqgan
import torch
from asking import asked, drawn, noise, pixels, request
from safetensors.torch import load_file, save_file

from hermes.harness.models.anole.adapter import Anole
from hermes.harness.models.anole.places import DRAWS, INDEX, PUBLISHED
from hermes.harness.models.chameleon import Chameleon
from hermes.harness.models.chameleon_vq.files import read_codec, write_codec
from hermes.harness.models.detect import adapter_of
from hermes.harness.system.errors import HermesError

KNOWN = ["anole", "chameleon", "liquid"]
INSIDE = "model.vqmodel."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_anole.save(tmp_path_factory.mktemp("checkpoints") / "tiny-anole")


@pytest.fixture(scope="module")
def original(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_anole.save_original(tmp_path_factory.mktemp("checkpoints") / "anole-original", folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> Anole:
    return Anole.load(f"anole:{folder}")


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may change."""
    return Path(shutil.copytree(folder, tmp_path / "changed"))


def rewritten(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    save_file({name: held.contiguous() for name, held in tensors.items()}, folder / "model.safetensors")
    return folder


def without_decoder(folder: Path) -> Path:
    held = load_file(folder / "model.safetensors")
    return rewritten(folder, {name: tensor for name, tensor in held.items() if f"{INSIDE}decoder." not in name})


def test_both_layouts_are_one_model_and_save_as_transformers_has_it(
    model: Anole, folder: Path, original: Path, tmp_path: Path
) -> None:
    assert adapter_of(str(original), KNOWN) == adapter_of(str(original / "models" / "7b"), KNOWN) == "anole"
    for home in (original, original / "models" / "7b"):
        theirs = Anole.load(str(home))
        assert theirs.info.fingerprint == model.info.fingerprint
    assert theirs.understand(asked()) == model.understand(asked())
    theirs.save(tmp_path / "saved")
    assert adapter_of(str(tmp_path / "saved"), KNOWN) == "anole"
    saved, published = (load_file(home / "model.safetensors") for home in (tmp_path / "saved", folder))
    assert saved.keys() == published.keys()
    assert all(torch.equal(saved[name], held) for name, held in published.items())
    again = Anole.load(str(tmp_path / "saved"))
    assert pixels(again.generate(drawn())) == pixels(model.generate(drawn()))
    settings = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert settings["vocabulary_map"]["<image>"] == settings["vocabulary_map"]["<reserved08707>"]


def test_what_is_saved_is_what_transformers_reads(model: Anole, folder: Path, tmp_path: Path) -> None:
    model.save(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    said = [Chameleon.load(f"chameleon:{home}", "cpu").understand(asked()) for home in (folder, tmp_path)]
    assert said[0] == said[1]


def test_settings_may_leave_out_what_they_have_by_default(model: Anole, copied: Path) -> None:
    path = copied / "config.json"
    config = json.loads(path.read_text())
    config["vq_config"].pop("out_channels")
    path.write_text(json.dumps(config))
    assert Anole.load(str(copied)).info.fingerprint == model.info.fingerprint


def test_early_conversions_are_known_by_their_norms(model: Anole, copied: Path) -> None:
    """They hold q and k in the authors' order under transformers' names."""
    held = load_file(copied / "model.safetensors")
    for name, tensor in list(held.items()):
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            held[name] = tiny_anole.neighbours(tensor, len(tensor) // tiny_anole.WIDTH)
        elif "q_norm." in name or "k_norm." in name:
            held[name] = tiny_anole.neighbours(tensor[0], 1)
    assert Anole.load(str(rewritten(copied, held))).info.fingerprint == model.info.fingerprint


@pytest.mark.parametrize("how", ["Meta's files", "transformers' folder"])
def test_a_vqgan_may_lie_apart(model: Anole, copied: Path, how: str) -> None:
    without_decoder(copied)
    if how == "Meta's files":
        tiny_vqgan.save(copied / "vqgan")
    else:
        write_codec(model.codec, copied.parent / "vqvae-hf")
        assert read_codec(copied.parent / "vqvae-hf").state().keys() == model.codec.state().keys()
    assert Anole.load(f"anole:{copied}").info.fingerprint == model.info.fingerprint


def test_without_a_decoder_it_is_chameleon_that_reads_it(copied: Path, tmp_path: Path) -> None:
    assert adapter_of(str(copied), KNOWN) == "anole"
    assert adapter_of(str(without_decoder(copied)), KNOWN) == "chameleon"
    published = tiny_chameleon.save(tmp_path / "chameleon")
    assert adapter_of(str(published), KNOWN) == "chameleon"
    with pytest.raises(
        HermesError, match=r"has no image decoder, as published Chameleon, .* chameleon:FOLDER"
    ) as caught:
        Anole.load(f"anole:{published}")
    assert "\n" not in str(caught.value)


def test_it_says_what_transformers_says_of_the_same_codes(model: Anole, folder: Path) -> None:
    """Without a picture both read the same row."""
    questions = [request(one.prompt, number, max_new_tokens=8) for number, one in enumerate(asked())]
    assert model.understand(questions) == Chameleon.load(f"chameleon:{folder}", "cpu").understand(questions)


def test_pictures_in_a_prompt_guide_by_themselves(model: Anole) -> None:
    prompting = model.prompting
    seen = model.codec.encode(noise(1).open())
    full, image, empty = prompting.drawing("a cat", [seen], 3.0)
    assert (full.weight, image.weight, empty.weight) == pytest.approx((3.0, -1.8, -0.2))
    assert list(empty.ids) == [prompting.bos, prompting.begin]
    assert list(image.ids) == [*prompting.row([seen], turn=False), prompting.begin]
    assert len(prompting.drawing("a cat", (), 3.0)) == 2
    one = request("a cat", 1, (noise(1),), temperature=0.0)
    assert pixels(model.generate([one])) != pixels(model.generate([request("a cat", 1, temperature=0.0)]))
    together = model.generate([one, *drawn()])
    assert pixels(together) == [pixels(model.generate([alone]))[0] for alone in (one, *drawn())]


BROKEN: dict[str, tuple[Any, str]] = {
    "torn": (lambda home: (home / "consolidated.pth").write_bytes(b"\x80"), "consolidated.pth cannot be loaded"),
    "parallel shards": (
        lambda home: (home / "consolidated.pth").rename(home / "consolidated.00.pth"),
        "parallel shards of a larger Chameleon",
    ),
    "another model": (
        lambda home: torch.save({"layers.0.attention.bias": torch.ones(2)}, home / "consolidated.pth"),
        "holds layers.0.attention.bias, which Chameleon's transformer does not have",
    ),
    "torn parameters": (lambda home: (home / "params.json").write_text("{"), "params.json cannot be read"),
    "no tokenizer": (lambda home: (home.parents[1] / "tokenizer" / "text_tokenizer.json").unlink(), "has no tokenizer"),
    "torn VQGAN": (
        lambda home: (home.parents[1] / "tokenizer" / "vqgan.ckpt").write_bytes(b"PK\x03\x04"),
        "vqgan.ckpt cannot be loaded",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_the_authors_files_torn_or_foreign_are_one_line(original: Path, tmp_path: Path, how: str) -> None:
    broken = Path(shutil.copytree(original, tmp_path / "broken"))
    spoiling, words = BROKEN[how]
    spoiling(broken / "models" / "7b")
    with pytest.raises(HermesError, match=words) as caught:
        Anole.load(f"anole:{broken}")
    assert "\n" not in str(caught.value)


def test_where_it_is_loaded_from(folder: Path, original: Path) -> None:
    def found(reference: str) -> tuple[str, str | None, bool]:
        (source,) = Anole.sources(reference)
        return source.name, source.revision, source.local

    assert found("anole") == (PUBLISHED, None, False)
    assert found("anole:GAIR/Anole-7b-v0.1@main") == ("GAIR/Anole-7b-v0.1", "main", False)
    assert found(f"anole:{folder}") == found(str(folder)) == (str(folder), None, True)
    assert found(f"anole:{original}") == (str(original), None, True)


def test_the_hub_tells_by_the_index_of_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"config.json": {"model_type": "chameleon"}, INDEX: {"weight_map": {f"{INSIDE}{DRAWS}": "a"}}}

    def downloaded(repository: str, name: str, revision: str | None = None) -> str:
        if name == INDEX and repository != PUBLISHED:
            raise OSError("no such file")
        (tmp_path / name).write_text(json.dumps(files[name]))
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", downloaded)
    assert adapter_of(PUBLISHED, KNOWN) == "anole"
    assert adapter_of("facebook/chameleon-7b", KNOWN) == "chameleon"
