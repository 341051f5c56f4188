"""Questions about an item's real picture: the right answer, and against it what the model itself says wrongly."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hermes.align.pairs.candidates import rungs
from hermes.align.pairs.items import Item
from hermes.align.pairs.preferences import Bar, Candidate
from hermes.align.pairs.ranking import group_bars
from hermes.align.settings import GROUPED, SUPERVISED
from hermes.harness.contracts.reader import is_yes_or_no, read, words
from hermes.harness.judges.replies import asked
from hermes.harness.records.keys import asked_of, config_mark, request_key
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import GenerationConfig, Request, Response

TOKENS = 16
"""Of an answer at the most, as benchmarks and critics ask for."""
RIGHT = -1
"""The index of the right answer among an item's candidates; the model's own begin with 0, the greedy one."""


def questions_of(item: Item, closed: bool) -> list[tuple[str, Mapping[str, Any]]]:
    """The questions that have one right answer, each with a name of its own.

    All where answers are of a ``closed`` vocabulary, as in the drawn world; else those of yes or no, those with
    choices, and those whose answer is a number: "dog" is no wrong answer where "puppy" is the right one.
    """
    return [
        (f"{item.id}/{place}", question)
        for place, question in enumerate(item.generation.target)
        if closed
        or question.get("choices")
        or is_yes_or_no(question["answer"])
        or words(question["answer"]).isdecimal()
    ]


def answer_requests(item: Item, n: int, defaults: GenerationConfig, seed: int, closed: bool) -> Iterator[Request]:
    """n requests for an answer to each question, on the rungs of the captions; ``seed`` is the round's."""
    configs = [
        defaults.model_copy(update={"top_k": k, "temperature": t, "max_new_tokens": TOKENS, "seed": seed})
        for k, t in rungs(n)
    ]
    for name, question in questions_of(item, closed):
        prompt = asked(question["question"])
        content = asked_of(prompt, [item.image.sha256().encode()])
        for index, config in enumerate(configs):
            drawn = derive_seed(seed, name, index, "answer")
            yield Request(
                key=request_key(name, index, drawn, content, config_mark(config)),
                sample_id=name,
                index=index,
                prompt=prompt,
                images=(item.image,),
                config=config,
                seed=drawn,
            )


def answer_candidates(
    items: Iterable[Item], responses: Iterable[Response], number: int, closed: bool
) -> Iterator[Candidate]:
    """The right answer to each question, then the model's own, of round ``number``: 1 where they are right, 0 else."""
    said: dict[str, list[Response]] = {}
    for response in responses:
        said.setdefault(response.sample_id, []).append(response)
    for item in items:
        for name, question in questions_of(item, closed):
            gold, choices = question["answer"], question.get("choices", ())
            own = {"item_id": item.id, "side": "und", "round": number, "prompt": asked(question["question"])}
            yield Candidate(**own, index=RIGHT, seed=0, score=1.0, text=gold)
            for one in said.get(name, ()):
                if one.text is not None:
                    right = read(one.text, gold, choices) == words(gold)
                    yield Candidate(**own, index=one.index, seed=one.seed, score=float(right), text=one.text)


def answer_bars(candidates: Iterable[Candidate], side_loss: str) -> dict[str, list[Bar]]:
    """(winner, loser) of every question, by item.

    The right answer wins against the greedy one where that is wrong, else against the wrong one that was said most
    often; what was always answered rightly has no pair. Under the supervised loss the right answer is one by itself,
    under one of groups the model's own answers are the group.
    """
    questions: dict[tuple[str, str | None], list[Candidate]] = {}
    for candidate in candidates:
        questions.setdefault((candidate.item_id, candidate.prompt), []).append(candidate)
    bars: dict[str, list[Bar]] = {}
    for (item, _), found in questions.items():
        right, own = found[0], found[1:]
        if side_loss == SUPERVISED:
            met = [(right, right)]
        elif side_loss in GROUPED:
            met = group_bars(own, side_loss)
        else:
            wrong = _said_wrongly(own)
            met = [(right, wrong)] if wrong else []
        bars.setdefault(item, []).extend(met)
    return bars


def own_answer_bars(item: Item, winners: Iterable[Candidate], closed: bool) -> list[Bar]:
    """The right answers about an item's own images, each by itself: those that the critic gave, too, as the image shows
    what is asked about."""
    bars = []
    for image in winners:
        shown = {f"{item.id}/{place}" for place, right in enumerate(image.right or "") if right == "1"}
        own = {"item_id": item.id, "side": "und", "round": image.round, "index": RIGHT, "seed": 0, "score": 1.0}
        for name, question in questions_of(item, closed):
            if name in shown:
                prompt, text = asked(question["question"]), question["answer"]
                answer = Candidate(**own, prompt=prompt, text=text, image=image.image)
                bars.append((answer, answer))
    return bars


def _said_wrongly(own: Sequence[Candidate]) -> Candidate | None:
    """The greedy answer where it is wrong, else the first of the wrong one that was said most often."""
    wrong = [one for one in own if not one.score]
    if not wrong or wrong[0].index == 0:
        return wrong[0] if wrong else None
    most, _ = Counter(words(one.text or "") for one in wrong).most_common(1)[0]
    return next(one for one in wrong if words(one.text or "") == most)
