"""Whether a text ended by itself or at its limit of new tokens."""

from types import SimpleNamespace

import pytest

from hermes.harness.models.ended import end_tokens, said

END, PAD = 2, 0
NETWORK = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=[END, 7], pad_token_id=None))
TOKENIZER = SimpleNamespace(eos_token_id=END, pad_token_id=PAD)


def test_the_tokens_that_end_a_text() -> None:
    assert end_tokens(NETWORK, TOKENIZER) == {END, 7, PAD}
    assert end_tokens(SimpleNamespace(), SimpleNamespace(eos_token_id=None)) == frozenset()


@pytest.mark.parametrize(
    ("tokens", "limit", "truncated"),
    [
        ([5, 6, 8], 3, True),
        ([5, 6, END], 3, False),
        ([5, 7, PAD], 3, False),
        ([5, 6, 8, END], 3, True),  # a companion in its batch may write more
        ([5, 6], 3, False),
    ],
)
def test_a_text_is_truncated_where_its_limit_ends_it(tokens: list[int], limit: int, truncated: bool) -> None:
    text = said("text", tokens, limit, end_tokens(NETWORK, TOKENIZER))
    assert (text, text.truncated, text.prompt_cut) == ("text", truncated, False)
