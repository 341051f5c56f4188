"""The sizes of Chameleon's VQGAN, from vqgan.yaml or from transformers' config: both names for each field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hermes.harness.system.errors import HermesError

# transformers' name and that of vqgan.yaml (there in params.ddconfig but for the first two).
FIELDS = {
    "embed": ("embed_dim", "embed_dim"),
    "codes": ("num_embeddings", "n_embed"),
    "latent": ("latent_channels", "z_channels"),
    "side": ("resolution", "resolution"),
    "base": ("base_channels", "ch"),
    "blocks": ("num_res_blocks", "num_res_blocks"),
    "seen": ("in_channels", "in_channels"),
    "drawn": ("out_channels", "out_ch"),
}
MULTIPLIER = ("channel_multiplier", "ch_mult")
GROUPS = 32


@dataclass(frozen=True)
class VQConfig:
    """``side`` of a picture in pixels, ``codes`` in the codebook of ``embed`` wide rows; the others are widths.

    A level has ``blocks`` residual blocks (one more in the decoder) of ``base`` times its ``multipliers`` channels.
    """

    embed: int
    codes: int
    latent: int
    side: int
    base: int
    blocks: int
    seen: int
    drawn: int
    multipliers: tuple[int, ...]

    @property
    def stride(self) -> int:
        """How many pixels wide and high a code is."""
        return int(2 ** (len(self.multipliers) - 1))

    @property
    def rows(self) -> int:
        """Codes in a line, and lines, of a picture."""
        return self.side // self.stride

    def as_json(self) -> dict[str, Any]:
        """The fields under transformers' names, as its ``vq_config`` has them."""
        named = {theirs: getattr(self, ours) for ours, (theirs, _) in FIELDS.items()}
        return {
            "model_type": "chameleon_vqgan",
            **named,
            MULTIPLIER[0]: list(self.multipliers),
            "double_latent": False,
            "attn_resolutions": [],
            "attn_type": "vanilla",
            "dropout": 0.0,
        }


def parse_config(settings: Any, where: str) -> VQConfig:
    """The sizes in vqgan.yaml, or in transformers' config. Raises HermesError, which begins with ``where``."""
    flat = _flat(settings)
    try:
        sizes = {ours: _first(flat, names) for ours, names in FIELDS.items()}
        multipliers = tuple(int(factor) for factor in _first(flat, MULTIPLIER))
        if not multipliers:
            raise ValueError(f"no {MULTIPLIER[1]}")
        config = VQConfig(multipliers=multipliers, **{name: int(size) for name, size in sizes.items()})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise HermesError(
            f"{where} does not say the sizes of Chameleon's VQGAN ({error}); download the file again"
        ) from None
    odd = next((name for name in ("double_z", "double_latent", "attn_resolutions") if flat.get(name)), None)
    if odd:
        raise HermesError(f"{where}: {odd} is {flat[odd]}, which Chameleon's VQGAN does not have; give its own file")
    widths = [config.base * factor for factor in (1, *multipliers)]
    smallest = min(config.embed, config.codes, config.latent, config.rows, config.blocks, config.seen, config.drawn)
    if smallest < 1 or any(width < 1 or width % GROUPS for width in widths) or config.side % config.stride:
        raise HermesError(f"{where} names sizes that no VQGAN has ({config}); download the file again")
    return config


def _flat(settings: Any) -> dict[str, Any]:
    """The fields, whether they stand in ``model.params``, in ``ddconfig``, in ``vq_config`` or by themselves."""
    flat: dict[str, Any] = {}
    if isinstance(settings, Mapping):
        flat.update({str(name): value for name, value in settings.items()})
        for inner in ("model", "params", "ddconfig", "vq_config"):
            flat.update(_flat(settings.get(inner)))
    return flat


def _first(flat: Mapping[str, Any], names: tuple[str, str]) -> Any:
    found = [flat[name] for name in names if flat.get(name) is not None]
    if not found:
        raise KeyError(names[1])
    return found[0]
