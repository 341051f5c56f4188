"""mmdet's checkpoints become transformers' model: both namings, whole accounts, a cache, one line for each fault."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_detector import NOWHERE, PARITY, in_version_3, mmdet_weights, tiny_config, tiny_model
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

from hermes.harness.judges.mask2former.checkpoint import checked_path, load_checkpoint, released_file
from hermes.harness.judges.mask2former.convert import build, check_account, config_of, convert, state_dict
from hermes.harness.system.cache import file_sha256
from hermes.harness.system.errors import HermesError

needs_parity = pytest.mark.skipif(not PARITY.is_dir(), reason="no golden data here")


def same_weights(model, other) -> bool:
    theirs = other.state_dict()
    used = {name: value for name, value in model.state_dict().items() if not NOWHERE.search(name)}
    return all(torch.equal(value, theirs[name]) for name, value in used.items())


def loaded(path: Path):
    found = load_checkpoint(path)
    return build(found.config, found.weights, str(path))


def save(weights, path: Path) -> None:
    if path.suffix == ".pth":
        torch.save({"state_dict": weights, "meta": {}}, path)
    else:
        save_file({name: value.contiguous() for name, value in weights.items()}, path)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_weight_arrives(tiny, tmp_path, version, suffix, prefix):
    path = tmp_path / f"detector{suffix}"
    save({prefix + name: value for name, value in mmdet_weights(tiny.state_dict(), version).items()}, path)
    assert same_weights(tiny, loaded(path))


def test_a_bare_state_dict_is_one_too(tiny, tmp_path):
    path = tmp_path / "detector.pth"
    torch.save(mmdet_weights(tiny.state_dict(), 3), path)
    assert same_weights(tiny, loaded(path))


def test_the_outputs_are_the_same(tiny, checkpoint):
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, theirs = loaded(checkpoint)(pixel_values=pixels), tiny(pixel_values=pixels)
    assert torch.equal(ours.class_queries_logits, theirs.class_queries_logits)
    assert torch.equal(ours.masks_queries_logits, theirs.masks_queries_logits)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden_dim": 64},
        {"mask_feature_size": 24, "num_attention_heads": 2, "num_labels": 3},
        {"encoder_layers": 1, "decoder_layers": 2, "num_queries": 9},
    ],
)
def test_the_configuration_is_read_from_the_shapes(changes):
    config = tiny_config(**changes)
    weights = mmdet_weights(tiny_model(config).state_dict(), 3)
    found = config_of(weights)
    for field in ("feature_size", "mask_feature_size", "hidden_dim", "encoder_layers", "decoder_layers"):
        assert getattr(found, field) == getattr(config, field)
    for field in ("encoder_feedforward_dim", "dim_feedforward", "num_attention_heads", "num_queries", "num_labels"):
        assert getattr(found, field) == getattr(config, field)
    for field in ("embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "patch_size"):
        assert getattr(found.backbone_config, field) == getattr(config.backbone_config, field)
    build(found, convert(weights))


def test_a_configuration_can_be_given(tiny, checkpoint):
    found = load_checkpoint(checkpoint, tiny_config())
    assert same_weights(tiny, build(found.config, found.weights))
    wrong = load_checkpoint(checkpoint, tiny_config(num_queries=7))
    with pytest.raises(HermesError, match=r"wrong shape for 2 .*queries_"):
        build(wrong.config, wrong.weights)


def full_size(device: str = "meta"):
    """GenEval's detector: Mask2FormerConfig's defaults are its size."""
    with torch.device(device):
        return Mask2FormerForUniversalSegmentation(Mask2FormerConfig(num_labels=80))


@needs_parity
@pytest.mark.parametrize("version", [2, 3])
def test_the_account_at_full_size(version):
    """649 weights of mmdet, 24 of them buffers; 760 of transformers, three of them unused."""
    shapes = json.loads((PARITY / "keys" / f"swin_s_mmdet{version}x.json").read_text())
    theirs = json.loads((PARITY / "keys" / "swin_s_transformers_5.23.json").read_text())
    weights = state_dict({name: torch.empty(shape, device="meta") for name, shape in shapes.items()}, "keys")
    converted = convert(weights)
    assert len(weights) == 649
    assert sum(name.endswith("relative_position_index") for name in weights) == 24
    assert len(theirs) == 760
    assert {name for name in theirs if NOWHERE.search(name)} == theirs.keys() - converted.keys()
    assert {name: list(value.shape) for name, value in converted.items()}.items() <= theirs.items()
    assert len(converted) == 757
    with torch.device("meta"):
        check_account(Mask2FormerForUniversalSegmentation(config_of(weights)), converted)


def test_the_account_at_full_size_from_transformers_alone():
    model = full_size()
    for version in (2, 3):
        weights = state_dict(mmdet_weights(model.state_dict(), version), "keys")
        check_account(model, convert(weights))
        assert config_of(weights).backbone_config.depths == [2, 2, 18, 2]


@needs_parity
def test_golden_names_in_both_versions():
    weights = load_file(PARITY / "state_dict_mmdet2x.safetensors")
    renamed = {in_version_3(name): value for name, value in weights.items()}
    assert renamed.keys() != weights.keys()
    old, new = (convert(state_dict(some, "golden")) for some in (weights, renamed))
    assert old.keys() == new.keys()
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_the_second_load_reads_the_cache(tiny, checkpoint, cache, monkeypatch):
    first = load_checkpoint(checkpoint)
    kept = cache / "mask2former" / file_sha256(checkpoint) / "model.safetensors"
    assert kept.is_file()
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read the checkpoint again"))
    second = load_checkpoint(checkpoint)
    assert second.sha256 == first.sha256 == file_sha256(checkpoint)
    assert same_weights(tiny, build(second.config, second.weights))


def test_the_cache_folder_and_its_file_are_checkpoints(tiny, checkpoint, cache, tmp_path):
    first = load_checkpoint(checkpoint)
    moved = tmp_path / "elsewhere"
    (cache / "mask2former" / first.sha256).rename(moved)
    checkpoint.unlink()
    for argument in (moved, moved / "model.safetensors"):
        found = load_checkpoint(checked_path(str(argument)))
        assert found.sha256 == first.sha256
        assert same_weights(tiny, build(found.config, found.weights))


def test_a_torn_cache_is_made_anew(tiny, checkpoint, cache):
    kept = cache / "mask2former" / load_checkpoint(checkpoint).sha256 / "model.safetensors"
    kept.write_bytes(kept.read_bytes()[:1000])
    assert same_weights(tiny, loaded(checkpoint))
    assert same_weights(tiny, loaded(kept))


def test_a_cache_that_cannot_be_written_is_done_without(tiny, checkpoint, cache):
    cache.write_text("a file, not a folder")
    assert same_weights(tiny, loaded(checkpoint))


def test_loading_moves_no_random_numbers(checkpoint):
    torch.manual_seed(0)
    wanted = torch.rand(1)
    torch.manual_seed(0)
    loaded(checkpoint)
    assert torch.equal(torch.rand(1), wanted)


def test_numpy_numbers_beside_the_weights_are_harmless(tiny, tmp_path):
    path = tmp_path / "detector.pth"
    meta = {"time": "today", "loss": np.float64(0.5), "steps": np.int64(3), "curve": np.zeros(2, dtype=np.float32)}
    torch.save({"meta": meta, "state_dict": mmdet_weights(tiny.state_dict(), 2)}, path)
    assert same_weights(tiny, loaded(path))


class Foreign:
    """What another package may have pickled beside the weights."""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda weights: weights.pop("panoptic_head.query_feat.weight"), "needs the weight panoptic_head.query_feat"),
        (lambda weights: weights.pop("panoptic_head.mask_embed.2.bias"), "lacks 1 of"),
        (lambda weights: weights.pop("backbone.stages.1.blocks.0.attn.w_msa.qkv.weight"), "lacks 3 of"),
        (lambda weights: weights.update({"roi_head.fc.weight": torch.zeros(2)}), "knows no weight roi_head.fc.weight"),
        (
            lambda weights: weights.update({"panoptic_head.mask_embed.0.bias": torch.zeros(5)}),
            "wrong shape for 1 of",
        ),
        (
            lambda weights: weights.update({"backbone.stages.0.downsample.norm.weight": torch.zeros(3)}),
            r"downsample.norm.weight cannot have the shape \(3,\)",
        ),
        (
            lambda weights: weights.update({"backbone.stages.0.blocks.0.attn.w_msa.qkv.bias": torch.tensor(1.0)}),
            r"cannot have the shape \(\)",
        ),
        (
            lambda weights: weights.update({"panoptic_head.query_feat.weight": torch.zeros(3)}),
            r"query_feat.weight has the shape \(3,\), not 2 axes",
        ),
        (
            lambda weights: weights.update({"panoptic_head.cls_embed.weight": torch.zeros(0, 32)}),
            "cls_embed.weight has the shape",
        ),
    ],
)
def test_a_faulty_checkpoint_is_one_line(tiny, tmp_path, change, says):
    weights = mmdet_weights(tiny.state_dict(), 3)
    change(weights)
    save(weights, path := tmp_path / "faulty.pth")
    with pytest.raises(HermesError, match=says) as error:
        loaded(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1, 2], "holds no state dict"),
        ({"state_dict": {}}, "holds no state dict"),
        ({"state_dict": {"weight": 3}}, "more than named tensors"),
        ({"state_dict": {"conv1.weight": torch.zeros(2)}}, "knows no weight conv1.weight"),
        ({"state_dict": {}, "meta": Foreign()}, r"contains a \S*Foreign, which is not a weight"),
    ],
)
def test_a_file_of_something_else_is_one_line(tmp_path, content, says):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(HermesError, match=says) as error:
        loaded(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("size", [0, 20, 3000])
def test_a_torn_file_is_one_line(tiny, tmp_path, suffix, size):
    path = tmp_path / f"torn{suffix}"
    save(mmdet_weights(tiny.state_dict(), 2), path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(HermesError, match="cannot be read as a checkpoint") as error:
        loaded(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("argument", ["", "missing.pth", "~/missing.pth"])
def test_a_path_that_is_none_is_one_line(argument):
    with pytest.raises(HermesError, match="no such checkpoint"):
        checked_path(argument)


def test_a_folder_without_weights_is_one_line(tmp_path):
    with pytest.raises(HermesError, match=r"holds no model\.safetensors"):
        checked_path(str(tmp_path))


def test_the_released_file_is_taken_from_the_cache_folder(cache, monkeypatch):
    asked = []

    def download(url, path, hash_prefix):
        asked.append((url, hash_prefix))
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for _ in range(2):
        path = released_file()
        assert path.parent == cache
        assert path.read_bytes() == b"weights"
    ((url, prefix),) = asked
    assert url.startswith("https://download.openmmlab.com/mmdetection/v2.0/mask2former/")
    assert url.endswith(f"/{path.name}")
    assert path.stem.endswith(prefix)


def test_a_failed_download_is_one_line(monkeypatch):
    def download(*_, **__):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(HermesError, match=r"no route to host.*--judge mask2former:PATH") as error:
        released_file()
    assert "\n" not in str(error.value)
