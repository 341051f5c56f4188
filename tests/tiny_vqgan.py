"""A tiny VQGAN of Chameleon's kind with random weights, as vqgan.yaml and vqgan.ckpt hold the published one."""

from pathlib import Path

import torch
import yaml
from tiny_parts import randomised
from torch import Tensor

from hermes.harness.models.chameleon_vq.codec import Codec, vq_of
from hermes.harness.models.chameleon_vq.config import parse_config
from hermes.harness.models.chameleon_vq.names import is_convolution, published

SIDE, CODES, ROWS = 16, 24, 4
SETTINGS = {
    "embed_dim": 8,
    "n_embed": CODES,
    "ddconfig": {
        "double_z": False,
        "z_channels": 12,
        "resolution": SIDE,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 32,
        "ch_mult": [1, 1, 2],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "dropout": 0.0,
    },
}
CONFIG = parse_config(SETTINGS, "tiny")


def tensors(seed: int = 0) -> dict[str, Tensor]:
    """The weights by their published names; codes lie where the encoder's states do, so that pictures have several."""
    made = randomised(vq_of, CONFIG, seed).state_dict()
    named = {published(name, len(CONFIG.multipliers)): tensor for name, tensor in made.items()}
    named = {name: held[..., None, None] if is_convolution(name) else held for name, held in named.items()}
    shown = torch.rand(CODES, 3, ROWS, ROWS, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    shown = torch.nn.functional.interpolate(shown, scale_factor=SIDE // ROWS)
    named["quantize.embedding.weight"] = Codec(CONFIG, named, "tiny").unquantised(shown)[:, :, 1, 1].clone()
    return {name: tensor.clone() for name, tensor in named.items()}


def save(folder: Path, seed: int = 0) -> Path:
    """Meta's two files, the checkpoint with what a training leaves in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vqgan.yaml").write_text(yaml.safe_dump({"model": {"params": {**SETTINGS, "lossconfig": {}}}}))
    torch.save({"state_dict": {**tensors(seed), "loss.logvar": torch.zeros(())}}, folder / "vqgan.ckpt")
    return folder
