"""Candidates of a round: what the model is asked about homologous items, and its answers with their scores."""

from collections.abc import Mapping, Sequence
from typing import Literal

from hermes.align.pairs.items import Item
from hermes.align.pairs.preferences import Candidate
from hermes.harness.contracts.benchmark import Answer, Evaluator
from hermes.harness.records.agreement import RIGHT
from hermes.harness.records.keys import asked_of, config_mark, request_key
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import GenerationConfig, Judgement, Request, Response

# (top_k, temperature) of the captions, as in the released HermesFlow data script: greedy, then 3 x 3 samplings.
LADDER = ((1, 1.0), *((k, t) for k in (2, 3, 4) for t in (0.1, 0.7, 2.0)))


def rungs(n: int) -> list[tuple[int, float]]:
    """n (top_k, temperature) settings, spread over the ladder from its first to its last rung; more than ten repeat."""
    last = len(LADDER) - 1
    return [LADDER[round(k * last / (n - 1))] if n <= len(LADDER) else LADDER[k % len(LADDER)] for k in range(n)]


def caption_requests(
    items: Sequence[Item], n: int, prompt: str, defaults: GenerationConfig, max_new_tokens: int, seed: int
) -> list[Request]:
    """n requests for a caption of each real image, one for each rung; ``seed`` is the round's."""
    configs = [
        defaults.model_copy(update={"top_k": k, "temperature": t, "max_new_tokens": max_new_tokens, "seed": seed})
        for k, t in rungs(n)
    ]
    marks = [config_mark(config) for config in configs]
    requests = []
    for item in items:
        asked = asked_of(prompt, [item.image.sha256().encode()])
        for index, (config, mark) in enumerate(zip(configs, marks, strict=True)):
            drawn = derive_seed(seed, item.id, index, "caption")
            requests.append(
                Request(
                    key=request_key(item.id, index, drawn, asked, mark),
                    sample_id=item.id,
                    index=index,
                    prompt=prompt,
                    images=(item.image,),
                    config=config,
                    seed=drawn,
                )
            )
    return requests


def image_requests(
    items: Sequence[Item],
    n: int,
    defaults: GenerationConfig,
    guidance: float,
    seed: int,
    plan: Literal["on", "off"] | None = None,
) -> list[Request]:
    """n requests for an image of each caption; ``seed`` is the round's, ``plan`` None as the model plans by itself."""
    update = {"guidance_scale": guidance, "num_images": 1, "seed": seed} | ({"plan": plan} if plan else {})
    config = defaults.model_copy(update=update)
    mark = config_mark(config)
    requests = []
    for item in items:
        asked = asked_of(item.caption, [])
        for index in range(n):
            drawn = derive_seed(seed, item.id, index, "image")
            requests.append(
                Request(
                    key=request_key(item.id, index, drawn, asked, mark),
                    sample_id=item.id,
                    index=index,
                    prompt=item.caption,
                    config=config,
                    seed=drawn,
                )
            )
    return requests


def distinct_images(responses: Sequence[Response]) -> list[Response]:
    """One response for each different image of an item; an identical image needs no second judgement."""
    first: dict[tuple[str, str], Response] = {}
    for response in responses:
        if response.image:
            first.setdefault((response.sample_id, response.image), response)
    return list(first.values())


def caption_candidates(responses: Sequence[Response], closeness: Mapping[str, float], number: int) -> list[Candidate]:
    """The captions of round ``number`` with their similarities, by the responses' keys; failed ones are left out."""
    return [
        Candidate(
            item_id=response.sample_id,
            side="und",
            round=number,
            index=response.index,
            seed=response.seed,
            score=closeness[response.key],
            text=response.text,
        )
        for response in responses
        if response.text is not None
    ]


def rated_images(responses: Sequence[Response], scores: Mapping[str, float], number: int) -> list[Candidate]:
    """The images of round ``number`` with their scores, by the responses' keys, without failed and repeated ones."""
    return [
        Candidate(
            item_id=response.sample_id,
            side="gen",
            round=number,
            index=response.index,
            seed=response.seed,
            score=scores[response.key],
            image=response.image,
            plan=response.plan,
        )
        for response in distinct_images(responses)
    ]


def image_candidates(
    items: Sequence[Item],
    responses: Sequence[Response],
    judgements: Mapping[str, Judgement],
    evaluator: Evaluator,
    number: int,
    confidences: Mapping[str, float] | None = None,
) -> list[Candidate]:
    """The images of round ``number`` with the share of the item's questions that the critic answered right.

    ``evaluator`` (homologous-g) reads the judgements, so the reward is the benchmark's own score. Judgements and
    confidences are by the responses' keys. Failed and repeated images are left out, and those on which the critic
    failed.
    """
    samples = {item.id: item.generation for item in items}
    candidates = []
    for response in distinct_images(responses):
        judgement = judgements.get(response.key)
        if judgement is None or judgement.error is not None:
            continue
        answer = Answer(samples[response.sample_id], response, judgement=judgement.data)
        score = evaluator.score(answer, evaluator.protocols[0])
        candidates.append(
            Candidate(
                item_id=response.sample_id,
                side="gen",
                round=number,
                index=response.index,
                seed=response.seed,
                score=score.values["accuracy"],
                confidence=(confidences or {}).get(response.key),
                image=response.image,
                plan=response.plan,
                right=score.tags.get(RIGHT),
            )
        )
    return candidates
