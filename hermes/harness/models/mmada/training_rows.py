"""The rows that MMaDA trains on: what a training that goes on from the authors' must feed.

Source: Gen-Verse/MMaDA commit 3cdb870, training/prompting_utils.py.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hermes.harness.models.mmada.prompting import Layout

NOTHING = -100


class TrainingRow(NamedTuple):
    """Token ids; the label of each place, or NOTHING, at its own token's place; how many first tokens are the prompt,
    which is never hidden.
    """

    ids: list[int]
    labels: list[int]
    prompt: int


def generation_row(layout: Layout, text: Sequence[int], image: Sequence[int], labels: Sequence[int]) -> TrainingRow:
    """Text to image: ``image`` (N,) as the model sees it, ``labels`` (N,) its hidden tokens or NOTHING.

    The text, <soi> and <eoi> stay as labels; the authors' loss begins at <soi>.
    """
    words, part, pads = layout.vocabulary, layout.generation_text(text), layout.pads(text)
    ids = [*[words.pad] * pads, *part, words.soi, *image, words.eoi]
    return TrainingRow(ids, [*[NOTHING] * pads, *part, words.soi, *labels, words.eoi], pads + len(part))


def understanding_row(layout: Layout, image: Sequence[int], text: Sequence[int], header: int) -> TrainingRow:
    """Image to text: the text and end tokens in ``max_text`` places. The prompt ends with the last ``header`` token.

    Too long a text loses its end to one end token: maybe the answer with the last header, and then one of the question
    counts.
    """
    seen = layout.seen_image(image)
    begun, places = [*layout.begun(text), layout.vocabulary.eos], layout.max_text
    part = _filled(layout, begun if len(begun) <= places else [*begun[: places - 1], layout.vocabulary.eos], places)
    labels = [*[NOTHING] * len(seen), *part]
    return TrainingRow([*seen, *part], labels, len(seen) + _prompt(part, header))


def language_row(layout: Layout, text: Sequence[int], length: int, header: int | None = None) -> TrainingRow:
    """Text alone in ``length`` places, all of it hidden or, with a ``header`` token, all behind the last of those.

    Too long a text is cut off, here without an end token.
    """
    part = _filled(layout, layout.begun(text)[:length], length)
    return TrainingRow(part, part, 0 if header is None else _prompt(part, header))


def _filled(layout: Layout, part: Sequence[int], places: int) -> list[int]:
    """The text and end tokens up to so many places; those are trained on, too."""
    return [*part, *[layout.vocabulary.eos] * (places - len(part))]


def _prompt(part: Sequence[int], header: int) -> int:
    return max((at + 1 for at, token in enumerate(part) if token == header), default=0)
