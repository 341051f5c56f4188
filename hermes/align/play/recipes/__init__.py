"""The recipes of `hermes align` and `hermes ablate`, which are named without a path, as in ``--config paper``."""

from hermes.harness.models.recipes import Shelf

SHELF = Shelf(__name__)
