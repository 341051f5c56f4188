"""What the published models take, from their settings alone."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hermes.align.play.budget import Budget, Ranks
from hermes.align.play.fits import Training
from hermes.align.settings import AlignSettings
from hermes.harness.models.outline import Outline
from hermes.harness.models.showo.config import ShowoConfig

CLOSE = 0.15
JANUS = {
    "model_type": "janus",
    "image_token_id": 100581,
    "text_config": {
        **{"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 30},
        **{"num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 102400},
    },
    "vision_config": {
        **{"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 384},
        **{"patch_size": 16, "mlp_ratio": 4.0, "projection_dim": 4096, "depth": 2, "num_image_tokens": 576},
    },
    "vq_config": {
        **{"embed_dim": 8, "num_embeddings": 16384, "projection_dim": 4096, "image_token_embed_dim": 4096},
        "num_patches": 24,
    },
}
"""deepseek-community/Janus-Pro-7B, config.json."""


def step(outline: Outline, ranks: Ranks, **changes: Any) -> Budget:
    """A step with bfloat16 arithmetic on GPUs."""
    settings = AlignSettings.model_validate({"model": "none", "bf16": True, **changes})
    return Training(outline, ("text", "image"), ranks, cuda=True, free=80 * 10**9).budget(settings)


def test_show_o_of_512_pixels_on_eight_gpus(tmp_path: Path) -> None:
    from hermes.harness.models.showo.outline import outline_of

    (tmp_path / "config.json").write_text(json.dumps(ShowoConfig(50295, 8192, 1024).as_json()))
    found = step(outline_of(tmp_path / "config.json", 50), Ranks(number=8))
    assert found.peak(1) / 1e9 == pytest.approx(40, rel=CLOSE)
    assert found.peak(8) / 1e9 == pytest.approx(99, rel=CLOSE)
    assert found.largest(80 * 10**9) == 5


@cache
def janus(folder: Path) -> Outline:
    from hermes.harness.models.janus.outline import outline_of

    (folder / "config.json").write_text(json.dumps(JANUS))
    return outline_of(folder / "config.json")


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "gigabytes"), [({}, 78), ({"dtype": "bfloat16"}, 33)], ids=["float32", "bfloat16 base"]
)
def test_janus_pro_7b_with_lora(changes: dict[str, Any], gigabytes: float, tmp_path: Path) -> None:
    found = step(janus(tmp_path), Ranks(), lora_rank=16, **changes)
    assert found.peak(1) / 1e9 == pytest.approx(gigabytes, rel=CLOSE)
