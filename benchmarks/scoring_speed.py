"""How fast Hermes scores, against the reference scorers, on the same made-up rows in one run.

    python benchmarks/scoring_speed.py vqav2 [--n 214354]
    python benchmarks/scoring_speed.py captions [--n 31783]

vqav2: protocol lmms-eval, from answers to metrics with intervals, against lmms-eval's port of the official script
(process_results of its task vqav2_val and the mean). captions: CIDEr, BLEU-1 to 4 and ROUGE-L over images with five
references, from sentences to metrics with intervals, against pycocoevalcap with its Java tokenizer. Both print the two
times, their ratio, and the largest difference between the numbers. Hermes' intervals are part of its time; the
references give none.
"""

import argparse
import copy
import random
import time
from typing import Any

from hermes.evaluators.flickr30k import Flickr30k
from hermes.evaluators.vqav2 import VQAv2
from hermes.harness.contracts.benchmark import Answer
from hermes.harness.records.types import Response

COMMON = ("yes", "no", "2", "1", "white", "red", "blue", "black", "3", "green", "man", "tennis", "frisbee", "0", "dog")
ODD = (
    "Yes.",
    "a dog",
    "two dogs",
    "on the table",
    "black and white",
    "1,000",
    "don't know",
    "baseball/softball",
    "isnt",
)
QUESTIONS = ("what color is the", "is the", "how many", "what is the", "are there", "where is")
SUBJECTS = ("man", "woman", "boy", "girl", "dog", "cat", "child", "crowd", "player", "group", "couple", "singer")
ADJECTIVES = ("young", "old", "small", "large", "red", "blue", "black", "white", "happy", "tall", "wet", "dirty")
VERBS = ("rides", "holds", "watches", "jumps over", "sits on", "stands near", "walks past", "plays with")
OBJECTS = ("bicycle", "ball", "bench", "guitar", "street", "beach", "wall", "field", "table", "truck", "kite", "car")
ENDS = (".", ".", " .", ", smiling.", " in the man's hand.", " at night", " - a T-shirt day.", " (in color).")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("vqav2", "captions"))
    parser.add_argument("--n", type=int, help="answers, or images")
    settings = parser.parse_args()
    if settings.what == "vqav2":
        vqav2(settings.n or VQAv2.data.n)
    else:
        captions(settings.n or Flickr30k.data.n)


def vqav2(n: int) -> None:
    """Both scorers on n answers to questions that ten people answered."""
    from lmms_eval.tasks.vqav2.utils import vqav2_process_results_val

    rng = random.Random(0)
    rows = [_question(rng, number) for number in range(n)]
    replies = [rng.choice(row["answers"])["answer"] if rng.random() < 0.8 else _answer(rng) for row in rows]
    documents = copy.deepcopy(rows)

    evaluator = VQAv2()
    samples = list(evaluator.samples(rows))
    answers = [Answer(sample, _response(sample.id, reply)) for sample, reply in zip(samples, replies, strict=True)]
    begin = time.perf_counter()
    scores = list(evaluator.scores(answers, "lmms-eval"))
    middle = time.perf_counter()
    metrics = evaluator.aggregate(zip(samples, scores, strict=True), "lmms-eval")
    ours = time.perf_counter() - begin
    print(f"hermes: {ours:.1f} s ({middle - begin:.1f} s scores, {ours - middle + begin:.1f} s metrics)")

    begin = time.perf_counter()
    values = [
        vqav2_process_results_val(document, [reply])["exact_match"]
        for document, reply in zip(documents, replies, strict=True)
    ]
    mean = sum(values) / len(values)
    theirs = time.perf_counter() - begin
    difference = max(abs(score.values["accuracy"] - value) for score, value in zip(scores, values, strict=True))
    print(f"lmms-eval: {theirs:.1f} s")
    print(f"{n:,} answers: {theirs / ours:.1f} times as fast; largest difference of an answer {difference:.1e}, ")
    print(f"of the mean {abs(metrics['accuracy'].value - 100 * mean):.1e} points of {metrics['accuracy'].value:.4f}")


def captions(n: int) -> None:
    """Both scorers on n images with five references each."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    rng = random.Random(0)
    rows = [{"img_id": number, "image": None, "caption": [_sentence(rng) for _ in range(5)]} for number in range(n)]
    replies = [rng.choice(row["caption"]) if rng.random() < 0.3 else _sentence(rng) for row in rows]

    evaluator = Flickr30k()
    samples = list(evaluator.samples(row | {"image": b""} for row in rows))
    answers = [Answer(sample, _response(sample.id, reply)) for sample, reply in zip(samples, replies, strict=True)]
    begin = time.perf_counter()
    scores = list(evaluator.scores(answers, "official"))
    middle = time.perf_counter()
    metrics = evaluator.aggregate(zip(samples, scores, strict=True), "official")
    ours = time.perf_counter() - begin
    print(f"hermes: {ours:.1f} s ({middle - begin:.1f} s scores, {ours - middle + begin:.1f} s metrics)")

    begin = time.perf_counter()
    known = PTBTokenizer().tokenize({row["img_id"]: [{"caption": one} for one in row["caption"]] for row in rows})
    said = PTBTokenizer().tokenize({number: [{"caption": reply}] for number, reply in enumerate(replies)})
    expected = {"cider": Cider().compute_score(known, said)[0], "rouge_l": Rouge().compute_score(known, said)[0]}
    expected |= {f"bleu_{k}": value for k, value in enumerate(Bleu(4).compute_score(known, said, verbose=0)[0], 1)}
    theirs = time.perf_counter() - begin
    difference = max(abs(metrics[name].value - 100 * float(value)) for name, value in expected.items())
    print(f"pycocoevalcap: {theirs:.1f} s")
    print(f"{n:,} images: {theirs / ours:.1f} times as fast; largest difference of a metric {difference:.1e} points")


def _question(rng: random.Random, number: int) -> dict[str, Any]:
    agreed = _answer(rng)
    people = [agreed if rng.random() < 0.7 else _answer(rng) for _ in range(10)]
    return {
        "question_id": number,
        "image_id": number // 5,
        "question": "What is it?",
        "question_type": rng.choice(QUESTIONS),
        "answer_type": rng.choice(("yes/no", "number", "other")),
        "answers": [
            {"answer": answer, "answer_confidence": "yes", "answer_id": k} for k, answer in enumerate(people, 1)
        ],
        "image": b"",
    }


def _answer(rng: random.Random) -> str:
    """Half of all answers are of a few, a tenth is odd, the others are of some ten thousand."""
    draw = rng.random()
    if draw < 0.5:
        return rng.choice(COMMON)
    if draw < 0.6:
        return rng.choice(ODD)
    return f"{rng.choice(ADJECTIVES)} {rng.choice(SUBJECTS)} {rng.randrange(60)}"


def _sentence(rng: random.Random) -> str:
    parts = [f"A {rng.choice(ADJECTIVES)} {rng.choice(SUBJECTS)}", rng.choice(VERBS)]
    parts += [f"the {rng.choice(ADJECTIVES)} {rng.choice(OBJECTS)}"]
    if rng.random() < 0.6:
        parts += [f"while a {rng.choice(SUBJECTS)} {rng.choice(VERBS)} a {rng.choice(OBJECTS)}"]
    return " ".join(parts) + rng.choice(ENDS)


def _response(name: str, reply: str) -> Response:
    return Response(sample_id=name, index=0, seed=0, prompt_sha256="", text=reply)


if __name__ == "__main__":
    main()
