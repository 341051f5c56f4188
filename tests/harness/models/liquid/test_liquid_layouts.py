"""Liquid's layout: where the VQGAN may lie, which settings fit, rows of the two ways, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import tiny_liquid
import tiny_vqgan
import torch
from asking import drawn, noise, pixels, request
from safetensors.torch import load_file

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.detect import adapter_of
from hermes.harness.models.liquid.adapter import Liquid
from hermes.harness.models.liquid.places import PUBLISHED, SPACE
from hermes.harness.system.errors import HermesError

KNOWN = ["chameleon", "liquid"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_liquid.save(tmp_path_factory.mktemp("checkpoints") / "tiny-liquid")


@pytest.fixture(scope="module")
def model(folder: Path) -> Liquid:
    return Liquid.load(f"liquid:{folder}")


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may change."""
    return Path(shutil.copytree(folder, tmp_path / "near" / "changed"))


def test_the_vqgan_lies_in_the_folder_beside_it_or_in_the_authors_space(
    model: Liquid, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = copied.parent / "chameleon"
    (copied / "chameleon").rename(beside)
    assert adapter_of(str(copied), KNOWN) == "liquid"
    assert Liquid.load(str(copied)).info.fingerprint == model.info.fingerprint

    space = copied.parent / "space" / "chameleon"
    asked = []

    def downloaded(repository: str, name: str, repo_type: str) -> str:
        asked.append((repository, name, repo_type))
        return str(space.parent / name)

    space.parent.mkdir()
    beside.rename(space)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", downloaded)
    assert Liquid.load(str(copied)).info.fingerprint == model.info.fingerprint
    assert asked == [(SPACE, f"chameleon/{name}", "space") for name in ("vqgan.yaml", "vqgan.ckpt")]


def test_without_a_vqgan_anywhere_it_is_one_line(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any, **__: Any) -> str:
        raise ConnectionError("no network")

    shutil.rmtree(copied / "chameleon")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", silent)
    with pytest.raises(HermesError, match=r"VQGAN is neither in .*chameleon nor .*\(no network\); put vqgan.yaml"):
        Liquid.load(f"liquid:{copied}")


def test_marks_are_written_once_and_twice_as_released(model: Liquid, folder: Path) -> None:
    words = model.prompting.words
    begin, end = (words.convert_tokens_to_ids(mark) for mark in ("<boi>", "<eoi>"))
    row = model.prompting.question("Why?", [[1, 2], [3]])
    first, second = (int(model.prompting.codes[0]) + code for code in (1, 3))
    assert row[: row.index(begin)] == words("<bos><start_of_turn>user\n", add_special_tokens=False)["input_ids"]
    assert row[row.index(begin) :][:5] == [begin, first, first + 1, end, *words("\n")["input_ids"][-1:]]
    assert row.count(begin) == row.count(end) == 2
    assert row[row.index(second) - 1 : row.index(second) + 2] == [begin, second, end]
    said = words.decode(row[row.index(second) + 1 :])
    assert said == "<eoi>\nWhy?<end_of_turn>\n<start_of_turn>model\n"
    released = Liquid.load(str(folder), "cpu", LoadOptions(as_released=True)).prompting
    twice = released.question("Why?", [[1, 2], [3]])
    assert (twice.count(begin), twice.count(end)) == (4, 4)
    assert [token for token in twice if token not in (begin, end)] == [
        token for token in row if token not in (begin, end)
    ]


def test_as_released_without_filters_draws_from_all_tokens(model: Liquid, folder: Path) -> None:
    released = Liquid.load(str(folder), "cpu", LoadOptions(as_released=True))
    free = {"top_k": 0, "top_p": 1.0, "temperature": 1.0}
    prompts = [*drawn(**free), request("a dog", 9, temperature=1.0)]
    together = pixels(released.generate(prompts))
    assert together == [pixels(released.generate([one]))[0] for one in prompts]
    ours = pixels(model.generate(prompts))
    assert together[-1] == ours[-1]  # with the defaults' filters it is ours
    assert all(theirs != own for theirs, own in zip(together[:-1], ours[:-1], strict=True))


def test_it_draws_from_words_alone(model: Liquid) -> None:
    with pytest.raises(HermesError, match="draws from words alone"):
        model.generate([request("a cat", 1, (noise(1),))])


def test_where_it_is_loaded_from(folder: Path) -> None:
    def found(reference: str) -> tuple[str, str | None, bool]:
        (source,) = Liquid.sources(reference)
        return source.name, source.revision, source.local

    assert found("liquid") == (PUBLISHED, None, False)
    assert found("liquid:me/mine@v1") == ("me/mine", "v1", False)
    assert found(f"liquid:{folder}") == found(str(folder)) == (str(folder), None, True)


def of_yaml(folder: Path, old: str, new: str) -> None:
    path = folder / "chameleon" / "vqgan.yaml"
    path.write_text(path.read_text().replace(old, new))


def of_checkpoint(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    held = tiny_vqgan.tensors()
    change(held)
    torch.save({"state_dict": held}, folder / "chameleon" / "vqgan.ckpt")


TABLE = "quantize.embedding.weight"
BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another vocabulary": (
        lambda home: of_yaml(home, f"n_embed: {tiny_vqgan.CODES}", "n_embed: 9"),
        f"holds {TABLE} with the shape",
    ),
    "no sizes": (lambda home: of_yaml(home, "z_channels", "zz"), "does not say the sizes"),
    "odd sizes": (lambda home: of_yaml(home, "ch: 32", "ch: 33"), "names sizes that no VQGAN has"),
    "attention": (lambda home: of_yaml(home, "attn_resolutions: []", "attn_resolutions: [8]"), "attn_resolutions is"),
    "torn settings": (lambda home: of_yaml(home, "model:", "model: ]"), "vqgan.yaml cannot be read"),
    "no decoder": (
        lambda home: of_checkpoint(home, lambda held: [held.pop(n) for n in list(held) if n.startswith("decoder.")]),
        "decoder, and draws nothing",
    ),
    "a lost tensor": (lambda home: of_checkpoint(home, lambda held: held.pop(TABLE)), "lacks 1 of"),
    "NaN": (
        lambda home: of_checkpoint(home, lambda held: held.update({TABLE: held[TABLE] * torch.nan})),
        f"{TABLE} holds numbers that are not finite",
    ),
    "no weights": (lambda home: (home / "chameleon" / "vqgan.ckpt").unlink(), "holds no weights"),
    "a word more": (
        lambda home: (home / "config.json").write_text(
            json.dumps(json.loads((home / "config.json").read_text()) | {"vocab_size": 4})
        ),
        "has 4 tokens, not",
    ),
    "another tokenizer": (
        lambda home: (home / "tokenizer.json").write_text(
            (home / "tokenizer.json").read_text().replace("<unconditional>", "<unused2>")
        ),
        "does not know <unconditional>",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_torn_or_foreign_part_is_one_line(copied: Path, how: str) -> None:
    spoiling, words = BROKEN[how]
    spoiling(copied)
    with pytest.raises(HermesError, match=words) as caught:
        Liquid.load(f"liquid:{copied}")
    assert "\n" not in str(caught.value)


def test_saving_keeps_the_published_names(model: Liquid, folder: Path, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert load_file(tmp_path / "model.safetensors").keys() == load_file(folder / "model.safetensors").keys()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    vqgan = load_file(tmp_path / "chameleon" / "model.safetensors")
    assert {name: tuple(held.shape) for name, held in vqgan.items()} == {
        name: tuple(held.shape) for name, held in tiny_vqgan.tensors().items()
    }
