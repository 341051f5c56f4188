"""Flickr30k: one-sentence captions, held against five human ones.

Paper: Young et al. 2014, "From image descriptions to visual denotations" (TACL 2). Images under Flickr's terms, for
research. Two data sets, told apart by their names because CIDEr of one does not compare with that of the other:
- ``flickr30k``: lmms-lab/flickr30k, split test, which is ALL 31,783 images; lmms-eval, Show-o and HermesFlow use it;
- ``flickr30k-1k``: Karpathy's test split of 1,000 images, as captioning papers use it, from
  nlphuji/flickr_1k_test_image_text_retrieval, split test; its columns (image, caption, img_id) could not be verified.
Prompt: "Provide a one-sentence caption for the provided image.", as lmms-eval asks it.

Metrics, all x 100: CIDEr, BLEU-1 to BLEU-4 and ROUGE-L as pycocoevalcap computes them. Protocols ``official``
(pycocoevalcap) and ``lmms-eval`` (its task ``flickr30k_test``, which calls pycocoevalcap) give the same figures;
lmms-eval prints them before the x 100. METEOR, which needs Java, is left out.

CIDEr weighs words by how rare they are in the references of the images at hand: the number belongs to its corpus, and
one from 1,000 images does not compare with one from 31,783. An image whose response failed is in no corpus; an empty
answer is scored as an empty caption and counted as unparsed. Intervals come from resampling images; for CIDEr that is
the mean of the per-image values, with the corpus' word weights kept.

Chance 0. CIDEr has no upper bound. ``best`` serves the gap over benchmarks alone. In the shapes world it is the
agreement of the references: one of the five held against the other four scores 170 on average. For real images it is
the round number 100, a convention: how well people agree on Flickr30k was not measured here.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice

from hermes.evaluators.base import ONE_SENTENCE, Answer, DataSpec, Evaluator, Row
from hermes.evaluators.caption_metrics import ORDERS, CaptionScores, caption_scores
from hermes.harness.errors import HermesError
from hermes.harness.images import image_handle
from hermes.harness.seeds import derive_seed
from hermes.harness.shapes.captions import references
from hermes.harness.shapes.draw import draw
from hermes.harness.shapes.scene import Split, scenes
from hermes.harness.stats import bootstrap_metrics
from hermes.harness.types import GenerationConfig, Metric, Sample, Score


class Flickr30k(Evaluator):
    """Captioning. Metrics, x 100: cider (headline), bleu_1 to bleu_4, rouge_l."""

    name = "flickr30k"
    version = "1"
    title = "Flickr30k (31,783 images)"
    ability = "understanding"
    data = DataSpec(
        hub="lmms-lab/flickr30k",
        split="test",
        n=31783,
        columns=("image", "caption", "img_id"),
        scored=("caption",),
        shapes_n=300,
    )
    config = GenerationConfig(max_new_tokens=64, temperature=0.0)
    headline = "cider"
    unit = "x100"
    chance = 0.0
    best = 100.0
    shapes_best = 170.0
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
                target=tuple(captions),
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        """One caption as a corpus of its own, where CIDEr is 0 by definition; see score_all."""
        return self.score_all([answer], protocol)[0]

    def score_all(self, answers: Sequence[Answer], protocol: str) -> list[Score]:
        """The per-image values; all answers are scored together because CIDEr weighs words by the whole corpus."""
        captions = tuple((answer.response.text or "").strip() for answer in answers)
        corpus = _corpus(captions, tuple(answer.sample.target for answer in answers))
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
        corpus = _corpus(
            tuple(score.prediction for score in scores), tuple(samples[score.sample_id].target for score in scores)
        )
        names = ("cider", *(f"bleu_{n}" for n in range(1, ORDERS + 1)), "rouge_l")
        found = bootstrap_metrics(corpus.figures, [score.group_id for score in scores], scale=100)
        return dict(zip(names, found, strict=True))


class Flickr30k1K(Flickr30k):
    """Karpathy's 1,000 test images; the metrics are those of `Flickr30k`."""

    name = "flickr30k-1k"
    title = "Flickr30k (Karpathy 1K)"
    data = replace(Flickr30k.data, hub="nlphuji/flickr_1k_test_image_text_retrieval", n=1000)
    standard = False


@lru_cache(maxsize=1)
def _corpus(captions: tuple[str, ...], references: tuple[tuple[str, ...], ...]) -> CaptionScores:
    """Kept, because the aggregate looks at the same corpus as the scores."""
    return caption_scores(captions, references)
