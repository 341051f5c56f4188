"""The recipes of `hermes eval`: `NAME@WHERE` holds the settings that a source states of a printed number.

Each value has its source behind it, and what no source states is in ``unknown``.
"""

from hermes.harness.models.recipes import Shelf

SHELF = Shelf(__name__)
