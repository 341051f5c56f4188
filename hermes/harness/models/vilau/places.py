"""Which checkpoint a reference names, and what it is called; loads nothing."""

from pathlib import Path

from hermes.harness.models.source import Source, source_of
from hermes.harness.models.trained import title
from hermes.harness.models.vilau.sizes import LLM

NAME = "vilau"
PUBLISHED = "mit-han-lab/vila-u-7b-256"
INNER = "model"


def find(reference: str) -> tuple[str, Source]:
    """The model's name and its source.

    A folder that has its parts in a folder ``model`` is entered, as in the authors' code. Raises HermesError for what
    cannot be one.
    """
    where = Path(PUBLISHED if reference == NAME else reference.removeprefix(f"{NAME}:")).expanduser()
    if where.is_dir() and entered(where) != where:
        return title(where), source_of(str(entered(where)), NAME)._replace(given=str(where))
    source = source_of(reference, NAME, PUBLISHED)
    return source.title, source


def entered(folder: Path) -> Path:
    """The folder that has the checkpoint's parts in it: ``folder`` or its ``model``."""
    return folder / INNER if (folder / INNER / LLM).is_dir() else folder
