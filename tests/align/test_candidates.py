"""Items, requests and scored candidates."""

from hypothesis import given
from hypothesis import strategies as st

from hermes.align.pairs.candidates import (
    LADDER,
    caption_candidates,
    caption_requests,
    distinct_images,
    image_candidates,
    image_requests,
    rungs,
)
from hermes.align.pairs.items import Item, shapes_items
from hermes.evaluators.homologous import Generation, Understanding
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import GenerationConfig, Judgement, Response
from hermes.shapes.twins import twin_of

DEFAULTS = GenerationConfig(steps=8)


def items(count: int = 3, seed: int = 5) -> list[Item]:
    return shapes_items(Understanding(), Generation(), count, seed)


def answer(item: str, index: int, text: str | None = None, image: str | None = None) -> Response:
    status = "ok" if text is not None or image is not None else "error"
    return Response(
        key=f"{item}#{index}",
        sample_id=item,
        index=index,
        seed=index,
        prompt_sha256="",
        text=text,
        image=image,
        status=status,
    )


def test_items_depend_on_the_seed_alone_and_blocks_have_their_own_ids() -> None:
    first, again, other = items(450), items(450), items(450, seed=6)
    assert [item.id for item in first] == [item.id for item in again]
    assert len({item.id for item in first}) == 450
    assert {item.id for item in first}.isdisjoint(item.id for item in other)
    assert first[0].caption != other[0].caption


def test_the_image_of_an_item_is_the_one_its_questions_are_about() -> None:
    item = items(1)[0]
    rows = twin_of(Understanding).rows("train", derive_seed(5, 0, "selfplay"))
    row = next(row for row in rows if row["caption"] == item.caption)
    assert item.image.open().tobytes() == row["image"].tobytes()
    assert item.generation.target == row["questions"]


@given(n=st.integers(2, 25))
def test_rungs_begin_greedy_and_end_hot(n: int) -> None:
    found = rungs(n)
    assert len(found) == n
    assert found[0] == (1, 1.0)
    if n <= len(LADDER):
        assert len(set(found)) == n
        assert found[-1] == (4, 2.0)


def test_requests_have_their_own_seeds_that_change_with_the_round() -> None:
    some = items()
    first = caption_requests(some, 4, "caption?", DEFAULTS, 32, seed=1)
    first += image_requests(some, 4, DEFAULTS, 0.5, seed=1)
    second = caption_requests(some, 4, "caption?", DEFAULTS, 32, seed=2)
    second += image_requests(some, 4, DEFAULTS, 0.5, seed=2)
    seeds = [request.seed for request in first + second]
    assert len(set(seeds)) == len(seeds) == 2 * 2 * 3 * 4
    image = first[-1]
    assert (image.config.guidance_scale, image.config.steps, image.config.num_images) == (0.5, 8, 1)
    assert image.prompt == some[-1].caption
    assert first[0].config.max_new_tokens == 32


def test_a_request_has_one_key_however_many_are_drawn() -> None:
    """Images are found again by their index; captions of another n are found where their rung is the same."""
    some = items()

    def keys(n: int, prompt: str = "caption?", guidance: float = 0.5, seed: int = 1) -> dict[str, set[str]]:
        captions = caption_requests(some, n, prompt, DEFAULTS, 32, seed)
        images = image_requests(some, n, DEFAULTS, guidance, seed)
        return {"captions": {one.key for one in captions}, "images": {one.key for one in images}}

    two, four = keys(2), keys(4)
    assert (len(two["images"]), len(four["images"])) == (3 * 2, 3 * 4)
    assert two["images"] < four["images"]
    assert len(two["captions"] & four["captions"]) == 3  # the first rung is greedy for any n
    assert keys(2) == two
    assert keys(2, prompt="what?")["captions"].isdisjoint(two["captions"])
    assert keys(2, guidance=1.0)["images"].isdisjoint(two["images"])
    assert keys(2, seed=2)["images"].isdisjoint(two["images"])


def test_identical_images_are_judged_once_and_the_first_stands() -> None:
    responses = [
        answer("a", 0, image="x"),
        answer("a", 1, image="y"),
        answer("a", 2, image="x"),
        answer("b", 0, image="x"),
    ]
    kept = [(response.sample_id, response.index) for response in distinct_images(responses)]
    assert kept == [("a", 0), ("a", 1), ("b", 0)]


def test_failed_captions_are_no_candidates() -> None:
    one, two = items(2)
    responses = [answer(two.id, 0, two.caption), answer(one.id, 0, one.caption), answer(one.id, 1)]
    found = caption_candidates(responses, {f"{one.id}#0": 0.25, f"{two.id}#0": 1.0}, number=2)
    assert [(c.item_id, c.score, c.round) for c in found] == [(two.id, 1.0, 2), (one.id, 0.25, 2)]


def test_images_are_scored_by_the_benchmark() -> None:
    item = items(1)[0]
    right = [qa["answer"] for qa in item.generation.target]
    wrong = ["nonsense"] * len(right)
    half = [*right[: len(right) // 2], *wrong[len(right) // 2 :]]
    responses = [answer(item.id, index, image=str(index)) for index in range(3)]
    judgements = {
        f"{item.id}#{index}": Judgement(sample_id=item.id, index=index, judge="j", data={"answers": answers})
        for index, answers in enumerate((right, half, wrong))
    }
    found = image_candidates([item], responses, judgements, Generation(), number=1)
    assert [candidate.score for candidate in found] == [1.0, 0.5, 0.0]
    assert [candidate.image for candidate in found] == ["0", "1", "2"]
    failed = judgements | {f"{item.id}#1": Judgement(sample_id=item.id, index=1, judge="j", error="no answer")}
    found = image_candidates([item], responses, failed, Generation(), number=1)
    assert [candidate.image for candidate in found] == ["0", "2"]
