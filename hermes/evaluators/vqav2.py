"""VQAv2: open questions about COCO images, each answered by ten people; an answer counts by how many gave it.

Paper: Goyal et al. 2017, "Making the V in VQA Matter" (arXiv:1612.00837). Licence: CC BY 4.0 (questions, answers).
Data: lmms-lab/VQAv2, split validation, 214,354 questions. Papers report test-dev, whose answers only the server has.
Prompt: the question, then the short-answer line.

Protocols
- ``official`` (GT-Vision-Lab/VQA vqaEval.py): for each of the ten people, min(1, matches among the other nine / 3);
  the mean of the ten. "The other" means another annotation as a whole, answer_id included: without ids people who agree
  in answer and confidence count as one. White space is cleaned always, but punctuation, case, number words, articles
  and contractions only if the ten answers are not all alike: where they are, 'Stop' does not match ten times 'stop'.
  The script prints two decimals.
- ``lmms-eval``: the same count, but the answer and the people's answers are normalised always.

The normaliser keeps the original's slips: a '.' not followed by a digit is deleted, at most 32 of them; one comma
between digits makes all punctuation vanish instead of becoming a space (lmms-eval: also several commas); "none" is 0.

Chance is 0: answers are free text. Always saying "yes" scores about a quarter, but that is knowledge of the data.
An answer that is empty once normalised is marked unparsed and counts as the protocol says.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from sys import intern
from typing import Any, ClassVar

from hermes.evaluators.base import SHORT_ANSWER, Answer, DataSpec, Evaluator, Row
from hermes.evaluators.fields import text
from hermes.evaluators.means import by_tag, mean
from hermes.evaluators.twin import asked_scenes, in_turn
from hermes.harness.errors import HermesError
from hermes.harness.images import image_handle
from hermes.harness.shapes.draw import draw
from hermes.harness.shapes.questions import QA, YES_NO, choices
from hermes.harness.shapes.scene import Split
from hermes.harness.types import GenerationConfig, Metric, Sample, Score

PUNCTUATION = ';/[]"{}()=+\\_->' + "<@`,?!"
PERIOD = re.compile(r"\.(?!\d)")
MOST_PERIODS = 32
PEOPLE = 10
TYPES = ("answer_type", "question_type")
KINDS = (
    *("exists", "color", "relation", "object", "count", "shape", "is_color", "place", "empty", "beside", "is_at"),
    *("size", "count", "color", "larger", "object", "logical", "place", "exactly", "beside", "same", "choose"),
    *("count", "shape", "is_size"),
)
OTHERWISE = {
    **{str(number): [word, f"{word}."] for number, word in enumerate(("one", "two", "three", "four"), start=1)},
    **{"yes": ["Yes", "yes it is"], "no": ["No", "no it isnt"]},
    **{"center": ["middle", "in the center"], "large": ["big"], "small": ["little", "tiny"], "cross": ["plus", "x"]},
    **{
        "square": ["box", "a square"],
        "circle": ["a circle", "dot", "round"],
        "purple": ["violet"],
        "left": ["the left"],
    },
}
COMMA = {"official": re.compile(r"\d,\d"), "lmms-eval": re.compile(r"\d,+\d")}
NUMBERS = {"none": "0"} | {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
ARTICLES = ("a", "an", "the")
CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock
oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
CONTRACTIONS = {
    word[:at] + word[at + 1 :]: word for word in CONTRACTED.split() for at, letter in enumerate(word) if letter == "'"
} | {"somebody'd": "somebodyd"}


def clean(reply: str) -> str:
    """White space only: newlines and tabs become spaces, the ends are stripped."""
    return reply.replace("\n", " ").replace("\t", " ").strip()


@lru_cache(maxsize=1 << 17)
def normalise(reply: str, protocol: str = "official") -> str:
    """Punctuation, case, number words, articles and contractions, in the original's order."""
    joined = COMMA[protocol].search(reply) is not None
    out = reply
    for mark in PUNCTUATION:
        if mark in reply:
            drop = joined or f"{mark} " in reply or f" {mark}" in reply
            out = out.replace(mark, "" if drop else " ")
    out = PERIOD.sub("", out, count=MOST_PERIODS)
    words = [NUMBERS.get(word, word) for word in out.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def accuracy(said: str, answers: Sequence[str], annotations: Sequence[int]) -> float:
    """Mean over the answers of min(1, matches among the other annotations / 3), Goyal et al. 2017.

    ``annotations`` numbers whose answer each is; an answer with the same number and text is no other annotation.
    """
    alike = [number for answer, number in zip(answers, annotations, strict=True) if answer == said]
    others = (
        len(alike) - (alike.count(number) if answer == said else 0)
        for answer, number in zip(answers, annotations, strict=True)
    )
    return in_turn_sum(min(1.0, count / 3) for count in others) / len(answers)


def in_turn_sum(values: Iterable[float]) -> float:
    """The sum, rounded after each addition; `sum` does not do that from Python 3.12 on."""
    total = 0.0
    for value in values:
        total += value
    return total


def annotation_numbers(people: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """For each annotation the place of the first that equals it in all but the answer."""
    ids = [person.get("answer_id") for person in people]
    if None not in ids and len(set(ids)) == len(ids):
        return _in_a_row(len(ids))
    rest = [{key: value for key, value in person.items() if key != "answer"} for person in people]
    return tuple(rest.index(one) for one in rest)


@cache
def _in_a_row(count: int) -> tuple[int, ...]:
    return tuple(range(count))


def answer_type(qa: QA) -> str:
    return "yes/no" if qa.kind in YES_NO else "number" if qa.kind == "count" else "other"


def crowd(qa: QA, rng: random.Random) -> list[dict[str, Any]]:
    """Ten people, at least seven with the answer itself; the others put it otherwise or are wrong."""
    others = rng.choices(range(4), weights=(11, 5, 3, 1))[0]
    wrong = [option for option in choices(qa, rng) if option != qa.answer]
    said = [qa.answer] * (PEOPLE - others) + [
        rng.choice(OTHERWISE.get(qa.answer, [f"a {qa.answer}"])) if rng.random() < 0.5 else rng.choice(wrong)
        for _ in range(others)
    ]
    rng.shuffle(said)
    return [
        {
            "answer": answer,
            "answer_confidence": rng.choices(("yes", "maybe", "no"), weights=(8, 3, 1))[0],
            "answer_id": k + 1,
        }
        for k, answer in enumerate(said)
    ]


class VQAv2(Evaluator):
    """Metrics in percent: accuracy, that of the answer types yes/no, number, other, and ``question_type/<words>``."""

    name = "vqav2"
    version = "2"
    title = "VQAv2"
    ability = "understanding"
    data = DataSpec(
        hub="lmms-lab/VQAv2",
        split="validation",
        n=214354,
        columns=("question_id", "image_id", "question", "question_type", "answer_type", "answers", "image"),
        scored=("answers", "answer_type"),
        shapes_n=700,
    )
    config = GenerationConfig(max_new_tokens=16, temperature=0.0)
    headline = "accuracy"
    unit = "%"
    chance = 0.0
    best = 100.0
    protocols: ClassVar[tuple[str, ...]] = ("official", "lmms-eval")

    def shapes_rows(self, split: Split, seed: int) -> list[Row]:
        """350 images with two questions each; yes/no, number and other in the shares of the real set (38, 12, 50 %)."""
        rows: list[Row] = []
        plan = in_turn(KINDS, self.data.shapes_n // 2, 2)
        for number, (scene, asked, rng) in enumerate(asked_scenes(split, seed, self.name, plan)):
            picture = draw(scene)
            for qa in asked:
                people = crowd(qa, rng)
                rows.append(
                    {
                        "question_type": " ".join(qa.question.lower().split()[:2]),
                        "multiple_choice_answer": Counter(person["answer"] for person in people).most_common(1)[0][0],
                        "answers": people,
                        "image_id": number,
                        "answer_type": answer_type(qa),
                        "question_id": len(rows),
                        "question": qa.question,
                        "image": picture,
                    }
                )
        return rows

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            where = f"vqav2 question {row['question_id']}"
            if not row["answers"]:
                raise HermesError(f"{where}: there are no answers; use a split that has them")
            yield Sample(
                id=str(row["question_id"]),
                group_id=str(row["image_id"]),
                ability=self.ability,
                prompt=text(row, "question", where) + SHORT_ANSWER,
                images=(image_handle(row["image"], where),),
                target={
                    "answers": tuple(intern(clean(text(one, "answer", where))) for one in row["answers"]),
                    "annotations": annotation_numbers(row["answers"]),
                },
                metadata={key: intern(str(row[key])) for key in TYPES if row.get(key)},
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        sample, said = answer.sample, clean(answer.response.text or "")
        answers: Sequence[str] = sample.target["answers"]
        if protocol == "lmms-eval" or len(set(answers)) > 1:
            answers = [normalise(one, protocol) for one in answers]
            said = normalise(said, protocol)
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            values={"accuracy": accuracy(said, answers, sample.target["annotations"])},
            prediction=said,
            reason="" if said else "the answer is empty",
            status="scored" if said else "unparsed",
            tags=sample.metadata,
        )

    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        types = by_tag(scores, "answer_type")
        questions = {f"question_type/{name}": found for name, found in by_tag(scores, "question_type").items()}
        return {name: _mean(found) for name, found in ({"accuracy": scores} | types | questions).items()}


def _mean(scores: Sequence[Score]) -> Metric:
    """The mean in percent, in the official script's order of operations: its two decimals may hang on the last bit."""
    total = 100 * in_turn_sum(score.values["accuracy"] for score in scores)
    return mean(scores, "accuracy").model_copy(update={"value": total / len(scores)})
