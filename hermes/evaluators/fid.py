"""FID: how far the pictures of a task are, as a set, from real ones.

Paper: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium"
(arXiv 1706.08500). Task ``fid`` is about the pictures of the task ``prompts``, ``fid:TASK`` about those of another; the
real ones are the judge's: ``--judge inception:FOLDER``. Features and distance are torch-fidelity's.

Metrics: ``fid``, lower is better. It has no interval: it is a number of the whole set, it is biased upwards by an
amount that depends on how many pictures there are and on the model, and no resampling mends that. Numbers are
comparable for the same real pictures and the same count alone; fewer pictures than features (2,048) are noted.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from hermes.evaluators.pictures import OfPictures
from hermes.harness.contracts.benchmark import Answer, Scored
from hermes.harness.contracts.judge import Comparer, Judge
from hermes.harness.judges.pictures.statistics import Features, distance
from hermes.harness.records.types import Metric, Sample, Score
from hermes.harness.system.errors import HermesError

FEATURES, REFERENCE = "features", "reference"


class FID(OfPictures):
    """One number of all pictures."""

    name = "fid"
    version = "1"
    title = "FID"
    headline = "fid"
    unit = "own unit"
    judge_needs = "compare"
    lower = True

    def ask_judge(self, answers: Sequence[Answer], judge: Judge) -> list[dict[str, Any]]:
        """``{"features": text, "reference": the name of the real pictures' statistics}`` for each image."""
        comparer = cast(Comparer, judge)
        found = comparer.features([answer.image.open() for answer in answers if answer.image])
        return [{FEATURES: written(one), REFERENCE: comparer.reference} for one in found]

    def read_judgement(self, sample: Sample, data: Mapping[str, Any]) -> dict[str, Any]:
        raise HermesError("features come from the judge inception alone; give the pictures")

    def score(self, answer: Answer, protocol: str) -> Score:
        sample = answer.sample
        return Score(
            sample_id=sample.id,
            index=answer.response.index,
            group_id=sample.group_id,
            prediction=answer.judgement,
        )

    def aggregate(self, scored: Iterable[Scored], protocol: str) -> dict[str, Metric]:
        found: list[Features] = []
        reference = ""
        for _, score in scored:
            found.append(read(score.prediction[FEATURES]))
            reference = score.prediction[REFERENCE]
        if len(found) < 2:
            return {}
        value, real = distance(np.stack(found), reference)
        counts = {"real_pictures": real, FEATURES: len(found[0])}
        told = {name: Metric(value=count, n=len(found)) for name, count in counts.items()}
        return {self.headline: Metric(value=value, n=len(found)), **told}

    def notes(self, metrics: Mapping[str, Metric]) -> Iterator[str]:
        """Why there is no number, or why it is not one to print."""
        if not metrics:
            yield "FID needs two pictures or more"
            return
        n, real, width = metrics[self.headline].n, metrics["real_pictures"].value, metrics[FEATURES].value
        if min(n, real) < width:
            yield f"FID of {n} pictures to {real:.0f} real ones: fewer than its {width:.0f} features, so it says little"

    @classmethod
    def headline_means(cls, scores: Iterable[Score], protocol: str) -> None:
        """A number of the whole set is no sum of means."""


def written(features: Sequence[float]) -> str:
    """The features as text: little-endian float32 in base64, 11 KB for 2,048 of them."""
    return base64.b64encode(np.asarray(features, dtype="<f4").tobytes()).decode()


def read(text: str) -> Features:
    """The features (width,) that `written` wrote."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float32)
