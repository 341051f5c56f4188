"""The probabilities of all first tokens to those that are asked for, by the texts of the tokens."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from hermes.harness.contracts.judge import Weighed

if TYPE_CHECKING:
    from torch import Tensor

SPACE = "▁"
"""How SentencePiece writes a space, which it leaves out when it decodes a token alone."""


def weighed(tokenizer: Any, probabilities: "Tensor", spellings: Collection[str]) -> Weighed:
    """Of ``probabilities`` (tokens,) those of the spellings' first tokens and of the most probable one."""
    firsts = {spelling: ids[0] for spelling in spellings if (ids := _ids(tokenizer, spelling))}
    tokens: dict[str, float] = {}
    for token in dict.fromkeys((int(probabilities.argmax()), *firsts.values())):
        text = _text(tokenizer, token)
        tokens[text] = tokens.get(text, 0.0) + float(probabilities[token])
    pieces = {spelling: text for spelling, token in firsts.items() if (text := _text(tokenizer, token)) != spelling}
    return {"tokens": tokens, "rest": max(0.0, 1.0 - sum(tokens.values())), "pieces": pieces}


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _text(tokenizer: Any, token: int) -> str:
    text = str(tokenizer.decode([token]))
    begins = str(tokenizer.convert_ids_to_tokens(token)).startswith(SPACE)
    return f" {text}" if begins and not text.startswith(" ") else text
