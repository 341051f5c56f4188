"""What hermes-tiny is taught: prompts for a picture, and questions about it in the very prompts of the benchmarks."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from hermes.harness.contracts.prompts import ONE_SENTENCE, OPTION_LETTER, SHORT_ANSWER
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Split
from hermes.shapes import captions
from hermes.shapes.prompts import TAGS, geneval_prompt, geneval_scene
from hermes.shapes.questions import KINDS, QA, ask, choices
from hermes.shapes.scene import Scene, random_scene, split_of

QUESTIONS = 4
MULTIPLE_CHOICE = 0.15
GENEVAL_SCENES = 0.25
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
    return Lesson(captions.simple(scene, rng), tuple(dialogues))


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
