"""What the small models are taught: prompts for a picture, and questions in the very prompts of the benchmarks."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from hermes.harness.contracts.prompts import ONE_SENTENCE, OPTION_LETTER, SHORT_ANSWER
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes import captions
from hermes.shapes.prompts import TAGS, geneval_prompt, geneval_scene
from hermes.shapes.questions import KINDS, QA, ask, choices
from hermes.shapes.scene import Obj, Scene, random_scene, split_of

VERSION = "2"  # Raised when the same seed gives other lessons: self-plays replay them.
QUESTIONS = 4
MULTIPLE_CHOICE = 0.2
GENEVAL_SCENES = 0.25
DRAWN_FROM = (("full", 0.45), ("dense", 0.30), ("simple", 0.25))
PLANNED_FROM = (("photo", 0.60), ("reference", 0.25), ("placed", 0.15))
PHOTO_WEIGHTS = {
    "single_object": 1.0,
    "two_object": 1.5,
    "counting": 1.5,
    "colors": 1.0,
    "position": 4.0,
    "color_attr": 2.0,
}
LARGE_IN_PHOTOS = 0.8
WEIGHTS = dict.fromkeys(KINDS, 1.0) | {
    "exists": 4.0,
    "color": 4.0,
    "count": 4.0,
    "place": 4.0,
    "relation": 4.0,
    "shape": 3.0,
    "size": 3.0,
    "object": 2.0,
    "beside": 2.0,
    "choose": 2.0,
}


@dataclass(frozen=True)
class Lesson:
    """One scene's lessons: a caption to draw it from, and (final prompt, answer) pairs, the last one a caption."""

    prompt_for_image: str
    dialogues: tuple[tuple[str, str], ...]


def short_answer(question: str) -> str:
    """The final prompt of POPE, MME, VQAv2, GQA and open MMMU questions."""
    return question + SHORT_ANSWER


def multiple_choice(qa: QA, rng: random.Random) -> tuple[str, str]:
    """The final prompt of MMMU and the letter of the right option."""
    options = choices(qa, rng)
    lines = [f"{letter}. {option}" for letter, option in zip("ABCD", options, strict=True)]
    return "\n".join((qa.question, *lines)) + OPTION_LETTER, "ABCD"[options.index(qa.answer)]


def lesson(scene: Scene, rng: random.Random) -> Lesson:
    """Four different questions, their kinds drawn by WEIGHTS, and one caption."""
    asked: dict[str, QA] = {}
    while len(asked) < QUESTIONS:
        qa = ask(scene, rng, rng.choices(KINDS, weights=tuple(WEIGHTS.values()))[0])
        if qa:
            asked[qa.question] = qa
    dialogues = [
        multiple_choice(qa, rng) if rng.random() < MULTIPLE_CHOICE else (short_answer(qa.question), qa.answer)
        for qa in asked.values()
    ]
    dialogues.append((ONE_SENTENCE, captions.reference(scene, rng)))
    return Lesson(_drawn_from(scene, rng), tuple(dialogues))


def _drawn_from(scene: Scene, rng: random.Random) -> str:
    """The caption that a picture is drawn from: mostly one that names every place, as plans do."""
    style = _one_of(DRAWN_FROM, rng)
    if style == "full":
        return captions.full(scene, rng)
    return captions.dense(scene, rng) if style == "dense" else captions.simple(scene, rng)


def planning(split: Split, rng: random.Random) -> tuple[str, str]:
    """A prompt and the plan of a picture for it: a caption that names every object with its place.

    A prompt that names every place already is drawn from as it is: its plan is empty. What a photo prompt leaves open
    is planned as photographs have it: four objects in five are large. A plan lists objects in the prompt's order.
    """
    style = _one_of(PLANNED_FROM, rng)
    if style == "photo":
        while True:
            metadata = geneval_prompt(rng.choices(TAGS, [PHOTO_WEIGHTS[tag] for tag in TAGS])[0], rng, split)
            scene = geneval_scene(metadata, rng, LARGE_IN_PHOTOS)
            if split_of(scene.key) == split:
                return metadata["prompt"], _plan(scene, metadata["prompt"])
    scene = next(scene for scene in iter(lambda: random_scene(rng), None) if split_of(scene.key) == split)
    if style == "placed":
        return rng.choice((captions.full, captions.dense))(scene, rng), ""
    prompt = captions.reference(scene, rng)
    return prompt, _plan(scene, prompt)


def _plan(scene: Scene, prompt: str) -> str:
    """All objects of the scene, in the order in which the prompt speaks of them."""

    def mention(obj: Obj) -> int:
        return prompt.find(obj.name) if obj.name in prompt else prompt.find(obj.shape)

    return captions.complete(sorted(scene.objects, key=mention))


def _one_of(shares: tuple[tuple[str, float], ...], rng: random.Random) -> str:
    names, weights = zip(*shares, strict=True)
    return str(rng.choices(names, weights)[0])


def training_scenes(split: Split, seed: int) -> Iterator[Scene]:
    """An endless stream of scenes of one split: three quarters random, the rest as GenEval's six tasks ask for."""
    rng = random.Random(derive_seed(seed, split, "lessons"))
    while True:
        if rng.random() < GENEVAL_SCENES:
            scene = geneval_scene(geneval_prompt(rng.choice(TAGS), rng, split), rng)
        else:
            scene = random_scene(rng)
        if split_of(scene.key) == split:
            yield scene
