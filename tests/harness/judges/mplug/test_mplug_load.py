"""From a published directory to a model: key names, tied tensors, and one clear line for whatever is wrong."""

import json
import re
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from mplug_made import published_weights, write_checkpoint
from torch import Tensor

from hermes.harness.judges.mplug.config import MPlugConfig, read_config
from hermes.harness.judges.mplug.judge import MPlugJudge
from hermes.harness.judges.mplug.load import load_model
from hermes.harness.judges.mplug.model import MPlug
from hermes.harness.system.errors import HermesError

EMBEDDING = "text_decoder.bert.embeddings.word_embeddings.weight"
MATRIX = "text_decoder.cls.predictions.decoder.weight"
BIAS, OTHER_BIAS = "text_decoder.cls.predictions.decoder.bias", "text_decoder.cls.predictions.bias"
KEYS = Path(__file__).parents[5] / "shared/parity/mplug/keys_full.tsv"


def load(folder: Path, file: str = "model.safetensors") -> dict[str, Tensor]:
    return load_model(folder / file, read_config(folder), "cpu").state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "mplug")


def test_every_tensor_of_the_model_is_the_published_one(checkpoint: Path) -> None:
    loaded, published = load(checkpoint), published_weights()
    assert loaded
    assert all(torch.equal(tensor, published[name]) for name, tensor in loaded.items())


def test_what_answering_does_not_need_is_left_out(checkpoint: Path) -> None:
    unused = published_weights().keys() - load(checkpoint).keys()
    dead = (
        r"visn_fc_m|visual_encoder\.(visual\.proj|token_emb|logit)|.*position_ids|fusion_encoder\.encoder\.layer\.0\."
    )
    # With four fused layers and stride 2, the third of them is connected and has no use for its cross attention.
    dead += r"|fusion_encoder\.encoder\.layer\.3\.crossattention|text_decoder\.cls\.predictions\.bias"
    assert unused
    assert {name for name in unused if not re.match(dead, name)} == set()


@pytest.mark.parametrize(
    "wrap", [lambda w: w, lambda w: {"model": w}, lambda w: {"module": w}], ids=["flat", "model", "module"]
)
def test_a_bin_file_may_wrap_its_weights(checkpoint: Path, tmp_path: Path, wrap: Any) -> None:
    write_checkpoint(tmp_path / "bin", wrap(published_weights()), "pytorch_model.bin")
    assert same(load(tmp_path / "bin", "pytorch_model.bin"), load(checkpoint))


def test_a_bin_file_in_model_and_module_with_prefixes_and_in_the_old_format(checkpoint: Path, tmp_path: Path) -> None:
    prefixed = OrderedDict((f"model.{name}", tensor) for name, tensor in published_weights().items())
    folder = write_checkpoint(tmp_path / "bin", {"model": {"module": prefixed}, "epoch": 7}, "pytorch_model.bin")
    assert same(load(folder, "pytorch_model.bin"), load(checkpoint))
    content = torch.load(folder / "pytorch_model.bin")
    torch.save(content, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert same(load(folder, "pytorch_model.bin"), load(checkpoint))


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    halved = {name: tensor.half() for name, tensor in published_weights().items() if tensor.is_floating_point()}
    loaded = load(write_checkpoint(tmp_path, halved))
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}
    assert all(torch.equal(tensor, halved[name].float()) for name, tensor in loaded.items())


@pytest.mark.parametrize(
    ("kept", "dropped"), [(MATRIX, EMBEDDING), (EMBEDDING, MATRIX), (BIAS, OTHER_BIAS), (OTHER_BIAS, BIAS)]
)
def test_of_a_tied_pair_one_name_is_enough(checkpoint: Path, tmp_path: Path, kept: str, dropped: str) -> None:
    weights = published_weights()
    del weights[dropped]
    assert same(load(write_checkpoint(tmp_path / "tied", weights)), load(checkpoint))


def test_where_both_names_are_there_each_takes_its_own(tmp_path: Path) -> None:
    weights = published_weights()
    weights[EMBEDDING] = weights[EMBEDDING] + 1
    loaded = load(write_checkpoint(tmp_path, weights))
    assert torch.equal(loaded[EMBEDDING], weights[EMBEDDING])
    assert torch.equal(loaded[MATRIX], weights[MATRIX])


def test_the_adapter_is_absent_where_both_widths_agree(tmp_path: Path) -> None:
    weights = {name: tensor for name, tensor in published_weights().items() if not name.startswith("visn_")}
    settings = {"vision_width": 64, "clip_vision_width": 64}
    folder = write_checkpoint(tmp_path, weights, settings=settings)
    with pytest.raises(HermesError, match=r"visn_fc\.weight"):
        load(folder)
    config = read_config(folder).model_copy(update={"hidden_size": 64})
    with torch.device("meta"):
        assert not [name for name in MPlug(config).state_dict() if name.startswith("visn_")]


def broken(folder: Path) -> str:
    """The one line that is said of a folder."""
    with pytest.raises(HermesError, match=r"\A[^\n]+\Z") as caught:
        MPlugJudge.load(str(folder), "cpu")
    return str(caught.value)


def test_missing_tensors_are_counted_and_one_is_named(tmp_path: Path) -> None:
    weights = published_weights()
    del weights["visn_fc.weight"], weights["fusion_encoder.encoder.layer.4.output.dense.bias"]
    text = broken(write_checkpoint(tmp_path, weights))
    assert re.search(r"model.safetensors lacks 2 of the \d+ tensors .* such as visn_fc.weight", text)


def test_momentum_copies_do_not_stand_in(tmp_path: Path) -> None:
    weights = published_weights()
    del weights["visn_fc.weight"], weights["visn_fc.bias"]
    assert "lacks 2 of" in broken(write_checkpoint(tmp_path, weights))


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("left", [0.0, 0.001, 0.5])
def test_a_torn_file_is_one_clear_line(tmp_path: Path, file: str, left: float) -> None:
    path = write_checkpoint(tmp_path, file=file) / file
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left)])
    assert re.search(rf"{file} .*download it again|{file} .*download the file again", broken(tmp_path))


def test_other_pickled_objects_are_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, {"model": published_weights(), "args": Path("x")}, "pytorch_model.bin")
    assert "holds other Python objects than tensors" in broken(folder)


def test_weights_that_are_no_dictionary_are_refused(tmp_path: Path) -> None:
    assert "no dictionary of tensors" in broken(write_checkpoint(tmp_path, [torch.ones(2)], "pytorch_model.bin"))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    weights = published_weights()
    weights["visn_fc.bias"][3] = float("nan")
    assert "visn_fc.bias holds values that are not finite" in broken(write_checkpoint(tmp_path, weights))


@pytest.mark.parametrize("name", ["config.yaml", "config_bert.json", "vocab.txt", "model.safetensors"])
def test_a_file_that_is_not_there_is_named(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    with pytest.raises(HermesError, match=f"^[^\n]*{name}[^\n]*$"):
        MPlugJudge.check(str(checkpoint))


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"settings": {"image_res": 56}}, "positions for images of 42 x 42, .* write image_res: 42"),
        ({"settings": {"image_res": None}}, "positions for images of 42 x 42, .* image_res 504"),
        ({"settings": {"image_res": "large"}}, "image_res in config.yaml"),
        ({"settings": {"clip_vision_width": 100}}, "clip_vision_width"),
        ({"settings": {"vision_width": 128}}, "vision_width must equal clip_vision_width"),
        ({"settings": {"clip_vision_layers": 3}}, "lacks 12 of"),
        ({"settings": {"max_length": 31}}, "max_length must not exceed"),
        ({"settings": {"bert_config": "other.json"}}, "other.json cannot be read"),
        ({"bert": {"hidden_size": None}}, "hidden_size in config.yaml or config_bert.json"),
        ({"bert": {"num_attention_heads": 5}}, "multiple of num_attention_heads"),
        ({"bert": {"intermediate_size": 64}}, r"\(48, 32\), but the settings beside it want \(64, 32\)"),
        ({"bert": {"hidden_act": "relu"}}, "hidden_act"),
        ({"bert": {"stride_layer": 0}}, "stride_layer"),
        ({"bert": {"encoder_width": 64}}, "encoder_width must equal hidden_size"),
        ({"bert": {"fusion_layers": 6}}, "fusion_layers must not exceed"),
        ({"bert": {"vocab_size": 110}}, "tokens, but the settings beside it say 110"),
        ({"bert": {"vocab_size": 102}}, "vocab_size in config.yaml or config_bert.json"),
    ],
)
def test_settings_that_cannot_be_are_one_clear_line(tmp_path: Path, changes: dict[str, Any], wrong: str) -> None:
    assert re.search(wrong, broken(write_checkpoint(tmp_path, **changes)))


@pytest.mark.parametrize("content", ["", "[1, 2]", "{", "a: b: c", "\x00"])
@pytest.mark.parametrize("name", ["config.yaml", "config_bert.json"])
def test_torn_settings_are_one_clear_line(checkpoint: Path, name: str, content: str) -> None:
    (checkpoint / name).write_text(content)
    assert name in broken(checkpoint)


def test_the_stride_is_read_and_never_comes_true_where_it_is_left_out(tmp_path: Path) -> None:
    config = read_config(write_checkpoint(tmp_path / "two"))
    assert [number for number in config.fused if config.connected(number)] == [3]
    config = read_config(write_checkpoint(tmp_path / "none", bert={"stride_layer": None}))
    assert config.stride_layer == 100
    assert not any(map(config.connected, config.fused))


def test_the_identity_tells_weights_stride_resolution_and_search_apart(tmp_path: Path) -> None:
    published = {"beam_size": None, "min_length": None, "max_length": None}
    changes: list[dict[str, Any]] = [
        {"settings": published},
        {"settings": published, "weights": published_weights(1)},
        {"settings": published, "bert": {"stride_layer": 3}},
        {"settings": published | {"beam_size": 4}},
    ]
    folders = [write_checkpoint(tmp_path / str(number), **change) for number, change in enumerate(changes)]
    names = [MPlugJudge.load(str(folder), "cpu").identity for folder in folders]
    assert len(set(names)) == len(names)
    assert re.fullmatch(r"mplug-[0-9a-f]{12}-stride2-res42", names[0])
    assert names[3] == f"{names[0]}-beam4-min1-max10"


def test_without_an_argument_the_cache_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERMES_CACHE", str(tmp_path))
    with pytest.raises(HermesError, match=r"^[^\n]*download damo/mplug_visual[^\n]*mplug:FOLDER[^\n]*$"):
        MPlugJudge.check(None)
    write_checkpoint(tmp_path / "mplug_visual-question-answering_coco_large_en")
    MPlugJudge.check(None)
    assert MPlugJudge.load(None, "cpu").identity.startswith("mplug-")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="nowhere' is not a folder"):
        MPlugJudge.check(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("fails", [False, True])
def test_modelscope_downloads_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    asked = tmp_path / "asked.json"
    body = "raise OSError('no network\\nat all')" if fails else f"return {str(write_checkpoint(tmp_path / 'got'))!r}"
    site = tmp_path / "site"
    site.mkdir()
    (site / "modelscope.py").write_text(
        "import json\n"
        "def snapshot_download(name, cache_dir):\n"
        f"    json.dump([name, cache_dir], open({str(asked)!r}, 'w'))\n"
        f"    {body}\n"
    )
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "modelscope", raising=False)
    monkeypatch.setenv("HERMES_CACHE", str(tmp_path / "cache"))
    MPlugJudge.check(None)
    assert not asked.exists(), "check downloads nothing"
    if fails:
        with pytest.raises(HermesError, match=r"^[^\n]*\(no network\)[^\n]*$"):
            MPlugJudge.load(None, "cpu")
    else:
        assert MPlugJudge.load(None, "cpu").identity.startswith("mplug-")
    assert json.loads(asked.read_text()) == [
        "damo/mplug_visual-question-answering_coco_large_en",
        str(tmp_path / "cache"),
    ]


@pytest.mark.skipif(not KEYS.exists(), reason="the list of full-size keys is not here")
@pytest.mark.parametrize(("stride", "crossed"), [(3, 5), (6, 6)])
def test_at_full_size_all_keys_and_shapes_are_published_ones(stride: int, crossed: int) -> None:
    sizes = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "num_hidden_layers": 12}
    layers = {"text_encoder_layers": 6, "fusion_layers": 6, "text_decode_layers": 12}
    with torch.device("meta"):
        model = MPlug(MPlugConfig(**sizes, **layers, stride_layer=stride))  # type: ignore[arg-type]
    rows = [line.split("\t") for line in KEYS.read_text().splitlines()]
    published = {row[0]: row[1] for row in rows}
    for name, tensor in model.state_dict().items():
        assert published[name] == "x".join(map(str, tensor.shape)), name
    fused = {name.split(".")[3] for name in model.state_dict() if re.match(r"fusion.*crossattention", name)}
    assert len(fused) == crossed
