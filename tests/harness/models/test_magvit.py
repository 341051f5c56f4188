"""MAGVITv2 and its preprocessing: hand-worked values, a tiny checkpoint in the published layout, the golden one."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from hermes.harness.models.magvit.config import MagvitConfig
from hermes.harness.models.magvit.pictures import pictures_of, pixels_of
from hermes.harness.models.magvit.quantiser import Quantiser
from hermes.harness.models.magvit.tokeniser import Magvit, load_magvit
from hermes.harness.models.pictures import centre_square
from hermes.harness.system.errors import HermesError

GOLDEN = Path(__file__).parents[4] / "shared/parity/showo"
TINY = MagvitConfig(
    channels=32,
    encoder_widths=(64, 32, 32),
    encoder_blocks=(1, 2, 1),
    decoder_widths=(32, 32, 64),
    decoder_blocks=(2, 1, 1),
    bits=5,
)
State = dict[str, Tensor]


def tiny_state() -> State:
    """Seeded weights in half precision, as a published file may hold them, with the names of the published layout."""
    draw = torch.Generator().manual_seed(7)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Magvit(TINY).state_dict().items()}
    drawn = {
        name: (torch.randn(shape, generator=draw) / max(1.0, shape[1:].numel() ** 0.5)).half()
        for name, shape in shapes.items()
    }
    return drawn | {f"quantize.{name}": buffer for name, buffer in Quantiser(TINY.bits).named_buffers()}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Magvit:
    folder = tmp_path_factory.mktemp("magvit")
    save_file(tiny_state(), folder / "pytorch_model.safetensors")
    return load_magvit(folder)


def some_pixels(batch: int, height: int = 32, width: int = 32) -> Tensor:
    return torch.rand((batch, 3, height, width), generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_the_first_channel_is_the_highest_bit_and_zero_counts_as_off() -> None:
    latent = torch.tensor([[0.5, -1.0, 2.0], [-0.1, -0.2, 1e-6], [3.0, 0.0, 0.0]]).T.reshape(1, 3, 1, 3)
    quantiser = Quantiser(3)
    codes = quantiser.codes(latent)
    assert codes.tolist() == [[[0b101, 0b001, 0b100]]]
    assert quantiser.vectors(codes)[0, :, 0].T.tolist() == [[1, -1, 1], [-1, -1, 1], [1, -1, -1]]


def test_every_code_comes_back_from_its_vector() -> None:
    codes = torch.arange(64).view(2, 4, 8)
    quantiser = Quantiser(6)
    assert torch.equal(quantiser.codes(quantiser.vectors(codes)), codes)


def test_the_default_sizes_are_those_that_were_published() -> None:
    with torch.device("meta"):
        model = Magvit(MagvitConfig())
    assert len(model.state_dict()) == 382
    assert round(sum(weight.numel() for weight in model.parameters()) / 1e6, 2) == 95.39
    assert (model.config.codebook_size, model.config.stride) == (8192, 16)
    assert model.state_dict()["quantize.embedding"].shape == (8192, 13)


def test_sizes_are_read_from_the_shapes(tiny: Magvit) -> None:
    assert tiny.config == TINY
    assert not tiny.training
    assert {weight.dtype for weight in tiny.parameters()} == {torch.float32}
    assert not any(weight.requires_grad for weight in tiny.parameters())


def test_images_become_codes_and_codes_images(tiny: Magvit) -> None:
    codes = tiny.encode(some_pixels(2))
    assert (codes.shape, codes.dtype) == ((2, 64), torch.int64)
    assert 0 <= codes.min() < codes.max() < TINY.codebook_size
    assert tiny.decode(codes).shape == (2, 3, 32, 32)


def test_an_oblong_grid_is_decoded_row_by_row(tiny: Magvit) -> None:
    codes = tiny.encode(some_pixels(1, height=8, width=24))
    assert tiny.decode(codes, grid=(2, 6)).shape == (1, 3, 8, 24)
    with pytest.raises(HermesError, match="12 image codes do not fill a grid of 3 x 3"):
        tiny.decode(codes)


def test_a_batch_gives_what_each_image_gives_alone(tiny: Magvit) -> None:
    pixels = some_pixels(3)
    latent = tiny.latent(pixels)
    torch.testing.assert_close(torch.cat([tiny.latent(row[None]) for row in pixels]), latent, rtol=0, atol=2e-5)
    codes = tiny.encode(pixels)
    assert torch.equal(torch.cat([tiny.encode(row[None]) for row in pixels]), codes)
    alone = torch.cat([tiny.decode(row[None]) for row in codes])
    torch.testing.assert_close(alone, tiny.decode(codes), rtol=0, atol=5e-5)


def as_pickle(folder: Path, state: State) -> None:
    torch.save(state, folder / "pytorch_model.bin")


def as_shards(folder: Path, state: State) -> None:
    shard_of = {name: f"part-{index % 2}.safetensors" for index, name in enumerate(state)}
    for shard in set(shard_of.values()):
        save_file({name: tensor for name, tensor in state.items() if shard_of[name] == shard}, folder / shard)
    index = {"weight_map": shard_of}
    (folder / "pytorch_model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def without_buffers(folder: Path, state: State) -> None:
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("quantize.")}
    save_file(kept, folder / "model.safetensors")


@pytest.mark.parametrize("write", [as_pickle, as_shards, without_buffers])
def test_every_layout_gives_the_same_codes(tiny: Magvit, tmp_path: Path, write: Callable[[Path, State], None]) -> None:
    write(tmp_path, tiny_state())
    assert torch.equal(load_magvit(tmp_path).encode(some_pixels(1)), tiny.encode(some_pixels(1)))


def broken(name: str, tensor: Tensor | None) -> State:
    state = {key: value for key, value in tiny_state().items() if key != name}
    return state if tensor is None else state | {name: tensor}


@pytest.mark.parametrize(
    ("name", "tensor", "said"),
    [
        ("encoder.mid.attn_1.q.bias", None, "lacks 1 of .* such as encoder.mid.attn_1.q.bias"),
        ("decoder.up.1.block.0.norm2.weight", None, "lacks the tensor decoder.up.1.block.0.norm2.weight"),
        ("encoder.extra.weight", torch.zeros(1), "holds 1 tensors .* such as encoder.extra.weight"),
        ("decoder.conv_out.bias", torch.zeros(4), r"decoder.conv_out.bias with the shape \(4,\), not \(3,\)"),
        ("encoder.conv_in.bias", torch.zeros(31), "a layer of 31 channels"),
        ("encoder.quant_conv.bias", torch.zeros(5, 1), "not one dimension"),
        (
            "encoder.conv_in.bias",
            torch.full((32,), torch.nan),
            "encoder.conv_in.bias holds numbers that are not finite",
        ),
        ("quantize.power_vals", 2 ** torch.arange(5), "quantize.power_vals orders the codes unlike"),
    ],
)
def test_a_wrong_tensor_is_named_in_one_line(tmp_path: Path, name: str, tensor: Tensor | None, said: str) -> None:
    save_file(broken(name, tensor), tmp_path / "weights.safetensors")
    with pytest.raises(HermesError, match=said) as raised:
        load_magvit(tmp_path / "weights.safetensors")
    assert "\n" not in str(raised.value)


def test_sizes_that_are_given_are_demanded(tmp_path: Path) -> None:
    save_file(tiny_state(), tmp_path / "model.safetensors")
    with pytest.raises(HermesError, match=r"lacks \d+ of the 382 tensors"):
        load_magvit(tmp_path, config=MagvitConfig())


def test_files_that_are_absent_or_torn_are_said(tmp_path: Path) -> None:
    with pytest.raises(HermesError, match="no such file or folder"):
        load_magvit(tmp_path / "absent")
    with pytest.raises(HermesError, match="holds no weights"):
        load_magvit(tmp_path)
    for name in ("torn.safetensors", "torn.bin"):
        (tmp_path / name).write_bytes(b"torn")
        with pytest.raises(HermesError, match="download the file again"):
            load_magvit(tmp_path / name)
    as_shards(tmp_path, tiny_state())
    (tmp_path / "part-1.safetensors").unlink()
    with pytest.raises(HermesError, match=r"part-1.safetensors, which .* names, is missing"):
        load_magvit(tmp_path)


def test_impossible_input_is_one_line(tiny: Magvit) -> None:
    with pytest.raises(HermesError, match="multiples of 4"):
        tiny.encode(some_pixels(1, height=30))
    with pytest.raises(HermesError, match="the codebook has 0 to 31"):
        tiny.decode(torch.tensor([[0, 1, 2, 32]]))
    with pytest.raises(HermesError, match=r"codes of shape \(4,\)"):
        tiny.decode(torch.arange(4))


def test_levels_of_gray_become_minus_one_to_one() -> None:
    gray = [Image.new("RGB", (4, 4), (level, 51, 255)) for level in (0, 204)]
    pixels = pixels_of(gray, 4)
    assert (pixels.shape, pixels.dtype) == ((2, 3, 4, 4), torch.float32)
    assert pixels[0, :, 0, 0].tolist() == pytest.approx([-1, -0.6, 1])
    assert pixels[1, 0].flatten().tolist() == pytest.approx([0.6] * 16)
    assert pixels_of([], 4).shape == (0, 3, 4, 4)


@pytest.mark.parametrize(("width", "left"), [(4, 0), (5, 0), (6, 1), (7, 2), (8, 2), (9, 2)])
def test_the_centre_is_cut_out_with_half_pixels_to_the_even_side(width: int, left: int) -> None:
    columns = np.arange(width, dtype=np.uint8)[None, :, None] * np.ones((4, 1, 3), dtype=np.uint8)
    cut = np.asarray(centre_square(Image.fromarray(columns), 4))
    assert cut[0, :, 0].tolist() == list(range(left, left + 4))
    upright = np.asarray(centre_square(Image.fromarray(columns.transpose(1, 0, 2).copy()), 4))
    assert upright[:, 0, 0].tolist() == list(range(left, left + 4))


def test_the_shorter_side_is_resized_and_alpha_dropped() -> None:
    halves = Image.new("RGBA", (40, 20), (200, 10, 10, 0))
    halves.paste((10, 10, 200, 255), (20, 0, 40, 20))
    square = np.asarray(centre_square(halves, 10))
    assert square.shape == (10, 10, 3)
    assert square[5, 0].tolist() == [200, 10, 10]
    assert square[5, 9].tolist() == [10, 10, 200]


def test_pictures_are_clipped_and_rounded_down() -> None:
    values = torch.tensor([-1.5, -1.0, 0.0, 0.999, 1.0, 7.0]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    (picture,) = pictures_of(values)
    assert np.asarray(picture)[0, :, 0].tolist() == [0, 0, 127, 254, 255, 255]


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden Show-o data is not here")
def test_equals_the_reference() -> None:
    golden = load_file(GOLDEN / "magvitv2.safetensors")
    model = load_magvit(GOLDEN / "magvitv2_state_dict_f16.safetensors")
    pictures = [Image.fromarray(golden[name].numpy()) for name in sorted(golden) if name.startswith("preproc_in_")]
    pixels = pixels_of(pictures, golden["pixels"].shape[-1])
    assert torch.equal(pixels, golden["pixels"])
    torch.testing.assert_close(model.latent(pixels), golden["z"], rtol=0, atol=1e-4)
    assert torch.equal(model.encode(pixels), golden["codes"])
    assert torch.equal(model.quantize.vectors(model.quantize.codes(golden["z"])), golden["z_q"])
    decoded = model.decode(golden["codes"])
    torch.testing.assert_close(decoded, golden["decoded"], rtol=0, atol=1e-4)
    shown = np.stack([np.asarray(picture) for picture in pictures_of(golden["decoded"])])
    assert np.array_equal(shown, golden["decoded_uint8"].numpy())
    torch.testing.assert_close(model.decode(golden["random_codes"]), golden["random_decoded"], rtol=0, atol=1e-4)
    for name in (name for name in golden if name.startswith("rect_codes_")):
        rows, columns = name.removeprefix("rect_codes_").split("x")
        oblong = model.decode(golden[name], grid=(int(rows), int(columns)))
        torch.testing.assert_close(oblong, golden["rect_decoded"], rtol=0, atol=1e-4)
