"""Which adapter runs a checkpoint: folders and hub repositories, by what their settings say."""

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

import hermes
from hermes.harness.models.detect import adapter_of
from hermes.harness.system.errors import HermesError

KNOWN = ["bagel", "hermes-tiny", "janus", "mmada", "null", "vilau"]


def folder(home: Path, settings: Any, name: str = "config.json") -> str:
    (home / name).write_text(json.dumps(settings))
    return str(home)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model_type": "janus"}, "janus"),
        ({"_class_name": "Showo", "_diffusers_version": "0.30.1"}, "showo"),
        ({"_class_name": "Showo", "model_type": "showo"}, "showo"),
        ({"model_type": "mmada", "auto_map": {"AutoModel": "x.Y"}}, "mmada"),
        ({"model_type": "gemma", "vocab_size": 264192}, "liquid"),
        ({"model_type": "vila_u_llama"}, "vilau"),
        ({"_class_name": "Showo2Qwen2_5", "_diffusers_version": "0.31.0"}, "showo2"),
        ({"model_type": "qwen2_vl"}, "hf"),
        ({"model_type": "vilt", "auto_map": {"AutoModel": "x.Y"}}, "hf"),
    ],
)
def test_settings_name_the_adapter(settings: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert adapter_of(folder(tmp_path, settings), KNOWN) == expected


def test_parts_may_lie_in_a_folder_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    folder(tmp_path / "model", {"model_type": "vila_u_llama"})
    assert adapter_of(str(tmp_path), KNOWN) == "vilau"


def test_a_pipeline_is_known_by_its_index(tmp_path: Path) -> None:
    settings = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.8.0"}
    assert adapter_of(folder(tmp_path, settings, "model_index.json"), KNOWN) == "diffusers"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model_type": "gpt2"}, "'gpt2' has no adapter and is not an image-to-text model of transformers; known: b"),
        ({"model_type": "my-own", "auto_map": {"AutoModel": "x.Y"}}, "brings its own code, which is never run"),
        ({"_class_name": "UNet2DConditionModel"}, "no config.json with a model_type"),
        (["model_type"], "no config.json with a model_type"),
        (
            {"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.31.0"},
            "no adapter for UNet2DConditionModel",
        ),
        ({"_class_name": "MAGVITv2"}, "is Show-o's image tokeniser, not a model"),
        ({"model_type": "multi_modality"}, "is Janus in its authors' layout; .* deepseek-community/Janus-Pro-1B"),
        ({"model_type": "multi_modality", "vision_gen_dec_config": {}}, "is JanusFlow, for which there is no adapter"),
        (
            {"model_type": "Emu3", "auto_map": {"AutoConfig": "x.Y"}},
            "is Emu3 in its authors' layout; .* BAAI/Emu3-Chat",
        ),
        ({"model_type": "llada"}, "is LLaDA, which knows no pictures; give MMaDA"),
        ({"model_type": "llava", "architectures": ["LlavaLlamaForCausalLM"]}, "is LLaVA in its authors' .* llava-hf/"),
    ],
)
def test_what_nobody_runs_is_one_line(settings: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(HermesError, match=words) as caught:
        adapter_of(folder(tmp_path, settings), KNOWN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["showo", "diffusers", "janus", "hf", "emu3", "chameleon", "vilau"])
def test_a_family_is_named_whatever_adapter_was_asked_for(name: str, tmp_path: Path) -> None:
    where = folder(tmp_path, {"model_type": "multi_modality", "vision_gen_dec_config": {}})
    with pytest.raises(HermesError, match="is JanusFlow, for which there is no adapter") as caught:
        hermes.load_model(f"{name}:{where}", "cpu")
    assert "\n" not in str(caught.value)


def test_a_family_without_settings_is_known_by_its_files(tmp_path: Path) -> None:
    for name in ("llm_config.json", "vit_config.json"):
        (tmp_path / name).write_text("{}")
    assert adapter_of(str(tmp_path), KNOWN) == "bagel"
    (tmp_path / "config.json").write_text('{"architectures": []}')
    assert adapter_of(str(tmp_path), KNOWN) == "bagel"


class Hub:
    """A stand-in for the hub's client: files by (repository, revision, name)."""

    def __init__(self, home: Path, files: dict[tuple[str, str | None, str], Any]) -> None:
        self.home, self.files = home, files

    def __call__(self, repository: str, name: str, revision: str | None = None) -> str:
        if (repository, revision, name) not in self.files:
            raise EntryNotFoundError(f"{repository} has no {name}")
        path = self.home / name
        path.write_text(json.dumps(self.files[repository, revision, name]))
        return str(path)


def test_a_hub_repository_is_asked_for_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        ("showlab/show-o", None, "config.json"): {"_class_name": "Showo"},
        ("org/painter", "v2", "model_index.json"): {"_class_name": "X", "_diffusers_version": "1"},
        ("org/talker", None, "config.json"): {"model_type": "llava"},
        ("org/both", None, "config.json"): {"architectures": []},
        ("org/both", None, "llm_config.json"): {"model_type": "qwen2"},
    }
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", Hub(tmp_path, files))
    assert adapter_of("showlab/show-o", KNOWN) == "showo"
    assert adapter_of("org/painter@v2", KNOWN) == "diffusers"
    assert adapter_of("org/talker", KNOWN) == "hf"
    assert adapter_of("org/both", KNOWN) == "bagel"
    with pytest.raises(HermesError, match="org/painter holds no config"):
        adapter_of("org/painter", KNOWN)


def test_a_hub_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any, **__: Any) -> str:
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", silent)
    with pytest.raises(HermesError, match=r"org/model: no such folder, and not available from the hub \(no network\)"):
        adapter_of("org/model", KNOWN)


@pytest.mark.parametrize("reference", ["nobody", "./nowhere", "a/b/c", "~/models/mine", "org/model name"])
def test_what_can_be_no_hub_repository_is_unknown(reference: str) -> None:
    with pytest.raises(HermesError, match="unknown model"):
        adapter_of(reference, KNOWN)


def test_without_a_network_the_cache_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline has no config.json; that this one is not in the cache must not hide its model_index.json."""
    settings = {"_class_name": "X", "_diffusers_version": "1"}

    def cached(repository: str, name: str, revision: str | None = None) -> str:
        if (repository, name) == ("org/painter", "model_index.json"):
            (tmp_path / name).write_text(json.dumps(settings))
            return str(tmp_path / name)
        raise LocalEntryNotFoundError(f"{name} is not in the cache")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", cached)
    assert adapter_of("org/painter", KNOWN) == "diffusers"
    with pytest.raises(HermesError, match="org/other: no such folder, and not available from the hub"):
        adapter_of("org/other", KNOWN)
