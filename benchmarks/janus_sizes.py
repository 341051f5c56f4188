"""The settings of Janus-Pro 7B, as published."""

from typing import Any

JANUS: dict[str, Any] = {
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
