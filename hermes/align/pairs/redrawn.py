"""Real images as winners by themselves: drawn again from the model's own words, or from what it sees of them."""

from collections.abc import Mapping, Sequence

from hermes.align.pairs.preferences import Bar, Candidate, Side
from hermes.harness.records.seeds import derive_seed

REQUESTS = (
    "Describe this picture in detail.",
    "What does this picture show? Name every object with its colour.",
    "Describe the colours and the light of this picture.",
    "Describe what is in this picture and where each thing stands.",
    "Tell me about the shapes and textures that you see here.",
    "Describe the scene, from the foreground to the background.",
    "How many things of each kind are in this picture, and how are they arranged?",
    "Describe this picture so that somebody could draw it.",
    "What is the main object of this picture, and what is around it?",
    "Describe the style and the mood of this picture.",
    "Describe how the things in this picture stand to each other.",
    "List all that you see in this picture, large and small.",
)
"""What asks for a picture that is seen, as RecA's 360 templates do: each for a description, by other aspects."""


def told_bars(
    bars: Mapping[tuple[str, Side], Sequence[Bar]], real: Mapping[str, str]
) -> dict[tuple[str, Side], list[Bar]]:
    """The real image of every item as a winner by itself, drawn from each caption that wins; a blank one tells nothing.

    ``real`` are the images' sha256, by the items' ids. The image has its caption's score, which no threshold is for.
    """
    found: dict[tuple[str, Side], list[Bar]] = {}
    for (item, side), own in bars.items():
        captions = [winner for winner, _ in own if side == "und" and (winner.text or "").strip()]
        told = [
            one.model_copy(update={"side": "gen", "text": None, "image": real[item], "prompt": one.text})
            for one in captions
        ]
        if told:
            found[item, "gen"] = [(one, one) for one in told]
    return found


def seen_bars(real: Mapping[str, str], number: int) -> dict[tuple[str, Side], list[Bar]]:
    """The real image of every item as a winner by itself, drawn from what the model sees of it (RecA, 2509.07295).

    ``real`` are the images' sha256, by the items' ids; which of REQUESTS asks for one follows from its id and round.
    """
    found: dict[tuple[str, Side], list[Bar]] = {}
    for item, image in real.items():
        seed = derive_seed(0, "reconstruction", item, number)
        one = Candidate(
            item_id=item,
            side="gen",
            round=number,
            index=0,
            seed=seed,
            score=1.0,
            image=image,
            prompt=REQUESTS[seed % len(REQUESTS)],
            again=True,
        )
        found[item, "gen"] = [(one, one)]
    return found
