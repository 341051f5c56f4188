"""Texts and the states of a picture's query tokens from the LLM, in batches of rows of any lengths."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList

from hermes.harness.models.seeded_draws import SeededDraws
from hermes.harness.models.seedx.network import embedded, padded
from hermes.harness.models.seedx.sampling import PictureTokens
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    from hermes.harness.models.seeded import Draw
    from hermes.harness.models.seedx.prompting import Row
    from hermes.harness.models.seedx.tokenizer import Tokenizer


@torch.inference_mode()
def write(
    llm: Any,
    words: "Tokenizer",
    rows: "Sequence[Row]",
    pictures: Tensor,
    draws: "Sequence[Draw]",
    length: int,
    ends: Sequence[int],
    as_released: bool,
) -> list[list[int]]:
    """The new ids of each row, at most ``length``, up to and with the first of ``ends``; greedy at temperature 0.

    ``pictures`` (N, queries, width) stand in the rows' places in order. Rows are padded on the left and see no pads.
    """
    device = llm.get_input_embeddings().weight.device
    ids = padded([row.ids for row in rows], words.pad, left=True)
    where = padded([row.seen for row in rows], False, left=True)
    mask = padded([[1] * len(row.ids) for row in rows], 0, left=True)
    allowed = PictureTokens(words, [row.ids[-1] for row in rows], as_released)
    found = llm.generate(
        inputs_embeds=embedded(llm, ids.to(device), where.to(device), pictures),
        attention_mask=mask.to(device),
        logits_processor=LogitsProcessorList([allowed, SeededDraws(draws)]),
        max_new_tokens=length,
        do_sample=False,
        eos_token_id=list(ends),
        pad_token_id=words.pad,
    )
    return [_ended(row, ends) for row in found.tolist()]


@torch.inference_mode()
def query_states(llm: Any, words: "Tokenizer", row: "Row", pictures: Tensor) -> Tensor:
    """(1, queries, width): the last states at the query tokens behind a row that ends with ``<img>``.

    Which tokens follow is known, so one pass reads them all; a row goes alone, so that companions cannot change a
    picture.
    """
    device = llm.get_input_embeddings().weight.device
    ids = torch.tensor([[*row.ids, *words.queries]], device=device)
    where = torch.tensor([[*row.seen, *[False] * len(words.queries)]], device=device)
    hidden: Tensor = llm.model(inputs_embeds=embedded(llm, ids, where, pictures), use_cache=False).last_hidden_state
    return hidden[:, -len(words.queries) :]


def begun(row: "Row", written: Sequence[int], words: "Tokenizer") -> "Row":
    """The row up to a picture: with the words behind it and ``<img>``, which is set where the text ends without it."""
    said = [one for one in written if one not in (words.end, words.image)]
    return row.and_then([*said, words.image])


def begun_as_released(row: "Row", written: Sequence[int], words: "Tokenizer") -> "Row":
    """The row up to the one picture that was written behind it.

    Raises HermesError where there is none or more than one: the authors' scripts hand all of them to one call of the
    detokeniser, which then fails or takes a picture for what is not wanted.
    """
    pictures = written.count(words.image_end)
    if pictures != 1:
        raise HermesError(f"the model ends with {pictures} pictures as it was released; leave --as-released out")
    ids = [*row.ids, *written[: written.index(words.image_end)]]
    count = len(words.queries)
    if ids[-count:] != list(words.queries) or len(ids) - count < len(row.ids):
        raise HermesError("the model ends a picture that it has not begun, as released; leave --as-released out")
    return row.and_then(ids[len(row.ids) : -count])


def _ended(ids: Sequence[int], ends: Sequence[int]) -> list[int]:
    """The ids up to the first that ends a text; pads stand behind it."""
    stop = next((place + 1 for place, one in enumerate(ids) if one in ends), len(ids))
    return list(ids[:stop])
