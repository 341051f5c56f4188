"""Unified-Bench: how similar to a picture is what a model draws from its own description of it?

Paper: UAE, arXiv 2509.09666. Similarities are cosines under an encoder (CLIP, LongCLIP, DINOv2, DINOv3), averaged over
the pairs that could be compared; the overall number is the mean over encoders. A picture that cannot be compared is in
no mean, so how many could be is told beside it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tiff", ".webp"}


def reference_of(generated: str, references: Sequence[str]) -> str | None:
    """The reference of a generated picture: the same name, else the same stem, with "recon_" before it or not."""
    path = PurePath(generated)
    if path.name in references:
        return path.name
    stems = ((name, PurePath(name).stem) for name in sorted(references))
    return next((name for name, stem in stems if path.stem in (stem, f"recon_{stem}")), None)


def reconstruction_scores(
    generated: Iterable[str], references: Sequence[str], similarity: Callable[[str, str], float | None]
) -> dict[str, float | None]:
    """Unified-Bench's similarities under one encoder, by the generated picture's name without its folder.

    None where there is no reference, or ``similarity`` could read one of the two no more.
    """
    found: dict[str, float | None] = {}
    for name in generated:
        if PurePath(name).suffix.lower() in PICTURES:
            reference = reference_of(name, references)
            found[PurePath(name).name] = None if reference is None else similarity(name, reference)
    return found


def reconstruction_statistics(similarities: Mapping[str, float | None]) -> dict[str, Any]:
    """How many pictures there are, how many could be compared, and the mean, least and greatest of these, if any.

    The program prints nothing for an encoder under which none could be compared.
    """
    valid = [value for value in similarities.values() if value is not None]
    return {
        "total_images": len(similarities),
        "valid_pairs": len(valid),
        "average_similarity": float(np.mean(valid)) if valid else None,
        "min_similarity": min(valid, default=None),
        "max_similarity": max(valid, default=None),
    }
