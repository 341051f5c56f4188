"""Disk and memory are checked before anything is loaded, and what a folder takes is counted from its headers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import psutil
import pytest
import torch
from safetensors.torch import save_file

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models import room
from hermes.harness.models.room import check_room, folder_bytes
from hermes.harness.models.source import Source
from hermes.harness.system.errors import HermesError

PLAIN = LoadOptions()


def stored(path: Path, numbers: int, dtype: torch.dtype = torch.float32) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"a": torch.zeros(numbers, dtype=dtype), "b": torch.zeros(2, dtype=torch.int64)}, path)
    return path


def test_weights_count_in_the_precision_that_they_are_loaded_in(tmp_path: Path) -> None:
    stored(tmp_path / "model.safetensors", 100, torch.float16)
    assert (folder_bytes(tmp_path, 4), folder_bytes(tmp_path, 2)) == (408, 204)


def test_only_what_is_read_counts(tmp_path: Path) -> None:
    stored(tmp_path / "model-00001-of-00002.safetensors", 10)
    stored(tmp_path / "model-00002-of-00002.safetensors", 20)
    stored(tmp_path / "consolidated.safetensors", 30)
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(999))
    stored(tmp_path / "unet" / "diffusion_pytorch_model.safetensors", 5)
    assert folder_bytes(tmp_path, 4) == 4 * (10 + 20 + 5) + 3 * 8
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "model.bin").write_bytes(bytes(77))
    assert folder_bytes(tmp_path, 4) == 4 * (10 + 20 + 5) + 3 * 8 + 77


def test_what_a_training_left_beside_the_weights_does_not_count(tmp_path: Path) -> None:
    stored(tmp_path / "model.safetensors", 100)
    stored(tmp_path / "checkpoint-7" / "model.safetensors", 1000)
    for name in ("optimizer.bin", "optimizer.pt", "rng_state.pth", "training_args.bin"):
        (tmp_path / name).write_bytes(bytes(999))
    assert folder_bytes(tmp_path, 4) == 4 * 100 + 8
    assert folder_bytes(tmp_path / "checkpoint-7", 4) == 4 * 1000 + 8


def test_a_torn_file_is_left_to_the_loader(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\x10\x00")
    assert folder_bytes(tmp_path, 4) == 0
    assert check_room([Source(str(tmp_path), None, local=True)], "cpu", PLAIN, "m") == 0


def test_too_little_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path / "model.safetensors", 1000)
    source = [Source(str(tmp_path), None, local=True)]
    assert check_room(source, "cpu", PLAIN, "big") == 4 * 1000 + 8
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=3000))
    with pytest.raises(HermesError, match=r"'big' needs .* this machine has .* use --dtype bfloat16"):
        check_room(source, "cpu", PLAIN, "big")
    assert check_room(source, "cpu", LoadOptions(dtype="bfloat16"), "big")


def repository(total: int | None = None) -> Any:
    files = [("model.safetensors", 4_000_000_000), ("config.json", 100), ("pytorch_model.bin", 5_000_000_000)]
    return SimpleNamespace(
        sha="0" * 40,
        siblings=[SimpleNamespace(rfilename=name, size=size) for name, size in files],
        safetensors=SimpleNamespace(total=total) if total else None,
    )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Api:
        def model_info(self, *_: Any, **__: Any) -> Any:
            return repository(2_000_000_000)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "not" / "yet"))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=9e9))


def test_a_download_needs_disk(hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    source = [Source("org/model", None, local=False)]
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=4.5e9))
    assert check_room(source, "cpu", PLAIN, "m") == 8e9
    assert check_room(source, "cpu", LoadOptions(dtype="float16"), "m") == 4e9
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=3.5e9))
    with pytest.raises(HermesError, match=r"would download 4\.0 GB, .* has 3\.5 GB free; make room or set HF_HOME"):
        check_room(source, "cpu", PLAIN, "m")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: "/there")
    assert check_room(source, "cpu", PLAIN, "m")


def test_the_parts_of_a_download_count_each(hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards go before a whole file beside them, and not before that of another folder."""
    sizes = {
        "llm/model-00001-of-00002.safetensors": 3,
        "llm/model-00002-of-00002.safetensors": 2,
        "llm/a.safetensors": 9,
    }
    files = [SimpleNamespace(rfilename=n, size=size) for n, size in {**sizes, "tower/model.safetensors": 4}.items()]
    told = SimpleNamespace(sha="0" * 40, siblings=files, safetensors=None)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: told)
    assert check_room([Source("org/model", None, local=False)], "cpu", PLAIN, "m") == 3 + 2 + 4


def test_of_a_repository_with_several_models_only_the_one_counts(hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=6e9))
    assert check_room([Source("org/model", None, local=False, only=("*.bin",))], "cpu", PLAIN, "m") == 5e9


def test_a_hub_that_does_not_answer_is_left_to_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    class Api:
        def model_info(self, *_: Any, **__: Any) -> Any:
            raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    assert check_room([Source("org/model", None, local=False)], "cpu", PLAIN, "m") == 0
