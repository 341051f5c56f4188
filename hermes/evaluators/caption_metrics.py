"""BLEU, ROUGE-L and CIDEr of captions, equal to COCO's caption evaluation (pycocoevalcap 1.2), in array operations.

Papers: Papineni et al. 2002 (BLEU), Lin 2004 (ROUGE-L), Vedantam et al. 2015 (CIDEr, arXiv:1411.5726).
All scores here are fractions; CIDEr lies within 0..10.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hermes.evaluators.ptb_tokenizer import tokenize_lines
from hermes.harness.system.errors import HermesError

ORDERS = 4
CIDER_BEST = 10.0
SIGMA = 6.0
BETA = 1.2
TINY, SMALL = 1e-15, 1e-9
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Numbers = Floats | Ints


@dataclass(frozen=True)
class CaptionScores:
    """Scores of N captions.

    ``cider`` and ``rouge_l`` have shape (N,). ``matches`` and ``grams``, shape (N, 4), count the n-grams of each
    caption that a reference confirms, and all of them. ``lengths``, shape (N, 2), hold the caption's length and that
    of its closest reference, in words.
    """

    cider: Floats
    rouge_l: Floats
    matches: Ints
    grams: Ints
    lengths: Ints

    def bleu(self, images: Any = slice(None)) -> Floats:
        """BLEU-1 to BLEU-4 of all chosen captions together, shape (4,): counts are added up before dividing."""
        matches, grams, lengths = (part[images].sum(axis=0)[None] for part in (self.matches, self.grams, self.lengths))
        total: Floats = _bleu(matches, grams, lengths)[0]
        return total

    def figures(self) -> list[float]:
        """CIDEr, BLEU-1 to BLEU-4 and ROUGE-L of all captions together."""
        found: list[float] = _together((np.ones(len(self.cider)) @ self._table)[None], len(self.cider))[0].tolist()
        return found

    def figures_without(self, groups: Sequence[str]) -> tuple[Floats, Floats]:
        """The figures without each group of captions in turn, and how much of each figure is that group's.

        Both have a row for each group. A caption counts once in CIDEr and ROUGE-L, in BLEU as often as it has n-grams.
        """
        names, group = np.unique(np.array(groups), return_inverse=True)
        sizes = np.bincount(group)[:, None]
        sums, grams = np.zeros((len(names), self._table.shape[1])), np.zeros((len(names), ORDERS))
        np.add.at(sums, group, self._table)
        np.add.at(grams, group, self.grams)
        without = _together(self._table.sum(axis=0) - sums, len(self.cider) - sizes)
        return without, np.concatenate([sizes, grams, sizes], axis=1)

    @cached_property
    def _table(self) -> Floats:
        columns = (self.cider[:, None], self.rouge_l[:, None], self.matches, self.grams, self.lengths)
        return np.concatenate(columns, axis=1, dtype=np.float64)

    def bleu_each(self) -> Floats:
        """BLEU-1 to BLEU-4 of each caption alone, shape (N, 4)."""
        return _bleu(self.matches, self.grams, self.lengths)


def caption_scores(captions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """Score each caption against its references; both are tokenised here.

    The document frequencies of CIDEr are those of the references given, so a score belongs to its corpus: with one
    image it is 0. Raises HermesError where a caption has no reference.
    """
    if len(captions) != len(references):
        raise HermesError(
            f"{len(captions)} captions but {len(references)} reference sets; give one set for each caption"
        )
    for number, one in enumerate(references):
        if not one:
            raise HermesError(f"caption {number} has no reference; leave it out or add one")
    said = tokenize_lines(captions)
    lines = iter(tokenize_lines([reference for one in references for reference in one]))
    known = [list(islice(lines, len(one))) for one in references]
    rouge = np.array([_rouge_l(text, texts) for text, texts in zip(said, known, strict=True)], dtype=np.float64)
    owner = np.repeat(np.arange(len(said)), [len(one) for one in known])
    cider, matches, lengths = _compare([text.split() for text in (*said, *(t for one in known for t in one))], owner)
    grams = np.maximum(lengths[:, :1] - np.arange(ORDERS), 0)
    return CaptionScores(cider, rouge, matches, grams, lengths)


def _compare(sentences: list[list[str]], owner: Ints) -> tuple[Floats, Ints, Ints]:
    """CIDEr, BLEU's matches and lengths. The references follow the captions; ``owner[r]`` is the caption of r."""
    n = len(sentences) - len(owner)
    size = np.array([len(words) for words in sentences], dtype=np.int64)
    image = np.concatenate([np.arange(n), owner])
    matches = np.zeros((n, ORDERS), dtype=np.int64)
    similarity = np.zeros(len(owner))
    for order, (sentence, gram) in enumerate(_grams(sentences, size)):
        kinds = int(gram.max(initial=0)) + 1
        keys, count = np.unique(sentence * kinds + gram, return_counts=True)
        sentence, gram = keys // kinds, keys % kinds
        split = int(np.searchsorted(sentence, n))
        reference = image[sentence[split:]] * kinds + gram[split:]
        frequency = np.bincount(_distinct(reference) % kinds, minlength=kinds)
        weight = count * (np.log(max(n, 1)) - np.log(np.maximum(frequency, 1)))[gram]
        norm = np.sqrt(np.bincount(sentence, weight**2, minlength=len(size)))

        place = np.searchsorted(keys[:split], reference)
        shared = np.flatnonzero(np.append(keys[:split], -1)[place] == reference)
        caption, other = place[shared], split + shared
        most = np.zeros(split, dtype=np.int64)
        np.maximum.at(most, caption, count[other])
        matches[:, order] = np.bincount(sentence[:split], np.minimum(count[:split], most), minlength=n)
        overlap = np.minimum(weight[caption], weight[other]) * weight[other]
        dot = np.bincount(sentence[other] - n, overlap, minlength=len(owner))
        scale = norm[owner] * norm[n:]
        similarity += np.divide(dot, scale, out=np.zeros(len(owner)), where=scale > 0)
    bigrams = np.maximum(size - 1, 0)
    similarity *= np.exp(-((bigrams[owner] - bigrams[n:]) ** 2) / (2 * SIGMA**2))
    cider = (
        CIDER_BEST
        / ORDERS
        * np.bincount(owner, similarity, minlength=n)
        / np.maximum(np.bincount(owner, minlength=n), 1)
    )
    return cider, matches, np.stack([size[:n], _closest(size[:n], size[n:], owner)], axis=1)


def _grams(sentences: list[list[str]], size: Ints) -> Iterator[tuple[Ints, Ints]]:
    """For n = 1 to 4 all n-grams: in which sentence each stands, and its number."""
    numbers: dict[str, int] = {}
    words = np.array([numbers.setdefault(word, len(numbers)) for words in sentences for word in words], dtype=np.int64)
    sentence = np.repeat(np.arange(len(sentences)), size)
    gram = words
    yield sentence, gram
    for order in range(2, ORDERS + 1):
        last = words[order - 1 :]
        gram = np.unique(gram[: len(last)] * (len(numbers) + 1) + last, return_inverse=True)[1]
        inside = sentence[: len(last)] == sentence[order - 1 :]
        yield sentence[: len(last)][inside], gram[inside]


def _distinct(values: Ints) -> Ints:
    """The different values, sorted; for millions of them much faster than numpy's hashing."""
    ordered = np.sort(values)
    found: Ints = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]
    return found


def _closest(size: Ints, references: Ints, owner: Ints) -> Ints:
    """Of each caption's reference lengths the one nearest to its own, the shorter of two equally near."""
    best = np.full(len(size), np.iinfo(np.int64).max)
    stride = int(references.max(initial=0)) + 1
    np.minimum.at(best, owner, np.abs(references - size[owner]) * stride + references)
    return best % stride


def _together(sums: Floats, n: int | Ints) -> Floats:
    """CIDEr, BLEU and ROUGE-L of n captions from the sums of their table, one set of captions a row."""
    cider, rouge, matches, grams, lengths = np.split(sums, (1, 2, 2 + ORDERS, 2 + 2 * ORDERS), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # Nothing is left without the only caption.
        return np.concatenate([cider / n, _bleu(matches, grams, lengths), rouge / n], axis=1)


def _bleu(matches: Numbers, grams: Numbers, lengths: Numbers) -> Floats:
    """Geometric means of the precisions times the brevity penalty, with the smoothing constants of COCO's scorer."""
    means = np.cumprod((matches + TINY) / (grams + SMALL), axis=1) ** (1 / np.arange(1, ORDERS + 1))
    ratio = (lengths[:, :1] + TINY) / (lengths[:, 1:] + SMALL)
    return np.asarray(means * np.exp(np.minimum(0.0, 1 - 1 / ratio)), dtype=np.float64)


def _rouge_l(text: str, references: Sequence[str]) -> float:
    """F-measure (beta 1.2) of the best precision and the best recall, which may come from different references.

    Words are split at single spaces only, so an empty caption has one empty word, as in COCO's scorer.
    """
    words = text.split(" ")
    others = [reference.split(" ") for reference in references]
    common = [_common(words, other) for other in others]
    precision = max(common) / len(words)
    recall = max(length / len(other) for length, other in zip(common, others, strict=True))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, one bit for each word of ``first`` (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for bit, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << bit
    full = (1 << len(first)) - 1
    open_places = full
    for word in second:
        hits = open_places & places.get(word, 0)
        open_places = ((open_places + hits) | (open_places - hits)) & full
    return len(first) - open_places.bit_count()
