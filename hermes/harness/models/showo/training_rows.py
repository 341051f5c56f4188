"""The rows that Show-o and HermesFlow train on, with their labels: what a training that goes on from theirs must feed.

Sources: Show-o commit 45a5a2d, training/prompting_utils.py; HermesFlow commit d6cf91a, its preference data set.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hermes.harness.models.showo.likelihood import NOTHING
from hermes.harness.models.showo.prompting import Layout
from hermes.harness.models.showo.tokenizer import END, TextTokenizer

CAPTION_QUESTION = "Give a detailed caption for this image."


class TrainingRow(NamedTuple):
    """Token ids, and the label of each place or NOTHING; labels stand at their own token's place."""

    ids: list[int]
    labels: list[int]


def generation_row(layout: Layout, text: Sequence[int], image: Sequence[int], labels: Sequence[int]) -> TrainingRow:
    """Text to image: ``image`` (N,) as the model sees it, ``labels`` (N,) its hidden tokens or NOTHING.

    The text, <soi> and <eoi> stay as labels, as they do in the reference.
    """
    vocabulary, part = layout.vocabulary, layout.generation_text(text)
    kept = [NOTHING if token == vocabulary.pad else token for token in part]
    return TrainingRow(layout.generation(text, image), [*kept, vocabulary.soi, *labels, vocabulary.eoi])


def understanding_row(layout: Layout, image: Sequence[int], text: Sequence[int]) -> TrainingRow:
    """Image to text: <sot> text <eot> in ``max_text`` places, padded on the right; too long a text loses its end."""
    seen = layout.seen_image(image)
    begun = _begun(layout, text)
    part = begun if len(begun) <= layout.max_text else [*begun[: layout.max_text - 1], layout.vocabulary.end]
    pads = layout.max_text - len(part)
    return TrainingRow(
        [*seen, *part, *[layout.vocabulary.pad] * pads], [*[NOTHING] * len(seen), *part, *[NOTHING] * pads]
    )


def language_row(layout: Layout, text: Sequence[int], length: int) -> TrainingRow:
    """Text alone: <sot> text <eot> in ``length`` places, padded on the right or cut off."""
    part = _begun(layout, text)[:length]
    pads = length - len(part)
    return TrainingRow([*part, *[layout.vocabulary.pad] * pads], [*part, *[NOTHING] * pads])


def caption_row(tokenizer: TextTokenizer, caption: str, question: str = CAPTION_QUESTION) -> TrainingRow:
    """HermesFlow's text part of a caption preference: labels are the answer's tokens and the end token.

    Unlike every prompt at inference it has no <sot> and no line break.
    """
    asked = tokenizer.encode(f"USER: {question} ASSISTANT:")
    ids = tokenizer.encode(f"USER: {question} ASSISTANT: {caption}{END}")
    return TrainingRow(ids, [*[NOTHING] * len(asked), *ids[len(asked) :]])


def _begun(layout: Layout, text: Sequence[int]) -> list[int]:
    end = layout.vocabulary.end
    return [*([] if text and text[0] == end else [end]), *text, end]
