"""The extra that transformers' models need: without torchvision their image processors give other pixels, or none."""

from importlib.util import find_spec

MODELS = "models"


def has_torchvision() -> bool:
    """Whether images are prepared as they are everywhere else."""
    return find_spec("torchvision") is not None
