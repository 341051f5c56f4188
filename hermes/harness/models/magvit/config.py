"""The sizes of a MAGVITv2, which its published config.json leaves out: read from the shapes of its tensors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hermes.harness.system.errors import HermesError

GROUPS = 32
MOST_BITS = 18

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class MagvitConfig:
    """Widths (channels) and residual blocks of each level, finest first; the defaults are showlab/magvitv2's.

    ``channels`` is the width of the encoder's first convolution, ``bits`` that of the latent: 2**bits codes.
    """

    channels: int = 128
    encoder_widths: tuple[int, ...] = (128, 256, 256, 512, 512)
    encoder_blocks: tuple[int, ...] = (4, 3, 4, 3, 4)
    decoder_widths: tuple[int, ...] = (128, 128, 256, 256, 512)
    decoder_blocks: tuple[int, ...] = (4, 4, 3, 4, 3)
    bits: int = 13

    @property
    def codebook_size(self) -> int:
        """How many codes there are."""
        return 1 << self.bits

    @property
    def stride(self) -> int:
        """How many pixels wide and high a code is."""
        return 1 << (len(self.encoder_widths) - 1)


def infer_config(shapes: Shapes, where: str) -> MagvitConfig:
    """The sizes of the checkpoint ``where``, of whose tensors the shapes are given by their published names.

    Raises HermesError where a tensor that tells a size is missing, or where no MAGVITv2 has these sizes.
    """
    encoder_widths, encoder_blocks = _levels(shapes, "encoder.down", where)
    decoder_widths, decoder_blocks = _levels(shapes, "decoder.up", where)
    config = MagvitConfig(
        channels=_width(shapes, "encoder.conv_in.bias", where),
        encoder_widths=encoder_widths,
        encoder_blocks=encoder_blocks,
        decoder_widths=decoder_widths,
        decoder_blocks=decoder_blocks,
        bits=_width(shapes, "encoder.quant_conv.bias", where),
    )
    _check(config, where)
    return config


def _levels(shapes: Shapes, prefix: str, where: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Width and number of blocks of each level under ``prefix``."""
    pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.block\.(\d+)\.")
    found = {(int(match[1]), int(match[2])) for name in shapes if (match := pattern.match(name))}
    levels = range(len({level for level, _ in found}) or 1)
    widths = tuple(_width(shapes, f"{prefix}.{level}.block.0.norm2.weight", where) for level in levels)
    blocks = tuple(sum(at == level for at, _ in found) for level in levels)
    return widths, blocks


def _width(shapes: Shapes, name: str, where: str) -> int:
    if name not in shapes:
        raise HermesError(f"{where} lacks the tensor {name}; give the published checkpoint showlab/magvitv2")
    if len(shapes[name]) != 1:
        raise HermesError(
            f"{where}: {name} has the shape {shapes[name]}, not one dimension; give a MAGVITv2 checkpoint"
        )
    return shapes[name][0]


def _check(config: MagvitConfig, where: str) -> None:
    if len(config.encoder_widths) != len(config.decoder_widths):
        raise HermesError(
            f"{where} has {len(config.encoder_widths)} encoder levels and {len(config.decoder_widths)} decoder levels; "
            "give a complete MAGVITv2 checkpoint"
        )
    for width in (config.channels, *config.encoder_widths, *config.decoder_widths):
        if width < 1 or width % GROUPS:
            raise HermesError(
                f"{where} has a layer of {width} channels, no multiple of {GROUPS}; give a MAGVITv2 checkpoint"
            )
    if not 1 <= config.bits <= MOST_BITS:
        raise HermesError(
            f"{where} has codes of {config.bits} bits, not of 1 to {MOST_BITS}; give a MAGVITv2 checkpoint"
        )
