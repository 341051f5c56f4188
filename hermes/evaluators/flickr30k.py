"""Flickr30k: one-sentence captions, held against five human ones.

Paper: Young et al. 2014, "From image descriptions to visual denotations" (TACL 2). Data: lmms-lab/flickr30k, split
test, which is ALL 31,783 images and not the 1,000 of Karpathy's test split; images under Flickr's terms, for research.
Prompt: "Provide a one-sentence caption for the provided image.", as lmms-eval asks it.

Metrics, all x 100: CIDEr, BLEU-1 to BLEU-4 and ROUGE-L as pycocoevalcap computes them. Protocols ``official``
(pycocoevalcap) and ``lmms-eval`` (its task ``flickr30k_test``, which calls pycocoevalcap) give the same figures;
lmms-eval prints them before the x 100. METEOR, which needs Java, is left out.

CIDEr weighs words by how rare they are in the references of the images at hand: the number belongs to its corpus, and
one from 1,000 images does not compare with one from 31,783. An image whose response failed is in no corpus; an empty
answer is scored as an empty caption and counted as unparsed. Intervals come from resampling images; for CIDEr that is
the mean of the per-image values, with the corpus' word weights kept.

Chance 0. CIDEr has no upper bound. ``best`` serves the gap over benchmarks alone and is the agreement of the references
of the shapes world: one of the five held against the other four scores 170 on average. Real captioners stay below it.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from hermes.evaluators.base import ONE_SENTENCE, Answer, DataSpec, Evaluator, Row
from hermes.evaluators.caption_metrics import ORDERS, CaptionScores, caption_scores
from hermes.harness.errors import HermesError
from hermes.harness.images import image_handle
from hermes.harness.seeds import derive_seed
from hermes.harness.shapes.captions import references
from hermes.harness.shapes.draw import draw
from hermes.harness.shapes.scene import Split, scenes
from hermes.harness.stats import bootstrap_metric
from hermes.harness.types import GenerationConfig, Metric, Sample, Score


class Flickr30k(Evaluator):
    """Captioning. Metrics, x 100: cider (headline), bleu_1 to bleu_4, rouge_l."""

    name = "flickr30k"
    version = "1"
    title = "Flickr30k"
    ability = "understanding"
    data = DataSpec(
        hub="lmms-lab/flickr30k",
        split="test",
        n=31783,
        columns=("image", "caption", "sentids", "img_id", "filename"),
        scored=("caption",),
        shapes_n=300,
    )
    config = GenerationConfig(max_new_tokens=64, temperature=0.0)
    headline = "cider"
    unit = "x100"
    chance = 0.0
    best = 170.0
    protocols = ("official", "lmms-eval")

    def shapes_rows(self, split: Split, seed: int) -> list[Row]:
        """300 scenes with five references each."""
        rows: list[Row] = []
        for number, scene in enumerate(islice(scenes(split, seed, self.name), self.data.shapes_n)):
            rng = random.Random(derive_seed(seed, split, self.name, number))
            captions = references(scene, rng)
            rows.append(
                {
                    "image": draw(scene),
                    "caption": captions,
                    "sentids": [str(number * len(captions) + place) for place in range(len(captions))],
                    "img_id": str(number),
                    "filename": f"shapes_{split}_{number:06d}.png",
                }
            )
        return rows

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            identity = str(row["img_id"])
            where = f"flickr30k image {identity}"
            captions = row["caption"]
            if not isinstance(captions, Sequence) or isinstance(captions, str) or not captions:
                raise HermesError(f"{where}: caption must be a list of sentences; mend the row")
            if not all(isinstance(caption, str) for caption in captions):
                raise HermesError(f"{where}: a caption is not text; mend the row")
            yield Sample(
                id=identity,
                group_id=identity,
                ability=self.ability,
                prompt=ONE_SENTENCE,
                images=(image_handle(row["image"], where),),
                target=list(captions),
                metadata={"filename": str(row["filename"])},
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        """One caption as a corpus of its own, where CIDEr is 0 by definition; see score_all."""
        return self.score_all([answer], protocol)[0]

    def score_all(self, answers: Sequence[Answer], protocol: str) -> list[Score]:
        """The per-image values; all answers are scored together because CIDEr weighs words by the whole corpus."""
        captions = [(answer.response.text or "").strip() for answer in answers]
        corpus = caption_scores(captions, [answer.sample.target for answer in answers])
        bleu = corpus.bleu_each()
        return [
            Score(
                sample_id=answer.sample.id,
                index=answer.response.index,
                group_id=answer.sample.group_id,
                values={
                    "cider": float(corpus.cider[place]),
                    "rouge_l": float(corpus.rouge_l[place]),
                    "bleu_4": float(bleu[place, -1]),
                },
                prediction=caption,
                reason="" if corpus.lengths[place, 0] else "the answer has no word",
                status="scored" if corpus.lengths[place, 0] else "unparsed",
            )
            for place, (answer, caption) in enumerate(zip(answers, captions, strict=True))
        ]

    def aggregate(self, samples: Mapping[str, Sample], scores: Sequence[Score], protocol: str) -> dict[str, Metric]:
        corpus = caption_scores(
            [score.prediction for score in scores], [samples[score.sample_id].target for score in scores]
        )
        groups = [score.group_id for score in scores]
        return {
            "cider": bootstrap_metric(lambda images: float(corpus.cider[images].mean()), groups, scale=100),
            **{f"bleu_{n}": _bleu(corpus, n, groups) for n in range(1, ORDERS + 1)},
            "rouge_l": bootstrap_metric(lambda images: float(corpus.rouge_l[images].mean()), groups, scale=100),
        }


def _bleu(corpus: CaptionScores, n: int, groups: Sequence[str]) -> Metric:
    return bootstrap_metric(lambda images: float(corpus.bleu(images)[n - 1]), groups, scale=100)
