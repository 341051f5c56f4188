"""Whether a text of transformers' generate ended by itself or at the limit of new tokens."""

from collections.abc import Collection, Sequence
from typing import Any

from hermes.harness.contracts.model import Said


def end_tokens(network: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a text, and the one that fills the rows of a batch behind it."""
    settings = getattr(network, "generation_config", None)
    found: set[int] = set()
    for owner in (settings, tokenizer):
        for name in ("eos_token_id", "pad_token_id"):
            ids = getattr(owner, name, None)
            found.update(ids if isinstance(ids, list | tuple) else [ids] if isinstance(ids, int) else [])
    return frozenset(found)


def said(text: str, tokens: Sequence[int], limit: int, ends: Collection[int]) -> Said:
    """The text of these new tokens, of which there may be ``limit``."""
    return Said(text, truncated=len(tokens) >= limit and not any(token in ends for token in tokens[:limit]))
