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
answer is scored as an empty caption and counted as unparsed. Intervals come from leaving out one image at a time, with
the corpus' word weights kept; CIDEr itself lies within 0..10, so within 0..1000 here.

Chance 0. CIDEr's upper bound is out of reach: ``best`` serves the gap over benchmarks alone. In the shapes world it is
the agreement of the references: one of the five held against the other four scores 170 on average. For real images
it is the round number 100, a convention: how well people agree on Flickr30k was not measured here.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from hermes.evaluators.caption_metrics import CIDER_BEST, ORDERS, CaptionScores, caption_scores
from hermes.harness.contracts.benchmark import Answer, DataSpec, Evaluator, Row, Scored
from hermes.harness.contracts.columns import columns_of
from hermes.harness.contracts.fields import nested
from hermes.harness.contracts.prompts import ONE_SENTENCE
from hermes.harness.records.images import image_handle
from hermes.harness.records.stats import UNIT, Means, jackknife_metrics
from hermes.harness.records.types import GenerationConfig, Metric, Sample, Score
from hermes.harness.system.errors import HermesError


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
        cells={"caption": nested},
    )
    config = GenerationConfig(max_new_tokens=64, temperature=0.0)
    headline = "cider"
    unit = "x100"
    chance = 0.0
    best = 100.0
    protocols = ("official", "lmms-eval")

    def samples(self, rows: Iterable[Row]) -> Iterator[Sample]:
        for row in rows:
            identity = str(row["img_id"])
            where = f"flickr30k image {identity}"
            captions = row["caption"]
            if not isinstance(captions, Sequence) or isinstance(captions, str) or not captions:
                raise HermesError(f"{where}: caption must be a list of sentences; fix the row")
            if not all(isinstance(caption, str) for caption in captions):
                raise HermesError(f"{where}: a caption is not text; fix the row")
            yield Sample(
                id=identity,
                group_id=identity,
                ability=self.ability,
                prompt=ONE_SENTENCE,
                images=(image_handle(row["image"], where),),
                target=tuple(captions),
            )

    def score(self, answer: Answer, protocol: str) -> Score:
        """One caption as a corpus of its own, where CIDEr is 0 by definition; see ``scores``."""
        return next(self.scores([answer], protocol))

    def scores(self, answers: Iterable[Answer], protocol: str) -> Iterator[Score]:
        """The per-image values; all answers are scored together because CIDEr weighs words by the whole corpus."""
        keys: list[tuple[str, int, str]] = []
        captions: list[str] = []
        targets: list[tuple[str, ...]] = []
        for answer in answers:
            keys.append((answer.sample.id, answer.response.index, answer.sample.group_id))
            captions.append((answer.response.text or "").strip())
            targets.append(answer.sample.target)
        corpus = _corpus(tuple(captions), tuple(targets))
        bleu = corpus.bleu_each()
        for place, (sample, index, group) in enumerate(keys):
            yield Score(
                sample_id=sample,
                index=index,
                group_id=group,
                values={
                    "cider": float(corpus.cider[place]),
                    "rouge_l": float(corpus.rouge_l[place]),
                    "bleu_4": float(bleu[place, -1]),
                },
                prediction=captions[place],
                reason="" if corpus.lengths[place, 0] else "the answer has no word",
                status="scored" if corpus.lengths[place, 0] else "unparsed",
            )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        captions: list[str] = []
        targets: list[tuple[str, ...]] = []
        groups: list[str] = []
        for sample, score in scored:
            captions.append(score.prediction)
            targets.append(sample.target)
            groups.append(score.group_id)
        if not groups:
            return {}
        corpus = _corpus(tuple(captions), tuple(targets))
        without, shares = corpus.figures_without(groups)
        bounds = [(0.0, CIDER_BEST), *[UNIT] * (ORDERS + 1)]
        found = jackknife_metrics(corpus.figures(), without, shares, len(captions), 100, bounds)
        names = ("cider", *(f"bleu_{n}" for n in range(1, ORDERS + 1)), "rouge_l")
        return dict(zip(names, found, strict=True))

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> Means:
        """CIDEr with the weights of words that each run had; those of all images where none failed."""
        columns = columns_of(scores, ("cider",))
        return Means([(columns.values["cider"], columns.groups)], scale=100, bounds=(0.0, CIDER_BEST))


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
