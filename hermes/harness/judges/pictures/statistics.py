"""The statistics of real pictures, in the cache folder, and the distance of features to them, by torch-fidelity.

The Fréchet distance of two Gaussians with the means m and covariances C of the features (Heusel et al. 2017):

    FID = |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hermes.harness.system.cache import cache_folder
from hermes.harness.system.disk import new_file
from hermes.harness.system.errors import HermesError, MissingExtra

FOLDER = "fid"
Features = NDArray[np.float32]


def statistics_file(name: str) -> Path:
    """Where the mean (width,), the covariance (width, width) and the number of the real pictures are."""
    return cache_folder() / FOLDER / f"{name}.npz"


def keep(name: str, features: Sequence[Sequence[float]]) -> None:
    """Write the statistics of features (n, width). Raises HermesError for fewer than two."""
    if len(features) < 2:
        raise HermesError("FID needs two real pictures or more; give a folder that holds them")
    with new_file(statistics_file(name)) as file:
        np.savez(file, n=len(features), **_statistics(np.asarray(features, dtype=np.float32)))


def distance(features: Features, name: str) -> tuple[float, int]:
    """FID of features (n, width) to the real pictures whose statistics have this name, and how many these are.

    Raises HermesError where the statistics are in the cache no more. ``features`` are of two pictures or more.
    """
    path = statistics_file(name)
    if not path.is_file():
        raise HermesError(f"{path}, the statistics of the real pictures, is gone; judge by inception:FOLDER once more")
    drawn = _statistics(features)
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

    with np.load(path) as real:
        found = fid_statistics_to_metric(drawn, {"mu": real["mu"], "sigma": real["sigma"]}, verbose=False)
        return float(found[KEY_METRIC_FID]), int(real["n"])


def _statistics(features: Features) -> dict[str, Any]:
    """The mean (float32) and the covariance (float64) of features."""
    import torch

    try:
        from torch_fidelity.metric_fid import fid_features_to_statistics
    except ImportError:
        raise MissingExtra("FID", "scores") from None
    found: dict[str, Any] = fid_features_to_statistics(torch.from_numpy(features))
    return found
