"""What tiny checkpoints are made of: a tokenizer of one token a byte, and random weights that are large enough."""

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 1024,
}
"""Of a language model."""


def by_byte(words: Sequence[str], unknown: str) -> Tokenizer:
    """One token a byte; ``words`` is the whole vocabulary, ALPHABET among it."""
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token=unknown))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            pre_tokenizers.Split(Regex("."), "isolated"),
        ]
    )
    made.decoder = decoders.Sequence([decoders.Fuse(), decoders.ByteLevel()])
    return made


def randomised(kind: Any, config: Any, seed: int = 0) -> Any:
    """A network of this class with the same weights for a seed, large enough for answers to depend on all inputs."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        network = kind(config)
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 1.5 / parameter[0].numel() ** 0.5)
    return network
